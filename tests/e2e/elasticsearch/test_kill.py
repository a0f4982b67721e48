"""Kill -9 of a real Elasticsearch, and of lexilog, while an agent sends."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from elasticsearch_node import Node
from elasticsearch_templates import install
from processes import Agent, Process, free_port, request_of

LINE = "<14>Aug  3 10:18:44 web1 app[1]: killed request {}"
BATCH = 200


def test_each_record_is_there_once(es9_alone: Node, serve_config: Callable[..., Process], tmp_path: Path) -> None:
    """What was acknowledged is in the data stream, each record once although batches came again, none refused."""
    install(es9_alone)
    settings = {
        "doors": {"grpc": {"listen": f"127.0.0.1:{free_port()}"}},
        "relays": {"siem": {"type": "elasticsearch", "urls": [es9_alone.url], "timeout": 5}},
        "dead_letters": {"path": str(tmp_path / "dead")},
    }
    process = serve_config(settings)
    agent = Agent(process.ports["grpc"])

    def disturb() -> None:
        time.sleep(0.2)
        es9_alone.kill()
        es9_alone.start_again()
        process.kill()
        serve_config(settings)

    thread = threading.Thread(target=disturb)
    thread.start()
    sent = 0
    # One search can fetch no more than this many.
    while (thread.is_alive() or sent < 5_000) and sent < 10_000:
        agent.send(request_of([LINE.format(number) for number in range(sent, sent + BATCH)]))
        sent += BATCH
    thread.join()
    assert agent.tries > sent // BATCH, "nobody was missed: the test proves nothing"
    stream = "/logs-lexilog.unknown-default"
    es9_alone.request("POST", f"{stream}/_refresh")
    query = {"size": 10_000, "_source": ["message"], "query": {"match_phrase": {"message": "killed"}}}
    found = es9_alone.request("GET", f"{stream}/_search", query)["hits"]["hits"]
    numbers = Counter(int(hit["_source"]["message"].rsplit(maxsplit=1)[-1]) for hit in found)
    assert numbers == Counter(range(sent))
    assert not list((tmp_path / "dead").glob("*.ndjson"))
