"""Writes NDJSON: one ECS document per line, to a file or to standard output."""

from __future__ import annotations

import asyncio
import io
import logging
import os
import stat
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from lexilog.enrich.document import encode_json
from lexilog.errors import RelayError, SettingsError
from lexilog.model import Enriched
from lexilog.relay.base import Delivery, Relay

__all__ = ["FileRelay", "StdoutRelay"]

_BLOCK = 1 << 16
# Seconds that a close waits for a write that hangs, as one to a full pipe does.
_PATIENCE = 1.0

_log = logging.getLogger(__name__)


class _LineRelay(Relay):
    """Appends lines to an open file, one batch at a time.

    A batch that cannot be written whole is taken back where the file allows it, so that no half line stays behind.
    """

    name: str
    _file: io.FileIO | None = None

    def __init__(self) -> None:
        # Held by the thread that writes: a call that is cancelled leaves its thread behind, and the next one waits.
        self._turn = threading.Lock()

    async def deliver(self, batch: Sequence[Enriched]) -> Delivery:
        """Append the batch and wait until the system has it."""
        lines = b"".join(encode_json(enriched) + b"\n" for enriched in batch)
        await _in_thread(lambda: self._append(lines))
        return Delivery()

    def _append(self, lines: bytes) -> None:
        with self._turn:
            if self._file is None:
                raise RelayError(f"relay {self.name}: is closed")
            try:
                _append_all(self._file, lines)
            except OSError as error:
                raise RelayError(f"relay {self.name}: {error.strerror}") from error

    async def close(self) -> None:
        """Close the file, unless a write to it hangs."""
        if self._turn.acquire(timeout=_PATIENCE):
            try:
                if self._file is not None:
                    self._file.close()
                self._file = None
            finally:
                self._turn.release()


class FileRelay(_LineRelay):
    """Appends to a file. A batch counts as taken when the system has it on disk (``fsync``).

    Args:
        path: the file; made if it is not there.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path
        self.name = f"file:{path}"

    async def open(self) -> None:
        """Open the file for appending, and mend its end if the process before this one was killed in mid-line."""
        try:
            self._file = io.FileIO(self._path, "ab")
            if stat.S_ISREG(os.fstat(self._file.fileno()).st_mode):
                _mend(self._path, self._file)
        except OSError as error:
            raise SettingsError(f"relay {self.name}: cannot be written: {error.strerror}") from error


class StdoutRelay(_LineRelay):
    """Writes to standard output. A batch counts as taken when the pipe or terminal behind it has taken the bytes.

    Args:
        number: the file descriptor.
    """

    name = "stdout"

    def __init__(self, number: int | None = None) -> None:
        super().__init__()
        self._number = number

    async def open(self) -> None:
        """Take standard output."""
        try:
            number = sys.stdout.fileno() if self._number is None else self._number
            self._file = io.FileIO(number, "wb", closefd=False)
        except (AttributeError, OSError) as error:
            raise SettingsError("relay stdout: standard output is closed") from error


async def _in_thread(work: Callable[[], None]) -> None:
    """Run blocking work in a thread of its own, which does not keep the process from ending."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[None] = loop.create_future()

    def tell(error: BaseException | None) -> None:
        if not done.done():
            done.set_exception(error) if error else done.set_result(None)

    def run() -> None:
        error: BaseException | None = None
        try:
            work()
        except BaseException as caught:  # it is raised again where the work is awaited
            error = caught
        if not loop.is_closed():
            loop.call_soon_threadsafe(tell, error)

    threading.Thread(target=run, daemon=True).start()
    await done


def _mend(path: Path, file: io.FileIO) -> None:
    """See to it that a file ends in a whole line.

    A half document at its end was never acknowledged, so its sender still has it: it is cut off. Anything else that
    lacks its line ending gets one.
    """
    with path.open("rb") as reader:
        end = reader.seek(0, os.SEEK_END)
        start, last = end, b""
        while start and b"\n" not in last:
            step = min(_BLOCK, start)
            start = reader.seek(start - step)
            last = reader.read(step) + last
    last = last.rpartition(b"\n")[2]
    if not last:
        return
    try:
        msgspec.json.decode(last)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        if last.startswith(b"{"):
            _log.warning("relay file:%s: a half line of %d bytes at its end is cut off", path, len(last))
            os.ftruncate(file.fileno(), end - len(last))
            return
    _write_all(file, b"\n")


def _append_all(file: io.FileIO, data: bytes) -> None:
    """Write everything and see it on disk; a regular file is as it was before where that fails."""
    number = file.fileno()
    status = os.fstat(number)
    regular = stat.S_ISREG(status.st_mode)
    try:
        _write_all(file, data)
        if regular:
            os.fsync(number)
    except OSError:
        if regular:
            os.ftruncate(number, status.st_size)
            # A shell does not open its output for appending: the next write would leave a hole.
            os.lseek(number, status.st_size, os.SEEK_SET)
        raise


def _write_all(file: io.FileIO, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[file.write(view) :]
