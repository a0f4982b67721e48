"""Several spaces of one Kibana: each has objects of its own."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator

import pytest

from elastic_doubles import serving
from kibana_double import KibanaDouble, Space
from kibana_objects import OBJECTS, RULES, install_kibana, plan_kibana
from lexilog.compilers.kibana.saved_objects import saved_objects
from lexilog.compilers.source import Source
from lexilog.install.access import Access
from lexilog.install.apply import apply
from lexilog.install.kibana import Kibana
from lexilog.install.kibana_space import objects_in, rules_in


@pytest.fixture
def double() -> Iterator[KibanaDouble]:
    """Return a double of Kibana with three spaces that serves."""
    double = KibanaDouble()
    double.spaces |= {"ops": Space(), "net": Space()}
    with serving(double):
        yield double


@pytest.mark.parametrize("order", [(None, "ops", "net"), ("net", "ops", None)])
def test_each_space_is_installed_once_and_removed_alone(double: KibanaDouble, order: tuple[str | None, ...]) -> None:
    """An id is taken in all spaces at once; still a second run changes nothing, and a removal takes its own space."""
    for _ in range(2):
        for space in order:
            with Kibana(double.url, space, Access()) as kibana:
                expected = "create" if len(double.spaces[space or "default"].saved) == 0 else "same"
                assert install_kibana(kibana) == [expected] * 4
    assert {len(one.saved) for one in double.spaces.values()} == {3}
    assert {len(one.rules) for one in double.spaces.values()} == {1}
    with Kibana(double.url, "ops", Access()) as kibana:
        assert apply(plan_kibana(kibana, remove=True), kibana, lambda _step: None) == []
    assert {name: len(one.saved) + len(one.rules) for name, one in double.spaces.items()} == {
        "default": 4,
        "ops": 0,
        "net": 4,
    }


def test_objects_of_a_space_refer_to_each_other() -> None:
    """Ids are changed wherever they stand: in references, and in the attributes that name a data view."""
    view, search, board = objects_in("ops", OBJECTS)
    assert [view["id"], search["id"], board["id"]] == ["v1.ops", "s1.ops", "d1.ops"]
    assert [one["id"] for one in board["references"]] == ["v1.ops", "s1.ops"]
    controls = json.loads(board["attributes"]["controlGroupInput"]["panelsJSON"])
    assert controls == {"c": {"dataViewId": "v1.ops"}}
    assert view["attributes"]["title"] == "logs-lexilog.*"


def test_the_default_space_has_the_ids_of_the_files() -> None:
    """What was imported by hand from dashboards/kibana is found."""
    assert objects_in(None, OBJECTS) == OBJECTS
    assert rules_in(None, RULES) == RULES


def test_a_rule_has_a_uuid_of_its_own_in_each_space() -> None:
    """Kibana takes UUIDs for rules alone."""
    found = {rules_in(space, RULES)[0]["id"] for space in ("ops", "net")}
    assert len(found) == 2
    assert all(str(uuid.UUID(one)) == one for one in found)


def test_no_shipped_object_refers_to_another_space() -> None:
    """Of all that is shipped no id is left as it is, and no reference leads out of the space."""
    objects = saved_objects(Source((), "1.2.0"))
    found = objects_in("ops", objects)
    ids = {one["id"] for one in found}
    assert all(id_.endswith(".ops") for id_ in ids)
    assert {reference["id"] for one in found for reference in one["references"]} <= ids
    text = json.dumps(found)
    views = [one["id"] for one in objects if one["type"] == "index-pattern"]
    assert all(text.count(view) == text.count(f"{view}.ops") > 1 for view in views)
