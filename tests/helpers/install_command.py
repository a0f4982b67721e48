"""What the tests of `lexilog install elasticsearch` share: doubles of both servers, and small objects to install."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from click.testing import CliRunner, Result

from elastic_doubles import ElasticsearchDouble, serving
from kibana_double import KibanaDouble
from lexilog.cli import cli
from lexilog.compilers.elasticsearch.objects import ClusterObject
from lexilog.compilers.source import Source

__all__ = ["META", "Run", "double", "failed", "kibana", "run", "small", "told"]

Run = Callable[..., Result]

META = {"managed_by": "lexilog", "version": "1.2.0"}
VIEW = {"type": "index-pattern", "id": "v1", "attributes": {"title": "logs-lexilog.*"}, "references": []}
RULE = {
    "id": "r1",
    "name": "lexilog: down",
    "consumer": "stackAlerts",
    "params": {},
    "tags": ["lexilog"],
    "actions": [],
}

_TEMPLATE = {"lexilog@dsl": {"lifecycle": {"enabled": True}}}


def _templates(_source: Source, *, lifecycle: str | None, pipeline: bool) -> tuple[ClusterObject, ...]:
    """Stand in for the compiler: one template, its lifecycle, and the one for raw lines."""
    composed = ["lexilog@ecs", *([f"lexilog@{lifecycle}"] if lifecycle else [])]
    parts = [
        ClusterObject("component_template", name, {"template": _TEMPLATE.get(name, {}), "_meta": META})
        for name in composed
    ]
    body = {"index_patterns": ["logs-lexilog.*-*"], "priority": 200, "composed_of": composed, "_meta": META}
    raw = {**body, "index_patterns": ["logs-lexilog.raw-*"], "priority": 210}
    policy = [ClusterObject("lifecycle_policy", "lexilog", {"policy": {"phases": {}, "_meta": META}})]
    names = [("lexilog", body), *([("lexilog-raw", raw)] if pipeline else [])]
    made = [ClusterObject("index_template", name, one) for name, one in names]
    return (*(policy if lifecycle == "ilm" else []), *parts, *made)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Put doubles in the place of what compiles the catalogues: what they return is small, and known here."""
    pipeline = ClusterObject("ingest_pipeline", "lexilog", {"processors": [], "_meta": META})
    monkeypatch.setattr("lexilog.cli.install.load_source", lambda _paths: Source((), "1.2.0"))
    monkeypatch.setattr("lexilog.install.wanted.templates", _templates)
    monkeypatch.setattr("lexilog.install.wanted.pipelines", lambda _source: (pipeline,))
    monkeypatch.setattr("lexilog.install.installation.saved_objects", lambda _source: [VIEW])
    monkeypatch.setattr("lexilog.install.installation.rules", lambda _source, per_row: [{**RULE, "rows": per_row}])


@pytest.fixture
def double() -> Iterator[ElasticsearchDouble]:
    """Return a double of a cluster that serves."""
    double = ElasticsearchDouble()
    with serving(double):
        yield double


@pytest.fixture
def kibana() -> Iterator[KibanaDouble]:
    """Return a double of Kibana that serves."""
    double = KibanaDouble()
    with serving(double):
        yield double


@pytest.fixture
def run(double: ElasticsearchDouble, small: None) -> Run:
    """Return a function that runs the command on the double."""

    def run(*options: str, url: str = double.url, **settings: Any) -> Result:
        return CliRunner().invoke(cli, ["install", "elasticsearch", "--url", url, *options], **settings)

    return run


def told(done: Result) -> str:
    """Return all that was said, the error that the command line prints too."""
    return done.output + str(done.exception or "")


def failed(done: Result, words: str, code: int = 1) -> None:
    assert done.exit_code == code, told(done)
    assert words in told(done)
    assert "Traceback" not in told(done)
