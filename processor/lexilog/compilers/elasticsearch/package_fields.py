"""The field table as a package declares fields: ``data_stream/log/fields/*.yml``."""

from __future__ import annotations

from typing import Any

from lexilog.catalog.fields import Field, ecs, fields
from lexilog.compilers.elasticsearch.mapping import mapping

__all__ = ["field_files"]

# What a package needs in every data stream.
_BASE = ("@timestamp", "data_stream.dataset", "data_stream.namespace", "data_stream.type")


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
    mapped = mapping(field)
    found = {"name": field.name, "type": mapped.pop("type"), "description": field.text, **mapped}
    if field.array:
        found["normalize"] = ["array"]
    if "fields" in found:
        found["multi_fields"] = [{"name": name, **form} for name, form in found.pop("fields").items()]
    return found
