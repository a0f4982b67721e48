"""What is planned for Kibana: what is ours, what is everybody's, and what others need."""

from __future__ import annotations

import json
from typing import Any

import pytest

from kibana_double import KibanaDouble
from kibana_objects import BOARD, OBJECTS, install_kibana, plan_kibana
from lexilog.errors import LexilogError
from lexilog.install.apply import apply
from lexilog.install.kibana import Kibana
from lexilog.install.kibana_plan import unsettled

HAND_MADE = {"type": "dashboard", "id": "d1", "attributes": {"title": "mi\x1bne", "panelsJSON": "[]"}, "references": []}
TO_VIEW = [{"type": "index-pattern", "id": "v1", "name": "x"}]


def _actions(kibana: Kibana, *, remove: bool = False) -> dict[str, str]:
    return {step.name: step.action for step in plan_kibana(kibana, remove=remove)}


def test_all_is_made_and_made_once(kibana: Kibana, double: KibanaDouble) -> None:
    """The first run makes data view, search, dashboard and rule; the second finds them as they should be."""
    assert install_kibana(kibana) == ["create"] * 4
    assert double.saved["dashboard", "d1"]["attributes"]["title"] == "Überblick"
    assert double.saved["dashboard", "d1"]["coreMigrationVersion"] == "8.8.0"
    assert double.rules["r1"]["consumer"] == "stackAlerts"
    done = list(double.changes)
    assert install_kibana(kibana) == ["same"] * 4
    assert double.changes == done


def test_json_in_text_is_compared_by_what_it_says(kibana: Kibana, double: KibanaDouble) -> None:
    """Kibana writes the JSON inside a dashboard anew and adds defaults: that is no change; another panel is one."""
    install_kibana(kibana)
    attributes = double.saved["dashboard", "d1"]["attributes"]
    attributes["panelsJSON"] = json.dumps([{"panelIndex": "1", "version": "9.4.3", "type": "lens"}], indent=1)
    assert set(_actions(kibana).values()) == {"same"}
    attributes["panelsJSON"] = json.dumps([{"panelIndex": "1", "type": "map"}])
    changed = plan_kibana(kibana)[2]
    assert changed.action == "change"
    assert [line.strip("+- ,") for line in changed.diff if line[:1] in "+-"] == ['"type": "map"', '"type": "lens"']
    assert install_kibana(kibana) == ["same", "same", "change", "same"]
    assert install_kibana(kibana) == ["same"] * 4


def test_tabs_are_no_change(kibana: Kibana, double: KibanaDouble) -> None:
    """A Kibana that moves what is in a saved search into a tab is not given it again and again."""
    double.has_tabs = True
    install_kibana(kibana)
    assert "columns" not in double.saved["search", "s1"]["attributes"]
    assert set(_actions(kibana).values()) == {"same"}
    double.saved["search", "s1"]["attributes"]["tabs"][0]["attributes"]["columns"] = ["host.name"]
    assert _actions(kibana)["s1"] == "change"


def test_what_kibana_keeps_otherwise_is_known(kibana: Kibana, double: KibanaDouble) -> None:
    """What still differs after it was given is Kibana's doing, and can be told from a change that was not done."""
    steps = plan_kibana(kibana)
    apply(steps, kibana, lambda _step: None)
    assert unsettled(kibana, steps) == []
    double.saved["dashboard", "d1"]["attributes"]["controlGroupInput"] = {"panels": []}
    double.rules["r1"]["params"] = {"threshold": 0}
    assert [step.name for step in unsettled(kibana, steps)] == ["d1", "r1"]


