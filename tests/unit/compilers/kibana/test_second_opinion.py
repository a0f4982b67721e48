"""Our objects against the strict models of kb-dashboard-core, which knows nothing of us: what it does not know, fails.

In a few places its models are narrower than what Kibana itself writes. There, and there alone, the object is brought
to its form first; each place is named below.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from lexilog.compilers.kibana.saved_objects import saved_objects
from lexilog.compilers.source import load_source

pytest.importorskip("kb_dashboard_core", reason="needs kb-dashboard-core, which needs Python 3.12 or newer")

from kb_dashboard_core.controls.view import KbnControlGroupInput, KbnOptionsListControl
from kb_dashboard_core.dashboard.view import KbnDashboardAttributes, KbnDashboardOptions
from kb_dashboard_core.panels.charts.datatable.view import KbnDatatableVisualizationState
from kb_dashboard_core.panels.charts.lens.columns.view import (
    KbnLensDateHistogramDimensionColumn,
    KbnLensFieldMetricColumn,
    KbnLensFiltersDimensionColumn,
    KbnLensTermsDimensionColumn,
)
from kb_dashboard_core.panels.charts.metric.view import KbnMetricVisualizationState
from kb_dashboard_core.panels.charts.pie.view import KbnPieVisualizationState
from kb_dashboard_core.panels.charts.view import KbnLensPanel
from kb_dashboard_core.panels.charts.xy.view import KbnXYVisualizationState
from kb_dashboard_core.panels.search.view import KbnSearchPanel
from kb_dashboard_core.shared.view import KbnReference
from pydantic import BaseModel

_BUCKETS: dict[str, type[BaseModel]] = {
    "date_histogram": KbnLensDateHistogramDimensionColumn,
    "terms": KbnLensTermsDimensionColumn,
    "filters": KbnLensFiltersDimensionColumn,
}
_VISUALIZATIONS: dict[str, type[BaseModel]] = {
    "lnsDatatable": KbnDatatableVisualizationState,
    "lnsMetric": KbnMetricVisualizationState,
    "lnsPie": KbnPieVisualizationState,
    "lnsXY": KbnXYVisualizationState,
}
DASHBOARDS = [found for found in saved_objects(load_source()) if found["type"] == "dashboard"]
PANELS = [
    pytest.param(panel, id=f"{found['id']}/{panel['panelIndex']}")
    for found in DASHBOARDS
    for panel in json.loads(found["attributes"]["panelsJSON"])
]


def _check(model: type[BaseModel], value: Any) -> None:
    """Read a value strictly: no name that the model does not know, no type converted."""
    model.model_validate_json(json.dumps(value), strict=True)


def _narrowed(column: dict[str, Any]) -> dict[str, Any]:
    """Return a column without what Kibana writes and the models lack."""
    column = json.loads(json.dumps(column))
    parameters = column["params"]
    if column["operationType"] == "terms":
        # Kibana: the type of the field. The model: every term is a text.
        column["dataType"] = "string"
    if column["operationType"] == "last_value":
        # Kibana has this parameter, and the scale of a text is ordinal.
        del parameters["showArrayValues"]
        column["scale"] = "ratio"
    for unit in ("fromUnit", "toUnit"):
        # Parameters of Kibana's format for durations.
        parameters.get("format", {}).get("params", {}).pop(unit, None)
    return column


@pytest.mark.parametrize("panel", PANELS)
def test_a_panel(panel: dict[str, Any]) -> None:
    """Each panel, each of its columns and its visualization are what the models say of them."""
    if panel["type"] == "search":
        # The model wants the id of the search in the panel; Kibana has it in the references.
        config = {**panel["embeddableConfig"], "savedObjectId": "any"}
        _check(KbnSearchPanel, {**panel, "embeddableConfig": config})
        return
    attributes = panel["embeddableConfig"]["attributes"]
    state = attributes["state"]
    _check(_VISUALIZATIONS[attributes["visualizationType"]], state["visualization"])
    layer = state["datasourceStates"]["formBased"]["layers"]["layer"]
    layer["columns"] = {name: _narrowed(column) for name, column in layer["columns"].items()}
    assert layer["columns"]
    for column in layer["columns"].values():
        _check(_BUCKETS.get(column["operationType"], KbnLensFieldMetricColumn), column)
    _check(KbnLensPanel, panel)


@pytest.mark.parametrize("dashboard", DASHBOARDS, ids=lambda found: found["id"])
def test_a_dashboard(dashboard: dict[str, Any]) -> None:
    """The dashboard itself, its options, controls and references are what the models say of them."""
    attributes = {**dashboard["attributes"]}
    # Part of every export of Kibana; not in the model.
    del attributes["refreshInterval"]
    group = attributes.pop("controlGroupInput")
    _check(KbnDashboardOptions, json.loads(attributes.pop("optionsJSON")))
    # Panels are read one by one above; the model here is that of any panel alone.
    del attributes["panelsJSON"]
    assert json.loads(attributes.pop("kibanaSavedObjectMeta")["searchSourceJSON"]).keys() == {"query", "filter"}
    assert attributes.keys() <= KbnDashboardAttributes.model_fields.keys()
    controls = json.loads(group["panelsJSON"])
    ignored = json.loads(group["ignoreParentSettingsJSON"])
    _check(KbnControlGroupInput, {**group, "panelsJSON": controls, "ignoreParentSettingsJSON": ignored})
    assert len(controls) >= 3
    for control in controls.values():
        _check(KbnOptionsListControl, control)
    for reference in dashboard["references"]:
        _check(KbnReference, reference)


def test_it_would_notice() -> None:
    """The second opinion is one: a key or a kind that Kibana does not have is refused."""
    panel = json.loads(DASHBOARDS[0]["attributes"]["panelsJSON"])[0]
    column = panel["embeddableConfig"]["attributes"]["state"]["datasourceStates"]["formBased"]["layers"]["layer"][
        "columns"
    ]["measure_0"]
    _check(KbnLensFieldMetricColumn, column)
    for wrong in ({"lable": "x"}, {"sourceField": None}, {"isBucketed": "no"}):
        with pytest.raises(ValueError, match="validation error"):
            _check(KbnLensFieldMetricColumn, {**column, **wrong})
