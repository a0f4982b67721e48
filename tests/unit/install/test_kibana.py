"""Dashboards and rules on a double of Kibana, which says in its docstring what it does."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from elastic_doubles import KibanaDouble, serving
from lexilog.compilers.kibana.alerts import rules
from lexilog.compilers.kibana.saved_objects import saved_objects
from lexilog.compilers.source import Source
from lexilog.errors import LexilogError
from lexilog.install.access import Access
from lexilog.install.apply import apply
from lexilog.install.kibana import RULE, Kibana, plan_kibana, plan_kibana_remove
from lexilog.install.plan import Step

VIEW = {"type": "index-pattern", "id": "v1", "attributes": {"title": "logs-lexilog.*"}, "references": []}
BOARD = {
    "type": "dashboard",
    "id": "d1",
    "attributes": {"title": "Überblick", "panelsJSON": json.dumps([{"type": "lens", "panelIndex": "1"}])},
    "references": [{"type": "index-pattern", "id": "v1", "name": "a"}],
    "coreMigrationVersion": "8.8.0",
}
RULES = [
    {
        "id": "r1",
        "name": "lexilog: down",
        "rule_type_id": ".es-query",
        "consumer": "stackAlerts",
        "enabled": True,
        "schedule": {"interval": "5m"},
        "tags": ["lexilog"],
        "params": {"threshold": [0]},
        "actions": [],
    }
]
OBJECTS = [VIEW, BOARD]


@pytest.fixture
def double() -> Iterator[KibanaDouble]:
    """Return a double of Kibana that serves."""
    double = KibanaDouble()
    with serving(double):
        yield double


@pytest.fixture
def kibana(double: KibanaDouble) -> Iterator[Kibana]:
    """Return what is tested."""
    with Kibana(double.url, None, Access(api_key="a-key-of-tests")) as kibana:
        yield kibana


def _plan(kibana: Kibana, rules: list[dict[str, Any]]) -> list[Step]:
    there = {**kibana.read(OBJECTS), **kibana.read_rules(rule["id"] for rule in rules)}
    return plan_kibana(OBJECTS, rules, there)


def _install(kibana: Kibana, rules: list[dict[str, Any]] = RULES) -> list[str]:
    """Install; return what was planned."""
    steps = _plan(kibana, rules)
    assert apply(steps, kibana, lambda _step: None) == []
    return [step.action for step in steps]


def test_all_is_made_and_made_once(kibana: Kibana, double: KibanaDouble) -> None:
    """The first run makes data view, dashboard and rule; the second finds them as they should be."""
    assert _install(kibana) == ["create"] * 3
    assert double.saved["dashboard", "d1"]["attributes"]["title"] == "Überblick"
    assert double.saved["dashboard", "d1"]["coreMigrationVersion"] == "8.8.0"
    assert double.rules["r1"]["consumer"] == "stackAlerts"
    done = list(double.changes)
    assert _install(kibana) == ["same"] * 3
    assert double.changes == done


def test_credentials_go_with_each_request(kibana: Kibana, double: KibanaDouble) -> None:
    """The same API key as for Elasticsearch is used."""
    double.password = "ApiKey a-key-of-tests"
    assert kibana.check() == "9.4.3"
    assert _install(kibana) == ["create"] * 3


def test_a_space_is_in_each_path(double: KibanaDouble) -> None:
    """A space is named as Kibana wants it, before /api; the default one is not."""
    with Kibana(double.url, "net work", Access()) as kibana:
        _install(kibana)
    assert {one.split()[1].partition("/api/")[0] for one in double.requests} == {"/s/net%20work"}
    double.requests.clear()
    with Kibana(double.url, "default", Access()) as kibana:
        kibana.check()
    assert double.requests == ["GET /api/status"]


def test_json_in_text_is_compared_by_what_it_says(kibana: Kibana, double: KibanaDouble) -> None:
    """Kibana writes the JSON inside a dashboard anew and adds defaults: that is no change; another panel is one."""
    _install(kibana, [])
    attributes = double.saved["dashboard", "d1"]["attributes"]
    attributes["panelsJSON"] = json.dumps([{"panelIndex": "1", "version": "9.4.3", "type": "lens"}], indent=1)
    assert [step.action for step in _plan(kibana, [])] == ["same", "same"]
    attributes["panelsJSON"] = json.dumps([{"panelIndex": "1", "type": "map"}])
    changed = _plan(kibana, [])[1]
    assert changed.action == "change"
    assert [line.strip("+- ,") for line in changed.diff if line[:1] in "+-"] == ['"type": "map"', '"type": "lens"']
    assert _install(kibana, []) == ["same", "change"]
    assert _install(kibana, []) == ["same", "same"]


def test_a_rule_keeps_whom_it_tells(kibana: Kibana, double: KibanaDouble) -> None:
    """A changed rule is brought up to date; its actions, and whether it runs, are its owner's."""
    _install(kibana)
    action = {"id": "c1", "group": "query matched", "params": {"message": "x"}}
    double.rules["r1"] |= {"actions": [{**action, "connector_type_id": ".email"}], "enabled": False}
    assert [step.action for step in _plan(kibana, RULES)] == ["same"] * 3
    double.rules["r1"]["params"] = {"threshold": [7]}
    assert _install(kibana) == ["same", "same", "change"]
    assert double.rules["r1"]["params"] == {"threshold": [0]}
    assert double.rules["r1"]["actions"] == [action]
    assert double.rules["r1"]["enabled"] is False


