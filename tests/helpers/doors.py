"""Doors that tests open on a free port of this machine, and what stands behind them."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence

from lexilog import Pipeline
from lexilog.otlp.decode import BODY_KEYS
from lexilog.relay import Relay
from lexilog.service.door import Door, Hall
from lexilog.service.intake import Intake
from lexilog.service.knowledge import Knowledge
from lexilog.service.listen import accept, bind
from lexilog.service.metrics import Counts
from lexilog.service.settings import Settings
from lexilog.service.turns import Share, Turns


def hall(
    pipeline: Pipeline, relay: Relay | None = None, counts: Counts | None = None, keys: Sequence[str] = BODY_KEYS
) -> Hall:
    """Return what stands behind a door: a pipeline, and a relay where there is one."""
    counts, settings = counts or Counts(), Settings()
    knowledge = Knowledge(settings, counts.metrics, pipeline)
    turns, pending = Turns(2), Share(settings.max_pending_bytes, "bytes", counts.metrics["pending_bytes"])
    taker = None if relay is None else Intake(knowledge, relay, counts, turns, pending)
    return Hall(knowledge, taker, counts, tuple(keys), turns, pending)


def intake(pipeline: Pipeline, relay: Relay, counts: Counts | None = None) -> Intake:
    """Return what takes records from doors, enriches them with a pipeline and hands them on to a relay."""
    found = hall(pipeline, relay, counts).intake
    assert found
    return found


class OpenDoor:
    """Opens a door, and closes it, in the order that `lexilog.service.server.Server` has.

    Args:
        door: the door.
        port: the port; 0 for any that is free.

    Attributes:
        port: the port that it is open on, once it is.
    """

    def __init__(self, door: Door, port: int = 0) -> None:
        self.port = port
        self._door = door
        self._sockets: list[socket.socket] = []
        self._accepting: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Start the door, and let connections in to it."""
        await self._door.start()
        self._sockets = bind(f"127.0.0.1:{self.port}", f"doors.{self._door.name}.listen")
        self.port = self._sockets[0].getsockname()[1]
        take = self._door.listener.take
        self._accepting = [asyncio.create_task(accept(one, take)) for one in self._sockets]

    async def stop(self, grace: float) -> None:
        """Let nobody in any more, and give what is in flight `grace` seconds."""
        for task in self._accepting:
            task.cancel()
        await asyncio.gather(*self._accepting, return_exceptions=True)
        self._accepting.clear()
        for one in self._sockets:
            one.close()
        self._sockets.clear()
        await self._door.listener.close()
        await self._door.stop(grace)
