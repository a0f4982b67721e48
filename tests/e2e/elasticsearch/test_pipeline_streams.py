"""Lines that agents write to a cluster as they are: where they end up, and what happens when a step fails."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from elasticsearch_node import Node
from elasticsearch_templates import golden, install
from ingest_pipeline import Installed, installed
from lexilog.compilers.elasticsearch.pipeline import CUSTOM, pipelines
from lexilog.compilers.source import load_source

NAMESPACE = "pipeline"
STREAM = f"logs-lexilog.raw-{NAMESPACE}"
VPN_UP = '<28>1 2025-08-03T10:18:44.5Z srx1 kmd 1 KMD_VPN_UP_ALARM_USER [junos@2636.1.1.1.2.129 vpn-name="hq"]'
UNKNOWN = "Aug  3 10:18:44 host program: a line that nobody knows"
HELPERS = {"_lexilog", "_lexilog_now", "_lexilog_problem"}
# A step that fails always, on any engine.
_FAILING = {"fail": {"message": "out of order"}}


def prepared(node: Node) -> Node:
    """Return a node after the project's templates and pipelines are put on it by their own names."""
    for one in pipelines(load_source(), opensearch=node.flavour.name == "os3"):
        node.request("PUT", f"/_ingest/pipeline/{one.name}", one.body)
    install(node, pipeline=True)
    return node


@pytest.fixture(scope="module")
def elasticsearch(es9: Node) -> Node:
    """Return an Elasticsearch 9 that has templates and pipelines."""
    return prepared(es9)


@pytest.fixture(scope="module")
def opensearch(os3: Node) -> Node:
    """Return an OpenSearch 3 that has templates and pipelines."""
    return prepared(os3)


@pytest.fixture(scope="module", params=["elasticsearch", "opensearch"])
def node(request: pytest.FixtureRequest) -> Node:
    """Return either."""
    found: Node = request.getfixturevalue(request.param)
    return found


@pytest.fixture(scope="module")
def pipeline(node: Node) -> Iterator[Installed]:
    """Return the same pipeline under a name of its own, to be changed."""
    with installed(node, "test-streams") as found:
        yield found


@pytest.fixture
def custom(elasticsearch: Node) -> Iterator[Any]:
    """Return a function that puts the user's own pipeline on the node."""

    def put(*processors: Mapping[str, Any]) -> None:
        elasticsearch.request("PUT", f"/_ingest/pipeline/{CUSTOM}", {"processors": processors})

    put()
    yield put
    elasticsearch.request("DELETE", f"/_ingest/pipeline/{CUSTOM}")


def write(node: Node, documents: list[dict[str, Any]], stream: str = STREAM) -> list[dict[str, Any]]:
    """Create documents in a data stream and return the answer to each."""
    lines = [line for one in documents for line in ({"create": {"_index": stream}}, one)]
    body = "".join(json.dumps(line) + "\n" for line in lines).encode()
    answers = node.request("POST", "/_bulk?refresh=true", body)["items"]
    return [answer["create"] for answer in answers]


def stored(node: Node, answer: dict[str, Any]) -> dict[str, Any]:
    """Return the document that an answer is about."""
    found: dict[str, Any] = node.request("GET", f"/{answer['_index']}/_doc/{answer['_id']}")["_source"]
    return found


def test_lines_reach_the_data_streams_of_their_catalogues(node: Node) -> None:
    """Every golden line that an agent writes as it is becomes a document in its catalogue's data stream, none is lost.

    An unknown one goes to that for unknown lines, and in the agent's own stays nothing. No value is ignored.
    """
    wanted = golden()
    lines = [{"@timestamp": "2026-01-15T12:00:00Z", "message": one["event"]["original"]} for one in wanted.values()]
    answers = write(node, lines)
    assert [answer for answer in answers if answer["status"] != 201] == []
    assert Counter(_stream(answer) for answer in answers) == Counter(_dataset(one) for one in wanted.values())
    ignored = {"query": {"exists": {"field": "_ignored"}}}
    assert node.request("POST", f"/logs-lexilog.*-{NAMESPACE}/_count", ignored)["count"] == 0


def _stream(answer: dict[str, Any]) -> str:
    """Return the dataset in the name of a backing index, which either engine calls .ds-<data stream>-…."""
    index: str = answer["_index"]
    return index.removeprefix(".ds-logs-").partition("-")[0]


