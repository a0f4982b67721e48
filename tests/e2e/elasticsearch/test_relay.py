"""The way out to Elasticsearch, on a real node."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import msgspec
import pytest

from elasticsearch_node import Node
from elasticsearch_relay import KNOWN, deliver, found, records
from lexilog import Enriched, Pipeline, Record, RelayError
from lexilog.relay.base import Delivery

# Much smaller than the project's own: what is tried here is the way out, not the mapping.
TEMPLATE = {
    "index_patterns": ["logs-lexilog.*-*"],
    "data_stream": {},
    "template": {
        "settings": {"number_of_replicas": 0},
        "mappings": {
            "dynamic": False,
            "properties": {
                "@timestamp": {"type": "date"},
                "amount": {"type": "long"},
                "event": {"properties": {"id": {"type": "keyword"}}},
            },
        },
    },
}


@pytest.fixture(scope="module")
def node(es9: Node) -> Node:
    """Return a node that has an index template."""
    es9.request("PUT", "/_index_template/lexilog", TEMPLATE)
    return es9


@pytest.fixture
def namespace(request: pytest.FixtureRequest) -> str:
    """Return a namespace that no other test writes to."""
    name: str = re.sub(r"[^a-z0-9_]+", "_", request.node.name.lower()).strip("_")
    return name[-90:].lstrip("_")


@contextmanager
def cluster_setting(node: Node, name: str, value: Any) -> Iterator[None]:
    node.request("PUT", "/_cluster/settings", {"persistent": {name: value}})
    try:
        yield
    finally:
        node.request("PUT", "/_cluster/settings", {"persistent": {name: None}})


@pytest.mark.parametrize("max_bytes", [1_024, 5_000_000], ids=["split", "whole"])
def test_every_record_is_in_its_data_stream(node: Node, pipeline: Pipeline, namespace: str, max_bytes: int) -> None:
    """Known records go to their catalogue's stream, unknown ones to the stream for those, in many requests or one."""
    known = records(pipeline, namespace, 25)
    unknown = records(pipeline, namespace, 15, "nobody knows this")
    assert deliver(node, known + unknown, max_bytes=max_bytes) == [Delivery()]
    documents = found(node, f"logs-lexilog.juniper_kmd-{namespace}")
    assert sorted(one["event"]["id"] for one in documents) == sorted(f"abc-{number}" for number in range(25))
    assert {one["event"]["code"] for one in documents} == {"KMD_VPN_UP_ALARM_USER"}
    documents = found(node, f"logs-lexilog.unknown-{namespace}")
    assert {one["message"] for one in documents} == {"nobody knows this"}
    stream = {"type": "logs", "dataset": "lexilog.unknown", "namespace": namespace}
    assert [one["data_stream"] for one in documents] == [stream] * 15


def test_what_is_repeated_is_written_once(node: Node, pipeline: Pipeline, namespace: str) -> None:
    """The same batch again counts as taken, and adds only what was not there."""
    batch = records(pipeline, namespace, 7)
    assert deliver(node, batch[:4], batch, batch) == [Delivery()] * 3
    assert len(found(node, f"logs-lexilog.juniper_kmd-{namespace}")) == 7


def test_equal_lines_are_two_documents(node: Node, pipeline: Pipeline, namespace: str) -> None:
    """A device that says the same twice is heard twice."""
    first, second = records(pipeline, namespace, 2)
    assert first.record.line == second.record.line
    deliver(node, [first, second])
    assert [one["event"]["id"] for one in found(node, f"logs-lexilog.juniper_kmd-{namespace}")] == ["abc-0", "abc-1"]


def test_a_rollover_ends_what_the_cluster_knows_of_ids(node: Node, pipeline: Pipeline, namespace: str) -> None:
    """The limit that the relay's docstring names: a repeat after a rollover is a second document."""
    batch, stream = records(pipeline, namespace, 1), f"logs-lexilog.juniper_kmd-{namespace}"
    deliver(node, batch)
    node.request("POST", f"/{stream}/_rollover")
    deliver(node, batch)
    assert [one["event"]["id"] for one in found(node, stream)] == ["abc-0", "abc-0"]


