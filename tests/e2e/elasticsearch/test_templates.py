"""The project's templates on real nodes: Elasticsearch with what it lacks mapped down, OpenSearch with every type."""

from __future__ import annotations

import json
import urllib.error
from copy import deepcopy
from typing import Any

import pytest

from agent_fields import deep
from elasticsearch_node import Node
from elasticsearch_templates import fitting, golden, install, leaves, write
from lexilog.catalog.fields import fields
from lexilog.compilers.elasticsearch.templates import templates
from lexilog.compilers.source import load_source
from lexilog.relay._shape import fit

ENGINES = ("es9", "os3")
# The same, and the 8.x that can be had: put together from two patches, it is near to an 8.19 as Elastic ships it.
WITH_8 = (*ENGINES, "esql8")
NOW = "2026-01-15T12:00:00.000Z"


@pytest.fixture(params=ENGINES)
def node(request: pytest.FixtureRequest) -> Node:
    """Return a node of each engine with the project's templates."""
    node: Node = request.getfixturevalue(request.param)
    install(node)
    return node


def search(node: Node, namespace: str, query: dict[str, Any], **body: Any) -> dict[str, Any]:
    """Return the hits of a query in all data streams of a namespace."""
    body = {"query": query, "track_total_hits": True, **body}
    found: dict[str, Any] = node.request("POST", f"/logs-lexilog.*-{namespace}/_search", body)["hits"]
    return found


def count(node: Node, namespace: str, query: dict[str, Any]) -> int:
    total: int = search(node, namespace, query, size=0)["total"]["value"]
    return total


def flat(mapping: dict[str, Any], above: str = "") -> dict[str, str]:
    """Return the types of a mapping by dotted name, with those of the further forms of a field."""
    out = {}
    for key, value in mapping.get("properties", {}).items():
        if "type" in value:
            out[above + key] = value["type"]
        out |= {f"{above}{key}.{name}": form["type"] for name, form in value.get("fields", {}).items()}
        out |= flat(value, f"{above}{key}.")
    return out


@pytest.mark.parametrize("node", WITH_8, indirect=True)
def test_the_cluster_makes_of_them_what_the_field_table_says(node: Node) -> None:
    """Every template is accepted, and a data stream to be has every field of the table with its type, and no other."""
    answer = node.request("POST", "/_index_template/_simulate_index/logs-lexilog.some-default")
    found = flat(answer["template"]["mappings"])
    other = {"constant_keyword": "keyword"}
    other |= {"match_only_text": "text"} if node.flavour.name != "os3" else {"flattened": "flat_object"}
    wanted = {field.name: other.get(field.type, field.type) for field in fields().values()}
    text = wanted["message"]
    prose = [field.name for field in fields().values() if field.prose]
    assert found == wanted | {f"{name}.text": text for name in [*prose, "process.name", "user.name"]}
    assert answer["template"]["mappings"]["dynamic"] == "false"


@pytest.mark.parametrize("lifecycle", ["ilm", "dsl", None])
def test_each_lifecycle_is_accepted(es9: Node, lifecycle: Any) -> None:
    """Whatever rolls over is chosen by a component template of its own; without one there is none."""
    install(es9, lifecycle=lifecycle, pipeline=True)
    made = es9.request("GET", "/_index_template/lexilog")["index_templates"][0]["index_template"]
    named = [name for name in made["composed_of"] if name in ("lexilog@ilm", "lexilog@dsl")]
    assert named == ([f"lexilog@{lifecycle}"] if lifecycle else [])
    if lifecycle:
        kept = es9.request("GET", f"/_component_template/lexilog@{lifecycle}")["component_templates"][0]
        assert kept["component_template"]["_meta"] == load_source().meta
    resolved = es9.request("POST", "/_index_template/_simulate_index/logs-lexilog.raw-default")
    assert resolved["template"]["settings"]["index"]["default_pipeline"] == "lexilog"


