"""A directory of NDJSON for records that a relay will never take, until `lexilog replay` sends them anew.

Each line is a `Letter`: why the record was refused, what it looked like, and the record exactly as it was received, so
that it can walk the whole way again. Several processes may use a directory at once, on a file system that has
``flock``:

- ``dead-<UTC time>.ndjson``: letters; a new file is begun when one has 16 MiB. ``lock`` is held while one is written.
- ``replaying/``: the files that a replay has taken; ``replay.lock`` is held until it is done.
"""

from __future__ import annotations

import asyncio
import fcntl
import io
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from lexilog.errors import LexilogError, RelayError, SettingsError
from lexilog.model import Place
from lexilog.relay._append import append_all, in_thread, next_stamp, read_stamp, sync_directory
from lexilog.relay._letters import BrokenLetter, Letter, Origin, read_letter, unpack, write_letter
from lexilog.relay.base import Refusal

__all__ = ["BrokenLetter", "DeadLetters", "Letter", "Origin", "unpack"]

_FILE_BYTES = 16 * 1024 * 1024
_PREFIX, _SUFFIX = "dead-", ".ndjson"
_REPLAYING = "replaying"
_LOCK, _REPLAY_LOCK = "lock", "replay.lock"
# What `keep` is writing; a replay that was killed leaves it behind.
_PART = ".part"
# Nobody mends a cause within seconds, and each attempt sends the rest of the batch to its relay again.
_FULL_RETRY = 30.0
# Seconds between two looks at how much there is: a replay, or another process, takes and adds.
_LOOK = 30.0


