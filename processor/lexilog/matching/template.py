"""One text format of an entry, compiled once: does a text fit it, and which values stand where?

A text is read up to four times, each reading more forgiving than the one before:

1. `Template.full`: the documented words, and every value looks like its type, to the last character.
2. `Template.prefix`: the same, then more text.
3. `Template.between`: the documented words in their order, and anything between them.
4. `Template.loosely`: the words in their order, whatever their case, spacing and punctuation.

The first two are regular expressions with bounded repeats; the last two walk through the text once. So the time for a
text of any content grows with its length alone.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

from lexilog.matching.types import TYPES, WORDY

__all__ = ["Part", "Reading", "Template", "parse_format"]

_TOKEN = re.compile(r"(\{\{|\}\})|\{([^{}]*)\}|([{}])")
_WORD = re.compile(r"[A-Za-z0-9]+")
# What follows a complete value when a newer release has added to the text: punctuation, or a "Name: value" list.
_TAIL = re.compile(r"\s*[,;.(\[]|\s+[A-Za-z][\w./ -]{0,40}[:=]")
# Where a complete text ends before a tail.
_EDGE = r"(?=[\s,;:(\[]|\Z)"
# These values end at the first blank, whatever follows.
_CLOSED = frozenset({"address", "integer", "port", "role"})


class Part(NamedTuple):
    """A piece of a format: literal text, or the variable `name`."""

    text: str
    name: str | None


class Reading(NamedTuple):
    """What a template found: values by variable name, and what stood after the documented text."""

    values: dict[str, str]
    tail: str


def parse_format(text: str) -> list[Part]:
    """Split a format into literal text and variables.

    ``{name}`` is a variable; ``{{`` and ``}}`` stand for a brace.

    Raises:
        ValueError: a brace is not closed, a name is empty or used twice, or two variables touch.
    """
    parts: list[Part] = []
    literal, end, names = "", 0, set()
    for found in _TOKEN.finditer(text):
        literal += text[end : found.start()]
        end = found.end()
        brace, name, stray = found.groups()
        if brace:
            literal += brace[0]
            continue
        if stray:
            raise ValueError(f"'{stray}' at character {found.start() + 1} has no partner; write it twice if it is text")
        if not name:
            raise ValueError(f"the variable at character {found.start() + 1} has no name")
        if name in names:
            raise ValueError(f"variable '{name}' is used twice; give the second one a name of its own")
        if not literal and parts:
            raise ValueError(f"no text stands before variable '{name}' to tell where it begins")
        names.add(name)
        if literal:
            parts.append(Part(literal, None))
            literal = ""
        parts.append(Part("", name))
    literal += text[end:]
    if literal:
        parts.append(Part(literal, None))
    return parts


class Template:
    """A compiled format.

    Args:
        text: the format; see `parse_format`.
        type_of: gives the type of a variable, one of `lexilog.matching.types.TYPES`.
    """

    def __init__(self, text: str, type_of: Callable[[str], str]) -> None:
        self.text = text
        self.parts = parse_format(text)
        self.names = tuple(part.name for part in self.parts if part.name is not None)
        self.literal_length = sum(len(part.text) for part in self.parts)
        last = self.parts[-1].name
        self._last_type = type_of(last) if last is not None else None
        self._full = re.compile(_pattern(self.parts, type_of, to_end=True), re.DOTALL)
        self._prefix = re.compile(_pattern(self.parts, type_of, to_end=False), re.DOTALL)
        self._last = re.compile(re.escape(self.parts[-1].text) + _EDGE)
        self._loose = [_loose(part.text) if part.name is None else None for part in self.parts]

    @property
    def words(self) -> tuple[str, ...]:
        """The literal words that stand between blanks in every text of this format."""
        marked = "".join(part.text if part.name is None else "\0" for part in self.parts)
        return tuple(word for word in marked.split() if "\0" not in word)

    def full(self, text: str) -> Reading | None:
        """Read a text that is this format to its last character, with every value of its type."""
        found = self._full.match(text)
        return Reading(dict(zip(self.names, found.groups(), strict=True)), "") if found else None

    def prefix(self, text: str) -> Reading | None:
        """Read a text that begins with this format, with every value of its type."""
        found = self._prefix.match(text)
        if not found:
            return None
        tail = text[found.end() :]
        if self._last_type is not None and self._last_type not in _CLOSED and not _TAIL.match(tail):
            return None
        return Reading(dict(zip(self.names, found.groups(), strict=True)), tail)

    def between(self, text: str) -> Reading | None:
        """Read a text that has this format's words in their order, whatever stands between them."""
        reading, whole = self._between(text)
        return reading if whole else None

    def begun(self, text: str) -> Reading | None:
        """Read a text that breaks off: the values up to the last documented word that is there."""
        reading, _ = self._between(text)
        return reading if reading.values else None

    def _between(self, text: str) -> tuple[Reading, bool]:
        """Return what is read, and whether all documented words are there."""
        values: dict[str, str] = {}
        position, name, last = 0, None, len(self.parts) - 1
        for number, part in enumerate(self.parts):
            if part.name is not None:
                name = part.name
                continue
            start = self._find_last(text, position) if number == last else text.find(part.text, position)
            if start < 0 or (name is None and start != position):
                return Reading(values, ""), False
            if name is not None:
                values[name] = text[position:start]
                name = None
            position = start + len(part.text)
        if name is not None:
            values[name] = text[position:]
            position = len(text)
        return Reading(values, text[position:]), True

    def _find_last(self, text: str, position: int) -> int:
        """Return where the documented words end: at the end of the text if they stand there, else before a tail."""
        literal = self.parts[-1].text
        if text.endswith(literal) and len(text) - len(literal) >= position:
            return len(text) - len(literal)
        found = self._last.search(text, position)
        return found.start() if found else text.find(literal, position)

    def loosely(self, text: str) -> Reading | None:
        """Read a text that has this format's words in their order, whatever their case, spacing and punctuation."""
        values: dict[str, str] = {}
        position, name, edge = 0, None, ""
        for part, pattern in zip(self.parts, self._loose, strict=True):
            if pattern is None:
                name = part.name
                continue
            found = pattern.search(text, position) if name is not None else pattern.match(text, position)
            if not found:
                return None
            if name is not None:
                values[name] = _trim(text[position : found.start()], edge + part.text)
                name = None
            position, edge = found.end(), part.text
        if name is not None:
            values[name] = _trim(text[position:], edge)
            position = len(text)
        return Reading(values, text[position:])


def _pattern(parts: list[Part], type_of: Callable[[str], str], *, to_end: bool) -> str:
    out = []
    for number, part in enumerate(parts):
        if part.name is None:
            out.append(re.escape(part.text))
            continue
        kind = type_of(part.name)
        typed = TYPES[kind]
        if number < len(parts) - 1:
            out.append(f"({typed})")
        elif to_end:
            out.append("(.+)" if kind in WORDY else f"({typed})")
        else:
            out.append(f"({typed})" + (r"(?!\w)" if kind in _CLOSED else r"(?=[,;.]?(?:\s|\Z))"))
    if to_end:
        return "".join(out) + r"\s*\Z"
    return "".join(out) + (_EDGE if parts[-1].name is None else "")


def _loose(literal: str) -> re.Pattern[str]:
    words = _WORD.findall(literal)
    if words:
        return re.compile("[^A-Za-z0-9]{0,4}".join(map(re.escape, words)), re.IGNORECASE)
    return re.compile(re.escape(literal.strip()) if literal.strip() else r"\s+")


def _trim(value: str, neighbours: str) -> str:
    """Take from a value's ends the blanks and the punctuation that its neighbouring words bring along."""
    return value.strip(" \t" + "".join(c for c in neighbours if not c.isalnum()))
