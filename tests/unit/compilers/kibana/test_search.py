"""Conditions as KQL and as a query, and the search request of a panel; what a node says to them is tested in e2e."""

from __future__ import annotations

from typing import Any

import pytest

from lexilog.compilers.kibana.kuery import kql
from lexilog.compilers.kibana.search import condition_query, list_request, panel_rows, search_request
from lexilog.compilers.panels import Breakdown, Condition, Group, Measure, Panel, Place, SavedSearch

DOWN = Condition(field="lexilog.impact", values=("down",))
AT = Place(x=0, y=0, w=24, h=10)


def _panel(**parts: Any) -> Panel:
    return Panel(**{"id": "p", "title": "P", "question": "Q?", "kind": "table", "at": AT, **parts})


@pytest.mark.parametrize(
    ("condition", "text", "query"),
    [
        (DOWN, 'lexilog.impact : "down"', {"terms": {"lexilog.impact": ["down"]}}),
        (
            Condition(field="a", values=("b", "c")),
            'a : ("b" or "c")',
            {"terms": {"a": ["b", "c"]}},
        ),
        (
            Condition(field="a", others=("b",)),
            'not a : "b"',
            {"bool": {"must_not": {"terms": {"a": ["b"]}}}},
        ),
        (Condition(field="a", exists=True), "a : *", {"exists": {"field": "a"}}),
        (Condition(field="a", exists=False), "not a : *", {"bool": {"must_not": {"exists": {"field": "a"}}}}),
        (Condition(field="a", above=0), "a > 0", {"range": {"a": {"gt": 0}}}),
        (Condition(field="a", below=-5), "a < -5", {"range": {"a": {"lt": -5}}}),
        (Condition(field="a", values=('x "y" \\',)), 'a : "x \\"y\\" \\\\"', {"terms": {"a": ['x "y" \\']}}),
    ],
)
def test_a_condition(condition: Condition, text: str, query: dict[str, Any]) -> None:
    """Each kind of condition is the same in both languages, and a value stays one value."""
    assert kql([condition]) == text
    assert condition_query([condition]) == {"bool": {"filter": [query]}}


def test_conditions_hold_together() -> None:
    """Several conditions must all hold; none are no restriction."""
    both = (DOWN, Condition(field="a", exists=True))
    assert kql(both) == 'lexilog.impact : "down" and a : *'
    assert len(condition_query(both)["bool"]["filter"]) == 2
    assert kql(()) == ""
    assert condition_query(()) == {"match_all": {}}


def test_groups_are_chosen_by_what_sorts() -> None:
    """Each level of groups has the measure that sorts it, greatest first, filter and all."""
    panel = _panel(
        rows=(Breakdown(label="Device", field="observer.hostname", missing=True), Breakdown(label="User", field="u")),
        measures=(Measure(label="All"), Measure(label="Down", where=(DOWN,))),
        sort="Down",
    )
    outer = search_request(panel)["aggs"]["row_0"]
    assert outer["terms"]["order"] == outer["aggs"]["row_1"]["terms"]["order"] == {"measure_1": "desc"}
    assert outer["terms"]["missing"] == "__missing__"
    assert "missing" not in outer["aggs"]["row_1"]["terms"]
    assert "measure_1" in outer["aggs"]
    assert "measure_1" in outer["aggs"]["row_1"]["aggs"]


@pytest.mark.parametrize(
    ("measure", "order"),
    [
        (Measure(label="M"), "_count"),
        (Measure(label="M", where=(DOWN,)), "measure_0"),
        (Measure(label="M", of="max", field="@timestamp"), "measure_0"),
        (Measure(label="M", of="max", field="@timestamp", where=(DOWN,)), "measure_0>value"),
    ],
)
def test_what_sorts(measure: Measure, order: str) -> None:
    """A count sorts by records, a measure by its value, also behind a condition of its own."""
    panel = _panel(rows=(Breakdown(label="D", field="d"),), measures=(measure,))
    assert search_request(panel)["aggs"]["row_0"]["terms"]["order"] == {order: "desc"}


