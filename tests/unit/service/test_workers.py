"""The parent of several workers: who gets a connection, what becomes of one that nobody takes, and who is started anew.

Real processes are in tests/e2e/test_workers.py; here is one, and otherwise doubles.
"""

from __future__ import annotations

import asyncio
import json
import os
import pickle
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from lexilog import SettingsError
from lexilog.errors import LexilogError
from lexilog.service.admin import Health
from lexilog.service.settings import Doors, HttpDoorSettings, Settings
from lexilog.service.workers import parent as module
from lexilog.service.workers.handle import WorkerHandle
from lexilog.service.workers.metrics import FOLDER_VARIABLE
from lexilog.service.workers.parent import Workers, pause_after

SETTINGS = Settings(doors=Doors(http=HttpDoorSettings(listen="127.0.0.1:0")), workers=3, grace=0)
PATIENCE = 20.0


class HandleDouble:
    """A double of a worker: it is ready at once, and keeps what it is handed. There is no process behind it.

    Attributes:
        taken: the doors of the connections that it was handed.
        starts: how often it was started.
        room: whether it takes connections when it is ready.
        hangs: whether it goes on when it is dismissed, until it is killed.
        defects: what goes wrong with it, at its start and while it is waited for; each once.
        silence: for how long it has said nothing.
    """

    def __init__(self, number: int, heard: Callable[[], None]) -> None:
        self.number = number
        self.is_ready = False
        self.health = Health(False)
        self.error: str | None = None
        self.end = "it has ended"
        self.settled = asyncio.Event()
        self.taken: list[str] = []
        self.starts = self.kills = 0
        self.room, self.hangs, self.fails = True, False, False
        self.defects: dict[str, Exception] = {}
        self.silence = 0.0
        self._heard = heard
        self._over = asyncio.Event()
        ALL.append(self)

    async def start(self, orders: bytes, environment: Mapping[str, str]) -> None:
        self.starts += 1
        assert pickle.loads(orders)[0] == SETTINGS
        assert Path(environment[FOLDER_VARIABLE]).is_dir()
        self._over.clear()
        self._go_wrong("start")
        if self.fails:
            self.die()
        else:
            self.set_ready(ready=True)

    def _go_wrong(self, when: str) -> None:
        if when in self.defects:
            raise self.defects.pop(when)

    async def abandon(self, why: str) -> None:
        self.end = why
        self.set_ready(ready=False)

    async def wait(self) -> None:
        await self._over.wait()
        self._go_wrong("wait")
        self.set_ready(ready=False)
        self.settled.set()

    def set_ready(self, *, ready: bool) -> None:
        self.is_ready, self.health = ready, Health(ready)
        if ready:
            self.settled.set()
        self._heard()

    def die(self) -> None:
        """End without being told to."""
        self._over.set()

    def hand(self, door: str, connection: socket.socket) -> bool:
        if self.room:
            self.taken.append(door)
        return self.room

    def dismiss(self) -> None:
        if not self.hangs:
            self.die()

    def suspend(self, problem: str) -> None:
        self.is_ready, self.health = False, Health(False, {"worker": problem})
        self._heard()

    def kill(self) -> None:
        self.kills += 1
        self.silence = 0.0
        self.die()


ALL: list[HandleDouble] = []


@pytest.fixture
def doubles(monkeypatch: pytest.MonkeyPatch) -> list[HandleDouble]:
    """Put doubles in the place of workers; return them, as they are made."""
    ALL.clear()
    monkeypatch.setattr(module, "WorkerHandle", HandleDouble)
    return ALL


@asynccontextmanager
async def _running() -> AsyncIterator[Workers]:
    workers = Workers(SETTINGS)
    await workers.start()
    try:
        await _until(lambda: all(double.is_ready for double in ALL))
        yield workers
    finally:
        await workers.stop()


async def _until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not condition():
            await asyncio.sleep(0.01)


