"""What `lexilog serve` can be told: doors, relays, routes, and what is known.

One YAML file says all of it (docs/serve.md); `settings_file` reads it, and `settings_check` finds what makes no sense.
"""

from __future__ import annotations

import re
from datetime import UTC, tzinfo
from pathlib import Path
from typing import Annotated, Literal, get_args
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from msgspec import Meta, Struct

from lexilog.errors import SettingsError
from lexilog.otlp.decode import BODY_KEYS
from lexilog.otlp.encode import Shape
from lexilog.relay.settings import (
    DeadLettersSettings,
    FileSettings,
    OtlpSettings,
    RelaySettings,
    Route,
    StdoutSettings,
)

__all__ = [
    "LEVELS",
    "SHAPES",
    "Doors",
    "ForwardDoorSettings",
    "GrpcDoorSettings",
    "HttpDoorSettings",
    "LogLevel",
    "Settings",
    "read_address",
    "read_relay",
    "read_zone",
]

LogLevel = Literal["debug", "info", "warning", "error"]
SHAPES: tuple[str, ...] = get_args(Shape)
LEVELS: tuple[str, ...] = get_args(LogLevel)

_Bytes = Annotated[int, Meta(ge=1024, le=2**31 - 1)]
_MEBIBYTE = 1024 * 1024
# An address in brackets, or a name or address whose labels DNS can hold.
_ADDRESS = re.compile(
    r"(?P<host>\[[0-9A-Fa-f:.]+\]|[^\s:/@\[\].]{1,63}(\.[^\s:/@\[\].]{1,63})*\.?):(?P<port>[0-9]{1,5})\Z"
)


class _Struct(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    pass


class GrpcDoorSettings(_Struct, frozen=True, kw_only=True):
    """The gRPC port: OTLP logs, EnrichService, health and reflection.

    Attributes:
        listen: host and port.
        max_receive_bytes: the largest message that is received, in bytes, after decompression.
    """

    listen: str = "127.0.0.1:4317"
    max_receive_bytes: _Bytes = 64 * _MEBIBYTE


class HttpDoorSettings(_Struct, frozen=True, kw_only=True):
    """The HTTP port: ``POST /v1/logs`` (OTLP/HTTP) and ``POST /v1/enrich``.

    Attributes:
        listen: host and port.
        max_receive_bytes: the largest body that is received, in bytes, after decompression.
    """

    listen: str = "127.0.0.1:4318"
    max_receive_bytes: _Bytes = 64 * _MEBIBYTE


class ForwardDoorSettings(_Struct, frozen=True, kw_only=True):
    """The port of the Fluent Forward protocol.

    Attributes:
        listen: host and port.
        max_receive_bytes: the largest message that is received, in bytes, after decompression.
        shared_key: the secret that senders must know.
    """

    listen: str = "127.0.0.1:24224"
    max_receive_bytes: _Bytes = 64 * _MEBIBYTE
    shared_key: Annotated[str, Meta(min_length=1)] | None = None


class Doors(_Struct, frozen=True, kw_only=True):
    """The doors that are open: those that are named."""

    grpc: GrpcDoorSettings | None = None
    http: HttpDoorSettings | None = None
    forward: ForwardDoorSettings | None = None


class Settings(_Struct, frozen=True, kw_only=True):
    """Settings of the server.

    Attributes:
        doors: where records come in.
        relays: where they go, by name; none for a server that only answers.
        routes: which go where; by default every record goes to every relay.
        dead_letters: where records are kept that a relay will never take.
        body_keys: where the line stands in a record that is a map.
        timezone: zone of times that name none, as an IANA name.
        catalogs: catalogue or overlay files, or directories of them, to know besides what is shipped.
        csv_columns: names of the columns of comma-separated lines.
        grace: how long requests in flight may take when the server stops, in seconds.
    """

    doors: Doors = Doors(grpc=GrpcDoorSettings())
    relays: dict[str, RelaySettings] = {}
    routes: tuple[Route, ...] = ()
    dead_letters: DeadLettersSettings | None = None
    body_keys: Annotated[tuple[str, ...], Meta(min_length=1)] = BODY_KEYS
    timezone: str = "UTC"
    catalogs: tuple[Path, ...] = ()
    csv_columns: tuple[str, ...] = ()
    grace: Annotated[float, Meta(ge=0, le=3600)] = 10.0


def read_address(text: str, what: str) -> tuple[str, int]:
    """Return host, without brackets, and port.

    Raises:
        SettingsError: the text is no address. It is not repeated where it may hold a password.
    """
    found = _ADDRESS.match(text)
    if not found or int(found["port"]) > 65535:
        shown = "this" if "@" in text else f"'{text}'"
        raise SettingsError(f"{what}: {shown} is no HOST:PORT, such as 127.0.0.1:4317 or [::1]:4317")
    return found["host"].strip("[]"), int(found["port"])


def read_zone(name: str) -> tzinfo:
    """Return a time zone by its IANA name.

    Raises:
        SettingsError: there is no such zone.
    """
    try:
        return UTC if name == "UTC" else ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise SettingsError(f"timezone: '{name}' is no IANA time zone, such as UTC or Europe/Berlin") from error


def read_relay(text: str, shape: Shape) -> RelaySettings:
    """Return the relay that a flag names.

    Raises:
        SettingsError: it names none that exists.
    """
    if text == "stdout":
        return StdoutSettings()
    kind, _, rest = text.partition(":")
    if kind == "file" and rest:
        return FileSettings(path=Path(rest))
    if kind == "otlp" and rest.startswith("//"):
        return OtlpSettings(endpoint=rest[2:], shape=shape)
    raise SettingsError(f"relay: '{text}' is none of otlp://HOST:PORT, file:PATH, stdout; others need a settings file")
