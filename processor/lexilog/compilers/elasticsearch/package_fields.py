"""The field table as a package declares fields: ``data_stream/log/fields/*.yml``."""

from __future__ import annotations

from typing import Any

from lexilog.catalog.fields import Field, ecs, fields

__all__ = ["field_files"]

# What a package needs in every data stream.
_BASE = ("@timestamp", "data_stream.dataset", "data_stream.namespace", "data_stream.type")
# What Elasticsearch itself can hold as one term: 32,766 bytes, of up to four a character.
_PROSE_LIMIT = 8191


def field_files() -> dict[str, list[dict[str, Any]]]:
    """Return the declarations by the name of their file: base fields, those of ECS, our own."""
    found: dict[str, list[dict[str, Any]]] = {"base-fields.yml": [], "ecs.yml": [], "lexilog.yml": []}
    for field in fields().values():
        found[_file(field.name)].append(_declared(field))
    return found


def _file(name: str) -> str:
    if name in _BASE:
        return "base-fields.yml"
    return "ecs.yml" if name in ecs() else "lexilog.yml"


def _declared(field: Field) -> dict[str, Any]:
    found: dict[str, Any] = {"name": field.name, "type": field.type, "description": field.text}
    if field.array:
        found["normalize"] = ["array"]
    if field.prose:
        found |= {"ignore_above": _PROSE_LIMIT, "multi_fields": [_form("text", "match_only_text")]}
    if (known := ecs().get(field.name)) is not None:
        if known.ignore_above is not None and field.type in ("keyword", "flattened"):
            found["ignore_above"] = known.ignore_above
        if not known.index:
            found["index"] = False
        if not known.doc_values:
            found["doc_values"] = False
        if known.multi_fields:
            found["multi_fields"] = [_form(*form) for form in known.multi_fields.items()]
    return found


def _form(name: str, kind: str) -> dict[str, str]:
    return {"name": name, "type": kind}