def test_a_document_that_does_not_fit_costs_no_other(node: Node, pipeline: Pipeline, namespace: str) -> None:
    """It is refused with the server's reason and its cause; the rest of the batch arrives."""
    batch = records(pipeline, namespace, 5)
    fields = {"data_stream": {"namespace": namespace}, "amount": "many"}
    batch[2] = pipeline.process(Record(line=KNOWN, fields=fields, id="abc-2"))
    [delivery] = deliver(node, batch)
    assert [refusal.record for refusal in delivery.refused] == [batch[2]]
    reason = delivery.refused[0].reason
    assert reason.startswith("document_parsing_exception: ")
    assert "failed to parse field [amount] of type [long]" in reason
    assert reason.endswith('For input string: "many"')
    ids = [one["event"]["id"] for one in found(node, f"logs-lexilog.juniper_kmd-{namespace}")]
    assert ids == ["abc-0", "abc-1", "abc-3", "abc-4"]


def test_a_document_that_spoils_its_request_is_found(node: Node, pipeline: Pipeline, namespace: str) -> None:
    """An id that is too long makes the cluster refuse the whole request (HTTP 400): the others arrive all the same."""
    batch = records(pipeline, namespace, 9)
    fields = {"data_stream": {"namespace": namespace}}
    batch[5] = pipeline.process(Record(line=KNOWN, fields=fields, id="x" * 513))
    [delivery] = deliver(node, batch)
    assert [refusal.record for refusal in delivery.refused] == [batch[5]]
    assert delivery.refused[0].reason.startswith("HTTP 400: action_request_validation_exception: ")
    assert len(found(node, f"logs-lexilog.juniper_kmd-{namespace}")) == 8


def ours(pipeline: Pipeline, dataset: str, namespace: str) -> list[Enriched]:
    """Return a record for a data stream that no agent has chosen."""
    record = pipeline.process(Record(line=KNOWN, id="abc-0"))
    stream = {"data_stream.dataset": dataset, "data_stream.namespace": namespace}
    return [msgspec.structs.replace(record, fields={**record.fields, **stream})]


def test_without_a_template_nothing_is_made(node: Node, pipeline: Pipeline, namespace: str) -> None:
    """The error says what to install, and no plain index comes into being."""
    batch = ours(pipeline, "elsewhere", namespace)
    with pytest.raises(
        RelayError, match=r"^relay es: 127\.0\.0\.1:\d+: 404 index_not_found_exception: .*; install the index tem"
    ):
        deliver(node, batch)
    assert node.request("GET", "/_cat/indices/*elsewhere*?format=json&expand_wildcards=all") == []


def test_a_plain_index_in_the_way_is_not_written_to(node: Node, pipeline: Pipeline, namespace: str) -> None:
    """An index of that name that somebody made before is no data stream, and the error says so."""
    node.request("PUT", f"/logs-plain-{namespace}")
    batch = ours(pipeline, "plain", namespace)
    with pytest.raises(RelayError, match=r"is not a data stream; remove the plain index"):
        deliver(node, batch)
    assert node.request("GET", f"/logs-plain-{namespace}/_count")["count"] == 0


@pytest.mark.parametrize("is_plain", [True, False], ids=["plain", "absent"])
def test_a_stream_that_only_an_agent_wants_costs_no_other(
    node: Node, pipeline: Pipeline, namespace: str, is_plain: bool
) -> None:
    """An agent that chooses a stream that is none has its record refused, and nothing is made; the others arrive."""
    dataset = "taken" if is_plain else "nowhere"
    if is_plain:
        node.request("PUT", f"/logs-taken-{namespace}")
    batch = records(pipeline, namespace, 3)
    fields = {"data_stream": {"dataset": dataset, "namespace": namespace}}
    batch[1] = pipeline.process(Record(line=KNOWN, fields=fields, id="abc-1"))
    [delivery] = deliver(node, batch)
    assert [refusal.record for refusal in delivery.refused] == [batch[1]]
    assert delivery.refused[0].reason.endswith("; the agent chose this data stream")
    assert len(found(node, f"logs-lexilog.juniper_kmd-{namespace}")) == 2
    indices = node.request("GET", f"/_cat/indices/*{dataset}-{namespace}*?format=json&expand_wildcards=all")
    assert [index["docs.count"] for index in indices] == (["0"] if is_plain else [])


