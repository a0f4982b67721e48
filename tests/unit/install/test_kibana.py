"""What Kibana is asked, on a double of it, which says in its docstring what it does."""

from __future__ import annotations

from typing import Any

import pytest

from kibana_double import KibanaDouble, Space
from kibana_objects import OBJECTS, install_kibana, plan_kibana
from lexilog.compilers.kibana.alerts import rules
from lexilog.compilers.kibana.saved_objects import saved_objects
from lexilog.compilers.source import Source
from lexilog.errors import LexilogError
from lexilog.install.access import Access
from lexilog.install.apply import apply
from lexilog.install.kibana import RULE, Kibana
from lexilog.install.kibana_plan import kibana_steps
from lexilog.install.plan import Step


def test_credentials_go_with_each_request(kibana: Kibana, double: KibanaDouble) -> None:
    """The same API key as for Elasticsearch is used."""
    double.password = "ApiKey a-key-of-tests"
    assert kibana.check() == "9.4.3"
    kibana.check_access(rules=True)
    assert install_kibana(kibana) == ["create"] * 4


def test_a_space_is_in_each_path(double: KibanaDouble) -> None:
    """A space is named as Kibana wants it, before /api; the default one is not."""
    double.spaces["net work"] = Space()
    with Kibana(double.url, "net work", Access()) as kibana:
        kibana.check_access(rules=True)
        install_kibana(kibana)
    assert {one.split()[1].partition("/api/")[0] for one in double.requests} == {"/s/net%20work"}
    double.requests.clear()
    with Kibana(double.url, "default", Access()) as kibana:
        kibana.check()
    assert double.requests == ["GET /api/status"]


def test_a_space_that_there_is_not_is_told(double: KibanaDouble) -> None:
    """Kibana itself would take objects for a space whose name is mistyped, and nobody would ever see them."""
    with (
        Kibana(double.url, "netwrok", Access()) as kibana,
        pytest.raises(LexilogError, match=r"--kibana-space: .* has no space 'netwrok'"),
    ):
        kibana.check_access(rules=False)


def test_what_may_not_be_written_is_told_first(kibana: Kibana, double: KibanaDouble) -> None:
    """Kibana says who may write saved objects and rules; that is looked at without writing anything."""
    double.forbidden = {"stackAlerts"}
    kibana.check_access(rules=False)
    with pytest.raises(LexilogError, match=r"lack \*all\* on Stack Rules in space 'default'"):
        kibana.check_access(rules=True)
    double.forbidden = {"savedObjectsManagement"}
    with pytest.raises(LexilogError, match=r"lack \*all\* on Saved Objects Management in space 'default'"):
        kibana.check_access(rules=False)
    assert double.changes == []


@pytest.mark.parametrize("answer", [(404, {"message": "Not Found"}), (200, {}), (200, {"savedObjectsManagement": 1})])
def test_a_kibana_that_does_not_tell_is_tried(kibana: Kibana, double: KibanaDouble, answer: Any) -> None:
    """Where Kibana has no such path, or answers otherwise, nothing is forbidden."""
    double.broken["POST /api/core/capabilities"] = answer
    double.broken["GET /api/alerting/rule_types"] = answer
    kibana.check_access(rules=True)


def test_what_is_gone_meanwhile_is_no_error(kibana: Kibana) -> None:
    """Somebody else may have removed it between the plan and the deed."""
    steps = [Step("remove", "dashboard", "d1"), Step("remove", RULE, "r1")]
    assert apply(steps, kibana, lambda _step: None) == []


def test_a_refused_import_says_why(kibana: Kibana, double: KibanaDouble) -> None:
    """Kibana answers 200 to an import that has failed; the reason is told."""
    errors = [{"id": "d1", "type": "dashboard", "error": {"type": "missing_references"}}]
    double.broken["POST /api/saved_objects/_import"] = (200, {"success": False, "errors": errors})
    with pytest.raises(LexilogError, match=r"dashboard d1: .*missing_references"):
        apply(plan_kibana(kibana), kibana, lambda _step: None)


@pytest.mark.parametrize("path", ["POST /api/saved_objects/_import", "GET /api/alerting/rule/r1"])
def test_a_page_is_no_answer(kibana: Kibana, double: KibanaDouble, path: str) -> None:
    """A proxy that answers with a page for people, and 200, is not taken for Kibana."""
    double.broken[path] = (200, "<html>Please log in</html>")
    with pytest.raises(LexilogError, match="is not Kibana, or does not let us in"):
        install_kibana(kibana)


@pytest.mark.parametrize("answer", ["<html>Please log in</html>", {"objects": []}])
def test_an_export_that_is_none_is_told(kibana: Kibana, double: KibanaDouble, answer: Any) -> None:
    """An export is lines of JSON; anything else is not taken for an empty Kibana."""
    double.broken["POST /api/saved_objects/_export"] = (200, answer)
    with pytest.raises(LexilogError, match="is not Kibana, or does not let us in"):
        kibana.read(OBJECTS)


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


def test_a_redirect_says_where_to(kibana: Kibana, double: KibanaDouble, monkeypatch: pytest.MonkeyPatch) -> None:
    """A Kibana below a base path, or a login page before it, sends elsewhere: nothing follows, the place is told."""
    monkeypatch.setattr(KibanaDouble, "headers", {"location": "/base/api/status"})
    double.broken["GET /api/status"] = (302, "")
    with pytest.raises(LexilogError, match="HTTP 302: go to /base/api/status"):
        kibana.check()
    assert double.requests == ["GET /api/status"]


def test_an_export_that_fails_otherwise_is_an_error(kibana: Kibana, double: KibanaDouble) -> None:
    """A refusal that names no missing object is not taken for an empty Kibana."""
    double.broken["POST /api/saved_objects/_export"] = (403, {"message": "Unable to bulk_get dashboard"})
    with pytest.raises(LexilogError, match="HTTP 403: Unable to bulk_get dashboard"):
        kibana.read(OBJECTS)


@pytest.mark.parametrize("space", [None, "ops"])
def test_the_shipped_objects_are_installed_once(double: KibanaDouble, space: str | None) -> None:
    """All dashboards, searches and rules that are shipped go in, are found as they should be, and go again."""
    double.spaces["ops"] = Space()
    source = Source((), "1.2.0")
    objects, alerts = saved_objects(source), rules(source)
    kept = double.spaces[space or "default"]
    with Kibana(double.url, space, Access()) as kibana:

        def plan(*, remove: bool = False) -> list[Step]:
            return kibana_steps(kibana, objects, alerts, "1.2.0", remove=remove)

        assert {step.action for step in plan()} == {"create"}
        assert apply(plan(), kibana, lambda _step: None) == []
        assert len(kept.saved) == len(objects) >= 5
        assert len(kept.rules) == len(alerts) >= 5
        assert {step.action for step in plan()} == {"same"}
        assert next(iter(kept.saved))[0] == "index-pattern"
        assert apply(plan(remove=True), kibana, lambda _step: None) == []
    assert (kept.saved, kept.rules) == ({}, {})
