"""The file door: lines from a stream of bytes, as soon as they are there."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO, Protocol, cast

__all__ = ["read_chunks"]

_SIZE = 1 << 18


class _Reader(Protocol):
    def read1(self, size: int, /) -> bytes: ...


def read_chunks(stream: BinaryIO) -> Iterator[list[bytes]]:
    r"""Yield the lines of a stream, without their ``\n``, in lists of those that arrived together.

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
        if lines:
            if pending:
                lines[0] = b"".join([*pending, lines[0]])
                pending.clear()
            yield lines
        if rest:
            pending.append(rest)
    if pending:
        yield [b"".join(pending)]
