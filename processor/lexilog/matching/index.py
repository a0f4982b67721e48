"""Id -> entry and text -> entry. What a look-up costs does not depend on how many entries there are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import NamedTuple

from lexilog.matching.family import Families, device_of
from lexilog.matching.tail import TailReader
from lexilog.matching.template import Reading, Template, split_words
from lexilog.model import Entry, Frame, Match, Quality, UnknownId

__all__ = ["Candidate", "Index", "Miss", "frame_kinds", "reasons_against"]

# How much of a text is looked at for telling words. The longest documented text has under 300 characters.
_WINDOW = 16_000
# How many words tell a text by themselves, whatever stands between them.
_TELLING = 5
# What may stand at the ends of a text and is no part of it; some senders end a message with NUL.
_BLANKS = " \t\r\n\0"
_NOTHING = Reading({}, "")


class Miss(NamedTuple):
    """Why a framed line is no entry.

    Attributes:
        reason: ``unknown_id`` or ``unknown_text``.
        unknown: its id, where that is of a catalogue's family.
    """

    reason: str
    unknown: UnknownId | None = None


class _Read(NamedTuple):
    """What was read of a text, by which template, and how well."""

    template: Template
    reading: Reading
    quality: Quality


class _Found(NamedTuple):
    """A candidate that reads a text, and what it read."""

    candidate: Candidate
    read: _Read

    @property
    def rank(self) -> tuple[bool, int, bool]:
        """What makes one find better than another."""
        exact = self.read.quality is Quality.EXACT
        return exact, self.read.template.literal_length, bool(self.candidate.entry.where)


class Candidate:
    """An entry with everything that reading its lines needs.

    Attributes:
        entry: the entry.
        kinds: the kinds of frame that its lines may be in.
        templates: its formats, the one with the most documented text first.
        names: the variables that a line without a text must have to be whole.
        is_telling: its text alone tells it, whatever the values are.
        tail: reads the list that may follow its text.
    """

    def __init__(self, entry: Entry) -> None:
        self.entry = entry
        self.kinds = frame_kinds(entry)
        has_tail = entry.tail is not None
        types = {name: variable.type for name, variable in entry.variables.items()}
        templates = [Template(text, types.__getitem__, has_tail=has_tail) for text in entry.formats]
        # The one with more documented text first: what it says is less likely to be part of a value.
        self.templates = sorted(templates, key=lambda template: -template.literal_length)
        self.names = entry.parameters or (self.templates[0].names if templates else ())
        self.is_telling = min((len(template.words) for template in templates), default=0) >= _TELLING
        self.tail = TailReader(entry.tail.labels) if entry.tail else None

    def fits(self, frame: Frame) -> bool:
        """Tell whether device, component and named values of a line are this entry's."""
        entry = self.entry
        return _fits_device(entry, frame) and _fits_component(entry, frame) and not _unfit_values(entry, frame)

    def by_id(self, frame: Frame) -> Match:
        """Match a line whose id is this entry's."""
        text, data = frame.text.strip(_BLANKS), frame.data or {}
        if not text and frame.data is not None:
            whole = not frame.truncated and all(name in data or f"{name}1" in data for name in self.names)
            return self.match(Quality.EXACT if whole else Quality.ID_ONLY, _NOTHING, frame)
        read = self.read(text) or self._first(Template.loosely, text, Quality.LOOSE)
        read = read or self._first(Template.begun, text, Quality.ID_ONLY)
        return self.match(read.quality, read.reading, frame) if read else self.match(Quality.ID_ONLY, _NOTHING, frame)

    def read(self, text: str) -> _Read | None:
        """Read a text as this entry's by its documented words, to the letter."""
        for way in (Template.full, Template.prefix, Template.between):
            read = self._first(way, text)
            if read is not None:
                return read
        return None

    def read_alone(self, text: str) -> _Read | None:
        """Read a text that no id says to be this entry: few words do not tell it unless each value is of its type."""
        if self.entry.exact_without_id:
            return self._first(Template.full, text)
        return self.read(text) if self.is_telling else self._first(Template.typed, text)

    def _first(
        self, way: Callable[[Template, str], Reading | None], text: str, quality: Quality | None = None
    ) -> _Read | None:
        """Read a text by the first template that can; without a quality, what is left over tells how well it fits."""
        for template in self.templates:
            reading = way(template, text)
            if reading is not None:
                whole = Quality.PREFIX if reading.tail.strip(_BLANKS) else Quality.EXACT
                return _Read(template, reading, quality or whole)
        return None

    def match(self, quality: Quality, reading: Reading, frame: Frame, others: tuple[str, ...] = ()) -> Match:
        """Put together what was read from the text and what came by name; the latter is the surer."""
        tail = reading.tail.strip(_BLANKS)
        return Match(
            entry=self.entry,
            quality=quality,
            values={**reading.values, **(frame.data or {})},
            tail=tail or None,
            pairs=self.tail.read(tail) if self.tail and tail else {},
            level=self.entry.level(frame.level),
            candidates=others,
        )


