"""One file that several processes append to: each batch stays whole, and a kill of one of them spoils nothing."""

from __future__ import annotations

import asyncio
import fcntl
import io
import json
import os
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from lexilog import Enriched, Pipeline, Record, RelayError, SettingsError
from lexilog.relay import _append as append_module
from lexilog.relay.file import FileRelay
from lexilog.relay.settings import FileSettings

BATCH = 50
# Writes batches for ever, or so many; each line says whose it is, which batch, and which place. A dot for each batch.
WRITER = """
import asyncio, sys
from itertools import count
from pathlib import Path
from lexilog import Pipeline, Record
from lexilog.relay.file import FileRelay
from lexilog.relay.settings import FileSettings

async def run(name, path, most, rotate_bytes, size):
    relay = FileRelay("out", FileSettings(path=Path(path), rotate_bytes=int(rotate_bytes) or None))
    pipeline = Pipeline(catalogs=[])
    filler = "x" * int(size)
    await relay.open()
    for number in range(int(most)) if int(most) else count():
        lines = (Record(line=f"{filler} {name} {number} {place}") for place in range(50))
        await relay.deliver(pipeline.process_all(lines))
        sys.stdout.write(".")
        sys.stdout.flush()
    await relay.close()

asyncio.run(run(*sys.argv[1:]))
"""


@pytest.fixture
def batch(pipeline: Pipeline) -> list[Enriched]:
    return pipeline.process_all(Record(line=f"line {number}") for number in range(3))


class Writer:
    """A process that writes batches."""

    def __init__(self, name: str, path: Path, most: int = 0, rotate_bytes: int = 0, size: int = 1) -> None:
        arguments = (name, str(path), str(most), str(rotate_bytes), str(size))
        self.process = subprocess.Popen([sys.executable, "-c", WRITER, *arguments], stdout=subprocess.PIPE)
        self.taken = 0

    def wait_for(self, count: int) -> None:
        """Wait until it has written so many more batches."""
        assert self.process.stdout
        for _ in range(count):
            assert self.process.stdout.read(1) == b".", "the writer has ended"
            self.taken += 1

    def end(self) -> int:
        """Read what it still says, and return its exit code."""
        assert self.process.stdout
        self.taken += len(self.process.stdout.read())
        self.process.stdout.close()
        return self.process.wait(60)


@contextmanager
def _writers(*writers: Writer) -> Iterator[None]:
    try:
        yield
    finally:
        for writer in writers:
            writer.process.kill()
            writer.process.wait(60)
            if writer.process.stdout:
                writer.process.stdout.close()


def _batches(*files: Path) -> list[tuple[str, int]]:
    """Return whose batches are in files, and their numbers; every line is whole, and every batch in one piece."""
    found = []
    for file in files:
        content = file.read_bytes()
        assert not content or content.endswith(b"\n")
        lines = [json.loads(line)["message"].split()[-3:] for line in content.splitlines()]
        assert len(lines) % BATCH == 0
        for start in range(0, len(lines), BATCH):
            piece = lines[start : start + BATCH]
            assert {(name, number) for name, number, _ in piece} == {(piece[0][0], piece[0][1])}
            assert [int(place) for *_, place in piece] == list(range(BATCH))
            found.append((piece[0][0], int(piece[0][1])))
    return found


def test_batches_of_several_processes_stay_whole(tmp_path: Path) -> None:
    """While the file is rotated again and again: no line is lost, none is there twice, and no batch is cut or mixed."""
    path = tmp_path / "out.ndjson"
    writers = [Writer(name, path, most=40, rotate_bytes=30_000) for name in ("a", "b", "c")]
    with _writers(*writers):
        assert [writer.end() for writer in writers] == [0, 0, 0]
    files = list(tmp_path.iterdir())
    found = _batches(*files)
    assert Counter(found) == Counter((name, number) for name in ("a", "b", "c") for number in range(40))
    assert len(files) > 10
    for file in files:
        assert file == path or file.stat().st_size >= 30_000