def test_a_data_view_keeps_what_users_have_added(kibana: Kibana, double: KibanaDouble) -> None:
    """Runtime fields, labels, formats and filters of users are no change, and survive one of ours."""
    install_kibana(kibana)
    attributes = double.saved["index-pattern", "v1"]["attributes"]
    theirs: dict[str, Any] = {
        "runtimeFieldMap": json.dumps({"mine": {"type": "keyword"}}),
        "fieldAttrs": json.dumps({"message": {"customLabel": "Line"}}),
        "sourceFilters": json.dumps([{"value": "secret*"}]),
        "allowHidden": True,
    }
    formats = {"source.bytes": {"id": "bytes"}, "source.port": {"id": "string"}}
    attributes |= {**theirs, "fieldFormatMap": json.dumps(formats)}
    assert _actions(kibana)["v1"] == "same"
    attributes["name"] = "an older name"
    (step,) = [one for one in plan_kibana(kibana) if one.action == "change"]
    assert [line.strip("+- ,") for line in step.diff if line[:1] in "+-"] == [
        '"name": "an older name"',
        '"name": "lexilog"',
    ]
    install_kibana(kibana)
    attributes = double.saved["index-pattern", "v1"]["attributes"]
    assert attributes["name"] == "lexilog"
    assert theirs.items() <= attributes.items()
    assert json.loads(attributes["fieldFormatMap"]) == formats


def test_a_rule_keeps_what_is_its_owners(kibana: Kibana, double: KibanaDouble) -> None:
    """A changed rule is brought up to date; whom it tells, when, and whether it runs stay its owner's."""
    install_kibana(kibana)
    action = {"id": "c1", "group": "query matched", "params": {"message": "x"}}
    owners = {
        "notify_when": "onThrottleInterval",
        "throttle": "1h",
        "alert_delay": {"active": 3},
        "artifacts": {"investigation_guide": {"blob": "call"}},
    }
    double.rules["r1"] |= {"actions": [{**action, "connector_type_id": ".email"}], "enabled": False, **owners}
    assert _actions(kibana)["r1"] == "same"
    double.rules["r1"]["params"] = {"threshold": [7]}
    assert install_kibana(kibana) == ["same"] * 3 + ["change"]
    assert double.rules["r1"]["params"] == {"threshold": [0]}
    assert double.rules["r1"]["actions"] == [action]
    assert double.rules["r1"]["enabled"] is False
    assert owners.items() <= double.rules["r1"].items()


@pytest.mark.parametrize(
    ("theirs", "said"),
    [
        (HAND_MADE, r"dashboard 'd1' \(mi ne\) is there, and not made by lexilog"),
        ({**BOARD, "managed": True}, r"dashboard 'd1' \(Überblick\) is managed, .*: remove the package first"),
    ],
)
def test_what_others_have_made_is_refused_and_left(
    kibana: Kibana, double: KibanaDouble, theirs: Any, said: str
) -> None:
    """An object with an id of ours that does not carry our stamp, or that Fleet manages, is never overwritten."""
    double.saved["dashboard", "d1"] = theirs
    with pytest.raises(LexilogError, match=said):
        plan_kibana(kibana, force=True)
    assert _actions(kibana, remove=True) == {"d1": "keep"}


def test_all_that_stands_in_the_way_is_named(kibana: Kibana, double: KibanaDouble) -> None:
    """Data views are known by pattern or name, rules by their tag."""
    install_kibana(kibana)
    double.saved["index-pattern", "v1"]["attributes"] |= {"title": "metrics-*", "name": "other"}
    double.rules["r1"]["tags"] = ["mine"]
    with pytest.raises(LexilogError, match=r"data view 'v1' \(other\) .*\nalert rule 'r1' .* not made by lexilog"):
        plan_kibana(kibana)


def test_what_a_newer_lexilog_made_is_not_changed_back(kibana: Kibana, double: KibanaDouble) -> None:
    """As in the cluster: told, and done with --force alone."""
    install_kibana(kibana)
    double.saved["dashboard", "d1"]["attributes"]["description"] = "What is down? (lexilog 99.0.0)"
    double.rules["r1"]["tags"] = ["lexilog", "lexilog 98.0.0"]
    said = r"dashboard 'd1' \(Überblick\) is of lexilog 99\.0\.0, this is 1\.2\.0: .*\nalert rule 'r1' .* 98\.0\.0"
    with pytest.raises(LexilogError, match=said):
        plan_kibana(kibana)
    assert install_kibana(kibana, force=True) == ["same", "same", "change", "change"]
    assert _actions(kibana)["d1"] == "same"


