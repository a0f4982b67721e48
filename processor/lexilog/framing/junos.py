"""Junos lines: standard format, explicit priority, structured data in full and brief, and what relays make of them.

The variants are those that devices, ``show log`` and collectors are known to produce:

    <30>Aug  3 10:18:44 srx1 kmd[14162]: TAG: text              also without PRI, host, process; with ISO time, year, ms
    … srx1 kmd[14162]: %DAEMON-6-TAG: text                      explicit-priority
    <30>1 2024-05-04T15:27:26.461+10:00 srx1 kmd 13862 TAG [junos@2636.1.1.1.2.129 name="value"] text
    … srx1 kmd TAG [name="value"]                               no PID, no SD-ID, no text (brief)
    <166> 2024-05-08T10:54:24.756+10:00 srx1 - - - - srx1 text  version missing; also node1.fpc0 or kmd: before the text
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
from lexilog.framing.timestamp import Context, read_time
from lexilog.model import Frame

__all__ = ["parse_junos"]

_TAG = r"[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+"
_TAGGED = re.compile(rf"(?P<tag>{_TAG})(?:: {{0,8}}|\s+(?=\[))")
# Documents typeset the hyphens as en dashes; devices print hyphens. Cisco writes alike, with ids of digits.
_EXPLICIT = re.compile(
    r"%(?P<facility>[A-Z][A-Z0-9_]{0,31})[-\u2013](?P<severity>[0-7])"
    rf"(?:[-\u2013](?P<tag>{_TAG}|[A-Z0-9]{{1,64}}))?: {{0,8}}"
)
_MARKED = rf"(?={_TAGGED.pattern.replace('?P<tag>', '')}|%[A-Z][A-Z0-9_]{{0,31}}[-\u2013][0-7])"
_LOCATION = (
    r"\(FPC Slot \d{1,3}, PIC Slot \d{1,3}\)(?: \w{1,32}(?=\s))?"
    r"|node\d{1,2}(?:\.\w{1,32}){0,3}:?(?=\s)|SPC\d{1,3}_PIC\d{1,3}(?=\s)"
)
_HOST = r"(?!\()(?P<host>\S{0,254}[^\s:])"
_PROCESS = r"(?P<process>[A-Za-z][\w.-]{0,47})(?:\[(?P<pid>\d{1,10})\])?:"
# Host, slot or node, process[pid]: — the first two may be missing, and a relay may stand before them.
_BODY = re.compile(
    rf"(?:(?!\()\S{{1,255}} +)??(?:{_HOST} +)??(?:(?P<location>{_LOCATION}) +)?{_PROCESS}(?=\s|\Z) {{0,8}}"
)
# The same where only a tag or an explicit priority can follow.
_BEFORE_MARK = re.compile(rf"(?:{_HOST} +)??(?:(?P<location>{_LOCATION}) +)?(?:{_PROCESS} {{1,8}})?{_MARKED}")
_REPEAT = re.compile(rf"(?:{_HOST} +)??(?:(?P<location>{_LOCATION}) +)?(?=last message repeated \d{{1,10}} time)")
# rsyslog puts a repeated message in brackets.
_REPEATED = re.compile(r"message repeated \d{1,10} times: \[ ?")
# A second header after the first one, with or without the relay's own host and program name.
_RELAYED = re.compile(
    r"(?:\S{1,255} +)??(?:[\w./-]{1,48}(?:\[\d{1,10}\])?: +)?"
    r"(?=<\d{1,3}>|(?:\d )?\d{4}-\d\d-\d\dT\d\d:|[A-Z][a-z]{2} [ \d]\d (?:\d{4} )?\d\d:\d\d:\d\d)"
)
_VERSION = re.compile(r"\d (?=\d{4}-)")
_NAME = re.compile(r"[A-Za-z][\w.-]{0,47}\Z")
_ONLY_TAG = re.compile(rf"{_TAG}\Z")
_DIGITS = re.compile(r"\d{1,10}\Z")
_WORD = re.compile(r"(?P<word>\S{0,300})(?:\s+|\Z)")
_AT_LOCATION = re.compile(rf"(?P<location>{_LOCATION})\s+")
_TRACE = re.compile(r"\[(?=[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d(?:\.\d+)?\])")
# How many headers may stand one after the other.
_HEADERS = 3

_Facts = dict[str, Any]


def parse_junos(line: str, context: Context) -> Frame | None:
    """Return the frame of a line in a wrapping that Junos devices use; see the module's text."""
    start = 1 if line.startswith("\ufeff") else 0
    found = _Line(line, context).header(start, {}, _HEADERS)
    return msgspec.convert(found, Frame) if found else None


