"""The pieces of syslog headers: octet count, PRI, version, structured data (RFC 3164, RFC 5424, RFC 6587)."""

from __future__ import annotations

import re
from datetime import datetime
from typing import NamedTuple

import msgspec

from lexilog.framing.timestamp import Context, read_time
from lexilog.model import Frame

__all__ = [
    "Header",
    "Priority",
    "StructuredData",
    "parse_syslog",
    "read_header",
    "read_priority",
    "read_structured_data",
]

_PRIORITY = re.compile(r"(?:\d{1,9} (?=<))?<(0|[1-9]\d{0,2})>(?:(\d{1,2}) (?=[\d-]))? ?")
_SD_ID = re.compile(r'\[([^\s=\]"\[]{1,128})(?=[\s\]]|\Z)')
_PARAMETER = re.compile(r'\s*+([^\s=\]"\[]{1,256})="((?:[^"\\]|\\.)*+)"', re.DOTALL)
_ESCAPED = re.compile(r'\\(["\\\]])')


# A word of a header, and the two shapes that a program's name has before its text.
_WORD = re.compile(r"\S{1,255}(?!\S)")
_NAME = r"(?P<process>[A-Za-z][\w./-]{0,47})(?:\[(?P<pid>\d{1,10})\])?"
_PROCESS = re.compile(_NAME + r":?\Z")
_HOST = re.compile(r"(?P<host>[^\s%:=]{1,255})(?= |:|\Z)")
_PROGRAM = re.compile(_NAME + ": {0,8}")
_NAMED = re.compile(r"%(?P<facility>[A-Z][A-Z0-9_]{0,31})-(?P<severity>[0-7])-(?P<tag>[A-Z0-9_]{1,64}): {0,8}")
# What some collectors write for the PRI.
_NAMED_PRIORITY = re.compile(
    r"(?:local[0-7]|kern|user|mail|daemon|auth(?:priv)?|syslog|lpr|news|uucp|cron|ftp|ntp|system\d?)"
    r"\.(?:emerg\w*|alert|crit\w*|err(?:or)?|warn(?:ing)?|notice|info\w*|debug)\Z",
    re.IGNORECASE,
)
# How many headers may stand inside the first one.
_NESTED = 3
# How many words may stand between the time and the text: host, program, PID, message id, or a relay's host twice.
_WORDS = 6


class Header(msgspec.Struct, frozen=True, kw_only=True):
    """What a syslog header says; the attributes are those of `Frame`."""

    pri: int | None = None
    version: int | None = None
    time: datetime | None = None
    hostname: str | None = None
    process: str | None = None
    pid: int | None = None
    tag: str | None = None
    elements: dict[str, dict[str, str]] = {}


class Priority(NamedTuple):
    """PRI (0 to 191), version (None where there is none) and the position after both."""

    pri: int
    version: int | None
    end: int


class StructuredData(NamedTuple):
    """The parameters by SD-ID ("" where it is missing), whether the text breaks off, and the position after it."""

    elements: dict[str, dict[str, str]]
    truncated: bool
    end: int


def read_priority(text: str, position: int) -> Priority | None:
    """Read ``<PRI>`` and its version (RFC 5424 section 6.2), after an octet count or not (RFC 6587 section 3.4.1)."""
    found = _PRIORITY.match(text, position)
    if not found or int(found[1]) > 191:
        return None
    return Priority(int(found[1]), int(found[2]) if found[2] else None, found.end())


def read_structured_data(text: str, position: int) -> StructuredData | None:
    r"""Read ``[id name="value" …]`` (RFC 5424 section 6.3), as often as it stands there.

    The SD-ID may be missing. In values ``\"``, ``\\`` and ``\]`` lose their backslash; a bare ``]`` is part of the
    value. Where the text breaks off, whole parameters are kept and the one that is cut is not.
    """
    elements: dict[str, dict[str, str]] = {}
    while text.startswith("[", position):
        named = _SD_ID.match(text, position)
        position = named.end() if named else position + 1
        data = elements.setdefault(named[1] if named else "", {})
        while parameter := _PARAMETER.match(text, position):
            data.setdefault(parameter[1], _ESCAPED.sub(r"\1", parameter[2]))
            position = parameter.end()
        rest = text[position : position + 300].lstrip()
        if rest.startswith("]"):
            position = text.index("]", position) + 1
        elif not data and (named is None or "]" in rest):
            return None
        else:
            return StructuredData(elements, True, len(text))
    return StructuredData(elements, False, position) if elements else None


