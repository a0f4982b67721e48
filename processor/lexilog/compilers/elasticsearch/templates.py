"""Templates for the data streams ``logs-lexilog.*-*``, and what rolls them over.

Nothing that a device or an agent writes makes a document fail, as far as a mapping can help it: a value that does not
fit its type stays in ``_source`` and is listed in ``_ignored``; names that are not in the field table are kept and not
indexed. A value where the table has a map (``host: web1``) no nested mapping takes: the relay and the ingest pipeline
move it. With ``subobjects: false`` an index would take it, and one deeply nested document would kill the node:
Elasticsearch flattens those by recursion without a bound.
"""

from __future__ import annotations

from typing import Any, Literal

from lexilog.compilers.elasticsearch.mapping import properties
from lexilog.compilers.elasticsearch.objects import ClusterObject
from lexilog.compilers.source import Files, Source, to_json

__all__ = ["DATA_STREAMS", "Lifecycle", "files", "templates"]

Lifecycle = Literal["ilm", "dsl"]

DATA_STREAMS = "logs-lexilog.*-*"
# Where agents that have no lexilog service write lines as they are.
_RAW_DATA_STREAMS = "logs-lexilog.raw-*"
# Above Elastic's own template for logs-*-*, which has 100.
_PRIORITY, _RAW_PRIORITY = 200, 210
_CUSTOM = "lexilog@custom"
_FOLDER = "mappings/elasticsearch"
_FOLDERS = {
    "lifecycle_policy": "lifecycle",
    "component_template": "component_template",
    "index_template": "index_template",
}


def templates(
    source: Source, *, lifecycle: Lifecycle | None, opensearch: bool = False, pipeline: bool = False
) -> tuple[ClusterObject, ...]:
    """Return what a cluster needs to take records, in the order in which it is made.

    Args:
        source: the knowledge.
        lifecycle: what rolls the data streams over: an ILM policy, the data stream lifecycle, or nothing of ours.
        opensearch: for OpenSearch, which has neither.
        pipeline: with the template of the data streams whose lines pass the ingest pipeline ``lexilog``.
    """
    components = [
        _component(source, "settings", _settings()),
        _component(source, "ecs", {"mappings": {"properties": properties("ecs", opensearch=opensearch)}}),
        _component(source, "fields", {"mappings": {"properties": properties("lexilog", opensearch=opensearch)}}),
    ]
    if lifecycle:
        components.append(_component(source, lifecycle, _LIFECYCLES[lifecycle]))
    index = _index_template(source, [one.name for one in components], opensearch)
    out = [*components, ClusterObject("index_template", "lexilog", index)]
    if pipeline:
        raw = {
            **index,
            "index_patterns": [_RAW_DATA_STREAMS],
            "priority": _RAW_PRIORITY,
            "template": {"settings": {"index": {"default_pipeline": "lexilog"}}},
        }
        out.append(ClusterObject("index_template", "lexilog-raw", raw))
    return (*([_policy(source)] if lifecycle == "ilm" else []), *out)


def files(source: Source) -> Files:
    """Return all of it as files; the index templates name the data stream lifecycle, which needs no policy."""
    made = {(one.kind, one.name): one for one in templates(source, lifecycle="ilm")}
    made |= {(one.kind, one.name): one for one in templates(source, lifecycle="dsl", pipeline=True)}
    out = {_path(_FOLDER, one): to_json(one.body) for one in made.values()}
    for one in templates(source, lifecycle=None, opensearch=True, pipeline=True):
        out[_path(f"{_FOLDER}/opensearch", one)] = to_json(one.body)
    return out


def _path(folder: str, one: ClusterObject) -> str:
    return f"{folder}/{_FOLDERS[one.kind]}/{one.name}.json"


def _component(source: Source, name: str, template: dict[str, Any]) -> ClusterObject:
    return ClusterObject("component_template", f"lexilog@{name}", {"template": template, "_meta": source.meta})


def _index_template(source: Source, components: list[str], opensearch: bool) -> dict[str, Any]:
    out: dict[str, Any] = {"index_patterns": [DATA_STREAMS], "priority": _PRIORITY, "data_stream": {}}
    if opensearch:
        # It refuses to name a component template that does not exist.
        return {**out, "composed_of": components, "_meta": source.meta}
    return {
        **out,
        "composed_of": [*components, _CUSTOM],
        "ignore_missing_component_templates": [_CUSTOM],
        "_meta": source.meta,
    }


def _settings() -> dict[str, Any]:
    """Return the settings and what holds for all fields.

    Shards and replicas are left to the cluster, and so is the index mode: ``logsdb`` changes what ``_source`` is made
    of, and the licence that is needed; who wants it sets it in ``lexilog@custom``. There is no index sort, as the
    segments of a data stream are searched newest first without one.
    """
    index = {"codec": "best_compression", "mapping": {"ignore_malformed": True, "total_fields": {"limit": 1000}}}
    return {"settings": {"index": index}, "mappings": {"dynamic": False, "date_detection": False}}


# Nothing is deleted: how long logs are kept is for the admin to say, in lexilog@custom or in a policy of his own.
_LIFECYCLES: dict[Lifecycle, dict[str, Any]] = {
    "ilm": {"settings": {"index": {"lifecycle": {"name": "lexilog"}}}},
    "dsl": {"lifecycle": {"enabled": True}},
}


def _policy(source: Source) -> ClusterObject:
    """Return the ILM policy, which does what Elastic's own for logs does."""
    rollover = {"max_primary_shard_size": "50gb", "max_age": "30d"}
    hot = {"min_age": "0ms", "actions": {"rollover": rollover}}
    return ClusterObject("lifecycle_policy", "lexilog", {"policy": {"phases": {"hot": hot}, "_meta": source.meta}})
