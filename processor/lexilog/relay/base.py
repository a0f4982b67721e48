"""What every way out promises."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import NamedTuple

from lexilog.model import Enriched

__all__ = ["Delivery", "Relay"]


class Delivery(NamedTuple):
    """What the next hop said to a batch that it has taken.

    Attributes:
        rejected: how many of the records it has refused for good; sending them again would be in vain.
        message: its reason.
    """

    rejected: int = 0
    message: str = ""


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
