"""Catalogue files -> entries. What a file says once for all its entries is filled into each of them here."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from lexilog.catalog._yaml import Document
from lexilog.catalog.fields import TYPED, ecs, fields
from lexilog.matching.template import parse_format
from lexilog.matching.types import TYPES
from lexilog.model import Entry, Event, Tail, Variable

__all__ = ["Catalog", "load_catalog", "shipped_catalogs"]

_ENTRIES = Path(__file__).resolve().parent / "entries"

_Slug = Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$")]
_Name = Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9]+(_[a-z0-9]+)*$")]
_Text = Annotated[str, msgspec.Meta(min_length=1)]
_Located = tuple[str, tuple[str | int, ...]]
_Severity = Annotated[int, msgspec.Meta(ge=0, le=7)]
_Facility = Annotated[int, msgspec.Meta(ge=0, le=23)]


class _Variable(msgspec.Struct, forbid_unknown_fields=True):
    type: str
    fields: tuple[str, ...] = ()


class _Tail(msgspec.Struct, forbid_unknown_fields=True):
    labels: dict[str, _Variable]
    attributes: dict[str, _Variable] = {}


class _Event(msgspec.Struct, forbid_unknown_fields=True):
    category: Annotated[tuple[str, ...], msgspec.Meta(min_length=1)]
    type: Annotated[tuple[str, ...], msgspec.Meta(min_length=1)]
    action: _Slug
    outcome: str | None = None


class _Source(msgspec.Struct, forbid_unknown_fields=True):
    document: _Text
    section: _Text


class _Observer(msgspec.Struct, forbid_unknown_fields=True):
    vendor: _Text
    product: _Text
    type: _Text


class _Entry(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    id: _Text
    format: _Text
    severity: str
    facility: str
    type: Literal["event", "error"]
    impact: Literal["none", "degraded", "down", "security"]
    event: _Event
    explanation: _Text
    cause: _Text
    action: _Text
    title: _Text | None = None
    documented: _Text | None = None
    also: tuple[_Text, ...] = ()
    phase: Literal[1, 2] | None = None
    protocol: Literal["ike", "ipsec", "none"] | None = None
    variables: dict[str, _Variable] = {}
    tail: str | None = None
    notes: tuple[_Text, ...] = ()


class _File(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    format: Literal[1]
    name: _Name
    title: _Text
    version: _Text
    frame: Literal["junos"]
    source: _Source
    observer: _Observer
    severities: dict[str, _Severity]
    facilities: dict[str, _Facility]
    entries: Annotated[list[_Entry], msgspec.Meta(min_length=1)]
    processes: tuple[str, ...] = ()
    protocol: Literal["ike", "ipsec", "none"] = "none"
    absent: tuple[str, ...] = ()
    variables: dict[str, _Variable] = {}
    tails: dict[str, _Tail] = {}


class Catalog(msgspec.Struct, frozen=True):
    """The entries of one catalogue file.

    Attributes:
        name: for example ``juniper_kmd``.
        title: for people.
        version: of the file's content.
        entries: in the order of the file.
    """

    name: str
    title: str
    version: str
    entries: tuple[Entry, ...]


def load_catalog(path: Path) -> Catalog:
    """Read one catalogue file.

    Raises:
        CatalogError: the file is not a catalogue; the error names file, line and column.
    """
    document = Document(path)
    try:
        file = msgspec.convert(document.data, _File)
    except msgspec.ValidationError as error:
        raise document.error_of(str(error)) from error
    _check_variables(document, file.variables, "variables")
    for name, tail in file.tails.items():
        _check_variables(document, tail.labels, "tails", name, "labels")
        _check_variables(document, tail.attributes, "tails", name, "attributes")
    seen: dict[str, int] = {}
    entries = []
    for number, raw in enumerate(file.entries):
        if raw.id in seen:
            first = document.error("", "entries", seen[raw.id], "id").line
            raise document.error(f"id '{raw.id}' is already taken in line {first}", "entries", number, "id")
        seen[raw.id] = number
        entries.append(_entry(document, file, raw, number))
    return Catalog(file.name, file.title, file.version, tuple(entries))


def shipped_catalogs() -> tuple[Catalog, ...]:
    """Return the catalogues that are part of this package, by name.

    Raises:
        CatalogError: a shipped file is damaged.
    """
    return tuple(load_catalog(path) for path in sorted(_ENTRIES.glob("*.yaml")))


def _entry(document: Document, file: _File, raw: _Entry, number: int) -> Entry:
    where = ("entries", number)
    _check_variables(document, raw.variables, *where, "variables")
    _check_event(document, raw.event, *where, "event")
    if raw.severity not in file.severities:
        raise document.error(f"severity '{raw.severity}' is not among the file's severities", *where, "severity")
    if raw.facility not in file.facilities:
        raise document.error(f"facility '{raw.facility}' is not among the file's facilities", *where, "facility")
    tail = None
    if raw.tail is not None:
        if raw.tail not in file.tails:
            raise document.error(f"tail '{raw.tail}' is not among the file's tails", *where, "tail")
        tail = file.tails[raw.tail]
    declared = {**file.variables, **(tail.attributes if tail else {}), **raw.variables}
    texts = _texts(raw)
    names = (
        _check_formats(document, texts, declared, number) | set(raw.variables) | set(tail.attributes if tail else ())
    )
    known = {name: item for name, item in declared.items() if name in names}
    protocol = raw.protocol or file.protocol
    return Entry(
        catalog=file.name,
        catalog_version=file.version,
        id=raw.id,
        code=raw.id,
        title=raw.title or raw.id,
        formats=tuple(text for text, _ in texts),
        template=raw.format,
        variables=_variables(known),
        severity=raw.severity,
        severity_code=file.severities[raw.severity],
        facility=raw.facility,
        facility_code=file.facilities[raw.facility],
        type=raw.type,
        impact=raw.impact,
        explanation=raw.explanation,
        cause=raw.cause,
        action=raw.action,
        event=Event(raw.event.category, raw.event.type, raw.event.action, raw.event.outcome),
        protocol=None if protocol == "none" else protocol,
        phase=None if raw.phase is None else str(raw.phase),
        frame=file.frame,
        processes=file.processes,
        tail=Tail(_variables(tail.labels), _variables(tail.attributes)) if tail else None,
        absent=frozenset(file.absent),
        observer=msgspec.structs.asdict(file.observer),
        source=msgspec.structs.asdict(file.source),
        notes=raw.notes,
    )


def _variables(raw: Mapping[str, _Variable]) -> dict[str, Variable]:
    return {name: Variable(name, item.type, item.fields) for name, item in raw.items()}


def _check_variables(document: Document, variables: Mapping[str, _Variable], *where: str | int) -> None:
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


def _texts(raw: _Entry) -> list[_Located]:
    """Return every text of an entry, best first, each with its place in the entry."""
    texts: list[_Located] = [(raw.format, ("format",))]
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


def _check_event(document: Document, event: _Event, *where: str | int) -> None:
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
