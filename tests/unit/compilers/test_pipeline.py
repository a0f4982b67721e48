"""The ingest pipeline as it is put together, without a node; tests/e2e/elasticsearch runs it on real ones."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

import lexilog.compilers.elasticsearch.painless as painless
from lexilog.catalog.fields import TYPED, fields
from lexilog.compilers.elasticsearch.framing import FRAMING
from lexilog.compilers.elasticsearch.pipeline import CUSTOM, NAME, files, pipelines
from lexilog.compilers.elasticsearch.tables import enrich_table, match_table
from lexilog.compilers.source import Source, load_source
from lexilog.enrich.plan import Plan
from lexilog.enrich.values import converter
from lexilog.matching.types import TYPES

FOLDER = Path(painless.__file__).parent


@pytest.fixture(scope="module")
def source() -> Source:
    """Return the shipped knowledge."""
    return load_source()


def scripts(value: Any) -> list[dict[str, Any]]:
    """Return every script of a pipeline, however deep it stands."""
    if isinstance(value, list):
        return [found for item in value for found in scripts(item)]
    if not isinstance(value, dict):
        return []
    here = [value["script"]] if "source" in value.get("script", {}) else []
    return here + [found for item in value.values() for found in scripts(item)]


def test_a_pipeline_comes_after_those_that_it_calls(source: Source) -> None:
    """The order is that in which a cluster can take them, and the user's own pipeline is called and never made."""
    made = pipelines(source)
    assert [one.name for one in made] == [FRAMING, NAME]
    assert {one.kind for one in made} == {"ingest_pipeline"}
    assert made[-1].body["processors"][-1]["pipeline"] == {
        "tag": "custom",
        "name": CUSTOM,
        "ignore_missing_pipeline": True,
    }


def test_a_pipeline_says_whose_it_is(source: Source) -> None:
    """Each carries ``_meta``; OpenSearch takes neither that nor the call of a pipeline that may be missing."""
    assert [one.body["_meta"] for one in pipelines(source)] == [source.meta, source.meta]
    for one in pipelines(source, opensearch=True):
        assert "_meta" not in one.body
        assert CUSTOM not in json.dumps(one.body)


def test_scripts_are_short_enough(source: Source) -> None:
    """Elasticsearch refuses a script of more than 65,535 bytes; what is known of entries is in parameters."""
    found = [step for one in pipelines(source) for step in scripts(one.body)]
    assert {"match", "enrich", "frame-cef"} <= {step["tag"] for step in found}
    assert max(len(step["source"].encode()) for step in found) <= painless.LIMIT
    assert [step["tag"] for step in found if "params" in step] == ["match", "enrich", "failed"]


def test_a_longer_script_is_refused(tmp_path: Path) -> None:
    """The one who makes a script too long is told at once, and not by a cluster."""
    with pytest.raises(ValueError, match="bytes; Elasticsearch takes 65535"):
        painless.script(("match_text",), "x" * painless.LIMIT)


def test_a_step_of_a_script_has_a_tag_and_a_description(source: Source) -> None:
    """A cluster's statistics name each step by its tag; no two of a pipeline have the same."""
    for one in pipelines(source):
        found = scripts(one.body["processors"])
        assert all(step["description"] for step in found)
        assert len({step["tag"] for step in found}) == len(found)


def test_files_are_the_pipelines(source: Source) -> None:
    """The committed files hold what a cluster gets, under a name that says which it is."""
    made = files(source)
    assert {Path(path).name for path in made} == {"lexilog.json", "lexilog@framing.json"}
    assert json.loads(made[f"mappings/elasticsearch/pipeline/{NAME}.json"]) == pipelines(source)[-1].body


def test_every_entry_has_its_tables(source: Source) -> None:
    """An entry has one number in both tables: its place among all; no number names another one."""
    match, enrich = match_table(source.entries), enrich_table(source.entries)
    wanted = [(entry.catalog, entry.id) for entry in source.entries]
    assert [(one["catalog"], one["id"]) for one in match["entries"]] == wanted
    assert [one["catalog"] for one in enrich["entries"]] == [catalog for catalog, _ in wanted]
    for kind, ids in match["ids"].items():
        for code, numbers in ids.items():
            assert numbers
            for number in numbers:
                assert source.entries[number].code == code
                assert kind in match["entries"][number]["kinds"]


def test_constants_are_those_of_the_plan(source: Source) -> None:
    """What a catalogue's entries share and what one has alone are together what the processor writes for it."""
    table = enrich_table(source.entries)
    for entry, one in zip(source.entries, table["entries"], strict=True):
        constant = Plan(entry).constant
        assert table["catalogs"][entry.catalog] | one["constant"] == constant, entry.id


def test_writers_are_those_of_the_plan(source: Source) -> None:
    """Each variable's value goes to the fields that the processor gives it, and means "none" by the same texts."""
    table = enrich_table(source.entries)
    for entry, one in zip(source.entries, table["entries"], strict=True):
        plan, writers = Plan(entry), table["writers"][one["variables"]]
        for name, several in plan.writers.items():
            found = [(field, array, set(table["absent"][absent])) for field, _, array, absent in writers.get(name, [])]
            assert found == [(writer.field, writer.array, set(writer.absent)) for writer in several], (entry.id, name)


def test_every_conversion_is_known_to_the_script() -> None:
    """A value is converted by a name; the script has a branch for each that a field of the table can ask for."""
    asked = {
        converter(field.name, field.type, kind).__name__.lstrip("_").removeprefix("as_")
        for field in fields().values()
        if field.type in TYPED
        for kind in TYPES
    }
    source = (FOLDER / "enrich_values.painless").read_text()
    assert asked == set(re.findall(r"conversion == '(\w+)'", source))


def test_every_type_is_known_to_the_script() -> None:
    """The types of variables that the scripts read are those that a catalogue can name.

    ``role`` is what they take any other name for.
    """
    source = "".join((FOLDER / f"{name}.painless").read_text() for name in ("match_types", "match_template"))
    known = set(re.findall(r"type [!=]= '(\w+)'", source))
    assert known == TYPES.keys() - {"role"}
