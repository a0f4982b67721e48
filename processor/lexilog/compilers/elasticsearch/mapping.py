"""How each field of the table is mapped.

Parameters are those of https://www.elastic.co/docs/reference/elasticsearch/mapping-reference.
"""

from __future__ import annotations

from typing import Any, Literal

from lexilog.catalog.fields import Field, ecs, fields

__all__ = ["LONGEST", "mapping", "properties"]

# Characters. The first is ECS's own. A term has at most 32,766 bytes, and a document with a longer one is refused:
# the second keeps the longest text below it, three bytes a character, and leaves room for the name of a member.
_SHORT, LONGEST = 1024, 8191
# What OpenSearch has in place of a type: it has no flattened, and its constant_keyword wants the value in the mapping.
_OPENSEARCH = {"constant_keyword": "keyword", "flattened": "flat_object"}


def properties(part: Literal["ecs", "lexilog"], *, opensearch: bool = False) -> dict[str, Any]:
    """Return the mappings of a part of the fields by dotted name.

    Args:
        part: those of ECS, or our own.
        opensearch: for OpenSearch.
    """
    chosen = [field for field in fields().values() if (field.level == "custom") == (part == "lexilog")]
    return {field.name: mapping(field, opensearch=opensearch) for field in chosen}


def mapping(field: Field, *, opensearch: bool = False) -> dict[str, Any]:
    """Return the mapping of one field: that of ECS, where it is a field of ECS.

    Args:
        field: of the field table.
        opensearch: for OpenSearch.
    """
    out: dict[str, Any] = {"type": _OPENSEARCH.get(field.type, field.type) if opensearch else field.type}
    known = ecs().get(field.name)
    if known:
        out |= {key: False for key in ("index", "doc_values") if not getattr(known, key)}
    if limit := _limit(field, opensearch):
        out["ignore_above"] = limit
    if field.name == "@timestamp":
        # Data streams demand it, whatever the index says.
        out["ignore_malformed"] = False
    further = known.multi_fields if known else {"text": "match_only_text"} if field.prose else {}
    if further:
        out["fields"] = {name: {"type": kind} for name, kind in further.items()}
    return out


def _limit(field: Field, opensearch: bool) -> int | None:
    """Return how many characters of a value are indexed at most; None where there is no such bound."""
    if field.type == "flattened":
        return None if opensearch else LONGEST
    if field.name in ecs():
        return ecs()[field.name].ignore_above
    if field.type != "keyword":
        return None
    return LONGEST if field.prose else _SHORT