def test_a_kill_in_mid_batch_spoils_nothing(tmp_path: Path) -> None:
    """A process that is killed in mid-write leaves at most a batch of its own that is not whole; others write on."""
    path = tmp_path / "out.ndjson"
    # Large lines: a kill has to hit a write.
    steady = Writer("steady", path, size=20_000)
    with _writers(steady):
        steady.wait_for(1)
        for number in range(6):
            other = Writer(f"other{number}", path, size=20_000)
            with _writers(other):
                other.wait_for(1 + number)
            steady.wait_for(2)
    # Its own end is no half line either.
    asyncio.run(_deliver(FileRelay("out", FileSettings(path=path)), []))
    messages = [json.loads(line)["message"].split()[1:] for line in path.read_bytes().splitlines()]
    places = Counter((name, int(number)) for name, number, _ in messages)
    for number in range(steady.taken):
        assert places["steady", number] == BATCH
    for number in range(6):
        assert places[f"other{number}", number] == BATCH
    assert max(places.values()) == BATCH


async def _deliver(relay: FileRelay, *batches: list[Enriched]) -> None:
    await relay.open()
    for batch in batches:
        await relay.deliver(batch)
    await relay.close()


def test_a_half_line_of_a_process_that_was_killed_is_cut_off(
    tmp_path: Path, batch: list[Enriched], caplog: pytest.LogCaptureFixture
) -> None:
    """Also by one that has the file open already: its next line does not end up behind half a line."""
    path = tmp_path / "out.ndjson"

    async def run() -> None:
        relay = FileRelay("out", FileSettings(path=path))
        await relay.open()
        await relay.deliver(batch)
        with path.open("ab") as other:
            other.write(b'{"message":"theirs"}\n{"message":"ha')
        await relay.deliver(batch)
        await relay.close()

    asyncio.run(run())
    found = [json.loads(line)["message"] for line in path.read_bytes().splitlines()]
    assert found == ["line 0", "line 1", "line 2", "theirs", "line 0", "line 1", "line 2"]
    assert "a half line of 14 bytes at its end is cut off" in caplog.text


class Holder(threading.Thread):
    """Another process, as far as the lock of a file is concerned: it has written half a line, and waits."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.file = path.open("ab", buffering=0)
        fcntl.flock(self.file, fcntl.LOCK_EX)
        self.file.write(b'{"message":"the')
        self.go_on = threading.Event()
        self.start()

    def run(self) -> None:
        with self.file:
            self.go_on.wait(60)
            self.file.write(b'irs"}\n')


@pytest.mark.parametrize("step", ["open", "deliver"])
def test_what_another_process_is_writing_is_left_alone(step: str, tmp_path: Path, batch: list[Enriched]) -> None:
    """Whoever opens the file, or has the next batch, waits until the other one is done."""
    path = tmp_path / "out.ndjson"

    async def run() -> None:
        relay = FileRelay("out", FileSettings(path=path))
        if step == "deliver":
            await relay.open()
        holder = Holder(path)
        waiting = asyncio.create_task(relay.open() if step == "open" else _just(relay, batch))
        await asyncio.sleep(0.2)
        assert not waiting.done()
        holder.go_on.set()
        await waiting
        holder.join(60)
        await relay.deliver(batch)
        await relay.close()

    asyncio.run(run())
    found = [json.loads(line)["message"] for line in path.read_bytes().splitlines()]
    assert found == ["theirs", *["line 0", "line 1", "line 2"] * (2 if step == "deliver" else 1)]


async def _just(relay: FileRelay, batch: list[Enriched]) -> None:
    await relay.deliver(batch)


def test_a_file_that_another_process_renames_meanwhile_gets_nothing(tmp_path: Path, batch: list[Enriched]) -> None:
    """After the wait for a file the path may lead to another one: the batch goes there."""
    path, moved = tmp_path / "out.ndjson", tmp_path / "out.ndjson.moved"

    async def run() -> None:
        relay = FileRelay("out", FileSettings(path=path))
        await relay.open()
        holder = Holder(path)
        waiting = asyncio.create_task(relay.deliver(batch))
        await asyncio.sleep(0.2)
        path.rename(moved)
        holder.go_on.set()
        await waiting
        holder.join(60)
        await relay.close()

    asyncio.run(run())
    assert moved.read_bytes() == b'{"message":"theirs"}\n'
    assert [json.loads(line)["message"] for line in path.read_bytes().splitlines()] == ["line 0", "line 1", "line 2"]


def test_a_write_that_fails_takes_back_no_line_of_another(
    tmp_path: Path, batch: list[Enriched], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only what it has written itself is taken back: the others wait until that is done."""
    path, begun, go_on = tmp_path / "out.ndjson", threading.Event(), threading.Event()

    def fail(file: io.FileIO, data: bytes) -> None:
        os.write(file.fileno(), data[:30])
        begun.set()
        go_on.wait(60)
        raise OSError(28, "No space left on device")

    def write() -> None:
        with path.open("ab", buffering=0) as other:
            fcntl.flock(other, fcntl.LOCK_EX)
            other.write(b'{"message":"theirs"}\n')

    async def run() -> None:
        relay = FileRelay("out", FileSettings(path=path))
        await relay.open()
        with monkeypatch.context() as patch:
            patch.setattr("lexilog.relay._append._write_all", fail)
            failing = asyncio.create_task(relay.deliver(batch))
            await asyncio.to_thread(begun.wait, 60)
            other = threading.Thread(target=write)
            other.start()
            time.sleep(0.1)
            go_on.set()
            with pytest.raises(Exception, match="No space left on device"):
                await failing
        other.join(60)
        await relay.deliver(batch)
        await relay.close()

    asyncio.run(run())
    found = [json.loads(line)["message"] for line in path.read_bytes().splitlines()]
    assert found == ["theirs", "line 0", "line 1", "line 2"]


