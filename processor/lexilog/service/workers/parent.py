"""Several processes that serve the same doors: their parent opens the ports, and hands each connection to one of them.

The parent starts a process of `lexilog.service.workers.child` for each, hears from it how it is doing, and puts another
in its place when it ends. A connection goes to the next worker that is ready; while none is, connections wait in the
system's queue.
"""

from __future__ import annotations

import asyncio
import logging
import os
import pickle
import socket
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic

from lexilog.errors import LexilogError, SettingsError
from lexilog.service.admin import Health
from lexilog.service.metrics import Counts
from lexilog.service.ports import Ports
from lexilog.service.settings import Settings
from lexilog.service.workers.handle import BEAT, STOP_LIMIT, WorkerHandle
from lexilog.service.workers.metrics import FOLDER_VARIABLE, WorkerMetrics

__all__ = ["Workers", "pause_after"]

# A worker that has lived for less than these seconds has ended quickly.
_QUICK = 30.0
# Quick ends in a row that do not keep the next worker waiting, and the longest wait, in seconds.
_FREE = 2
_LONGEST = 10.0
# Seconds of silence after which a worker gets no more connections, and after which it is killed. Nothing that it does
# keeps it from speaking for longer than a few seconds.
_HANGS = 15.0
_HOPELESS = 60.0

_log = logging.getLogger(__name__)


def pause_after(quick_ends: int) -> float:
    """Return how long to wait before a worker is started again.

    Args:
        quick_ends: how many have ended quickly in its place, one after the other.

    Returns:
        Seconds: nothing at first, then twice as long each time, ten at most.
    """
    return 0.0 if quick_ends <= _FREE else min(_LONGEST, 2.0 ** min(quick_ends - _FREE - 1, 10))


