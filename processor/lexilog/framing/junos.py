"""Junos lines: standard format, explicit priority, structured data in full and brief, and what relays make of them.

The variants are those that devices, ``show log`` and collectors are known to produce:

    <30>Aug  3 10:18:44 srx1 kmd[14162]: TAG: text              also without PRI, host, process; with ISO time, year, ms
    … srx1 kmd[14162]: %DAEMON-6-TAG: text                      explicit-priority
    <30>1 2024-05-04T15:27:26.461+10:00 srx1 kmd 13862 TAG [junos@2636.1.1.1.2.129 name="value"] text
    … srx1 kmd TAG [name="value"]                               no PID, no SD-ID, no text (brief)
    <166> 2024-05-08T10:54:24.756+10:00 srx1 - - - - srx1 text  version missing
    Aug 24 04:58:58 192.0.2.9 relay: 2017-08-24T04:58:58.724Z srx1 kmd - TAG [junos@… …]
    … fw1 (FPC Slot 5, PIC Slot 0) SPC5_PIC0 kmd[177]: TAG: text
    Dec 27 05:58:05 TAG: text                                   show log
    [Aug 22 20:40:14]text                                       traceoptions file
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

from lexilog.framing.syslog import StructuredData, read_priority, read_structured_data
from lexilog.framing.timestamp import Clock, read_time
from lexilog.model import Frame

__all__ = ["parse_junos"]

_TAG = r"[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+"
_LOCATION = r"\(FPC Slot \d{1,3}, PIC Slot \d{1,3}\)(?: \w{1,32}(?=\s))?|node\d{1,2}(?:\.\w{1,32})?(?=\s)"
# host, slot or node, process[pid]: — the first two may be missing.
_BODY = re.compile(
    rf"(?:(?!\()(?P<host>\S{{0,254}}[^\s:]) +)??(?:(?P<location>{_LOCATION}) +)?"
    r"(?P<process>[A-Za-z][\w.-]{0,47})(?:\[(?P<pid>\d{1,10})\])?:(?=\s|\Z)\s?"
)
_REPEAT = re.compile(
    rf"(?:(?!\()(?P<host>\S{{1,255}}) +)??(?:(?P<location>{_LOCATION}) +)?(?=last message repeated \d{{1,10}} time)"
)
# A second header after the first one, with or without the relay's own host and program name.
_RELAYED = re.compile(
    r"(?:\S{1,255} +)??(?:[\w./-]{1,48}(?:\[\d{1,10}\])?: +)?"
    r"(?=<\d{1,3}>|(?:\d )?\d{4}-\d\d-\d\dT\d\d:|[A-Z][a-z]{2} [ \d]\d (?:\d{4} )?\d\d:\d\d:\d\d)"
)
_VERSION = re.compile(r"\d (?=\d{4}-)")
_TAGGED = re.compile(rf"(?P<tag>{_TAG})(?::\s?|\s+(?=\[))")
_EXPLICIT = re.compile(rf"%(?P<facility>[A-Z][A-Z0-9]{{0,15}})[-–](?P<severity>[0-7])(?:[-–](?P<tag>{_TAG}))?:\s?")  # noqa: RUF001 (documents typeset it so)
_NAME = re.compile(r"[A-Za-z][\w.-]{0,47}\Z")
_ONLY_TAG = re.compile(rf"{_TAG}\Z")
_DIGITS = re.compile(r"\d{1,10}\Z")
_BLANK = re.compile(r"\s+")
_TRACE = re.compile(r"\[(?=[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d(?:\.\d+)?\])")
_HEADERS = 3


def parse_junos(line: str, clock: Clock) -> Frame | None:
    """Return the frame of a line in a wrapping that Junos devices use; see the module's text."""
    found = _header(line, 0, clock, {}, _HEADERS)
    return msgspec.convert(found, Frame) if found else None


def _header(line: str, position: int, clock: Clock, facts: dict[str, Any], depth: int) -> dict[str, Any] | None:
    """Read PRI, version and time at `position`, then the body; an inner header counts more than the one around it."""
    priority = read_priority(line, position)
    if priority:
        facts = {**facts, "pri": priority.pri, "version": priority.version}
        position = priority.end
    elif depth < _HEADERS and (version := _VERSION.match(line, position)):
        facts = {**facts, "version": int(version[0])}
        position = version.end()
    if not priority and (trace := _TRACE.match(line, position)):
        return _trace(line, trace.end(), clock, facts)
    stamp = read_time(line, position, clock)
    if stamp is None:
        return _bare(line, position, facts) if depth == _HEADERS else None
    when, position = stamp
    if when is not None:
        facts = {**facts, "time": when}
    while line.startswith((" ", ":"), position):
        position += 1
    if depth and (relayed := _RELAYED.match(line, position)):
        inner = _header(line, relayed.end(), clock, facts, depth - 1)
        if inner:
            return inner
    if facts.get("version") is not None:
        return _columns(line, position, facts) or _body(line, position, facts)
    return _body(line, position, facts) or _columns(line, position, facts)


