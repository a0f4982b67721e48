"""The golden documents, field by field, and what a value of each type of field looks like."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from lexilog.catalog.fields import fields

__all__ = ["fits", "golden", "leaves"]

_GOLDEN = Path(__file__).resolve().parent.parent / "golden"


def golden() -> dict[str, dict[str, Any]]:
    """Return the documents of all golden cases of every vendor, by the case's folder and the number of the line."""
    return {
        f"{path.parent.relative_to(_GOLDEN).as_posix()}:{number}": document
        for path in sorted(_GOLDEN.glob("*/*/*/expected.json"))
        for number, document in enumerate(json.loads(path.read_text()), 1)
    }


def leaves(value: dict[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    """Return each field of a document by dotted name; what is flattened is one field."""
    for key, item in value.items():
        name = above + key
        known = fields().get(name)
        if isinstance(item, dict) and not (known and known.type == "flattened"):
            yield from leaves(item, f"{name}.")
        else:
            yield name, item


def fits(kind: str, value: Any) -> bool:
    """Tell whether a single value is one of a type, as a document writes it."""
    match kind:
        case "boolean":
            return isinstance(value, bool)
        case "long":
            return isinstance(value, int) and not isinstance(value, bool) and -(2**63) <= value < 2**63
        case "flattened":
            return isinstance(value, dict)
        case "date":
            return value.endswith("Z") and datetime.fromisoformat(value).tzinfo is not None
        case "ip":
            return str(ip_address(value)) == value
    return isinstance(value, str)
