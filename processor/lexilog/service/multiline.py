"""Joins the lines of one record: printed JSON of Blue Cedar gateways, and entries of XML exports.

Senders split a record at its line ends, and a collector may write a header before each part. Joining is pure: no clock,
no I/O, and no line is lost, doubled or changed.
"""

from __future__ import annotations

import re
from typing import NamedTuple, Protocol

from lexilog.framing.json_tail import QUOTES, find_object
from lexilog.framing.mocana import find_again, read_lead

__all__ = ["Joiner"]

# How many devices may have a record open at the same time.
_DEVICES = 64
_TIME = (
    r"(?:\d{4}-\d\d-\d\d[T ]|[A-Z][a-z]{2} {1,2}\d{1,2} (?:\d{4} )?)\d\d:\d\d:\d\d(?:[.,]\d{1,9})?"
    r"(?:Z|[+-]\d\d:?\d\d)?(?=[\s:\]]|\Z)"
)
_HEADER = re.compile(
    rf"\ufeff?(?:\d{{1,9}} (?=<))?(?:(?P<pri><\d{{1,3}}>)(?P<version>\d{{1,2}} )? ?)?(?P<time>{_TIME})?[\s:]*+"
)
_ENTRY = re.compile(r"<(?P<end>/?)LOG_ENTRY\b(?P<attributes>[^<>]*+)")
_ATTRIBUTES = re.compile(r"\s*+(?:(?:SubCls|EID|Type|Sev)\s{0,16}:\s{0,64}[^\s,]{0,64}\s{0,16},\s{0,64}){1,4}\Z", re.I)
_STRUCTURE = re.compile(rf"[{{}}\[\]{QUOTES}]")
_IN_STRING = {quote: re.compile(rf"(?:[^{quote}\\]|\\.)*+", re.DOTALL) for quote in ('"', QUOTES)}
# What follows the end of a string.
_REST = {
    quotes: re.compile(rf"{inner.pattern}[{quotes}]\s*+(?:[,:}}\]]|\Z)", re.DOTALL)
    for quotes, inner in _IN_STRING.items()
}
# Another message of the gateway begins with a quoted text; in an object a colon would follow.
_QUOTED_TEXT = re.compile(rf"[{QUOTES}][^{QUOTES}]{{0,256}}[{QUOTES}]\s{{0,64}}\{{")
# What may come next, by the character before it; after all others a value is complete.
_VALUE = QUOTES + "{[-0123456789tfn"
_NEXT = {"{": QUOTES + "}", "[": _VALUE + "]", ":": _VALUE, ",": QUOTES + "}"}
_AFTER_VALUE = ",:}]" + QUOTES


class _Part(Protocol):
    """What a record is in the middle of."""

    @property
    def is_open(self) -> bool:
        """Whether it is still to be finished."""

    def fits(self, text: str, *, has_header: bool) -> bool:
        """Tell whether a line, less its header, goes on with it."""

    def add(self, text: str) -> None:
        """Go on with a line, less its header."""


class _Object:
    """A JSON object, by its braces, brackets and strings alone."""

    def __init__(self, text: str) -> None:
        self.levels: list[str] = []
        # The quotes that end the string that is open.
        self.quotes = ""
        self.last = ""
        self.add(text)

    @property
    def is_open(self) -> bool:
        return bool(self.levels)

    def fits(self, text: str, *, has_header: bool) -> bool:
        if self.quotes:
            # A string may hold a line end, but more often it is cut off, and what follows is another record.
            return not has_header and bool(_REST[self.quotes].match(text))
        begin = text.lstrip()
        if not begin or (text[0].isspace() and not has_header):
            return True
        if _QUOTED_TEXT.match(begin):
            return False
        expected = _NEXT.get(self.last, _AFTER_VALUE)
        if self.last == "," and self.levels[-1] == "[":
            expected = _NEXT["["]
        return begin[0] in expected

    def add(self, text: str) -> None:
        position = 0
        while position < len(text):
            if self.quotes:
                found = _IN_STRING[self.quotes].match(text, position)
                position = found.end() if found else len(text)
                if text[position : position + 1] not in self.quotes or position == len(text):
                    return
                self.quotes, position = "", position + 1
                continue
            found = _STRUCTURE.search(text, position)
            if found is None:
                break
            self.structure(found[0])
            if not self.levels:
                return
            position = found.end()
        self.last = text.rstrip()[-1:] or self.last

    def structure(self, character: str) -> None:
        if character in "{[":
            self.levels.append(character)
        elif character in "}]":
            self.levels.pop()
        else:
            self.quotes = '"' if character == '"' else QUOTES


class _Entry:
    """An element ``LOG_ENTRY`` of an XML export."""

    def __init__(self, text: str) -> None:
        self.is_open = False
        self.add(text)

    def fits(self, text: str, *, has_header: bool) -> bool:
        first = _ENTRY.search(text)
        return not has_header and (first is None or bool(first["end"]))

    def add(self, text: str) -> None:
        for tag in _ENTRY.finditer(text):
            self.is_open = not (tag["end"] or tag["attributes"].endswith("/"))


class _Message:
    """A gateway's message that has begun with its attributes only."""

    def __init__(self) -> None:
        self.object: _Object | None = None
        self.is_open = True

    def fits(self, text: str, *, has_header: bool) -> bool:
        return self.object.fits(text, has_header=has_header) if self.object else not has_header

    def add(self, text: str) -> None:
        if self.object:
            self.object.add(text)
        elif not _ATTRIBUTES.match(text):
            start = find_object(text)
            self.object = _Object(text[start:]) if start is not None else None
            self.is_open = False
        if self.object:
            self.is_open = self.object.is_open


