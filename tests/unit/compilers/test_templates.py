"""What is made for a cluster to take records: names, order, and the mapping of each field."""

from __future__ import annotations

import json
from typing import Any

import pytest

from lexilog.catalog.fields import ecs, fields
from lexilog.compilers import field_page
from lexilog.compilers.elasticsearch.objects import ClusterObject
from lexilog.compilers.elasticsearch.templates import Lifecycle, files, templates
from lexilog.compilers.source import Source

SOURCE = Source((), "7.8.9")
META = {"managed_by": "lexilog", "version": "7.8.9"}
COMPONENTS = ["lexilog@settings", "lexilog@ecs", "lexilog@fields"]


def by_name(made: tuple[ClusterObject, ...], kind: str) -> dict[str, dict[str, Any]]:
    return {one.name: one.body for one in made if one.kind == kind}


def mappings(made: tuple[ClusterObject, ...]) -> dict[str, Any]:
    """Return the mapping of every field, whichever component template has it."""
    found: dict[str, Any] = {}
    for body in by_name(made, "component_template").values():
        found |= body["template"].get("mappings", {}).get("properties", {})
    return found


@pytest.mark.parametrize(
    ("lifecycle", "first", "last"),
    [
        ("ilm", [("lifecycle_policy", "lexilog")], ["lexilog@ilm"]),
        ("dsl", [], ["lexilog@dsl"]),
        (None, [], []),
    ],
)
def test_each_stands_on_those_before_it(
    lifecycle: Lifecycle | None, first: list[tuple[str, str]], last: list[str]
) -> None:
    """In this order a cluster that is cut off half-way has no template that names what is missing."""
    made = templates(SOURCE, lifecycle=lifecycle, pipeline=True)
    components = [("component_template", name) for name in [*COMPONENTS, *last]]
    indices = [("index_template", "lexilog"), ("index_template", "lexilog-raw")]
    assert [(one.kind, one.name) for one in made] == [*first, *components, *indices]
    for body in by_name(made, "index_template").values():
        assert body["composed_of"] == [*COMPONENTS, *last, "lexilog@custom"]
        assert body["ignore_missing_component_templates"] == ["lexilog@custom"]


def test_the_admins_template_is_never_made() -> None:
    """What is in lexilog@custom is the admin's, and has the last word."""
    for lifecycle in ("ilm", "dsl", None):
        assert "lexilog@custom" not in by_name(
            templates(SOURCE, lifecycle=lifecycle, pipeline=True), "component_template"
        )


def test_index_templates() -> None:
    """The data streams, above Elastic's own template for logs; lines as they are pass the pipeline, and only they."""
    made = by_name(templates(SOURCE, lifecycle="dsl", pipeline=True), "index_template")
    found = {name: (body["index_patterns"], body["priority"], body["data_stream"]) for name, body in made.items()}
    assert found == {
        "lexilog": (["logs-lexilog.*-*"], 200, {}),
        "lexilog-raw": (["logs-lexilog.raw-*"], 210, {}),
    }
    assert "template" not in made["lexilog"]
    assert made["lexilog-raw"]["template"] == {"settings": {"index": {"default_pipeline": "lexilog"}}}
    assert list(by_name(templates(SOURCE, lifecycle="dsl"), "index_template")) == ["lexilog"]


@pytest.mark.parametrize("opensearch", [False, True])
def test_everything_says_whose_it_is(opensearch: bool) -> None:
    """Each object carries name and version, so that it is known again."""
    for one in templates(SOURCE, lifecycle=None if opensearch else "ilm", opensearch=opensearch, pipeline=True):
        holder = one.body["policy"] if one.kind == "lifecycle_policy" else one.body
        assert holder["_meta"] == META, one.name


@pytest.mark.parametrize("opensearch", [False, True])
def test_every_field_is_mapped_once(opensearch: bool) -> None:
    """ECS's fields and ours are in one component template each; together they are the field table."""
    made = templates(SOURCE, lifecycle=None, opensearch=opensearch)
    components = by_name(made, "component_template")
    parts = {name: set(body["template"]["mappings"].get("properties", {})) for name, body in components.items()}
    assert parts == {
        "lexilog@settings": set(),
        "lexilog@ecs": {name for name in fields() if not name.startswith("lexilog.")},
        "lexilog@fields": {name for name in fields() if name.startswith("lexilog.")},
    }


