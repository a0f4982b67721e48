"""Lines that agents write to a cluster as they are: where they end up, and what happens when a step fails."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import pytest

from agent_fields import AGENTS, UNKNOWN, VPN_UP
from elasticsearch_node import Node
from elasticsearch_templates import golden, install
from ingest_pipeline import Installed, by_processor, installed
from lexilog.compilers.elasticsearch.pipeline import CUSTOM, pipelines
from lexilog.compilers.source import load_source
from lexilog.relay.elasticsearch import _finish

NAMESPACE = "pipeline"
STREAM = f"logs-lexilog.raw-{NAMESPACE}"
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


def test_a_plain_index_is_no_data_stream(pipeline: Installed) -> None:
    """A document that stays in a plain index names no data stream, of ours or the default one."""
    [found] = pipeline.simulate([{"message": VPN_UP}], "plain")
    assert "data_stream" not in found.source


NAMES = ("Prod", "a-b", "日" * 150, "x" * 300, "é" * 100, ".", "..", "", "*", "_x", "+x", "a b", "x" * 99 + "🎉", "\0")
NAMES += (
    "\u2028",
    "Σ",
    "İ",
    "ß",
    "𐐀b",
    "🎉" * 50 + "a",
    "x\x7f",
    "a.b",
    "-",
    "_.-a",
    "K" * 101,
    "a🎉b",
    5,
    None,
    ["x"],
)


def test_names_are_those_of_the_service(pipeline: Installed) -> None:
    """Whatever an agent calls its namespace: the record goes to the same data stream as through the service."""
    stated = [{"message": VPN_UP, "data_stream": {"namespace": name}} for name in NAMES]
    moments = [datetime(2026, 1, 15, 12, tzinfo=UTC)] * len(stated)
    wanted = [_finish(document) for document in by_processor(stated, moments)]
    found = pipeline.simulate(stated, "logs-lexilog.raw-default")
    assert [one.index for one in found] == wanted
    assert all(re.fullmatch(r"logs-lexilog\.juniper_kmd-[a-z0-9][a-z0-9_.]{0,99}", one.index) for one in found)


def test_half_a_character_is_no_name(elasticsearch: Node) -> None:
    """Half a surrogate pair, which no index name can hold, becomes a plain one: the document is stored, and once."""
    line = json.dumps({"@timestamp": "2026-01-15T12:00:00Z", "message": VPN_UP})[:-1]
    sent = [
        f'{line}, "data_stream": {{"namespace": "{name}"}}}}' for name in ("half\\ud800b", "x" * 99 + "\\ud83c\\udf89")
    ]
    body = "".join(f'{{"create": {{"_index": "{STREAM}"}}}}\n{one}\n' for one in sent).encode()
    answers = [item["create"] for item in elasticsearch.request("POST", "/_bulk?refresh=true", body)["items"]]
    assert [answer["status"] for answer in answers] == [201, 201]
    names = [stored(elasticsearch, answer)["data_stream"]["namespace"] for answer in answers]
    assert names == ["half_b", "x" * 99 + "_"]


# As an agent may write them, and what is stored; None where no index takes it.
TIMES: dict[Any, str | None] = {
    "2026-01-15T12:00:00.000Z": "2026-01-15T12:00:00.000Z",
    "2026-01-15T12:00:00.123456789Z": "2026-01-15T12:00:00.123456Z",
    "2026-01-15T12:00:00+0100": "2026-01-15T11:00:00.000Z",
    "2026-01-15T12:00:00+01": "2026-01-15T11:00:00.000Z",
    "2026-01-15T12:00:00-01:00": "2026-01-15T13:00:00.000Z",
    "2026-01-15T12:00:00,5Z": "2026-01-15T12:00:00.500Z",
    "2026-01-15T12:00": "2026-01-15T12:00:00.000Z",
    "2026-01-15T12Z": "2026-01-15T12:00:00.000Z",
    "2026-01-15": "2026-01-15T00:00:00.000Z",
    "2026-01": "2026-01-01T00:00:00.000Z",
    "2026": "2026-01-01T00:00:00.000Z",
    "1768478400123": "2026-01-15T12:00:00.123Z",
    1768478400123: "2026-01-15T12:00:00.123Z",
    -1: "1969-12-31T23:59:59.999Z",
    "0001-01-01T00:00:00Z": "0001-01-01T00:00:00.000Z",
    "9999-12-31T23:59:59.999Z": "9999-12-31T23:59:59.999Z",
    "0000-01-01T00:00:00Z": None,
    "+12345-01-01T00:00:00Z": None,
    "2026-01-15 12:00:00": None,
    "2026-01-15T12:00:00Z[UTC]": None,
    "2026-1-15": None,
    "yesterday": None,
    "": None,
    1768478400.5: None,
    1.5e300: None,
    9223372036854775807: None,
    ("2026-01-15",): None,
    True: None,
}


def test_times_of_agents(node: Node) -> None:
    """Each form that Elasticsearch takes is stored as one that every cluster takes; any other is kept in labels."""
    answers = write(node, [{"@timestamp": time, "message": UNKNOWN} for time in TIMES])
    assert [answer["status"] for answer in answers] == [201] * len(TIMES)
    for (time, wanted), answer in zip(TIMES.items(), answers, strict=True):
        found = stored(node, answer)
        if wanted is None:
            assert found["labels"] == {"@timestamp": list(time) if isinstance(time, tuple) else time}
        else:
            assert found["@timestamp"] == wanted
            assert "labels" not in found


@pytest.mark.parametrize("agent", AGENTS)
def test_what_agents_set_is_stored(node: Node, agent: Mapping[str, Any]) -> None:
    """Whatever the form of an agent's fields: the document is stored."""
    [answer] = write(node, [{"@timestamp": "2026-01-15T12:00:00Z", **agent}])
    assert answer["status"] == 201, answer


