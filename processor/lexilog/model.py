"""What walks through the rooms: plain, frozen values, without protobuf and without I/O.

Text is ``str``. A byte that is not valid UTF-8 travels as a lone surrogate (PEP 383, ``surrogateescape``), so that
nothing is lost on the way; `lexilog.enrich.escape` says how such bytes leave.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

__all__ = [
    "Enriched",
    "Entry",
    "Event",
    "Frame",
    "Level",
    "Match",
    "Outcome",
    "Place",
    "Quality",
    "Record",
    "Tail",
    "UnknownId",
    "Variable",
]


class Place(NamedTuple):
    """Where something stands: a file and a line of it, counted from 1."""

    path: Path
    line: int

    def __str__(self) -> str:
        return f"{self.path}:{self.line}"


class Level(NamedTuple):
    """A severity: the vendor's word, the syslog code 0 to 7 and the OpenTelemetry SeverityNumber that it stands for."""

    word: str
    code: int
    otel: int


class Quality(StrEnum):
    """How well a line fits what the catalogue knows (``lexilog.match.quality``)."""

    EXACT = "exact"
    PREFIX = "prefix"
    LOOSE = "loose"
    ID_ONLY = "id_only"
    NONE = "none"


class Outcome(StrEnum):
    """What became of a record; each one is counted under exactly one of these."""

    MATCHED = "matched"
    UNKNOWN = "unknown"
    ERROR = "error"


class UnknownId(NamedTuple):
    """An id that is not in the catalogue to whose family it belongs: there is an entry to be written."""

    catalog: str
    id: str


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """One record as it came in.

    Attributes:
        line: the log line, without its line ending; None when the record holds no line.
        fields: what the agent had already set, as it came.
        line_key: the key of `fields` under which the line stood, if it stood there.
        time: when the agent says that the event happened or was read, in UTC.
        columns: names of the columns, where the line is a row of a table whose head the door has seen.
        origin: whatever the door received, opaque to every room; a relay of the same protocol hands it on.
        id: its stable id (``event.id``): the same batch sent again has the same ids, and no two records share one.
        problem: what the door could not read of it; the record passes as it came, and says so.
    """

    line: str | None
    fields: Mapping[str, Any] = {}
    line_key: str | None = None
    time: datetime | None = None
    columns: tuple[str, ...] = ()
    origin: object = None
    id: str | None = None
    problem: str | None = None

    @classmethod
    def from_map(cls, fields: Mapping[str, Any], keys: Iterable[str], **rest: Any) -> Record:
        """Return the record that a map is.

        Args:
            fields: the map.
            keys: where the line may stand in it; the first that holds text counts.
            **rest: the other attributes.
        """
        key = next((key for key in keys if isinstance(fields.get(key), str)), None)
        line = fields[key] if key is not None else None
        return cls(line=line, fields=fields, line_key=key, **rest)


class Frame(msgspec.Struct, frozen=True, kw_only=True):
    """What wraps the human part of a line.

    Attributes:
        kind: which wrapping it is, for example ``junos``.
        text: the human part: what follows the header, the tag and the structured data. Empty in the brief form.
        body: everything after the header, structured data included.
        tag: the vendor's message id, if the line carries one.
        time: the device's time in UTC.
        pri: the syslog PRI, 0 to 191.
        version: the RFC 5424 version number.
        severity: the syslog severity code, 0 to 7, that the header names in words or digits.
        facility: the facility word that the header names, lower case.
        hostname: the device, as the header names it.
        vendor: the vendor, as the wrapping names it, or the only one that uses it.
        product: the product, likewise.
        component: the part of the product that speaks, as the wrapping names it: subsystem, category or facility.
        level: the severity in the vendor's own word or number, as the wrapping states it.
        process: the daemon.
        pid: its process id.
        location: slot or node that stands before the process.
        data: the values that the device itself wrote by name, unescaped: structured data, extensions, key=value pairs,
            leaves of JSON; None where there are none.
        elements: all structured data by SD-ID.
        truncated: the data is cut off.
        certain: the wrapping alone proves the vendor, so that a text may be recognised without a process.
    """

    kind: str
    text: str
    body: str
    tag: str | None = None
    time: datetime | None = None
    pri: int | None = None
    version: int | None = None
    severity: int | None = None
    facility: str | None = None
    hostname: str | None = None
    vendor: str | None = None
    product: str | None = None
    component: str | None = None
    level: str | None = None
    process: str | None = None
    pid: int | None = None
    location: str | None = None
    data: Mapping[str, str] | None = None
    elements: Mapping[str, Mapping[str, str]] = {}
    truncated: bool = False
    certain: bool = False


class Variable(msgspec.Struct, frozen=True):
    """One variable of a message.

    Attributes:
        name: the vendor's own name.
        type: what its text looks like; one of `lexilog.matching.types.TYPES`.
        fields: the fields that take its typed value.
        absent: texts that mean "there is none" for this variable.
    """

    name: str
    type: str
    fields: tuple[str, ...] = ()
    absent: tuple[str, ...] = ()


class Tail(msgspec.Struct, frozen=True):
    """The ``Name: value, Name: value`` list that follows a documented text.

    Attributes:
        labels: the names as printed.
        attributes: the same facts as structured data names them.
    """

    labels: Mapping[str, Variable]
    attributes: Mapping[str, Variable]