def test_all_golden_documents_fit(node: Node) -> None:
    """Every document of every vendor is taken, no field of it is unmapped, and no value is left out of the index."""
    namespace = "golden"
    cases = golden()
    answers = dict(zip(cases, write(node, list(cases.values()), namespace), strict=True))
    assert {case: answer["error"] for case, answer in answers.items() if "error" in answer} == {}
    assert count(node, namespace, {"match_all": {}}) == len(cases) > 0
    ignored = search(node, namespace, {"exists": {"field": "_ignored"}})["hits"]
    assert [(hit["_ignored"], hit["_source"]["event"]["original"]) for hit in ignored] == []
    used = {name for document in cases.values() for name, _ in leaves(document)}
    mapped = node.request("GET", f"/logs-lexilog.*-{namespace}/_field_caps?fields=*")["fields"]
    assert sorted(used - set(mapped)) == []
    # An exists query finds what is in the index, or in the columns beside it.
    filters = {"filters": {"filters": {name: {"exists": {"field": name}} for name in sorted(used)}}}
    answer = node.request("POST", f"/logs-lexilog.*-{namespace}/_search", {"size": 0, "aggs": {"with": filters}})
    found = answer["aggregations"]["with"]["buckets"]
    assert [name for name in sorted(used) if not found[name]["doc_count"]] == ["event.original"]


AWKWARD: dict[str, dict[str, Any]] = {
    "a number that is none": {"source": {"port": "many"}, "log": {"syslog": {"priority": "high"}}},
    "a number too large": {"source": {"bytes": "9" * 30}},
    "an address that is none": {"source": {"ip": "unknown"}, "related": {"ip": ["192.0.2.1", "x"]}},
    "a date that is none": {"event": {"start": "yesterday"}},
    "a truth that is none": {"lexilog": {"match": {"truncated": "perhaps"}}},
    "a long keyword": {"event": {"reason": "x" * 40_000}},
    "a long line": {"event": {"original": "x" * 100_000}, "message": "x" * 100_000},
    "many names of the agent": {"agent_fields": {f"name-{number}": number for number in range(3_000)}},
    "lists of maps": {"kubernetes": {"pods": [{"name": "a"}, {"name": {"b": 1}}]}},
    "lists of values": {"message": ["a", "b"], "source": [{"ip": "192.0.2.1"}, {"ip": "192.0.2.2"}]},
    "dotted names": {"host.name": "web1", "agent.name": "x", "agent": {"id": 5}},
}
# Elasticsearch refuses these, OpenSearch most of them; the relay and the pipeline move what clashes to labels.
CLASHES: dict[str, dict[str, Any]] = {
    "a text for a map": {"host": "web1"},
    "a path for a map": {"source": "udp:514"},
    "a list for a map": {"host": ["a", "b"]},
    "a value and a map": {"process": "kmd", "process.pid": 5},
    "a map for a text": {"event": {"reason": {"a": "b"}}},
    "a map for a flag": {"lexilog": {"match": {"truncated": {"a": [{"b": 1}]}}}},
    "a text for a flattened field": {"lexilog": {"variables": "x"}},
    "a deep flattened field": {"lexilog": {"variables": deep(21)}},
    "a dotted name below a text": {"message.x": 1, "message": "x"},
    "a name of dots": {"..": 1},
}


def send_awkward(node: Node, documents: dict[str, dict[str, Any]], namespace: str) -> dict[str, Any]:
    """Write documents; return the error of each that is refused."""
    stamped = [{"@timestamp": NOW, "labels": {"case": case}, **one} for case, one in documents.items()]
    answers = zip(documents, write(node, stamped, namespace), strict=True)
    return {case: answer["error"]["type"] for case, answer in answers if "error" in answer}


@pytest.mark.parametrize("node", WITH_8, indirect=True)
def test_what_does_not_fit_is_kept(node: Node) -> None:
    """A value that its field cannot hold costs nothing but its place in the index: the document is there, whole."""
    namespace = "awkward"
    assert send_awkward(node, AWKWARD, namespace) == {}
    hits = search(node, namespace, {"match_all": {}}, size=100)["hits"]
    kept = {hit["_source"]["labels"]["case"]: hit["_source"] for hit in hits}
    assert {case: {**kept[case], **one} for case, one in AWKWARD.items()} == kept
    ignored = {hit["_source"]["labels"]["case"]: hit.get("_ignored") for hit in hits}
    assert ignored["an address that is none"] == ["related.ip", "source.ip"]


@pytest.mark.parametrize("node", WITH_8, indirect=True)
def test_what_clashes_is_made_to_fit(node: Node) -> None:
    """Where an agent has another form than the field table a cluster refuses the document, and takes what is sent."""
    made = deepcopy(CLASHES)
    for document in made.values():
        fit(document, None)
    assert send_awkward(node, made, "clashes") == {}
    refused = send_awkward(node, CLASHES, "clashes")
    # OpenSearch takes some.
    assert refused if node.flavour.name == "os3" else set(refused) == set(CLASHES)


