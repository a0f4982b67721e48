"""All that lexilog keeps in Kibana beside its alerts: data views, saved searches and dashboards.

Written as Kibana exports them: NDJSON, the data views first. The migration versions are those of the oldest form that
has all that is used here; Kibana brings an older form up to date when it is imported, and refuses a newer one.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from lexilog.catalog.fields import fields
from lexilog.compilers.kibana.lens import DATA_VIEW, DATA_VIEWS, LAYER, lens_attributes, query
from lexilog.compilers.panels import PROCESSED, TIME, Dashboard, Panel, SavedSearch, load_panels, unit
from lexilog.compilers.source import Files, Source

__all__ = ["DATA_VIEW", "DATA_VIEWS", "FILE", "files", "saved_objects"]

FILE = "dashboards/kibana/lexilog.ndjson"

_INDICES = "logs-lexilog.*"
_PREFIX = "lexilog-"
_CORE = "8.8.0"
_VERSIONS = {"index-pattern": "8.0.0", "search": "7.9.3", "dashboard": "10.2.0"}
_INDEX = "kibanaSavedObjectMeta.searchSourceJSON.index"
_FILTER_INDEX = "kibanaSavedObjectMeta.searchSourceJSON.filter[0].meta.index"
# How a field is shown wherever a panel does not say it, Discover included.
_FORMATS: dict[str, dict[str, Any]] = {
    "bytes": {"id": "bytes"},
    "nanoseconds": {
        "id": "duration",
        "params": {
            "inputFormat": "nanoseconds",
            "outputFormat": "humanizePrecise",
            "outputPrecision": 1,
            "useShortSuffix": True,
        },
    },
    "lag": {
        "id": "duration",
        "params": {
            "inputFormat": "nanoseconds",
            "outputFormat": "asSeconds",
            "outputPrecision": 1,
            "useShortSuffix": True,
            "showSuffix": True,
        },
    },
}
_NAMES = {TIME: "lexilog", PROCESSED: "lexilog by time of processing"}
_REFRESH = 60_000


def files(source: Source) -> Files:
    """Return the file that Kibana imports."""
    lines = (json.dumps(found, ensure_ascii=False) + "\n" for found in saved_objects(source))
    return {FILE: "".join(lines).encode()}


def saved_objects(source: Source) -> list[dict[str, Any]]:
    """Return the saved objects, each after those that it refers to: data views, saved searches, dashboards.

    Raises:
        CatalogError: a file of dashboards/panels cannot be used.
    """
    panels = load_panels()
    return [
        *(_data_view(clock) for clock in DATA_VIEWS),
        *(_search(search, source.version) for search in panels.searches),
        *(_dashboard(dashboard, source.version) for dashboard in panels.dashboards),
    ]


def _object(kind: str, id_: str, attributes: dict[str, Any], references: list[dict[str, str]]) -> dict[str, Any]:
    return {
        "type": kind,
        "id": id_,
        "attributes": attributes,
        "references": references,
        "managed": False,
        "coreMigrationVersion": _CORE,
        "typeMigrationVersion": _VERSIONS[kind],
    }


def _data_view(clock: str) -> dict[str, Any]:
    formats = {name: _FORMATS[counted] for name in sorted(fields()) if (counted := unit(name))}
    attributes = {
        "title": _INDICES,
        "name": _NAMES[clock],
        "timeFieldName": clock,
        "fieldFormatMap": _text(formats),
        "fieldAttrs": "{}",
        "fields": "[]",
        "runtimeFieldMap": "{}",
        "sourceFilters": "[]",
        "typeMeta": "{}",
    }
    return _object("index-pattern", DATA_VIEWS[clock], attributes, [])


def _search(search: SavedSearch, version: str) -> dict[str, Any]:
    source = {"query": query(search.where), "filter": [], "indexRefName": _INDEX}
    attributes = {
        "title": search.title,
        "description": _stamped(search.question, version),
        "columns": list(search.columns),
        "sort": [[TIME, "desc"]],
        "grid": {},
        "hideChart": False,
        "kibanaSavedObjectMeta": {"searchSourceJSON": _text(source)},
    }
    return _object("search", _PREFIX + search.id, attributes, [_reference(_INDEX)])


def _dashboard(dashboard: Dashboard, version: str) -> dict[str, Any]:
    attributes = {
        "title": dashboard.title,
        "description": _stamped(dashboard.question, version),
        "version": 1,
        "timeRestore": True,
        "timeFrom": dashboard.since,
        "timeTo": "now",
        "refreshInterval": {"pause": False, "value": _REFRESH},
        "optionsJSON": _text(
            {
                "useMargins": True,
                "syncColors": True,
                "syncCursor": True,
                "syncTooltips": False,
                "hidePanelTitles": False,
            }
        ),
        "panelsJSON": _text([_panel(panel) for panel in dashboard.panels]),
        "controlGroupInput": _controls(dashboard),
        "kibanaSavedObjectMeta": {"searchSourceJSON": _text({"query": query(()), "filter": [_filter()]})},
    }
    return _object("dashboard", _PREFIX + dashboard.id, attributes, list(_references(dashboard)))


def _stamped(text: str, version: str) -> str:
    """Return a description that tells who made the object: `lexilog install` touches no other."""
    return f"{text} (lexilog {version})"


def _panel(panel: Panel) -> dict[str, Any]:
    at = panel.at
    shown: dict[str, Any] = {"enhancements": {}, "title": panel.title, "description": panel.question}
    place = {"panelIndex": panel.id, "gridData": {"x": at.x, "y": at.y, "w": at.w, "h": at.h, "i": panel.id}}
    if panel.search is not None:
        return {"type": "search", **place, "panelRefName": f"panel_{panel.id}", "embeddableConfig": shown}
    # A metric shows the label of its one measure.
    hidden = {"hidePanelTitles": True} if panel.kind == "metric" and not panel.rows else {}
    lens = {"attributes": lens_attributes(panel), "filters": [], "query": query(())}
    return {"type": "lens", **place, "embeddableConfig": {**shown, **hidden, **lens}}


def _controls(dashboard: Dashboard) -> dict[str, Any]:
    controls = {
        _control_id(index): {
            "order": index,
            "type": "optionsListControl",
            "grow": True,
            "width": "medium",
            "explicitInput": {
                "id": _control_id(index),
                "dataViewId": DATA_VIEW,
                "fieldName": control.field,
                "title": control.label,
                "searchTechnique": "prefix",
                "selectedOptions": [],
                "singleSelect": False,
                "runPastTimeout": False,
                "sort": {"by": "_count", "direction": "desc"},
            },
        }
        for index, control in enumerate(dashboard.controls)
    }
    ignored = {"ignoreFilters": False, "ignoreQuery": False, "ignoreTimerange": False, "ignoreValidations": False}
    return {
        "chainingSystem": "HIERARCHICAL",
        "controlStyle": "oneLine",
        "showApplySelections": False,
        "ignoreParentSettingsJSON": _text(ignored),
        "panelsJSON": _text(controls),
    }


def _filter() -> dict[str, Any]:
    """Return what keeps a dashboard to our records, whatever the data view is changed to."""
    ours = {"prefix": {"data_stream.dataset": "lexilog."}}
    # An agent that writes raw lines may leave out the field.
    unnamed = {"bool": {"must_not": {"exists": {"field": "data_stream.dataset"}}}}
    found = {"bool": {"should": [ours, unnamed], "minimum_should_match": 1}}
    meta = {
        "alias": "lexilog",
        "disabled": False,
        "negate": False,
        "type": "custom",
        "key": "query",
        "indexRefName": _FILTER_INDEX,
    }
    return {"meta": meta, "query": found, "$state": {"store": "appState"}}


def _references(dashboard: Dashboard) -> Iterable[dict[str, str]]:
    yield _reference(_FILTER_INDEX)
    for panel in dashboard.panels:
        if panel.search is not None:
            name = f"{panel.id}:panel_{panel.id}"
            yield {"type": "search", "id": _PREFIX + panel.search, "name": name}
        else:
            yield _reference(f"{panel.id}:indexpattern-datasource-layer-{LAYER}", DATA_VIEWS[panel.clock])
    for index in range(len(dashboard.controls)):
        yield _reference(f"controlGroup_{_control_id(index)}:optionsListDataView")


def _control_id(index: int) -> str:
    return f"control-{index}"


def _reference(name: str, view: str = DATA_VIEW) -> dict[str, str]:
    return {"type": "index-pattern", "id": view, "name": name}


def _text(value: Any) -> str:
    """Return what Kibana keeps as JSON in a text."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
