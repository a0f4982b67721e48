"""A file that is full, or that somebody moves away: every batch is in one file as a whole, and none is lost."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path
from typing import Any

import pytest

from lexilog import Enriched, Pipeline, Record, RelayError
from lexilog.relay import _append
from lexilog.relay.file import FileRelay
from lexilog.relay.settings import FileSettings

# What a full file gets as a suffix.
NAME = re.compile(r"\.\d{8}T\d{6}\.\d{6}Z")


@pytest.fixture
def batch(pipeline: Pipeline) -> list[Enriched]:
    return pipeline.process_all(Record(line=f"line {number}") for number in range(3))


def _relay(path: Path, rotate_bytes: int | None = None, keep: int = 0) -> FileRelay:
    return FileRelay("out", FileSettings(path=path, rotate_bytes=rotate_bytes, keep=keep))


def _moved(path: Path) -> list[Path]:
    """Return the files that were rotated, in the order of their names."""
    return sorted(other for other in path.parent.iterdir() if NAME.fullmatch(other.name.removeprefix(path.name)))


def _messages(*files: Path) -> list[str]:
    return [json.loads(line)["message"] for file in files for line in file.read_text().splitlines()]


def test_a_full_file_is_renamed_between_two_batches(tmp_path: Path, pipeline: Pipeline) -> None:
    """Every file holds whole batches, their names are their order, and no record is missing or there twice."""
    path = tmp_path / "out.ndjson"
    batches = [pipeline.process_all(Record(line=f"line {number}-{n}") for n in range(3)) for number in range(6)]

    async def run() -> None:
        relay = _relay(path, rotate_bytes=600)
        await relay.open()
        for batch in batches:
            await relay.deliver(batch)
        await relay.close()

    asyncio.run(run())
    files = [*_moved(path), path]
    assert len(files) > 2
    assert _messages(*files) == [f"line {number}-{n}" for number in range(6) for n in range(3)]
    for file in files[:-1]:
        assert file.stat().st_size >= 600
        assert len(file.read_text().splitlines()) % 3 == 0
        assert file.read_text().endswith("\n")


def test_a_file_that_is_full_already_is_renamed_after_a_restart(tmp_path: Path, batch: list[Enriched]) -> None:
    """The size counts that the file has, whoever has written it, and the new file has its permissions."""
    path = tmp_path / "out.ndjson"
    path.write_text('{"message":"before"}\n')
    path.chmod(0o640)
    asyncio.run(_deliver(_relay(path, rotate_bytes=21), batch))
    (moved,) = _moved(path)
    assert _messages(moved) == ["before"]
    assert _messages(path) == ["line 0", "line 1", "line 2"]
    assert path.stat().st_mode & 0o777 == 0o640


async def _deliver(relay: FileRelay, *batches: list[Enriched]) -> None:
    await relay.open()
    try:
        for batch in batches:
            await relay.deliver(batch)
    finally:
        await relay.close()


def test_only_the_newest_are_kept_and_nothing_of_others_is_removed(tmp_path: Path, batch: list[Enriched]) -> None:
    """What has our suffix goes, the oldest first; a name that only looks like it stays."""
    path = tmp_path / "out.ndjson"
    old = [tmp_path / f"out.ndjson.2020010{day}T000000.000000Z" for day in (1, 2, 3)]
    others = [
        "out.ndjson.20200101T000000.000000Z.gz",
        "out.ndjson.20201399T000000.000000Z",
        "out.ndjson.20200101T000000Z",
        "out.ndjson.1",
        "out.ndjson-20200101",
        "outXndjson.20200101T000000.000000Z",
        "20200101T000000.000000Z",
    ]
    for file in [*old, *(tmp_path / name for name in others)]:
        file.write_text("kept\n")
    (tmp_path / "out.ndjson.20190101T000000.000000Z").mkdir()
    asyncio.run(_deliver(_relay(path, rotate_bytes=1, keep=2), batch, batch))
    assert [file.exists() for file in old] == [False, False, True]
    assert _moved(path)[-1].read_text() == path.read_text()
    assert all((tmp_path / name).read_text() == "kept\n" for name in others)
    assert (tmp_path / "out.ndjson.20190101T000000.000000Z").is_dir()


def test_zero_keeps_all(tmp_path: Path, batch: list[Enriched]) -> None:
    """By default no file is ever removed."""
    path = tmp_path / "out.ndjson"
    asyncio.run(_deliver(_relay(path, rotate_bytes=1), *[batch] * 5))
    assert _messages(*_moved(path), path) == ["line 0", "line 1", "line 2"] * 5
    assert len(_moved(path)) == 4


def test_a_clock_that_was_set_back_neither_overwrites_nor_removes_what_is_new(
    tmp_path: Path, batch: list[Enriched]
) -> None:
    """A file that is renamed now sorts behind all before it, so that it is not taken for the oldest one."""
    path = tmp_path / "out.ndjson"
    late = tmp_path / "out.ndjson.29990101T000000.000000Z"
    late.write_text('{"message":"late"}\n')
    asyncio.run(_deliver(_relay(path, rotate_bytes=1, keep=2), batch, batch))
    assert [file.name for file in _moved(path)] == [late.name, "out.ndjson.29990101T000000.000001Z"]
    assert _messages(*_moved(path)) == ["late", "line 0", "line 1", "line 2"]


def test_a_name_that_somebody_takes_at_the_same_moment_is_left_to_him(
    tmp_path: Path, batch: list[Enriched], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file is never renamed onto another one."""
    path = tmp_path / "out.ndjson"
    theirs = tmp_path / "out.ndjson.20260115T120000.000000Z"
    stamps = iter(["20260115T120000.000000Z", "20260115T120000.000001Z"])
    theirs.write_text("theirs")
    monkeypatch.setattr("lexilog.relay.file.next_stamp", lambda taken: next(stamps))
    asyncio.run(_deliver(_relay(path, rotate_bytes=1), batch, batch))
    assert theirs.read_text() == "theirs"
    assert _messages(tmp_path / "out.ndjson.20260115T120000.000001Z") == ["line 0", "line 1", "line 2"]