async def _knock(workers: Workers) -> bytes:
    """Connect, and return what the other end says before it closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", workers.ports["http"])
    try:
        async with asyncio.timeout(PATIENCE):
            return await reader.read()
    finally:
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()


def _value(workers: Workers, name: str) -> float:
    lines = [line for line in workers.expose().decode().splitlines() if line.startswith(name)]
    return float(lines[0].rpartition(" ")[2]) if lines else 0.0


def test_connections_go_round(doubles: list[HandleDouble]) -> None:
    """Each worker gets as many as the others; one that is not ready, or takes no more, is left out."""

    async def run() -> None:
        async with _running() as workers:
            for _ in range(6):
                await _knock(workers)
            assert [len(double.taken) for double in doubles] == [2, 2, 2]
            doubles[0].set_ready(ready=False)
            doubles[1].room = False
            for _ in range(4):
                await _knock(workers)
            assert [len(double.taken) for double in doubles] == [2, 2, 6]
            assert set(doubles[2].taken) == {"http"}
            assert _value(workers, "lexilog_workers ") == 2

    asyncio.run(run())


def test_what_no_worker_takes_is_closed_and_counted(
    doubles: list[HandleDouble], caplog: pytest.LogCaptureFixture
) -> None:
    """Where all that are ready have too many to take already, the client is told at once."""

    async def run() -> None:
        async with _running() as workers:
            for double in doubles:
                double.room = False
            assert await _knock(workers) == b""
            assert _value(workers, 'lexilog_refused_total{door="http",reason="workers"}') == 1

    asyncio.run(run())
    assert "http: a connection is not let in: no worker takes it" in caplog.text


def test_connections_wait_while_no_worker_is_ready(doubles: list[HandleDouble]) -> None:
    """They are neither refused nor closed, and go to the first that is ready again."""

    async def run() -> None:
        async with _running() as workers:
            for double in doubles:
                double.set_ready(ready=False)
            waiting = [asyncio.create_task(_knock(workers)) for _ in range(5)]
            await asyncio.sleep(0.1)
            assert not any(task.done() for task in waiting)
            assert not workers.health().ready
            doubles[1].set_ready(ready=True)
            await asyncio.gather(*waiting)
            assert [len(double.taken) for double in doubles] == [0, 5, 0]
            assert _value(workers, "lexilog_refused_total") == 0

    asyncio.run(run())


def test_a_worker_that_ends_is_replaced(doubles: list[HandleDouble], caplog: pytest.LogCaptureFixture) -> None:
    """At once, and it is counted; when it ends again and again the log says so, and the next one has to wait."""

    async def run() -> None:
        async with _running() as workers:
            for starts in (2, 3):
                doubles[1].die()
                await _until(lambda starts=starts: doubles[1].starts == starts)
            doubles[1].die()
            await _until(lambda: "keeps ending quickly" in caplog.text)
            assert doubles[1].starts == 3
            assert _value(workers, "lexilog_worker_exits_total") == 3
            assert workers.health().ready
            assert "worker 2: it has ended; another one takes its place" in workers.health().problems["worker"]
        assert [double.starts for double in doubles] == [1, 3, 1]

    asyncio.run(run())
    assert "worker 2: it has ended; another one takes its place" in caplog.text
    assert "worker 2 keeps ending quickly: it has ended; the next one starts in 1 seconds" in caplog.text


@pytest.mark.parametrize("when", ["start", "wait"])
def test_whatever_goes_wrong_with_a_worker_another_one_takes_its_place(
    when: str, doubles: list[HandleDouble], caplog: pytest.LogCaptureFixture
) -> None:
    """A thread that cannot be started, say, costs no worker for ever; it is told with its stack, and a stop is one."""

    async def run() -> Path:
        async with _running() as workers:
            assert workers._folder
            doubles[1].defects[when] = RuntimeError("can't start new thread")
            doubles[1].die()
            await _until(lambda: doubles[1].starts == (3 if when == "start" else 2))
            await _until(lambda: doubles[1].is_ready)
            assert _value(workers, "lexilog_worker_exits_total") == doubles[1].starts - 1
            return Path(workers._folder.name)

    assert not asyncio.run(run()).exists()
    (line,) = (one for one in caplog.records if one.exc_info)
    assert line.getMessage() == "worker 2 is given up"
    assert "worker 2: it is given up: RuntimeError: can't start new thread; another one takes its place" in caplog.text


def test_what_a_worker_leaves_behind_costs_none(doubles: list[HandleDouble], monkeypatch: pytest.MonkeyPatch) -> None:
    """Its metrics may be gone from the folder of temporary files: so cleaners do."""

    async def run() -> None:
        async with _running() as workers:
            assert workers._metrics
            with monkeypatch.context() as patch:
                patch.setattr(workers._metrics, "forget", _nothing_there)
                doubles[1].die()
                await _until(lambda: doubles[1].starts == 2)

    asyncio.run(run())


def _nothing_there(number: int) -> None:
    raise FileNotFoundError(number)


def test_a_stop_goes_to_its_end_whatever_went_wrong(doubles: list[HandleDouble]) -> None:
    """No file stays behind where what keeps a worker has failed itself."""

    async def run() -> Path:
        async with _running() as workers:
            assert workers._folder
            folder = Path(workers._folder.name)

            async def fail() -> None:
                raise RuntimeError

            workers._keeping.append(asyncio.create_task(fail()))
        assert workers.ports == {}
        return folder

    assert not asyncio.run(run()).exists()


def test_a_file_that_keeps_a_worker_from_coming_back_is_named(
    doubles: list[HandleDouble], caplog: pytest.LogCaptureFixture
) -> None:
    """Log and health say which one; the worker is tried again, and is there once the file is mended."""

    async def run() -> None:
        async with _running() as workers:
            doubles[1].error, doubles[1].fails = "own.yaml:1:1: broken", True
            doubles[1].die()
            await _until(lambda: doubles[1].starts == 3)
            assert workers.health().ready
            assert workers.health().problems == {
                "worker": "worker 2: cannot start: own.yaml:1:1: broken; it is tried again"
            }
            doubles[1].error, doubles[1].fails = None, False
            await _until(lambda: doubles[1].is_ready)
            assert workers.health().problems == {}

    asyncio.run(run())
    assert "worker 2 cannot start: own.yaml:1:1: broken; it is tried again" in caplog.text


@pytest.mark.parametrize(
    ("ends", "pause"), [(0, 0), (1, 0), (2, 0), (3, 1), (4, 2), (5, 4), (6, 8), (7, 10), (8, 10), (100_000, 10)]
)
def test_how_long_a_worker_is_held_back(ends: int, pause: float) -> None:
    """Two may end quickly; from then on twice as long each time, and ten seconds at most."""
    assert pause_after(ends) == pause


def test_a_worker_that_does_not_end_is_killed(
    doubles: list[HandleDouble], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A stop waits for the grace and a bit, not for ever."""
    monkeypatch.setattr(module, "STOP_LIMIT", 0.05)

    async def run() -> None:
        async with _running():
            doubles[2].hangs = True

    asyncio.run(run())
    assert doubles[2].kills == 1
    assert "workers do not end within the grace: they are killed" in caplog.text


