"""What an entry adds to a record: all that is constant is put together once, when the catalogue is loaded."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from lexilog.catalog.fields import fields
from lexilog.enrich.values import CONVERTERS, as_port
from lexilog.model import Entry, Variable

__all__ = ["ECS_VERSION", "MODULE", "Plan", "Writer"]

ECS_VERSION = "9.4.0"
MODULE = "lexilog"


class Writer(NamedTuple):
    """Where a value goes, and how it becomes a value of that type."""

    field: str
    convert: Callable[[str], Any]
    array: bool


class Plan:
    """The part of an entry's record that no line changes, and where each variable's value goes.

    Attributes:
        constant: fields by dotted name.
    """

    def __init__(self, entry: Entry) -> None:
        self.constant: dict[str, Any] = _constant(entry)
        self.absent = entry.absent
        self._writers = {name: _writers(variable) for name, variable in entry.variables.items()}
        self._labels = {name: _writers(variable) for name, variable in entry.tail.labels.items()} if entry.tail else {}

    def variable(self, name: str) -> tuple[Writer, ...]:
        """Return where the value of a variable goes; a repeated name carries a number in structured data."""
        return self._writers.get(name) or self._writers.get(name.rstrip("0123456789")) or ()

    def label(self, name: str) -> tuple[Writer, ...]:
        """Return where the value of a name in the tail goes."""
        return self._labels.get(name, ())


def _writers(variable: Variable) -> tuple[Writer, ...]:
    return tuple(_writer(name) for name in variable.fields)


def _writer(name: str) -> Writer:
    field = fields()[name]
    return Writer(name, as_port if name.endswith(".port") else CONVERTERS[field.type], field.array)


def _constant(entry: Entry) -> dict[str, Any]:
    dataset = f"{MODULE}.{entry.catalog}"
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
        "event.severity": entry.severity_code,
        "log.level": entry.severity.lower(),
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
        "lexilog.catalog.type": entry.type,
        "lexilog.explanation": entry.explanation,
        "lexilog.cause": entry.cause,
        "lexilog.action": entry.action,
        "lexilog.impact": entry.impact,
        "lexilog.ike.phase": entry.phase,
    }
    return {name: value for name, value in found.items() if value is not None}