def test_a_pipe_takes_whole_batches_too(tmp_path: Path, pipeline: Pipeline) -> None:
    """Two relays with batches that are larger than the pipe: the lines of one do not end up in the other's."""
    path = tmp_path / "pipe"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    os.set_blocking(reader, True)
    batches = [
        pipeline.process_all(Record(line=f"{'x' * 3_000} {name} 0 {n}") for n in range(BATCH)) for name in ("a", "b")
    ]
    content = bytearray()

    def read() -> None:
        while data := os.read(reader, 10_000):
            content.extend(data)

    async def run() -> None:
        relays = [FileRelay("out", FileSettings(path=path)) for _ in batches]
        for relay in relays:
            await relay.open()
        thread = threading.Thread(target=read)
        thread.start()
        await asyncio.gather(*(relay.deliver(batch) for relay, batch in zip(relays, batches, strict=True)))
        for relay in relays:
            await relay.close()
        await asyncio.to_thread(thread.join, 60)

    asyncio.run(run())
    os.close(reader)
    copy = tmp_path / "copy"
    copy.write_bytes(content)
    assert sorted(_batches(copy)) == [("a", 0), ("b", 0)]


def test_a_file_that_is_kept_locked_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another process that hangs with the lock must not hang this one: the sender is told to come again."""
    monkeypatch.setattr(append_module, "_PATIENCE", 0.05)
    path = tmp_path / "out.ndjson"
    pipeline = Pipeline()

    async def run() -> None:
        relay = FileRelay("archive", FileSettings(path=path))
        await relay.open()
        batch = pipeline.process_all([Record(line="x")])
        with path.open("ab") as other:
            fcntl.flock(other, fcntl.LOCK_EX)
            with pytest.raises(RelayError, match=r"relay archive: .*: cannot be .*: another process keeps it locked"):
                await relay.deliver(batch)
            with pytest.raises(SettingsError, match="another process keeps it locked"):
                await FileRelay("archive", FileSettings(path=path)).open()
        await relay.deliver(batch)
        await relay.close()

    asyncio.run(run())
    assert path.read_bytes().count(b"\n") == 1