def test_removal_takes_what_is_ours(kibana: Kibana, double: KibanaDouble) -> None:
    """Dashboards go before what they refer to; what is not there, or has another id, is left alone."""
    install_kibana(kibana)
    double.saved["dashboard", "theirs"] = {**HAND_MADE, "id": "theirs"}
    del double.rules["r1"]
    steps = plan_kibana(kibana, remove=True)
    assert [(step.action, step.name) for step in steps] == [("remove", "d1"), ("remove", "s1"), ("remove", "v1")]
    assert apply(steps, kibana, lambda _step: None) == []
    assert list(double.saved) == [("dashboard", "theirs")]
    assert kibana.read(OBJECTS) == {}


@pytest.mark.parametrize(("refers_to", "stays"), [("v1", {"v1"}), ("s1", {"s1", "v1"})])
def test_what_users_refer_to_stays(kibana: Kibana, double: KibanaDouble, refers_to: str, stays: set[str]) -> None:
    """A user's own dashboard, or a clone of ours, keeps its search and its data view; the plan says for whom."""
    install_kibana(kibana)
    kind = {"v1": "index-pattern", "s1": "search"}[refers_to]
    references = [{"type": kind, "id": refers_to, "name": "x"}]
    double.saved["dashboard", "clone"] = {**BOARD, "id": "clone", "references": references}
    steps = plan_kibana(kibana, remove=True)
    assert {step.name for step in steps if step.action == "keep"} == stays
    assert "used by dashboard 'Überblick'" in {step.note for step in steps}
    assert apply(steps, kibana, lambda _step: None) == []
    assert {key[1] for key in double.saved} == {*stays, "clone"}


def test_what_a_stranger_under_our_id_refers_to_stays(kibana: Kibana, double: KibanaDouble) -> None:
    """The dashboard that is left alone as it is not ours is not broken either."""
    install_kibana(kibana)
    double.saved["dashboard", "d1"] = {**HAND_MADE, "references": TO_VIEW}
    assert _actions(kibana, remove=True) == {"r1": "remove", "s1": "remove", "v1": "keep", "d1": "keep"}


def test_what_a_dashboard_needs_that_cannot_go_stays(kibana: Kibana, double: KibanaDouble) -> None:
    """Kibana refuses to delete a dashboard that is shared with other spaces: it keeps its data view and search."""
    install_kibana(kibana)
    told = "Unable to delete saved object that exists in multiple namespaces"
    double.broken["DELETE /api/saved_objects/dashboard/d1"] = (400, {"message": told})
    kept = apply(plan_kibana(kibana, remove=True), kibana, lambda _step: None)
    assert {key[1] for key in double.saved} == {"d1", "s1", "v1"}
    assert told in kept[0]
    assert len(kept) == 3


def test_what_a_rule_shows_stays_with_the_rule(kibana: Kibana, double: KibanaDouble) -> None:
    """A rule may refer to a dashboard as its runbook: one of ours goes first and takes it along, a user's keeps it."""
    install_kibana(kibana)
    shows = {"type": "alert", "attributes": {"name": "Mine"}, "references": [{"type": "dashboard", "id": "d1"}]}
    double.saved["alert", "r1"] = {**shows, "id": "r1"}
    steps = plan_kibana(kibana, remove=True)
    assert [(step.action, step.name) for step in steps] == [("remove", name) for name in ("r1", "d1", "s1", "v1")]
    double.saved["alert", "r2"] = {**shows, "id": "r2"}
    assert _actions(kibana, remove=True) == {"r1": "remove", "d1": "keep", "s1": "keep", "v1": "keep"}
    assert plan_kibana(kibana, remove=True)[1].note == "used by alert rule 'Mine'"
