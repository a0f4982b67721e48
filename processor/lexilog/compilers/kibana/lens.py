"""A panel as what Kibana calls a Lens visualization, with its data inside the dashboard ("by value").

Shapes and names are those that Kibana 8.8 and later write (``formBased``). Each column has a label of its own, so that
Kibana does not put one of its making in its place.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lexilog.compilers.kibana.columns import Bucket, buckets, conditions_of, measure_id
from lexilog.compilers.kibana.kuery import kql
from lexilog.compilers.panels import COLOURS, PROCESSED, TIME, Breakdown, Condition, Measure, Panel, field_type, unit

__all__ = ["DATA_VIEW", "DATA_VIEWS", "LAYER", "lens_attributes", "query"]

DATA_VIEW = "lexilog-logs"
# By the field whose time they go by. No id is part of another.
DATA_VIEWS: Mapping[str, str] = {TIME: DATA_VIEW, PROCESSED: "lexilog-processing"}

# Every panel has one layer.
LAYER = "layer"

_TYPES = {
    "boolean": "boolean",
    "constant_keyword": "string",
    "date": "date",
    "ip": "ip",
    "keyword": "string",
    "long": "number",
}
_OPERATIONS = {"unique": "unique_count", "last": "last_value"}
# Where Kibana lets a measure show nothing instead of a zero.
_ZERO = ("count", "sum", "unique")
_FORMATS: dict[str, dict[str, Any]] = {
    "bytes": {"id": "bytes", "params": {"decimals": 1}},
    "nanoseconds": {
        "id": "duration",
        "params": {"decimals": 1, "fromUnit": "nanoseconds", "toUnit": "humanizePrecise", "compact": True},
    },
    "lag": {
        "id": "duration",
        "params": {"decimals": 1, "fromUnit": "nanoseconds", "toUnit": "asSeconds", "compact": True},
    },
}
_VISUALIZATIONS = {
    "metric": "lnsMetric",
    "time_series": "lnsXY",
    "bar": "lnsXY",
    "pie": "lnsPie",
    "table": "lnsDatatable",
}
# Sentences, which need a wide column.
_LONG = ("lexilog.action", "lexilog.cause", "lexilog.explanation", "lexilog.match.tail")
_WIDE = 420
_PAGE = 10


def lens_attributes(panel: Panel) -> dict[str, Any]:
    """Return the attributes of the visualization that a panel is; any panel but one of kind ``lines``."""
    columns = {bucket.id: _bucket(panel, bucket) for bucket in buckets(panel)}
    columns |= {measure_id(index): _measure(measure, panel.clock) for index, measure in enumerate(panel.measures)}
    layer = {"columns": columns, "columnOrder": list(columns), "incompleteColumns": {}, "sampling": 1}
    return {
        "title": panel.title,
        "visualizationType": _VISUALIZATIONS[panel.kind],
        "type": "lens",
        "references": [
            {
                "type": "index-pattern",
                "id": DATA_VIEWS[panel.clock],
                "name": f"indexpattern-datasource-layer-{LAYER}",
            },
        ],
        "state": {
            "visualization": _visualization(panel),
            "query": query(panel.where),
            "filters": [],
            "datasourceStates": {"formBased": {"layers": {LAYER: layer}}},
            "internalReferences": [],
            "adHocDataViews": {},
        },
    }


def query(conditions: Sequence[Condition]) -> dict[str, str]:
    """Return conditions as Kibana stores a query."""
    return {"query": kql(conditions), "language": "kuery"}


def _bucket(panel: Panel, bucket: Bucket) -> dict[str, Any]:
    breakdown = bucket.breakdown
    if breakdown is None:
        return {
            "label": "Time",
            "customLabel": True,
            "dataType": "date",
            "operationType": "date_histogram",
            "sourceField": panel.clock,
            "isBucketed": True,
            "scale": "interval",
            "params": {"interval": "auto", "includeEmptyRows": True, "dropPartials": False},
        }
    column = {"label": breakdown.label, "customLabel": True, "isBucketed": True, "scale": "ordinal"}
    if breakdown.field is None:
        groups = [{"label": group.label, "input": query(group.where)} for group in breakdown.groups]
        return {**column, "dataType": "string", "operationType": "filters", "params": {"filters": groups}}
    return {
        **column,
        "dataType": _TYPES[field_type(breakdown.field)],
        "operationType": "terms",
        "sourceField": breakdown.field,
        "params": {
            "size": breakdown.size,
            "orderBy": {"type": "column", "columnId": measure_id(panel.sorted_by)},
            "orderDirection": "desc",
            # Kibana looks at the second only where it has the first.
            "otherBucket": breakdown.missing,
            "missingBucket": breakdown.missing,
            "parentFormat": {"id": "terms"},
            "include": [],
            "exclude": [],
            "includeIsRegex": False,
            "excludeIsRegex": False,
        },
    }


def _measure(measure: Measure, clock: str) -> dict[str, Any]:
    kind = _TYPES[field_type(measure.field)] if measure.field and measure.of in ("min", "max", "last") else "number"
    column: dict[str, Any] = {
        "label": measure.label,
        "customLabel": True,
        "dataType": kind,
        "operationType": _OPERATIONS.get(measure.of, measure.of),
        "sourceField": measure.field or "___records___",
        "isBucketed": False,
        "scale": "ordinal" if measure.of == "last" and kind in ("string", "ip") else "ratio",
        "params": _parameters(measure, clock),
    }
    where = conditions_of(measure)
    return {**column, "filter": query(where)} if where else column


def _parameters(measure: Measure, clock: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if measure.of in _ZERO:
        found["emptyAsNull"] = False
    if measure.of == "last":
        found |= {"sortField": clock, "showArrayValues": False}
    if measure.percent is not None:
        found["percentile"] = measure.percent
    counted = unit(measure.field) if measure.field and measure.of != "unique" else None
    return {**found, "format": _FORMATS[counted]} if counted else found


def _visualization(panel: Panel) -> dict[str, Any]:
    if panel.kind == "metric":
        return _metric(panel)
    if panel.kind == "pie":
        return _pie(panel)
    return _table(panel) if panel.kind == "table" else _xy(panel)


def _metric(panel: Panel) -> dict[str, Any]:
    shown = {"layerId": LAYER, "layerType": "data", "metricAccessor": measure_id(0), "showBar": False}
    return {**shown, "breakdownByAccessor": buckets(panel)[0].id, "maxCols": 5} if panel.rows else shown


def _pie(panel: Panel) -> dict[str, Any]:
    layer = {
        "layerId": LAYER,
        "layerType": "data",
        "primaryGroups": [bucket.id for bucket in buckets(panel)],
        "metrics": [measure_id(0)],
        "numberDisplay": "percent",
        "categoryDisplay": "default",
        "legendDisplay": "default",
        "nestedLegend": False,
    }
    return {"shape": "donut", "layers": [{**layer, **_colours(panel.rows[0])}]}


def _table(panel: Panel) -> dict[str, Any]:
    ids = {bucket.breakdown.label: bucket.id for bucket in buckets(panel) if bucket.breakdown}
    columns: list[dict[str, Any]] = [
        {"columnId": id_, "isMetric": False, "isTransposed": False} for id_ in ids.values()
    ]
    for index, measure in enumerate(panel.measures):
        ids[measure.label] = measure_id(index)
        column = _table_column(measure_id(index), metric=True)
        columns.append({**column, "width": _WIDE} if measure.field in _LONG else column)
    table: dict[str, Any] = {
        "layerId": LAYER,
        "layerType": "data",
        "columns": columns,
        "rowHeight": "auto",
        "headerRowHeight": "auto",
        "paging": {"size": _PAGE, "enabled": True},
    }
    if panel.order is not None:
        direction = "asc" if panel.order.ascending else "desc"
        table["sorting"] = {"columnId": ids[panel.order.by], "direction": direction}
    return table


def _table_column(id_: str, *, metric: bool) -> dict[str, Any]:
    return {"columnId": id_, "isMetric": metric, "isTransposed": False}


def _xy(panel: Panel) -> dict[str, Any]:
    series = "bar_horizontal_stacked" if panel.kind == "bar" else _series(panel)
    layer: dict[str, Any] = {
        "layerId": LAYER,
        "layerType": "data",
        "seriesType": series,
        "xAccessor": "time" if panel.kind == "time_series" else buckets(panel)[0].id,
        "accessors": [measure_id(index) for index in range(len(panel.measures))],
        "position": "top",
        "showGridlines": False,
    }
    visible = {"x": True, "yLeft": True, "yRight": True}
    return {
        "legend": {"isVisible": True, "position": "right"},
        "valueLabels": "hide",
        "fittingFunction": "None",
        # The title of the panel says it.
        "axisTitlesVisibilitySettings": {"x": False, "yLeft": False, "yRight": False},
        "tickLabelsVisibilitySettings": visible,
        "labelsOrientation": {"x": 0, "yLeft": 0, "yRight": 0},
        "gridlinesVisibilitySettings": visible,
        "preferredSeriesType": series,
        "layers": [{**layer, "splitAccessor": "split", **_colours(panel.split)} if panel.split else layer],
    }


def _colours(breakdown: Breakdown) -> dict[str, Any]:
    """Return the colours of a breakdown whose values mean good or bad; Kibana has colours for all others."""
    colours = COLOURS.get(breakdown.field or "")
    if colours is None:
        return {}
    assignments = [
        {
            "rule": {"type": "matchExactly", "values": [value]},
            "color": {"type": "colorCode", "colorCode": colour},
            "touched": True,
        }
        for value, colour in colours.items()
    ]
    others = {"rule": {"type": "other"}, "color": {"type": "loop"}, "touched": False}
    mapping = {"assignments": assignments, "specialAssignments": [others], "paletteId": "eui_amsterdam_color_blind"}
    return {"colorMapping": {**mapping, "colorMode": {"type": "categorical"}}}


def _series(panel: Panel) -> str:
    """Counts add up in a stack; averages and the like are lines of their own."""
    return "bar_stacked" if all(measure.of in ("count", "sum") for measure in panel.measures) else "line"
