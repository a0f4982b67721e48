"""Catalogue files -> entries. What a file says once for all its entries is filled into each of them here."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from lexilog.catalog.fields import TYPED, ecs, fields
from lexilog.catalog.schema import EntryKeys, EventKeys, FileKeys, LevelKeys, VariableKeys
from lexilog.catalog.severity import OTEL_NUMBERS
from lexilog.matching.template import parse_format
from lexilog.matching.types import TYPES
from lexilog.model import Entry, Event, Level, Place, Tail, Variable
from lexilog.yaml_document import Document

__all__ = ["Catalog", "load_catalog", "read_catalog"]

# Wrappings in which every vendor writes, so that an id alone says nothing.
_NAMING = ("cef", "leef")
_Located = tuple[str, tuple[str | int, ...]]


class Catalog(msgspec.Struct, frozen=True, kw_only=True):
    """The entries of one catalogue file.

    Attributes:
        name: for example ``juniper_kmd``.
        title: for people.
        version: of the file's content.
        place: the file.
        replaces: catalogues of which entries with the same id give way to this one's.
        entries: in the order of the file.
    """

    name: str
    title: str
    version: str
    place: Place
    replaces: tuple[str, ...] = ()
    entries: tuple[Entry, ...]


def load_catalog(path: Path) -> Catalog:
    """Read one catalogue file.

    Raises:
        CatalogError: the file is not a catalogue; the error names file, line and column.
    """
    return read_catalog(Document(path))


def read_catalog(document: Document) -> Catalog:
    """Make a catalogue of a file that is read already; see `load_catalog`."""
    file = document.convert(FileKeys)
    _check_variables(document, file.variables, "variables")
    for name, tail in file.tails.items():
        _check_variables(document, tail.labels, "tails", name, "labels")
        _check_variables(document, tail.attributes, "tails", name, "attributes")
    for stated, word in file.levels.items():
        if word not in file.severities:
            raise document.error(f"severity '{word}' is not among the file's severities", "levels", stated)
    reader = _Reader(document, file)
    if not file.devices and (named := [frame for frame in reader.frames if frame in _NAMING]):
        problem = (
            f"lines in {named[0]} are told apart by vendor and product; name them as the lines do: "
            "devices: [{vendor: Example, product: Gateway}]"
        )
        raise document.error(problem, "frame")
    seen: dict[str, int] = {}
    entries = []
    for number, raw in enumerate(file.entries):
        if raw.id in seen:
            first = document.line("entries", seen[raw.id], "id")
            raise document.error(f"id '{raw.id}' is already taken in line {first}", "entries", number, "id")
        seen[raw.id] = number
        entries.append(reader.entry(raw, number))
    return Catalog(
        name=file.name,
        title=file.title,
        version=file.version,
        place=Place(document.path, document.line("name")),
        replaces=file.replaces,
        entries=tuple(entries),
    )


class _Reader:
    """Makes entries of the keys of a file."""

    def __init__(self, document: Document, file: FileKeys) -> None:
        self.document = document
        self.file = file
        self.frames = (file.frame,) if isinstance(file.frame, str) else file.frame
        self.levels = _levels(file)
        self.observer = msgspec.structs.asdict(file.observer)
        self.source = msgspec.structs.asdict(file.source)
        self.devices = frozenset((device.vendor.lower(), device.product.lower()) for device in file.devices)

    def entry(self, raw: EntryKeys, number: int) -> Entry:
        """Check an entry and fill in what the file says for all."""
        file, where = self.file, ("entries", number)
        self._check(raw, where)
        tail = file.tails[raw.tail] if raw.tail is not None else None
        declared = {**file.variables, **(tail.attributes if tail else {}), **raw.variables}
        texts = _texts(raw)
        known = self._known(raw, texts, declared, number)
        known |= {name: item for name, item in declared.items() if tail and name in tail.attributes}
        protocol = raw.protocol or file.protocol
        components = [raw.component] if raw.component is not None else file.components
        return Entry(
            catalog=file.name,
            catalog_version=file.version,
            place=Place(self.document.path, self.document.line(*where, "id")),
            id=raw.id,
            code=raw.id if self._is_coded(raw) else None,
            title=raw.title or raw.id,
            formats=tuple(text for text, _ in texts),
            template=raw.template or raw.format,
            variables=_variables(known),
            parameters=raw.parameters,
            levels=self.levels,
            severity=raw.severity,
            facility=raw.facility,
            facility_code=file.facilities[raw.facility] if raw.facility is not None else None,
            facilities=file.facilities,
            categories=raw.categories,
            type=raw.type,
            impact=raw.impact,
            explanation=raw.explanation or "",
            cause=raw.cause or "",
            action=raw.action or "",
            vendor_action=raw.vendor_action,
            event=Event(raw.event.category, raw.event.type, raw.event.action, raw.event.outcome),
            protocol=None if protocol == "none" else protocol,
            phase=None if raw.phase is None else str(raw.phase),
            role=raw.role,
            provenance=raw.provenance,
            diagnostics=raw.diagnostics,
            frames=self.frames,
            devices=self.devices,
            processes=file.processes if raw.processes is None else raw.processes,
            components=frozenset(name.lower() for name in components),
            needs_component=raw.needs_component,
            where={name: frozenset(text.lower() for text in texts) for name, texts in raw.where.items()},
            exact_without_id=file.without_id == "exact",
            tail=Tail(_variables(tail.labels), _variables(tail.attributes)) if tail else None,
            absent=frozenset(file.absent),
            observer=self.observer,
            source=self.source,
            reference=raw.reference or file.reference,
            notes=raw.notes,
            review=raw.review,
        )

    def _is_coded(self, raw: EntryKeys) -> bool:
        """Tell whether lines carry an entry's id."""
        return self.file.coded if raw.coded is None else raw.coded

    def _check(self, raw: EntryKeys, where: tuple[str | int, ...]) -> None:
        """Check what an entry names against what the file declares.

        Raises:
            CatalogError: it names something that is not there.
        """
        document, file = self.document, self.file
        _check_variables(document, raw.variables, *where, "variables")
        _check_event(document, raw.event, *where, "event")
        if raw.severity is not None and raw.severity not in file.severities:
            raise document.error(f"severity '{raw.severity}' is not among the file's severities", *where, "severity")
        if raw.facility is not None and raw.facility not in file.facilities:
            raise document.error(f"facility '{raw.facility}' is not among the file's facilities", *where, "facility")
        if raw.tail is not None and raw.tail not in file.tails:
            raise document.error(f"tail '{raw.tail}' is not among the file's tails", *where, "tail")
        if raw.component is not None and raw.component not in file.components:
            problem = f"component '{raw.component}' is not among the file's components"
            raise document.error(problem, *where, "component")
        known = {**file.variables, **raw.variables}
        for name in raw.where:
            if name not in known:
                raise document.error(f"where: variable '{name}' is not declared", *where, "where", name)
        if raw.format is None and raw.component is None and not self._is_coded(raw):
            raise document.error("has neither a format nor a component, and no line carries its id", *where)

    def _known(
        self, raw: EntryKeys, texts: list[_Located], declared: Mapping[str, VariableKeys], number: int
    ) -> dict[str, VariableKeys]:
        """Return the variables that an entry may have; where values come by name, these are all of the file's."""
        used = _check_formats(self.document, texts, declared, number)
        for at, name in enumerate(raw.parameters):
            if name not in declared:
                raise self.document.error(f"parameter '{name}' is not declared", "entries", number, "parameters", at)
        by_name = self.frames != ("junos",)
        wanted = used | set(raw.variables) | set(raw.parameters)
        return {name: item for name, item in declared.items() if by_name or name in wanted}


