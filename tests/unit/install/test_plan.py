"""What a plan says of what there is and what should be."""

from __future__ import annotations

from typing import Any

import pytest

from lexilog.compilers.elasticsearch.objects import ClusterObject
from lexilog.compilers.elasticsearch.pipeline import pipelines
from lexilog.compilers.elasticsearch.templates import Lifecycle, templates
from lexilog.compilers.source import Source
from lexilog.errors import LexilogError
from lexilog.install.clash import clashes, meet
from lexilog.install.plan import Step, is_ours, plan_install, plan_remove

META = {"managed_by": "lexilog", "version": "1.2.0"}
ECS = ClusterObject(
    "component_template",
    "lexilog@ecs",
    {
        "template": {
            "settings": {"index": {"mapping.total_fields": {"limit": 2000}}, "index.codec": "best_compression"},
            "mappings": {"dynamic": False, "properties": {"@timestamp": {"type": "date"}}},
            "lifecycle": {"data_retention": "90d"},
        },
        "_meta": META,
    },
)
TEMPLATE = ClusterObject(
    "index_template",
    "lexilog",
    {
        "index_patterns": ["logs-lexilog.*-*"],
        "composed_of": ["lexilog@ecs"],
        "priority": 200,
        "data_stream": {},
        "_meta": META,
    },
)
PIPELINE = ClusterObject(
    "ingest_pipeline", "lexilog", {"processors": [{"set": {"field": "a", "value": 1}}], "_meta": META}
)
POLICY = ClusterObject(
    "lifecycle_policy",
    "lexilog",
    {"policy": {"phases": {"delete": {"min_age": "90d", "actions": {"delete": {}}}}, "_meta": META}},
)
WANTED = (TEMPLATE, PIPELINE, ECS, POLICY)
# As Elasticsearch 9.4 gives back what is above; the policy as its documentation says.
THERE: dict[tuple[str, str], Any] = {
    ("component_template", "lexilog@ecs"): {
        "template": {
            "settings": {"index": {"mapping": {"total_fields": {"limit": "2000"}}, "codec": "best_compression"}},
            "mappings": {"dynamic": False, "properties": {"@timestamp": {"type": "date"}}},
            "lifecycle": {"enabled": True, "data_retention": "90d"},
        },
        "_meta": META,
        "created_date_millis": 1795291250876,
        "modified_date_millis": 1795291250876,
    },
    ("index_template", "lexilog"): {
        **TEMPLATE.body,
        "data_stream": {"hidden": False, "allow_custom_routing": False},
        "created_date_millis": 1795291251351,
        "modified_date_millis": 1795291251351,
    },
    ("ingest_pipeline", "lexilog"): {**PIPELINE.body, "created_date_millis": 1, "modified_date_millis": 1},
    ("lifecycle_policy", "lexilog"): {
        "version": 1,
        "modified_date": "2026-01-15T12:00:00.000Z",
        "policy": {
            "phases": {"delete": {"min_age": "90d", "actions": {"delete": {"delete_searchable_snapshot": True}}}},
            "_meta": META,
        },
        "in_use_by": {"indices": [], "data_streams": [], "composable_templates": ["lexilog"]},
    },
}


def test_what_is_there_as_it_was_sent_is_the_same() -> None:
    """What a cluster adds and writes in another way is no change."""
    assert [step.action for step in plan_install(WANTED, THERE, "1.2.0")] == ["same"] * 4


def test_objects_are_made_after_those_that_they_name() -> None:
    """A run that is cut off leaves no template that names a component, pipeline or policy that is not there."""
    steps = plan_install(WANTED, {}, "1.2.0")
    assert [(step.action, step.kind) for step in steps] == [
        ("create", "lifecycle_policy"),
        ("create", "component_template"),
        ("create", "ingest_pipeline"),
        ("create", "index_template"),
    ]


def test_a_change_is_shown_as_a_difference() -> None:
    """The difference names what changes, from what to what, and nothing else."""
    newer = ECS._replace(body={**ECS.body, "_meta": {**META, "version": "1.3.0"}})
    (step,) = plan_install(
        [newer], {("component_template", "lexilog@ecs"): THERE["component_template", "lexilog@ecs"]}, "1.3.0"
    )
    assert step.action == "change"
    assert [line for line in step.diff if line[:1] in "+-"] == ['-    "version": "1.2.0"', '+    "version": "1.3.0"']
    assert not step.is_new_shape


