"""One process: its doors, what is known, and the ways out."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from typing import Protocol

from lexilog.pipeline import Pipeline
from lexilog.relay import Relay
from lexilog.service.forward import ForwardDoor
from lexilog.service.grpc_server import GrpcServer
from lexilog.service.http import HttpDoor
from lexilog.service.intake import Intake
from lexilog.service.make import make_pipeline, make_router
from lexilog.service.metrics import Counts
from lexilog.service.settings import Settings

__all__ = ["Server"]

_log = logging.getLogger(__name__)


class _Door(Protocol):
    port: int

    async def start(self) -> None: ...

    async def stop(self, grace: float) -> None: ...


class Server:
    """One server; `start` it, and `stop` it.

    Args:
        settings: what it is told.
        pipeline: enriches; by default the one that the settings describe does.
        relay: the way out; by default those that the settings name.

    Raises:
        SettingsError: a setting is wrong.
        CatalogError: a catalogue is damaged.
    """

    def __init__(self, settings: Settings, *, pipeline: Pipeline | None = None, relay: Relay | None = None) -> None:
        self.settings = settings
        self.counts = Counts()
        self._relay = relay or (make_router(settings) if settings.relays else None)
        self._pipeline = pipeline or make_pipeline(settings)
        self._intake = Intake(self._pipeline, self._relay, self.counts) if self._relay else None
        self._doors = dict(self._make_doors())
        self._started: list[_Door] = []

    def _make_doors(self) -> Iterator[tuple[str, _Door]]:
        doors, keys = self.settings.doors, self.settings.body_keys
        if doors.grpc:
            yield "grpc", GrpcServer(doors.grpc, self._pipeline, self._intake, self.counts, keys)
        if doors.http:
            yield (
                "http",
                HttpDoor(
                    doors.http.listen, doors.http.max_receive_bytes, keys, self._pipeline, self._intake, self.counts
                ),
            )
        if doors.forward and self._intake:
            door = doors.forward
            yield "forward", ForwardDoor(door.listen, door.max_receive_bytes, door.shared_key, keys, self._intake)

    @property
    def ports(self) -> dict[str, int]:
        """The port that each door is bound to."""
        return {name: door.port for name, door in self._doors.items()}

    async def start(self) -> None:
        """Open the relays, then the doors.

        Raises:
            SettingsError: a relay or an address cannot be used.
        """
        try:
            if self._relay:
                await self._relay.open()
            for door in self._doors.values():
                await door.start()
                self._started.append(door)
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Take no more requests, finish those in flight within the grace, and let go of ports and relays."""
        await asyncio.gather(*(door.stop(self.settings.grace) for door in self._started))
        self._started.clear()
        if self._intake:
            await self._intake.close()
        if self._relay:
            await self._relay.close()

    async def run(self, stopping: asyncio.Event) -> None:
        """Start, serve until `stopping` is set, and stop.

        Raises:
            SettingsError: a relay or an address cannot be used.
        """
        await self.start()
        for name, door in self._doors.items():
            host: str = getattr(self.settings.doors, name).listen.rpartition(":")[0]
            _log.info("%s: listening on %s:%d", name, host, door.port)
        _log.info("relays: %s", ", ".join(self.settings.relays) or "none; records are only answered")
        await stopping.wait()
        _log.info("stopping")
        await self.stop()
        _log.info("stopped; records: %s", self.counts.summary())
