"""The saved objects as a package carries them: one file each, on the data view that every Kibana has.

It goes by the time of the device; so do, in a package, the panels that go by the time of processing elsewhere.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from lexilog.compilers.alerts import load_alerts
from lexilog.compilers.kibana.alerts import rules
from lexilog.compilers.kibana.saved_objects import DATA_VIEWS, saved_objects
from lexilog.compilers.source import Source

__all__ = ["package_objects"]

# Fleet makes this data view itself, and takes none out of a package.
_FLEETS = "logs-*"
_SOURCE = "kibanaSavedObjectMeta"
_INDEX_NAME = f"{_SOURCE}.searchSourceJSON.filter[0].meta.index"
# Of a rule, what its template has under the same name.
_TEMPLATE_KEYS = ("name", "tags", "schedule", "params")


def package_objects(source: Source, dataset: str) -> dict[str, dict[str, Any]]:
    """Return the objects by path below ``kibana/``.

    Args:
        source: what they are made from.
        dataset: the package's own; dashboards and searches are kept to it, for the data view has all logs.
    """
    objects = [_own(one, dataset) for one in saved_objects(source) if one["type"] != "index-pattern"]
    return {f"{one['type']}/{one['id']}.json": one for one in (*objects, *_rule_templates(source))}


def _rule_templates(source: Source) -> Iterator[dict[str, Any]]:
    """Yield the alerts as Fleet takes them since Kibana 9.2, as templates of rules; an older one passes over them."""
    for alert, rule in zip(load_alerts(), rules(source), strict=True):
        yield {
            "type": "alerting_rule_template",
            "id": f"lexilog-{alert.id}",
            "attributes": {"ruleTypeId": rule["rule_type_id"], **{key: rule[key] for key in _TEMPLATE_KEYS}},
            "references": [],
            "managed": True,
            "coreMigrationVersion": "8.8.0",
            "typeMigrationVersion": "10.1.0",
        }


def _own(found: dict[str, Any], dataset: str) -> dict[str, Any]:
    moved: dict[str, Any] = _moved(found)
    search = json.loads(moved["attributes"][_SOURCE]["searchSourceJSON"])
    search["filter"] = [_filter(dataset)]
    moved["attributes"][_SOURCE]["searchSourceJSON"] = json.dumps(search, ensure_ascii=False)
    if all(reference["name"] != _INDEX_NAME for reference in moved["references"]):
        moved["references"].append({"type": "index-pattern", "id": _FLEETS, "name": _INDEX_NAME})
    return moved


def _moved(found: Any) -> Any:
    """Return the same on the data view of Fleet, wherever one of ours is referred to by its id."""
    if isinstance(found, list):
        return [_moved(one) for one in found]
    if not isinstance(found, dict):
        return found
    moved = {key: _moved_text(value) if key.endswith("JSON") else _moved(value) for key, value in found.items()}
    refers = "id" if found.get("type") == "index-pattern" else "dataViewId"
    return {**moved, refers: _FLEETS} if found.get(refers) in DATA_VIEWS.values() else moved


def _moved_text(text: str) -> str:
    return json.dumps(_moved(json.loads(text)), ensure_ascii=False, separators=(",", ":"))


def _filter(dataset: str) -> dict[str, Any]:
    key = "data_stream.dataset"
    meta = {
        "alias": None,
        "disabled": False,
        "indexRefName": _INDEX_NAME,
        "key": key,
        "negate": False,
        "params": {"query": dataset},
        "type": "phrase",
    }
    return {"meta": meta, "query": {"match_phrase": {key: dataset}}, "$state": {"store": "appState"}}
