"""Hands each record to the relays that are to have it, and answers when all of them do."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Collection, Mapping, Sequence

from lexilog.errors import RelayError
from lexilog.model import Enriched
from lexilog.relay.base import Delivery, Refusal, Relay
from lexilog.relay.dead_letters import DeadLetters
from lexilog.relay.settings import Route

__all__ = ["Router"]

# Records that wait for a relay that is not required; what comes when it is so far behind is gone.
_PENDING = 50_000
# Ids that are remembered for a relay that took its share of a batch while another did not.
_REMEMBERED = 200_000
# Seconds that a stop waits for relays that are not required.
_PATIENCE = 2.0

_log = logging.getLogger(__name__)


class Router(Relay):
    """Several relays as one.

    A batch counts as taken when every required relay has taken its share, and what one of them will never take is among
    the dead letters. Where only some of them have, the sender comes again with the whole batch; those that have
    confirmed their share are then left out, so that one relay that is away does not fill the others with repeats. That
    is kept in memory: after a restart there are repeats, with the same ids.

    Args:
        relays: by name.
        optional: names of those that are not required: they get records when the others have them, and what they do
            not take is counted in `lost` and gone.
        routes: a record takes the first that it fits; by default every relay has every record.
        dead_letters: keeps what a relay will never take; without it the sender is told.
    """

    def __init__(
        self,
        relays: Mapping[str, Relay],
        *,
        optional: Collection[str] = (),
        routes: Sequence[Route] = (),
        dead_letters: DeadLetters | None = None,
    ) -> None:
        self.lost: Counter[str] = Counter()
        self._relays = dict(relays)
        self._optional = frozenset(optional)
        self._routes = tuple(routes) or (Route(to=tuple(relays)),)
        self._dead_letters = dead_letters
        self._confirmed: dict[str, dict[str, None]] = {name: {} for name in relays}
        self._pending: Counter[str] = Counter()
        self._tasks: set[asyncio.Task[None]] = set()

    async def open(self) -> None:
        """Open every relay and the dead letters; those that were opened are closed again where one cannot be."""
        try:
            if self._dead_letters:
                await self._dead_letters.open()
            for relay in self._relays.values():
                await relay.open()
        except BaseException:
            await self.close()
            raise

    async def check(self) -> None:
        """Ask the relays that every record takes."""
        for name, relay in self._relays.items():
            if name not in self._optional and all(name in route.to for route in self._routes):
                await relay.check()

    async def deliver(self, batch: Sequence[Enriched]) -> Delivery:
        """Deliver to all relays at once, and wait for those that are required."""
        shares = self._shares(batch)
        required = [name for name in shares if name not in self._optional]
        work = (self._hand(name, self._unconfirmed(name, shares[name])) for name in required)
        outcomes = await asyncio.gather(*work, return_exceptions=True)
        failures = [outcome for outcome in outcomes if isinstance(outcome, BaseException)]
        for name, outcome in zip(required, outcomes, strict=True):
            if isinstance(outcome, Delivery):
                self._remember(name, shares[name], outcome, keep=bool(failures))
        if failures:
            raise _joined(failures)
        for name in shares.keys() & self._optional:
            self._offer(name, shares[name])
        return _sum([outcome for outcome in outcomes if isinstance(outcome, Delivery)])

    def _shares(self, batch: Sequence[Enriched]) -> dict[str, list[Enriched]]:
        """Return the records of each relay, in order; relays without any are not among them."""
        shares: dict[str, list[Enriched]] = {}
        for enriched in batch:
            route = next(route for route in self._routes if _fits(enriched, route))
            for name in route.to:
                shares.setdefault(name, []).append(enriched)
        return shares

    async def _hand(self, name: str, share: list[Enriched]) -> Delivery:
        if not share:
            return Delivery()
        delivery = await self._relays[name].deliver(share)
        if not (delivery.refused and self._dead_letters):
            return delivery
        try:
            await self._dead_letters.add(name, delivery.refused)
        except RelayError:
            self._remember(name, share, delivery, keep=True)
            raise
        _log.warning(
            "relay %s refused %d records for good; they are among the dead letters: %s",
            name,
            len(delivery.refused),
            delivery.refused[0].reason,
        )
        return delivery._replace(refused=(), stored=delivery.refused)

    def _unconfirmed(self, name: str, share: list[Enriched]) -> list[Enriched]:
        confirmed = self._confirmed[name]
        return [one for one in share if one.record.id not in confirmed] if confirmed else share

    def _remember(self, name: str, share: list[Enriched], delivery: Delivery, *, keep: bool) -> None:
        """Remember that a relay has its share of a batch that comes again, or forget it when the batch is through.

        What it has refused, and is not among the dead letters, is not remembered: that has still to be told or stored.
        """
        confirmed = self._confirmed[name]
        if (not keep and not confirmed) or delivery.unnamed:
            return
        refused = {refusal.record.record.id for refusal in delivery.refused}
        for number in (enriched.record.id for enriched in share):
            if number is None or number in refused:
                continue
            confirmed.pop(number, None)
            if keep:
                confirmed[number] = None
        while len(confirmed) > _REMEMBERED:
            del confirmed[next(iter(confirmed))]

    def _offer(self, name: str, share: list[Enriched]) -> None:
        """Hand records to a relay that is not required, without waiting for it."""
        if self._pending[name] + len(share) > _PENDING:
            self._lose(name, len(share), "it is too far behind")
            return
        self._pending[name] += len(share)
        task = asyncio.create_task(self._try(name, share))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _try(self, name: str, share: list[Enriched]) -> None:
        try:
            delivery = await self._relays[name].deliver(share)
        except RelayError as error:
            self._lose(name, len(share), str(error))
        except asyncio.CancelledError:
            self._lose(name, len(share), "the server stops")
            raise
        except Exception as error:
            _log.exception("relay %s, which is not required, failed", name)
            self._lose(name, len(share), f"{type(error).__name__}: {error}")
        else:
            if refused := len(delivery.refused) + delivery.unnamed:
                reason = delivery.refused[0].reason if delivery.refused else delivery.message
                self._lose(name, refused, reason)
        finally:
            self._pending[name] -= len(share)

    def _lose(self, name: str, count: int, why: str) -> None:
        self.lost[name] += count
        _log.warning("relay %s, which is not required, has not taken %d records: %s", name, count, why)

    async def close(self) -> None:
        """Wait a moment for relays that are not required, and close all."""
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=_PATIENCE)
            for task in late:
                task.cancel()
            if late:
                await asyncio.wait(late, timeout=_PATIENCE)
        for relay in self._relays.values():
            await relay.close()
        for name, count in self.lost.items():
            _log.warning("relay %s, which is not required, has not taken %d records in all", name, count)
        self.lost.clear()


def _fits(enriched: Enriched, route: Route) -> bool:
    catalog = enriched.match.entry.catalog if enriched.match else None
    return (not route.catalog or catalog in route.catalog) and (not route.quality or enriched.quality in route.quality)


def _joined(failures: list[BaseException]) -> RelayError:
    """Return one error that says all; where one of them is a defect the sender keeps its records all the same."""
    for failure in failures:
        if not isinstance(failure, RelayError):
            _log.error("a relay failed in a way that it should not", exc_info=failure)
    texts = (str(one) if isinstance(one, RelayError) else f"{type(one).__name__}: {one}" for one in failures)
    waits = [one.retry_after for one in failures if isinstance(one, RelayError)]
    return RelayError("; ".join(texts), max(waits, default=1.0))


def _sum(deliveries: list[Delivery]) -> Delivery:
    def unique(refusals: list[Refusal]) -> tuple[Refusal, ...]:
        return tuple({id(refusal.record): refusal for refusal in refusals}.values())

    return Delivery(
        refused=unique([refusal for delivery in deliveries for refusal in delivery.refused]),
        stored=unique([refusal for delivery in deliveries for refusal in delivery.stored]),
        unnamed=sum(delivery.unnamed for delivery in deliveries),
        message="; ".join(dict.fromkeys(delivery.message for delivery in deliveries if delivery.message)),
    )
