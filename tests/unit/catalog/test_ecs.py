"""The field table, and all that entries can put into a record, against ECS 9.4.0 as its own package tells it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from downloads import Unavailable
from ecs_package import ecs_flat, reduced
from field_values import fits, golden, leaves
from lexilog.catalog import fields as table
from lexilog.catalog.fields import fields
from lexilog.catalog.sources import load_catalogs
from lexilog.enrich.plan import Plan

Flat = dict[str, dict[str, Any]]
# What no entry says and no golden document has: that a record could not be processed.
FAILED = ("a failed record", "event.kind", "pipeline_error")


@pytest.fixture(scope="module")
def flat(request: pytest.FixtureRequest) -> Flat:
    """Return all fields of ECS; skip where nobody asked for a download, and fail where it was asked for in vain."""
    if not request.config.getoption("--nodes"):
        pytest.skip("needs the package of ECS from the npm registry: run script/test --nodes")
    try:
        return ecs_flat()
    except Unavailable as missing:
        pytest.fail(f"--nodes asks for the package of ECS, and it cannot be had: {missing}", pytrace=False)


def constants() -> Iterator[tuple[str, str, Any]]:
    """Return what each entry says of every record: the entry, the field and its value."""
    for catalog in load_catalogs(()):
        for entry in catalog.entries:
            for name, value in Plan(entry).constant.items():
                yield f"{entry.catalog}/{entry.id}", name, value


def documents() -> Iterator[tuple[str, str, Any]]:
    """Return every field of every golden document: the case, the field and its value."""
    for case, document in golden().items():
        for name, value in leaves(document):
            yield case, name, value


def emitted() -> Iterator[tuple[str, str, Any]]:
    """Return all of both that has a name of ECS."""
    for source in (constants(), documents()):
        for where, name, value in source:
            if not name.startswith("lexilog."):
                yield where, name, value


def test_our_copy_is_what_the_package_says(flat: Flat) -> None:
    """ecs.json holds every field of the table that ECS has, and all of it that templates and checks use."""
    copy = json.loads((Path(table.__file__).parent / "ecs.json").read_text())
    assert copy == reduced(flat, fields()), "run script/ecs-fields"
    assert [name for name in fields() if name not in flat and not name.startswith("lexilog.")] == []
    assert [name for name in flat if name.startswith("lexilog.")] == []


def test_every_value_is_one_of_its_field(flat: Flat) -> None:
    """Whatever an entry says, or a golden document has: the field exists, and type and list are as ECS wants them."""
    wrong, seen = [], set()
    for where, name, value in emitted():
        seen.add(name)
        field = flat[name]
        is_list = "array" in field["normalize"]
        values = value if isinstance(value, list) else [value]
        if isinstance(value, list) != is_list or not all(fits(field["type"], item) for item in values):
            wrong.append((where, name, value))
    assert wrong == []
    # Nothing would be shown by values that no case has.
    unseen = {name for name in fields() if not name.startswith("lexilog.")} - seen
    assert unseen <= {"error.message", "event.id", "observer.name", "user.domain"}


def test_every_value_is_allowed(flat: Flat) -> None:
    """Where ECS has a closed list of values there is no other."""
    wrong, seen = [], set()
    for where, name, value in [*emitted(), FAILED]:
        if "allowed_values" in flat[name]:
            seen.add(name)
            allowed = {one["name"] for one in flat[name]["allowed_values"]}
            wrong += [
                (where, name, item) for item in (value if isinstance(value, list) else [value]) if item not in allowed
            ]
    assert wrong == []
    assert seen == {"event.kind", "event.category", "event.type", "event.outcome"}


def test_every_pair_is_expected(flat: Flat) -> None:
    """Each event.type of an entry is one that ECS expects with each of its categories."""
    expected = {one["name"]: one["expected_event_types"] for one in flat["event.category"]["allowed_values"]}
    wrong = [
        (f"{entry.catalog}/{entry.id}", category, kind)
        for catalog in load_catalogs(())
        for entry in catalog.entries
        for category in entry.event.category
        for kind in entry.event.type
        if kind not in expected[category]
    ]
    assert wrong == []


def test_every_value_is_one_that_is_expected(flat: Flat) -> None:
    """Where ECS has an open list, of what others look for, there is no other value either."""
    wrong, seen = [], set()
    for where, name, value in emitted():
        if expected := flat[name].get("expected_values"):
            seen.add(name)
            wrong += [(where, name, value)] if value not in expected else []
    assert wrong == []
    assert seen == {"host.os.type"}
