"""The saved objects: whole, stable, and in a form that an import takes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lexilog.catalog.fields import fields
from lexilog.compilers.build import MAKERS
from lexilog.compilers.kibana.columns import buckets, conditions_of
from lexilog.compilers.kibana.kuery import kql
from lexilog.compilers.kibana.saved_objects import DATA_VIEWS, FILE, files, saved_objects
from lexilog.compilers.kibana.search import condition_query, search_request
from lexilog.compilers.panels import load_panels
from lexilog.compilers.source import Source, load_source

SOURCE = load_source()
OBJECTS = saved_objects(SOURCE)
DASHBOARDS = [found for found in OBJECTS if found["type"] == "dashboard"]
_SOURCE_OF = "kibanaSavedObjectMeta"


def _panels(dashboard: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(dashboard["attributes"]["panelsJSON"])
    return found


def _lens() -> Iterator[tuple[str, dict[str, Any]]]:
    for dashboard in DASHBOARDS:
        for panel in _panels(dashboard):
            if panel["type"] == "lens":
                yield f"{dashboard['id']}/{panel['panelIndex']}", panel["embeddableConfig"]["attributes"]


LENS = dict(_lens())


def test_the_ids_stay() -> None:
    """An import over an older one replaces each object: the ids are fixed."""
    assert [(found["type"], found["id"]) for found in OBJECTS] == [
        ("index-pattern", "lexilog-logs"),
        ("index-pattern", "lexilog-processing"),
        ("search", "lexilog-trouble"),
        ("search", "lexilog-tunnel-lines"),
        ("search", "lexilog-user-lines"),
        ("search", "lexilog-unknown-lines"),
        ("search", "lexilog-partly-known"),
        ("search", "lexilog-errors"),
        ("dashboard", "lexilog-overview"),
        ("dashboard", "lexilog-tunnels"),
        ("dashboard", "lexilog-remote-access"),
        ("dashboard", "lexilog-pipeline-quality"),
    ]


def test_the_data_views_differ_by_their_clock() -> None:
    """Both are of the same indices; one is by the time of the device, one by that of processing, under other names."""
    views = [found["attributes"] for found in OBJECTS if found["type"] == "index-pattern"]
    assert [view["timeFieldName"] for view in views] == ["@timestamp", "event.created"]
    assert {view["title"] for view in views} == {"logs-lexilog.*"}
    assert len({view["name"] for view in views}) == 2
    assert not any(one != other and one in other for one in DATA_VIEWS.values() for other in DATA_VIEWS.values())


def test_every_reference_leads_somewhere() -> None:
    """Each object refers to objects that come before it, and no two of its references have one name."""
    seen: set[tuple[str, str]] = set()
    for found in OBJECTS:
        names = [reference["name"] for reference in found["references"]]
        assert len({*names}) == len(names)
        assert {(reference["type"], reference["id"]) for reference in found["references"]} <= seen
        seen.add((found["type"], found["id"]))


@pytest.mark.parametrize("dashboard", DASHBOARDS, ids=lambda found: found["id"])
def test_a_dashboard_names_what_its_panels_need(dashboard: dict[str, Any]) -> None:
    """Each panel, each control and each filter finds its data view or saved search by the name that Kibana gives it."""
    wanted = set()
    for panel in _panels(dashboard):
        index = panel["panelIndex"]
        assert panel["gridData"]["i"] == index
        if panel["type"] == "search":
            wanted.add(f"{index}:{panel['panelRefName']}")
        else:
            inner = panel["embeddableConfig"]["attributes"]["references"]
            assert {reference["id"] for reference in inner} <= {*DATA_VIEWS.values()}
            outer = {reference["name"]: reference["id"] for reference in dashboard["references"]}
            assert [outer[f"{index}:{reference['name']}"] for reference in inner] == [one["id"] for one in inner]
            wanted |= {f"{index}:{reference['name']}" for reference in inner}
    controls = json.loads(dashboard["attributes"]["controlGroupInput"]["panelsJSON"])
    wanted |= {f"controlGroup_{name}:optionsListDataView" for name in controls}
    source = json.loads(dashboard["attributes"][_SOURCE_OF]["searchSourceJSON"])
    wanted |= {each["meta"]["indexRefName"] for each in source["filter"]}
    assert {reference["name"] for reference in dashboard["references"]} == wanted


def test_every_object_says_which_form_it_has() -> None:
    """Without these Kibana takes an object for one of its oldest form."""
    for found in OBJECTS:
        assert found["coreMigrationVersion"] == "8.8.0"
        assert found["typeMigrationVersion"]


@pytest.mark.parametrize("name", LENS)
def test_every_column_is_labelled_and_of_the_field_table(name: str) -> None:
    """No column has a label of Kibana's making, and no column is of a field that no record has."""
    layer = LENS[name]["state"]["datasourceStates"]["formBased"]["layers"]["layer"]
    assert layer["columnOrder"] == [*layer["columns"]]
    for column in layer["columns"].values():
        assert column["label"]
        assert column["customLabel"] is True
        source = column.get("sourceField", "___records___")
        assert source == "___records___" or source in fields()
        by = column["params"].get("orderBy")
        assert by is None or by["columnId"] in layer["columns"]