def test_time_is_the_innermost() -> None:
    """The lines of a time series are the top values of the whole time, not of each step."""
    panel = _panel(kind="time_series", split=Breakdown(label="S", field="s"), measures=(Measure(label="M"),))
    split = search_request(panel)["aggs"]["split"]
    assert split["aggs"]["time"]["auto_date_histogram"]["field"] == "@timestamp"


def test_our_own_clock() -> None:
    """A panel that goes by the time of processing has it in its steps of time and in what is newest."""
    measures = (Measure(label="M", of="last", field="lexilog.lag"),)
    steps = search_request(_panel(kind="time_series", time="processing", measures=measures))["aggs"]["time"]
    assert steps["auto_date_histogram"]["field"] == "event.created"
    assert steps["aggs"]["measure_0"]["aggs"]["value"]["top_hits"]["sort"] == [{"event.created": "desc"}]


def test_the_rows_of_an_answer() -> None:
    """The rows hold each group by its key and each measure by its heading; what has no value is None."""
    panel = _panel(
        rows=(Breakdown(label="Device", field="d"),),
        measures=(
            Measure(label="Times"),
            Measure(label="Down", where=(DOWN,)),
            Measure(label="Reason", of="last", field="event.reason"),
            Measure(label="P95", of="percentile", field="event.duration", percent=95),
            Measure(label="Seen", of="max", field="@timestamp"),
        ),
    )
    hits = [{"fields": {"event.reason": ["gone"]}}]
    answer = {
        "hits": {"total": {"value": 3}},
        "aggregations": {"row_0": {"buckets": [_bucket("srx1", 2, 1, hits), _bucket("srx2", 1, 0, [])]}},
    }
    assert panel_rows(panel, answer) == [
        {"Device": "srx1", "Times": 2, "Down": 1, "Reason": "gone", "P95": 7.5, "Seen": "2026-01-15T12:00:00.000Z"},
        {"Device": "srx2", "Times": 1, "Down": 0, "Reason": None, "P95": 7.5, "Seen": "2026-01-15T12:00:00.000Z"},
    ]


def _bucket(key: str, count: int, down: int, hits: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "key": key,
        "doc_count": count,
        "measure_1": {"doc_count": down},
        "measure_2": {"doc_count": len(hits), "value": {"hits": {"hits": hits}}},
        "measure_3": {"values": {"95.0": 7.5}},
        "measure_4": {"value": 1.0, "value_as_string": "2026-01-15T12:00:00.000Z"},
    }


def test_the_rows_of_named_groups() -> None:
    """Named groups are rows by their names, and a metric without rows is one row."""
    groups = (Group(label="Phase 1", where=(DOWN,)), Group(label="Phase 2", where=(DOWN,)))
    panel = _panel(rows=(Breakdown(label="Phase", groups=groups),), measures=(Measure(label="M"),))
    buckets = {"Phase 1": {"doc_count": 4}, "Phase 2": {"doc_count": 5}}
    answer = {"hits": {"total": {"value": 9}}, "aggregations": {"row_0": {"buckets": buckets}}}
    assert panel_rows(panel, answer) == [{"Phase": "Phase 1", "M": 4}, {"Phase": "Phase 2", "M": 5}]
    metric = _panel(kind="metric", measures=(Measure(label="M"),))
    assert panel_rows(metric, {"hits": {"total": {"value": 9}}}) == [{"M": 9}]


def test_a_saved_search_lists_the_newest() -> None:
    """A list has the time and its columns, newest first."""
    search = SavedSearch(id="s", title="S", question="Q?", where=(DOWN,), columns=("user.name",))
    asked = list_request(search, size=5)
    assert asked["sort"] == [{"@timestamp": "desc"}]
    assert asked["_source"] == ["@timestamp", "user.name"]
    assert asked["size"] == 5