def _dataset(document: dict[str, Any]) -> str:
    dataset: str = document.get("data_stream", {}).get("dataset", "lexilog.unknown")
    return dataset


def test_a_document_says_where_it_is(node: Node) -> None:
    """The data_stream fields are those of the data stream that the document is in, also where it is unknown."""
    known, unknown = write(node, [{"@timestamp": "2026-01-15T12:00:00Z", "message": it} for it in (VPN_UP, UNKNOWN)])
    streams = [stored(node, answer)["data_stream"] for answer in (known, unknown)]
    assert streams == [
        {"type": "logs", "dataset": "lexilog.juniper_kmd", "namespace": NAMESPACE},
        {"type": "logs", "dataset": "lexilog.unknown", "namespace": NAMESPACE},
    ]


@pytest.mark.parametrize("index", ["plain", "filebeat-9.4.3", "my-logs-x", "logs-plain"])
def test_documents_of_other_indices_stay_there(pipeline: Installed, index: str) -> None:
    """A document of an index that is no data stream of logs is enriched and stays where it is."""
    [found] = pipeline.simulate([{"message": VPN_UP}], index)
    assert found.index == index
    assert found.source["event"]["code"] == "KMD_VPN_UP_ALARM_USER"


@pytest.mark.parametrize("place", range(9))
def test_a_step_that_fails(pipeline: Installed, place: int) -> None:
    """Whichever step fails: the document goes on with its line, says what failed, and holds nothing of the steps."""
    processors = list(pipeline.body["processors"])
    processors.insert(place, _FAILING)
    changed = {name: value for name, value in pipeline.body.items() if name != "_meta"} | {"processors": processors}
    body = {"pipeline": changed, "docs": [{"_index": STREAM, "_source": {"message": VPN_UP, "agent": {"id": "7"}}}]}
    [answer] = pipeline.node.request("POST", "/_ingest/pipeline/_simulate", body)["docs"]
    found = answer["doc"]["_source"]
    assert VPN_UP in (found["message"], found["event"].get("original"))
    assert found["agent"] == {"id": "7"}
    assert found["event"]["kind"] == "pipeline_error"
    assert found["error"]["message"] == "the ingest pipeline failed: out of order"
    assert not HELPERS & found.keys()


def test_a_hostile_line_costs_no_document(pipeline: Installed) -> None:
    """Lines made to keep the readings busy come out again, none with an error."""
    head = "<28>Aug  3 10:18:44 srx1 kmd[1]: "
    begins = ("KMD_VPN_UP_ALARM_USER: ", "IKE negotiation failed with error: ", "[", "{", "")
    bits = ("a, ", "(", ": ", "VPN ", "\\", '"', "=", "x=y ", "1.1.1.1 ", "名 ", "\0", "Local gateway: ")
    lines = [(head + begin + bit * 20_000)[:65_000] for begin in begins for bit in bits]
    found = pipeline.simulate([{"message": line} for line in lines], STREAM)
    assert [one.source["event"]["original"] for one in found] == lines
    assert [one.source["error"] for one in found if "error" in one.source] == []


def test_the_users_own_pipeline_comes_last(elasticsearch: Node, custom: Any) -> None:
    """A pipeline ``lexilog@custom`` gets the finished document, and what it changes is stored."""
    custom({"set": {"field": "labels.mine", "copy_from": "lexilog.catalog.id"}})
    [answer] = write(elasticsearch, [{"@timestamp": "2026-01-15T12:00:00Z", "message": VPN_UP}])
    assert stored(elasticsearch, answer)["labels"] == {"mine": "KMD_VPN_UP_ALARM_USER"}


def test_the_users_own_pipeline_fails(elasticsearch: Node, custom: Any) -> None:
    """Where it fails the document is stored with all that was known of it before, and says so."""
    custom(_FAILING)
    [answer] = write(elasticsearch, [{"@timestamp": "2026-01-15T12:00:00Z", "message": VPN_UP}])
    found = stored(elasticsearch, answer)
    assert found["error"]["message"] == "the ingest pipeline failed: out of order"
    assert found["event"]["kind"] == "pipeline_error"
    assert found["lexilog"]["match"]["quality"] == "id_only"
    assert found["data_stream"]["dataset"] == "lexilog.juniper_kmd"
