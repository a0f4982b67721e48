"""What every way out promises."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from typing import NamedTuple, TypeVar

from lexilog.model import Enriched

__all__ = ["SLICE", "Delivery", "Refusal", "Refused", "Relay", "isolate", "slices"]

# Records between two looks at what else there is to do.
SLICE = 100

_T = TypeVar("_T")


class Refusal(NamedTuple):
    """A record that the next hop will never take, and its reason, for people."""

    record: Enriched
    reason: str


class Delivery(NamedTuple):
    """What became of a batch that the next hop has taken, apart from these.

    Attributes:
        refused: records that it will never take; sending them again as they are would be in vain.
        stored: such records that have been put among the dead letters.
        unnamed: how many more it has refused without saying which, as ``partial_success`` of OTLP does.
        message: its reason for those.
    """

    refused: tuple[Refusal, ...] = ()
    stored: tuple[Refusal, ...] = ()
    unnamed: int = 0
    message: str = ""

    @classmethod
    def sum(cls, deliveries: Iterable[Delivery]) -> Delivery:
        """Return what became of several shares or pieces together; a record that is named twice counts once."""
        deliveries = list(deliveries)
        return cls(
            refused=_unique(refusal for one in deliveries for refusal in one.refused),
            stored=_unique(refusal for one in deliveries for refusal in one.stored),
            unnamed=sum(one.unnamed for one in deliveries),
            message="; ".join(dict.fromkeys(one.message for one in deliveries if one.message)),
        )


def _unique(refusals: Iterable[Refusal]) -> tuple[Refusal, ...]:
    return tuple({id(refusal.record): refusal for refusal in refusals}.values())


class Relay(ABC):
    """A way out, in three stages: `open` once, `deliver` for each batch, `close` once.

    A relay has no queue. `deliver` returns when the next hop has every record of the batch, and raises otherwise; then
    the sender still has the batch and sends it again. So a crash at any moment loses nothing, and may repeat records.
    Several calls of `deliver` may be under way at once.
    """

    async def open(self) -> None:
        """Get ready.

        Raises:
            SettingsError: what the settings name cannot be used, such as a file that cannot be written.
        """
        return

    async def check(self) -> None:
        """Tell whether a delivery has a chance, before the work for it is done.

        Raises:
            RelayError: the next hop is known to be away.
        """
        return

    @abstractmethod
    async def deliver(self, batch: Sequence[Enriched]) -> Delivery:
        """Hand a batch on, in order, and wait until the next hop has it.

        Raises:
            RelayError: at least one record has not been confirmed. Some may have arrived.
        """

    async def close(self) -> None:
        """Let go of what `open` took."""
        return


class Refused(Exception):  # noqa: N818 (it never leaves the relay)
    """The next hop will never take a request as it stands; its text is the reason."""


async def slices(
    batch: Iterable[Enriched], make: Callable[[Enriched], _T], size_of: Callable[[_T], int], max_bytes: int
) -> AsyncIterator[list[_T]]:
    """Yield what records become in requests, request by request.

    Args:
        batch: the records.
        make: makes of a record what stands in a request.
        size_of: how large that is, in bytes.
        max_bytes: how large a request may be; what is larger by itself goes alone.
    """
    items: list[_T] = []
    size = 0
    for number, enriched in enumerate(batch):
        item = make(enriched)
        if items and size + size_of(item) > max_bytes:
            yield items
            items, size = [], 0
        items.append(item)
        size += size_of(item)
        if number % SLICE == 0:
            await asyncio.sleep(0)
    if items:
        yield items


async def isolate(items: Sequence[_T], send: Callable[[Sequence[_T]], Awaitable[None]]) -> list[tuple[_T, str]]:
    """Send a request, and where it is refused find out which of its items are to blame, so that they cost no others.

    Args:
        items: what is in the request, at least one.
        send: sends some of them in one request.

    Returns:
        The items that were refused even alone, each with the reason.

    Raises:
        RelayError: a request has not been confirmed.
    """
    try:
        await send(items)
    except Refused as refused:
        if len(items) == 1:
            return [(items[0], str(refused))]
        middle = len(items) // 2
        return await isolate(items[:middle], send) + await isolate(items[middle:], send)
    return []
