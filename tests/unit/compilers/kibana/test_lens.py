"""A panel as a Lens visualization, on panels made for the purpose."""

from __future__ import annotations

import json
from typing import Any

import pytest

from lexilog.compilers.kibana.columns import conditions_of
from lexilog.compilers.kibana.lens import lens_attributes
from lexilog.compilers.kibana.saved_objects import saved_objects
from lexilog.compilers.panels import Breakdown, Condition, Measure, Order, Panel, Place
from lexilog.compilers.source import load_source

DEVICE = Breakdown(label="Device", field="observer.hostname")


def _attributes(**parts: Any) -> dict[str, Any]:
    at = Place(x=0, y=0, w=24, h=10)
    return lens_attributes(Panel(**{"id": "p", "title": "P", "question": "Q?", "kind": "table", "at": at, **parts}))


def _column(measure: Measure) -> dict[str, Any]:
    state = _attributes(kind="metric", measures=(measure,))["state"]
    found: dict[str, Any] = state["datasourceStates"]["formBased"]["layers"]["layer"]["columns"]["measure_0"]
    return found


@pytest.mark.parametrize(
    ("of", "field", "kind", "scale"),
    [
        ("count", None, "number", "ratio"),
        ("unique", "client.ip", "number", "ratio"),
        ("max", "@timestamp", "date", "ratio"),
        ("min", "lexilog.lag", "number", "ratio"),
        ("last", "user.name", "string", "ordinal"),
        ("last", "client.ip", "ip", "ordinal"),
        ("last", "lexilog.device.jailbroken", "boolean", "ratio"),
        ("last", "lexilog.license.free", "number", "ratio"),
    ],
)
def test_the_type_of_a_measure(of: Any, field: str | None, kind: str, scale: str) -> None:
    """A date is shown as one and an address as one; what is counted is a number."""
    column = _column(Measure(label="M", of=of, field=field))
    assert (column["dataType"], column["scale"]) == (kind, scale)


@pytest.mark.parametrize(
    ("where", "wanted"),
    [
        ((), "user.name : *"),
        ((Condition(field="event.outcome", values=("failure",)),), 'event.outcome : "failure" and user.name : *'),
        ((Condition(field="user.name", values=("a",)),), 'user.name : "a"'),
        ((Condition(field="user.name", others=("a",)),), 'not user.name : "a" and user.name : *'),
    ],
)
def test_the_last_value_is_of_a_record_that_has_one(where: tuple[Condition, ...], wanted: str) -> None:
    """A newer record without the field does not hide the value, and no condition is said twice."""
    measure = Measure(label="M", of="last", field="user.name", where=where)
    assert _column(measure)["filter"] == {"query": wanted, "language": "kuery"}


def test_other_measures_have_their_own_conditions_alone() -> None:
    """Only the last value asks for a record that has one."""
    assert conditions_of(Measure(label="M", of="unique", field="user.name")) == ()
    assert "filter" not in _column(Measure(label="M", of="unique", field="user.name"))


@pytest.mark.parametrize(
    ("order", "wanted"),
    [
        (None, None),
        (Order(by="Last"), {"columnId": "measure_1", "direction": "desc"}),
        (Order(by="Device", ascending=True), {"columnId": "row_0", "direction": "asc"}),
    ],
)
def test_the_order_of_a_table(order: Order | None, wanted: dict[str, str] | None) -> None:
    """A table is shown by the column that the panel names, a row or a measure."""
    measures = (Measure(label="Times"), Measure(label="Last", of="last", field="lexilog.action"))
    table = _attributes(rows=(DEVICE,), measures=measures, order=order)["state"]["visualization"]
    assert table.get("sorting") == wanted
    widths = {column["columnId"]: column.get("width") for column in table["columns"]}
    assert widths["row_0"] is widths["measure_0"] is None
    assert widths["measure_1"] > 0


@pytest.mark.parametrize(
    ("measure", "series"),
    [
        (Measure(label="M"), "bar_stacked"),
        (Measure(label="M", of="sum", field="source.bytes"), "bar_stacked"),
        (Measure(label="M", of="max", field="source.bytes"), "line"),
    ],
)
def test_what_adds_up_is_stacked(measure: Measure, series: str) -> None:
    """Counts and sums are stacked over time; a greatest value is a line, as two of them do not add up."""
    layer = _attributes(kind="time_series", measures=(measure,))["state"]["visualization"]["layers"][0]
    assert (layer["seriesType"], layer["xAccessor"]) == (series, "time")


@pytest.mark.parametrize(
    ("time", "field", "view"),
    [("device", "@timestamp", "lexilog-logs"), ("processing", "event.created", "lexilog-processing")],
)
def test_the_clock_of_a_panel(time: str, field: str, view: str) -> None:
    """Steps of time, the newest value and the data view, by which Kibana keeps to a time, go by one clock."""
    measures = (Measure(label="M", of="last", field="lexilog.lag"),)
    attributes = _attributes(kind="time_series", time=time, measures=measures)
    columns = attributes["state"]["datasourceStates"]["formBased"]["layers"]["layer"]["columns"]
    assert columns["time"]["sourceField"] == columns["measure_0"]["params"]["sortField"] == field
    assert [reference["id"] for reference in attributes["references"]] == [view]


def test_a_number_is_named_once() -> None:
    """A single number has the label of its measure, and no title above it; any other panel has its title."""
    for dashboard in saved_objects(load_source())[-4:]:
        panels = json.loads(dashboard["attributes"]["panelsJSON"])
        assert panels
        for panel in panels:
            config = panel["embeddableConfig"]
            number = config.get("attributes", {}).get("visualizationType") == "lnsMetric"
            assert config.get("hidePanelTitles", False) is number
            assert config["title"]
