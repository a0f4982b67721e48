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

# How many characters of an unfinished text are more than a coincidence.
_TELLING = 4
# What a value of a type is called where one is missing.
_WORDY = re.compile(r"[A-Za-z]{2}(?![^{}]*\})")
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
        wanted: what would have had to stand there; None where the whole text is the entry's.
        against: what else keeps the line from being it.
    """

    entry: Entry
    format: str
    position: int
    wanted: str | None
    against: tuple[str, ...]


class Explanation(msgspec.Struct, frozen=True):
    """What was found out about a line.

    Attributes:
        match: the match, or why there is none.
        format: the text of the entry that has most in common with the line; None where none has anything.
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
    # What is recognised is read as forgivingly as it was matched: a value need not look like its type.
    read = [(_walk(text, frame.text, own, typed=False), text) for text in own.formats] if own else []
    walk, format_ = max(read, key=lambda item: item[0].common, default=(_Walk([], 0, None), ""))
    others = (entry for entry in entries if entry is not own)
    near = [_compared(frame, entry, text) for entry in others for text in entry.formats if _WORDY.search(text)]
    nearest = max(
        (item for item in near if item[0][0] or item[0][1] >= _TELLING), key=lambda item: item[0], default=None
    )
    return Explanation(match, format_ if walk.common else None, tuple(walk.words), nearest[1] if nearest else None)


def _compared(frame: Frame, entry: Entry, format_: str) -> tuple[tuple[bool, int, bool], Nearest]:
    """Compare a line with a format.

    Returns:
        How near they are (the whole text is there, how many characters of it, nothing else is against it), and what
        stands between them.
    """
    walk = _walk(format_, frame.text, entry, typed=True)
    against = tuple(reasons_against(entry, frame))
    rank = (walk.wanted is None, walk.common, not against)
    return rank, Nearest(entry, format_, walk.position, walk.wanted, against)


def _walk(format_: str, text: str, entry: Entry, *, typed: bool) -> _Walk:
    """Read a text along a format as far as it goes."""
    walk, name = _Walk([], 0, None), None
    for part in parse_format(format_):
        if part.name is not None:
            name = part.name
            kind = entry.variables[name].type
            if kind in CLOSED:
                value = re.compile(TYPES[kind]).match(text, walk.position)
                if value is None and typed:
                    walk.wanted = f"{_NAMES[kind]} for {{{name}}}"
                    return walk
                walk.position = value.end() if value else walk.position
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
