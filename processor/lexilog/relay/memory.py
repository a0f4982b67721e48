"""Keeps records in memory: for tests and for whoever embeds lexilog."""

from __future__ import annotations

from collections.abc import Sequence

from lexilog.model import Enriched
from lexilog.relay.base import Delivery, Relay

__all__ = ["MemoryRelay"]


class MemoryRelay(Relay):
    """Takes every record into `records`."""

    def __init__(self) -> None:
        self.records: list[Enriched] = []

    async def deliver(self, batch: Sequence[Enriched]) -> Delivery:
        """Append the batch."""
        self.records.extend(batch)
        return Delivery()
