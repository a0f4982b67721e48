"""Processing a batch without holding up the other requests of the same process."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from lexilog.model import Enriched, Record
from lexilog.pipeline import Pipeline

__all__ = ["process_batch"]

# Records between two looks at what else there is to do: some ten milliseconds.
_SLICE = 200


async def process_batch(pipeline: Pipeline, records: Iterable[Record]) -> list[Enriched]:
    """Return the processed records in order."""
    done: list[Enriched] = []
    for record in records:
        done.append(pipeline.process(record))
        if len(done) % _SLICE == 0:
            await asyncio.sleep(0)
    return done
