"""The field table and what ECS says of it."""

from __future__ import annotations

from lexilog.catalog.fields import ecs, fields


def test_every_field_is_ecs_or_ours() -> None:
    """A name that ECS does not have is under lexilog; one that it has, has its type, and is a list where it says so."""
    for name, field in fields().items():
        if name in ecs():
            assert (field.type, field.array) == (ecs()[name].type, ecs()[name].array), name
        else:
            assert name.startswith("lexilog."), name


def test_the_table_is_sorted_and_explained() -> None:
    """Each field is told in a sentence."""
    assert list(fields()) == sorted(fields())
    assert [name for name, field in fields().items() if not field.text.endswith(".")] == []
