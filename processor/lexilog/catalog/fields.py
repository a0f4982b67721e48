"""The field table: every field that a record can come out with, and its type."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Literal

import msgspec

from lexilog.yaml_document import Document

__all__ = ["TYPED", "Field", "ecs", "fields"]

_HERE = Path(__file__).resolve().parent

FieldType = Literal["boolean", "constant_keyword", "date", "flattened", "ip", "keyword", "long", "match_only_text"]


# Types of the fields that can take a value out of a line.
TYPED = frozenset({"boolean", "ip", "keyword", "long"})


class Field(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One field.

    Attributes:
        name: dotted name.
        type: its Elasticsearch type.
        text: what it holds.
        array: it always holds a list.
    """

    name: str
    type: FieldType
    text: str
    array: bool = False


class EcsField(msgspec.Struct, frozen=True):
    """What ECS says of a field: type, whether it is a list, and the values and category/type pairs it allows."""

    type: str
    array: bool = False
    allowed: tuple[str, ...] | None = None
    expected_types: dict[str, tuple[str, ...]] | None = None


@cache
def fields() -> dict[str, Field]:
    """Return the field table by field name.

    Raises:
        CatalogError: the table cannot be read.
    """
    return {field.name: field for field in Document(_HERE / "fields.yml").convert(list[Field])}


@cache
def ecs() -> dict[str, EcsField]:
    """Return what ECS 9.4.0 says of the fields in our table; made by ``script/ecs-fields``."""
    return msgspec.json.decode((_HERE / "ecs.json").read_bytes(), type=dict[str, EcsField])
