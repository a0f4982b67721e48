"""One text format of an entry, compiled once: does a text fit it, and which values stand where?

A text is read up to four times, each reading more forgiving than the one before:

1. `Template.full`: the documented words, and every value looks like its type, to the last character.
2. `Template.prefix`: the same, then more text.
3. `Template.between`: the documented words in their order, with types where they help to tell where a value ends.
4. `Template.loosely`: the words in their order, whatever their case, spacing and punctuation.

The first two are regular expressions with bounded repeats; the last two walk through the text once. So the time for a
text of any content grows with its length alone.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

from lexilog.matching.types import CLOSED, TYPES, WORDY

__all__ = ["Part", "Reading", "Stretch", "Template", "find_words", "parse_format", "split_words"]

_TOKEN = re.compile(r"(\{\{|\}\})|\{([^{}]*)\}|([{}])")
_WORD = re.compile(r"[A-Za-z0-9]+")
_NO_BLANK = re.compile(r"\S+")
# What a newer release adds behind a text that ends in a value: a "Name: value" list, and nothing less telling.
_LIST = re.compile(r"[.,;]? [A-Za-z][\w./-]{0,30}(?: [\w./-]{1,30}){0,4}: ")
# Where a documented text ends before a tail.
_EDGE = r"(?=[\s,;:(\[]|\.?(?:\s|\Z))"
# The same characters between the words of a text: what touches a word is no part of it.
_BETWEEN_WORDS = str.maketrans(dict.fromkeys(",;:([.", " "))
# Where a value ends that cannot hold a blank.
_VALUE_EDGE = r"(?=[.,;)\]]?(?:\s|\Z))"


class Part(NamedTuple):
    """A piece of a format: literal text, or the variable `name`."""

    text: str
    name: str | None


class Reading(NamedTuple):
    """What a template found: values by variable name, and what stood after the documented text."""

    values: dict[str, str]
    tail: str


class Stretch(NamedTuple):
    """An open value, if there is one, and the rigid part of the format after it.

    The rigid part is literal text with values whose type tells where they end; `pattern` finds it as a whole.
    """

    name: str | None
    parts: tuple[Part, ...]
    names: tuple[str, ...]
    pattern: re.Pattern[str]


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


def split_words(text: str) -> list[str]:
    """Return the words of a text, by which the formats that it may be are found."""
    return text.translate(_BETWEEN_WORDS).split()


def find_words(text: str) -> list[str]:
    """Return the runs of letters and digits of a literal text: what a loose reading looks for."""
    return _WORD.findall(text)


class Template:
    """A compiled format.

    Args:
        text: the format; see `parse_format`.
        type_of: gives the type of a variable, one of `lexilog.matching.types.TYPES`.
        has_tail: a list is known to follow the text.

    Attributes:
        parts: the format's pieces.
        stretches: the same, cut before each value whose type does not tell where it ends.
        open_end: it ends in such a value.
    """

    def __init__(self, text: str, type_of: Callable[[str], str], *, has_tail: bool = False) -> None:
        self.text = text
        self.parts = parse_format(text)
        self.names = tuple(part.name for part in self.parts if part.name is not None)
        self.literal_length = sum(len(part.text) for part in self.parts)
        self.has_tail = has_tail
        last = self.parts[-1].name
        self.open_end = last is not None and type_of(last) not in CLOSED
        self._full = re.compile(_pattern(self.parts, type_of, to_end=True), re.DOTALL)
        self._prefix = re.compile(_pattern(self.parts, type_of, to_end=False), re.DOTALL)
        self.stretches = _stretches(self.parts, type_of)
        self._at_end = re.compile(self.stretches[-1].pattern.pattern + r"\s*\Z", re.DOTALL)
        self._loose = [
            _loose(part.text, is_last=part is self.parts[-1]) if part.name is None else None for part in self.parts
        ]

    @property
    def words(self) -> tuple[str, ...]:
        """The literal words that stand by themselves in every text of this format."""
        marked = "".join(part.text if part.name is None else "\0" for part in self.parts)
        return tuple(word for word in split_words(marked) if "\0" not in word)

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
        if self.open_end and not _LIST.match(tail):
            return None
        return Reading(dict(zip(self.names, found.groups(), strict=True)), tail)

    def typed(self, text: str) -> Reading | None:
        """Read a text like `between`, but addresses, ports, numbers and roles must be such."""
        reading, whole = self._between(text, typed=True)
        return reading if whole else None

    def between(self, text: str) -> Reading | None:
        """Read a text that has this format's words in their order, whatever stands between them."""
        reading, whole = self._between(text, typed=False)
        return reading if whole else None

    def begun(self, text: str) -> Reading | None:
        """Read a text that breaks off: the values up to the last documented word that is there."""
        reading, _ = self._between(text, typed=False)
        return reading if reading.values else None

    def _between(self, text: str, *, typed: bool) -> tuple[Reading, bool]:
        """Return what is read, and whether all documented words are there."""
        values: dict[str, str] = {}
        # A blank at the end of the line may have gone; a text that ends in an empty value still has its last word.
        padded, position = f"{text} ", 0
        for number, stretch in enumerate(self.stretches):
            found = self._find(stretch, padded, position, last=number == len(self.stretches) - 1)
            if found:
                start, end, inner = found.start(), found.end(), dict(zip(stretch.names, found.groups(), strict=True))
            elif typed:
                return Reading(values, ""), False
            else:
                start, end, inner, whole = _find_words(stretch, padded, position)
                if not whole:
                    if stretch.name is not None and start >= 0:
                        values[stretch.name] = padded[position:start]
                    return Reading(values | inner, ""), False
            if stretch.name is not None:
                values[stretch.name] = padded[position : min(start, len(text))]
            values |= inner
            position = end
        return Reading(values, text[position:]), True

    def _find(self, stretch: Stretch, text: str, position: int, *, last: bool) -> re.Match[str] | None:
        """Find a stretch: the first one where it begins the text; the last one at the end of the text, if it can be."""
        if stretch.name is None:
            return stretch.pattern.match(text, position)
        if last and not self.has_tail:
            return self._at_end.search(text, position) or stretch.pattern.search(text, position)
        return stretch.pattern.search(text, position)

    def loosely(self, text: str) -> Reading | None:
        """Read a text that has this format's words in their order, whatever their case, spacing and punctuation."""
        values: dict[str, str] = {}
        position, name, edge = 0, None, ""
        for part, pattern in zip(self.parts, self._loose, strict=True):
            if pattern is None:
                name = part.name
                position += len(text) - position - len(text[position:].lstrip())
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
        out.append("(.+)" if to_end and number == len(parts) - 1 and kind in WORDY else f"({TYPES[kind]})")
    if to_end:
        return "".join(out) + r"\s*\Z"
    return "".join(out) + (_EDGE if parts[-1].name is None else _VALUE_EDGE)


