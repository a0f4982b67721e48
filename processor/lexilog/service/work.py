"""Processing a batch, and inflating one, without holding up the other requests of the same process."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from lexilog.gunzip import Inflater, gunzip
from lexilog.model import Enriched, Record
from lexilog.pipeline import Pipeline

__all__ = ["feed", "inflate", "process_batch"]

# Records between two looks at what else there is to do: some ten milliseconds.
_SLICE = 200
# Bytes of gzip, which stand for a thousand times as many, that are inflated without a thread: some milliseconds.
_SMALL = 256


async def process_batch(pipeline: Pipeline, records: Iterable[Record]) -> list[Enriched]:
    """Return the processed records in order."""
    done: list[Enriched] = []
    for record in records:
        done.append(pipeline.process(record))
        if len(done) % _SLICE == 0:
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
