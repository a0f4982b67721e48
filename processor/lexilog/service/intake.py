"""Where every door that hands records on brings them: they are enriched, delivered and counted here."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable

from lexilog.errors import OriginError, RelayError
from lexilog.model import Enriched, Record
from lexilog.pipeline import Pipeline
from lexilog.relay import Delivery, Relay
from lexilog.service.metrics import Counts
from lexilog.service.work import process_batch

__all__ = ["Intake"]

# Batches in work at once: while one waits for the next hop another is enriched. More would only take memory, because
# an agent that comes back after a while sends all that it has kept.
_AT_ONCE = 2
# Seconds that a stop waits for deliveries that have been called off.
_PATIENCE = 5.0

_log = logging.getLogger(__name__)


class Intake:
    """Takes batches from the doors.

    Args:
        pipeline: enriches.
        relay: takes the enriched records.
        counts: counts them.

    Attributes:
        counts: for what a door has to count itself: requests that it does not even bring here.
    """

    def __init__(self, pipeline: Pipeline, relay: Relay, counts: Counts) -> None:
        self._pipeline = pipeline
        self._relay = relay
        self.counts = counts
        self._turns = asyncio.Semaphore(_AT_ONCE)
        self._under_way: set[asyncio.Task[Delivery]] = set()
        self._closed = False

    async def take(self, door: str, read: Callable[[], Iterable[Record]]) -> Delivery:
        """Enrich a batch and hand it on; when this returns the next hop has it.

        Args:
            door: the door's name, to count by.
            read: reads the records; called when it is their turn, so that until then they are only bytes.

        Raises:
            OriginError: `read` could not make sense of them at all.
            RelayError: not every record has been confirmed; their sender has to keep them.
        """
        if self._closed:
            raise RelayError("the server stops")
        batch: list[Enriched] = []
        task = asyncio.create_task(self._pass_on(read, batch))
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)
        try:
            delivery = await task
        except asyncio.CancelledError:
            # The sender has gone, or the server stops and has called the task off.
            task.cancel()
            self._count_returned(door, batch)
            if self._closed:
                raise RelayError("the server stops") from None
            raise
        except OriginError as error:
            self.counts.add_unread(door, "refused")
            _log.warning("a request to the door %s is refused for good: %s", door, error)
            raise
        except RelayError as error:
            self._count_returned(door, batch)
            _log.warning("records stay with their sender: %s", error)
            raise
        except Exception as error:  # whatever it is, the sender still has the batch
            self._count_returned(door, batch)
            _log.exception("records stay with their sender")
            raise RelayError(f"{type(error).__name__}: {error}") from error
        self._count(door, batch, delivery)
        return delivery

    async def _pass_on(self, read: Callable[[], Iterable[Record]], batch: list[Enriched]) -> Delivery:
        """Enrich records into `batch`, and hand them on when it is their turn."""
        async with self._turns:
            await self._relay.check()
            batch += await process_batch(self._pipeline, read())
            return await self._relay.deliver(batch) if batch else Delivery()

    def _count(self, door: str, batch: list[Enriched], delivery: Delivery) -> None:
        if delivery.unnamed or delivery.refused:
            reason = delivery.refused[0].reason if delivery.refused else delivery.message
            count = delivery.unnamed + len(delivery.refused)
            _log.warning("the next hop refused %d of %d records for good: %s", count, len(batch), reason)
        refused = {id(refusal.record) for refusal in delivery.refused}
        stored = {id(refusal.record) for refusal in delivery.stored}
        for enriched in batch:
            if delivery.unnamed or id(enriched) in refused:
                self.counts.add(door, enriched, "rejected")
            elif id(enriched) in stored:
                self.counts.add(door, enriched, "stored")
            else:
                self.counts.add(door, enriched, "relayed")

    def _count_returned(self, door: str, batch: list[Enriched]) -> None:
        for enriched in batch:
            self.counts.add(door, enriched, "returned")
        if not batch:
            self.counts.add_unread(door, "returned")

    async def close(self) -> None:
        """Call off what is still under way; its senders keep their records."""
        self._closed = True
        tasks = set(self._under_way)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=_PATIENCE)
