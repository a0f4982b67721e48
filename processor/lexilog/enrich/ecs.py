"""The fields of one record: the plan's constants, what the frame says, and the values of the line."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any, TypeVar

from lexilog.catalog.severity import FACILITIES, SEVERITIES
from lexilog.enrich.plan import Plan, Writer
from lexilog.enrich.values import LONG, address_family
from lexilog.model import Frame, Match, Quality, Record

__all__ = ["error_fields", "matched_fields", "unknown_fields"]

_T = TypeVar("_T")

_ENDS = ("source", "destination", "client", "server")
_ADDRESSES = ("lexilog.local.ip", "lexilog.remote.ip", "source.ip", "destination.ip", "client.ip", "server.ip")
_MICROSECOND = timedelta(microseconds=1)
# How many characters of a variable's name are kept; Elasticsearch refuses keys of a flattened field near 32 kB.
_LONGEST_NAME = 1024
_RELATED_HOSTS, _RELATED_IP, _RELATED_USER = "related.hosts", "related.ip", "related.user"


def matched_fields(record: Record, frame: Frame, match: Match, plan: Plan, now: datetime) -> dict[str, Any]:
    """Return the new fields of a recognised line, by dotted name (see the record contract)."""
    found: dict[str, Any] = {"@timestamp": frame.time or record.time or now, "message": frame.text or frame.body}
    found.update(plan.constant)
    found["event.original"] = record.line
    found["event.created"] = now
    if frame.time is not None:
        lag = (now - frame.time) // _MICROSECOND * 1000
        if lag in LONG:
            found["lexilog.lag"] = lag
    if record.id is not None:
        found["event.id"] = record.id
    found["lexilog.match.quality"] = match.quality.value
    if match.tail is not None:
        found["lexilog.match.tail"] = match.tail
    if frame.truncated:
        found["lexilog.match.truncated"] = True
    if match.candidates:
        # The line does not tell which of them it is, so it gets the code of none.
        found["lexilog.match.candidates"] = list(match.candidates)
        found.pop("event.code", None)
    if frame.level is not None and match.level is not None:
        # The line states its own; else the constant has the catalogue's.
        found["event.severity"] = match.level.code
        found["log.level"] = match.level.word.lower()
    _add_frame(found, frame)
    _add_values(found, match, plan)
    _add_device(found)
    _add_ends(found)
    _add_session(found)
    _add_related(found)
    return found


def unknown_fields(record: Record, now: datetime, frame: Frame | None = None) -> dict[str, Any]:
    """Return the new fields of a record that no entry knows: the line as it came, its id, and that nothing is known."""
    found: dict[str, Any] = {"@timestamp": (frame and frame.time) or record.time or now, "event.created": now}
    if record.line is not None:
        found["message"] = found["event.original"] = record.line
    if record.id is not None:
        found["event.id"] = record.id
    if frame is not None and frame.tag is not None:
        found["event.code"] = frame.tag
    if frame is not None and frame.hostname is not None:
        found["lexilog.observer"] = frame.hostname
    found["lexilog.match.quality"] = Quality.NONE.value
    return found


def error_fields(record: Record, now: datetime, problem: str) -> dict[str, Any]:
    """Return the new fields of a record whose processing failed."""
    return unknown_fields(record, now) | {"event.kind": "pipeline_error", "error.message": problem}


def _add_frame(found: dict[str, Any], frame: Frame) -> None:
    """Add what the header says. ``log.syslog`` comes from the header alone, and only where it states a priority."""
    provider = frame.component or frame.process
    if provider is not None:
        found["event.provider"] = provider
    if frame.process is not None:
        found["process.name"] = frame.process
    if frame.pid is not None:
        found["process.pid"] = frame.pid
    if frame.hostname is not None:
        if address_family(frame.hostname):
            found["observer.ip"] = [frame.hostname]
        else:
            found["observer.hostname"] = frame.hostname
    severity, facility = frame.severity, None
    if frame.pri is not None:
        found["log.syslog.priority"] = frame.pri
        facility, severity = divmod(frame.pri, 8)
    elif severity is None:
        return
    found["log.syslog.severity.code"] = severity
    found["log.syslog.severity.name"] = SEVERITIES[severity]
    name = FACILITIES[facility] if facility is not None else frame.facility
    code = facility if facility is not None else _facility_code(frame.facility)
    optional = {
        "log.syslog.facility.code": code,
        "log.syslog.facility.name": name,
        "log.syslog.version": str(frame.version) if frame.version is not None else None,
        "log.syslog.hostname": frame.hostname,
        "log.syslog.appname": frame.process,
        "log.syslog.procid": str(frame.pid) if frame.pid is not None else None,
        "log.syslog.msgid": frame.tag if frame.version is not None else None,
        "log.syslog.structured_data": _named(frame.elements) or None,
    }
    found.update((name, value) for name, value in optional.items() if value is not None)


def _named(elements: Mapping[str, Mapping[str, str]]) -> dict[str, dict[str, str]]:
    named = {name: _with_fit_names(dict(parameters)) for name, parameters in elements.items() if name and parameters}
    return _with_fit_names(named)


def _facility_code(name: str | None) -> int | None:
    return FACILITIES.index(name) if name in FACILITIES else None


def _add_values(found: dict[str, Any], match: Match, plan: Plan) -> None:
    for name, text in match.values.items():
        _write(found, plan.variable(name), text)
    for name, text in match.pairs.items():
        _write(found, plan.label(name), text)
    if match.values or match.pairs:
        found["lexilog.variables"] = _with_fit_names({**match.values, **match.pairs})


def _with_fit_names(values: dict[str, _T]) -> dict[str, _T]:
    """Return values under names that a flattened field takes: without NUL, and of a bounded length."""
    names = "".join(values)
    if len(names) <= _LONGEST_NAME and "\0" not in names:
        return values
    return {name[:_LONGEST_NAME].replace("\0", "\ufffd"): value for name, value in values.items()}


def _write(found: dict[str, Any], writers: tuple[Writer, ...], text: str) -> None:
    for field, convert, array, absent in writers:
        value = None if text in absent else convert(text)
        if value is None:
            continue
        if array:
            there = found.get(field, ())
            found[field] = there if value in there else [*there, value]
        else:
            found.setdefault(field, value)


def _add_device(found: dict[str, Any]) -> None:
    """Name the device in one field, however the line names it."""
    address = found.get("observer.ip", (None,))[0]
    device = found.get("observer.hostname") or address or found.get("observer.name")
    if device is not None:
        found["lexilog.observer"] = device


def _add_ends(found: dict[str, Any]) -> None:
    """Fill source and destination: the initiator is the source where the line tells the role, else the near end is."""
    role = found.get("lexilog.ike.role")
    near, far = ("destination", "source") if role == "responder" else ("source", "destination")
    ends = [("lexilog.local", near), ("lexilog.remote", far)]
    if role in ("initiator", "responder"):
        client, server = ("server", "client") if role == "responder" else ("client", "server")
        ends += [("lexilog.local", client), ("lexilog.remote", server)]
    for end, field in ends:
        address, port = found.get(f"{end}.ip"), found.get(f"{end}.port")
        if address is not None:
            found[f"{field}.ip"] = address
        if port is not None:
            found[f"{field}.port"] = port
    for field in _ENDS:
        if f"{field}.ip" in found:
            found[f"{field}.address"] = found[f"{field}.ip"]
    address = found.get("lexilog.remote.ip") or found.get("lexilog.local.ip") or found.get("source.ip")
    if address is not None:
        found["network.type"] = address_family(address)


def _add_session(found: dict[str, Any]) -> None:
    """Add when a session began and ended: it begins or ends with the event, and its duration tells the rest."""
    if "session" not in found["event.category"]:
        return
    when, duration = found["@timestamp"], found.get("event.duration")
    if "end" in found["event.type"]:
        found["event.end"] = when
        if duration is not None and (began := _earlier(when, duration)):
            found["event.start"] = began
    elif "start" in found["event.type"]:
        found["event.start"] = when


def _earlier(when: datetime, nanoseconds: int) -> datetime | None:
    try:
        return when - timedelta(microseconds=nanoseconds // 1000)
    except OverflowError:
        return None


def _add_related(found: dict[str, Any]) -> None:
    addresses = (found.get(name) for name in _ADDRESSES)
    _relate(found, _RELATED_IP, [*addresses, *found.get(_RELATED_IP, ()), *found.get("observer.ip", ())])
    _relate(found, _RELATED_HOSTS, [found.get("observer.hostname"), found.get("host.name")])
    _relate(found, _RELATED_USER, [found.get("user.name")])


def _relate(found: dict[str, Any], field: str, values: Iterable[Any]) -> None:
    unique = [value for value in dict.fromkeys(values) if value is not None]
    if unique:
        found[field] = unique