class DeadLetters:
    """Keeps what no relay takes.

    Args:
        path: the directory; made if it is not there, for its owner alone.
        max_bytes: how much all its files may hold together, in bytes, those that are being replayed included.
        on_held: is told how many bytes they hold, in a thread: when they are opened, with each letter, and from time to
            time until they are closed.
    """

    def __init__(self, path: Path, max_bytes: int, on_held: Callable[[int], None] | None = None) -> None:
        self._path = path
        self._replaying = path / _REPLAYING
        self._max_bytes = max_bytes
        self._on_held = on_held
        self._watching: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Make the directory.

        Raises:
            SettingsError: it cannot be used.
        """
        try:
            await in_thread(self._prepare)
        except OSError as error:
            raise SettingsError(f"dead letters: {self._path}: cannot be used: {error.strerror or error}") from error
        if self._on_held:
            self._watching = asyncio.create_task(self._watch())

    async def close(self) -> None:
        """Look no more at how much there is; letters can be added all the same."""
        if self._watching:
            self._watching.cancel()
            await asyncio.wait([self._watching])
            self._watching = None

    async def _watch(self) -> None:
        while True:
            # What is wrong with the directory is said when a letter is added.
            with suppress(OSError):
                await in_thread(lambda: self._tell(self._held()))
            await asyncio.sleep(_LOOK)

    def _held(self) -> int:
        """Return how many bytes all files hold together."""
        return sum(_size(file) for file in self._files(self._path, self._replaying))

    def _tell(self, held: int) -> None:
        if self._on_held:
            self._on_held(held)

    def _prepare(self) -> None:
        self._make()
        sync_directory(self._path.parent)
        # A replay that another user starts finds all that the server has to be able to use.
        os.close(self._open_lock(_REPLAY_LOCK))
        with self._locked():
            # That a lock is there and can be had says nothing of new files.
            probe = self._path / f"probe{_PART}"
            probe.unlink(missing_ok=True)
            probe.touch(mode=0o600)
            probe.unlink()

    def _make(self) -> None:
        self._path.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not self._replaying.is_dir():
            self._replaying.mkdir(mode=0o700, exist_ok=True)
            self._hand_over(self._replaying)

    async def add(self, relay: str, refusals: Sequence[Refusal]) -> None:
        """Write one letter for each record, all or none; when this returns they are on disk.

        Args:
            relay: the relay that has refused them.
            refusals: the records, and why.

        Raises:
            RelayError: none of them is kept, so their sender has to keep them.
        """
        if refusals:
            try:
                await in_thread(lambda: self._add(relay, refusals))
            except OSError as error:
                problem = f"dead letters: {self._path}: cannot be written: {error.strerror or error}"
                raise RelayError(problem) from error

    def _add(self, relay: str, refusals: Sequence[Refusal]) -> None:
        now = datetime.now(UTC)
        lines = b"".join(msgspec.json.encode(write_letter(relay, refusal, now)) + b"\n" for refusal in refusals)
        self._make()
        with self._locked():
            held = self._held()
            self._tell(held)
            if held + len(lines) > self._max_bytes:
                problem = f"dead letters: {self._path} holds {held} of {self._max_bytes} bytes"
                advice = "mend the cause, then run `lexilog replay`"
                if len(lines) > self._max_bytes:
                    problem, advice = f"{problem}, and {len(lines)} are to be added", "allow more"
                raise RelayError(f"{problem}: {advice}", _FULL_RETRY)
            with self._current() as file:
                append_all(file, lines)
            self._tell(held + len(lines))

    def _current(self) -> io.FileIO:
        """Return the file that letters go to now, open for appending; a new one where the newest cannot go on."""
        newest = max(self._files(self._path), default=None)
        if newest is not None and newest.stat().st_size < _FILE_BYTES and _ends_whole(newest):
            return io.FileIO(newest, "ab")
        file = self._new_file(self._path / self._new_name())
        try:
            sync_directory(self._path)
        except OSError:
            file.close()
            raise
        return file

    def _new_file(self, path: Path) -> io.FileIO:
        file = io.FileIO(path, "xb", opener=lambda name, flags: os.open(name, flags, 0o600))
        self._hand_over(file.fileno())
        return file

    def files(self) -> list[Path]:
        """Return the files of all letters, the oldest first, to look at them with `read` and take nothing.

        Raises:
            LexilogError: the directory cannot be used.
        """
        with self._trying("be read"):
            self._find()
            folders = (folder for folder in (self._path, self._replaying) if folder.is_dir())
            return sorted(self._files(*folders), key=lambda file: file.name)

    def _find(self) -> None:
        if not self._path.is_dir():
            raise LexilogError(f"dead letters: {self._path}: there is no such directory")

    @contextmanager
    def take(self) -> Iterator[list[Path]]:
        """Take every letter that there is, to send it anew; new ones go to new files meanwhile.

        What an earlier replay has left is among them. Only one replay can have them at a time; when this ends, what it
        has not taken out with `keep` is there for the next.

        Yields:
            The files, the oldest first.

        Raises:
            LexilogError: another replay is under way, or the directory cannot be used.
        """
        with self._trying("be taken"):
            self._find()
            self._make()
            lock = self._open_lock(_REPLAY_LOCK)
        try:
            with self._trying("be taken"):
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    problem = "another replay is under way: wait until it is done"
                    raise LexilogError(f"dead letters: {self._path}: {problem}") from None
                files = self._take()
            yield files
        finally:
            os.close(lock)

    def _take(self) -> list[Path]:
        for part in self._replaying.glob(f"*{_PART}"):
            part.unlink()
        with self._locked():
            for file in self._files(self._path):
                is_taken = (self._replaying / file.name).exists()
                file.rename(self._replaying / (self._new_name() if is_taken else file.name))
            sync_directory(self._replaying)
            sync_directory(self._path)
        return sorted(self._files(self._replaying))

    def read(self, file: Path) -> Iterator[Letter | BrokenLetter]:
        """Yield the letters of a file; a line that is none is told and stays where it is.

        At the end of a file that has not been taken, half a line may be one that is just being written.

        Raises:
            LexilogError: the file cannot be read.
        """
        with self._trying("be read"), file.open("rb") as lines:
            for number, line in enumerate(lines, 1):
                if line.strip():
                    yield read_letter(line, Place(file, number))

    def keep(self, file: Path, left: Iterable[Letter | BrokenLetter]) -> None:
        """Leave in a file that was taken what is still to be sent; it is gone where nothing is.

        Args:
            file: the file.
            left: what `read` has yielded, less what has been sent; a letter may have a new reason.

        Raises:
            LexilogError: the file cannot be written; it is as it was.
        """
        lines = b"".join(
            (one.data if isinstance(one, BrokenLetter) else msgspec.json.encode(one)) + b"\n" for one in left
        )
        part = file.with_name(file.name + _PART)
        with self._trying("be written"):
            if lines:
                part.unlink(missing_ok=True)
                with self._new_file(part) as out:
                    append_all(out, lines)
                part.replace(file)
            else:
                file.unlink(missing_ok=True)
            sync_directory(file.parent)

    def _files(self, *folders: Path) -> list[Path]:
        """Return the files of letters; their names are the order in which they were begun."""
        found = (entry for folder in folders for entry in os.scandir(folder) if entry.is_file(follow_symlinks=False))
        return [file for file in map(Path, found) if _stamp(file) is not None]

    def _new_name(self) -> str:
        taken = (_stamp(file) for file in self._files(self._path, self._replaying))
        return f"{_PREFIX}{next_stamp(stamp for stamp in taken if stamp is not None)}{_SUFFIX}"

    def _hand_over(self, made: Path | int) -> None:
        """Give what root has just made to whom the directory belongs: its replay must not lock the server out."""
        owner = self._path.stat()
        with suppress(PermissionError):
            if isinstance(made, int):
                os.fchown(made, owner.st_uid, owner.st_gid)
            else:
                os.lchown(made, owner.st_uid, owner.st_gid)

    def _open_lock(self, name: str) -> int:
        """Open the file of a lock, which whoever comes first makes."""
        path = self._path / name
        with suppress(FileExistsError):
            number = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
            self._hand_over(number)
            return number
        return os.open(path, os.O_RDWR | os.O_NOFOLLOW)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Keep every other process and thread from writing."""
        number = self._open_lock(_LOCK)
        try:
            fcntl.flock(number, fcntl.LOCK_EX)
            yield
        finally:
            # Which lets go of the lock, as the end of the process would.
            os.close(number)

    @contextmanager
    def _trying(self, what: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            place = error.filename or self._path
            raise LexilogError(f"dead letters: {place}: cannot {what}: {error.strerror or error}") from error


def _stamp(file: Path) -> datetime | None:
    """Return the time in the name of a file of letters; None for any other file."""
    name = file.name
    if not (name.startswith(_PREFIX) and name.endswith(_SUFFIX)):
        return None
    return read_stamp(name.removeprefix(_PREFIX).removesuffix(_SUFFIX))


def _size(file: Path) -> int:
    """Return how many bytes a file holds; a replay may have removed it meanwhile."""
    try:
        return file.stat().st_size
    except FileNotFoundError:
        return 0


def _ends_whole(file: Path) -> bool:
    """Tell whether a file ends in a whole line: a process that was killed may have left half of one."""
    with file.open("rb") as reader:
        size = reader.seek(0, os.SEEK_END)
        reader.seek(max(size - 1, 0))
        return reader.read(1) in (b"", b"\n")