def _levels(file: FileKeys) -> dict[str, Level]:
    """Return each severity by its word and by each number or word that a line may have for it, lower case."""
    words = {}
    for word, value in file.severities.items():
        code, otel = (value.code, value.otel) if isinstance(value, LevelKeys) else (value, OTEL_NUMBERS[value])
        words[word] = Level(word, code, otel)
    return {word.lower(): level for word, level in words.items()} | {
        stated.lower(): words[word] for stated, word in file.levels.items()
    }


def _variables(raw: Mapping[str, VariableKeys]) -> dict[str, Variable]:
    return {name: Variable(name, item.type, item.fields, item.absent) for name, item in raw.items()}


def _check_variables(document: Document, variables: Mapping[str, VariableKeys], *where: str | int) -> None:
    for name, variable in variables.items():
        if variable.type not in TYPES:
            known = ", ".join(sorted(TYPES))
            raise document.error(f"type '{variable.type}' is not one of {known}", *where, name, "type")
        for number, field in enumerate(variable.fields):
            if field not in fields():
                raise document.error(f"field '{field}' is not in the field table", *where, name, "fields", number)
            if fields()[field].type not in TYPED:
                problem = f"field '{field}' takes no value of a line: its type is {fields()[field].type}"
                raise document.error(problem, *where, name, "fields", number)


def _texts(raw: EntryKeys) -> list[_Located]:
    """Return every text of an entry, best first, each with its place in the entry."""
    texts: list[_Located] = [(raw.format, ("format",))] if raw.format else []
    texts += [(raw.documented, ("documented",))] if raw.documented else []
    texts += [(text, ("also", at)) for at, text in enumerate(raw.also)]
    return texts


def _check_formats(document: Document, texts: list[_Located], declared: Mapping[str, Any], number: int) -> set[str]:
    """Check that every variable of every text is declared, and return their names."""
    used: set[str] = set()
    for text, where in texts:
        try:
            names = {part.name for part in parse_format(text) if part.name is not None}
        except ValueError as error:
            raise document.error(str(error), "entries", number, *where) from error
        for name in sorted(names - set(declared)):
            raise document.error(f"variable '{name}' is used in the text but not declared", "entries", number, *where)
        used |= names
    return used


def _check_event(document: Document, event: EventKeys, *where: str | int) -> None:
    """Check that ECS allows the category, the type, their combination and the outcome."""
    category = ecs()["event.category"]
    expected = category.expected_types or {}
    for number, value in enumerate(event.category):
        if value not in expected:
            raise document.error(f"ECS has no event.category '{value}'", *where, "category", number)
    for number, value in enumerate(event.type):
        if not any(value in expected[c] for c in event.category):
            names = ", ".join(event.category)
            raise document.error(f"ECS does not expect event.type '{value}' with {names}", *where, "type", number)
    allowed = ecs()["event.outcome"].allowed or ()
    if event.outcome is not None and event.outcome not in allowed:
        raise document.error(f"event.outcome '{event.outcome}' is not one of {', '.join(allowed)}", *where, "outcome")