def test_a_document_that_a_pipeline_fails_costs_no_other(node: Node, pipeline: Pipeline, namespace: str) -> None:
    """A ``fail`` processor answers 500, which looks like a server in trouble: it is refused all the same."""
    stream = f"logs-lexilog.juniper_kmd-{namespace}"
    deliver(node, records(pipeline, namespace, 1))
    only = {"if": "ctx.amount != null", "message": "none with an amount"}
    node.request("PUT", f"/_ingest/pipeline/{namespace}", {"processors": [{"fail": only}]})
    node.request("PUT", f"/{stream}/_settings", {"index.default_pipeline": namespace})
    batch = records(pipeline, namespace, 3)
    fields = {**batch[1].record.fields, "amount": 5}
    batch[1] = pipeline.process(Record(line=KNOWN, fields=fields, id="abc-1"))
    [delivery] = deliver(node, batch)
    assert [(refusal.record, refusal.reason) for refusal in delivery.refused] == [
        (batch[1], "fail_processor_exception: none with an amount")
    ]
    assert len(found(node, stream)) == 2


@pytest.mark.parametrize("value", ["pipeline with id [", "request [/_bulk] contains unrecognized parameter: [a]"])
def test_words_in_a_record_are_no_words_of_the_cluster(
    node: Node, pipeline: Pipeline, namespace: str, value: str
) -> None:
    """A reason that quotes what looks like the cluster's own trouble is still about the record."""
    fields = {"data_stream": {"namespace": namespace}, "amount": value}
    batch = [pipeline.process(Record(line=KNOWN, fields=fields, id="abc-0"))]
    [delivery] = deliver(node, batch)
    assert [refusal.record for refusal in delivery.refused] == batch
    assert "failed to parse field [amount]" in delivery.refused[0].reason


def test_what_the_operator_mends_refuses_no_record(node: Node, pipeline: Pipeline, namespace: str) -> None:
    """A cluster at its limit of shards answers 400 to each document: the sender keeps them, and later they arrive."""
    batch = records(pipeline, namespace, 3)
    with (
        cluster_setting(node, "cluster.max_shards_per_node", 1),
        pytest.raises(RelayError, match=r"400 validation_exception: .*maximum normal shards open.*at the limit"),
    ):
        deliver(node, batch)
    assert deliver(node, batch) == [Delivery()]
    assert len(found(node, f"logs-lexilog.juniper_kmd-{namespace}")) == 3


def test_a_missing_pipeline_refuses_no_record(node: Node, pipeline: Pipeline, namespace: str) -> None:
    """Where the index template names an ingest pipeline that is not installed the sender keeps the batch."""
    batch, stream = records(pipeline, namespace, 1), f"logs-lexilog.juniper_kmd-{namespace}"
    deliver(node, batch)
    node.request("PUT", f"/{stream}/_settings", {"index.default_pipeline": "gone"})
    again = [pipeline.process(Record(line=KNOWN, fields=batch[0].record.fields, id="abc-1"))]
    with pytest.raises(RelayError, match=r"pipeline with id \[gone\] does not exist; install the ingest pipeline"):
        deliver(node, again)
    node.request("PUT", f"/{stream}/_settings", {"index.default_pipeline": None})
    deliver(node, again)
    assert len(found(node, stream)) == 2


@pytest.mark.parametrize(
    ("block", "message"),
    [
        ("write", "403 cluster_block_exception: .*; lift the block"),
        ("read_only_allow_delete", "2 documents not taken in 1 attempts: 429 cluster_block_exception: .*flood-stage"),
    ],
    ids=["forbidden", "disk"],
)
def test_a_blocked_stream_keeps_the_batch_with_the_sender(
    node: Node, pipeline: Pipeline, namespace: str, block: str, message: str
) -> None:
    """Nothing is refused while writes are forbidden or the disk is full; afterwards the batch arrives."""
    stream = f"logs-lexilog.juniper_kmd-{namespace}"
    deliver(node, records(pipeline, namespace, 1))
    batch = records(pipeline, namespace, 2)
    node.request("PUT", f"/{stream}/_settings", {f"index.blocks.{block}": True})
    with pytest.raises(RelayError, match=message):
        deliver(node, batch)
    node.request("PUT", f"/{stream}/_settings", {f"index.blocks.{block}": None})
    assert deliver(node, batch) == [Delivery()]
    assert len(found(node, stream)) == 2


