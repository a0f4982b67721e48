"""The field table: every field that a record can come out with, and its type."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Literal, TypeAlias

import msgspec

from lexilog.yaml_document import Document

__all__ = ["TYPED", "Field", "Shape", "ecs", "fields", "shape"]

_HERE = Path(__file__).resolve().parent

FieldType = Literal["boolean", "constant_keyword", "date", "flattened", "ip", "keyword", "long", "match_only_text"]
# ECS's own levels, and ours for what ECS does not have.
FieldLevel = Literal["core", "extended", "custom"]

# What may stand at a name: ``value``, ``flattened``, or a map with what may stand at each name in it.
Shape: TypeAlias = "str | Mapping[str, Shape]"

# Types of the fields that can take a value out of a line.
TYPED = frozenset({"boolean", "ip", "keyword", "long"})


class Field(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One field.

    Attributes:
        name: dotted name.
        type: its Elasticsearch type.
        level: how ECS ranks it, or ``custom`` where ECS has no such field.
        text: what it holds.
        example: a value of it.
        array: it always holds a list.
        prose: its value is sentences, to be found word by word, too.
    """

    name: str
    type: FieldType
    level: FieldLevel
    text: str
    example: str | int | bool | list[str] | dict[str, str | dict[str, str]]
    array: bool = False
    prose: bool = False


class EcsField(msgspec.Struct, frozen=True):
    """What ECS says of a field.

    Attributes:
        type: its Elasticsearch type.
        level: ``core`` or ``extended``.
        array: it always holds a list.
        ignore_above: characters; what is longer is kept, and not indexed.
        index: it can be searched for.
        doc_values: it can be sorted and aggregated by.
        multi_fields: type of each further form of the field, by the last part of its name.
        expected: the values that it should have, where ECS names them.
        allowed: the values that it may have, where there are no others.
        expected_types: the values of ``event.type`` that go with each value.
    """

    type: str
    level: str
    array: bool = False
    ignore_above: int | None = None
    index: bool = True
    doc_values: bool = True
    multi_fields: dict[str, str] = {}
    expected: tuple[str, ...] | None = None
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
def shape() -> dict[str, Shape]:
    """Return the field table as a tree by the parts of the names; a name that is in none holds anything."""
    tree: dict[str, Any] = {}
    for field in fields().values():
        *path, last = field.name.split(".")
        place = tree
        for step in path:
            place = place.setdefault(step, {})
        place[last] = "flattened" if field.type == "flattened" else "value"
    return tree


@cache
def ecs() -> dict[str, EcsField]:
    """Return what ECS 9.4.0 says of the fields in our table; made by ``script/ecs-fields``."""
    return msgspec.json.decode((_HERE / "ecs.json").read_bytes(), type=dict[str, EcsField])
