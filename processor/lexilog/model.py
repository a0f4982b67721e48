"""What walks through the rooms: plain, frozen values, without protobuf and without I/O.

Text is ``str``. A byte that is not valid UTF-8 travels as a lone surrogate (PEP 383, ``surrogateescape``), so that
nothing is lost on the way; `lexilog.enrich.escape` says how such bytes leave.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any

import msgspec

__all__ = ["Enriched", "Entry", "Event", "Frame", "Match", "Outcome", "Quality", "Record", "Tail", "Variable"]


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


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """One record as it came in.

    Attributes:
        line: the log line, without its line ending; None when the record holds no line.
        fields: what the agent had already set, as it came.
        line_key: the key of `fields` under which the line stood, if it stood there.
        time: when the agent says that the event happened or was read, in UTC.
        origin: whatever the door received, opaque to every room; a relay of the same protocol hands it on.
    """

    line: str | None
    fields: Mapping[str, Any] = {}
    line_key: str | None = None
    time: datetime | None = None
    origin: object = None


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
        process: the daemon or component.
        pid: its process id.
        location: slot or node that stands before the process.
        data: the parameters that the device itself wrote as structured data, unescaped; None where there are none.
        elements: all structured data by SD-ID.
        truncated: the structured data is cut off.
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
    """

    name: str
    type: str
    fields: tuple[str, ...] = ()


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
        catalog_version: its version.
        id: the vendor's id, else a slug; unique in the catalogue.
        code: the vendor's id; None where the vendor has none.
        title: the vendor's own name of the message.
        formats: the texts to recognise, best first; ``{name}`` stands for a variable.
        template: the format as shown to people.
        variables: every variable that may occur, by name.
        severity: the vendor's word.
        severity_code: the syslog code 0 to 7 that it stands for.
        facility: the vendor's word.
        facility_code: the syslog facility number 0 to 23.
        type: ``event`` or ``error``, as the vendor says.
        impact: our own second opinion: ``none``, ``degraded``, ``down`` or ``security``.
        explanation: what happened.
        cause: why, most likely first.
        action: what to check first.
        event: the ECS classification.
        protocol: ``ike``, ``ipsec`` or None.
        phase: IKE phase, ``1`` or ``2``.
        frame: the kind of frame in which the entry may be recognised.
        processes: the daemons whose lines may be recognised by text alone.
        tail: the list that may follow the text.
        absent: values that mean "there is none".
        observer: vendor, product and type of the device.
        source: where the facts come from: document and section.
        notes: known errors of that document.
    """

    catalog: str
    catalog_version: str
    id: str
    code: str | None
    title: str
    formats: tuple[str, ...]
    template: str
    variables: Mapping[str, Variable]
    severity: str
    severity_code: int
    facility: str
    facility_code: int
    type: str
    impact: str
    explanation: str
    cause: str
    action: str
    event: Event
    protocol: str | None
    phase: str | None
    frame: str
    processes: tuple[str, ...]
    tail: Tail | None
    absent: frozenset[str]
    observer: Mapping[str, str]
    source: Mapping[str, str]
    notes: tuple[str, ...] = ()


class Match(msgspec.Struct, frozen=True, kw_only=True):
    """Which entry a line is, and which values it carries.

    Attributes:
        entry: the entry.
        quality: how well the line fits it.
        values: variable name to text, in the order of the line. Names that the entry does not know are kept too.
        tail: what stood after the documented text.
        pairs: the tail's own ``Name: value`` list, where it has one.
    """

    entry: Entry
    quality: Quality
    values: Mapping[str, str]
    tail: str | None = None
    pairs: Mapping[str, str] = {}


class Enriched(msgspec.Struct, frozen=True, kw_only=True):
    """A record on its way out.

    Attributes:
        record: the record as it came.
        fields: the new fields by dotted name; the agent's own are not among them.
        outcome: what became of the record.
        reason: why: the match quality, or what was not recognised.
        match: the match, if there is one.
    """

    record: Record
    fields: Mapping[str, Any]
    outcome: Outcome
    reason: str
    match: Match | None = None

    @property
    def quality(self) -> Quality:
        """How well the record fits its entry; NONE where there is none."""
        return self.match.quality if self.match else Quality.NONE
