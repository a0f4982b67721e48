"""Why a framed line is the entry that it is, and why it is not the next nearest one."""

from __future__ import annotations

import re
from collections.abc import Iterable

import msgspec

from lexilog.matching.index import Index, Miss, reasons_against
from lexilog.matching.template import Part, parse_format
from lexilog.matching.types import CLOSED, TYPES
from lexilog.model import Entry, Frame, Match

__all__ = ["Explanation", "Nearest", "explain"]

# What a value of a type is called where one is missing.
_NAMES = {
    "address": "an IP address",
    "boolean": "yes or no",
    "credential": "user or token",
    "integer": "a number",
    "port": "a port number",
    "role": "initiator or responder",
    "seconds": "a number of seconds",
}


class Nearest(msgspec.Struct, frozen=True):
    """The entry that a line is not, but comes closest to.

    Attributes:
        entry: the entry.
        format: the text of it that comes closest.
        position: where in the frame's text the two part.
        wanted: what would have had to stand there, or what else is against it.
    """

    entry: Entry
    format: str
    position: int
    wanted: str


class Explanation(msgspec.Struct, frozen=True):
    """What was found out about a line.

    Attributes:
        match: the match, or why there is none.
        format: the text of the entry that the line was read by; None where its id or its data alone told.
        words: start and end of the documented words in the frame's text.
        nearest: the next nearest entry, if any other has anything in common with the line.
    """

    match: Match | Miss
    format: str | None
    words: tuple[tuple[int, int], ...]
    nearest: Nearest | None


class _Walk(msgspec.Struct):
    """How far a text goes along with a format."""

    words: list[tuple[int, int]]
    position: int
    wanted: str | None

    @property
    def common(self) -> int:
        """How many documented characters the text has."""
        return sum(end - start for start, end in self.words)


def explain(frame: Frame, entries: Iterable[Entry]) -> Explanation:
    """Explain a framed line; every entry is compared with it, so this is for people and not for a stream."""
    entries = list(entries)
    match = Index(entries).look_up(frame)
    own = match.entry if isinstance(match, Match) else None
    text, best, words, read_by = frame.text, None, [(0, 0)][:0], None
    for entry in entries:
        for format_ in entry.formats:
            walk = _walk(format_, text, entry)
            if entry is own:
                if walk.common > sum(end - start for start, end in words):
                    words, read_by = walk.words, format_
            elif walk.common and (best is None or _rank(walk, entry, frame) > best[0]):
                best = (_rank(walk, entry, frame), walk, entry, format_)
    return Explanation(match, read_by, tuple(words), _nearest(frame, *best[1:]) if best else None)


def _rank(walk: _Walk, entry: Entry, frame: Frame) -> tuple[bool, int, bool]:
    """Return how near an entry is: its text is there, how many characters of it, nothing else is against it."""
    return walk.wanted is None, walk.common, not reasons_against(entry, frame)


def _nearest(frame: Frame, walk: _Walk, entry: Entry, format_: str) -> Nearest:
    against = reasons_against(entry, frame)
    if walk.wanted is None:
        return Nearest(
            entry, format_, walk.position, "; ".join(against) or "another entry has more of this line's words"
        )
    return Nearest(entry, format_, walk.position, "; ".join([walk.wanted, *against]))


def _walk(format_: str, text: str, entry: Entry) -> _Walk:
    """Read a text along a format as far as it goes."""
    walk, name = _Walk([], 0, None), None
    for part in parse_format(format_):
        if part.name is not None:
            name = part.name
            kind = entry.variables[name].type
            if kind in CLOSED:
                value = re.compile(TYPES[kind]).match(text, walk.position)
                if value is None:
                    walk.wanted = f"{_NAMES[kind]} for {{{name}}}"
                    return walk
                walk.position = value.end()
            continue
        at = walk.position
        if name is not None and not text.startswith(part.text, at):
            at = text.find(part.text, at)
        if at < 0 or not text.startswith(part.text, at):
            return _parted(walk, part, name, text)
        walk.words.append((at, at + len(part.text)))
        walk.position, name = at + len(part.text), None
    if name is not None:
        walk.position = len(text)
    return walk


def _parted(walk: _Walk, part: Part, name: str | None, text: str) -> _Walk:
    """End a walk at a literal that is not there; as much of it as there is counts."""
    same = 0
    for ours, theirs in zip(part.text, text[walk.position :], strict=False):
        if ours != theirs:
            break
        same += 1
    if name is not None and not same:
        walk.wanted = f"'{part.text.strip()}' after {{{name}}}"
        return walk
    if same:
        walk.words.append((walk.position, walk.position + same))
    walk.position += same
    walk.wanted = f"'{part.text[same:]}'"
    return walk
