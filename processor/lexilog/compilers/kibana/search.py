"""A panel as an Elasticsearch search request, and the rows that its answer holds.

Kibana makes a request of a panel's columns as well. Ours asks the same, but for two things: the last value is a
``top_hits`` where Kibana takes ``top_metrics``, and steps of time are chosen by Elasticsearch instead of by the width
of the screen. It has no time range.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from lexilog.compilers.kibana.columns import Bucket, buckets, conditions_of, measure_id
from lexilog.compilers.panels import TIME, Condition, Measure, Panel, SavedSearch

__all__ = ["condition_query", "list_request", "panel_rows", "search_request"]

# What Kibana puts in the place of a value that is not there.
_MISSING = "__missing__"
_STEPS = 50
_METRICS = {"sum": "sum", "average": "avg", "min": "min", "max": "max", "unique": "cardinality"}


def search_request(panel: Panel) -> dict[str, Any]:
    """Return the body of the ``_search`` that asks what a panel shows.

    Args:
        panel: any but one of kind ``lines``, which shows what `list_request` asks.
    """
    aggregations = _measures(panel)
    for bucket in reversed(buckets(panel)):
        # A top value is chosen by a measure of its own, so each level has the measures.
        aggregations = {bucket.id: {**_grouping(panel, bucket), "aggs": aggregations}, **_measures(panel)}
    body: dict[str, Any] = {"size": 0, "track_total_hits": True, "query": condition_query(panel.where)}
    return {**body, "aggs": aggregations} if aggregations else body


def list_request(search: SavedSearch, size: int = 50) -> dict[str, Any]:
    """Return the body of the ``_search`` that lists the newest records of a saved search."""
    return {
        "size": size,
        "track_total_hits": True,
        "query": condition_query(search.where),
        "sort": [{TIME: "desc"}],
        "_source": [TIME, *search.columns],
    }


def condition_query(conditions: Iterable[Condition]) -> dict[str, Any]:
    """Return the query for which all conditions hold."""
    found = [_condition(condition) for condition in conditions]
    return {"bool": {"filter": found}} if found else {"match_all": {}}


def panel_rows(panel: Panel, answer: dict[str, Any]) -> list[dict[str, Any]]:
    """Return what a panel shows: its rows, each by heading, in the order of the answer.

    Args:
        panel: the panel.
        answer: what Elasticsearch answered to its `search_request`.

    Returns:
        The rows. A group goes by its key, a step of time by its ISO 8601 text under ``time``; a measure that has
        no value is None.
    """
    whole = {"doc_count": answer["hits"]["total"]["value"], **answer.get("aggregations", {})}
    return list(_rows(panel, buckets(panel), whole, {}))


def _condition(condition: Condition) -> dict[str, Any]:
    field = condition.field
    if condition.values:
        return {"terms": {field: list(condition.values)}}
    if condition.others:
        return {"bool": {"must_not": {"terms": {field: list(condition.others)}}}}
    if condition.exists is not None:
        there = {"exists": {"field": field}}
        return there if condition.exists else {"bool": {"must_not": there}}
    bound = {"gt": condition.above} if condition.above is not None else {"lt": condition.below}
    return {"range": {field: bound}}


def _grouping(panel: Panel, bucket: Bucket) -> dict[str, Any]:
    breakdown = bucket.breakdown
    if breakdown is None:
        return {"auto_date_histogram": {"field": panel.clock, "buckets": _STEPS}}
    if breakdown.groups:
        return {"filters": {"filters": {group.label: condition_query(group.where) for group in breakdown.groups}}}
    terms: dict[str, Any] = {"field": breakdown.field, "size": breakdown.size, "order": {_order(panel): "desc"}}
    return {"terms": {**terms, "missing": _MISSING} if breakdown.missing else terms}


def _order(panel: Panel) -> str:
    """Return the path by which groups are sorted; a filter alone sorts by how many records pass it."""
    measure, name = panel.measures[panel.sorted_by], measure_id(panel.sorted_by)
    if measure.of == "count":
        return name if conditions_of(measure) else "_count"
    return f"{name}>value" if conditions_of(measure) else name


def _measures(panel: Panel) -> dict[str, Any]:
    """Return the measures; the plain count needs none, since each group has it."""
    found: dict[str, Any] = {}
    for index, measure in enumerate(panel.measures):
        where, metric = conditions_of(measure), _metric(measure, panel.clock)
        if where:
            inner = {"aggs": {"value": metric}} if metric else {}
            found[measure_id(index)] = {"filter": condition_query(where), **inner}
        elif metric:
            found[measure_id(index)] = metric
    return found


def _metric(measure: Measure, clock: str) -> dict[str, Any] | None:
    field = measure.field
    if measure.of == "count":
        return None
    if measure.of == "last":
        return {"top_hits": {"size": 1, "sort": [{clock: "desc"}], "_source": False, "docvalue_fields": [field]}}
    if measure.of == "percentile":
        return {"percentiles": {"field": field, "percents": [measure.percent]}}
    return {_METRICS[measure.of]: {"field": field}}


def _rows(
    panel: Panel, left: tuple[Bucket, ...], found: dict[str, Any], row: dict[str, Any]
) -> Iterator[dict[str, Any]]:
    if not left:
        values = {m.label: _value(m, measure_id(i), found) for i, m in enumerate(panel.measures)}
        yield {**row, **values}
        return
    bucket = left[0]
    label = bucket.breakdown.label if bucket.breakdown else "time"
    groups = found[bucket.id]["buckets"]
    keyed = groups.items() if isinstance(groups, dict) else ((_key(group), group) for group in groups)
    for key, group in keyed:
        yield from _rows(panel, left[1:], group, {**row, label: key})


def _key(group: dict[str, Any]) -> Any:
    return group.get("key_as_string", group["key"])


def _value(measure: Measure, name: str, found: dict[str, Any]) -> Any:
    filtered = bool(conditions_of(measure))
    if measure.of == "count":
        return found[name]["doc_count"] if filtered else found["doc_count"]
    metric = found[name]["value"] if filtered else found[name]
    if measure.of == "last":
        hits = metric["hits"]["hits"]
        return hits[0]["fields"][measure.field][0] if hits else None
    if measure.of == "percentile":
        return next(iter(metric["values"].values()))
    return metric.get("value_as_string", metric["value"])