def test_removal_takes_what_is_there(kibana: Kibana, double: KibanaDouble) -> None:
    """Dashboards go before the data view that they need; what is not there, or not ours, is left alone."""
    _install(kibana)
    double.saved["dashboard", "theirs"] = {"type": "dashboard", "id": "theirs", "attributes": {}}
    del double.rules["r1"]
    there = {**kibana.read(OBJECTS), **kibana.read_rules(["r1"])}
    steps = plan_kibana_remove(there)
    assert [(step.action, step.kind) for step in steps] == [("remove", "dashboard"), ("remove", "index-pattern")]
    assert apply(steps, kibana, lambda _step: None) == []
    assert list(double.saved) == [("dashboard", "theirs")]
    assert kibana.read(OBJECTS) == {}


def test_what_is_gone_meanwhile_is_no_error(kibana: Kibana) -> None:
    """Somebody else may have removed it between the plan and the deed."""
    steps = [Step("remove", "dashboard", "d1"), Step("remove", RULE, "r1")]
    assert apply(steps, kibana, lambda _step: None) == []


def test_a_refused_import_says_why(kibana: Kibana, double: KibanaDouble) -> None:
    """Kibana answers 200 to an import that has failed; the reason is told, and how far it came."""
    errors = [{"id": "d1", "type": "dashboard", "error": {"type": "missing_references"}}]
    double.broken["POST /api/saved_objects/_import"] = (200, {"success": False, "errors": errors})
    with pytest.raises(LexilogError, match=r"dashboard d1: .*missing_references.*\n0 of 2 steps are done"):
        apply(_plan(kibana, []), kibana, lambda _step: None)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ((401, {"message": "no a-key-of-tests"}), "does not let us in"),
        ((403, {"message": "no"}), "these credentials lack access to Kibana"),
        ((503, "Kibana server is not ready yet"), "check host and port, and whether it is ready"),
        ((200, {"status": "up"}), "is not Kibana, or does not let us in"),
        ((200, {"version": {"number": "8.14.3"}}), r"is Kibana 8\.14\.3, which is too old: upgrade it to 8\.15"),
    ],
)
def test_what_is_wrong_with_kibana_is_told(kibana: Kibana, double: KibanaDouble, answer: Any, said: str) -> None:
    """Before anything is planned it is known whether Kibana is there, new enough and lets us in; no secret is told."""
    double.broken["GET /api/status"] = answer
    with pytest.raises(LexilogError, match=said) as caught:
        kibana.check()
    assert double.url in str(caught.value)
    assert "a-key-of-tests" not in str(caught.value)


def test_an_export_that_fails_otherwise_is_an_error(kibana: Kibana, double: KibanaDouble) -> None:
    """A refusal that names no missing object is not taken for an empty Kibana."""
    double.broken["POST /api/saved_objects/_export"] = (403, {"message": "Unable to bulk_get dashboard"})
    with pytest.raises(LexilogError, match="HTTP 403: Unable to bulk_get dashboard"):
        kibana.read(OBJECTS)


def test_the_shipped_objects_are_installed_once(kibana: Kibana, double: KibanaDouble) -> None:
    """All dashboards, searches and rules that are shipped go in, and are found as they should be."""
    source = Source((), "1.2.0")
    objects, alerts = saved_objects(source), rules(source)

    def plan() -> list[Step]:
        there = {**kibana.read(objects), **kibana.read_rules(one["id"] for one in alerts)}
        return plan_kibana(objects, alerts, there)

    assert {step.action for step in plan()} == {"create"}
    assert apply(plan(), kibana, lambda _step: None) == []
    assert len(double.saved) == len(objects) >= 5
    assert len(double.rules) == len(alerts) >= 5
    assert {step.action for step in plan()} == {"same"}
    assert next(iter(double.saved))[0] == "index-pattern"
