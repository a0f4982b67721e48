"""What becomes of data streams that are there already."""

from __future__ import annotations

from typing import Any

import pytest

from lexilog.compilers.elasticsearch.objects import ClusterObject
from lexilog.install.plan import Step
from lexilog.install.streams import LIFECYCLE, lifecycles, of_templates, outdated


def _template(name: str, pattern: str, priority: int, *parts: str) -> ClusterObject:
    return ClusterObject(
        "index_template", name, {"index_patterns": [pattern], "priority": priority, "composed_of": list(parts)}
    )


ALL = _template("lexilog", "logs-lexilog.*-*", 200, "lexilog@ecs")
RAW = _template("lexilog-raw", "logs-lexilog.raw-*", 210)
STREAMS = ["logs-lexilog.a-default", "logs-lexilog.raw-default", "logs-lexilog.theirs-default"]
OTHERS: dict[str, dict[str, Any]] = {
    "logs": {"index_patterns": ["logs-*-*"], "priority": 100},
    "theirs": {"index_patterns": "logs-lexilog.theirs-*", "priority": 500},
    "bare": {"index_patterns": ["logs-lexilog.*"]},
}


def test_a_data_stream_is_of_the_template_that_makes_its_next_index() -> None:
    """Of the templates that match the one of the highest priority counts, whoever has made it."""
    found = of_templates(STREAMS, [ALL, RAW], OTHERS)
    assert {stream: template.name for stream, template in found.items()} == {
        "logs-lexilog.a-default": "lexilog",
        "logs-lexilog.raw-default": "lexilog-raw",
    }


@pytest.mark.parametrize(
    ("step", "streams"),
    [
        (Step("create", *RAW, is_new_shape=True), ["logs-lexilog.raw-default"]),
        (Step("change", "component_template", "lexilog@ecs", is_new_shape=True), ["logs-lexilog.a-default"]),
        (Step("change", "component_template", "lexilog@ecs"), []),
    ],
)
def test_outdated(step: Step, streams: list[str]) -> None:
    """A data stream is behind where its template, or a part of it, is new or changes in more than its stamp."""
    assert outdated(of_templates(STREAMS, [ALL, RAW], OTHERS), [step]) == streams


def test_a_lifecycle_is_given_to_what_has_none() -> None:
    """It is the template's, with what the user's own component template says of it; without one there is no step."""
    dsl = ClusterObject("component_template", "lexilog@dsl", {"template": {"lifecycle": {"enabled": True}}})
    custom = {("component_template", "lexilog@custom"): {"template": {"lifecycle": {"data_retention": "90d"}}}}
    assert lifecycles(["a"], [ALL, dsl], custom) == [
        Step("create", LIFECYCLE, "a", {"enabled": True, "data_retention": "90d"})
    ]
    assert lifecycles(["a"], [ALL], {}) == []
