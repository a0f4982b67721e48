"""A relay that is not required: it gets records when the others have them, and nobody waits for it."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence
from contextvars import Context

from lexilog.errors import RelayError
from lexilog.model import Enriched
from lexilog.relay.base import Relay

__all__ = ["BestEffort"]

# Bytes of records that wait; what comes when it is so far behind is gone.
_PENDING = 64 * 1024 * 1024
# What a record costs beside its text: its fields and what was made of them.
_OVERHEAD = 2_000
# Seconds that a stop waits for what is under way.
_PATIENCE = 2.0

_log = logging.getLogger(__name__)


class BestEffort:
    """Hands batches to a relay, one after the other. What it does not take is counted and gone.

    Args:
        name: the relay's name.
        relay: the relay.
        on_lost: is told how many records are lost, each time; those that the relay itself refuses are not among them.

    Attributes:
        lost: how many records it has not taken.
    """

    def __init__(self, name: str, relay: Relay, on_lost: Callable[[int], None] = lambda count: None) -> None:
        self.lost = 0
        self._on_lost = on_lost
        self._name = name
        self._relay = relay
        self._waiting: deque[tuple[Sequence[Enriched], int]] = deque()
        self._size = 0
        self._task: asyncio.Task[None] | None = None

    def offer(self, batch: Sequence[Enriched]) -> None:
        """Take a batch, if there is room for it."""
        size = sum(map(_size_of, batch))
        if self._size and self._size + size > _PENDING:
            self._lose(len(batch), "it is too far behind")
            return
        self._waiting.append((batch, size))
        self._size += size
        if self._task is None:
            # It is no part of the request that happens to start it.
            self._task = asyncio.create_task(self._work(), context=Context())

    async def _work(self) -> None:
        try:
            while self._waiting:
                batch, size = self._waiting[0]
                await self._deliver(batch)
                self._waiting.popleft()
                self._size -= size
        finally:
            self._task = None

    async def _deliver(self, batch: Sequence[Enriched]) -> None:
        try:
            delivery = await self._relay.deliver(batch)
        except RelayError as error:
            self._lose(len(batch), str(error))
        except Exception as error:  # a defect in one relay must not cost the others
            _log.exception("relay %s, which is not required, failed", self._name)
            self._lose(len(batch), f"{type(error).__name__}: {error}")
        else:
            if refused := len(delivery.refused) + delivery.unnamed:
                self._note(refused, delivery.refused[0].reason if delivery.refused else delivery.message)

    def _lose(self, count: int, why: str) -> None:
        self._on_lost(count)
        self._note(count, why)

    def _note(self, count: int, why: str) -> None:
        self.lost += count
        _log.warning("relay %s, which is not required, has not taken %d records: %s", self._name, count, why)

    async def close(self) -> None:
        """Wait a moment for what is under way, and say how many records it has not taken in all."""
        if self._task:
            await asyncio.wait([self._task], timeout=_PATIENCE)
        if self._task:
            self._task.cancel()
            await asyncio.wait([self._task], timeout=_PATIENCE)
        if left := sum(len(batch) for batch, _ in self._waiting):
            self.lost += left
            self._on_lost(left)
        self._waiting.clear()
        if self.lost:
            _log.warning("relay %s, which is not required, has not taken %d records in all", self._name, self.lost)


def _size_of(enriched: Enriched) -> int:
    record = enriched.record
    texts = sum(len(value) for value in record.fields.values() if isinstance(value, str))
    return _OVERHEAD + len(record.line or "") + texts
