"""The saved objects as a package carries them: one file each, on the data view that every Kibana has."""

from __future__ import annotations

import json
from typing import Any

from lexilog.compilers.kibana.saved_objects import DATA_VIEW, saved_objects
from lexilog.compilers.source import Source

__all__ = ["package_objects"]

# Fleet makes this data view itself, and takes none out of a package.
_FLEETS = "logs-*"
_SOURCE = "kibanaSavedObjectMeta"
_INDEX_NAME = f"{_SOURCE}.searchSourceJSON.filter[0].meta.index"


def package_objects(source: Source, dataset: str) -> dict[str, dict[str, Any]]:
    """Return the objects by path below ``kibana/``.

    Args:
        source: what they are made from.
        dataset: the package's own; dashboards and searches are kept to it, for the data view has all logs.
    """
    objects = (one for one in saved_objects(source) if one["type"] != "index-pattern")
    return {f"{one['type']}/{one['id']}.json": _own(one, dataset) for one in objects}


def _own(found: dict[str, Any], dataset: str) -> dict[str, Any]:
    moved: dict[str, Any] = json.loads(json.dumps(found).replace(DATA_VIEW, _FLEETS))
    search = json.loads(moved["attributes"][_SOURCE]["searchSourceJSON"])
    search["filter"] = [_filter(dataset)]
    moved["attributes"][_SOURCE]["searchSourceJSON"] = json.dumps(search, ensure_ascii=False)
    if all(reference["name"] != _INDEX_NAME for reference in moved["references"]):
        moved["references"].append({"type": "index-pattern", "id": _FLEETS, "name": _INDEX_NAME})
    return moved


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