def _lower(text: str | None) -> str:
    return (text or "").lower()


class Index:
    """All entries, ready to be looked up.

    Args:
        entries: the entries of all catalogues.

    Attributes:
        ids: the entries of an id, by kind of frame and id.
        words: the entries of a word that tells their texts.
        wordless: by kind of frame and component, those whose text has no word of its own.
        components: by kind of frame and component, those that tell what the component is.
        texts: the kinds of frame in which a line with an id that nobody knows may be told by its text.
    """

    def __init__(self, entries: Iterable[Entry]) -> None:
        candidates = [Candidate(entry) for entry in entries]
        self.ids: dict[tuple[str, str], list[Candidate]] = {}
        self.wordless: dict[tuple[str, str], list[Candidate]] = {}
        self.components: dict[tuple[str, str], list[Candidate]] = {}
        for candidate in candidates:
            entry = candidate.entry
            for kind in candidate.kinds:
                if entry.code is not None:
                    self.ids.setdefault((kind, entry.code), []).append(candidate)
                for component in entry.components:
                    if entry.code is None and not entry.formats:
                        self.components.setdefault((kind, component), []).append(candidate)
                    elif any(not template.words for template in candidate.templates):
                        self.wordless.setdefault((kind, component), []).append(candidate)
        self.words = _telling_words(candidates)
        self._families = Families((candidate.entry, candidate.kinds) for candidate in candidates)
        # Where every entry has an id of its own, a line with another id needs no look at its text.
        self.texts = {kind for c in candidates if c.entry.code is None for kind in c.kinds}

    def look_up(self, frame: Frame) -> Match | Miss:
        """Return the entry that a framed line is, or why it is none."""
        known = self.ids.get((frame.kind, frame.tag), ()) if frame.tag is not None else ()
        for candidate in known:
            if candidate.fits(frame):
                return candidate.by_id(frame)
        by_text = self._by_text(frame) if frame.tag is None or frame.kind in self.texts else None
        if match := by_text or self._by_component(frame):
            return match
        if frame.tag is None:
            return Miss("unknown_text")
        return Miss("unknown_id", None if known else self._families.find(frame))

    def _by_text(self, frame: Frame) -> Match | None:
        text = frame.text.strip(_BLANKS)
        best: list[_Found] = []
        for candidate in self._candidates(frame, text):
            entry = candidate.entry
            if frame.kind not in candidate.kinds or (frame.tag is not None and entry.code is not None):
                continue
            if not (_speaks(frame, entry) and candidate.fits(frame)):
                continue
            read = candidate.read_alone(text)
            if read is None:
                continue
            found = _Found(candidate, read)
            if not best or found.rank > best[0].rank:
                best = [found]
            elif found.rank == best[0].rank and candidate is not best[0].candidate:
                best.append(found)
        if not best:
            return None
        if len(best) > 1:
            best = _by_parameters(best, frame.data or {})
        candidate, read = best[0]
        quality = Quality.ID_ONLY if frame.truncated else read.quality
        return candidate.match(quality, read.reading, frame, _named(best) if len(best) > 1 else ())

    def _candidates(self, frame: Frame, text: str) -> Iterator[Candidate]:
        """Yield every entry that has the line's words, each once."""
        seen = set()
        for word in dict.fromkeys(split_words(text[:_WINDOW])):
            for candidate in self.words.get(word, ()):
                if id(candidate) not in seen:
                    seen.add(id(candidate))
                    yield candidate
        if frame.component is not None and text:
            wordless = self.wordless.get((frame.kind, frame.component.lower()), ())
            yield from (candidate for candidate in wordless if id(candidate) not in seen)

    def _by_component(self, frame: Frame) -> Match | None:
        """Return what is known of a component whose message is not known."""
        if frame.component is None:
            return None
        for candidate in self.components.get((frame.kind, frame.component.lower()), ()):
            if candidate.fits(frame):
                return candidate.match(Quality.ID_ONLY, _NOTHING, frame)
        return None


