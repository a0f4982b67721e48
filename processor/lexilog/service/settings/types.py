"""What `lexilog serve` can be told: doors, relays, routes, and what is known.

One YAML file says all of it (docs/serve.md); `file` reads it, and `check` finds what makes no sense.
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
    SecretText,
    StdoutSettings,
)

__all__ = [
    "LEVELS",
    "SHAPES",
    "DoorSettings",
    "Doors",
    "ForwardDoorSettings",
    "GrpcDoorSettings",
    "HttpDoorSettings",
    "LogLevel",
    "LogSettings",
    "MetricsSettings",
    "RequestDoorSettings",
    "Settings",
    "TlsSettings",
    "TracesSettings",
    "read_address",
    "read_relay",
    "read_zone",
]

LogLevel = Literal["debug", "info", "warning", "error"]
SHAPES: tuple[str, ...] = get_args(Shape)
LEVELS: tuple[str, ...] = get_args(LogLevel)

_Bytes = Annotated[int, Meta(ge=1024, le=2**31 - 1)]
_Count = Annotated[int, Meta(ge=1, le=10_000_000)]
# Shorter ones can be guessed.
_Token = Annotated[str, Meta(min_length=16, extra={"secret": True})]
_MEBIBYTE = 1024 * 1024
# An address in brackets, or a name or address whose labels DNS can hold.
_ADDRESS = re.compile(
    r"(?P<host>\[[0-9A-Fa-f:.]+\]|[^\s:/@\[\].]{1,63}(\.[^\s:/@\[\].]{1,63})*\.?):(?P<port>[0-9]{1,5})\Z"
)


class _Struct(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    pass


class TlsSettings(_Struct, frozen=True, kw_only=True):
    """How a door encrypts, and whom it lets in. The files are read again when they change.

    Attributes:
        cert_file: the server's certificate and those between it and the root, in PEM.
        key_file: its private key, in PEM, not encrypted.
        client_ca_file: certificates of whoever signs those of clients, in PEM; a client without one is not let in.
    """

    cert_file: Path
    key_file: Path
    client_ca_file: Path | None = None


class DoorSettings(_Struct, frozen=True, kw_only=True):
    """What every door can be told.

    Attributes:
        listen: host and port.
        tls: encryption; None for plain text.
        allow_unprotected: open the door to other machines even without TLS and without a secret.
        max_receive_bytes: the largest message, in bytes, before and after decompression.
        max_records: how many records a message may hold.
        max_connections: how many connections may be open at once, of each worker.
        max_connections_per_host: how many of them may come from one address.
    """

    listen: str
    tls: TlsSettings | None = None
    allow_unprotected: bool = False
    max_receive_bytes: _Bytes = 64 * _MEBIBYTE
    max_records: _Count = 100_000
    max_connections: _Count = 1_000
    max_connections_per_host: _Count = 250

    @property
    def has_secret(self) -> bool:
        """Tell whether a client has to know or to have something."""
        return self.tls is not None and self.tls.client_ca_file is not None


class RequestDoorSettings(DoorSettings, frozen=True, kw_only=True):
    """What doors can be told that answer requests.

    Attributes:
        tokens: secrets one of which each request has to bring, as ``Authorization: Bearer`` or ``X-API-Key``.
        tokens_file: a file of such secrets, one in a line; ``#`` begins a comment. It is read again when it changes.
        max_requests: how many requests may be under way at once, of each worker.
    """

    tokens: tuple[_Token, ...] = ()
    tokens_file: Path | None = None
    max_requests: _Count = 64

    @property
    def has_secret(self) -> bool:
        """Tell whether a client has to know or to have something."""
        return bool(self.tokens) or self.tokens_file is not None or super().has_secret


class GrpcDoorSettings(RequestDoorSettings, frozen=True, kw_only=True):
    """The gRPC port: OTLP logs, EnrichService, health and reflection.

    Attributes:
        max_connection_age: how long a connection lasts before its client is asked to make a new one, in seconds; 0 for
            ever. So clients spread over workers, and behind a load balancer, that have come since.
    """

    listen: str = "127.0.0.1:4317"
    max_connection_age: Annotated[float, Meta(ge=0, le=86_400)] = 0.0


class HttpDoorSettings(RequestDoorSettings, frozen=True, kw_only=True):
    """The HTTP port: ``POST /v1/logs`` (OTLP/HTTP) and ``POST /v1/enrich``."""

    listen: str = "127.0.0.1:4318"


class ForwardDoorSettings(DoorSettings, frozen=True, kw_only=True):
    """The port of the Fluent Forward protocol.

    Attributes:
        shared_key: the secret that senders must know.
    """

    listen: str = "127.0.0.1:24224"
    # Fluentd's chunks are large, and it cannot cut one that is refused.
    max_records: _Count = 1_000_000
    shared_key: SecretText | None = None

    @property
    def has_secret(self) -> bool:
        """Tell whether a client has to know or to have something."""
        return self.shared_key is not None or super().has_secret


class MetricsSettings(_Struct, frozen=True, kw_only=True):
    """The port of metrics (``/metrics``) and health (``/healthz``, ``/readyz``), in plain HTTP.

    Attributes:
        listen: host and port.
    """

    listen: str = "127.0.0.1:9464"


class LogSettings(_Struct, frozen=True, kw_only=True):
    """The server's own log, on standard error.

    Attributes:
        level: what is logged: this and what is worse.
        format: lines of text, or one JSON object per line.
    """

    level: LogLevel = "info"
    format: Literal["text", "json"] = "text"


class TracesSettings(_Struct, frozen=True, kw_only=True):
    """OpenTelemetry traces; they need the extra ``traces``.

    Attributes:
        endpoint: an OTLP/gRPC receiver of traces, as a URL; http is plain, https is TLS.
        ratio: how many of the requests that bring no decision of their own are traced, from 0 to 1.
    """

    endpoint: Annotated[str, Meta(min_length=1)]
    ratio: Annotated[float, Meta(ge=0, le=1)] = 0.01


class Doors(_Struct, frozen=True, kw_only=True):
    """The doors that are open: those that are named."""

    grpc: GrpcDoorSettings | None = None
    http: HttpDoorSettings | None = None
    forward: ForwardDoorSettings | None = None

    def open(self) -> dict[str, GrpcDoorSettings | HttpDoorSettings | ForwardDoorSettings]:
        """Return those that are open, by name."""
        named = {"grpc": self.grpc, "http": self.http, "forward": self.forward}
        return {name: door for name, door in named.items() if door is not None}


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
        max_line_length: the longest line that is looked at, in characters; a longer one passes as it came.
        max_pending_bytes: how much of requests may wait or be in work at once, in bytes, of each worker.
        grace: how long requests in flight may take when the server stops, in seconds.
        workers: how many processes serve the doors.
        reload_seconds: how often to look whether catalogues, certificates or files of tokens have changed, in seconds;
            0 for only when SIGHUP says so.
        metrics: the port of metrics and health; None for none.
        log: the server's own log.
        traces: OpenTelemetry traces; None for none.
    """

    doors: Doors = Doors(grpc=GrpcDoorSettings())
    relays: dict[str, RelaySettings] = {}
    routes: tuple[Route, ...] = ()
    dead_letters: DeadLettersSettings | None = None
    body_keys: Annotated[tuple[str, ...], Meta(min_length=1)] = BODY_KEYS
    timezone: str = "UTC"
    catalogs: tuple[Path, ...] = ()
    csv_columns: tuple[str, ...] = ()
    max_line_length: Annotated[int, Meta(ge=256)] = 65_536
    max_pending_bytes: Annotated[int, Meta(ge=_MEBIBYTE)] = 256 * _MEBIBYTE
    grace: Annotated[float, Meta(ge=0, le=3600)] = 10.0
    workers: Annotated[int, Meta(ge=1, le=256)] = 1
    reload_seconds: Annotated[float, Meta(ge=0, le=86_400)] = 10.0
    metrics: MetricsSettings | None = None
    log: LogSettings = LogSettings()
    traces: TracesSettings | None = None


def read_address(text: str, what: str) -> tuple[str, int]:
    """Return host, without brackets, and port.

    Raises:
        SettingsError: the text is no address. It is not repeated where it may hold a password or a token.
    """
    found = _ADDRESS.match(text)
    if not found or int(found["port"]) > 65535:
        raise SettingsError(f"{what}: {_shown(text)} is no HOST:PORT, such as 127.0.0.1:4317 or [::1]:4317")
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
    problem = f"{_shown(text)} is none of otlp://HOST:PORT, file:PATH, stdout; others need a settings file"
    raise SettingsError(f"relay: {problem}")


def _shown(text: str) -> str:
    """Return how an error calls a text that is no address: a URL holds a password before @, or a token behind ?."""
    return "this" if "@" in text or "?" in text else f"'{text}'"