class Event(msgspec.Struct, frozen=True):
    """The ECS classification of an entry: category and type are ECS values, action is our stable slug."""

    category: tuple[str, ...]
    type: tuple[str, ...]
    action: str
    outcome: str | None = None


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One message of a catalogue, with all that its file says for every entry already filled in.

    Attributes:
        catalog: name of the catalogue, for example ``juniper_kmd``.
        catalog_version: its version; an overlay that changed this entry is named behind a ``+``.
        place: where the entry stands.
        id: the vendor's id, else a slug; unique in the catalogue.
        code: the vendor's id; None where the vendor has none.
        title: the vendor's own name of the message.
        formats: the texts to recognise, best first; ``{name}`` stands for a variable. Empty for an entry that tells
            what a component is whose messages are not known.
        template: the format as shown to people.
        variables: every variable that may occur, by name.
        parameters: the variables that are documented to come by name, beside the text.
        levels: the severities of the vendor, by lower-case word and by the number that a line may carry.
        severity: the vendor's word; None where only the line tells.
        facility: the vendor's word.
        facility_code: the syslog facility number 0 to 23.
        facilities: every facility word of the vendor, and its number.
        categories: the vendor's log categories.
        type: ``event`` or ``error``, as the vendor says.
        impact: our own second opinion: ``none``, ``degraded``, ``down`` or ``security``.
        explanation: what happened; this and the next two are empty in a draft.
        cause: why, most likely first.
        action: what to check first.
        vendor_action: what the device itself did.
        event: the ECS classification.
        protocol: ``ike``, ``ipsec`` or None.
        phase: IKE phase, ``1`` or ``2``.
        role: ``initiator`` or ``responder``, where the text itself tells the device's role.
        provenance: ``documented``, or ``observed`` for a message that lines have and the document has not.
        diagnostics: it is logged only where diagnostics are switched on.
        frames: the kinds of frame in which the entry may be recognised.
        devices: vendor and product, lower case, as such a frame names them; empty where it names none.
        processes: the daemons whose lines may be recognised by text alone.
        components: the components, lower case, that may have written it; empty where it does not matter.
        needs_component: a line that names no component is not this message.
        where: of several entries with one text the one whose named values are among these, lower case.
        exact_without_id: a line without an id is this entry only if it has its whole text and nothing more.
        tail: the list that may follow the text.
        absent: values that mean "there is none".
        observer: vendor, product and type of the device.
        source: where the facts come from: document and section.
        reference: address of the vendor's own page.
        notes: known errors of that document.
        review: what of a draft a person has still to look at.
    """

    catalog: str
    catalog_version: str
    place: Place
    id: str
    code: str | None
    title: str
    formats: tuple[str, ...]
    template: str | None
    variables: Mapping[str, Variable]
    parameters: tuple[str, ...]
    levels: Mapping[str, Level]
    severity: str | None
    facility: str | None
    facility_code: int | None
    facilities: Mapping[str, int | None]
    categories: tuple[str, ...]
    type: str | None
    impact: str
    explanation: str
    cause: str
    action: str
    vendor_action: str | None
    event: Event
    protocol: str | None
    phase: str | None
    role: str | None
    provenance: str
    diagnostics: bool
    frames: tuple[str, ...]
    devices: frozenset[tuple[str, str]]
    processes: tuple[str, ...]
    components: frozenset[str]
    needs_component: bool
    where: Mapping[str, frozenset[str]]
    exact_without_id: bool
    tail: Tail | None
    absent: frozenset[str]
    observer: Mapping[str, str]
    source: Mapping[str, str]
    reference: str | None = None
    notes: tuple[str, ...] = ()
    review: tuple[str, ...] = ()

    def level(self, stated: str | None = None) -> Level | None:
        """Return the severity that a line states, else that of the catalogue, if either is known.

        Args:
            stated: the vendor's word or number in the line.
        """
        found = self.levels.get(stated.lower()) if stated is not None else None
        return found or (self.levels[self.severity.lower()] if self.severity is not None else None)


class Match(msgspec.Struct, frozen=True, kw_only=True):
    """Which entry a line is, and which values it carries.

    Attributes:
        entry: the entry.
        quality: how well the line fits it.
        values: variable name to text, in the order of the line. Names that the entry does not know are kept too.
        tail: what stood after the documented text.
        pairs: the tail's own ``Name: value`` list, where it has one.
        level: the severity that the line states, else the catalogue's.
        candidates: ids of the entries that the line may be with equal right; empty where it is `entry` for certain.
    """

    entry: Entry
    quality: Quality
    values: Mapping[str, str]
    tail: str | None = None
    pairs: Mapping[str, str] = {}
    level: Level | None = None
    candidates: tuple[str, ...] = ()


class Enriched(msgspec.Struct, frozen=True, kw_only=True):
    """A record on its way out.

    Attributes:
        record: the record as it came.
        fields: the new fields by dotted name; the agent's own are not among them.
        outcome: what became of the record.
        reason: why: the match quality, or what was not recognised.
        match: the match, if there is one.
        unknown: the id of the line, where it is of a catalogue's family and that catalogue does not have it.
    """

    record: Record
    fields: Mapping[str, Any]
    outcome: Outcome
    reason: str
    match: Match | None = None
    unknown: UnknownId | None = None

    @property
    def quality(self) -> Quality:
        """How well the record fits its entry; NONE where there is none."""
        return self.match.quality if self.match else Quality.NONE