def _named(found: list[_Found]) -> tuple[str, ...]:
    """Return the ids of several entries, with their catalogues where they are from more than one."""
    entries = [item.candidate.entry for item in found]
    several = len({entry.catalog for entry in entries}) > 1
    return tuple(sorted(f"{entry.catalog}/{entry.id}" if several else entry.id for entry in entries))


def frame_kinds(entry: Entry) -> tuple[str, ...]:
    """Return the kinds of frame that an entry's lines may be in; many a syslog header reads like one of Junos."""
    return (*entry.frames, "junos") if "syslog" in entry.frames else entry.frames


def reasons_against(entry: Entry, frame: Frame) -> list[str]:
    """Say in words what but its text keeps a line from being an entry; nothing where the text alone decides."""
    said = []
    if frame.kind not in frame_kinds(entry):
        said.append(f"its lines come in {' or '.join(entry.frames)}, this one is {frame.kind}")
    elif frame.tag is not None and entry.code not in (None, frame.tag):
        said.append(f"the line's own id is {frame.tag}")
    elif frame.tag is None and not _speaks(frame, entry):
        said.append(f"its process is {' or '.join(entry.processes) or 'not known'}, not {frame.process or 'none'}")
    if not _fits_device(entry, frame):
        said.append(f"its device is {' or '.join('|'.join(device) for device in sorted(entry.devices))}")
    if not _fits_component(entry, frame):
        said.append(f"its component is {' or '.join(sorted(entry.components))}, not {frame.component or 'none'}")
    said += [f"{name} must be one of {sorted(entry.where[name])}" for name in _unfit_values(entry, frame)]
    return said


def _fits_device(entry: Entry, frame: Frame) -> bool:
    return not entry.devices or device_of(frame) in entry.devices


def _fits_component(entry: Entry, frame: Frame) -> bool:
    if frame.component is None:
        return not entry.needs_component
    return not entry.components or frame.component.lower() in entry.components


def _unfit_values(entry: Entry, frame: Frame) -> list[str]:
    data = frame.data or {}
    return [name for name, texts in entry.where.items() if _lower(data.get(name)) not in texts]


def _by_parameters(found: list[_Found], data: Mapping[str, str]) -> list[_Found]:
    """Choose between entries with one text by the names that come beside it: the most documented, the fewest others."""

    def score(item: _Found) -> int:
        documented = set(item.candidate.entry.parameters)
        return len(documented & data.keys()) - len(documented - data.keys())

    best = max(map(score, found))
    return sorted((item for item in found if score(item) == best), key=lambda item: item.candidate.entry.id)


def _speaks(frame: Frame, entry: Entry) -> bool:
    """Tell whether a line without an id may be this entry's: its daemon's, or no other's in a wrapping that is sure.

    A wrapping that is the vendor's own says all that is needed.
    """
    if frame.kind not in ("junos", "syslog"):
        return True
    return frame.process in entry.processes if frame.process is not None else frame.certain


def _telling_words(candidates: Iterable[Candidate]) -> dict[str, list[Candidate]]:
    """File each candidate under the rarest literal word of each of its formats.

    A text of that format holds the word for certain, so looking up the words of a line finds every candidate that can
    match, and few others, however many entries there are.
    """
    formats = [(candidate, template.words) for candidate in candidates for template in candidate.templates]
    how_many = Counter(word for _, words in formats for word in set(words))
    filed: dict[str, list[Candidate]] = {}
    for candidate, words in formats:
        if words:
            rarest = min(words, key=lambda word: (how_many[word], -len(word), word))
            bucket = filed.setdefault(rarest, [])
            if candidate not in bucket:
                bucket.append(candidate)
    return filed
