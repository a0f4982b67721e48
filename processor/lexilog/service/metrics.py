"""Every record that passes a door is counted here, with an outcome and a reason."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import NamedTuple

from lexilog.model import Enriched

__all__ = ["Counts", "Key"]


class Key(NamedTuple):
    """What records are counted by.

    Attributes:
        door: ``enrich``, ``otlp``, ``otlp_http``, ``http``, ``forward`` or ``redpanda``.
        catalog: the catalogue; empty where none knows the record.
        outcome: ``matched``, ``unknown`` or ``error``; ``unread`` where a whole request went back unseen.
        reason: match quality, or what was not recognised; ``request`` where requests are counted, not records;
            ``record`` for records that nobody has looked at.
        delivery: ``answered`` (handed back to the caller), ``relayed`` (every relay that has to has it), ``stored``
            (a relay refused it for good, and it is among the dead letters), ``rejected`` (refused for good, or some
            unnamed records of its batch were, and the sender has been told), ``returned`` (not confirmed: the sender
            keeps it), ``refused`` (the request could not be read at all, and the sender has been told) or ``lost`` (not
            confirmed when the server stopped, and its sender had asked for no acknowledgement).
    """

    door: str
    catalog: str
    outcome: str
    reason: str
    delivery: str


class Counts:
    """Counters of one process."""

    def __init__(self) -> None:
        self._counts: Counter[Key] = Counter()

    @staticmethod
    def key(door: str, record: Enriched, delivery: str) -> Key:
        """Return what a record is counted by."""
        catalog = record.match.entry.catalog if record.match else ""
        return Key(door, catalog, record.outcome.value, record.reason, delivery)

    def add(self, door: str, record: Enriched, delivery: str) -> None:
        """Count a record."""
        self._counts[self.key(door, record, delivery)] += 1

    def add_all(self, counts: Mapping[Key, int]) -> None:
        """Count records that have been counted elsewhere."""
        self._counts.update({key: count for key, count in counts.items() if count})

    def add_unread(self, door: str, delivery: str) -> None:
        """Count a request that went back before its records were looked at."""
        self._counts[Key(door, "", "unread", "request", delivery)] += 1

    def add_lost(self, door: str, count: int) -> None:
        """Count records that the server had to give up when it stopped, and that nobody else has."""
        self._counts[Key(door, "", "unread", "record", "lost")] += count

    def items(self) -> list[tuple[Key, int]]:
        """Return all counters, sorted by key."""
        return sorted(self._counts.items())

    def summary(self) -> str:
        """Return the counters in one line."""
        parts = (f"{' '.join(filter(None, key))}: {count}" for key, count in self.items())
        return "; ".join(parts) or "no records"