def _stretches(parts: list[Part], type_of: Callable[[str], str]) -> list[Stretch]:
    """Cut a format before each value whose type does not tell where it ends."""
    cut: list[tuple[str | None, list[Part]]] = [(None, [])]
    for part in parts:
        if part.name is not None and type_of(part.name) not in CLOSED:
            cut.append((part.name, []))
        else:
            cut[-1][1].append(part)
    if not cut[0][1]:
        del cut[0]
    stretches = []
    for number, (name, rigid) in enumerate(cut):
        text = "".join(re.escape(p.text) if p.name is None else f"({TYPES[type_of(p.name)]})" for p in rigid)
        if number == len(cut) - 1:
            text += (_EDGE if rigid[-1].name is None else _VALUE_EDGE) if rigid else r"\Z"
        names = tuple(p.name for p in rigid if p.name is not None)
        stretches.append(Stretch(name, tuple(rigid), names, re.compile(text, re.DOTALL)))
    return stretches


def _find_words(stretch: Stretch, text: str, position: int) -> tuple[int, int, dict[str, str], bool]:
    """Find the literal texts of a stretch one after the other, whatever stands between them.

    Returns:
        Where the first one begins (-1: nowhere), where the last one ends, the values between them, and whether all
        are there.
    """
    start, values, name = -1, dict[str, str](), None
    for part in stretch.parts:
        if part.name is not None:
            name = part.name
            continue
        at = text.find(part.text, position)
        if at < 0 or (start < 0 and stretch.name is None and name is None and at != position):
            return start, position, values, False
        if part.text == ":" and name is not None:
            at = _last_colon(text, position, at)
        if start < 0:
            start = at
        if name is not None:
            values[name] = text[position:at]
            name = None
        position = at + len(part.text)
    if name is not None:
        values[name] = text[position:].rstrip(" ")
        position = len(text)
    return (position if start < 0 else start), position, values, True


def _last_colon(text: str, position: int, first: int) -> int:
    """Return where the colon between an address and a port stands: the last one of the word, if anything follows it."""
    word = _NO_BLANK.match(text, position)
    last = text.rfind(":", position, word.end() - 1) if word else -1
    return max(first, last)


def _loose(literal: str, *, is_last: bool) -> re.Pattern[str]:
    words = find_words(literal)
    if words:
        return re.compile("[^A-Za-z0-9]{0,8}".join(map(re.escape, words)), re.IGNORECASE)
    # Mere punctuation at the end may be missing.
    return re.compile(re.escape(literal.strip()) + (r"|\Z" if is_last else "") if literal.strip() else r"\s+")


def _trim(value: str, neighbours: str) -> str:
    """Take from a value's ends the blanks and the punctuation that its neighbouring words bring along."""
    return value.strip(" \t" + "".join(c for c in neighbours if not c.isalnum()))