def test_lines_of_a_script_are_compared_one_by_one() -> None:
    """A change in a script of many lines shows the line, and a long line is cut."""
    there = {("ingest_pipeline", "lexilog"): {"processors": [{"script": {"source": "a\nb\nc"}}], "_meta": META}}
    body = {"processors": [{"script": {"source": f"a\n{'x' * 5000}\nc"}}], "_meta": META}
    (step,) = plan_install([ClusterObject("ingest_pipeline", "lexilog", body)], there, "1.2.0")
    removed, added = [line for line in step.diff if line[:1] in "+-"]
    assert removed.strip("- ,") == '"b"'
    assert added.endswith(" …")
    assert len(added) < 200


@pytest.mark.parametrize("meta", [{}, {"_meta": {"managed_by": "someone"}}, {"_meta": "lexilog"}])
def test_what_others_made_is_refused(meta: dict[str, Any]) -> None:
    """An object under a name of ours without our stamp is never changed, and is named."""
    there = {("component_template", "lexilog@ecs"): {"template": {}, **meta}}
    with pytest.raises(LexilogError, match="component template 'lexilog@ecs' is there, and not made by lexilog"):
        plan_install(WANTED, there, "1.2.0", force=True)
    assert plan_remove(there, {}) == []


def test_a_newer_version_is_refused_unless_forced() -> None:
    """An older lexilog does not undo what a newer one has made, except on demand; 1.10 is newer than 1.9."""
    there = {("component_template", "lexilog@ecs"): {"template": {}, "_meta": {**META, "version": "1.10.0"}}}
    with pytest.raises(LexilogError, match=r"'lexilog@ecs' is of lexilog 1\.10\.0, this is 1\.9\.0"):
        plan_install([ECS], there, "1.9.0")
    assert [step.action for step in plan_install([ECS], there, "1.9.0", force=True)] == ["change"]


@pytest.mark.parametrize(
    ("version", "is_refused"), [("1.0.0rc1", False), ("1.0", False), ("1.0.1.dev1", True), ("no version", False)]
)
def test_what_is_newer_is_told_by_version(version: str, is_refused: bool) -> None:
    """A candidate gives way to its release; a stamp that is no version counts as older, and is put right."""
    there = {("component_template", "lexilog@ecs"): {"template": {}, "_meta": {**META, "version": version}}}
    if is_refused:
        with pytest.raises(LexilogError, match="upgrade lexilog"):
            plan_install([ECS], there, "1.0.0")
    else:
        assert [step.action for step in plan_install([ECS], there, "1.0.0")] == ["change"]


def test_a_copy_of_our_stamp_is_not_ours() -> None:
    """A clone keeps `_meta`: under a name that we never use, and under the user's own, an object stays."""
    clones = {
        ("component_template", name): {"template": {}, "_meta": META} for name in ("lexilog-mine", "lexilog@custom")
    }
    assert plan_install([ECS], clones, "1.2.0") == [Step("create", *ECS, is_new_shape=True)]
    assert plan_remove(clones, {}) == []


def test_all_that_is_made_is_known_as_ours() -> None:
    """No object of the compilers has a name that the installer would take for somebody else's."""
    source = Source((), "1.2.0")
    both: tuple[Lifecycle, ...] = ("ilm", "dsl")
    made = [one for lifecycle in both for one in templates(source, lifecycle=lifecycle, pipeline=True)]
    assert [one.name for one in (*made, *pipelines(source)) if not is_ours(*one)] == []


def test_what_an_earlier_run_left_is_told_and_kept() -> None:
    """A policy that no option asks for any more may still be used by indices: it stays, and --remove takes it."""
    steps = plan_install([ECS, TEMPLATE], THERE, "1.2.0")
    assert {(step.action, step.kind) for step in steps if step.action != "same"} == {
        ("keep", "ingest_pipeline"),
        ("keep", "lifecycle_policy"),
    }


def test_removal_goes_backwards_and_takes_only_what_is_ours() -> None:
    """What stands on something goes before it; what the user has added stays."""
    there = {
        **THERE,
        ("component_template", "lexilog@custom"): {"template": {}},
        ("ingest_pipeline", "lexilog@framing"): {"processors": [], "_meta": META},
    }
    assert [(step.action, step.kind, step.name) for step in plan_remove(there, {})] == [
        ("remove", "index_template", "lexilog"),
        ("remove", "ingest_pipeline", "lexilog"),
        ("remove", "ingest_pipeline", "lexilog@framing"),
        ("remove", "component_template", "lexilog@ecs"),
        ("remove", "lifecycle_policy", "lexilog"),
    ]


