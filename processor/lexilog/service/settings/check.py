"""Finds settings that make no sense, whichever layer they come from."""

from __future__ import annotations

import ipaddress
from pathlib import Path

from lexilog.errors import SettingsError
from lexilog.framing.csv_export import columns_of
from lexilog.relay.settings import (
    ElasticsearchSettings,
    FileSettings,
    ForwardSettings,
    OtlpSettings,
    RelaySettings,
    SplunkHecSettings,
    StdoutSettings,
)
from lexilog.service.settings import Doors, DoorSettings, ForwardDoorSettings, Settings, read_zone
from lexilog.service.settings.addresses import Address, hosts_of, is_same, read_host_and_port, read_url
from lexilog.service.settings.check_relay import check_relay
from lexilog.yaml_document import Fail

__all__ = ["check_settings"]

# As of tokens, where there is no certificate to have as well.
_SHORTEST_KEY = 16


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
    _check_metrics(settings, listens, fail)
    _check_relays(settings, listens, fail)
    _check_routes(settings, fail)
    try:
        read_zone(settings.timezone)
    except SettingsError as error:
        raise fail(str(error), "timezone") from error
    if settings.csv_columns and columns_of(",".join(settings.csv_columns)) is None:
        problem = "these name no time (TIMESTAMP), or neither INFO_MSG nor SITUATION: use the export's own names"
        raise fail(f"csv_columns: {problem}", "csv_columns")


def _fail(problem: str, /, *path: str | int) -> SettingsError:
    return SettingsError(problem)


def _check_doors(settings: Settings, fail: Fail) -> list[Address]:
    doors = settings.doors
    listens: list[Address] = []
    for name, door in doors.open().items():
        where = ("doors", name, "listen")
        address = read_host_and_port(door.listen, "listen", where, fail)
        if address[1] and any(is_same(address, other) for other in listens):
            raise fail(f"listen: {door.listen} is the address of another door", *where)
        listens.append(address)
        _check_protection(name, door, address[0], fail)
        if door.max_receive_bytes > settings.max_pending_bytes:
            problem = f"max_receive_bytes: {door.max_receive_bytes} is more than max_pending_bytes"
            why = f"({settings.max_pending_bytes}): such a message could be taken only while nothing else is in work"
            raise fail(f"{problem} {why}", "doors", name, "max_receive_bytes")
    if not listens:
        raise fail("no door is open: name one or more of grpc, http, forward, such as 'grpc: {}'", "doors")
    if doors.forward and not settings.relays:
        raise fail("the forward door has nowhere to hand records to: name a relay", "doors", "forward")
    return listens


def _check_protection(name: str, door: DoorSettings, host: str, fail: Fail) -> None:
    """Refuse a door through which whoever can reach it may send."""
    if door.allow_unprotected or _is_loopback(host):
        return
    if not door.tls and not door.has_secret:
        secret = "a shared_key" if name == "forward" else "tokens"
        raise fail(
            f"listen: {door.listen} can be reached from other machines, and the door has neither tls nor {secret}: "
            f"give it one of them, or say 'allow_unprotected: true' under doors.{name}",
            *("doors", name, "listen"),
        )
    key = door.shared_key if isinstance(door, ForwardDoorSettings) else None
    if key is not None and len(key) < _SHORTEST_KEY and not (door.tls and door.tls.client_ca_file):
        problem = f"shared_key: {door.listen} can be reached from other machines, and the key can be guessed"
        raise fail(f"{problem}: take {_SHORTEST_KEY} or more characters", "doors", name, "shared_key")


def _is_loopback(host: str) -> bool:
    """Tell whether only this machine can reach an address, or each of those that a name stands for."""
    try:
        addresses = [ipaddress.ip_address(one) for one in hosts_of(host)]
    except ValueError:
        # The name stands for no address now; it may later.
        return False
    return all((getattr(one, "ipv4_mapped", None) or one).is_loopback for one in addresses)


def _check_metrics(settings: Settings, listens: list[Address], fail: Fail) -> None:
    if settings.metrics:
        where = ("metrics", "listen")
        address = read_host_and_port(settings.metrics.listen, "listen", where, fail)
        if address[1] and any(is_same(address, listen) for listen in listens):
            raise fail(f"listen: {settings.metrics.listen} is the address of a door: metrics need their own", *where)
    if settings.traces:
        where = ("traces", "endpoint")
        if not read_url(settings.traces.endpoint, "traces", where, fail)[1]:
            raise fail("traces: port 0 is none to send to", *where)


def _check_relays(settings: Settings, listens: list[Address], fail: Fail) -> None:
    files: dict[Path, str] = {}
    for name, relay in settings.relays.items():
        if not name:
            raise fail("a relay has no name", "relays", name)
        check_relay(name, relay, listens, fail)
        if isinstance(relay, FileSettings) and (other := files.setdefault(relay.path.resolve(), name)) != name:
            raise fail(f"relay {name}: relay {other} writes to this file already", "relays", name, "path")
        if isinstance(relay, StdoutSettings) and settings.workers > 1:
            problem = f"the lines of {settings.workers} workers would mix: take one worker, or another relay"
            raise fail(f"relay {name}: {problem}", "relays", name)
        if relay.required and not settings.dead_letters and _needs_dead_letters(relay, settings.doors):
            raise fail(
                f"relay {name} can refuse single records for good, and not every sender can be told: say where they "
                "are kept, with dead_letters",
                "relays",
                name,
            )


def _needs_dead_letters(relay: RelaySettings, doors: Doors) -> bool:
    """Tell whether a record that the relay will never take would be gone: OTLP senders are told, Forward has no way."""
    if isinstance(relay, ElasticsearchSettings | SplunkHecSettings):
        return True
    return doors.forward is not None and isinstance(relay, OtlpSettings | ForwardSettings)


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
