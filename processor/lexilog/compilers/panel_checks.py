"""What must hold of panels before anything is made of them; a mistake is told with file, line and column."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lexilog.catalog.fields import fields
from lexilog.yaml_document import Fail, meant_of

if TYPE_CHECKING:
    from lexilog.compilers.panels import Breakdown, Condition, Dashboard, Measure, Panel, Place, SavedSearch

__all__ = ["check_dashboard", "check_search"]

# Columns of a dashboard.
_GRID = 48
# Types that can be neither grouped nor measured; the second has no single value.
_NOT_COUNTED = ("match_only_text", "flattened")
# Kept, but with neither index nor doc values, as ECS wants it.
_NOT_SEARCHED = ("event.original",)
_SORTABLE = ("count", "sum", "average", "min", "max", "unique")
_OF_NUMBERS = ("sum", "average", "percentile")
# How many rows and measures a kind takes: least and most.
_ROWS = {"metric": (0, 1), "time_series": (0, 0), "bar": (1, 1), "pie": (1, 2), "table": (1, 5), "lines": (0, 0)}
_MEASURES = {"metric": (1, 1), "time_series": (1, 6), "bar": (1, 6), "pie": (1, 1), "table": (1, 12), "lines": (0, 0)}
_SPLIT = ("time_series", "bar")
# How many groups Elasticsearch answers at most (search.max_buckets, as it comes).
_BUCKETS = 65_535


def check_dashboard(dashboard: Dashboard, fail: Fail, searches: frozenset[str]) -> None:
    """Raise the error of `fail` for the first thing that cannot be shown."""
    for index, control in enumerate(dashboard.controls):
        _check_field(control.field, fail, "controls", index, "field")
    seen: dict[str, Place] = {}
    for index, panel in enumerate(dashboard.panels):
        path = ("panels", index)
        if panel.id in seen:
            raise fail(f"id: '{panel.id}' is taken by another panel of this dashboard", *path, "id")
        _check_place(panel, seen, fail, *path, "at")
        seen[panel.id] = panel.at
        _check_panel(panel, fail, *path)
        if (panel.kind == "lines") != (panel.search is not None):
            raise fail("search: a panel of kind lines, and no other, names a saved search", *path)
        if panel.search is not None and panel.time != "device":
            raise fail("time: a saved search goes by the time of the device", *path, "time")
        if panel.search is not None and panel.search not in searches:
            raise fail(f"search: there is no '{panel.search}'{meant_of(panel.search, searches)}", *path, "search")


def check_search(search: SavedSearch, fail: Fail, index: int) -> None:
    """Raise the error of `fail` for the first thing that cannot be searched."""
    _check_conditions(search.where, fail, index, "where")
    for position, column in enumerate(search.columns):
        if column not in fields():
            raise fail(f"columns: {_unknown(column)}", index, "columns", position)


def _check_place(panel: Panel, seen: dict[str, Place], fail: Fail, *path: str | int) -> None:
    at = panel.at
    if min(at.x, at.y) < 0 or min(at.w, at.h) < 1 or at.x + at.w > _GRID:
        raise fail(f"at: a panel stands within {_GRID} columns, and has a width and a height", *path)
    for name, other in seen.items():
        if at.x < other.x + other.w and other.x < at.x + at.w and at.y < other.y + other.h and other.y < at.y + at.h:
            raise fail(f"at: stands over panel '{name}'", *path)


def _check_panel(panel: Panel, fail: Fail, *path: str | int) -> None:
    for parts, limits, key in ((panel.rows, _ROWS, "rows"), (panel.measures, _MEASURES, "measures")):
        least, most = limits[panel.kind]
        if not least <= len(parts) <= most:
            wanted = f"{least} to {most}" if most > least else str(most)
            raise fail(f"{key}: a panel of kind {panel.kind} has {wanted} of them, not {len(parts)}", *path, key)
    if panel.split is not None and panel.kind not in _SPLIT:
        raise fail(f"split: only {' and '.join(_SPLIT)} are split", *path, "split")
    labels = [row.label for row in panel.breakdowns] + [measure.label for measure in panel.measures]
    if len({*labels}) < len(labels):
        raise fail("two columns have the same label", *path)
    _check_conditions(panel.where, fail, *path, "where")
    for index, row in enumerate(panel.rows):
        _check_breakdown(row, fail, *path, "rows", index)
    if panel.split is not None:
        _check_breakdown(panel.split, fail, *path, "split")
    _check_sizes(panel, fail, *path)
    for index, measure in enumerate(panel.measures):
        _check_measure(measure, fail, *path, "measures", index)
    _check_order(panel, labels, fail, *path)


def _check_sizes(panel: Panel, fail: Fail, *path: str | int) -> None:
    level, most = 1, 0
    for breakdown in panel.breakdowns:
        level *= len(breakdown.groups) or breakdown.size
        most += level
    if most > _BUCKETS:
        raise fail(f"size: up to {most} groups, and Elasticsearch answers {_BUCKETS} at most", *path)


def _check_order(panel: Panel, labels: list[str], fail: Fail, *path: str | int) -> None:
    measured = {measure.label: measure for measure in panel.measures}
    if panel.sort is not None and panel.sort not in measured:
        raise fail(f"sort: there is no measure '{panel.sort}'{meant_of(panel.sort, measured)}", *path, "sort")
    if any(row.field for row in panel.breakdowns) and panel.measures[panel.sorted_by].of not in _SORTABLE:
        raise fail(f"sort: groups are sorted by {', '.join(_SORTABLE)}; name such a measure", *path)
    if panel.order is not None and (panel.kind != "table" or panel.order.by not in labels):
        raise fail(f"order: only a table has one, by one of its columns{meant_of(panel.order.by, labels)}", *path)


def _check_breakdown(breakdown: Breakdown, fail: Fail, *path: str | int) -> None:
    if (breakdown.field is None) != bool(breakdown.groups):
        raise fail("is either by a field or into groups", *path)
    if breakdown.field is not None:
        _check_field(breakdown.field, fail, *path, "field")
        if breakdown.missing and fields()[breakdown.field].type not in ("keyword", "constant_keyword"):
            raise fail(f"missing: {breakdown.field} is no text", *path, "missing")
    for index, group in enumerate(breakdown.groups):
        _check_conditions(group.where, fail, *path, "groups", index, "where")


def _check_measure(measure: Measure, fail: Fail, *path: str | int) -> None:
    if (measure.field is None) != (measure.of == "count"):
        raise fail(f"of: {measure.of} {'takes no' if measure.of == 'count' else 'needs a'} field", *path)
    if (measure.percent is None) != (measure.of != "percentile") or not 1 <= (measure.percent or 1) <= 99:
        raise fail("percent: a percentile, and nothing else, has one, from 1 to 99", *path)
    if measure.field is not None:
        _check_field(measure.field, fail, *path, "field")
        kinds = ("long",) if measure.of in _OF_NUMBERS else ("long", "date") if measure.of in ("min", "max") else ()
        if kinds and fields()[measure.field].type not in kinds:
            raise fail(f"of: {measure.of} is of {' or '.join(kinds)}, and {measure.field} is none", *path, "of")
    _check_conditions(measure.where, fail, *path, "where")


def _check_conditions(conditions: tuple[Condition, ...], fail: Fail, *path: str | int) -> None:
    for index, condition in enumerate(conditions):
        _check_field(condition.field, fail, *path, index, "field")
        tests: tuple[Any, ...] = (condition.exists, condition.above, condition.below)
        if sum(test is not None for test in tests) + bool(condition.values) + bool(condition.others) != 1:
            raise fail("a condition has exactly one of is, is_not, exists, above, below", *path, index)
        number = fields()[condition.field].type == "long"
        if (condition.above is not None or condition.below is not None) and not number:
            raise fail(f"{condition.field} is no number, so it is neither above nor below one", *path, index)


def _check_field(name: str, fail: Fail, *path: str | int) -> None:
    if name not in fields():
        raise fail(f"field: {_unknown(name)}", *path)
    if fields()[name].type in _NOT_COUNTED or name in _NOT_SEARCHED:
        raise fail(f"field: {name} cannot be grouped, measured or compared", *path)


def _unknown(name: str) -> str:
    near = meant_of(name, fields())
    return f"'{name}' is not in the field table{near if 'meant' in near else ''}"
