"""Writes NDJSON: one ECS document per line, to a file or to standard output."""

from __future__ import annotations

import asyncio
import errno
import fcntl
import io
import logging
import os
import stat
import sys
import threading
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path

from lexilog.enrich.document import encode_json
from lexilog.errors import LexilogError, RelayError, SettingsError
from lexilog.model import Enriched
from lexilog.relay._append import append_all, in_thread, lock, mend, next_stamp, read_stamp, sync_directory
from lexilog.relay.base import SLICE, Delivery, Relay
from lexilog.relay.settings import FileSettings, StdoutSettings

__all__ = ["FileRelay", "StdoutRelay"]

# Seconds that a close waits for a write that hangs, as one to a full pipe does.
_PATIENCE = 1.0
# How often a batch is written anew because somebody has removed the file meanwhile.
_ATTEMPTS = 3
# How often a file is opened that others rename or remove before it can be locked.
_LOOKS = 100
# Permissions of a new file, less the umask.
_MODE = 0o666

_log = logging.getLogger(__name__)


class _LineRelay(Relay):
    """Appends lines to an open file, one batch at a time.

    A batch that cannot be written whole is taken back where the file allows it, so that no half line stays behind.

    Args:
        name: of the relay.
        place: what errors call the file.
    """

    def __init__(self, name: str, place: object) -> None:
        self.name = name
        self._place = place
        self._file: io.FileIO | None = None
        self._is_open = False
        # One batch at a time: where a write hangs the others wait here, and not each in a thread of its own.
        self._free = asyncio.Lock()
        # Held by the thread that writes: a call that is cancelled leaves its thread behind.
        self._turn = threading.Lock()

    async def deliver(self, batch: Sequence[Enriched]) -> Delivery:
        """Append the batch and wait until the system has it."""
        if not batch:
            return Delivery()
        await self._free.acquire()
        # It ends with the write, also where nobody waits for it any more.
        write = asyncio.create_task(self._write_batch(batch))
        write.add_done_callback(lambda task: task.cancelled() or task.exception())
        await asyncio.shield(write)
        return Delivery()

    async def _write_batch(self, batch: Sequence[Enriched]) -> None:
        try:
            lines = []
            for number, enriched in enumerate(batch, 1):
                lines.append(encode_json(enriched) + b"\n")
                if number % SLICE == 0:
                    await asyncio.sleep(0)
            await in_thread(lambda: self._append(b"".join(lines)))
        finally:
            self._free.release()

    def _append(self, lines: bytes) -> None:
        with self._turn:
            if not self._is_open:
                raise RelayError(f"relay {self.name}: is closed")
            with self._trying_to("be written"):
                self._write(lines)

    @abstractmethod
    def _write(self, lines: bytes) -> None:
        """Write lines, all or none; called by one thread at a time.

        Raises:
            OSError: they are not written.
            RelayError: likewise.
        """

    @contextmanager
    def _trying_to(self, what: str, kind: type[LexilogError] = RelayError) -> Iterator[None]:
        """Say which relay, which file and what it was about, where the system says only why."""
        try:
            yield
        except OSError as error:
            raise kind(f"relay {self.name}: {self._place}: cannot {what}: {error.strerror or error}") from error

    def _let_go(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            # What counts as written is on disk already.
            with suppress(OSError):
                file.close()

    async def close(self) -> None:
        """Close the file, unless a write to it hangs."""
        await in_thread(self._close)

    def _close(self) -> None:
        if self._turn.acquire(timeout=_PATIENCE):
            try:
                self._is_open = False
                self._let_go()
            finally:
                self._turn.release()


class FileRelay(_LineRelay):
    """Appends to a file. A batch counts as taken when the system has it on disk (``fsync``).

    Each batch is in one file as a whole: a file that is full is renamed between two batches, and one that somebody else
    has moved away is begun anew. Several processes may write to one file, which has to be on a file system that knows
    ``flock``: it is held while a batch is written, the end is mended, or the file is renamed.

    Args:
        name: of the relay, as the settings have it.
        settings: which file, and how large it may become.
    """

    def __init__(self, name: str, settings: FileSettings) -> None:
        super().__init__(name, settings.path)
        self._path = settings.path
        self._rotate_bytes = settings.rotate_bytes
        self._keep = settings.keep
        # Of the open file, as it was when it was opened.
        self._status: os.stat_result | None = None
        # Its size when it last ended in a whole line, as far as this process knows.
        self._sound_size: int | None = None
        # A new file may be read by those who may read the one before it.
        self._mode = _MODE

    async def open(self) -> None:
        """Open the file for appending, and mend its end if a process was killed in mid-line."""
        await in_thread(self._begin)

    def _begin(self) -> None:
        with self._turn, self._locked("be written", SettingsError):
            self._is_open = True

    def _write(self, lines: bytes) -> None:
        try:
            for _ in range(_ATTEMPTS):
                if self._append_to_current(lines):
                    return
        except OSError:
            if self._is_regular:
                self._let_go()
            raise
        raise RelayError(f"relay {self.name}: {self._path}: is removed again whenever lines have been written to it")

    def _append_to_current(self, lines: bytes) -> bool:
        """Append to the file that the path leads to now; tell whether it is still there when they are on disk."""
        with self._locked("be opened again") as file:
            if not self._is_full(file):
                return self._append_to(file, lines)
            with self._trying_to("be renamed to begin a new file"):
                _move_aside(_real(self._path))
        with self._locked("be begun anew") as file:
            self._remove_old(_real(self._path))
            return self._append_to(file, lines)

    def _append_to(self, file: io.FileIO, lines: bytes) -> bool:
        # Its end is looked at again in case they can neither be written nor taken back.
        self._sound_size = None
        append_all(file, lines)
        status = os.fstat(file.fileno())
        self._sound_size = status.st_size
        return status.st_nlink > 0

    @contextmanager
    def _locked(self, what: str, kind: type[LexilogError] = RelayError) -> Iterator[io.FileIO]:
        """Keep other processes away from the file that the path leads to now; it ends in a whole line."""
        with self._trying_to(what, kind):
            file = self._lock_current()
        try:
            yield file
        finally:
            fcntl.flock(file, fcntl.LOCK_UN)

    def _lock_current(self) -> io.FileIO:
        for _ in range(_LOOKS):
            file = self._file or self._open_file()
            try:
                lock(file.fileno())
                # Who had it before may have renamed it.
                if self._is_in_place():
                    self._see_to_end(file)
                    return file
            except OSError:
                self._let_go()
                raise
            self._let_go()
        raise OSError(errno.EAGAIN, "it is moved away again whenever it is opened")

    def _open_file(self) -> io.FileIO:
        # Without waiting: a pipe that nobody reads is an error, and no reason to hang.
        file = io.FileIO(self._path, "ab", opener=lambda path, flags: os.open(path, flags | os.O_NONBLOCK, self._mode))
        try:
            os.set_blocking(file.fileno(), True)
            self._status, self._sound_size = os.fstat(file.fileno()), None
            if self._is_regular:
                sync_directory(_real(self._path).parent)
        except OSError:
            file.close()
            raise
        self._file = file
        return file

    def _see_to_end(self, file: io.FileIO) -> None:
        """Mend the end of the file if another process has written to it: it may have been killed in mid-line."""
        status = os.fstat(file.fileno())
        if not self._is_regular:
            return
        self._mode = stat.S_IMODE(status.st_mode)
        if status.st_size != self._sound_size and (cut := mend(self._path, file)):
            _log.warning("relay %s: %s: a half line of %d bytes at its end is cut off", self.name, self._path, cut)

    @property
    def _is_regular(self) -> bool:
        """Whether it is a file on disk, and no pipe, terminal or device."""
        return self._status is not None and stat.S_ISREG(self._status.st_mode)

    def _is_full(self, file: io.FileIO) -> bool:
        if not self._is_regular or self._rotate_bytes is None:
            return False
        return os.fstat(file.fileno()).st_size >= self._rotate_bytes

    def _is_in_place(self) -> bool:
        """Tell whether the path still leads to the open file: logrotate moves files away, people remove them."""
        try:
            return self._status is not None and os.path.samestat(self._status, self._path.stat())
        except FileNotFoundError:
            return False

    def _remove_old(self, path: Path) -> None:
        """Remove what is more than is to be kept; a failure costs space but no record."""
        if not self._keep:
            return
        try:
            moved = {old: when for old, when in _moved_aside(path).items() if old.is_file() and not old.is_symlink()}
            for old in sorted(moved, key=lambda file: moved[file])[: -self._keep]:
                old.unlink(missing_ok=True)
        except OSError as error:
            _log.warning("relay %s: %s: old files cannot be removed: %s", self.name, path, error)


class StdoutRelay(_LineRelay):
    """Writes to standard output. A batch counts as taken when the pipe or terminal behind it has taken the bytes.

    Args:
        name: of the relay, as the settings have it.
        settings: there are none yet.
        number: the file descriptor; by default that of standard output.
    """

    def __init__(self, name: str, settings: StdoutSettings, number: int | None = None) -> None:
        super().__init__(name, "standard output")
        self._number = number

    async def open(self) -> None:
        """Take standard output."""
        try:
            number = sys.stdout.fileno() if self._number is None else self._number
            self._file = io.FileIO(number, "wb", closefd=False)
            self._is_open = True
        except (AttributeError, OSError) as error:
            raise SettingsError(f"relay {self.name}: standard output is closed") from error

    def _write(self, lines: bytes) -> None:
        assert self._file is not None
        append_all(self._file, lines)


def _real(path: Path) -> Path:
    """Return the file behind links: it is the file that is renamed, and a link stays."""
    return Path(os.path.realpath(path))


def _moved_aside(path: Path) -> dict[Path, datetime]:
    """Return what stands under names that `_move_aside` gives, and the time in each."""
    begin = f"{path.name}."
    found = {}
    for other in path.parent.iterdir():
        stamp = read_stamp(other.name.removeprefix(begin)) if other.name.startswith(begin) else None
        if stamp is not None:
            found[other] = stamp
    return found


def _move_aside(path: Path) -> None:
    """Rename a file to a name that nobody has."""
    while True:
        target = path.with_name(f"{path.name}.{next_stamp(_moved_aside(path).values())}")
        # Renaming would replace a file that another process begins at this moment, but for this one of our own.
        with suppress(FileExistsError):
            target.touch(exist_ok=False)
            break
    try:
        path.replace(target)
    except OSError:
        target.unlink()
        raise
