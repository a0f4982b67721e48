"""What is wrong with a catalogue although it loads: what is missing, pasted, ambiguous or still to be reviewed."""

from __future__ import annotations

import re
from collections.abc import Iterable

import msgspec

from lexilog.catalog.load import Catalog
from lexilog.model import Entry, Place

__all__ = ["Problem", "lint"]

_TEXTS = ("explanation", "cause", "action")
# A text longer than this does not fit on a screen beside the rest of a record.
_LONGEST = 700
_SENTENCE_END = re.compile(r"(?<=[.;:])\s+")
# How many words a sentence has that nobody writes twice by chance.
_PASTED = 10


class Problem(msgspec.Struct, frozen=True):
    """Something to put right: where it stands, the entry's id and what is wrong."""

    place: Place
    id: str
    text: str

    def __str__(self) -> str:
        return f"{self.place}: {self.id}: {self.text}"


def lint(catalogs: Iterable[Catalog]) -> list[Problem]:
    """Return what is wrong, in the order of the files."""
    found: list[Problem] = []
    sentences: dict[str, Entry] = {}
    formats: dict[tuple[str, str], Entry] = {}
    for catalog in catalogs:
        for entry in catalog.entries:
            said = [*_incomplete(entry), *_pasted(entry, sentences), *_ambiguous(entry, formats)]
            found += [Problem(entry.place, entry.id, text) for text in said]
    return found


def _incomplete(entry: Entry) -> list[str]:
    said = [f"has no {name}: say it in a sentence or two" for name in _TEXTS if not getattr(entry, name)]
    guessed = (name for name in entry.review if name != "texts")
    said += [f"'{name}' was guessed: look at it, then take it off the entry's review list" for name in guessed]
    for name in _TEXTS:
        text = getattr(entry, name)
        if len(text) > _LONGEST:
            said.append(f"{name} has {len(text)} characters; more than {_LONGEST} do not fit on a screen")
        if text and not text.rstrip().endswith((".", "!", "?", "`", ")")):
            said.append(f"{name} does not end in a full stop: is it cut off?")
    return said


def _pasted(entry: Entry, seen: dict[str, Entry]) -> list[str]:
    said = []
    for name in _TEXTS:
        for sentence in _SENTENCE_END.split(getattr(entry, name)):
            if len(sentence.split()) >= _PASTED and (first := seen.setdefault(sentence, entry)) is not entry:
                said.append(f"a sentence of its {name} stands in {first.id} too ({first.place})")
    return said


def _ambiguous(entry: Entry, seen: dict[tuple[str, str], Entry]) -> list[str]:
    """Say which other entry has the same text, where nothing beside the text tells the two apart."""
    said = []
    for text in entry.formats:
        bare = re.sub(r"\{[^{}]*\}", "{}", text)
        for frame in entry.frames:
            first = seen.setdefault((frame, bare), entry)
            if first is not entry and not (_told_apart(first, entry)):
                said.append(
                    f"has the same text as {first.id} ({first.place}), and nothing tells them apart: add 'where'"
                )
    return said


def _told_apart(one: Entry, other: Entry) -> bool:
    if one.code and other.code and not (one.parameters or other.parameters):
        return True
    apart = one.components and other.components and not one.components & other.components
    devices = one.devices and other.devices and not one.devices & other.devices
    return bool(apart or devices or one.where != other.where or set(one.parameters) != set(other.parameters))
