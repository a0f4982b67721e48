"""The file door: lines from a stream of bytes, as soon as they are there."""

from __future__ import annotations

import re
import select
import time
from collections.abc import Callable, Iterator
from typing import BinaryIO, Protocol, cast

from lexilog.framing.csv_export import columns_of
from lexilog.model import Record
from lexilog.service.ids import StreamIds
from lexilog.service.multiline import Joiner

__all__ = ["FRAMINGS", "RecordReader", "read_chunks", "read_counted"]

_SIZE = 1 << 18
_COUNT = re.compile(rb"([1-9]\d{0,7}) (?=<)")
# A count that is larger than this is none: nobody waits for so much.
_LONGEST = 1024 * 1024
# Longer than any count.
_SHORT = 16


class _Reader(Protocol):
    def read1(self, size: int, /) -> bytes: ...


def read_chunks(stream: BinaryIO) -> Iterator[list[bytes]]:
    r"""Yield the lines of a stream, without their ``\n``, in lists of those that arrived together, which may be empty.

    Only ``\n`` ends a line: a carriage return before it is part of the line. The last line needs no ``\n``. Memory
    holds one chunk and the longest line.

    Raises:
        OSError: the stream cannot be read.
    """
    reader = cast(_Reader, stream)
    pending: list[bytes] = []
    while data := reader.read1(_SIZE):
        lines = data.split(b"\n")
        rest = lines.pop()
        if lines and pending:
            lines[0] = b"".join([*pending, lines[0]])
            pending.clear()
        yield lines
        if rest:
            pending.append(rest)
    if pending:
        yield [b"".join(pending)]


def read_counted(stream: BinaryIO) -> Iterator[list[bytes]]:
    r"""Yield the messages of a stream in which each has its length before it (RFC 6587 section 3.4.1).

    ``123 <30>…`` is a message of 123 bytes, whatever it holds. Where no such count stands, the message ends at the next
    ``\n``, so that a stream which changes its mind loses nothing.

    Raises:
        OSError: the stream cannot be read.
    """
    reader, splitter = cast(_Reader, stream), _Splitter()
    while data := reader.read1(_SIZE):
        yield splitter.feed(data)
    yield splitter.rest()


class _Splitter:
    """Takes bytes as they come and gives out the messages that are whole."""

    def __init__(self) -> None:
        self._pending: list[bytes] = []
        self._size = 0
        # How much there must be before it is worth looking again (-1: a line feed), so that a long message is looked
        # at few times.
        self._wanted = 0
        # Some senders end a message of known length with a line feed all the same.
        self._was_counted = False

    def feed(self, data: bytes) -> list[bytes]:
        """Return the messages that are whole with these bytes."""
        self._pending.append(data)
        self._size += len(data)
        if self._size < self._wanted or (self._wanted < 0 and b"\n" not in data):
            return []
        return self._split(at_end=False)

    def rest(self) -> list[bytes]:
        """Return what is left at the end of the stream."""
        return self._split(at_end=True)

    def _split(self, *, at_end: bool) -> list[bytes]:
        data, messages, position, self._wanted = b"".join(self._pending), [], 0, 0
        while position < len(data):
            if self._was_counted and data.startswith(b"\n", position):
                position, self._was_counted = position + 1, False
                continue
            count = _COUNT.match(data, position)
            if count and int(count[1]) <= _LONGEST:
                start, end = count.end(), count.end() + int(count[1])
                after, self._wanted = end, end - position
            else:
                # A count may be cut in the middle: with the next bytes it is one.
                self._wanted = -1 if len(data) - position > _SHORT else 0
                start, end = position, data.find(b"\n", position)
                end = len(data) if end < 0 and at_end else end
                after = end + 1
            if (end < 0 or end > len(data)) and not at_end:
                break
            self._was_counted = after == end
            # A message that breaks off at the end of the stream keeps its count: it is what was received.
            messages.append(data[start if end <= len(data) else position : end])
            position = after
        self._pending, self._size = [data[position:]], len(data) - position
        return messages


class RecordReader:
    """The records of one input: lines, or several of them joined; each with the head of its table, if it is in one.

    Args:
        source: the input; one that can be waited for (`select`), if there is a joiner.
        framing: how its lines are told apart, one of `FRAMINGS`.
        joiner: joins what belongs together; None leaves every line alone.
        name: which input it is; reading it again from its start gives its records the same ids.
    """

    def __init__(self, source: BinaryIO, framing: str, joiner: Joiner | None, name: str = "") -> None:
        self._source = source
        self._chunks = FRAMINGS[framing](source)
        self._joiner = joiner
        self._ids = StreamIds(name)
        # Only the first line of an input can be the head of a table: no line in the middle changes what others mean.
        self._columns: tuple[str, ...] | None = None

    def __iter__(self) -> Iterator[tuple[list[Record], int]]:
        """Yield records that became ready together, and how many bytes of input they took.

        Raises:
            OSError: the input cannot be read.
        """
        while True:
            if self._joiner is not None and not self._comes_in_time(self._joiner.waits_until):
                yield [self._record(line) for line in self._joiner.flush(time.monotonic())], 0
                continue
            chunk = next(self._chunks, None)
            if chunk is None:
                break
            size = sum(map(len, chunk)) + len(chunk)
            lines = [line.decode("utf-8", "surrogateescape") for line in chunk]
            yield [self._record(line) for line in self._joined(lines)], size
        if self._joiner is not None:
            yield [self._record(line) for line in self._joiner.flush()], 0

    def _comes_in_time(self, until: float | None) -> bool:
        """Wait for more input; tell whether there is some before a record has waited too long."""
        if until is None:
            return True
        return bool(select.select([self._source], [], [], max(until - time.monotonic(), 0))[0])

    def _joined(self, lines: list[str]) -> Iterator[str]:
        if self._joiner is None:
            yield from lines
            return
        now = time.monotonic()
        yield from self._joiner.flush(now)
        for line in lines:
            yield from self._joiner.feed(line, now)

    def _record(self, line: str) -> Record:
        if self._columns is None:
            self._columns = columns_of(line) or ()
        return Record(line=line, columns=self._columns, id=self._ids.id_of(line))


# How the messages of a stream are told apart.
FRAMINGS: dict[str, Callable[[BinaryIO], Iterator[list[bytes]]]] = {"lf": read_chunks, "octet-counted": read_counted}
