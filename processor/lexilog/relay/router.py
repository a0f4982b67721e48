"""Hands each record to the relays that are to have it, and answers when all of them do."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial

from lexilog.errors import RelayError
from lexilog.model import Enriched
from lexilog.relay.base import Delivery, Relay
from lexilog.relay.best_effort import BestEffort
from lexilog.relay.dead_letters import DeadLetters
from lexilog.relay.settings import Route

__all__ = ["Router"]

# Ids that are remembered for a relay that took its share of a batch while another did not.
_REMEMBERED = 200_000

_log = logging.getLogger(__name__)


class Router(Relay):
    """Several relays as one.

    A batch counts as taken when every required relay has taken its share, and what one of them will never take is among
    the dead letters. Where only some of them have, the sender comes again with the whole batch; those that have
    confirmed their share are then left out, so that one relay that is away does not fill the others with repeats. That
    is kept in memory: after a restart there are repeats, with the same ids.

    Args:
        relays: by name.
        optional: names of those that are not required.
        routes: a record takes the first that it fits; by default every relay has every record.
        dead_letters: keeps what a relay will never take; without it the sender is told.
        on_lost: is told which relay that is not required has lost how many records, each time.
    """

    def __init__(
        self,
        relays: Mapping[str, Relay],
        *,
        optional: Collection[str] = (),
        routes: Sequence[Route] = (),
        dead_letters: DeadLetters | None = None,
        on_lost: Callable[[str, int], None] = lambda name, count: None,
    ) -> None:
        self._relays = dict(relays)
        self._optional = {name: BestEffort(name, relays[name], partial(on_lost, name)) for name in optional}
        self._routes = tuple(routes) or (Route(to=tuple(relays)),)
        self._dead_letters = dead_letters
        self._confirmed: dict[str, dict[str | None, None]] = {name: {} for name in relays}

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
        work = (self._hand(name, shares[name], alone=len(required) == 1) for name in required)
        outcomes = await asyncio.gather(*work, return_exceptions=True)
        failures = [outcome for outcome in outcomes if isinstance(outcome, BaseException)]
        if failures:
            raise _joined(failures)
        for name, share in shares.items():
            if name in self._optional:
                self._optional[name].offer(share)
            else:
                self._forget(name, share)
        return Delivery.sum(outcome for outcome in outcomes if isinstance(outcome, Delivery))

    def _shares(self, batch: Sequence[Enriched]) -> dict[str, list[Enriched]]:
        """Return the records of each relay, in order; relays without any are not among them."""
        shares: dict[str, list[Enriched]] = {}
        for enriched in batch:
            route = next(route for route in self._routes if _fits(enriched, route))
            for name in route.to:
                shares.setdefault(name, []).append(enriched)
        return shares

    async def _hand(self, name: str, share: list[Enriched], *, alone: bool) -> Delivery:
        """Deliver what a relay has not confirmed yet, and put what it refuses among the dead letters."""
        confirmed = self._confirmed[name]
        share = [one for one in share if one.record.id not in confirmed] if confirmed else share
        delivery = await self._relays[name].deliver(share) if share else Delivery()
        if delivery.refused and self._dead_letters:
            self._remember(name, share, delivery)
            await self._dead_letters.add(name, delivery.refused)
            _log.warning(
                "relay %s refused %d records for good; they are among the dead letters: %s",
                name,
                len(delivery.refused),
                delivery.refused[0].reason,
            )
            delivery = delivery._replace(refused=(), stored=delivery.refused)
        if not alone:
            self._remember(name, share, delivery)
        return delivery

    def _remember(self, name: str, share: list[Enriched], delivery: Delivery) -> None:
        """Remember that a relay has its share, in case the batch comes again because of another.

        What it has refused, and is not among the dead letters, is not remembered: that has still to be told or stored.
        """
        if delivery.unnamed:
            return
        refused = {refusal.record.record.id for refusal in delivery.refused}
        confirmed = self._confirmed[name]
        for enriched in share:
            if enriched.record.id is not None and enriched.record.id not in refused:
                confirmed[enriched.record.id] = None
        while len(confirmed) > _REMEMBERED:
            del confirmed[next(iter(confirmed))]

    def _forget(self, name: str, share: list[Enriched]) -> None:
        """Forget a batch that is through."""
        if confirmed := self._confirmed[name]:
            for enriched in share:
                confirmed.pop(enriched.record.id, None)

    async def close(self) -> None:
        """Wait a moment for relays that are not required, and close all."""
        if self._dead_letters:
            await self._dead_letters.close()
        await asyncio.gather(*(relay.close() for relay in self._optional.values()))
        for relay in self._relays.values():
            await relay.close()


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
