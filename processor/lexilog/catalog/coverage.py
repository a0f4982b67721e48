"""How many of a catalogue's messages are recognised: each one is written as a line and read again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable

import msgspec

from lexilog.catalog.load import Catalog
from lexilog.catalog.samples import Sample, samples
from lexilog.model import Enriched, Record

__all__ = ["Coverage", "Failure", "measure"]


class Failure(msgspec.Struct, frozen=True):
    """A sample that was not recognised as what it is: the entry's id, the line, and what it was taken for."""

    id: str
    frame: str
    line: str
    found: str


class Coverage(msgspec.Struct, frozen=True):
    """What was found for one catalogue.

    Attributes:
        catalog: its name.
        documented: of the messages that the vendor's document has, how many were recognised in every wrapping that
            they may come in, and how many there are.
        observed: the same for messages that are known from lines alone.
        lines: how many lines that took.
        failures: what was not recognised.
    """

    catalog: str
    documented: tuple[int, int]
    observed: tuple[int, int]
    lines: int
    failures: tuple[Failure, ...]


def measure(catalogs: Iterable[Catalog], process: Callable[[Record], Enriched]) -> list[Coverage]:
    """Write a line of every entry in each of its wrappings, and count the entries whose lines are recognised.

    Args:
        catalogs: the catalogues to measure.
        process: what recognises a record: `lexilog.Pipeline.process` of a pipeline that knows the catalogues.
    """
    found = []
    for catalog in catalogs:
        lines, failures, known, total = 0, list[Failure](), Counter[str](), Counter[str]()
        for entry in catalog.entries:
            missed = []
            for sample in samples(entry):
                lines += 1
                seen = _seen(process(Record(line=sample.line, columns=sample.columns)), sample)
                if seen != f"{entry.catalog}/{entry.id}":
                    missed.append(Failure(entry.id, sample.frame, sample.line, seen))
            failures += missed
            known[entry.provenance] += not missed
            total[entry.provenance] += 1
        documented, observed = ((known[name], total[name]) for name in ("documented", "observed"))
        found.append(Coverage(catalog.name, documented, observed, lines, tuple(failures)))
    return found


def _seen(enriched: Enriched, sample: Sample) -> str:
    """Return which entry a sample was taken for, or what is wrong with its values."""
    if enriched.match is None:
        return f"unknown ({enriched.reason})"
    values = enriched.match.values
    wrong = [name for name, value in sample.values.items() if values.get(name, "").lower() != value.lower()]
    if wrong:
        return f"{enriched.match.entry.id} with another value of {wrong[0]}"
    return f"{enriched.match.entry.catalog}/{enriched.match.entry.id}"
