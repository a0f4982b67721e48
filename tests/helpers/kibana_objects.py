"""Small saved objects and a rule, shaped like those that lexilog ships."""

from __future__ import annotations

import json
from typing import Any

from lexilog.install.apply import apply
from lexilog.install.kibana import Kibana
from lexilog.install.kibana_plan import kibana_steps
from lexilog.install.plan import Step

__all__ = ["BOARD", "OBJECTS", "RULES", "SEARCH", "VERSION", "VIEW", "install_kibana", "plan_kibana"]

VERSION = "1.2.0"
_TO_VIEW = {"type": "index-pattern", "id": "v1", "name": "a"}
_FORMATS = {"source.bytes": {"id": "bytes"}}

VIEW: dict[str, Any] = {
    "type": "index-pattern",
    "id": "v1",
    "attributes": {
        "title": "logs-lexilog.*",
        "name": "lexilog",
        "fieldFormatMap": json.dumps(_FORMATS),
        "runtimeFieldMap": "{}",
        "fieldAttrs": "{}",
        "sourceFilters": "[]",
    },
    "references": [],
}
SEARCH: dict[str, Any] = {
    "type": "search",
    "id": "s1",
    "attributes": {"title": "All", "description": f"What came? (lexilog {VERSION})", "columns": ["message"]},
    "references": [_TO_VIEW],
}
BOARD: dict[str, Any] = {
    "type": "dashboard",
    "id": "d1",
    "attributes": {
        "title": "Überblick",
        "description": f"What is down? (lexilog {VERSION})",
        "panelsJSON": json.dumps([{"type": "lens", "panelIndex": "1"}]),
        "controlGroupInput": {"panelsJSON": json.dumps({"c": {"dataViewId": "v1"}})},
    },
    "references": [_TO_VIEW, {"type": "search", "id": "s1", "name": "b"}],
    "coreMigrationVersion": "8.8.0",
}
OBJECTS = [VIEW, SEARCH, BOARD]
RULES: list[dict[str, Any]] = [
    {
        "id": "r1",
        "name": "lexilog: down",
        "rule_type_id": ".es-query",
        "consumer": "stackAlerts",
        "enabled": True,
        "schedule": {"interval": "5m"},
        "tags": ["lexilog", f"lexilog {VERSION}"],
        "params": {"threshold": [0]},
        "actions": [],
    }
]


def plan_kibana(kibana: Kibana, *, version: str = VERSION, remove: bool = False, force: bool = False) -> list[Step]:
    """Return the steps for these objects."""
    return kibana_steps(kibana, OBJECTS, RULES, version, remove=remove, force=force)


def install_kibana(kibana: Kibana, *, force: bool = False) -> list[str]:
    """Install these objects; return what was planned."""
    steps = plan_kibana(kibana, force=force)
    assert apply(steps, kibana, lambda _step: None) == []
    return [step.action for step in steps]