@pytest.mark.parametrize("name", LENS)
def test_every_column_is_drawn(name: str) -> None:
    """Each column of a panel is used by its drawing, and the drawing uses no other."""
    state = LENS[name]["state"]
    columns = state["datasourceStates"]["formBased"]["layers"]["layer"]["columns"]
    drawn = {
        text for text in _texts(state["visualization"]) if text in columns or text.startswith(("row_", "measure_"))
    }
    assert drawn == {*columns}


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for inner in value.values():
            yield from _texts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _texts(inner)


@pytest.mark.parametrize("name", LENS)
def test_the_request_asks_what_the_columns_say(name: str) -> None:
    """The search request that is tested on a node groups, sorts, filters and measures as the columns do."""
    dashboard, _, id_ = name.partition("/")
    panels = {f"lexilog-{found.id}": found.panels for found in load_panels().dashboards}[dashboard]
    panel = next(panel for panel in panels if panel.id == id_)
    state = LENS[name]["state"]
    columns = dict(state["datasourceStates"]["formBased"]["layers"]["layer"]["columns"])
    request = search_request(panel)
    assert state["query"]["query"] == kql(panel.where)
    assert request["query"] == condition_query(panel.where)
    level = request.get("aggs", {})
    for column, bucket in zip(list(columns), buckets(panel), strict=False):
        assert column == bucket.id
        _same_groups(columns.pop(column), level[column])
        level = level[column]["aggs"]
    for column, told in columns.items():
        measure = panel.measures[int(column.removeprefix("measure_"))]
        where = conditions_of(measure)
        assert told.get("filter", {}).get("query", "") == kql(where)
        asked = level.get(column, {})
        assert asked.get("filter", {"match_all": {}}) == condition_query(where)
        metric = asked.get("aggs", {}).get("value", {}) if where else asked
        assert _OPERATIONS.get(next(iter(metric), "count")) == told["operationType"]
        assert told["sourceField"] in json.dumps(metric) or told["sourceField"] == "___records___"


# Elasticsearch's name of an operation, and Kibana's; without one, or with a filter alone, records are counted.
_OPERATIONS = {
    "count": "count",
    "filter": "count",
    "avg": "average",
    "cardinality": "unique_count",
    "max": "max",
    "min": "min",
    "percentiles": "percentile",
    "sum": "sum",
    "top_hits": "last_value",
}


def _same_groups(column: dict[str, Any], asked: dict[str, Any]) -> None:
    kind = column["operationType"]
    if kind == "filters":
        assert [each["label"] for each in column["params"]["filters"]] == [*asked["filters"]["filters"]]
    elif kind == "terms":
        terms, parameters = asked["terms"], column["params"]
        assert (terms["field"], terms["size"]) == (column["sourceField"], parameters["size"])
        assert ("missing" in terms) == parameters["missingBucket"] == parameters["otherBucket"]
        (by,) = terms["order"]
        assert by.partition(">")[0] in ("_count", parameters["orderBy"]["columnId"])
    else:
        assert asked["auto_date_histogram"]["field"] == column["sourceField"]


def test_good_and_bad_have_their_colours() -> None:
    """Wherever impact or match quality is a colour, each value has one of its own."""
    found = [
        layer["colorMapping"]["assignments"]
        for attributes in LENS.values()
        for layer in attributes["state"]["visualization"].get("layers", [])
        if "colorMapping" in layer
    ]
    assert len(found) == 4
    for assignments in found:
        colours = {each["rule"]["values"][0]: each["color"]["colorCode"] for each in assignments}
        assert len({*colours.values()}) == len(colours) >= 4


def test_durations_and_bytes_are_read_as_such() -> None:
    """A duration is in nanoseconds and bytes are bytes, in panels and in Discover alike."""
    formats = json.loads(OBJECTS[0]["attributes"]["fieldFormatMap"])
    assert formats["event.duration"]["params"]["inputFormat"] == "nanoseconds"
    # Below zero, words such as "minutes" would be wrong.
    assert formats["lexilog.lag"]["params"]["outputFormat"] == "asSeconds"
    assert formats["source.bytes"]["id"] == "bytes"
    layer = LENS["lexilog-remote-access/sessions"]["state"]["datasourceStates"]["formBased"]["layers"]["layer"]
    by_label = {column["label"]: column["params"].get("format", {}) for column in layer["columns"].values()}
    assert by_label["Longest"]["params"]["fromUnit"] == "nanoseconds"
    assert by_label["Received"]["id"] == "bytes"
    assert by_label["Ended"] == {}


def test_the_file_is_what_kibana_imports() -> None:
    """The file has one object a line, in the same order, and is the same each time it is made."""
    (made,) = files(SOURCE).values()
    assert [json.loads(line) for line in made.decode().splitlines()] == OBJECTS
    assert files(SOURCE) == {FILE: made}


def test_the_file_is_fresh(checkout: Path) -> None:
    """The committed file is the one that the panels make."""
    assert files in MAKERS
    assert (checkout / FILE).read_bytes() == files(SOURCE)[FILE]


def test_the_version_is_told() -> None:
    """Who looks at a dashboard sees which version made it."""
    changed = saved_objects(Source(SOURCE.catalogs, "7.8.9"))
    assert all("(lexilog 7.8.9)" in found["attributes"]["description"] for found in changed[-4:])
