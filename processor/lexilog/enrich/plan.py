"""What an entry adds to a record: all that is constant is put together once, when the catalogue is loaded."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from lexilog.catalog.fields import fields
from lexilog.enrich.values import converter
from lexilog.model import Entry, Variable

__all__ = ["ECS_VERSION", "MODULE", "Plan", "Writer"]

ECS_VERSION = "9.4.0"
MODULE = "lexilog"


class Writer(NamedTuple):
    """Where a value goes, and how it becomes a value of that type."""

    field: str
    convert: Callable[[str], Any]
    array: bool
    absent: frozenset[str]


class Plan:
    """The part of an entry's record that no line changes, and where each variable's value goes.

    Attributes:
        constant: fields by dotted name.
        writers: where the value of each variable goes.
        labels: where the value of each name in the tail goes.
    """

    def __init__(self, entry: Entry) -> None:
        self.constant: dict[str, Any] = _constant(entry)
        self.writers = {name: _writers(variable, entry) for name, variable in entry.variables.items()}
        labels = entry.tail.labels if entry.tail else {}
        self.labels = {name: _writers(variable, entry) for name, variable in labels.items()}

    def variable(self, name: str) -> tuple[Writer, ...]:
        """Return where the value of a variable goes; a repeated name carries a number in structured data."""
        return self.writers.get(name) or self.writers.get(name.rstrip("0123456789")) or ()

    def label(self, name: str) -> tuple[Writer, ...]:
        """Return where the value of a name in the tail goes."""
        return self.labels.get(name, ())


def _writers(variable: Variable, entry: Entry) -> tuple[Writer, ...]:
    absent = entry.absent.union(variable.absent)
    return tuple(_writer(name, variable.type, absent) for name in variable.fields)


def _writer(name: str, kind: str, absent: frozenset[str]) -> Writer:
    field = fields()[name]
    return Writer(name, converter(name, field.type, kind), field.array, absent)


def _constant(entry: Entry) -> dict[str, Any]:
    dataset, level = f"{MODULE}.{entry.catalog}", entry.level()
    found: Mapping[str, Any] = {
        "ecs.version": ECS_VERSION,
        "data_stream.type": "logs",
        "data_stream.dataset": dataset,
        "data_stream.namespace": "default",
        "event.kind": "event",
        "event.category": list(entry.event.category),
        "event.type": list(entry.event.type),
        "event.outcome": entry.event.outcome,
        "event.module": MODULE,
        "event.dataset": dataset,
        "event.code": entry.code,
        "event.action": entry.event.action,
        "event.reference": entry.reference,
        "event.severity": level.code if level else None,
        "log.level": level.word.lower() if level else None,
        "observer.vendor": entry.observer["vendor"],
        "observer.product": entry.observer["product"],
        "observer.type": entry.observer["type"],
        "network.protocol": entry.protocol,
        "network.transport": "udp" if entry.protocol == "ike" else None,
        "lexilog.catalog.name": entry.catalog,
        "lexilog.catalog.version": entry.catalog_version,
        "lexilog.catalog.id": entry.id,
        "lexilog.catalog.title": entry.title,
        "lexilog.catalog.message_template": entry.template,
        "lexilog.catalog.severity": entry.severity,
        "lexilog.catalog.facility": entry.facility,
        "lexilog.catalog.categories": list(entry.categories) or None,
        "lexilog.catalog.type": entry.type,
        "lexilog.catalog.provenance": entry.provenance,
        "lexilog.explanation": entry.explanation or None,
        "lexilog.cause": entry.cause or None,
        "lexilog.action": entry.action or None,
        "lexilog.vendor_action": entry.vendor_action,
        "lexilog.impact": entry.impact,
        "lexilog.ike.phase": entry.phase,
        "lexilog.ike.role": entry.role,
    }
    return {name: value for name, value in found.items() if value is not None}
