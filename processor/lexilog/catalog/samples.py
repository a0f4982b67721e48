"""Lines made from a catalogue: each entry's text with sample values, in each wrapping that the entry may come in.

They serve to count what is recognised (`lexilog.catalog.coverage`), and wherever lines of every kind are needed and no
device is at hand. Hosts and addresses are those that RFC 2606 and RFC 5737 keep for documents.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

import msgspec

from lexilog.model import Entry

__all__ = ["SAMPLE_VALUES", "Sample", "samples"]

# A value of each type of variable.
SAMPLE_VALUES = {
    "address": "198.51.100.7",
    "boolean": "true",
    "credential": "token",
    "identity": "ipv4(udp:500,[0..3]=192.0.2.1)",
    "integer": "42",
    "name": "site_7.main-a",
    "port": "4500",
    "role": "responder",
    "seconds": "437",
    "selector": "ipv4_subnet(any:0,[0..7]=10.0.0.0/8)",
    "text": "no route to host",
}

_SPECIAL, _BACKSLASH = re.compile(r'(["\\\]])'), r"\\\1"
_VARIABLE = re.compile(r"\{\{|\}\}|\{([^{}]+)\}")


class Sample(NamedTuple):
    """One line, the kind of wrapping that it is in, the values of its variables, and the columns of its table."""

    frame: str
    line: str
    values: dict[str, str]
    columns: tuple[str, ...] = ()


def samples(entry: Entry) -> Iterator[Sample]:
    """Yield a line of an entry in each of its wrappings."""
    text, values = _filled(entry, entry.formats[0] if entry.formats else "message that no catalogue has")
    for name in entry.parameters:
        values[name] = SAMPLE_VALUES[entry.variables[name].type]
    values |= {name: min(texts) for name, texts in entry.where.items()}
    for frame in entry.frames:
        beside = _beside(entry, values)
        columns = (*_CSV_COLUMNS, *beside) if frame == "csv" else ()
        # Neither an untagged Junos line nor any syslog line has a place for values beside its text.
        has_place = frame != "syslog" and not (frame == "junos" and entry.code is None)
        said = values if has_place else {name: value for name, value in values.items() if name not in beside}
        yield Sample(frame, _WRITERS[frame](entry, text, values), said, columns)


def _filled(entry: Entry, text: str) -> tuple[str, dict[str, str]]:
    """Put sample values into a text."""
    values: dict[str, str] = {}

    def value(found: re.Match[str]) -> str:
        if found[1] is None:
            return found[0][0]
        return values.setdefault(found[1], SAMPLE_VALUES[entry.variables[found[1]].type])

    return _VARIABLE.sub(value, text), values


def _component(entry: Entry, otherwise: str) -> str:
    return min(entry.components, default=otherwise)


def _beside(entry: Entry, values: Mapping[str, str]) -> dict[str, str]:
    """Return the values that stand beside the text."""
    return {name: value for name, value in values.items() if name in entry.parameters or name in entry.where}


def _pri(entry: Entry) -> int:
    level = entry.level()
    return 8 * (16 if entry.facility_code is None else entry.facility_code) + (level.code if level else 6)


def _junos(entry: Entry, text: str, values: Mapping[str, str]) -> str:
    process = entry.processes[0] if entry.processes else "daemon"
    beside = _beside(entry, values)
    if beside and entry.code:
        data = " ".join(f'{name}="{_SPECIAL.sub(_BACKSLASH, value)}"' for name, value in beside.items())
        head = f"<{_pri(entry)}>1 2025-08-03T10:18:44Z gw1.example {process} 14162 {entry.code}"
        return f"{head} [junos@2636.1.1.1.2.129 {data}] {text}"
    tag = f"{entry.code}: " if entry.code else ""
    return f"<{_pri(entry)}>Aug  3 10:18:44 gw1.example {process}[14162]: {tag}{text}"


def _syslog(entry: Entry, text: str, values: Mapping[str, str]) -> str:
    process = entry.processes[0] if entry.processes else "daemon"
    tag = f"%{process.upper()}-6-{entry.code}: " if entry.code else f"{process}[14162]: "
    return f"<{_pri(entry)}>Aug  3 10:18:44 gw1.example {tag}{text}"


def _clavister(entry: Entry, text: str, values: Mapping[str, str]) -> str:
    pairs = "".join(f" {name}={value}" for name, value in _beside(entry, values).items())
    category = entry.categories[0] if entry.categories else "SYSTEM"
    if entry.code and len(entry.code) > _LONGEST_STREAM_ID:
        # As collectors of cOS Core pass it on; its texts hold quotes, so that nothing quotes them.
        return f"id={int(entry.code)} event={entry.title} [message={text}{pairs} ]"
    identity = f" id={entry.code}" if entry.code else ""
    return f'<134>[2025-08-03 10:18:44] EFW: {category}: prio=2{identity} rev=1 message="{text}"{pairs}'


# Ids of cOS Stream have up to four digits, those of cOS Core eight.
_LONGEST_STREAM_ID = 4
_CSV_COLUMNS = ("TIMESTAMP", "NODE_ID", "FACILITY", "INFO_MSG")
# What the header of a line of the Blue Cedar gateway has by name.
_MOCANA_HEAD = {"SubCls": "999", "EID": "7", "Type": "General"}


def _mocana(entry: Entry, text: str, values: Mapping[str, str]) -> str:
    data = _beside(entry, values)
    head = {name: data.pop(name, value) for name, value in _MOCANA_HEAD.items()}
    tail = f" {msgspec.json.encode(data).decode()}" if data else ""
    component = _component(entry, "aaa").upper()
    return (
        f"Aug  3 2025 10:18:44 gw1 Mocana: [{component}], SubCls:{head['SubCls']}, EID: {head['EID']}, "
        f"Type: {head['Type']}, Sev:Informational, {text}{tail}"
    )


def _device(entry: Entry) -> str:
    vendor, product = min(entry.devices, default=("vendor", "product"))
    return f"{vendor}|{product}"


def _cef(entry: Entry, text: str, values: Mapping[str, str]) -> str:
    data = {"deviceFacility": _component(entry, ""), "msg": text, **_beside(entry, values)}
    pairs = " ".join(f"{name}={_escaped(value)}" for name, value in data.items() if value)
    return f"<6>Aug  3 10:18:44 192.0.2.1 CEF:0|{_device(entry)}|1.0|{entry.code or 0}|Generic|0|{pairs}"


def _leef(entry: Entry, text: str, values: Mapping[str, str]) -> str:
    data = {"Facility": _component(entry, ""), "msg": text, **_beside(entry, values)}
    pairs = "\t".join(f"{name}={_escaped(value)}" for name, value in data.items() if value)
    return f"<6>Aug  3 10:18:44 192.0.2.1 LEEF:1.0|{_device(entry)}|1.0|{entry.code or 'Generic'}|{pairs}"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace("=", "\\=")


def _key_value(entry: Entry, text: str, values: Mapping[str, str]) -> str:
    data = {
        "Timestamp": "2025-08-03 10:18:44",
        "NodeId": "192.0.2.1",
        "Facility": _component(entry, ""),
        "InfoMsg": text,
    }
    data |= _beside(entry, values)
    quoted = ('"' + value.replace('"', '""') + '"' for value in data.values())
    return ",".join(f"{name}={value}" for name, value in zip(data, quoted, strict=True))


def _csv(entry: Entry, text: str, values: Mapping[str, str]) -> str:
    cells = ("2025-08-03 10:18:44", "192.0.2.1", _component(entry, ""), text, *_beside(entry, values).values())
    return ",".join('"' + cell.replace('"', '""') + '"' for cell in cells)


def _xml(entry: Entry, text: str, values: Mapping[str, str]) -> str:
    cells = {"TIMESTAMP": "2025-08-03 10:18:44", "FACILITY": _component(entry, ""), "INFO_MSG": text}
    cells |= _beside(entry, values)
    escaped = {name: cell.replace("&", "&amp;").replace("<", "&lt;") for name, cell in cells.items()}
    return "<LOG_ENTRY>" + "".join(f"<{name}>{cell}</{name}>" for name, cell in escaped.items()) + "</LOG_ENTRY>"


_WRITERS: dict[str, Callable[[Entry, str, Mapping[str, str]], str]] = {
    "junos": _junos,
    "syslog": _syslog,
    "clavister": _clavister,
    "mocana": _mocana,
    "cef": _cef,
    "leef": _leef,
    "key_value": _key_value,
    "csv": _csv,
    "xml": _xml,
}
