"""The ingest pipeline on real nodes against the processor: the same document, whatever the line is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from elasticsearch_node import Node
from ingest_pipeline import Installed, Simulated, by_processor, differing, installed, mutated
from lexilog.catalog.samples import samples
from lexilog.compilers.source import load_source

TESTS = Path(__file__).resolve().parents[2]
EXAMPLES = TESTS.parent / "examples" / "lines"
# Where agents write lines as they are, and a data stream that is not ours.
RAW, OTHER = "logs-lexilog.raw-default", "logs-syslog-default"
VPN_UP = '<28>1 2025-08-03T10:18:44.5Z srx1 kmd 1 KMD_VPN_UP_ALARM_USER [junos@2636.1.1.1.2.129 vpn-name="hq"]'
UNKNOWN = "Aug  3 10:18:44 host program: a line that nobody knows"
_HELPERS = {"_lexilog", "_lexilog_now", "_lexilog_problem"}


class Allowed(NamedTuple):
    """A field in which pipeline and processor may differ, and why."""

    field: str
    reason: str


# No line is read in another way. What differs is where a document of an agent goes, and what follows from it.
ALLOWED = (
    Allowed("@timestamp", "an agent in front of a cluster must set it: it is the time of arrival, the device's counts"),
    Allowed("data_stream", "an unknown line from logs-lexilog.raw-* goes to logs-lexilog.unknown-*"),
    Allowed("data_stream.dataset", "what the agent states is where it wrote to, and not where the document goes"),
    Allowed("data_stream.namespace", "a name of a data stream cannot hold what the agent states"),
    Allowed("labels", "an @timestamp that is no date stands there: a data stream would refuse the document"),
)

# What agents send, beside plain lines.
AGENTS: tuple[Mapping[str, Any], ...] = (
    {"message": VPN_UP, "@timestamp": "2026-01-15T12:00:00.000Z"},
    {"message": UNKNOWN, "@timestamp": "2026-01-15T12:00:00.000Z"},
    {"message": UNKNOWN, "@timestamp": "fifteenth of January"},
    {"log": VPN_UP, "stream": "stdout", "container_name": "srx"},
    {"MESSAGE": VPN_UP, "_PID": "1"},
    {"message": VPN_UP, "log": {"file": {"path": "/var/log/srx"}, "level": "info"}, "agent": {"type": "filebeat"}},
    {
        "message": VPN_UP,
        "event": {"original": "x", "dataset": "system", "category": ["a"], "mine": 1, "deep": {"a": 1}},
    },
    {"message": VPN_UP, "event.dataset": "system", "event.mine": 2, "lexilog.impact": "x", "lexilog.variables.a": 1},
    {"message": VPN_UP, "event": "text", "lexilog": [1]},
    {"message": VPN_UP, "event": "text", "labels": "x"},
    {"message": VPN_UP, "event": "text", "labels": {"a": 1}},
    {"message": VPN_UP, "source": "text", "observer.hostname": "mine", "log.level": "mine", "process": {"pid": "7"}},
    {"message": VPN_UP, "ecs": "8.0", "ecs.version": "1", "observer": None, "network": {}, "host": {"name": "web1"}},
    {"message": VPN_UP, "data_stream": {"type": "logs", "dataset": "lexilog.raw", "namespace": "prod"}},
    {"message": VPN_UP, "data_stream.namespace": "Pr-od", "data_stream.dataset": "lexilog.raw"},
    {"message": VPN_UP + "\r\n", "_lexilog_now": "x", "_lexilog": {"match": 1}},
    {"message": UNKNOWN, "event": {"kind": "metric", "module": "x"}, "lexilog": {"match": {"tail": "x"}}},
    {"message": "x" * 65_537},
    {"message": ""},
    {"message": {"a": 1}},
    {"message": None, "event": 5},
    {"elsewhere": VPN_UP},
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


@pytest.mark.parametrize("engine", ["on_elasticsearch", "on_opensearch"])
def test_documents_of_agents(engine: str, request: pytest.FixtureRequest) -> None:
    """What an agent has set is kept or gives way as in the processor, but for the listed fields; each is needed."""
    pipeline: Installed = request.getfixturevalue(engine)
    found = pipeline.simulate(AGENTS, RAW)
    clean = [{name: value for name, value in fields.items() if name not in _HELPERS} for fields in AGENTS]
    wanted = by_processor(clean, [one.now for one in found])
    differences = set()
    for fields, got, want in zip(clean, found, wanted, strict=True):
        here = differing(got.source, want)
        assert here <= {one.field for one in ALLOWED}, fields
        differences |= here
    assert differences == {one.field for one in ALLOWED}
