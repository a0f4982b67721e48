"""The integration package: one content in every part of it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from lexilog.catalog.fields import fields
from lexilog.compilers.elasticsearch import package, package_kibana
from lexilog.compilers.elasticsearch.mapping import mapping
from lexilog.compilers.kibana.alerts import rules
from lexilog.compilers.kibana.saved_objects import DATA_VIEWS
from lexilog.compilers.source import Files, Source, load_source

STREAM = "data_stream/log"


@pytest.fixture(scope="module")
def source() -> Source:
    return load_source()


@pytest.fixture(scope="module")
def made(source: Source) -> Files:
    """Return the files by their path in the package."""
    return {path.removeprefix(f"{package.ROOT}/"): content for path, content in package.files(source).items()}


def _loaded(made: Files, path: str) -> Any:
    return yaml.safe_load(made[path])


def test_two_builds_are_equal(source: Source) -> None:
    """A build depends on nothing but the knowledge: no clock, no order of a set."""
    assert package.files(source) == package.files(source)


def test_each_file_is_below_the_root(source: Source) -> None:
    """The package lies in a folder of its name, as Elastic's tools want it."""
    assert {path.startswith("mappings/elasticsearch/package/lexilog/") for path in package.files(source)} == {True}


def test_manifest_and_changelog_name_our_version(made: Files, source: Source) -> None:
    """The newest entry of the changelog is the version of the package, which is that of lexilog."""
    assert _loaded(made, "manifest.yml")["version"] == source.version
    assert _loaded(made, "changelog.yml")[0]["version"] == source.version


def test_declares_the_whole_field_table(made: Files) -> None:
    """Each field of the table is declared once, just as the templates map it, and no other field is."""
    declared = [one for path in made if "/fields/" in path for one in _loaded(made, path)]
    assert {one["name"]: _mapped(one) for one in declared} == {name: mapping(one) for name, one in fields().items()}
    assert len(declared) == len(fields())
    assert {one["name"] for one in declared if "normalize" in one} == {
        name for name, field in fields().items() if field.array
    }


def _mapped(declared: dict[str, Any]) -> dict[str, Any]:
    """Return a declaration as a mapping, in which what is there for people is left out."""
    found = {key: value for key, value in declared.items() if key not in ("name", "description", "normalize")}
    if forms := found.pop("multi_fields", None):
        found["fields"] = {form.pop("name"): form for form in forms}
    return found


def test_the_sample_is_of_declared_fields(made: Files) -> None:
    """The sample event holds no field that is not declared, and lies in the data stream of the package."""
    sample = json.loads(made[f"{STREAM}/sample_event.json"])
    names = {name for name in _leaves(sample, "") if not name.startswith("lexilog.variables.")}
    assert names <= set(fields())
    assert sample["data_stream"] == {"type": "logs", "dataset": "lexilog.log", "namespace": "default"}
    assert sample["lexilog"]["match"]["quality"] == "prefix"


def _leaves(value: dict[str, Any], prefix: str) -> Iterator[str]:
    for key, inner in value.items():
        if isinstance(inner, dict) and prefix + key not in fields():
            yield from _leaves(inner, f"{prefix}{key}.")
        else:
            yield prefix + key


def test_each_input_has_its_template_and_settings(made: Files) -> None:
    """Both manifests have the same inputs; what a template fills in is a setting, and each setting is filled in."""
    streams = _loaded(made, f"{STREAM}/manifest.yml")["streams"]
    inputs = _loaded(made, "manifest.yml")["policy_templates"][0]["inputs"]
    assert [one["input"] for one in streams] == [one["type"] for one in inputs]
    for one in streams:
        template = made[f"{STREAM}/agent/stream/{one['template_path']}"].decode()
        used = set(re.findall(r"{{[#/]?(?:each |if |contains \"\w+\" )?([a-z_]+)[ }]", template)) - {
            "each", "if", "contains", "tag", "path",
        }  # fmt: skip
        assert used == {var["name"] for var in one["vars"]}


def test_one_input_is_on(made: Files) -> None:
    """One input alone is on by default, and it listens on this machine alone."""
    streams = _loaded(made, f"{STREAM}/manifest.yml")["streams"]
    (on,) = (one for one in streams if one["enabled"])
    assert {var["name"]: var.get("default") for var in on["vars"]}["listen_address"] == "localhost"


def test_the_pipeline_stays_in_the_data_stream(made: Files) -> None:
    """The pipeline sends no record to another data stream: agents and roles of Fleet know this one alone."""
    pipeline = json.loads(made[f"{STREAM}/elasticsearch/ingest_pipeline/default.json"])
    first, last = pipeline["processors"][0], pipeline["processors"][-1]
    assert first["set"]["copy_from"] == "_index"
    assert "ctx._index = index" in last["script"]["source"]
    assert pipeline["on_failure"][-1]["script"]["source"] == last["script"]["source"]


