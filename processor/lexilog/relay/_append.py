"""Appending lines to files so that they outlive a crash: shared by the file relay and the dead letters."""

from __future__ import annotations

import asyncio
import errno
import fcntl
import io
import os
import re
import stat
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeVar

import msgspec

__all__ = ["append_all", "in_thread", "lock", "mend", "next_stamp", "read_stamp", "sync_directory"]

_BLOCK = 1 << 16
# Seconds that another process may keep a lock, and seconds between two looks whether it has let go.
_PATIENCE = 10.0
_LOOK = 0.002
# A time as part of a file's name: such names sort as the times do.
_STAMP = re.compile(r"[12]\d{7}T\d{6}\.\d{6}Z", re.ASCII)
_STAMP_FORMAT = "%Y%m%dT%H%M%S.%fZ"

_T = TypeVar("_T")


async def in_thread(work: Callable[[], _T]) -> _T:
    """Run blocking work in a thread of its own, which does not keep the process from ending.

    A call that is cancelled leaves its thread behind: the work goes on.
    """
    loop = asyncio.get_running_loop()
    done: asyncio.Future[_T] = loop.create_future()

    def tell(call: Callable[[], None]) -> None:
        def if_awaited() -> None:
            if not done.done():
                call()

        # The loop is closed where nobody waits any more.
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(if_awaited)

    def run() -> None:
        try:
            result = work()
        except BaseException as error:  # it is raised again where the work is awaited
            caught = error
            tell(lambda: done.set_exception(caught))
        else:
            tell(lambda: done.set_result(result))

    threading.Thread(target=run, daemon=True).start()
    return await done


def lock(number: int) -> None:
    """Keep every other process and thread away from an open file (``flock``), once none of them does.

    Raises:
        OSError: one of them does not let go, or the file system knows no locks.
    """
    end = time.monotonic() + _PATIENCE
    while True:
        try:
            return fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > end:
                raise OSError(errno.EAGAIN, f"another process keeps it locked for {_PATIENCE:g} s") from None
        time.sleep(_LOOK)


def append_all(file: io.FileIO, data: bytes) -> None:
    """Write everything and see it on disk; a regular file is as it was before where that fails.

    Raises:
        OSError: not everything is written.
    """
    number = file.fileno()
    status = os.fstat(number)
    regular = stat.S_ISREG(status.st_mode)
    try:
        _write_all(file, data)
        if regular:
            os.fsync(number)
    except OSError:
        # It may have become shorter meanwhile, by another hand: that leaves nothing to take back.
        if regular and os.fstat(number).st_size > status.st_size:
            os.ftruncate(number, status.st_size)
            # A shell does not open its output for appending: the next write would leave a hole.
            os.lseek(number, status.st_size, os.SEEK_SET)
        raise


def mend(path: Path, file: io.FileIO) -> int:
    """See to it that a file of NDJSON ends in a whole line.

    A half document at its end was never acknowledged, so its sender still has it: it is cut off. Anything else that
    lacks its line ending gets one.

    Args:
        path: where the file can be read.
        file: the same file, open for appending.

    Returns:
        How many bytes have been cut off.

    Raises:
        OSError: the file cannot be read or changed.
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
        return 0
    try:
        msgspec.json.decode(last)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        if last.startswith(b"{"):
            os.ftruncate(file.fileno(), end - len(last))
            return len(last)
    _write_all(file, b"\n")
    return 0


def sync_directory(path: Path) -> None:
    """See on disk which files a directory holds.

    Raises:
        OSError: the system cannot say so.
    """
    number = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(number)
    except OSError as error:
        # Some network file systems have no such call for directories.
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(number)


def next_stamp(taken: Iterable[datetime]) -> str:
    """Return the time in UTC for the name of a new file.

    Names are the order of files, so it is later than all that are taken, even after the clock was set back.
    """
    now, latest = datetime.now(UTC), max(taken, default=None)
    if latest is not None and latest >= now:
        now = latest + timedelta(microseconds=1)
    return now.strftime(_STAMP_FORMAT)


def read_stamp(text: str) -> datetime | None:
    """Return the time that `next_stamp` has written, such as ``20260115T120000.123456Z``; None for any other text."""
    if not _STAMP.fullmatch(text):
        return None
    try:
        return datetime.strptime(text, _STAMP_FORMAT).replace(tzinfo=UTC)
    except ValueError:
        return None


def _write_all(file: io.FileIO, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[file.write(view) :]
