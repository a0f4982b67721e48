"""The ingest pipeline on real nodes against the processor: the same document, whatever the line is."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from agent_fields import AGENTS, UNKNOWN, VPN_UP
from elasticsearch_node import Node
from ingest_pipeline import Installed, Simulated, by_processor, differing, installed, mutated
from lexilog.catalog.samples import samples
from lexilog.compilers.source import load_source

TESTS = Path(__file__).resolve().parents[2]
EXAMPLES = TESTS.parent / "examples" / "lines"
# Where agents write lines as they are, and a data stream that is not ours.
RAW, OTHER = "logs-lexilog.raw-default", "logs-syslog-default"
_HELPERS = {"_lexilog", "_lexilog_now", "_lexilog_problem"}


class Allowed(NamedTuple):
    """A field in which pipeline and processor may differ, and why."""

    field: str
    reason: str


# No line is read in another way. What differs is where a document of an agent goes, and what follows from it.
ALLOWED = (
    Allowed("@timestamp", "an agent in front of a cluster must set it: it is the time of arrival, the device's counts"),
    Allowed(
        "data_stream",
        "an unknown line from logs-lexilog.raw-* goes to logs-lexilog.unknown-*; one of a plain index stays",
    ),
    Allowed("data_stream.dataset", "what the agent states is where it wrote to, and not where the document goes"),
    Allowed("data_stream.namespace", "a name of a data stream cannot hold what the agent states"),
    Allowed("event.created", "what has been read before passes as it is; the service reads it again"),
    Allowed("lexilog.observer", "likewise"),
)


@pytest.fixture(scope="module")
def on_elasticsearch(es9: Node) -> Iterator[Installed]:
    """Return the pipeline on Elasticsearch 9."""
    with installed(es9, "test-agrees") as pipeline:
        yield pipeline


@pytest.fixture(scope="module")
def on_opensearch(os3: Node) -> Iterator[Installed]:
    """Return the pipeline on OpenSearch 3."""
    with installed(os3, "test-agrees") as pipeline:
        yield pipeline


@pytest.fixture(scope="module")
def on_elasticsearch_8(esql8: Node) -> Iterator[Installed]:
    """Return the pipeline on Elasticsearch 8.19."""
    with installed(esql8, "test-agrees") as pipeline:
        yield pipeline


def golden_lines() -> list[str]:
    """Return the lines of all golden cases."""
    files = sorted((TESTS / "golden").glob("*/*/*/input.log"))
    return [line for file in files for line in _lines(file)]


def other_lines() -> list[str]:
    """Return the lines of other products, the examples, and a line of each entry in each of its wrappings."""
    files = [TESTS / "data" / "negatives.log", *sorted(EXAMPLES.glob("*.log"))]
    made = [sample.line for entry in load_source().entries for sample in samples(entry)]
    return [line for file in files for line in _lines(file)] + made


def _lines(file: Path) -> list[str]:
    return file.read_bytes().decode("utf-8", "replace").removesuffix("\n").split("\n")


def _documents(lines: list[str]) -> list[dict[str, Any]]:
    return [{"message": line} for line in lines]


def _disagreeing(pipeline: Installed, lines: list[str]) -> list[tuple[str, set[str]]]:
    """Return the lines of which pipeline and processor make different documents, and in which fields these differ."""
    documents = _documents(lines)
    found = pipeline.simulate(documents, OTHER)
    wanted = by_processor(documents, [one.now for one in found])
    assert len(found) == len(lines)
    for one in found:
        _check_place(one)
    both = zip(lines, found, wanted, strict=True)
    return [(line, fields) for line, got, want in both if (fields := differing(got.source, want))]


def _check_place(one: Simulated) -> None:
    """A document of an entry goes where its fields say, any other one stays where it was."""
    quality = one.source["lexilog"]["match"]["quality"]
    stream = one.source.get("data_stream", {})
    assert one.index == (OTHER if quality == "none" else f"logs-{stream['dataset']}-{stream['namespace']}")


def test_golden_lines(on_elasticsearch: Installed) -> None:
    """Every golden line becomes the same document in the cluster as in the processor, in every field."""
    assert _disagreeing(on_elasticsearch, golden_lines()) == []


def test_other_lines(on_elasticsearch: Installed) -> None:
    """So does a line of each entry in each of its wrappings, and a line of another product stays unknown alike."""
    assert _disagreeing(on_elasticsearch, other_lines()) == []


def test_a_session_that_began_before_all_time(on_elasticsearch: Installed) -> None:
    """One that lasted longer than there are years has an end and no start, as in the processor."""
    known = next(line for line in golden_lines() if '"durationSeconds":436' in line)
    when = known[: known.index(" gw1")]
    line = known.replace(when, "0100-11-12T08:08:24Z").replace(":436", ":8000000000")
    [found] = on_elasticsearch.simulate(_documents([line]), OTHER)
    assert found.source["event"]["end"] == "0100-11-12T08:08:24.000Z"
    assert "start" not in found.source["event"]
    # The time since is more than a long can hold.
    assert "lag" not in found.source["lexilog"]


def test_mutated_lines(on_elasticsearch: Installed) -> None:
    """So does a line that somebody has cut or garbled, whichever of the forgiving readings it then needs."""
    assert _disagreeing(on_elasticsearch, mutated(golden_lines(), 6)) == []


def test_mutated_lines_are_of_every_quality() -> None:
    """The garbled lines are read in every way that there is, so that their agreement says something of each."""
    lines = mutated(golden_lines(), 6)
    made = by_processor(_documents(lines), [datetime(2026, 1, 15, 12, tzinfo=UTC)] * len(lines))
    qualities = {one["lexilog"]["match"]["quality"] for one in made}
    assert qualities == {"exact", "prefix", "loose", "id_only", "none"}


def test_opensearch(on_opensearch: Installed) -> None:
    """OpenSearch makes the same documents of golden lines and of lines of others."""
    assert _disagreeing(on_opensearch, golden_lines() + other_lines()) == []


def test_elasticsearch_8(on_elasticsearch_8: Installed) -> None:
    """So does Elasticsearch 8.19."""
    assert _disagreeing(on_elasticsearch_8, golden_lines()) == []


@pytest.mark.parametrize("engine", ["on_elasticsearch", "on_elasticsearch_8", "on_opensearch"])
def test_twice_is_once(engine: str, request: pytest.FixtureRequest) -> None:
    """A document that comes again, as when an index is copied, stays what and where it is, or goes there."""
    pipeline: Installed = request.getfixturevalue(engine)
    documents = _documents([*golden_lines(), UNKNOWN])
    once = pipeline.simulate(documents, RAW)
    for one in once:
        assert one.index != RAW
    again = pipeline.simulate([one.source for one in once], RAW)
    assert [(one.source, one.index) for one in again] == [(one.source, one.index) for one in once]
    [copied] = pipeline.simulate([once[0].source], "a-copy")
    assert (copied.source, copied.index) == (once[0].source, "a-copy")
    dotted = {"message": "a", "event.original": VPN_UP, "lexilog.match.quality": "exact", "data_stream.dataset": "mine"}
    [kept] = pipeline.simulate([dotted], RAW)
    # No data stream takes a document without one.
    assert kept.source.pop("@timestamp")
    wanted = {"type": "logs", "dataset": "lexilog.unknown", "namespace": "default"}
    assert kept.index == "logs-lexilog.unknown-default"
    assert {**kept.source, "data_stream.dataset": "mine"} == {**dotted, "data_stream": wanted}


@pytest.mark.parametrize("engine", ["on_elasticsearch", "on_opensearch"])
def test_documents_of_agents(engine: str, request: pytest.FixtureRequest) -> None:
    """What an agent has set is kept or gives way as in the processor, but for the listed fields; each is needed."""
    pipeline: Installed = request.getfixturevalue(engine)
    found = pipeline.simulate(AGENTS, RAW) + pipeline.simulate([{"message": VPN_UP}], "plain")
    sent = (*AGENTS, {"message": VPN_UP})
    clean = [{name: value for name, value in fields.items() if name not in _HELPERS} for fields in sent]
    wanted = by_processor(clean, [one.now for one in found])
    differences = set()
    for fields, got, want in zip(clean, found, wanted, strict=True):
        here = differing(got.source, want)
        assert here <= {one.field for one in ALLOWED}, fields
        differences |= here
    assert differences == {one.field for one in ALLOWED}