def test_a_link_stays_and_its_file_is_renamed(tmp_path: Path, batch: list[Enriched]) -> None:
    """Where the path is a link to a larger disk, that disk has the old files too."""
    disk = tmp_path / "disk"
    disk.mkdir()
    path = tmp_path / "out.ndjson"
    path.symlink_to(disk / "data.ndjson")
    asyncio.run(_deliver(_relay(path, rotate_bytes=1, keep=1), batch, batch, batch))
    assert path.is_symlink()
    assert _messages(*_moved(disk / "data.ndjson"), path) == ["line 0", "line 1", "line 2"] * 2


def test_what_is_not_a_file_is_not_renamed(batch: list[Enriched]) -> None:
    """A device has no size and keeps its name."""
    before = Path("/dev/null").stat().st_ino
    asyncio.run(_deliver(_relay(Path("/dev/null"), rotate_bytes=1, keep=1), batch, batch))
    assert Path("/dev/null").stat().st_ino == before


@pytest.mark.parametrize("there", [None, b"", b'{"message":"theirs"}\n', b'{"message":"half'], ids=repr)
def test_a_file_that_was_moved_away_is_begun_anew(there: bytes | None, tmp_path: Path, batch: list[Enriched]) -> None:
    """The next batch goes, as a whole, to what the path leads to now, whose end is mended."""
    path, moved = tmp_path / "out.ndjson", tmp_path / "out.ndjson.1"

    async def run() -> None:
        relay = _relay(path)
        await relay.open()
        await relay.deliver(batch)
        path.rename(moved)
        if there is not None:
            path.write_bytes(there)
        await relay.deliver(batch)
        await relay.deliver(batch)
        await relay.close()

    asyncio.run(run())
    assert _messages(moved) == ["line 0", "line 1", "line 2"]
    theirs = ["theirs"] if there and b"theirs" in there else []
    assert _messages(path) == theirs + ["line 0", "line 1", "line 2"] * 2


def test_a_file_that_was_removed_is_made_again(tmp_path: Path, batch: list[Enriched]) -> None:
    """Nothing is written where nobody can read it."""
    path = tmp_path / "out.ndjson"

    async def run() -> None:
        relay = _relay(path)
        await relay.open()
        await relay.deliver(batch)
        path.unlink()
        await relay.deliver(batch)
        await relay.close()

    asyncio.run(run())
    assert _messages(path) == ["line 0", "line 1", "line 2"]


