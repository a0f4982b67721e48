"""A worker: one of several processes that serve the same doors. Its parent is `lexilog.service.workers.parent`.

Between the two is a pair of sockets, the channel. The parent sends connections over it, each with the name of its door;
when it closes its end, or dies, the worker finishes what it has and ends. The worker says on it how it is doing, as a
JSON object whenever that changes: ``ready``, ``problems``, ``leaving`` (it wants no more connections), or ``error``
(what is wrong with the settings).
"""

from __future__ import annotations

import asyncio
import json
import logging
import pickle
import signal
import socket
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from lexilog.errors import LexilogError
from lexilog.service.logs import set_up_logging
from lexilog.service.run import traced
from lexilog.service.server import Server
from lexilog.service.settings import Settings
from lexilog.service.status import Status
from lexilog.service.workers.handle import BEAT, HELD_SIGNALS, STOP_LIMIT
from lexilog.service.workers.metrics import count_as_worker

__all__ = ["main"]

_DOOR_BYTES = 64
# Characters of a problem that the parent is told.
_MOST_TEXT = 4_000
# Seconds until the parent is told again, where it has not read what it was told before.
_PAUSE = 0.2

_log = logging.getLogger(__name__)


def main() -> None:
    """Run a worker: its number and the descriptor of its channel are arguments, its settings come on standard input."""
    number, channel = int(sys.argv[1]), socket.socket(fileno=int(sys.argv[2]))
    settings, settings_file = pickle.load(sys.stdin.buffer)  # noqa: S301 (it is the parent who writes there)
    set_up_logging(settings.log, number)
    count_as_worker(number)
    # The terminal sends it to all processes; it is for the parent.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with channel:
        sys.exit(asyncio.run(_Worker(channel, settings, settings_file).run()))


class _Worker:
    def __init__(self, channel: socket.socket, settings: Settings, settings_file: Path | None) -> None:
        channel.setblocking(False)
        self._channel = channel
        self._settings = settings
        self._settings_file = settings_file
        self._status = Status(self._tell)
        self._server: Server | None = None
        self._leaving = False
        self._is_late = False
        self._over = asyncio.Event()
        self._taking: set[asyncio.Task[None]] = set()

    async def run(self) -> int:
        """Serve until the parent closes the channel; return the exit code."""
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self._leave)
        loop.add_signal_handler(signal.SIGHUP, self._reload)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, HELD_SIGNALS)
        try:
            with traced(self._settings):
                server = Server(self._settings, settings_file=self._settings_file, status=self._status)
                self._server = server
                await server.start(listen=False)
                await self._serve(server)
        except LexilogError as error:
            self._say({"error": str(error)})
            return 1
        return 0

    async def _serve(self, server: Server) -> None:
        loop = asyncio.get_running_loop()
        loop.add_reader(self._channel, self._receive, server)
        while not self._over.is_set():
            # A parent that hears nothing takes this process for one that hangs.
            with suppress(TimeoutError):
                async with asyncio.timeout(BEAT):
                    await self._over.wait()
            self._tell()
        loop.remove_reader(self._channel)
        # There may be no parent any more who would end a worker that hangs. The signal's own action does it.
        signal.setitimer(signal.ITIMER_REAL, self._settings.grace + STOP_LIMIT + 1)
        if self._taking:
            await asyncio.wait(self._taking)
        await server.stop()

    def _receive(self, server: Server) -> None:
        """Take a connection."""
        try:
            data, numbers, _, _ = socket.recv_fds(self._channel, _DOOR_BYTES, 1, socket.MSG_CMSG_CLOEXEC)
        except (BlockingIOError, ConnectionResetError):
            # The latter is of a parent that has died and has not read all that it was told: what it sent is still here.
            return
        if not data:
            self._over.set()
            return
        door = data.decode()
        if not numbers:
            server.counts.refuse(door, "open_files")
            _log.error("%s: a connection is lost: this process has too many open files; raise the limit", door)
            return
        connection = socket.socket(fileno=numbers[0])
        connection.setblocking(False)
        task = asyncio.create_task(server.take(door, connection))
        self._taking.add(task)
        task.add_done_callback(self._taking.discard)

    def _leave(self) -> None:
        """Ask the parent for no more connections; it closes the channel then."""
        self._leaving = True
        self._tell()

    def _reload(self) -> None:
        if self._server:
            self._server.reload()

    def _tell(self) -> None:
        problems = {what: problem[:_MOST_TEXT] for what, problem in self._status.problems.items()}
        self._say({"ready": self._status.ready, "problems": problems, "leaving": self._leaving})

    def _tell_late(self) -> None:
        self._is_late = False
        self._tell()

    def _say(self, said: dict[str, Any]) -> None:
        try:
            self._channel.send(json.dumps(said).encode())
        except BlockingIOError:
            # A beat says the same soon enough.
            if not self._is_late:
                self._is_late = True
                asyncio.get_running_loop().call_later(_PAUSE, self._tell_late)
        except OSError:
            # The parent has gone.
            return


if __name__ == "__main__":
    main()
