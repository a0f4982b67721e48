"""A worker as its parent sees it: a process that may be replaced, and the channel to it."""

from __future__ import annotations

import asyncio
import json
import logging
import signal
import socket
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Callable, Mapping
from contextlib import suppress
from time import monotonic
from typing import Any

from lexilog.service.admin import Health

__all__ = ["BEAT", "HELD_SIGNALS", "STOP_LIMIT", "WorkerHandle"]

# They are held back in a worker until it can handle them.
HELD_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
# Seconds after which a worker says again how it is doing.
BEAT = 2.0
# Seconds that a worker's stop may take behind the grace, before it is ended by force.
STOP_LIMIT = 10.0
_MOST_SAID = 1 << 18

_log = logging.getLogger(__name__)


class WorkerHandle:
    """One of several workers.

    Args:
        number: which.
        heard: is called when it has become ready, or no longer is.

    Attributes:
        number: which.
        is_ready: it takes connections.
        health: what it said last.
        error: what it said is wrong with the settings; None where nothing is.
        end: how its process has ended, in words.
        settled: it has become ready or has ended, for the first time.
    """

    def __init__(self, number: int, heard: Callable[[], None]) -> None:
        self.number = number
        self.is_ready = False
        self.health = Health(False)
        self.error: str | None = None
        self.end = ""
        self.settled = asyncio.Event()
        self._heard = heard
        self._is_dismissed = False
        self._process: Process | None = None
        self._channel: socket.socket | None = None
        self._heard_at = 0.0

    @property
    def silence(self) -> float:
        """For how many seconds it has said nothing; 0 before it is ready, and at its end."""
        return monotonic() - self._heard_at if self._channel and self._heard_at and not self._is_dismissed else 0.0

    @property
    def pid(self) -> int:
        """The number of its process; 0 where there is none."""
        return self._process.pid if self._process else 0

    async def start(self, orders: bytes, environment: Mapping[str, str]) -> None:
        """Start a process; what cannot be started has ended at once.

        Args:
            orders: what it is told on its standard input.
            environment: its environment.
        """
        # Until it is ready it is to be seen what has become of the one before.
        self.health, self.error, self.end = Health(False, self.health.problems), None, ""
        self._is_dismissed = False
        self._heard_at = 0.0
        try:
            process = await self._spawn(environment)
        except OSError as error:
            self.end = f"it cannot be started: {error.strerror or error}"
            return
        self._process = process
        assert process.stdin
        # One that has ended already is noticed elsewhere.
        with suppress(ConnectionError):
            process.stdin.write(orders)
            await process.stdin.drain()
        process.stdin.close()

    async def _spawn(self, environment: Mapping[str, str]) -> Process:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setblocking(False)
        with theirs:
            # The new process begins with the mask of this thread.
            signal.pthread_sigmask(signal.SIG_BLOCK, HELD_SIGNALS)
            try:
                process = await asyncio.create_subprocess_exec(
                    *(sys.executable, "-P", "-m", "lexilog.service.workers.child"),
                    *(str(self.number), str(theirs.fileno())),
                    stdin=PIPE,
                    env=environment,
                    pass_fds=(theirs.fileno(),),
                )
            except BaseException:
                ours.close()
                raise
            finally:
                signal.pthread_sigmask(signal.SIG_UNBLOCK, HELD_SIGNALS)
        self._channel = ours
        asyncio.get_running_loop().add_reader(ours, self._listen)
        return process

    async def wait(self) -> None:
        """Wait until its process has ended."""
        if process := self._process:
            code = await process.wait()
            while self._listen():
                pass
            self._let_go()
            self._process = None
            how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
            self.end = f"its process {process.pid} has ended with {how}"
            if self.error is not None:
                self.end += f": {self.error}"
        self.settled.set()

    async def abandon(self, why: str) -> None:
        """End it whatever state it is in, and say why."""
        if process := self._process:
            self.kill()
            await process.wait()
            self._process = None
        self._let_go()
        self.end = why
        self.settled.set()

    def _listen(self) -> bool:
        """Hear what it says; tell whether there may be more of it."""
        if not self._channel:
            return False
        try:
            data = self._channel.recv(_MOST_SAID)
        except ConnectionResetError:
            # It has died with connections that it had not taken yet; what it has said is still here.
            return True
        except BlockingIOError:
            return False
        if not data:
            self._let_go()
            return False
        self._note(json.loads(data))
        return True

    def _note(self, said: Mapping[str, Any]) -> None:
        if "error" in said:
            self.error = said["error"]
            return
        if said["leaving"]:
            self.dismiss()
        if said["ready"]:
            self._heard_at = monotonic()
        takes = said["ready"] and not self._is_dismissed
        self.health = Health(takes, said["problems"])
        if takes and not self.is_ready:
            _log.info("worker %d: its process %d is ready", self.number, self.pid)
        self._set_ready(ready=takes)

    def _let_go(self) -> None:
        if self._channel:
            asyncio.get_running_loop().remove_reader(self._channel)
            self._channel.close()
            self._channel = None
        self._set_ready(ready=False)

    def _set_ready(self, *, ready: bool) -> None:
        if ready != self.is_ready:
            self.is_ready = ready
            self._heard()
        if ready:
            self.settled.set()

    def hand(self, door: str, connection: socket.socket) -> bool:
        """Give it a connection to a door; tell whether it takes it."""
        if not self._channel:
            return False
        try:
            socket.send_fds(self._channel, [door.encode()], [connection.fileno()])
        except ConnectionError:
            # It has died.
            self._set_ready(ready=False)
            return False
        except OSError:
            # It has too many already that it has not taken yet.
            return False
        return True

    def reload(self) -> None:
        """Have it read anew what can be."""
        self._signal(signal.SIGHUP)

    def dismiss(self) -> None:
        """Give it no more connections; it finishes what it has, and ends."""
        self._is_dismissed = True
        self._set_ready(ready=False)
        if self._channel:
            with suppress(OSError):
                self._channel.shutdown(socket.SHUT_WR)

    def suspend(self, problem: str) -> None:
        """Give it no more connections until it speaks again."""
        if self.is_ready:
            _log.error("worker %s %s; it gets no more connections", str(self.number), problem)
        self.health = Health(False, {"worker": problem})
        self._set_ready(ready=False)

    def kill(self) -> None:
        """End it at once."""
        self._signal(signal.SIGKILL)

    def _signal(self, number: signal.Signals) -> None:
        if self._process:
            with suppress(ProcessLookupError):
                self._process.send_signal(number)