class Workers:
    """All workers of a server, and their ports; `start` them, and `stop` them.

    Args:
        settings: what each of them is told.
        settings_file: where that stands; they watch it.

    Attributes:
        counts: what is counted here, and not in a worker.
    """

    def __init__(self, settings: Settings, settings_file: Path | None = None) -> None:
        self.counts = Counts()
        self._settings = settings
        self._orders = pickle.dumps((settings, settings_file))
        self._workers = [WorkerHandle(number, self._heard) for number in range(1, settings.workers + 1)]
        self._turn = 0
        self._some_ready = asyncio.Event()
        self._stopping = asyncio.Event()
        # One at a time: signals are held back meanwhile.
        self._starting = asyncio.Lock()
        self._is_open = False
        self._folder: TemporaryDirectory[str] | None = None
        self._metrics: WorkerMetrics | None = None
        self._summary = "no records"
        self._ports = Ports()
        self._keeping: list[asyncio.Task[None]] = []
        self._watching: asyncio.Task[None] | None = None

    @property
    def ports(self) -> dict[str, int]:
        """The port that each door is bound to."""
        return self._ports.numbers

    async def start(self) -> None:
        """Bind the ports, and start the workers: one, and when that is ready the others.

        Raises:
            SettingsError: an address or something else that the settings name cannot be used.
            LexilogError: the first worker cannot be started, or ends before it is ready.
        """
        try:
            self._ports.bind(self._settings.doors)
            self._folder = self._make_folder()
            self._metrics = WorkerMetrics(Path(self._folder.name), self.counts)
            await self._start_first(self._workers[0])
        except BaseException:
            await self.stop()
            raise
        self._is_open = True
        self._keeping += [asyncio.create_task(self._keep(worker)) for worker in self._workers[1:]]
        self._ports.accept(self._take)
        self._watching = asyncio.create_task(self._watch())

    def _make_folder(self) -> TemporaryDirectory[str]:
        try:
            # What workers that are killed leave in it goes with it.
            return TemporaryDirectory(prefix="lexilog-", ignore_cleanup_errors=True)
        except OSError as error:
            problem = f"a folder for temporary files is needed: {error.strerror}; TMPDIR says where it is"
            raise SettingsError(f"workers: {problem}") from error

    async def _start_first(self, worker: WorkerHandle) -> None:
        """Start a worker that finds what is wrong with the settings."""
        keeping = asyncio.create_task(self._keep(worker))
        self._keeping.append(keeping)
        settled = asyncio.create_task(worker.settled.wait())
        await asyncio.wait((keeping, settled), return_when=asyncio.FIRST_COMPLETED)
        settled.cancel()
        if worker.error is not None:
            raise SettingsError(worker.error)
        if not worker.is_ready:
            raise LexilogError(f"the first worker has ended before it was ready: {worker.end}")

    async def _keep(self, worker: WorkerHandle) -> None:
        """Start a worker, and another one in its place whenever it has ended."""
        quick = 0
        while not self._stopping.is_set():
            begun = monotonic()
            try:
                await self._live(worker)
            except Exception as error:  # whatever it is, a worker has to be there
                _log.error("worker %s is given up", str(worker.number), exc_info=error)
                await worker.abandon(f"it is given up: {type(error).__name__}: {error}")
            if self._stopping.is_set() or not self._is_open:
                return
            quick = quick + 1 if monotonic() - begun < _QUICK else 0
            await self._note_end(worker, pause_after(quick))

    async def _live(self, worker: WorkerHandle) -> None:
        """Start a worker, and wait until it has ended."""
        assert self._metrics
        self._metrics.prepare(worker.number)
        environment = {**os.environ, FOLDER_VARIABLE: self._metrics.folder, "TMPDIR": self._metrics.folder}
        async with self._starting:
            await worker.start(self._orders, environment)
        if self._stopping.is_set():
            worker.dismiss()
        await worker.wait()
        self._metrics.forget(worker.number)

    async def _watch(self) -> None:
        """Give no more connections to a worker that hangs, and end it when that does not pass."""
        while True:
            await asyncio.sleep(BEAT)
            for worker in self._workers:
                silence = worker.silence
                if silence > _HOPELESS:
                    _log.error("worker %s: hangs for %.0f seconds: it is killed", str(worker.number), silence)
                    worker.kill()
                elif silence > _HANGS:
                    worker.suspend(f"hangs: it has said nothing for {silence:.0f} seconds")

    async def _note_end(self, worker: WorkerHandle, pause: float) -> None:
        """Say that a worker has ended, and wait until it is time for another one."""
        self.counts.metrics["worker_exits"].inc()
        name = str(worker.number)
        if worker.error is not None:
            # A file has become wrong since the start. The others have what it held before.
            problem = f"cannot start: {worker.error}; it is tried again"
            _log.error("worker %s %s", name, problem, extra={"once": f"{name} {worker.error}"})
        else:
            problem = f"{worker.end}; another one takes its place"
            if pause:
                said = "worker %s keeps ending quickly: %s; the next one starts in %g seconds"
                _log.error(said, name, worker.end, pause)
            else:
                _log.error("worker %s: %s", name, problem)
        worker.health = Health(False, {"worker": problem})
        try:
            async with asyncio.timeout(pause):
                await self._stopping.wait()
        except TimeoutError:
            return

    def _heard(self) -> None:
        """Note that a worker has become ready, or no longer is."""
        ready = sum(worker.is_ready for worker in self._workers)
        self.counts.metrics["workers"].set(ready)
        if ready:
            self._some_ready.set()
        else:
            self._some_ready.clear()

    async def _take(self, door: str, connection: socket.socket) -> None:
        """Hand a connection to a worker."""
        with connection:
            while True:
                await self._some_ready.wait()
                if any(worker.hand(door, connection) for worker in self._in_turn()):
                    return
                if self._some_ready.is_set():
                    break
            self.counts.refuse(door, "workers")
            _log.warning("%s: a connection is not let in: no worker takes it: they are overloaded", door)

    def _in_turn(self) -> Iterator[WorkerHandle]:
        """Yield the workers that are ready, each time another one first."""
        ready = [worker for worker in self._workers if worker.is_ready]
        self._turn += 1
        for place in range(len(ready)):
            yield ready[(self._turn + place) % len(ready)]

    def reload(self) -> None:
        """Have every worker read catalogues, certificates and tokens anew."""
        for worker in self._workers:
            worker.reload()

    def health(self) -> Health:
        """Return what the workers say together."""
        merged = Health.merge({str(worker.number): worker.health for worker in self._workers})
        return merged._replace(ready=merged.ready and self._is_open)

    def expose(self) -> bytes:
        """Return the metrics of all workers in Prometheus' text format; for a thread."""
        return self._metrics.expose() if self._metrics else b""

    def summary(self) -> str:
        """Return what has become of all records, in one line, once the workers have stopped."""
        return self._summary

    async def stop(self) -> None:
        """Let go of the ports, and have the workers finish what is in flight within the grace."""
        self._is_open = False
        self._stopping.set()
        if self._watching:
            self._watching.cancel()
            await asyncio.wait([self._watching])
        await self._ports.close()
        for worker in self._workers:
            worker.dismiss()
        if self._keeping:
            _, late = await asyncio.wait(self._keeping, timeout=self._settings.grace + STOP_LIMIT)
            if late:
                _log.error("workers do not end within the grace: they are killed")
                for worker in self._workers:
                    worker.kill()
            await asyncio.gather(*self._keeping, return_exceptions=True)
            self._keeping.clear()
        if self._folder:
            if self._metrics:
                self._summary = self._metrics.summary()
                self._metrics = None
            self._folder.cleanup()
            self._folder = None