def test_the_pipeline_takes_out_what_no_term_can_hold(made: Files) -> None:
    """Fleet sets no bound for flattened fields, so each step that shapes a record does."""
    pipeline = json.loads(made[f"{STREAM}/elasticsearch/ingest_pipeline/default.json"])
    steps = [step.get("script", {}) for step in (*pipeline["processors"], *pipeline["on_failure"])]
    params = [step["params"] for step in steps if "shape" in step.get("params", {})]
    assert [one["longest"] for one in params] == [8191, 8191]


def test_pipelines_call_those_of_the_package(made: Files) -> None:
    """Each pipeline that another one calls is in the package, and none is left out or called twice in one file.

    Fleet fills in the first call alone.
    """
    folder = f"{STREAM}/elasticsearch/ingest_pipeline/"
    texts = {path.removeprefix(folder): content.decode() for path, content in made.items() if path.startswith(folder)}
    calls = {path: re.findall(r"{{ IngestPipeline '(.*?)' }}", text) for path, text in texts.items()}
    assert {f"{stem}.json" for found in calls.values() for stem in found} == set(texts) - {"default.json"}
    assert [path for path, found in calls.items() if len(found) != len(set(found))] == []
    assert [path for path, text in texts.items() if '"lexilog@' in text] == []


def _objects(made: Files) -> dict[str, dict[str, Any]]:
    return {path: json.loads(content) for path, content in made.items() if path.startswith("kibana/")}


def test_saved_objects_lie_under_their_ids(made: Files) -> None:
    """Each object is a file of its id, and refers to what is in the package or to Fleet's data view."""
    objects = _objects(made)
    assert {one["type"] for one in objects.values()} == {"dashboard", "search", "alerting_rule_template"}
    there = {(one["type"], one["id"]) for one in objects.values()} | {("index-pattern", "logs-*")}
    for path, one in objects.items():
        assert path == f"kibana/{one['type']}/{one['id']}.json"
        assert {(other["type"], other["id"]) for other in one["references"]} <= there
        assert not [view for view in DATA_VIEWS.values() if view in json.dumps(one)]


def test_a_text_that_is_no_reference_is_left_alone(source: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    """The id of our data view is exchanged where it refers to one, and nowhere else, inside texts of JSON too."""
    view = DATA_VIEWS["@timestamp"]
    panels = [{"title": view, "references": [{"type": "index-pattern", "id": view}]}, {"dataViewId": view}]
    attributes = {
        "title": view,
        "panelsJSON": json.dumps(panels),
        "kibanaSavedObjectMeta": {"searchSourceJSON": "{}"},
    }
    one = {"type": "dashboard", "id": view, "attributes": attributes, "references": []}
    monkeypatch.setattr(package_kibana, "saved_objects", lambda _: [one])
    found = package_kibana.package_objects(source, "lexilog.log")[f"dashboard/{view}.json"]
    moved = [{"title": view, "references": [{"type": "index-pattern", "id": "logs-*"}]}, {"dataViewId": "logs-*"}]
    assert (found["attributes"]["title"], json.loads(found["attributes"]["panelsJSON"])) == (view, moved)


def test_saved_objects_are_kept_to_the_package(made: Files) -> None:
    """Each dashboard and search is filtered by the data stream of the package: the data view has all logs."""
    for one in _objects(made).values():
        if one["type"] in ("dashboard", "search"):
            search = json.loads(one["attributes"]["kibanaSavedObjectMeta"]["searchSourceJSON"])
            (found,) = search["filter"]
            assert found["query"] == {"match_phrase": {"data_stream.dataset": "lexilog.log"}}
            assert found["meta"]["indexRefName"] in {other["name"] for other in one["references"]}


def test_each_alert_is_a_template(made: Files, source: Source) -> None:
    """Each alert is in the package as the template of the rule that `lexilog install` makes."""
    templates = [one["attributes"] for one in _objects(made).values() if one["type"] == "alerting_rule_template"]
    found = {one["name"]: (one["ruleTypeId"], one["schedule"], one["params"]) for one in templates}
    assert found == {one["name"]: (one["rule_type_id"], one["schedule"], one["params"]) for one in rules(source)}


def test_the_changelog_names_no_page_of_others(made: Files) -> None:
    """The format demands a link, and lexilog has no page: the link is to none."""
    (change,) = _loaded(made, "changelog.yml")[0]["changes"]
    assert change["link"] == "about:blank"


def test_the_page_tells_fields_and_catalogues(made: Files, source: Source) -> None:
    """The page lists every field and every catalogue, and says what is other than by `lexilog install`."""
    page = made["docs/README.md"].decode()
    assert [field.name for field in fields().values() if f"| `{field.name}` |" not in page] == []
    assert [one.title for one in source.catalogs if one.title not in page] == []
    assert [one for one in ("`flattened`", "Alerts") if one not in page] == []