class _Line:
    """A line that is being read. Each method reads on at a position, with the facts known so far."""

    def __init__(self, line: str, context: Context) -> None:
        self.line = line
        self.context = context

    def header(self, position: int, facts: _Facts, depth: int) -> _Facts | None:
        """Read PRI, version and time, then the body; an inner header counts more than the one around it."""
        priority = read_priority(self.line, position)
        if priority:
            facts = {**facts, "pri": priority.pri, "version": priority.version}
            position = priority.end
        elif version := _VERSION.match(self.line, position):
            facts = {**facts, "version": int(version[0])}
            position = version.end()
        elif trace := _TRACE.match(self.line, position):
            return self.trace(trace.end(), facts)
        stamp = read_time(self.line, position, self.context)
        if stamp is None:
            return self.bare(position, facts) if depth == _HEADERS else None
        when, position = stamp
        if when is not None:
            facts = {**facts, "time": when}
        while self.line.startswith((" ", ":"), position):
            position += 1
        if depth and (relayed := _RELAYED.match(self.line, position)):
            inner = self.header(relayed.end(), facts, depth - 1)
            if inner:
                return inner
        if facts.get("version") is not None:
            return self.columns(position, facts, depth) or self.body(position, facts)
        return self.body(position, facts) or self.columns(position, facts, depth)

    def bare(self, position: int, facts: _Facts) -> _Facts | None:
        """Read a line whose header an agent has taken off: it counts as Junos only if tag or process are left."""
        body = _BODY.match(self.line, position)
        if body and body["host"] is None:
            return self.body(position, facts)
        return self.text(position, facts) if self.marked(position) else None

    def trace(self, position: int, facts: _Facts) -> _Facts | None:
        """Read a line of a traceoptions file. It counts as Junos only if it has a tag: other programs trace alike."""
        stamp = read_time(self.line, position, self.context)
        if stamp is None:
            return None
        start, facts = stamp[1] + 1, {**facts, "time": stamp[0]}
        if self.marked(start):
            return self.text(start, facts)
        return {**facts, "kind": "junos_trace", "text": self.line[start:], "body": self.line[start:]}

    def body(self, position: int, facts: _Facts) -> _Facts | None:
        """Read ``host process[pid]: …`` and its shortened forms."""
        found = _BODY.match(self.line, position)
        if not found:
            return self.without_process(position, facts)
        process, pid = found["process"], found["pid"]
        facts = {**facts, "hostname": found["host"], "location": found["location"]}
        facts["certain"] = found["location"] is not None
        if pid is None and _ONLY_TAG.match(process) and not _TAGGED.match(self.line, found.end()):
            return self.text(found.start("process"), facts)
        return self.text(found.end(), {**facts, "process": process, "pid": int(pid) if pid else None})

    def without_process(self, position: int, facts: _Facts) -> _Facts | None:
        """Read ``host TAG: …``, ``TAG: …`` and ``host last message repeated N times``."""
        if repeat := _REPEAT.match(self.line, position):
            facts = {**facts, "hostname": repeat["host"], "location": repeat["location"]}
            return {**facts, "kind": "junos", "text": self.line[repeat.end() :], "body": self.line[repeat.end() :]}
        if found := _BEFORE_MARK.match(self.line, position):
            return self.text(found.end(), {**facts, "hostname": found["host"], "location": found["location"]})
        return None

    def columns(self, position: int, facts: _Facts, depth: int) -> _Facts | None:
        """Read ``host app procid msgid data text``, where a missing PID moves the rest one column to the left."""
        words: list[str] = []
        while len(words) < 4 and not self.line.startswith("[", position):
            if len(words) == 1 and (place := _AT_LOCATION.match(self.line, position)):
                facts = {**facts, "location": place["location"], "certain": True}
                position = place.end()
            found = _WORD.match(self.line, position)
            word = found["word"] if found else ""
            if not found or not word:
                break
            if len(words) == 2 and not (word == "-" or _DIGITS.match(word)):
                words.append("-")
            # A message id of RFC 5424 may be any word, but then the column of the data is there.
            has_data = facts.get("version") is not None and self.begins_data(found.end())
            if len(words) == 3 and not (word == "-" or _ONLY_TAG.match(word) or has_data):
                break
            words.append(word)
            position = found.end()
        if len(words) < 2 or not (words[1] == "-" or _NAME.match(words[1])):
            return None
        host, app, pid, tag = (*words, "-", "-")[:4]
        facts = {**facts, "hostname": _nil(host), "process": _nil(app), "pid": int(pid) if pid.isdecimal() else None}
        if tag != "-":
            return self.text(position + 2 if self.nil_data(position) else position, {**facts, "tag": tag})
        if self.line.startswith("[", position):
            return self.text(position, facts)
        if self.nil_data(position):
            return self.without_columns(position + 2, facts, depth)
        # One "-" for two fields, and no data: only a named process makes that a header.
        return self.text(position, facts) if len(words) == 4 and app != "-" else None

    def without_columns(self, position: int, facts: _Facts, depth: int) -> _Facts | None:
        """Read what follows empty columns: a header of its own, host and process again, or the text."""
        if depth and self.line.startswith("<", position):
            inner = self.header(position, facts, depth - 1)
            if inner:
                return inner
        if found := _BEFORE_MARK.match(self.line, position):
            again = {"location": found["location"], "process": found["process"]}
            facts = {**facts, **{name: value for name, value in again.items() if value is not None}}
            if found["pid"]:
                facts["pid"] = int(found["pid"])
            return self.text(found.end(), facts)
        host = facts["hostname"]
        if facts["process"] is None and host is not None and self.line.startswith(f"{host} ", position):
            facts = {**facts, "certain": facts.get("version") is None}
            position += len(host) + 1
        return self.text(position, facts)

    def text(self, position: int, facts: _Facts) -> _Facts:
        """Read explicit priority, tag and structured data, where they stand; what is left is the text."""
        line, body, facts = self.line, position, dict(facts)
        if repeated := _REPEATED.match(line, position):
            position, line = repeated.end(), line.rstrip().removesuffix("]")
        if explicit := _EXPLICIT.match(line, position):
            facts["facility"], facts["severity"] = explicit["facility"].lower(), int(explicit["severity"])
            position = explicit.end()
            if explicit["tag"]:
                facts["tag"] = explicit["tag"]
        if facts.get("tag") is None and (tagged := _TAGGED.match(line, position)):
            facts["tag"] = tagged["tag"]
            position = tagged.end()
        if line.startswith("[", position) and (data := read_structured_data(line, position)):
            written = _devices_own(data)
            if written is not None:
                facts["data"], facts["elements"], facts["truncated"] = written, data.elements, data.truncated
                facts["certain"] = facts.get("certain", False) or any(map(_is_junos, data.elements))
            if written is not None or not data.truncated:
                position = data.end
        text = line[position:].lstrip(" ").removeprefix("\ufeff")
        # A tag in its own column may be said again before the text.
        if facts.get("tag") and text.startswith(f"{facts['tag']}: "):
            text = text[len(facts["tag"]) + 2 :]
        return {**facts, "kind": "junos", "text": text.rstrip("\r\n"), "body": self.line[body:].rstrip("\r\n")}

    def marked(self, position: int) -> bool:
        """Tell whether a tag or an explicit priority stands at a position."""
        return bool(_TAGGED.match(self.line, position) or _EXPLICIT.match(self.line, position))

    def begins_data(self, position: int) -> bool:
        """Tell whether structured data, or "-" for none, stands at a position."""
        return self.line.startswith("[", position) or self.nil_data(position)

    def nil_data(self, position: int) -> bool:
        """Tell whether structured data is "-" at a position."""
        after = self.line[position + 1 : position + 2]
        return self.line.startswith("-", position) and (not after or after.isspace())


def _devices_own(data: StructuredData) -> dict[str, str] | None:
    """Return the parameters that the device wrote: under junos@, without an SD-ID, else under a private SD-ID.

    Those that a relay adds have SD-IDs without "@", which are registered ones such as origin or timeQuality.
    """
    for fits in (_is_junos, lambda name: name == "", lambda name: "@" in name):
        for name, parameters in data.elements.items():
            if fits(name):
                return parameters
    return None


def _is_junos(name: str) -> bool:
    return name.startswith("junos@")


def _nil(word: str) -> str | None:
    return None if word == "-" else word
