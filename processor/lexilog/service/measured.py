"""What a relay does, measured: how long it takes, whether it works, and what becomes of the records."""

from __future__ import annotations

from collections.abc import Sequence
from time import perf_counter

from lexilog.errors import RelayError
from lexilog.model import Enriched
from lexilog.relay import Delivery, Relay
from lexilog.service.metrics import Metrics
from lexilog.service.tracing import span

__all__ = ["Measured"]


class Measured(Relay):
    """A relay that is measured, and is otherwise the same.

    Args:
        name: the relay's name.
        relay: the relay.
        metrics: where to count.
    """

    def __init__(self, name: str, relay: Relay, metrics: Metrics) -> None:
        self._relay = relay
        self._span = f"lexilog.relay.{name}"
        self._name, self._up = name, metrics["relay_up"]
        duration, records = metrics["relay_duration_seconds"], metrics["relay_records"]
        self._ok, self._failed = duration.labels(name, "ok"), duration.labels(name, "failed")
        self._taken, self._refused = records.labels(name, "taken"), records.labels(name, "refused")
        self._lost = records.labels(name, "lost")

    async def open(self) -> None:
        """Open the relay."""
        await self._relay.open()

    async def check(self) -> None:
        """Ask the relay; one that is away is not up."""
        try:
            await self._relay.check()
        except RelayError:
            self._set_up(up=False)
            raise

    async def deliver(self, batch: Sequence[Enriched]) -> Delivery:
        """Deliver a batch, and measure it."""
        begun, taken = perf_counter(), False
        try:
            with span(self._span, records=len(batch)):
                delivery = await self._relay.deliver(batch)
            taken = True
        except Exception:
            # A delivery that is called off because its sender has gone tells nothing of the relay.
            self._set_up(up=False)
            raise
        finally:
            (self._ok if taken else self._failed).observe(perf_counter() - begun)
        self._set_up(up=True)
        refused = len(delivery.refused) + delivery.unnamed
        self._refused.inc(refused)
        self._taken.inc(max(0, len(batch) - refused))
        return delivery

    def lose(self, count: int) -> None:
        """Count records that the relay was not required to take, and has not taken."""
        self._lost.inc(count)

    def _set_up(self, *, up: bool) -> None:
        # There is no value before there is something to tell.
        self._up.labels(self._name).set(up)

    async def close(self) -> None:
        """Close the relay."""
        await self._relay.close()