def test_a_url_that_is_not_the_clusters_root_refuses_no_record(node: Node, pipeline: Pipeline, namespace: str) -> None:
    """Elasticsearch answers 400 to a path that it does not know, which is no record's fault."""
    with pytest.raises(RelayError, match=r"HTTP 400: .*no handler found for uri"):
        deliver(node, records(pipeline, namespace, 3), path="/some/path")


@pytest.mark.parametrize(
    ("fields", "stream"),
    [
        ({"data_stream.dataset": "lexilog.flat", "data_stream.namespace": "own"}, "logs-lexilog.flat-own"),
        ({"data_stream": {"dataset": "lexilog.nested"}}, "logs-lexilog.nested-default"),
        ({"data_stream": "lexilog.text"}, "logs-lexilog.unknown-default"),
        ({"data_stream": {"dataset": 5, "namespace": ["a"], "more": "kept"}}, "logs-lexilog.unknown-default"),
        ({"data_stream": {"dataset": "Lexilog.Upper", "namespace": "a b", "type": "-x"}}, "logs-lexilog.upper-a_b"),
        ({"data_stream": {"dataset": "", "namespace": "a*", "type": ".x"}}, "logs-lexilog.unknown-a_"),
        ({"data_stream.dataset": {"a": 1}, "data_stream": {"namespace": "\udcff"}}, "logs-lexilog.unknown-xff"),
    ],
)
def test_whatever_an_agent_calls_its_stream_the_record_arrives(
    node: Node, pipeline: Pipeline, namespace: str, fields: dict[str, Any], stream: str
) -> None:
    """A name is honoured, nested or dotted, as far as a data stream can have it; else it is the default."""
    record = pipeline.process(Record(line="nobody knows this", fields=fields, id=namespace))
    assert deliver(node, [record]) == [Delivery()]
    [document] = [one for one in found(node, stream) if one["event"]["id"] == namespace]
    wanted = document["data_stream"]
    assert "-".join(wanted[part] for part in ("type", "dataset", "namespace")) == stream
    assert not [name for name in document if name.startswith("data_stream.")]


@pytest.mark.filterwarnings("ignore:Sending a large body:ResourceWarning")
@pytest.mark.parametrize("size", [20_000_000, 60_000_000], ids=["item", "request"])
def test_a_record_that_the_node_has_no_room_for_costs_no_other(
    node: Node, pipeline: Pipeline, namespace: str, size: int
) -> None:
    """A node holds a tenth of its heap (50 MB) for writes, and says 429 to what is larger, however idle it is."""
    batch = records(pipeline, namespace, 3)
    fields = {"data_stream": {"namespace": namespace}, "blob": "x" * size}
    batch[1] = pipeline.process(Record(line=KNOWN, fields=fields, id="abc-1"))
    [delivery] = deliver(node, batch, max_bytes=200_000_000)
    assert [refusal.record for refusal in delivery.refused] == [batch[1]]
    assert "es_rejected_execution_exception: rejected execution of " in delivery.refused[0].reason
    assert len(found(node, f"logs-lexilog.juniper_kmd-{namespace}")) == 2


@pytest.mark.filterwarnings("ignore:Sending a large body:ResourceWarning")
def test_a_record_too_large_for_the_cluster_costs_no_other(node: Node, pipeline: Pipeline, namespace: str) -> None:
    """Above ``http.max_content_length`` (100 MB) the server answers 413: that record is refused, the others arrive."""
    batch = records(pipeline, namespace, 3)
    fields = {"data_stream": {"namespace": namespace}, "blob": "x" * 105_000_000}
    batch[1] = pipeline.process(Record(line=KNOWN, fields=fields, id="abc-1"))
    [delivery] = deliver(node, batch, max_bytes=200_000_000)
    assert [refusal.record for refusal in delivery.refused] == [batch[1]]
    assert delivery.refused[0].reason == "HTTP 413: no reason given"
    assert len(found(node, f"logs-lexilog.juniper_kmd-{namespace}")) == 2
