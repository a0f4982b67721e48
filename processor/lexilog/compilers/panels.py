"""Dashboards as data: each panel once, for every product that can show it.

A panel says which question it answers, which records it counts, how they are grouped, and what is measured of each
group. `lexilog.compilers.kibana` makes Kibana objects and search requests of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Literal, NamedTuple

from msgspec import Struct
from msgspec import field as key

from lexilog.assets import asset
from lexilog.catalog.fields import fields
from lexilog.compilers.panel_checks import check_dashboard, check_search
from lexilog.yaml_document import Document

__all__ = [
    "COLOURS",
    "DASHBOARDS",
    "PROCESSED",
    "TIME",
    "Breakdown",
    "Condition",
    "Control",
    "Dashboard",
    "Group",
    "Measure",
    "Order",
    "Panel",
    "Panels",
    "Place",
    "SavedSearch",
    "field_type",
    "load_panels",
    "read_dashboard",
    "read_searches",
    "unit",
]

# Files of dashboards/panels, in the order in which they are shown.
DASHBOARDS = ("overview", "tunnels", "remote_access", "pipeline_quality")

# The clock of the device, which may be wrong, and that of lexilog.
TIME = "@timestamp"
PROCESSED = "event.created"

# Colours of values that mean good or bad, by field; of the palette of Okabe and Ito, which the colour-blind can tell
# apart.
COLOURS: Mapping[str, Mapping[str, str]] = {
    "lexilog.impact": {"down": "#D55E00", "security": "#CC79A7", "degraded": "#E69F00", "none": "#009E73"},
    "lexilog.match.quality": {
        "none": "#D55E00",
        "id_only": "#CC79A7",
        "loose": "#E69F00",
        "prefix": "#56B4E9",
        "exact": "#009E73",
    },
}

Kind = Literal["metric", "time_series", "bar", "pie", "table", "lines"]
Operation = Literal["count", "sum", "average", "min", "max", "unique", "last", "percentile"]
Unit = Literal["bytes", "nanoseconds", "lag"]


class Condition(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What must hold of one field; exactly one of the attributes after `field` is set.

    Attributes:
        field: its name.
        values: it has one of these (``is``).
        others: it has none of these, or nothing at all (``is_not``).
        exists: it has a value, or has none.
        above: it has a number greater than this.
        below: it has a number less than this.
    """

    field: str
    values: tuple[str, ...] = key(default=(), name="is")
    others: tuple[str, ...] = key(default=(), name="is_not")
    exists: bool | None = None
    above: int | None = None
    below: int | None = None


