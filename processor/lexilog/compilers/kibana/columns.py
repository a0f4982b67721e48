"""The columns of a panel, in order and by name: Kibana's object and the search request use the same names."""

from __future__ import annotations

from typing import NamedTuple

from lexilog.compilers.panels import Breakdown, Condition, Measure, Panel

__all__ = ["Bucket", "buckets", "conditions_of", "measure_id"]


class Bucket(NamedTuple):
    """One step by which records are grouped; without a breakdown it is time."""

    id: str
    breakdown: Breakdown | None


def buckets(panel: Panel) -> tuple[Bucket, ...]:
    """Return the groupings of a panel, outermost first. Time is the innermost, so that the top values are of it all."""
    rows = tuple(Bucket(f"row_{index}", row) for index, row in enumerate(panel.rows))
    split = (Bucket("split", panel.split),) if panel.split else ()
    time = (Bucket("time", None),) if panel.kind == "time_series" else ()
    return (*rows, *split, *time)


def measure_id(index: int) -> str:
    """Return the name of a measure of a panel."""
    return f"measure_{index}"


def conditions_of(measure: Measure) -> tuple[Condition, ...]:
    """Return which records a measure counts. The last value is that of the newest record that has one."""
    known = {each.field for each in measure.where if each.values or each.exists}
    if measure.of == "last" and measure.field and measure.field not in known:
        return (*measure.where, Condition(field=measure.field, exists=True))
    return measure.where