def _bare(line: str, position: int, facts: dict[str, Any]) -> dict[str, Any] | None:
    """Read a line whose header an agent has taken off: it counts as Junos only if a tag or process is left."""
    body = _BODY.match(line, position)
    if body and body["host"] is None:
        return _body(line, position, facts)
    if _TAGGED.match(line, position) or _EXPLICIT.match(line, position):
        return _text(line, position, facts)
    return None


def _trace(line: str, position: int, clock: Clock, facts: dict[str, Any]) -> dict[str, Any] | None:
    stamp = read_time(line, position, clock)
    if stamp is None:
        return None
    start = stamp[1] + 1
    return {**facts, "kind": "junos_trace", "time": stamp[0], "text": line[start:], "body": line[start:]}


def _body(line: str, position: int, facts: dict[str, Any]) -> dict[str, Any] | None:
    """Read ``host process[pid]: …`` and its shortened forms."""
    found = _BODY.match(line, position)
    if not found:
        return _without_process(line, position, facts)
    host, location, process, pid = found["host"], found["location"], found["process"], found["pid"]
    facts = {**facts, "hostname": host, "location": location, "certain": location is not None}
    if pid is None and _ONLY_TAG.match(process) and not _TAGGED.match(line, found.end()):
        return _text(line, found.start("process"), facts)
    return _text(line, found.end(), {**facts, "process": process, "pid": int(pid) if pid else None})


def _without_process(line: str, position: int, facts: dict[str, Any]) -> dict[str, Any] | None:
    repeat = _REPEAT.match(line, position)
    if repeat:
        text = line[repeat.end() :]
        return {
            **facts,
            "kind": "junos",
            "hostname": repeat["host"],
            "location": repeat["location"],
            "text": text,
            "body": text,
        }
    if _TAGGED.match(line, position) or _EXPLICIT.match(line, position):
        return _text(line, position, facts)
    host, _, rest = line[position : position + 300].partition(" ")
    start = position + len(host) + 1 + len(rest) - len(rest.lstrip(" "))
    if host and (_TAGGED.match(line, start) or _EXPLICIT.match(line, start)):
        return _text(line, start, {**facts, "hostname": host})
    return None


def _columns(line: str, position: int, facts: dict[str, Any]) -> dict[str, Any] | None:
    """Read ``host app procid msgid data text``, where a missing PID moves the rest one column to the left."""
    words: list[str] = []
    while len(words) < 4 and not line.startswith("[", position):
        blank = _BLANK.search(line, position, position + 300)
        end = blank.start() if blank else len(line)
        word = line[position:end]
        if len(words) == 2 and not (word == "-" or _DIGITS.match(word)):
            words.append("-")
        if len(words) == 3 and not (word == "-" or _ONLY_TAG.match(word)):
            break
        words.append(word)
        position = blank.end() if blank else end
        if not blank:
            break
    if len(words) < 2 or not (words[1] == "-" or _NAME.match(words[1])):
        return None
    host, app, pid, tag = (*words, "-", "-")[:4]
    facts = {**facts, "hostname": _nil(host), "process": _nil(app), "pid": int(pid) if pid.isdecimal() else None}
    if tag != "-":
        facts["tag"] = tag
    nil_data = line.startswith("-", position) and (position + 1 >= len(line) or line[position + 1].isspace())
    if nil_data:
        position += 2
    elif not (line.startswith("[", position) or tag != "-"):
        return None
    if nil_data and app == "-" and host != "-" and line.startswith(f"{host} ", position):
        position += len(host) + 1
        inner = _body(line, position, {**facts, "process": None})
        if inner and inner.get("process"):
            return {**inner, "hostname": host}
        facts["certain"] = facts.get("version") is None
    return _text(line, position, facts)


def _text(line: str, position: int, facts: dict[str, Any]) -> dict[str, Any]:
    """Read explicit priority, tag and structured data, where they stand; what is left is the text."""
    body = position
    facts = dict(facts)
    if explicit := _EXPLICIT.match(line, position):
        facts["facility"], facts["severity"] = explicit["facility"].lower(), int(explicit["severity"])
        position = explicit.end()
        if explicit["tag"]:
            facts["tag"] = explicit["tag"]
    if facts.get("tag") is None and (tagged := _TAGGED.match(line, position)):
        facts["tag"] = tagged["tag"]
        position = tagged.end()
    data = read_structured_data(line, position) if line.startswith("[", position) else None
    if data and (data.data or _is_junos(data) or line.startswith("[]", position)):
        facts["sd_id"], facts["data"], facts["truncated"] = data.sd_id, data.data, data.truncated
        facts["certain"] = facts.get("certain", False) or _is_junos(data)
        position = data.end
        if line.startswith((" ", "\t"), position):
            position += 1
    text = line[position:].removeprefix("\ufeff")
    # A tag in its own column may be said again before the text.
    if facts.get("tag") and text.startswith(f"{facts['tag']}: "):
        text = text[len(facts["tag"]) + 2 :]
    return {**facts, "kind": "junos", "text": text.rstrip("\r\n"), "body": line[body:].rstrip("\r\n")}


def _is_junos(data: StructuredData) -> bool:
    return data.sd_id is not None and data.sd_id.startswith("junos@")


def _nil(word: str) -> str | None:
    return None if word == "-" else word
