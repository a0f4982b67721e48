"""The project's own templates on a node of the tests, and what is told to it of them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from elasticsearch_node import Node
from field_values import golden, leaves
from lexilog.compilers.elasticsearch.objects import ClusterObject
from lexilog.compilers.elasticsearch.templates import Lifecycle, templates
from lexilog.compilers.source import Source, load_source

__all__ = ["fitting", "golden", "install", "leaves", "mappings", "write"]

_PATHS = {
    "component_template": "/_component_template",
    "index_template": "/_index_template",
    "ingest_pipeline": "/_ingest/pipeline",
}
# Types that the node of the flavour es9 lacks, and those that stand in for them.
_DOWN = {"constant_keyword": "keyword", "match_only_text": "text", "wildcard": "keyword"}


def install(
    node: Node, *, lifecycle: Lifecycle | None = "dsl", pipeline: bool = False, source: Source | None = None
) -> None:
    """Put the project's templates on a node.

    On OpenSearch they are those for it, unchanged. On Elasticsearch types that the node lacks are mapped down, and ILM,
    which it lacks too, is left out. Replicas, of which a single node has none, are set in ``lexilog@custom``, as an
    admin does; OpenSearch has no such template, and makes yellow indices.
    """
    opensearch = node.flavour.program == "opensearch"
    if not opensearch:
        custom = {"template": {"settings": {"index": {"number_of_replicas": 0}}}}
        node.request("PUT", "/_component_template/lexilog@custom", custom)
    made = templates(
        source or load_source(), lifecycle=None if opensearch else lifecycle, opensearch=opensearch, pipeline=pipeline
    )
    for one in made if opensearch else fitting(made):
        node.request("PUT", f"{_PATHS[one.kind]}/{one.name}", one.body)


def fitting(made: tuple[ClusterObject, ...]) -> Iterator[ClusterObject]:
    """Return objects as the node of the flavour es9 takes them: without ILM, missing types mapped down."""
    for one in made:
        if one.kind != "lifecycle_policy":
            yield one._replace(body=_without_ilm(_mapped_down(one.body)))


def mappings(source: Source | None = None) -> dict[str, Any]:
    """Return the mappings of the templates as one, with the types that the node of the flavour es9 has."""
    whole: dict[str, Any] = {"properties": {}}
    for made in fitting(templates(source or load_source(), lifecycle=None)):
        found = made.body["template"].get("mappings", {}) if made.kind == "component_template" else {}
        whole |= {**found, "properties": whole["properties"] | found.get("properties", {})}
    return whole


def _mapped_down(value: Any) -> Any:
    if isinstance(value, list):
        return [_mapped_down(item) for item in value]
    if not isinstance(value, dict):
        return value
    out = {key: _mapped_down(item) for key, item in value.items()}
    kind = out.get("type")
    return {**out, "type": _DOWN[kind]} if isinstance(kind, str) and kind in _DOWN else out


def _without_ilm(body: dict[str, Any]) -> dict[str, Any]:
    body.get("template", {}).get("settings", {}).get("index", {}).pop("lifecycle", None)
    return body


def write(node: Node, documents: list[dict[str, Any]], namespace: str) -> list[dict[str, Any]]:
    """Create documents in the data streams of a namespace that they name, and return the answer to each.

    A document that names none, as one that no catalogue knows, goes where the relay sends it.
    """
    lines = []
    for document in documents:
        named = {
            "type": "logs",
            "dataset": "lexilog.unknown",
            **document.get("data_stream", {}),
            "namespace": namespace,
        }
        stream = f"{named['type']}-{named['dataset']}-{namespace}"
        lines += [{"create": {"_index": stream}}, {**document, "data_stream": named}]
    body = "".join(json.dumps(line) + "\n" for line in lines).encode()
    answer = node.request("POST", "/_bulk?refresh=true", body)
    return [item["create"] for item in answer["items"]]
