"""The ids that saved objects and rules have in a space of Kibana.

Kibana lets an id be used in one space alone: an object that is imported under an id of another space gets a random one
(``import/lib/check_conflicts.ts`` of elastic/kibana), and a rule is refused. So a space's own name is in the ids there.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

__all__ = ["objects_in", "rules_in"]


def objects_in(space: str | None, objects: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return saved objects with the ids that they have in a space, wherever they name each other.

    Args:
        space: its id; None for the default one, which has the ids as they are.
        objects: all that are installed.
    """
    if space is None:
        return [dict(one) for one in objects]
    ours = {(one["type"], one["id"]) for one in objects}
    # Of these alone the ids stand inside attributes, too; they occur in no other text.
    views = [id_ for type_, id_ in ours if type_ == "index-pattern"]
    return [
        {
            **one,
            "id": _id(one["id"], space),
            "attributes": _renamed(one["attributes"], views, space),
            "references": [
                {**found, "id": _id(found["id"], space)} if (found["type"], found["id"]) in ours else found
                for found in one["references"]
            ],
        }
        for one in objects
    ]


def rules_in(space: str | None, rules: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return alert rules with the ids that they have in a space, which Kibana wants to be UUIDs.

    Args:
        space: its id; None for the default one, which has the ids as they are.
        rules: the rules.
    """
    if space is None:
        return [dict(one) for one in rules]
    return [{**one, "id": str(uuid.uuid5(uuid.NAMESPACE_OID, _id(one["id"], space)))} for one in rules]


def _id(id_: str, space: str) -> str:
    # No id of a space, and none of ours, has a dot.
    return f"{id_}.{space}"


def _renamed(attributes: Mapping[str, Any], views: Iterable[str], space: str) -> dict[str, Any]:
    text = json.dumps(attributes)
    for one in views:
        text = text.replace(one, _id(one, space))
    found: dict[str, Any] = json.loads(text)
    return found