class _Line(NamedTuple):
    """What is known of a line.

    Attributes:
        device: whom its header names, "" where it names nobody; None where there is no header.
        message: where the gateway's message begins; None where the line is not the gateway's.
    """

    device: str | None
    message: int | None


class _Record:
    """A record that is not complete yet."""

    def __init__(self, line: str, part: _Part, now: float, number: int) -> None:
        self.lines = [line]
        # The number of the line that it was last continued by, among all lines.
        self.number = number
        self.size = _size(line)
        self.part = part
        self.since = now


class Joiner:
    """Joins lines to records.

    A line goes on with the record of the line before it if that is in the middle of an object or an entry, and the line
    has no header of its own, or the same gateway's. Lines of other devices may stand between them; where the records of
    two devices are open at once, a line without a header is left alone, because it does not say whose it is.

    Args:
        max_lines: the most lines of a record, and of other devices between two of its lines.
        max_bytes: the most bytes of a record, in UTF-8, line ends included.
        max_seconds: how long the first line of a record waits for the last one.
    """

    def __init__(self, max_lines: int = 100, max_bytes: int = 65536, max_seconds: float = 2.0) -> None:
        self._max_lines = max_lines
        self._max_bytes = max_bytes
        self._max_seconds = max_seconds
        # By device, the oldest first.
        self._open: dict[str, _Record] = {}
        self._number = 0
        # Whose line was the last one: a line without a header is of the same device.
        self._device = ""

    def feed(self, line: str, now: float) -> list[str]:
        r"""Take a line.

        Args:
            line: the line, without its line ending.
            now: when it came, in seconds of any clock that does not go back.

        Returns:
            The records that are finished by it, in order; lines joined by ``\n``. A line that is a record by itself is
            among them at once.
        """
        self._number += 1
        finished = self.flush(now) if self._open else []
        known = _read(line, bool(self._open))
        if known.device is not None:
            self._device = known.device
        elif len(self._open) > 1:
            # It may be any device's, and a guess could give one device's values to another. In case it is of the
            # device of the line before, that one's record goes first.
            if self._device in self._open:
                finished.append(self._release(self._device))
            finished.append(line)
            return finished
        record = self._open.get(self._device)
        if record is not None:
            if self._goes_on(record, line, known):
                if not record.part.is_open or len(record.lines) >= self._max_lines:
                    finished.append(self._release(self._device))
                return finished
            finished.append(self._release(self._device))
        has_room = self._max_lines > 1 and _size(line) < self._max_bytes
        part = _begin(line, known) if has_room else None
        if part is None:
            finished.append(line)
            return finished
        if len(self._open) == _DEVICES:
            finished.append(self._release(next(iter(self._open))))
        self._open[self._device] = _Record(line, part, now, self._number)
        return finished

    @property
    def waits_until(self) -> float | None:
        """When the next record has waited too long, by the clock of `feed`; None where none waits."""
        if not self._open:
            return None
        return min(record.since for record in self._open.values()) + self._max_seconds

    def flush(self, now: float | None = None) -> list[str]:
        """Return the records that have waited too long, as they are so far; all of them when `now` is None."""
        return [self._release(device) for device in [*self._open] if now is None or self._has_waited(device, now)]

    def _has_waited(self, device: str, now: float) -> bool:
        record = self._open[device]
        return now - record.since >= self._max_seconds or self._number - record.number > self._max_lines

    def _goes_on(self, record: _Record, line: str, known: _Line) -> bool:
        """Add a line to a record, if it goes on with it and there is room."""
        has_header = known.device is not None
        if has_header and known.message is None:
            return False
        text = line[known.message :] if has_header else line
        size = record.size + 1 + _size(line)
        if size > self._max_bytes or not record.part.fits(text, has_header=has_header):
            return False
        record.lines.append(line)
        record.size, record.number = size, self._number
        record.part.add(text)
        return True

    def _release(self, device: str) -> str:
        return "\n".join(self._open.pop(device).lines)


def _read(line: str, is_any_open: bool) -> _Line:
    """Read device and gateway from a line; while a record is open, ``Mocana:`` alone may tell the gateway."""
    header = _HEADER.match(line)
    has_header = header is not None and bool(header["pri"] or header["time"])
    begin = header.end() if header else 0
    lead = read_lead(line) if "[" in line else None
    if lead and not lead.named:
        before = line[begin : lead.start].split()
        # Without its name, the gateway's component stands right after time and host, or in columns after the name.
        if not has_header or (len(before) > 1 and "Mocana" not in before):
            lead = None
    again = (lead.start, lead.end) if lead else None
    if again is None and is_any_open and has_header:
        again = find_again(line)
    message = again[1] if again else None
    if header is None or not has_header:
        return _Line(None, message)
    words = line[begin : again[0]].split() if again else line[begin : begin + 256].split(None, 1)
    if not words or words[0].startswith(("[", "{")):
        return _Line("", message)
    # Of two hosts before the gateway's name the first one is a relay's.
    return _Line(words[-1] if again and not header["version"] else words[0], message)


def _begin(line: str, known: _Line) -> _Part | None:
    """Tell what a line leaves open."""
    if "<LOG_ENTRY" in line:
        entry = _Entry(line)
        return entry if entry.is_open else None
    end = line.rstrip()[-1:]
    if known.message == len(line) and end in (",", "]"):
        return _Message()
    start = find_object(line, known.message or 0) if "{" in line else None
    if start is None or (known.message is None and end not in ("{", "[", ",")):
        return None
    begun = _Object(line[start:])
    return begun if begun.is_open else None


def _size(line: str) -> int:
    return len(line) if line.isascii() else len(line.encode("utf-8", "surrogatepass"))
