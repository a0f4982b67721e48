"""Writes NDJSON: one ECS document per line, to a file or to standard output."""

from __future__ import annotations

import asyncio
import io
import logging
import os
import stat
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

import msgspec

from lexilog.enrich.document import encode_json
from lexilog.errors import RelayError, SettingsError
from lexilog.model import Enriched
from lexilog.relay.base import Delivery, Relay

__all__ = ["FileRelay", "StdoutRelay"]

_BLOCK = 1 << 16

_log = logging.getLogger(__name__)


class FileRelay(Relay):
    """Appends to a file. A batch counts as taken when the system has it on disk (``fsync``).

    A batch that cannot be written whole is taken back, so that no half line stays in the file.

    Args:
        path: the file; made if it is not there.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: io.FileIO | None = None
        self._turn = asyncio.Lock()

    async def open(self) -> None:
        """Open the file for appending, and mend its end if the process before this one was killed in mid-line."""
        try:
            self._file = io.FileIO(self._path, "ab")
            if stat.S_ISREG(os.fstat(self._file.fileno()).st_mode):
                _mend(self._path, self._file)
        except OSError as error:
            raise SettingsError(f"relay file:{self._path}: cannot be written: {error.strerror}") from error

    async def deliver(self, batch: Sequence[Enriched]) -> Delivery:
        """Append the batch and wait until it is on disk."""
        lines = b"".join(encode_json(enriched) + b"\n" for enriched in batch)
        async with self._turn:
            await asyncio.to_thread(self._append, lines)
        return Delivery()

    def _append(self, lines: bytes) -> None:
        if self._file is None:
            raise RelayError(f"relay file:{self._path}: is not open")
        number = self._file.fileno()
        regular = stat.S_ISREG(os.fstat(number).st_mode)
        before = os.fstat(number).st_size
        try:
            _write_all(self._file, lines)
            if regular:
                os.fsync(number)
        except OSError as error:
            if regular:
                os.ftruncate(number, before)
            raise RelayError(f"relay file:{self._path}: {error.strerror}") from error

    async def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
            self._file = None


class StdoutRelay(Relay):
    """Writes to standard output. A batch counts as taken when the pipe or terminal behind it has taken the bytes."""

    def __init__(self, stream: BinaryIO | None = None) -> None:
        self._stream = sys.stdout.buffer if stream is None else stream
        self._turn = asyncio.Lock()

    async def deliver(self, batch: Sequence[Enriched]) -> Delivery:
        """Write the batch and flush."""
        lines = b"".join(encode_json(enriched) + b"\n" for enriched in batch)
        async with self._turn:
            await asyncio.to_thread(self._write, lines)
        return Delivery()

    def _write(self, lines: bytes) -> None:
        try:
            self._stream.write(lines)
            self._stream.flush()
        except (OSError, ValueError) as error:
            raise RelayError(f"relay stdout: {error}") from error


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


def _write_all(file: io.FileIO, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[file.write(view) :]