def read_header(line: str, end: int, context: Context) -> Header | None:
    """Read what stands before a payload as a syslog header, of any age and however many relays have added to it.

    Args:
        line: the line.
        end: where the payload begins.
        context: what the line's time is measured against.

    Returns:
        The header, empty where nothing stands before the payload; None where it is something else, such as prose.
    """
    return _header(line[:end], 1 if line.startswith("\ufeff") else 0, context, Header(), [_NESTED])


def _header(text: str, position: int, context: Context, known: Header, left: list[int]) -> Header | None:
    """Read PRI, version and time, then the words; of several headers the inner one counts more.

    How many headers may still be tried in all is in `left`, so that a text full of their beginnings costs little.
    """
    if priority := read_priority(text, position):
        known = msgspec.structs.replace(known, pri=priority.pri, version=priority.version)
        position = priority.end
    if stamp := read_time(text, position, context):
        known = msgspec.structs.replace(known, time=stamp[0] or known.time)
        position = stamp[1]
    words: list[str] = []
    while (position := _skip(text, position, " \t:" if not words else " \t")) < len(text):
        if words and text[position] == "[" and not known.elements and (data := read_structured_data(text, position)):
            known = msgspec.structs.replace(known, elements=data.elements)
            position = data.end
            continue
        begins = (words or stamp) and (text[position] == "<" or read_time(text, position, context))
        if begins and left[0]:
            left[0] -= 1
            inner = _header(text, position, context, _worded(known, words) or known, left)
            if inner is not None:
                return inner
        found = _WORD.match(text, position)
        if not found or len(words) == _WORDS:
            return None
        words.append(found[0])
        position = found.end()
    dated = known.time is not None or known.pri is not None
    return _worded(known, words) if dated or len(words) <= 1 else None


def _skip(text: str, position: int, characters: str) -> int:
    return len(text) - len(text[position:].lstrip(characters))


def _worded(header: Header, words: list[str]) -> Header | None:
    """Tell what the words after the time are: host, program and its PID, then the columns of RFC 5424."""
    words = [word for word in words if not _NAMED_PRIORITY.match(word)]
    said: dict[str, str | int] = {}
    if words and not words[0].endswith(":") and words[0] != "-":
        said["hostname"] = words[0]
    for word in words[0 if "hostname" not in said else 1 :]:
        found = _PROCESS.match(word)
        if found and "process" not in said:
            said["process"] = found["process"]
            if found["pid"]:
                said["pid"] = int(found["pid"])
        elif word.isdecimal() and len(word) <= 10 and "process" in said and "pid" not in said:
            said["pid"] = int(word)
        elif header.version is not None and "process" in said and "tag" not in said and word != "-":
            said["tag"] = word
        elif word not in ("-", ":"):
            return None
    return msgspec.structs.replace(header, **said)


def parse_syslog(line: str, context: Context) -> Frame | None:
    """Return the frame of any line with a PRI or a time, for catalogues of products that have no wrapping of their own.

    Recognised are host and ``program[pid]:``, and a message id as Cisco writes it: ``%FACILITY-SEVERITY-ID:``.
    """
    start = 1 if line.startswith("\ufeff") else 0
    priority = read_priority(line, start)
    position = priority.end if priority else start
    stamp = read_time(line, position, context)
    position = _skip(line, stamp[1] if stamp else position, " \t:")
    if priority is None and stamp is None:
        return None
    host = _HOST.match(line, position) if stamp else None
    body = _skip(line, host.end(), " \t:") if host else position
    program = _PROGRAM.match(line, body)
    text = program.end() if program else body
    named = _NAMED.match(line, text)
    return Frame(
        kind="syslog",
        text=line[named.end() if named else text :].rstrip("\r\n"),
        body=line[body:].rstrip("\r\n"),
        pri=priority.pri if priority else None,
        version=priority.version if priority else None,
        time=stamp[0] if stamp else None,
        hostname=host["host"] if host else None,
        process=program["process"] if program else None,
        pid=int(program["pid"]) if program and program["pid"] else None,
        tag=named["tag"] if named else None,
        facility=named["facility"].lower() if named else None,
        severity=int(named["severity"]) if named else None,
    )
