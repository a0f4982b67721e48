"""Id -> entry and text -> entry. What a look-up costs does not depend on how many entries there are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from typing import NamedTuple

from lexilog.matching.tail import TailReader
from lexilog.matching.template import Reading, Template
from lexilog.model import Entry, Frame, Match, Quality

__all__ = ["Index", "Miss"]

# How much of a text is looked at for telling words. The longest documented text has under 300 characters.
_WINDOW = 16_000
# How many words tell a text by themselves, whatever stands between them.
_TELLING = 5
# What may stand at the ends of a text and is no part of it; some senders end a message with NUL.
_BLANKS = " \t\r\n\0"


class Miss(NamedTuple):
    """Why a framed line is no entry: ``unknown_id`` or ``unknown_text``."""

    reason: str


class _Candidate:
    """An entry with everything that reading its lines needs."""

    def __init__(self, entry: Entry) -> None:
        self.entry = entry
        has_tail = entry.tail is not None
        types = {name: variable.type for name, variable in entry.variables.items()}
        templates = [Template(text, types.__getitem__, has_tail=has_tail) for text in entry.formats]
        # The one with more documented text first: what it says is less likely to be part of a value.
        self.templates = sorted(templates, key=lambda template: -template.literal_length)
        self.names = templates[0].names
        self._is_telling = min(len(template.words) for template in templates) >= _TELLING
        self.tail = TailReader(entry.tail.labels) if entry.tail else None

    def by_id(self, frame: Frame) -> Match:
        """Match a line whose id is this entry's."""
        text, data = frame.text.strip(_BLANKS), frame.data or {}
        if not text and frame.data is not None:
            whole = not frame.truncated and all(name in data or f"{name}1" in data for name in self.names)
            return self.match(Quality.EXACT if whole else Quality.ID_ONLY, Reading({}, ""), frame)
        quality, reading = self.read(text) or self._loosely(text) or self._begun(text)
        return self.match(quality, reading, frame)

    def read(self, text: str) -> tuple[Quality, Reading] | None:
        """Read a text as this entry's by its documented words, to the letter."""
        reading = self._first(Template.full, text)
        if reading is None:
            reading = self._first(Template.prefix, text) or self._first(Template.between, text)
        return _graded(reading)

    def read_alone(self, text: str) -> tuple[Quality, Reading] | None:
        """Read a text that no id says to be this entry: few words do not tell it unless each value is of its type."""
        return self.read(text) if self._is_telling else _graded(self._first(Template.typed, text))

    def _loosely(self, text: str) -> tuple[Quality, Reading] | None:
        reading = self._first(Template.loosely, text)
        return (Quality.LOOSE, reading) if reading is not None else None

    def _begun(self, text: str) -> tuple[Quality, Reading]:
        return Quality.ID_ONLY, self._first(Template.begun, text) or Reading({}, "")

    def _first(self, read: Callable[[Template, str], Reading | None], text: str) -> Reading | None:
        for template in self.templates:
            reading = read(template, text)
            if reading is not None:
                return reading
        return None

    def match(self, quality: Quality, reading: Reading, frame: Frame) -> Match:
        """Put together what was read from the text and what the structured data says; the latter is the surer."""
        tail = reading.tail.strip(_BLANKS)
        return Match(
            entry=self.entry,
            quality=quality,
            values={**reading.values, **(frame.data or {})},
            tail=tail or None,
            pairs=self.tail.read(tail) if self.tail and tail else {},
        )


def _graded(reading: Reading | None) -> tuple[Quality, Reading] | None:
    if reading is None:
        return None
    return (Quality.PREFIX if reading.tail.strip(_BLANKS) else Quality.EXACT), reading


class Index:
    """All entries, ready to be looked up.

    Args:
        entries: the entries of all catalogues.
    """

    def __init__(self, entries: Iterable[Entry]) -> None:
        candidates = [_Candidate(entry) for entry in entries]
        self._ids = {(c.entry.frame, c.entry.code): c for c in candidates if c.entry.code is not None}
        self._words = _telling_words(candidates)

    def look_up(self, frame: Frame) -> Match | Miss:
        """Return the entry that a framed line is, or why it is none."""
        if frame.tag is not None:
            candidate = self._ids.get((frame.kind, frame.tag))
            return candidate.by_id(frame) if candidate else Miss("unknown_id")
        return self._by_text(frame) or Miss("unknown_text")

    def _by_text(self, frame: Frame) -> Match | None:
        text = frame.text.strip(_BLANKS)
        best: tuple[tuple[bool, int], _Candidate, Quality, Reading] | None = None
        for word in dict.fromkeys(text[:_WINDOW].split()):
            for candidate in self._words.get(word, ()):
                entry = candidate.entry
                if entry.frame != frame.kind or not _speaks(frame, entry):
                    continue
                found = candidate.read_alone(text)
                if found is None:
                    continue
                quality, reading = found
                rank = (quality is Quality.EXACT, candidate.templates[0].literal_length)
                if best is None or rank > best[0]:
                    best = (rank, candidate, quality, reading)
        return best[1].match(best[2], best[3], frame) if best else None


def _speaks(frame: Frame, entry: Entry) -> bool:
    """Tell whether a line without an id may be this entry's: its daemon's, or no other's in a wrapping that is sure."""
    return frame.process in entry.processes if frame.process is not None else frame.certain


def _telling_words(candidates: Iterable[_Candidate]) -> dict[str, list[_Candidate]]:
    """File each candidate under the rarest literal word of each of its formats.

    A text of that format holds the word for certain, so looking up the words of a line finds every candidate that can
    match, and few others, however many entries there are.
    """
    formats = [(candidate, template.words) for candidate in candidates for template in candidate.templates]
    how_many = Counter(word for _, words in formats for word in set(words))
    filed: dict[str, list[_Candidate]] = {}
    for candidate, words in formats:
        if words:
            rarest = min(words, key=lambda word: (how_many[word], -len(word), word))
            bucket = filed.setdefault(rarest, [])
            if candidate not in bucket:
                bucket.append(candidate)
    return filed