@pytest.mark.parametrize(
    ("error", "kind", "text"),
    [
        ("relay x: no", SettingsError, "relay x: no"),
        (None, LexilogError, "has ended before it was ready: it has ended"),
    ],
)
def test_a_first_worker_that_cannot_start_ends_all(
    error: str | None, kind: type[Exception], text: str, doubles: list[HandleDouble]
) -> None:
    """What it found is raised, it is not started again, nor are the others, and the port is free."""

    async def run() -> None:
        workers = Workers(SETTINGS)
        doubles[0].error, doubles[0].fails = error, True
        with pytest.raises(kind, match=text):
            await workers.start()
        assert workers.ports == {}

    asyncio.run(run())
    assert [double.starts for double in doubles] == [1, 0, 0]


def test_a_port_that_is_taken_starts_no_worker(doubles: list[HandleDouble]) -> None:
    """The error names the setting."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        listen = f"127.0.0.1:{taken.getsockname()[1]}"
        settings = Settings(doors=Doors(http=HttpDoorSettings(listen=listen)), workers=3)

        async def run() -> None:
            with pytest.raises(
                SettingsError, match=r"^doors\.http\.listen: .*: cannot be bound: Address already in use"
            ):
                await Workers(settings).start()

        asyncio.run(run())
    assert [double.starts for double in doubles] == [0, 0, 0]


def test_secrets_are_not_where_others_can_see_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings reach a worker on its standard input alone: not by arguments, nor by the environment."""
    seen: list[str] = []
    create: Any = asyncio.create_subprocess_exec

    async def watch(*arguments: str, **options: Any) -> Any:
        seen.append(repr(arguments) + repr(options["env"]))
        return await create(*arguments, **options)

    monkeypatch.setattr(asyncio, "create_subprocess_exec", watch)
    token = "not-to-be-seen-by-others"
    asyncio.run(_with_worker(lambda handle: None, HttpDoorSettings(listen="127.0.0.1:0", tokens=(token,))))
    assert len(seen) == 1
    assert token not in seen[0]


def test_a_worker_that_hangs_does_not_hold_up_its_parent() -> None:
    """It is handed what fits between the two; then the parent hears no, at once, and can go to another one."""

    def fill(handle: WorkerHandle) -> None:
        pid = handle.pid
        os.kill(pid, signal.SIGSTOP)
        try:
            ours, theirs = socket.socketpair()
            with ours, theirs:
                handed = 0
                while handle.hand("http", theirs):
                    handed += 1
                    assert handed < 100_000
            assert handed > 10
        finally:
            os.kill(pid, signal.SIGCONT)
        assert handle.is_ready

    asyncio.run(_with_worker(fill))