def test_fields_of_ecs_are_mapped_as_ecs_says() -> None:
    """Type, bound and further forms are those of ECS 9.4.0; only members of flattened fields have a bound of ours."""
    found = mappings(templates(SOURCE, lifecycle=None))
    for name, field in ecs().items():
        wanted: dict[str, Any] = {"type": field.type}
        if not field.index:
            wanted["index"] = False
        if not field.doc_values:
            wanted["doc_values"] = False
        if field.ignore_above:
            wanted["ignore_above"] = field.ignore_above
        if field.multi_fields:
            wanted["fields"] = {form: {"type": kind} for form, kind in field.multi_fields.items()}
        if field.type == "flattened":
            wanted["ignore_above"] = 8191
        if name == "@timestamp":
            wanted["ignore_malformed"] = False
        assert found[name] == wanted, name
    assert found["event.original"] == {"type": "keyword", "index": False, "doc_values": False}
    assert found["user.name"]["fields"] == {"text": {"type": "match_only_text"}}


def test_texts_of_the_catalogue_are_found_by_their_words() -> None:
    """They are one value to count by, however long, and words to search for."""
    found = mappings(templates(SOURCE, lifecycle=None))
    for name in ("explanation", "cause", "action", "vendor_action"):
        wanted = {"type": "keyword", "ignore_above": 8191, "fields": {"text": {"type": "match_only_text"}}}
        assert found[f"lexilog.{name}"] == wanted


@pytest.mark.parametrize("opensearch", [False, True])
def test_no_term_is_too_long_for_the_engine(opensearch: bool) -> None:
    """A keyword that is indexed is bounded below 32,766 bytes, or a long value would cost the document."""
    unbounded = {
        name
        for name, one in mappings(templates(SOURCE, lifecycle=None, opensearch=opensearch)).items()
        if one["type"] in ("keyword", "flattened")
        and one.get("index", True)
        and one.get("ignore_above", 10**9) * 3 > 32_766
    }
    # Named by us or by the relay, and short.
    assert unbounded <= {"data_stream.type", "data_stream.dataset", "data_stream.namespace"}


def test_nothing_unknown_is_mapped() -> None:
    """New names of a vendor or an agent make no mapping grow, and what does not fit is no error.

    Names are nested: with ``subobjects: false`` one deep document would end an Elasticsearch node.
    """
    settings = by_name(templates(SOURCE, lifecycle=None), "component_template")["lexilog@settings"]["template"]
    assert settings["mappings"] == {"dynamic": False, "date_detection": False}
    assert settings["settings"]["index"]["mapping"]["ignore_malformed"] is True


def test_nothing_is_deleted_unless_the_admin_says_so() -> None:
    """Both lifecycles roll over, and neither ends the data."""
    [policy] = by_name(templates(SOURCE, lifecycle="ilm"), "lifecycle_policy").values()
    assert list(policy["policy"]["phases"]) == ["hot"]
    assert list(policy["policy"]["phases"]["hot"]["actions"]) == ["rollover"]
    dsl = by_name(templates(SOURCE, lifecycle="dsl"), "component_template")["lexilog@dsl"]["template"]
    assert dsl == {"lifecycle": {"enabled": True}}


def test_opensearch_gets_what_it_knows() -> None:
    """No type, setting or lifecycle of Elasticsearch alone, and no component template that does not exist."""
    made = templates(SOURCE, lifecycle=None, opensearch=True, pipeline=True)
    types = {one["type"] for one in mappings(made).values()}
    assert "flat_object" in types
    assert not types & {"flattened", "constant_keyword"}
    text = json.dumps([one.body for one in made])
    assert not [word for word in ("subobjects", "ignore_missing", "lifecycle", "lexilog@custom") if word in text]


def test_files() -> None:
    """One file for each object, for both engines; the index templates name a lifecycle that needs no policy."""
    made = files(SOURCE)
    components = [*COMPONENTS, "lexilog@dsl", "lexilog@ilm"]
    indices = ["lexilog", "lexilog-raw"]
    folder = "mappings/elasticsearch"
    assert set(made) == {
        f"{folder}/lifecycle/lexilog.json",
        *(f"{folder}/component_template/{name}.json" for name in components),
        *(f"{folder}/index_template/{name}.json" for name in indices),
        *(f"{folder}/opensearch/component_template/{name}.json" for name in COMPONENTS),
        *(f"{folder}/opensearch/index_template/{name}.json" for name in indices),
    }
    index = json.loads(made[f"{folder}/index_template/lexilog.json"])
    assert index["composed_of"] == [*COMPONENTS, "lexilog@dsl", "lexilog@custom"]


def test_the_page_of_fields_has_them_all() -> None:
    """docs/fields.md tells each field once, with its type, level, meaning and example."""
    [page] = field_page.files(SOURCE).values()
    rows = [line.split(" | ") for line in page.decode().splitlines() if line.startswith("| `")]
    assert sorted(row[0].removeprefix("| ").strip("`") for row in rows) == sorted(fields())
    for row in rows:
        field = fields()[row[0].removeprefix("| ").strip("`")]
        assert row[1:4] == [field.type + "[]" * field.array, field.level, field.text.replace("|", "\\|")]
        assert len(row) == 5