def test_long_values_are_stored(node: Node) -> None:
    """A value too long for a term costs no document; OpenSearch, which would refuse it, has it in the line alone."""
    long = "日" * 9_000
    line = VPN_UP.replace('"hq"', f'"{long}" a="b"')
    [answer] = write(node, [{"@timestamp": "2026-01-15T12:00:00Z", "message": line}])
    assert answer["status"] == 201, answer
    found = stored(node, answer)
    assert found["event"]["original"] == line
    kept = {"vpn-name": long} if node.flavour.name != "os3" else {}
    assert found["log"]["syslog"]["structured_data"] == {"junos@2636.1.1.1.2.129": {**kept, "a": "b"}}


# Steps that fail without a word: what Java throws has no message.
_SPEECHLESS = ("throw new RuntimeException();", "int f(int i) { return f(i + 1) + 1; } f(0);")


@pytest.mark.parametrize("source", _SPEECHLESS)
@pytest.mark.parametrize("place", [2, 5, -1])
def test_a_step_that_fails_without_a_word(pipeline: Installed, place: int, source: str) -> None:
    """Where a failure says nothing the document goes on all the same, and says that something failed."""
    processors = list(pipeline.body["processors"])
    processors.insert(place, {"script": {"source": source}})
    changed = {name: value for name, value in pipeline.body.items() if name != "_meta"} | {"processors": processors}
    agent = {"message": VPN_UP, "_lexilog_problem": "mine"}
    body = {"pipeline": changed, "docs": [{"_index": STREAM, "_source": agent}]}
    [answer] = pipeline.node.request("POST", "/_ingest/pipeline/_simulate", body)["docs"]
    found = answer["doc"]["_source"]
    assert found["event"]["kind"] == "pipeline_error"
    assert found["error"]["message"] == "the ingest pipeline failed: no reason given"
    assert not HELPERS & found.keys()


def test_an_agents_own_helper_goes(pipeline: Installed) -> None:
    """A field that an agent calls as the pipeline calls one of its own never leaves."""
    [found] = pipeline.simulate([{"message": VPN_UP, "_lexilog_problem": "x"}], STREAM)
    assert not HELPERS & found.source.keys()


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
