"""The field table and what ECS says of it."""

from __future__ import annotations

import pytest

from field_values import fits
from lexilog.catalog.fields import Field, ecs, fields


def test_every_field_is_ecs_or_ours() -> None:
    """A name that ECS does not have is under lexilog; one that it has, has its type and level, and is a list there."""
    for name, field in fields().items():
        if name in ecs():
            known = ecs()[name]
            assert (field.type, field.level, field.array) == (known.type, known.level, known.array), name
        else:
            assert name.startswith("lexilog."), name
            assert field.level == "custom", name


def test_the_table_is_sorted_and_explained() -> None:
    """Each field is told in a sentence, and stands once."""
    assert list(fields()) == sorted(fields())
    assert [name for name, field in fields().items() if not field.text.endswith(".")] == []


def test_no_field_is_also_a_map() -> None:
    """No name stands above another: what has a value has no members."""
    assert [(name, other) for name in fields() for other in fields() if other.startswith(f"{name}.")] == []


def test_prose_is_a_keyword_of_ours() -> None:
    """What is searched for by words, beside ECS's own, is one text."""
    prose = {name: field for name, field in fields().items() if field.prose}
    assert set(prose) >= {"lexilog.explanation", "lexilog.cause", "lexilog.action", "lexilog.vendor_action"}
    assert {(field.type, field.array) for field in prose.values()} == {("keyword", False)}


@pytest.mark.parametrize("field", fields().values(), ids=lambda field: field.name)
def test_examples_are_values_of_their_fields(field: Field) -> None:
    """What a reader takes for a value of the field is one: of its type, a list where it is one, allowed by ECS."""
    assert isinstance(field.example, list) == field.array
    values = field.example if isinstance(field.example, list) else [field.example]
    assert values
    assert all(fits(field.type, value) for value in values)
    known = ecs().get(field.name)
    allowed = (known.allowed or known.expected) if known else None
    assert allowed is None or set(values) <= set(allowed)  # type: ignore[arg-type]
