"""What a catalogue file may hold, as types; docs/catalog-format.md tells what each key means."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

__all__ = [
    "ChangeKeys",
    "DeviceKeys",
    "EntryKeys",
    "EventKeys",
    "FileKeys",
    "LevelKeys",
    "ObserverKeys",
    "OverlayKeys",
    "SourceKeys",
    "TailKeys",
    "VariableKeys",
    "VendorTextKeys",
]

Slug = Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$")]
Name = Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9]+(_[a-z0-9]+)*$")]
# A version of an overlay becomes part of a semantic version's build metadata.
Build = Annotated[str, msgspec.Meta(pattern=r"^[0-9A-Za-z-]+(\.[0-9A-Za-z-]+)*$")]
Text = Annotated[str, msgspec.Meta(min_length=1)]
Severity = Annotated[int, msgspec.Meta(ge=0, le=7)]
Facility = Annotated[int, msgspec.Meta(ge=0, le=23)]
Protocol = Literal["ike", "ipsec", "none"]
Impact = Literal["none", "degraded", "down", "security"]
FrameKind = Literal["junos", "clavister", "mocana", "cef", "leef", "key_value", "csv", "xml", "syslog"]


class VariableKeys(msgspec.Struct, forbid_unknown_fields=True):
    """A variable: what its text looks like, and where its value goes."""

    type: str
    fields: tuple[str, ...] = ()
    absent: tuple[str, ...] = ()


class TailKeys(msgspec.Struct, forbid_unknown_fields=True):
    """A ``Name: value`` list."""

    labels: dict[str, VariableKeys]
    attributes: dict[str, VariableKeys] = {}


class EventKeys(msgspec.Struct, forbid_unknown_fields=True):
    """The ECS classification."""

    category: Annotated[tuple[str, ...], msgspec.Meta(min_length=1)]
    type: Annotated[tuple[str, ...], msgspec.Meta(min_length=1)]
    action: Slug
    outcome: str | None = None


class SourceKeys(msgspec.Struct, forbid_unknown_fields=True):
    """Where the facts are from."""

    document: Text
    section: Text


class ObserverKeys(msgspec.Struct, forbid_unknown_fields=True):
    """The device."""

    vendor: Text
    product: Text
    type: Text


class DeviceKeys(msgspec.Struct, forbid_unknown_fields=True):
    """Vendor and product as a wrapping such as CEF names them."""

    vendor: Text
    product: Text


class LevelKeys(msgspec.Struct, forbid_unknown_fields=True):
    """A severity by both its numbers, where syslog has no level of its own for it."""

    code: Severity
    otel: Annotated[int, msgspec.Meta(ge=1, le=24)]


class EntryKeys(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """One message."""

    id: Text
    impact: Impact
    event: EventKeys
    format: Text | None = None
    title: Text | None = None
    template: Text | None = None
    documented: Text | None = None
    also: tuple[Text, ...] = ()
    coded: bool | None = None
    severity: str | None = None
    facility: str | None = None
    categories: tuple[Text, ...] = ()
    type: Literal["event", "error"] | None = None
    explanation: Text | None = None
    cause: Text | None = None
    action: Text | None = None
    vendor_action: Text | None = None
    phase: Literal[1, 2] | None = None
    protocol: Protocol | None = None
    role: Literal["initiator", "responder"] | None = None
    provenance: Literal["documented", "observed"] = "documented"
    diagnostics: bool = False
    processes: tuple[str, ...] | None = None
    component: Text | None = None
    needs_component: bool = False
    where: dict[str, tuple[Text, ...]] = {}
    variables: dict[str, VariableKeys] = {}
    parameters: tuple[Text, ...] = ()
    tail: str | None = None
    reference: Text | None = None
    notes: tuple[Text, ...] = ()
    review: tuple[Text, ...] = ()


class FileKeys(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """A catalogue file."""

    format: Literal[1]
    name: Name
    title: Text
    version: Text
    frame: FrameKind | Annotated[tuple[FrameKind, ...], msgspec.Meta(min_length=1)]
    source: SourceKeys
    reference: Text | None = None
    observer: ObserverKeys
    severities: dict[str, Severity | LevelKeys]
    entries: Annotated[list[EntryKeys], msgspec.Meta(min_length=1)]
    facilities: dict[str, Facility | None] = {}
    levels: dict[str, str] = {}
    coded: bool = True
    without_id: Literal["prefix", "exact"] = "prefix"
    replaces: tuple[str, ...] = ()
    devices: tuple[DeviceKeys, ...] = ()
    components: dict[str, Text] | tuple[Text, ...] = ()
    processes: tuple[str, ...] = ()
    protocol: Protocol = "none"
    absent: tuple[str, ...] = ()
    variables: dict[str, VariableKeys] = {}
    tails: dict[str, TailKeys] = {}


class ChangeKeys(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """What an overlay may change in an entry."""

    severity: str | None = None
    facility: str | None = None
    impact: Impact | None = None
    title: Text | None = None
    explanation: Text | None = None
    cause: Text | None = None
    action: Text | None = None


class OverlayKeys(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """A file that changes single fields of a catalogue's entries."""

    format: Literal[1]
    overlay: Name
    name: Build
    version: Build
    # Each one is read as `ChangeKeys` for itself, so that an error can say where it stands.
    entries: Annotated[dict[str, dict[str, Any]], msgspec.Meta(min_length=1)]


class VendorTextKeys(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """A file with the vendor's own sentences, by id and heading; it stays on the machine where it was made."""

    vendor_text_of: Name
    components: dict[str, str] = {}
    entries: dict[str, dict[str, str]]
