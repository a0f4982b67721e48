"""What every door is, and what stands behind all of them."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import ClassVar, NamedTuple

from lexilog.service.intake import Intake
from lexilog.service.knowledge import Knowledge
from lexilog.service.listen import Listener
from lexilog.service.metrics import Counts
from lexilog.service.reload import Reloadable
from lexilog.service.settings import DoorSettings
from lexilog.service.tls import Tls
from lexilog.service.turns import Share, Turns

__all__ = ["Door", "Hall"]


class Hall(NamedTuple):
    """What stands behind every door.

    Attributes:
        knowledge: enriches what is only answered.
        intake: takes what is handed on; None where there is no relay.
        counts: counts everything.
        body_keys: where the line stands in a record that is a map.
        turns: who enriches next.
        pending: how many bytes of requests wait or are in work.
    """

    knowledge: Knowledge
    intake: Intake | None
    counts: Counts
    body_keys: tuple[str, ...]
    turns: Turns
    pending: Share


class Door(ABC):
    """One port: `start` it, give each connection of its `listener` to it, and `stop` it.

    Args:
        settings: what it is told.
        hall: what stands behind it.

    Attributes:
        listener: lets connections in.

    Raises:
        SettingsError: its certificates or tokens cannot be used.
    """

    name: ClassVar[str]
    # The protocol's name in TLS.
    alpn: ClassVar[Sequence[str]] = ()
    # Seconds after which a client is sent away that has connected and said nothing; 0 for never.
    silence: ClassVar[float] = 0

    def __init__(self, settings: DoorSettings, hall: Hall) -> None:
        self.hall = hall
        self._tls = Tls(self.name, settings.tls, self.alpn, hall.counts) if settings.tls else None
        self.listener = Listener(
            self.name,
            settings,
            self.connect,
            hall.counts,
            context=lambda: self._tls.context if self._tls else None,
            silence=self.silence,
        )

    def reloadables(self) -> Iterator[Reloadable]:
        """Yield what can be read anew."""
        if self._tls:
            yield self._tls

    async def start(self) -> None:
        """Get ready for connections."""
        return

    @abstractmethod
    def connect(self, host: str) -> asyncio.Protocol:
        """Return the protocol of a connection from a host."""

    @abstractmethod
    async def stop(self, grace: float) -> None:
        """Take no more requests, and give those in flight `grace` seconds."""