def test_a_deep_document_ends_no_node(es9_alone: Node) -> None:
    """However deep an agent's fields are nested, a document costs at most itself, and the node goes on."""
    install(es9_alone)
    stream = "logs-lexilog.unknown-deep"
    statuses = []
    for depth in (20, 100, 400, 600, 800, 990, 5_000):
        nested = '{"a":' * depth + "1" + "}" * depth
        body = f'{{"create":{{"_index":"{stream}"}}}}\n{{"@timestamp":"{NOW}","deep":{nested}}}\n'
        [item] = es9_alone.request("POST", "/_bulk", body.encode())["items"]
        statuses.append(item["create"]["status"])
    assert statuses == [201] * 6 + [400]
    assert es9_alone.request("GET", "/_cluster/health")["status"] != "red"


@pytest.mark.parametrize("engine", ENGINES)
def test_texts_are_found_by_their_words(engine: str, request: pytest.FixtureRequest) -> None:
    """An explanation is one value to count by, and its words can be searched for; so is a user's name."""
    node: Node = request.getfixturevalue(engine)
    install(node)
    document = golden()["junos/KMD_VPN_DOWN_ALARM_USER/documented:1"] | {"user": {"name": "Erika Example"}}
    write(node, [document], "words")
    explanation = document["lexilog"]["explanation"]
    assert count(node, "words", {"term": {"lexilog.explanation": explanation}}) == 1
    assert count(node, "words", {"match": {"lexilog.explanation.text": explanation.split()[1].upper()}}) == 1
    assert count(node, "words", {"match": {"user.name.text": "erika"}}) == 1
    assert (
        count(node, "words", {"term": {"lexilog.variables.vpn-name": document["lexilog"]["variables"]["vpn-name"]}})
        == 1
    )


def test_an_admins_own_fields_are_added(es9: Node) -> None:
    """What ``lexilog@custom`` maps, as nested names or dotted ones, can be searched; what nobody maps cannot."""
    install(es9)
    own = {"kubernetes": {"properties": {"pod": {"type": "keyword"}}}, "host.arch": {"type": "keyword"}}
    settings = {"index": {"number_of_replicas": 0}}
    custom = {"template": {"settings": settings, "mappings": {"properties": own}}}
    es9.request("PUT", "/_component_template/lexilog@custom", custom)
    document = {"@timestamp": NOW, "kubernetes": {"pod": "p1"}, "host": {"arch": "arm"}, "cloud": {"region": "r1"}}
    try:
        [answer] = write(es9, [document], "custom")
    finally:
        install(es9)
    assert answer["status"] == 201
    found = {
        name: count(es9, "custom", {"term": {name: value}})
        for name, value in {"kubernetes.pod": "p1", "host.arch": "arm", "cloud.region": "r1"}.items()
    }
    assert found == {"kubernetes.pod": 1, "host.arch": 1, "cloud.region": 0}


def test_nothing_of_the_templates_is_ignored(es9: Node) -> None:
    """What the cluster keeps of a component template is what was sent: no setting of it is unknown or dropped."""
    for one in fitting(templates(load_source(), lifecycle="dsl", pipeline=True)):
        if one.kind == "component_template":
            es9.request("PUT", f"/_component_template/{one.name}", one.body)
            kept = es9.request("GET", f"/_component_template/{one.name}?flat_settings=false")["component_templates"]
            sent, found = one.body["template"], kept[0]["component_template"]["template"]
            assert _texts(found.get("settings")) == _texts(sent.get("settings")), one.name
            assert flat(found.get("mappings", {})) == flat(sent.get("mappings", {})), one.name


def _texts(settings: Any) -> Any:
    """Return settings as the cluster keeps them: each value as text."""
    if isinstance(settings, dict):
        return {key: _texts(value) for key, value in settings.items()}
    return settings if settings is None or isinstance(settings, str) else json.dumps(settings)


def test_a_clash_of_templates_is_the_clusters_to_refuse(es9: Node) -> None:
    """Another template for the same data streams cannot have our priority, so that nobody replaces ours unseen."""
    install(es9)
    rival = {"index_patterns": ["logs-lexilog.juniper*-*"], "priority": 200, "data_stream": {}}
    with pytest.raises(urllib.error.HTTPError, match="400") as caught:
        es9.request("PUT", "/_index_template/rival", rival)
    with caught.value as error:
        assert "lexilog" in error.read().decode()
