"""The ways out to a file and to standard output."""

from __future__ import annotations

import asyncio
import json
import os
import threading
from pathlib import Path
from typing import Any

import pytest

from lexilog import Enriched, Pipeline, Record, RelayError, SettingsError, encode_json
from lexilog.relay import _append
from lexilog.relay.file import FileRelay, StdoutRelay
from lexilog.relay.settings import FileSettings, StdoutSettings


@pytest.fixture
def batch(pipeline: Pipeline) -> list[Enriched]:
    return pipeline.process_all(Record(line=f"line {number}") for number in range(3))


def test_a_batch_is_one_line_per_record(tmp_path: Path, batch: list[Enriched]) -> None:
    """Records are appended in order, behind what is there."""
    path = tmp_path / "out.ndjson"
    path.write_text('{"message":"before"}\n')

    async def run() -> None:
        relay = FileRelay("out", FileSettings(path=path))
        await relay.open()
        await asyncio.gather(relay.deliver(batch), relay.deliver(batch))
        await relay.close()

    asyncio.run(run())
    found = [json.loads(line)["message"] for line in path.read_text().splitlines()]
    assert found == ["before", *["line 0", "line 1", "line 2"] * 2]


def test_a_batch_that_cannot_be_written_leaves_nothing_behind(
    tmp_path: Path, batch: list[Enriched], monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the disk is full in mid-batch the half batch is taken back and the sender keeps it."""
    path = tmp_path / "out.ndjson"

    def full(self: Any, data: bytes) -> int:
        if len(data) < 200:
            raise OSError(28, "No space left on device")
        return os.write(self.fileno(), bytes(data[:100]))

    async def run() -> None:
        relay = FileRelay("out", FileSettings(path=path))
        await relay.open()
        await relay.deliver(batch)
        before = path.read_bytes()
        with monkeypatch.context() as patch:
            patch.setattr("lexilog.relay._append._write_all", lambda file, data: [full(file, data), full(file, b"")])
            with pytest.raises(RelayError, match="No space left on device"):
                await relay.deliver(batch)
        assert path.read_bytes() == before
        await relay.deliver(batch)
        await relay.close()

    asyncio.run(run())
    assert len(path.read_text().splitlines()) == 6


@pytest.mark.parametrize(
    ("before", "expected"),
    [
        (b'{"a":1}\n{"message":"half a li', b'{"a":1}\n'),
        (b'{"message":"' + b"x" * 200_000, b""),
        (b'{"a":1}\n{"b":2}', b'{"a":1}\n{"b":2}\n'),
        (b"not ours", b"not ours\n"),
        (b"", b""),
        (b'{"a":1}\n', b'{"a":1}\n'),
    ],
    ids=["half", "long half", "whole", "other", "empty", "sound"],
)
def test_a_torn_end_does_not_spoil_the_next_record(
    before: bytes, expected: bytes, tmp_path: Path, batch: list[Enriched]
) -> None:
    """After a kill in mid-line the half document, which was never acknowledged, goes; nobody else's text does."""
    path = tmp_path / "out.ndjson"
    path.write_bytes(before)

    async def run() -> None:
        relay = FileRelay("out", FileSettings(path=path))
        await relay.open()
        await relay.deliver(batch)
        await relay.close()

    asyncio.run(run())
    assert path.read_bytes().startswith(expected)
    assert len(path.read_bytes()[len(expected) :].splitlines()) == len(batch)
    assert [json.loads(line) for line in path.read_bytes()[len(expected) :].splitlines()]


def test_a_file_that_cannot_be_opened_is_a_setting_that_is_wrong(tmp_path: Path) -> None:
    """The error names the relay and the file."""
    with pytest.raises(SettingsError, match=r"^relay out: /.*/nowhere/out: cannot be written: No such file"):
        asyncio.run(FileRelay("out", FileSettings(path=tmp_path / "nowhere" / "out")).open())


def test_a_reader_that_has_gone_is_no_success(batch: list[Enriched]) -> None:
    """When nobody reads standard output any more the sender keeps its batch."""
    read, write = os.pipe()
    os.close(read)

    async def run() -> None:
        relay = StdoutRelay("screen", StdoutSettings(), write)
        await relay.open()
        with pytest.raises(RelayError, match=r"^relay screen: standard output: cannot be written: Broken pipe"):
            await relay.deliver(batch)
        await relay.close()

    asyncio.run(run())
    os.close(write)


def test_standard_output_into_a_file_gets_no_hole(
    tmp_path: Path, batch: list[Enriched], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A batch that could not be written whole is taken back there too, and the next one follows on what was before."""
    path = tmp_path / "out.ndjson"
    number = os.open(path, os.O_WRONLY | os.O_CREAT)
    write_all = _append._write_all

    def full(file: Any, data: bytes) -> None:
        write_all(file, data[:50])
        raise OSError(28, "No space left on device")

    async def run() -> None:
        relay = StdoutRelay("screen", StdoutSettings(), number)
        await relay.open()
        await relay.deliver(batch)
        with monkeypatch.context() as patch:
            patch.setattr(_append, "_write_all", full)
            with pytest.raises(RelayError, match="No space left on device"):
                await relay.deliver(batch)
        await relay.deliver(batch)
        await relay.close()

    asyncio.run(run())
    os.close(number)
    assert [json.loads(line)["message"] for line in path.read_bytes().splitlines()] == [
        "line 0",
        "line 1",
        "line 2",
    ] * 2


def test_a_reader_that_stalls_does_not_hold_up_the_end(batch: list[Enriched]) -> None:
    """A write that hangs can be called off, and the relay can be closed all the same."""
    read, write = os.pipe()

    async def run() -> None:
        relay = StdoutRelay("screen", StdoutSettings(), write)
        await relay.open()
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(relay.deliver(batch * 1_000), 0.2)
        await relay.close()

    asyncio.run(run())
    os.close(read)
    os.close(write)


def test_a_batch_that_was_called_off_costs_no_other(
    tmp_path: Path, batch: list[Enriched], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A write whose sender has gone, and which then fails, takes back its own lines alone."""
    path, begun, go = tmp_path / "out.ndjson", threading.Event(), threading.Event()
    write_all = _append._write_all

    def slow(file: Any, data: bytes) -> None:
        begun.set()
        go.wait(30)
        write_all(file, data[:50])
        raise OSError(28, "No space left on device")

    async def run() -> None:
        relay = FileRelay("out", FileSettings(path=path))
        await relay.open()
        monkeypatch.setattr(_append, "_write_all", slow)
        first = asyncio.create_task(relay.deliver(batch))
        await asyncio.to_thread(begun.wait, 30)
        first.cancel()
        monkeypatch.setattr(_append, "_write_all", write_all)
        second = asyncio.create_task(relay.deliver(batch))
        await asyncio.sleep(0.05)
        go.set()
        await second
        await relay.close()

    asyncio.run(run())
    assert [json.loads(line)["message"] for line in path.read_text().splitlines()] == ["line 0", "line 1", "line 2"]


def test_a_closed_relay_takes_nothing(tmp_path: Path, batch: list[Enriched]) -> None:
    """Closing twice is safe, and what comes later stays with its sender."""
    path = tmp_path / "out.ndjson"

    async def run() -> None:
        relay = FileRelay("out", FileSettings(path=path))
        await relay.open()
        await relay.close()
        await relay.close()
        with pytest.raises(RelayError, match=r"^relay out: is closed"):
            await relay.deliver(batch)

    asyncio.run(run())
    assert path.read_bytes() == b""


def test_a_pipe_that_nobody_reads_is_said(tmp_path: Path) -> None:
    """Opening it would wait for a reader, and the server with it."""
    path = tmp_path / "pipe"
    os.mkfifo(path)
    with pytest.raises(SettingsError, match="pipe: cannot be written: No such device or address"):
        asyncio.run(FileRelay("out", FileSettings(path=path)).open())


def test_a_write_that_hangs_takes_one_thread(tmp_path: Path, batch: list[Enriched]) -> None:
    """Senders that give up and come again do not pile up threads; once it goes on, the next batch is written."""
    path = tmp_path / "pipe"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    large = batch * 200
    expected = sum(len(encode_json(one)) + 1 for one in large + batch)

    async def run() -> bytes:
        relay = FileRelay("out", FileSettings(path=path))
        await relay.open()
        before = threading.active_count()
        for _ in range(20):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.01):
                    await relay.deliver(large)
        assert threading.active_count() - before <= 1
        last = asyncio.create_task(relay.deliver(batch))
        received = b""
        os.set_blocking(reader, True)
        while len(received) < expected:
            received += await asyncio.to_thread(os.read, reader, 1 << 20)
        await last
        await relay.close()
        return received

    received = asyncio.run(run())
    os.close(reader)
    lines = [json.loads(line)["message"] for line in received.splitlines()]
    assert lines == ["line 0", "line 1", "line 2"] * 201
