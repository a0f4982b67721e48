"""The way out to Elasticsearch, into data streams of the project's own templates."""

from __future__ import annotations

import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from agent_fields import AGENTS
from elasticsearch_node import Node
from elasticsearch_relay import deliver
from elasticsearch_templates import golden, install
from lexilog import Enriched, Pipeline, Record, RelayError
from lexilog.otlp.decode import BODY_KEYS
from lexilog.relay.base import Delivery

# Seconds in which the node has to take the first documents.
WAIT = 60


def records(pipeline: Pipeline, namespace: str, count: int) -> list[Enriched]:
    """Return records of all golden lines, again and again, each with an id of its own."""
    lines = [document["event"]["original"] for document in golden().values()]
    agent = {"data_stream": {"namespace": namespace}}
    return [
        pipeline.process(Record(line=lines[number % len(lines)], fields=agent, id=f"id-{number}"))
        for number in range(count)
    ]


def streams(batch: list[Enriched], namespace: str) -> Counter[str]:
    """Return how many records go to each data stream."""
    datasets = (record.fields.get("data_stream.dataset", "lexilog.unknown") for record in batch)
    return Counter(f"logs-{dataset}-{namespace}" for dataset in datasets)


def ask(node: Node, namespace: str, aggregation: dict[str, Any]) -> Counter[str]:
    """Return the number of documents by the terms of an aggregation, in all data streams of a namespace."""
    node.request("POST", f"/logs-*-{namespace}/_refresh")
    body = {"size": 0, "aggs": {"found": {"terms": {**aggregation, "size": 50_000}}}}
    answer = node.request("POST", f"/logs-*-{namespace}/_search", body)
    return Counter({one["key"]: one["doc_count"] for one in answer["aggregations"]["found"]["buckets"]})


def test_a_rollover_in_the_middle_loses_and_repeats_nothing(es9: Node, pipeline: Pipeline) -> None:
    """Each record is there once, in its own data stream, the first half in its first index, the rest in its second."""
    install(es9)
    namespace = "relay_rollover"
    total = 2 * len(golden())
    batch = records(pipeline, namespace, total)
    first, second = batch[: total // 2], batch[total // 2 :]
    assert deliver(es9, first, max_bytes=100_000) == [Delivery()]
    for stream in streams(first, namespace):
        es9.request("POST", f"/{stream}/_rollover")
    assert deliver(es9, second, max_bytes=100_000) == [Delivery()]
    assert ask(es9, namespace, {"field": "event.id"}) == Counter(f"id-{number}" for number in range(total))
    indices = ask(es9, namespace, {"field": "_index"})
    for half, generation in ((first, "000001"), (second, "000002")):
        of_generation = {name: count for name, count in indices.items() if name.endswith(generation)}
        found = {name.removeprefix(".ds-").rsplit("-", 2)[0]: count for name, count in of_generation.items()}
        assert found == streams(half, namespace)


def test_the_major_version_before_is_written_to(esql8: Node, pipeline: Pipeline) -> None:
    """Elasticsearch 8 takes what 9 does, though the client is that of 9."""
    install(esql8)
    batch = records(pipeline, "relay_before", 20)
    assert deliver(esql8, batch) == [Delivery()]
    assert ask(esql8, "relay_before", {"field": "event.id"}) == Counter(f"id-{number}" for number in range(20))


def test_what_agents_set_is_taken(es9: Node, pipeline: Pipeline) -> None:
    """Whatever the form of an agent's fields beside the time: the cluster takes the record."""
    install(es9)
    named = [{**fields, "data_stream.namespace": "relay_agents"} for fields in AGENTS if "data_stream" not in fields]
    batch = [pipeline.process(Record.from_map({**fields, "@timestamp": "2026"}, BODY_KEYS)) for fields in named]
    assert deliver(es9, batch) == [Delivery()]


def test_a_restart_in_the_middle_loses_and_repeats_nothing(es9_alone: Node, pipeline: Pipeline) -> None:
    """The sender hears that the batch failed, sends it again when the node is back, and each record is there once."""
    install(es9_alone)
    namespace = "relay_restart"
    batch = records(pipeline, namespace, 5_000)
    before, during = batch[:500], batch[500:]
    assert deliver(es9_alone, before, max_bytes=500_000) == [Delivery()]
    for stream in streams(before, namespace):
        es9_alone.request("POST", f"/{stream}/_rollover")
    with ThreadPoolExecutor(1) as pool:
        # Many small requests, so that some are behind us when the node dies, and some are not.
        delivery = pool.submit(deliver, es9_alone, during, max_bytes=20_000, timeout=5)
        until_indexed(es9_alone, namespace, len(before) + 100)
        es9_alone.kill()
        with pytest.raises(RelayError):
            delivery.result(timeout=60)
    es9_alone.start_again()
    kept = sum(ask(es9_alone, namespace, {"field": "event.id"}).values())
    assert len(before) + 100 <= kept < len(batch), "the node did not die in the middle: the test proves nothing"
    assert deliver(es9_alone, during, max_bytes=500_000) == [Delivery()]
    assert ask(es9_alone, namespace, {"field": "event.id"}) == Counter(f"id-{number}" for number in range(len(batch)))
    assert ask(es9_alone, namespace, {"field": "_ignored"}) == Counter()


def until_indexed(node: Node, namespace: str, count: int) -> None:
    """Wait until the node has taken so many documents."""
    deadline = time.monotonic() + WAIT
    while time.monotonic() < deadline:
        stats = node.request("GET", f"/logs-*-{namespace}/_stats/indexing")
        if stats["_all"]["primaries"]["indexing"]["index_total"] >= count:
            return
        time.sleep(0.02)
    pytest.fail(f"{count} documents are not there after {WAIT} s")