class Group(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The records that go by one name: those for which all conditions hold."""

    label: str
    where: tuple[Condition, ...]


class Breakdown(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One step by which records are grouped: by the values of a field, or into groups with a name.

    Attributes:
        label: heading.
        field: the field; None where there are groups.
        groups: the groups; a record may be in several.
        size: how many values of the field at most.
        missing: records without the field are a row of their own, instead of none. For texts only.
    """

    label: str
    field: str | None = None
    groups: tuple[Group, ...] = ()
    size: int = 10
    missing: bool = False


class Measure(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is told of a group of records.

    Attributes:
        label: heading.
        of: the operation; ``last`` is the value in the newest record that has one.
        field: of which field; None for ``count`` alone.
        where: count only records for which this holds.
        percent: which percentile, 1 to 99.
    """

    label: str
    of: Operation = "count"
    field: str | None = None
    where: tuple[Condition, ...] = ()
    percent: int | None = None


class Order(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the rows of a table are shown, once they are chosen: by the column with this heading."""

    by: str
    ascending: bool = False


class Place(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where a panel stands, in columns and rows of the grid from the left upper corner."""

    x: int
    y: int
    w: int
    h: int


class Panel(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One panel.

    Attributes:
        id: unique in its dashboard; stays the same for good.
        title: what it shows.
        question: the question that it answers.
        kind: how it is drawn.
        at: where it stands.
        where: which records it is about; all if empty.
        rows: the groups, outermost first: rows of a table, slices, bars, tiles of a metric. A time series has time.
        split: a further grouping by colour, for time series and bars.
        measures: what is told of each group.
        sort: heading of the measure by which the top groups are chosen, greatest first; None is the first measure.
        order: how a table shows them.
        search: of ``lines``: id of the saved search.
        time: whose clock says when a record was: that of the device, or ours at its processing.
    """

    id: str
    title: str
    question: str
    kind: Kind
    at: Place
    where: tuple[Condition, ...] = ()
    rows: tuple[Breakdown, ...] = ()
    split: Breakdown | None = None
    measures: tuple[Measure, ...] = ()
    sort: str | None = None
    order: Order | None = None
    search: str | None = None
    time: Literal["device", "processing"] = "device"

    @property
    def clock(self) -> str:
        """The field by which a record is in the time that is looked at."""
        return TIME if self.time == "device" else PROCESSED

    @property
    def sorted_by(self) -> int:
        """Index of the measure by which the top groups are chosen."""
        labels = [measure.label for measure in self.measures]
        return labels.index(self.sort) if self.sort else 0

    @property
    def conditions(self) -> Iterator[Condition]:
        """Every condition in it, its own and those of its parts."""
        yield from self.where
        for breakdown in self.breakdowns:
            for group in breakdown.groups:
                yield from group.where
        for measure in self.measures:
            yield from measure.where

    @property
    def breakdowns(self) -> tuple[Breakdown, ...]:
        """Rows and split."""
        return (*self.rows, self.split) if self.split else self.rows

    @property
    def fields(self) -> frozenset[str]:
        """Every field that it uses; each must be one that can be aggregated."""
        used = {condition.field for condition in self.conditions}
        used |= {breakdown.field for breakdown in self.breakdowns if breakdown.field} | {self.clock}
        return frozenset(used | {measure.field for measure in self.measures if measure.field})


class Control(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A filter that a dashboard offers above its panels."""

    field: str
    label: str


class Dashboard(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One dashboard.

    Attributes:
        id: stays the same for good.
        title: its name.
        question: the question that it answers.
        since: how far back it looks when it is opened, in Elasticsearch's date mathematics.
        controls: filters.
        panels: in reading order.
    """

    id: str
    title: str
    question: str
    since: str = "now-24h"
    controls: tuple[Control, ...] = ()
    panels: tuple[Panel, ...]


class SavedSearch(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A list of records.

    Attributes:
        id: stays the same for good.
        title: its name.
        question: the question that it answers.
        where: which records.
        columns: fields, beside the time.
    """

    id: str
    title: str
    question: str
    where: tuple[Condition, ...]
    columns: tuple[str, ...]


class Panels(NamedTuple):
    """All that dashboards/panels holds."""

    dashboards: tuple[Dashboard, ...]
    searches: tuple[SavedSearch, ...]


def load_panels() -> Panels:
    """Return the shipped dashboards and saved searches.

    Raises:
        CatalogError: a file of dashboards/panels cannot be used.
        LexilogError: it is not part of this installation.
    """
    folder = asset("dashboards/panels")
    searches = read_searches(Document(folder / "searches.yaml"))
    ids = frozenset(search.id for search in searches)
    return Panels(
        tuple(read_dashboard(Document(folder / f"{name}.yaml"), searches=ids) for name in DASHBOARDS), searches
    )


def read_dashboard(document: Document, *, searches: frozenset[str] = frozenset()) -> Dashboard:
    """Return the dashboard that a file describes.

    Args:
        document: the file.
        searches: ids of the saved searches that its panels may show.

    Raises:
        CatalogError: it is not a dashboard that can be made.
    """
    dashboard = document.convert(Dashboard)
    check_dashboard(dashboard, document.error, searches)
    return dashboard


def read_searches(document: Document) -> tuple[SavedSearch, ...]:
    """Return the saved searches that a file describes.

    Raises:
        CatalogError: one of them cannot be made.
    """
    searches = document.convert(tuple[SavedSearch, ...])
    for index, search in enumerate(searches):
        check_search(search, document.error, index)
    return searches


def field_type(name: str) -> str:
    """Return the Elasticsearch type of a field of the field table."""
    return fields()[name].type


def unit(name: str) -> Unit | None:
    """Return the unit in which a field counts, where it is neither a mere number nor a text."""
    if name.endswith(".bytes"):
        return "bytes"
    # Both are in nanoseconds; a lag may be below zero, which only plain seconds show well.
    units: dict[str, Unit] = {"event.duration": "nanoseconds", "lexilog.lag": "lag"}
    return units.get(name)
