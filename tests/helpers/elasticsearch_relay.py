"""What tests of the way out to Elasticsearch share."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from elasticsearch_node import Node
from lexilog import Enriched, Pipeline, Record
from lexilog.relay.base import Delivery
from lexilog.relay.elasticsearch import ElasticsearchRelay
from lexilog.relay.settings import ElasticsearchSettings

__all__ = ["KNOWN", "deliver", "found", "records", "settled"]

KNOWN = "Aug  3 10:18:44  srx1 kmd[14162]: KMD_VPN_UP_ALARM_USER: VPN to-branch from 192.0.2.7 is up."


def deliver(node: Node, *batches: Sequence[Enriched], path: str = "", **settings: Any) -> list[Delivery]:
    """Deliver batches one after the other, each through the same relay."""

    async def run() -> list[Delivery]:
        relay = ElasticsearchRelay("es", ElasticsearchSettings(urls=(node.url + path,), attempts=1, **settings))
        await relay.open()
        try:
            return [await relay.deliver(batch) for batch in batches]
        finally:
            await relay.close()
            await settled()

    return asyncio.run(run())


async def settled() -> None:
    """Wait until no connection is left: one to a server that did not want all that was sent closes a little later."""
    selector = asyncio.get_running_loop()._selector  # type: ignore[attr-defined]
    for _ in range(300):
        if len(selector.get_map()) == 1:  # the loop's own
            return
        await asyncio.sleep(0.1)
    pytest.fail("a connection is still open")


def records(pipeline: Pipeline, namespace: str, count: int, line: str = KNOWN, **fields: Any) -> list[Enriched]:
    agent = {"data_stream": {"namespace": namespace}, **fields}
    return [pipeline.process(Record(line=line, fields=agent, id=f"abc-{number}")) for number in range(count)]


def found(node: Node, stream: str) -> list[dict[str, Any]]:
    """Return the documents of a data stream, in the order of their ids."""
    node.request("POST", f"/{stream}/_refresh")
    query = {"size": 1_000, "sort": ["event.id"]}
    return [hit["_source"] for hit in node.request("POST", f"/{stream}/_search", query)["hits"]["hits"]]
