"""docs/fields.md: the field table for people."""

from __future__ import annotations

import json
from itertools import groupby

from lexilog.catalog.fields import Field, fields
from lexilog.compilers.source import Files, Source

__all__ = ["files"]

_HEAD = """# Fields

Every field that a record can come out with. Made by `lexilog build` from the field table; edit
`processor/lexilog/catalog/fields.yml`, not this page.

Names are those of ECS 9.4.0 where ECS has one, with its level (`core` or `extended`); the rest is under `lexilog.`
(`custom`). A type with `[]` always holds a list. A keyword longer than 1,024 characters is kept and not indexed; for
the texts of the catalogue, which have a second form `.text` for full-text search, and for members of a flattened field
the bound is 8,191. `event.original` is kept and not indexed. For OpenSearch `flattened` is `flat_object`, and
`constant_keyword` is `keyword`.

What an agent has set beside these is kept in `_source`, and neither searched nor shown as a column: map it in the
component template `lexilog@custom`.
"""
_COLUMNS = "| Field | Type | Level | Meaning | Example |\n|---|---|---|---|---|\n"


def files(source: Source) -> Files:
    """Return the page."""
    del source
    groups = groupby(sorted(fields().values(), key=lambda field: (_group(field), field.name)), key=_group)
    parts = [f"## {group}\n\n{_COLUMNS}{''.join(map(_row, members))}" for group, members in groups]
    return {"docs/fields.md": "\n".join([_HEAD, *parts]).encode()}


def _group(field: Field) -> str:
    """Return the field set: the first part of the name, or two where they are ours."""
    parts = field.name.split(".")
    if len(parts) == 1:
        return "Base"
    return ".".join(parts[:2] if field.level == "custom" and len(parts) > 2 else parts[:1])


def _row(field: Field) -> str:
    kind = field.type + ("[]" if field.array else "")
    example = field.example if isinstance(field.example, str) else json.dumps(field.example)
    return f"| `{field.name}` | {kind} | {field.level} | {_cell(field.text)} | `{_cell(example)}` |\n"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
