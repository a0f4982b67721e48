"""What `lexilog serve` can be told: doors, relays, routes, and what is known.

One YAML file says all of it (docs/serve.md). `load_settings` reads it; `check_settings` finds what makes no sense, in a
file and in flags alike.
"""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Callable, Iterator
from datetime import UTC, tzinfo
from pathlib import Path
from typing import Annotated, Any, Literal, get_args
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from msgspec import Meta, Struct, structs

from lexilog.errors import LexilogError, SettingsError
from lexilog.otlp.decode import BODY_KEYS
from lexilog.otlp.encode import Shape
from lexilog.relay.settings import (
    RELAYS,
    DeadLettersSettings,
    ElasticsearchSettings,
    FileSettings,
    ForwardSettings,
    OtlpSettings,
    RelaySettings,
    Route,
    SplunkHecSettings,
    StdoutSettings,
)
from lexilog.yaml_document import Document

__all__ = [
    "LEVELS",
    "SHAPES",
    "Doors",
    "ForwardDoorSettings",
    "GrpcDoorSettings",
    "HttpDoorSettings",
    "LogLevel",
    "Settings",
    "check_settings",
    "load_settings",
    "read_address",
    "read_relay",
    "read_zone",
]

LogLevel = Literal["debug", "info", "warning", "error"]
SHAPES: tuple[str, ...] = get_args(Shape)
LEVELS: tuple[str, ...] = get_args(LogLevel)

_Bytes = Annotated[int, Meta(ge=1024, le=2**31 - 1)]
# Of a relay: the error for what is wrong with it, and where that stands.
_Fail = Callable[..., LexilogError]
_MEBIBYTE = 1024 * 1024
_ADDRESS = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]+\]|[^\s:/\[\]]+):(?P<port>\d{1,5})\Z")
_VARIABLE = re.compile(r"\$(\$\{|\{(\w+)\})")


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
    body_keys: tuple[str, ...] = BODY_KEYS
    timezone: str = "UTC"
    catalogs: tuple[Path, ...] = ()
    csv_columns: tuple[str, ...] = ()
    grace: Annotated[float, Meta(ge=0, le=3600)] = 10.0


def load_settings(path: Path) -> Settings:
    """Return the settings that a file holds.

    ``${NAME}`` in a text stands for an environment variable; ``$${`` for ``${`` itself. Relative paths start at the
    folder of the file.

    Raises:
        SettingsError: the file cannot be read, or makes no sense; the error names line and column.
    """

    def fail(path: Path, line: int, column: int, problem: str) -> SettingsError:
        return SettingsError(f"{path}:{line}:{column}: {problem}")

    document = Document(path, failure=fail)
    document.data = _expand(document.data, (), document.error)
    if isinstance(document.data, dict) and isinstance(doors := document.data.get("doors"), dict):
        # A door that is named is open, also where nothing else is said of it: `grpc:`.
        document.data["doors"] = {name: {} if door is None else door for name, door in doors.items()}
    settings = _convert(document)
    check_settings(settings, document.error)
    return settings


def _convert(document: Document) -> Settings:
    base = document.path.parent
    relays: dict[str, RelaySettings] = {}
    raw = document.data.get("relays") if isinstance(document.data, dict) else None
    for name, item in raw.items() if isinstance(raw, dict) else ():
        kind = item.get("type") if isinstance(item, dict) else None
        if kind not in RELAYS:
            problem = f"relay {name}: 'type' is to be one of {', '.join(RELAYS)}"
            raise document.error(problem, "relays", name, "type")
        relays[name] = document.convert(RELAYS[kind], "relays", name, base=base)
    settings = document.convert(Settings, base=base)
    return structs.replace(settings, relays=relays)


def _expand(value: Any, path: tuple[str | int, ...], fail: _Fail) -> Any:
    """Put the environment's values into every text."""

    def put(found: re.Match[str]) -> str:
        if not found[2]:
            return "${"
        if found[2] not in os.environ:
            raise fail(f"the environment variable {found[2]} is not set; for a literal '${{' write '$${{'", *path)
        return os.environ[found[2]]

    if isinstance(value, dict):
        return {key: _expand(item, (*path, key), fail) for key, item in value.items()}
    if isinstance(value, list):
        return [_expand(item, (*path, index), fail) for index, item in enumerate(value)]
    return _VARIABLE.sub(put, value) if isinstance(value, str) else value


def check_settings(settings: Settings, fail: _Fail | None = None) -> None:
    """Find what makes no sense, without looking at anything but the settings.

    Args:
        settings: the settings.
        fail: makes an error of a problem and the path of the value that it is about.

    Raises:
        SettingsError: the first such thing.
    """
    fail = fail or _fail
    listens = _check_doors(settings, fail)
    for name, relay in settings.relays.items():
        _check_relay(name, relay, listens, fail)
        refuses = isinstance(relay, ElasticsearchSettings | SplunkHecSettings)
        if refuses and relay.required and not settings.dead_letters:
            problem = f"relay {name} can refuse single records for good: say where they are kept, with dead_letters"
            raise fail(problem, "relays", name)
    _check_routes(settings, fail)
    try:
        read_zone(settings.timezone)
    except SettingsError as error:
        raise fail(str(error), "timezone") from error


