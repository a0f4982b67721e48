"""Where every door that hands records on brings them: they are enriched, delivered and counted here."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from itertools import chain, islice

from lexilog.errors import OriginError, RelayError
from lexilog.model import Enriched, Record
from lexilog.pipeline import Pipeline
from lexilog.relay import Delivery, Relay
from lexilog.service.knowledge import Knowledge
from lexilog.service.metrics import Counts, Key
from lexilog.service.tracing import span
from lexilog.service.turns import Share, Turns
from lexilog.service.work import process_slice

__all__ = ["Intake"]

# Batches in work at once: while one waits for the next hop another is enriched. More would only take memory, because
# an agent that comes back after a while sends all that it has kept.
_AT_ONCE = 2
# What is handed on at once of a request: the documents of many small records take a hundred times their bytes.
_MOST_RECORDS = 10_000
_MOST_TEXT = 4_000_000
# Bytes of a request from which on it is read in a thread.
_LARGE = 1 << 18
# Seconds that a stop waits for deliveries that have been called off.
_PATIENCE = 5.0

_log = logging.getLogger(__name__)


class Intake:
    """Takes batches from the doors.

    Args:
        knowledge: enriches.
        relay: takes the enriched records.
        counts: counts them.
        turns: who enriches next.
        pending: how many bytes of requests may wait or be in work at once.

    Attributes:
        counts: for what a door has to count itself: requests that it does not even bring here.
    """

    def __init__(self, knowledge: Knowledge, relay: Relay, counts: Counts, turns: Turns, pending: Share) -> None:
        self._knowledge = knowledge
        self._relay = relay
        self.counts = counts
        self._pending = pending
        self._turns = turns
        self._batches = Turns(_AT_ONCE)
        self._under_way: set[asyncio.Task[Delivery]] = set()
        self._closed = False

    async def take(
        self, door: str, client: str, size: int, read: Callable[[], Iterable[Record]], *, kept: bool = False
    ) -> Delivery:
        """Enrich a request's records and hand them on; when this returns the next hop has them.

        A large request is handed on in pieces, so that memory is bounded by what came in. When a later piece fails the
        sender comes again with all of it, and what was taken before is repeated under the same ids.

        Args:
            door: the door's name, to count by.
            client: whose request it is: turns go from client to client.
            size: of the request, in bytes.
            read: reads the records; called when it is their turn, so that until then they are only bytes.
            kept: the door keeps the records when they are not taken, and brings them again itself: a failure is not
                counted then.

        Raises:
            OriginError: `read` could not make sense of them at all.
            RelayError: not every record has been confirmed; their sender has to keep them.
        """
        if self._closed:
            if not kept:
                self.counts.add_unread(door, "returned")
            raise RelayError("the server stops")
        duration = self.counts.metrics["request_duration_seconds"].labels(door)
        with self._pending.hold(client, size), duration.time():
            return await self._take(door, client, size, read, kept=kept)

    async def _take(
        self, door: str, client: str, size: int, read: Callable[[], Iterable[Record]], *, kept: bool
    ) -> Delivery:
        done: Counter[Key] = Counter()
        task = asyncio.create_task(self._pass_on(door, client, size, read, done))
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)
        try:
            delivery = await task
        except OriginError as error:
            self.counts.add_unread(door, "refused")
            _log.warning("a request to the door %s is refused for good: %s", door, error)
            raise
        except BaseException as error:
            # Where this call is called off its sender has gone; where the task is, the server stops.
            task.cancel()
            if not kept:
                self._count_returned(door, done)
            if isinstance(error, asyncio.CancelledError) and self._closed:
                raise RelayError("the server stops") from None
            if isinstance(error, RelayError):
                # What the error begins with names the relay.
                once = {"once": str(error).partition(":")[0]}
                _log.warning("records stay with their sender: %s", error, extra=once)
            if isinstance(error, RelayError) or not isinstance(error, Exception):
                raise
            _log.exception("records stay with their sender")
            raise RelayError(f"{type(error).__name__}: {error}") from error
        self.counts.add_all(done)
        return delivery

    async def _pass_on(
        self, door: str, client: str, size: int, read: Callable[[], Iterable[Record]], done: Counter[Key]
    ) -> Delivery:
        """Enrich records and hand them on when it is their turn; what became of each is in `done`."""
        deliveries: list[Delivery] = []
        pipeline = self._knowledge.pipeline
        records: Iterator[Record] | None = None
        following: tuple[Record, ...] = ()
        while records is None or following:
            # Others have their turn after each piece.
            async with self._batches.turn(client):
                await self._relay.check()
                if records is None:
                    async with self._turns.turn(client):
                        # Large ones are taken to pieces in a thread: the others do not wait for that.
                        records = iter(read() if size < _LARGE else await asyncio.to_thread(read))
                with span("lexilog.enrich"):
                    batch = await self._enrich(door, client, pipeline, _piece(chain(following, records)))
                if not batch:
                    break
                # Until they are delivered they are nowhere but with their sender.
                keys = [self.counts.key(door, enriched, "returned") for enriched in batch]
                done.update(keys)
                delivery = await self._relay.deliver(batch)
                self.counts.note_unknown(batch)
                done.subtract(keys)
                done.update(_fates(keys, batch, delivery))
                deliveries.append(delivery)
                # What has been delivered as a whole waits for no other turn.
                following = tuple(islice(records, 1))
        return Delivery.sum(deliveries)

    async def _enrich(self, door: str, client: str, pipeline: Pipeline, records: Iterator[Record]) -> list[Enriched]:
        """Enrich records; whoever is only answered has its turns in between, and waits for no next hop."""
        duration = self.counts.metrics["enrich_duration_seconds"].labels(door)
        batch: list[Enriched] = []
        more = True
        while more:
            async with self._turns.turn(client):
                with duration.time():
                    piece, more = process_slice(pipeline.process, records)
            batch += piece
        return batch

    def _count_returned(self, door: str, done: Counter[Key]) -> None:
        returned: Counter[Key] = Counter()
        for key, count in done.items():
            returned[key._replace(delivery="returned")] += count
        self.counts.add_all(returned)
        if not returned:
            self.counts.add_unread(door, "returned")

    async def close(self) -> None:
        """Call off what is still under way; its senders keep their records."""
        self._closed = True
        tasks = set(self._under_way)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=_PATIENCE)


def _piece(records: Iterator[Record]) -> Iterator[Record]:
    """Yield as many records as are handed on at once."""
    size = 0
    for record in islice(records, _MOST_RECORDS):
        yield record
        size += len(record.line or "")
        if size >= _MOST_TEXT:
            return


def _fates(keys: list[Key], batch: list[Enriched], delivery: Delivery) -> Iterator[Key]:
    """Yield what became of each record."""
    if delivery.unnamed or delivery.refused:
        reason = delivery.refused[0].reason if delivery.refused else delivery.message
        count = delivery.unnamed + len(delivery.refused)
        _log.warning("the next hop refused %d of %d records for good: %s", count, len(batch), reason)
    refused = {id(refusal.record) for refusal in delivery.refused}
    stored = {id(refusal.record) for refusal in delivery.stored}
    for key, enriched in zip(keys, batch, strict=True):
        if delivery.unnamed or id(enriched) in refused:
            yield key._replace(delivery="rejected")
        elif id(enriched) in stored:
            yield key._replace(delivery="stored")
        else:
            yield key._replace(delivery="relayed")
