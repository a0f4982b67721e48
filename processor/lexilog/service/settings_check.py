"""Finds settings that make no sense, in a file and in flags alike."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

from lexilog.errors import LexilogError, SettingsError
from lexilog.relay.settings import (
    ElasticsearchSettings,
    FileSettings,
    ForwardSettings,
    OtlpSettings,
    RelaySettings,
    SplunkHecSettings,
)
from lexilog.service.settings import (
    Doors,
    ForwardDoorSettings,
    GrpcDoorSettings,
    HttpDoorSettings,
    Settings,
    read_address,
    read_zone,
)

__all__ = ["Fail", "check_settings"]

_Address = tuple[str, int]


class Fail(Protocol):
    """Makes an error of a problem, and of the path of the value that it is about."""

    def __call__(self, problem: str, /, *path: str | int) -> LexilogError:
        """Return the error."""
        ...


def check_settings(settings: Settings, fail: Fail | None = None) -> None:
    """Find what makes no sense, without looking at anything but the settings.

    Args:
        settings: the settings.
        fail: makes an error of a problem and the path of the value that it is about.

    Raises:
        SettingsError: the first such thing.
    """
    fail = fail or _fail
    listens = _check_doors(settings, fail)
    files: dict[Path, str] = {}
    for name, relay in settings.relays.items():
        if not name:
            raise fail("a relay has no name", "relays", name)
        _check_relay(name, relay, listens, fail)
        if isinstance(relay, FileSettings) and (other := files.setdefault(relay.path.resolve(), name)) != name:
            raise fail(f"relay {name}: relay {other} writes to this file already", "relays", name, "path")
        if relay.required and not settings.dead_letters and _needs_dead_letters(relay, settings.doors):
            raise fail(
                f"relay {name} can refuse single records for good, and not every sender can be told: say where they "
                "are kept, with dead_letters",
                "relays",
                name,
            )
    _check_routes(settings, fail)
    try:
        read_zone(settings.timezone)
    except SettingsError as error:
        raise fail(str(error), "timezone") from error


def _fail(problem: str, /, *path: str | int) -> SettingsError:
    return SettingsError(problem)


def _needs_dead_letters(relay: RelaySettings, doors: Doors) -> bool:
    """Tell whether a record that the relay will never take would be gone: OTLP senders are told, Forward has no way."""
    if isinstance(relay, ElasticsearchSettings | SplunkHecSettings):
        return True
    return doors.forward is not None and isinstance(relay, OtlpSettings | ForwardSettings)


def _check_doors(settings: Settings, fail: Fail) -> list[_Address]:
    doors = settings.doors
    listens: list[_Address] = []
    for name in ("grpc", "http", "forward"):
        door: GrpcDoorSettings | HttpDoorSettings | ForwardDoorSettings | None = getattr(doors, name)
        if door is None:
            continue
        where = ("doors", name, "listen")
        address = _read_address(door.listen, "listen", where, fail)
        if address[1] and any(_is_same(address, other) for other in listens):
            raise fail(f"listen: {door.listen} is the address of another door", *where)
        listens.append(address)
    if not listens:
        raise fail("no door is open: name one or more of grpc, http, forward, such as 'grpc: {}'", "doors")
    if doors.forward and not settings.relays:
        raise fail("the forward door has nowhere to hand records to: name a relay", "doors", "forward")
    return listens


def _check_relay(name: str, relay: RelaySettings, listens: list[_Address], fail: Fail) -> None:
    where: tuple[str | int, ...] = ("relays", name)
    if isinstance(relay, ForwardSettings) or (isinstance(relay, OtlpSettings) and relay.protocol == "grpc"):
        where = (*where, "endpoint")
        addresses = [_read_address(relay.endpoint, f"relay {name}", where, fail)]
    elif isinstance(relay, OtlpSettings):
        where = (*where, "endpoint")
        addresses = [_read_url(relay.endpoint, f"relay {name}", where, fail)]
    elif isinstance(relay, ElasticsearchSettings):
        if (relay.username is None) != (relay.password is None):
            raise fail(f"relay {name}: username and password are needed together", *where)
        if relay.api_key is not None and relay.username is not None:
            raise fail(f"relay {name}: either api_key or username and password, not both", *where, "api_key")
        where = (*where, "urls")
        addresses = [_read_url(url, f"relay {name}", (*where, n), fail) for n, url in enumerate(relay.urls)]
    elif isinstance(relay, SplunkHecSettings):
        where = (*where, "url")
        addresses = [_read_url(relay.url, f"relay {name}", where, fail)]
    else:
        if isinstance(relay, FileSettings) and relay.keep and relay.rotate_bytes is None:
            raise fail(f"relay {name}: keep is of use with rotate_bytes alone", *where, "keep")
        return
    for address in addresses:
        if not address[1]:
            raise fail(f"relay {name}: port 0 is none to send to", *where)
        if any(_is_same(address, listen) for listen in listens):
            problem = f"relay {name}: this is where lexilog itself listens: records would go round in a loop"
            raise fail(problem, *where)


def _read_address(text: str, what: str, where: tuple[str | int, ...], fail: Fail) -> _Address:
    try:
        return read_address(text, what)
    except SettingsError as error:
        raise fail(str(error), *where) from error


def _read_url(text: str, what: str, where: tuple[str | int, ...], fail: Fail) -> _Address:
    """Return the address that a URL leads to. What is wrong is not repeated in the error: it may hold a password."""
    try:
        url = urlsplit(text)
        host, port, is_sound = url.hostname, url.port, url.scheme in ("http", "https")
    except ValueError:
        host, port, is_sound = None, None, False
    if not is_sound or not host:
        raise fail(f"{what}: this is no URL, such as https://HOST:PORT", *where)
    if "@" in url.netloc:
        raise fail(f"{what}: a URL holds no user and password here: they have settings of their own", *where)
    return host, (443 if url.scheme == "https" else 80) if port is None else port


def _check_routes(settings: Settings, fail: Fail) -> None:
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


def _is_same(one: _Address, other: _Address) -> bool:
    """Tell whether two addresses lead to the same socket; 0.0.0.0 and [::] are every address of this machine."""
    return one[1] == other[1] and bool(set(_hosts(one[0])) & set(_hosts(other[0])))


def _hosts(name: str) -> Iterator[str]:
    try:
        found = {str(info[4][0]) for info in socket.getaddrinfo(name, None)}
    except (OSError, UnicodeError):
        found = {name}
    yield from found
    if found & {"0.0.0.0", "::"}:  # noqa: S104 (nothing is bound here)
        yield from ("127.0.0.1", "::1")