def test_what_has_become_of_a_worker_is_to_be_seen_until_another_one_is_ready() -> None:
    """Who asks for health does not have to come in the moment between the two."""
    handle = WorkerHandle(1, lambda: None)
    handle.health = Health(False, {"worker": "it has ended"})

    async def run() -> None:
        async with _started(handle):
            assert handle.health == Health(False, {"worker": "it has ended"})
            await handle.settled.wait()
            assert handle.health == Health(True)
            handle.dismiss()
            await handle.wait()

    asyncio.run(run())


def test_a_worker_that_is_given_up_is_gone() -> None:
    """Whatever state it is in: its process has ended, and nothing can be handed to it."""
    handle = WorkerHandle(1, lambda: None)

    async def run() -> None:
        async with _started(handle):
            await handle.settled.wait()
            pid = handle.pid
            await handle.abandon("it is given up")
            assert not Path(f"/proc/{pid}").exists()
        ours, theirs = socket.socketpair()
        with ours, theirs:
            assert not handle.hand("http", theirs)
        assert (handle.pid, handle.is_ready, handle.end) == (0, False, "it is given up")

    asyncio.run(run())


_HANGS = """
import sys, time
from unittest import mock
from lexilog.service.server import Server
from lexilog.service.workers import child
with mock.patch.object(child, "STOP_LIMIT", -0.8), mock.patch.object(Server, "stop", lambda server: time.sleep(1000)):
    child.main()
"""


def test_a_worker_that_hangs_ends_without_its_parent() -> None:
    """Nobody is there to kill it, so it has an alarm set: it holds port and memory for the grace and a bit."""
    settings = Settings(doors=Doors(http=HttpDoorSettings()), workers=2, grace=0)
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs, TemporaryDirectory() as folder:
        ours.settimeout(PATIENCE)
        process = subprocess.Popen(
            [sys.executable, "-c", _HANGS, "1", str(theirs.fileno())],
            stdin=subprocess.PIPE,
            env={**os.environ, FOLDER_VARIABLE: folder},
            pass_fds=(theirs.fileno(),),
        )
        try:
            assert process.stdin
            with process.stdin:
                process.stdin.write(pickle.dumps((settings, None)))
            theirs.close()
            assert json.loads(ours.recv(65_536))["ready"]
            ours.close()
            assert process.wait(PATIENCE) == -signal.SIGALRM
        finally:
            process.kill()
            process.wait()


def test_a_worker_that_is_killed_takes_nothing() -> None:
    """It is no longer ready as soon as a connection cannot be handed to it, and what has become of it is told."""

    async def run() -> str:
        handle = await _with_worker(lambda handle: os.kill(handle.pid, signal.SIGKILL), dismiss=False)
        ours, theirs = socket.socketpair()
        with ours, theirs:
            assert not handle.hand("http", theirs)
        assert not handle.is_ready
        return handle.end

    assert asyncio.run(run()).endswith("has ended with signal SIGKILL")


async def _with_worker(
    use: Callable[[WorkerHandle], None],
    door: HttpDoorSettings | None = None,
    *,
    dismiss: bool = True,
) -> WorkerHandle:
    """Start a worker, do something with it, and wait until it has ended."""
    handle = WorkerHandle(1, lambda: None)
    async with _started(handle, door):
        await handle.settled.wait()
        assert handle.is_ready
        use(handle)
        if dismiss:
            handle.dismiss()
        await handle.wait()
    if dismiss:
        assert handle.end.endswith("has ended with exit code 0")
    return handle


@asynccontextmanager
async def _started(handle: WorkerHandle, door: HttpDoorSettings | None = None) -> AsyncIterator[None]:
    """Start a worker's process, in a folder of its own."""
    orders = pickle.dumps((Settings(doors=Doors(http=door or HttpDoorSettings()), workers=2, grace=0), None))
    with TemporaryDirectory() as folder:
        async with asyncio.timeout(PATIENCE):
            await handle.start(orders, {**os.environ, FOLDER_VARIABLE: folder})
            yield


def test_a_worker_that_hangs_is_left_alone_and_then_replaced(
    doubles: list[HandleDouble], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Connections would wait in it until their clients give up; where that does not pass it is killed."""
    monkeypatch.setattr(module, "BEAT", 0.01)

    async def run() -> None:
        async with _running() as workers:
            doubles[0].silence = 20.0
            await _until(lambda: not doubles[0].is_ready)
            assert "hangs" in workers.health().problems["worker"]
            assert (doubles[0].kills, doubles[1].is_ready) == (0, True)
            doubles[0].silence = 100.0
            await _until(lambda: doubles[0].starts == 2 and doubles[0].is_ready)
            assert doubles[0].kills == 1

    asyncio.run(run())
