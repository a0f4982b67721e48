"""What `lexilog serve` can be told."""

from __future__ import annotations

import re
import socket
from datetime import UTC, tzinfo
from pathlib import Path
from typing import Literal, get_args
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from lexilog.errors import SettingsError
from lexilog.otlp.decode import BODY_KEYS
from lexilog.otlp.encode import AttributeStyle, Shape
from lexilog.relay import Relay
from lexilog.relay.file import FileRelay, StdoutRelay
from lexilog.relay.otlp import OtlpRelay

__all__ = ["LogLevel", "Settings", "make_relay", "read_address", "read_zone"]

LogLevel = Literal["debug", "info", "warning", "error"]

_ADDRESS = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]+\]|[^\s:/\[\]]+):(?P<port>\d{1,5})\Z")


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Settings of the server.

    Attributes:
        listen: host and port of the gRPC server.
        relay: where enriched records go: ``otlp://HOST:PORT``, ``file:PATH`` or ``stdout``; None for a server that
            only answers EnrichService.
        shape: record shape of the OTLP relay, ``document`` or ``attributes``.
        attributes: names of attributes in that shape, ``dotted`` or ``nested``.
        body_keys: where the line stands when a body is a map.
        max_receive_bytes: the largest message that is received, in bytes, after decompression.
        relay_max_bytes: the largest request that the OTLP relay sends, in bytes.
        relay_timeout: how long the next hop may take for a request, in seconds.
        timezone: zone of times that name none, as an IANA name.
        catalogs: catalogue or overlay files, or directories of them, to know besides what is shipped.
        csv_columns: names of the columns of comma-separated lines.
        grace: how long requests in flight may take when the server stops, in seconds.
    """

    listen: str = "127.0.0.1:4317"
    relay: str | None = None
    shape: Shape = "document"
    attributes: AttributeStyle = "dotted"
    body_keys: tuple[str, ...] = BODY_KEYS
    max_receive_bytes: int = 64 * 1024 * 1024
    relay_max_bytes: int = 4_000_000
    relay_timeout: float = 10.0
    timezone: str = "UTC"
    catalogs: tuple[Path, ...] = ()
    csv_columns: tuple[str, ...] = ()
    grace: float = 10.0


def read_address(text: str, what: str) -> tuple[str, int]:
    """Return host and port.

    Raises:
        SettingsError: the text is no address.
    """
    found = _ADDRESS.match(text)
    if not found or int(found["port"]) > 65535:
        raise SettingsError(f"{what}: '{text}' is no HOST:PORT, such as 127.0.0.1:4317 or [::1]:4317")
    return found["host"], int(found["port"])


def read_zone(name: str) -> tzinfo:
    """Return a time zone by its IANA name.

    Raises:
        SettingsError: there is no such zone.
    """
    try:
        return UTC if name == "UTC" else ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise SettingsError(f"timezone: '{name}' is no IANA time zone, such as UTC or Europe/Berlin") from error


def _is_same(one: str, other: str) -> bool:
    """Tell whether two addresses lead to the same socket; 0.0.0.0 and [::] are every address of this machine."""
    (host, port), (other_host, other_port) = read_address(one, "relay"), read_address(other, "listen")
    return port == other_port and bool(_addresses(host) & _addresses(other_host))


def _addresses(host: str) -> set[str]:
    try:
        found = {str(info[4][0]) for info in socket.getaddrinfo(host.strip("[]"), None)}
    except OSError:
        found = {host}
    return found | {"127.0.0.1", "::1"} if found & {"0.0.0.0", "::"} else found  # noqa: S104 (nothing is bound here)


def make_relay(settings: Settings) -> Relay | None:
    """Return the relay that the settings name.

    Raises:
        SettingsError: they name none that exists.
    """
    text = settings.relay
    if text is None:
        return None
    if text == "stdout":
        return StdoutRelay()
    kind, _, rest = text.partition(":")
    if kind == "file" and rest:
        return FileRelay(Path(rest))
    if kind == "otlp" and rest.startswith("//"):
        host, port = read_address(rest[2:], "relay")
        if not port:
            raise SettingsError(f"relay: {text}: port 0 is none to send to")
        if _is_same(f"{host}:{port}", settings.listen):
            raise SettingsError(f"relay: {text} is where lexilog itself listens: records would go round in a loop")
        return OtlpRelay(
            f"{host}:{port}",
            shape=settings.shape,
            style=settings.attributes,
            max_bytes=settings.relay_max_bytes,
            timeout=settings.relay_timeout,
        )
    raise SettingsError(f"relay: '{text}' is none of otlp://HOST:PORT, file:PATH, stdout")


SHAPES: tuple[str, ...] = get_args(Shape)
STYLES: tuple[str, ...] = get_args(AttributeStyle)
LEVELS: tuple[str, ...] = get_args(LogLevel)
