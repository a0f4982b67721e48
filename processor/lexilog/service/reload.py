"""What can be read again while the server runs: when its files change, and when it is told to.

Reading and compiling happen in a thread; what has been read is put to use on the event loop, between two requests. When
anything is wrong the old one stays, and the status, the metrics and the log say so.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
import ssl
import stat
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

from lexilog.errors import LexilogError
from lexilog.service.metrics import Metrics
from lexilog.service.status import Status

__all__ = ["Fingerprint", "Reloadable", "Reloader", "fingerprint"]

# How often files are read that change while they are read, and seconds between two attempts.
_ATTEMPTS = 10
_PAUSE = 0.1
# Nanoseconds in which two writes may get the same time: the clock of files moves in steps of up to 10 ms (HZ=100).
_YOUNG = 50_000_000

_log = logging.getLogger(__name__)


class _FileState(NamedTuple):
    path: Path
    # Size, times of the last write and of the last change of name, owner or mode, device and inode; nothing for a
    # directory, None where there is no such file.
    state: tuple[int, ...] | None
    # When a young file was looked at, else 0: the same state does not mean the same content yet.
    looked_at: int


Fingerprint = tuple[_FileState, ...]


def fingerprint(files: Iterable[Path]) -> Fingerprint:
    """Return what differs once one of the files has changed, came or went; links are followed.

    That of a file which was written only just now equals no other one.
    """
    return tuple(_look_at(path) for path in files)


def _look_at(path: Path) -> _FileState:
    try:
        found = path.stat()
    except (OSError, ValueError):
        return _FileState(path, None, 0)
    if stat.S_ISDIR(found.st_mode):
        return _FileState(path, (), 0)
    now = time.time_ns()
    is_young = abs(now - found.st_ctime_ns) < _YOUNG
    state = (found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_dev, found.st_ino)
    return _FileState(path, state, now if is_young else 0)


class Reloadable(Protocol):
    """Something that was read from files, and can be read again."""

    @property
    def what(self) -> str:
        """What it is, in a word, for people and metrics; several may be the same."""
        ...

    @property
    def name(self) -> str:
        """Which of them it is, as the settings call it."""
        ...

    @property
    def seen(self) -> Fingerprint:
        """The fingerprint of its files, taken before they were read for the first time."""
        ...

    def files(self) -> Iterable[Path]:
        """Return the files to watch. A directory counts as being there: name the files in it as well."""
        ...

    def load(self) -> Callable[[], None]:
        """Read it, and return what puts it to use; called in a thread, and that on the event loop.

        Raises:
            LexilogError: it cannot be used; the error says what is wrong, and where.
        """
        ...


class _Loaded(NamedTuple):
    """What came of an attempt: what puts it to use, or what was wrong."""

    seen: Fingerprint
    swap: Callable[[], None] | None
    error: Exception | None


class Reloader:
    """Reads things anew; `start` it on the event loop, and `stop` it.

    Args:
        things: what there is to read.
        seconds: how often to look whether files have changed; 0 for only when `now` is called.
        status: hears what is wrong.
        metrics: counts attempts.
        settings_file: where the settings came from: they are not read anew, but a change is worth a warning.
    """

    def __init__(
        self,
        things: Sequence[Reloadable],
        seconds: float,
        status: Status,
        metrics: Metrics,
        *,
        settings_file: Path | None = None,
    ) -> None:
        self._things = tuple(things)
        self._seconds = seconds
        self._status = status
        self._metrics = metrics
        # None: it is to be read at the next look, whatever its files are like.
        self._seen: list[Fingerprint | None] = [thing.seen for thing in self._things]
        self._problems: list[str | None] = [None for _ in self._things]
        self._settings_file = settings_file
        self._settings_in_use = self._settings_seen = _digest(settings_file)
        self._asked = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        for thing in self._things:
            for result in ("ok", "failed"):
                metrics["reload"].labels(thing.what, result)
            metrics["reload_ok"].labels(thing.what).set(1)
            metrics["reload_timestamp_seconds"].labels(thing.what).set_to_current_time()

    def start(self) -> None:
        """Begin to watch."""
        self._task = asyncio.create_task(self._watch())

    async def stop(self) -> None:
        """Watch no more; what is being read is not put to use."""
        if self._task:
            self._task.cancel()
            await asyncio.wait([self._task])
            self._task = None

    def now(self) -> None:
        """Have everything read anew, changed or not; once more when it is being read already."""
        self._asked.set()

    async def _watch(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._seconds or None):
                    await self._asked.wait()
            is_asked = self._asked.is_set()
            self._asked.clear()
            try:
                await self.look(everything=is_asked)
            except Exception as error:  # there is a next look, whatever this one could not do
                _log.error("files cannot be looked at", exc_info=error, extra=_apart("", error))

    async def look(self, *, everything: bool = False) -> None:
        """Look at all files now, and read anew what has changed, or could not be read for a reason that may pass.

        Args:
            everything: read what has not changed as well.
        """
        for number in range(len(self._things)):
            await self._look_at(number, everything=everything)
        await self._look_at_settings()

    async def _look_at(self, number: int, *, everything: bool) -> None:
        thing, before = self._things[number], self._seen[number]
        try:
            loaded = await asyncio.to_thread(_load, thing, None if everything else before)
            if loaded is None:
                return
            self._seen[number] = loaded.seen
            if loaded.error:
                raise loaded.error
            if loaded.swap:
                loaded.swap()
        except Exception as error:  # whatever is wrong with new files, the old ones serve on
            if not _is_of_content(error):
                self._seen[number] = None
            self._failed(number, error)
        else:
            self._done(number)
            # What has no files says nothing.
            if loaded.seen:
                _log.info("%s: %s", thing.name, "unchanged" if loaded.seen == before else "read anew")

    def _failed(self, number: int, error: Exception) -> None:
        thing = self._things[number]
        if isinstance(error, LexilogError):
            problem, stack = str(error), None
        else:
            problem, stack = f"a defect ({type(error).__name__}); the log says more", error
        said = "%s: cannot be read anew, what was in use stays so: %s"
        _log.error(said, thing.name, problem, exc_info=stack, extra=_apart(thing.name, error))
        self._problems[number] = problem
        self._tell(thing.what, "failed")

    def _done(self, number: int) -> None:
        what = self._things[number].what
        self._problems[number] = None
        self._metrics["reload_timestamp_seconds"].labels(what).set_to_current_time()
        self._tell(what, "ok")

    def _tell(self, what: str, result: str) -> None:
        pairs = zip(self._things, self._problems, strict=True)
        problems = [problem for thing, problem in pairs if thing.what == what and problem is not None]
        self._metrics["reload"].labels(what, result).inc()
        self._metrics["reload_ok"].labels(what).set(0 if problems else 1)
        self._status.set_problem(what, "; ".join(dict.fromkeys(problems)) or None)

    async def _look_at_settings(self) -> None:
        digest = await asyncio.to_thread(_digest, self._settings_file)
        if digest not in (self._settings_seen, self._settings_in_use):
            _log.warning("%s has changed: settings count from the next start", self._settings_file)
        self._settings_seen = digest


def _load(thing: Reloadable, seen: Fingerprint | None) -> _Loaded | None:
    """Read a thing; None where its files are as `seen`. What changes meanwhile is read again."""
    for attempt in range(_ATTEMPTS):
        if attempt:
            time.sleep(_PAUSE)
        before = fingerprint(thing.files())
        if before == seen:
            return None
        if any(file.looked_at for file in before):
            continue
        loaded = _try(thing, before)
        if fingerprint(thing.files()) == before:
            return loaded
    raise LexilogError(f"its files changed each of {_ATTEMPTS} times that they were looked at; they will be again")


def _try(thing: Reloadable, seen: Fingerprint) -> _Loaded:
    try:
        return _Loaded(seen, thing.load(), None)
    except Exception as error:  # it may be the fault of a file that is only half there: the caller looks again
        return _Loaded(seen, None, error)


def _is_of_content(error: BaseException | None) -> bool:
    """Tell whether an error stays until a file changes; else it may pass: files have run out, a file system is away."""
    if not isinstance(error, LexilogError):
        return False
    while error:
        # OpenSSL speaks of what a file holds; and a file that was not there is seen when it comes.
        if isinstance(error, OSError) and not isinstance(error, ssl.SSLError | FileNotFoundError):
            return False
        error = error.__cause__ or error.__context__
    return True


def _apart(name: str, error: Exception) -> dict[str, str]:
    """Return what has the log say each of several errors, and none of them more than once a minute."""
    return {"once": f"{name}: {error}"}


def _digest(path: Path | None) -> bytes | None:
    """Return the digest of a file's content; None where it cannot be read."""
    try:
        return hashlib.sha256(path.read_bytes()).digest() if path else None
    except OSError:
        return None