def test_a_batch_that_is_removed_with_its_file_is_written_again(
    tmp_path: Path, batch: list[Enriched], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also a file that goes while it is written costs no record."""
    path = tmp_path / "out.ndjson"
    write_all = _append._write_all
    times = iter([True])

    def remove(file: Any, data: bytes) -> None:
        write_all(file, data)
        if next(times, False):
            path.unlink()

    monkeypatch.setattr(_append, "_write_all", remove)
    asyncio.run(_deliver(_relay(path), batch))
    assert next(times, None) is None
    assert _messages(path) == ["line 0", "line 1", "line 2"]


@pytest.mark.parametrize("call", ["replace", "touch"])
def test_a_file_that_cannot_be_renamed_keeps_its_records_and_the_batch_its_sender(
    call: str, tmp_path: Path, batch: list[Enriched], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without permission, or on a full disk, nothing is written or lost; it goes on when the cause is gone."""
    path = tmp_path / "out.ndjson"

    def refuse(self: Path, *args: Any, **options: Any) -> None:
        raise PermissionError(13, "Permission denied", str(self))

    async def run() -> None:
        relay = _relay(path, rotate_bytes=1)
        await relay.open()
        await relay.deliver(batch)
        with monkeypatch.context() as patch:
            patch.setattr(Path, call, refuse)
            for _ in range(2):
                with pytest.raises(RelayError, match=r"^relay out: /.*/out.ndjson: cannot be renamed .*: Permission"):
                    await relay.deliver(batch)
        assert _messages(path) == ["line 0", "line 1", "line 2"]
        assert _moved(path) == []
        await relay.deliver(batch)
        await relay.close()

    asyncio.run(run())
    assert _messages(*_moved(path)) == _messages(path) == ["line 0", "line 1", "line 2"]


def test_a_new_file_that_cannot_be_begun_costs_no_record(
    tmp_path: Path, batch: list[Enriched], monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the disk is full right after the old file was renamed, the batch stays with its sender until it is not."""
    path = tmp_path / "out.ndjson"

    def full(*args: Any) -> int:
        raise OSError(28, "No space left on device")

    async def run() -> None:
        relay = _relay(path, rotate_bytes=1)
        await relay.open()
        await relay.deliver(batch)
        with monkeypatch.context() as patch:
            patch.setattr("lexilog.relay.file.mend", full)
            for what in ("begun anew", "opened again"):
                with pytest.raises(RelayError, match=rf"^relay out: /.*: cannot be {what}: No space left"):
                    await relay.deliver(batch)
        await relay.deliver(batch)
        await relay.close()

    asyncio.run(run())
    assert _messages(*_moved(path)) == _messages(path) == ["line 0", "line 1", "line 2"]


def test_a_folder_that_is_gone_holds_the_batch_until_it_is_back(tmp_path: Path, batch: list[Enriched]) -> None:
    """The relay goes on by itself when its path can be opened again."""
    path = tmp_path / "logs" / "out.ndjson"
    path.parent.mkdir()

    async def run() -> None:
        relay = _relay(path)
        await relay.open()
        await relay.deliver(batch)
        path.parent.rename(tmp_path / "away")
        with pytest.raises(RelayError, match=r"^relay out: /.*/logs/out.ndjson: cannot be opened again: No such file"):
            await relay.deliver(batch)
        path.parent.mkdir()
        await relay.deliver(batch)
        await relay.close()

    asyncio.run(run())
    assert _messages(tmp_path / "away" / "out.ndjson") == _messages(path) == ["line 0", "line 1", "line 2"]


def test_old_files_that_cannot_be_removed_hold_up_no_record(
    tmp_path: Path, batch: list[Enriched], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """They cost space, which the log says, and go when they can."""
    path = tmp_path / "out.ndjson"

    def refuse(self: Path, missing_ok: bool = False) -> None:
        raise PermissionError(1, "Operation not permitted", str(self))

    async def run() -> None:
        relay = _relay(path, rotate_bytes=1, keep=1)
        await relay.open()
        with monkeypatch.context() as patch:
            patch.setattr(Path, "unlink", refuse)
            for _ in range(4):
                await relay.deliver(batch)
        assert len(_moved(path)) == 3
        await relay.deliver(batch)
        await relay.close()

    asyncio.run(run())
    assert "old files cannot be removed: [Errno 1] Operation not permitted" in caplog.text
    assert len(_moved(path)) == 1


def test_a_half_batch_that_cannot_be_taken_back_is_cut_off_before_the_next(
    tmp_path: Path, batch: list[Enriched], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that fails in mid-line, and again when the line is taken back, does not spoil the next record or file."""
    path = tmp_path / "out.ndjson"
    write_all = _append._write_all

    def half(file: Any, data: bytes) -> None:
        write_all(file, data[:50])
        raise OSError(5, "Input/output error")

    def broken(number: int, size: int) -> None:
        raise OSError(5, "Input/output error")

    async def run() -> None:
        relay = _relay(path, rotate_bytes=1)
        await relay.open()
        with monkeypatch.context() as patch:
            patch.setattr(_append, "_write_all", half)
            patch.setattr("os.ftruncate", broken)
            with pytest.raises(RelayError, match="Input/output error"):
                await relay.deliver(batch)
        assert path.stat().st_size == 50
        await relay.deliver(batch)
        await relay.deliver(batch)
        await relay.close()

    asyncio.run(run())
    assert _messages(*_moved(path)) == _messages(path) == ["line 0", "line 1", "line 2"]


def test_renaming_and_beginning_a_file_outlive_a_power_cut(
    tmp_path: Path, batch: list[Enriched], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A batch counts as taken only after the directory that names its file is on disk."""
    path = tmp_path / "out.ndjson"
    seen: list[tuple[Path, set[str]]] = []
    monkeypatch.setattr(
        "lexilog.relay.file.sync_directory",
        lambda folder: seen.append((folder, {file.name for file in folder.iterdir()})),
    )
    asyncio.run(_deliver(_relay(path, rotate_bytes=1), batch, batch))
    (moved,) = _moved(path)
    assert seen == [(tmp_path, {path.name}), (tmp_path, {path.name, moved.name})]
