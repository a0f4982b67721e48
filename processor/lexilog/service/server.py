"""One process: its doors, what is known, and the ways out."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Iterator
from pathlib import Path

from lexilog.relay import Relay
from lexilog.service.door import Door, Hall
from lexilog.service.forward import ForwardDoor
from lexilog.service.grpc_server import GrpcServer
from lexilog.service.http import HttpDoor
from lexilog.service.intake import Intake
from lexilog.service.knowledge import Knowledge
from lexilog.service.make import make_router
from lexilog.service.metrics import Counts
from lexilog.service.ports import Ports
from lexilog.service.reload import Reloader
from lexilog.service.settings import Settings
from lexilog.service.status import Status
from lexilog.service.turns import Share, Turns

__all__ = ["Server"]

# How many have their turn at once: while one of them waits for a thread another enriches.
_AT_ONCE = 2
# Seconds, behind the grace, for those who are told that it is over.
_LAST_WORDS = 2.0

_log = logging.getLogger(__name__)


class Server:
    """The doors of one process and everything behind them; `start` it, and `stop` it.

    Args:
        settings: what it is told.
        settings_file: where that stands; it is watched.
        relay: the way out; by default those that the settings name.
        status: what it says of itself.

    Attributes:
        counts: everything that is counted.
        status: what it says of itself.

    Raises:
        SettingsError: a setting is wrong.
        CatalogError: a catalogue is damaged.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        settings_file: Path | None = None,
        relay: Relay | None = None,
        status: Status | None = None,
    ) -> None:
        self.settings = settings
        self.counts = Counts()
        self.status = status or Status()
        self._relay = relay or (make_router(settings, self.counts.metrics) if settings.relays else None)
        knowledge = Knowledge(settings, self.counts.metrics)
        turns = Turns(_AT_ONCE)
        pending = Share(settings.max_pending_bytes, "bytes (max_pending_bytes)", self.counts.metrics["pending_bytes"])
        self._intake = Intake(knowledge, self._relay, self.counts, turns, pending) if self._relay else None
        hall = Hall(knowledge, self._intake, self.counts, settings.body_keys, turns, pending)
        self._doors = {door.name: door for door in self._make_doors(hall)}
        self._reloader = Reloader(
            [knowledge, *(one for door in self._doors.values() for one in door.reloadables())],
            settings.reload_seconds,
            self.status,
            self.counts.metrics,
            settings_file=settings_file,
        )
        self._ports = Ports()
        self._started: list[Door] = []

    def _make_doors(self, hall: Hall) -> Iterator[Door]:
        doors = self.settings.doors
        if doors.grpc:
            yield GrpcServer(doors.grpc, hall)
        if doors.http:
            yield HttpDoor(doors.http, hall)
        if doors.forward and hall.intake:
            yield ForwardDoor(doors.forward, hall, hall.intake)

    @property
    def ports(self) -> dict[str, int]:
        """The port that each door is bound to."""
        return self._ports.numbers

    async def start(self, *, listen: bool = True) -> None:
        """Open the relays, then the doors.

        Args:
            listen: bind the ports of the settings; else connections come by `take` alone.

        Raises:
            SettingsError: a relay or an address cannot be used.
        """
        try:
            if self._relay:
                await self._relay.open()
            for door in self._doors.values():
                self._started.append(door)
                await door.start()
            if listen:
                self._ports.bind(self.settings.doors)
                self._ports.accept(self.take)
        except BaseException:
            await self.stop()
            raise
        self._reloader.start()
        self.status.set_ready(ready=True)

    async def take(self, door: str, connection: socket.socket) -> None:
        """Take a connection that has been accepted elsewhere."""
        await self._doors[door].listener.take(connection)

    def reload(self) -> None:
        """Read catalogues, certificates and tokens anew."""
        self._reloader.now()

    async def stop(self) -> None:
        """Take no more requests, finish those in flight within the grace, and let go of ports and relays.

        What is not finished then is answered UNAVAILABLE.
        """
        self.status.set_ready(ready=False)
        try:
            await self._reloader.stop()
            await self._ports.close()
            for door in self._started:
                await door.listener.close()
            await self._stop_doors()
        finally:
            if self._relay:
                await self._relay.close()

    async def _stop_doors(self) -> None:
        doors = [asyncio.create_task(self._stop_door(door)) for door in self._started]
        if doors:
            await asyncio.wait(doors, timeout=self.settings.grace)
        if self._intake:
            await self._intake.close()
        await asyncio.gather(*doors)
        self._started.clear()

    async def _stop_door(self, door: Door) -> None:
        try:
            await door.stop(self.settings.grace + _LAST_WORDS)
        except Exception:  # the other doors, and the relays, are to be closed all the same
            _log.exception("%s: the door could not be closed as it should", door.name)
        await door.listener.end()
