"""All ports of a server: they are bound, connections are accepted, and they are let go of together."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Awaitable, Callable
from functools import partial

from lexilog.service.listen import accept, bind
from lexilog.service.settings import Doors

__all__ = ["Ports"]


_log = logging.getLogger(__name__)


class Ports:
    """The ports of the doors that are open."""

    def __init__(self) -> None:
        self._sockets: dict[str, list[socket.socket]] = {}
        self._accepting: list[asyncio.Task[None]] = []

    @property
    def numbers(self) -> dict[str, int]:
        """The port that each door is bound to."""
        return {name: sockets[0].getsockname()[1] for name, sockets in self._sockets.items()}

    def bind(self, doors: Doors) -> None:
        """Bind them; connections wait until they are accepted.

        Raises:
            SettingsError: an address cannot be bound; `close` lets go of the others.
        """
        for name, told in doors.open().items():
            self._sockets[name] = bind(told.listen, f"doors.{name}.listen")

    def accept(self, take: Callable[[str, socket.socket], Awaitable[None]]) -> None:
        """Begin to accept connections.

        Args:
            take: is given the name of a door and a connection, one after the other for each socket.
        """
        for name, sockets in self._sockets.items():
            for one in sockets:
                task = asyncio.create_task(accept(one, partial(take, name)))
                task.add_done_callback(partial(_note_end, name))
                self._accepting.append(task)

    async def close(self) -> None:
        """Accept no more connections, and let go of the ports."""
        for task in self._accepting:
            task.cancel()
        if self._accepting:
            await asyncio.wait(self._accepting)
        self._accepting.clear()
        for one in (one for sockets in self._sockets.values() for one in sockets):
            one.close()
        self._sockets.clear()


def _note_end(name: str, task: asyncio.Task[None]) -> None:
    if not task.cancelled():
        _log.error("%s: no more connections are accepted", name, exc_info=task.exception())
