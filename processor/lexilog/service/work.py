"""Processing a batch, and inflating one, without holding up the other requests of the same process."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator
from time import monotonic
from typing import TypeVar

from lexilog.gunzip import Inflater, gunzip
from lexilog.model import Enriched, Record
from lexilog.pipeline import Pipeline

__all__ = ["feed", "inflate", "process_batch", "process_slice"]

# Records between two looks at what else there is to do, and seconds, for records that take long.
_SLICE = 200
_TURN = 0.05
# Bytes of gzip, which stand for a thousand times as many, that are inflated without a thread: some milliseconds.
_SMALL = 256

_T = TypeVar("_T")


def process_slice(process: Callable[[Record], _T], records: Iterator[Record]) -> tuple[list[_T], bool]:
    """Process the next records, as many as take a moment.

    Returns:
        What came of them, in order, and whether there may be more.
    """
    done: list[_T] = []
    end = monotonic() + _TURN
    for record in records:
        done.append(process(record))
        if len(done) == _SLICE or monotonic() > end:
            return done, True
    return done, False


async def process_batch(pipeline: Pipeline, records: Iterable[Record]) -> list[Enriched]:
    """Return the processed records in order."""
    done: list[Enriched] = []
    rest, more = iter(records), True
    while more:
        piece, more = process_slice(pipeline.process, rest)
        done += piece
        await asyncio.sleep(0)
    return done


async def inflate(data: bytes, most: int) -> bytes:
    """Return what a whole gzip stream holds.

    Raises:
        zlib.error: it is no gzip, or breaks off.
        TooLargeError: that is more than `most` bytes; no more was inflated.
    """
    return gunzip(data, most) if len(data) < _SMALL else await asyncio.to_thread(gunzip, data, most)


async def feed(inflater: Inflater, data: bytes, room: int) -> bytes:
    """Return what more of a gzip stream inflates to, but no more than `room` bytes, at least 1.

    Raises:
        zlib.error: it is no gzip.
    """
    return inflater.feed(data, room) if len(data) < _SMALL else await asyncio.to_thread(inflater.feed, data, room)