def _fail(problem: str, *path: str | int) -> SettingsError:
    return SettingsError(problem)


def _check_doors(settings: Settings, fail: _Fail) -> list[str]:
    doors = settings.doors
    listens: list[str] = []
    for name in ("grpc", "http", "forward"):
        door: GrpcDoorSettings | HttpDoorSettings | ForwardDoorSettings | None = getattr(doors, name)
        if door is None:
            continue
        try:
            _, port = read_address(door.listen, "listen")
        except SettingsError as error:
            raise fail(str(error), "doors", name, "listen") from error
        if port and any(_is_same(door.listen, other) for other in listens):
            raise fail(f"listen: {door.listen} is the address of another door", "doors", name, "listen")
        listens.append(door.listen)
    if not listens:
        raise fail("no door is open: name one or more of grpc, http, forward, such as 'grpc: {}'", "doors")
    if doors.forward and not settings.relays:
        raise fail("the forward door has nowhere to hand records to: name a relay", "doors", "forward")
    return listens


def _check_relay(name: str, relay: RelaySettings, listens: list[str], fail: _Fail) -> None:
    where = ("relays", name)
    if isinstance(relay, ForwardSettings) or (isinstance(relay, OtlpSettings) and relay.protocol == "grpc"):
        try:
            _, port = read_address(relay.endpoint, f"relay {name}")
        except SettingsError as error:
            raise fail(str(error), *where, "endpoint") from error
        if not port:
            raise fail(f"relay {name}: {relay.endpoint}: port 0 is none to send to", *where, "endpoint")
        addresses = [relay.endpoint]
    elif isinstance(relay, OtlpSettings):
        addresses = [_read_url(relay.endpoint, (*where, "endpoint"), fail)]
    elif isinstance(relay, ElasticsearchSettings):
        addresses = [_read_url(url, (*where, "urls", index), fail) for index, url in enumerate(relay.urls)]
        if (relay.username is None) != (relay.password is None):
            raise fail(f"relay {name}: username and password are needed together", *where)
        if relay.api_key is not None and relay.username is not None:
            raise fail(f"relay {name}: either api_key or username and password, not both", *where, "api_key")
    elif isinstance(relay, SplunkHecSettings):
        addresses = [_read_url(relay.url, (*where, "url"), fail)]
    else:
        addresses = []
    for address in addresses:
        if any(_is_same(address, listen) for listen in listens):
            problem = f"relay {name}: {address} is where lexilog itself listens: records would go round in a loop"
            raise fail(problem, *where)


def _read_url(text: str, where: tuple[str | int, ...], fail: _Fail) -> str:
    """Return the address that a URL leads to."""
    try:
        url = urlsplit(text)
        host, port = url.hostname, url.port
    except ValueError:
        url, host, port = urlsplit(""), None, None
    if url.scheme not in ("http", "https") or not host:
        raise fail(f"'{text}' is no URL, such as https://HOST:PORT", *where)
    if url.username is not None:
        raise fail("a URL holds no user and password here: they have settings of their own", *where)
    host = f"[{host}]" if ":" in host else host
    return f"{host}:{port or (443 if url.scheme == 'https' else 80)}"


def _check_routes(settings: Settings, fail: _Fail) -> None:
    if not settings.routes:
        if settings.relays and not any(relay.required for relay in settings.relays.values()):
            raise fail("no relay is required: an answer of OK would promise nothing", "relays")
        return
    for number, route in enumerate(settings.routes):
        for place, name in enumerate(route.to):
            if name not in settings.relays:
                known = ", ".join(settings.relays) or "none"
                raise fail(f"there is no relay '{name}'; there are: {known}", "routes", number, "to", place)
        if not any(settings.relays[name].required for name in route.to):
            raise fail("none of these relays is required: an answer of OK would promise nothing", "routes", number)
        last = number == len(settings.routes) - 1
        if route.takes_all and not last:
            raise fail("every record fits here, so the routes below are never reached", "routes", number)
        if last and not route.takes_all:
            problem = "records that fit no route would have nowhere to go: end with a route that has only 'to'"
            raise fail(problem, "routes", number)
    named = {name for route in settings.routes for name in route.to}
    for name in settings.relays:
        if name not in named:
            raise fail(f"no route leads to relay '{name}'", "relays", name)


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


def _is_same(one: str, other: str) -> bool:
    """Tell whether two addresses lead to the same socket; 0.0.0.0 and [::] are every address of this machine."""
    (host, port), (other_host, other_port) = read_address(one, "relay"), read_address(other, "listen")
    return port == other_port and bool(set(_addresses(host)) & set(_addresses(other_host)))


def _addresses(host: str) -> Iterator[str]:
    try:
        found = {str(info[4][0]) for info in socket.getaddrinfo(host.strip("[]"), None)}
    except OSError:
        found = {host}
    yield from found
    if found & {"0.0.0.0", "::"}:  # noqa: S104 (nothing is bound here)
        yield from ("127.0.0.1", "::1")