@pytest.mark.parametrize(
    ("user", "body", "kept"),
    [
        ("index_template", {"composed_of": ["lexilog@ecs"]}, "component_template"),
        ("index_template", {"template": {"settings": {"index": {"default_pipeline": "lexilog"}}}}, "ingest_pipeline"),
        ("component_template", {"template": {"settings": {"index.final_pipeline": "lexilog"}}}, "ingest_pipeline"),
        ("component_template", {"template": {"settings": {"lifecycle.name": "lexilog"}}}, "lifecycle_policy"),
        (
            "ingest_pipeline",
            {"processors": [{"foreach": {"processor": {"pipeline": {"name": "lexilog"}}}}]},
            "ingest_pipeline",
        ),
    ],
)
def test_what_others_stand_on_is_not_removed(user: str, body: dict[str, Any], kept: str) -> None:
    """An object that others use stays, and who uses it is named."""
    steps = plan_remove(THERE, {(user, "theirs"): body})
    assert [(step.kind, step.note) for step in steps if step.action == "keep"] == [
        (kept, f"used by {user.replace('_', ' ')} theirs")
    ]
    assert len(steps) == 4


def test_what_is_kept_keeps_what_it_stands_on() -> None:
    """A pipeline of ours that others call still needs the one that it calls itself."""
    inner = ("ingest_pipeline", "lexilog@framing")
    outer = {"processors": [{"pipeline": {"name": "lexilog@framing"}}], "_meta": META}
    there = {inner: {"processors": [], "_meta": META}, ("ingest_pipeline", "lexilog"): outer}
    theirs = {("ingest_pipeline", "theirs"): {"processors": [{"pipeline": {"name": "lexilog"}}]}}
    assert [step.action for step in plan_remove(there, theirs)] == ["keep", "keep"]


@pytest.mark.parametrize(
    ("one", "other", "do"),
    [
        ("logs-lexilog.*-*", "logs-*-*", True),
        ("logs-lexilog.*-*", "*", True),
        ("logs-lexilog.*-*", "*-prod", True),
        ("logs-lexilog.*-*", "logs-lexilog.raw-default", True),
        ("logs-lexilog.*-*", "logs-lexilog-*", False),
        ("logs-lexilog.*-*", "metrics-*", False),
        ("logs-lexilog.raw-*", "logs-lexilog.juniper_*-*", False),
        ("a*b", "ab", True),
        ("a*b", "a*c", False),
        ("a", "a", True),
        ("a", "b", False),
    ],
)
def test_patterns_meet(one: str, other: str, do: bool) -> None:
    """Two patterns meet where a name can match both, whichever comes first."""
    assert meet(one, other) is do
    assert meet(other, one) is do


def _other(priority: int | None, *patterns: str) -> dict[str, dict[str, Any]]:
    body: dict[str, Any] = {"index_patterns": list(patterns)}
    return {"theirs": body if priority is None else {**body, "priority": priority}}


def test_a_template_of_the_same_priority_is_refused() -> None:
    """Elasticsearch would refuse it as well; here its name and priority are told before anything is changed."""
    problems, notes = clashes([TEMPLATE], _other(200, "logs-*-*"))
    assert notes == []
    assert len(problems) == 1
    assert "'theirs' (priority 200, logs-*-*) meets ours 'lexilog'" in problems[0]


def test_a_template_that_takes_all_is_refused() -> None:
    """With a higher priority and patterns as wide as ours it would leave us nothing."""
    problems, _ = clashes([TEMPLATE], _other(500, "logs-*"))
    assert len(problems) == 1
    assert "'theirs' (priority 500, logs-*) would take all data streams of ours" in problems[0]


def test_a_template_that_takes_some_is_told() -> None:
    """A template for some of our data streams may be an admin's own wish: it is a note."""
    problems, notes = clashes([TEMPLATE], _other(500, "logs-lexilog.juniper_kmd-*"))
    assert problems == []
    assert len(notes) == 1
    assert "'theirs' (priority 500" in notes[0]


@pytest.mark.parametrize("priority", [None, 0, 100, 199])
def test_a_template_of_lower_priority_is_no_matter(priority: int | None) -> None:
    """Elastic's own template for logs-*-* has priority 100."""
    assert clashes([TEMPLATE], _other(priority, "logs-*-*")) == ([], [])
