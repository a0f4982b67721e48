"""The ingest pipeline that does in the cluster what `lexilog.pipeline` does in a service.

Its steps are scripts. Between them a document has a field ``_lexilog`` with what is known so far: ``original`` (the
line as it came), ``key`` (the field that held it), ``now`` and ``stated`` (this moment and the agent's own time, in
microseconds), ``context``, ``frame`` and ``match``. It never leaves the pipeline, nor do its helpers ``_lexilog_now``
and ``_lexilog_problem``.
"""

from __future__ import annotations

from typing import Any

from lexilog.compilers.elasticsearch import framing
from lexilog.compilers.elasticsearch.mapping import LONGEST
from lexilog.compilers.elasticsearch.objects import ClusterObject
from lexilog.compilers.elasticsearch.painless import script, step
from lexilog.compilers.elasticsearch.tables import enrich_table, match_table, shape_table
from lexilog.compilers.source import Files, Source, to_json

__all__ = ["CUSTOM", "NAME", "files", "pipelines"]

NAME = "lexilog"
# The user's own pipeline, which is called at the end where there is one.
CUSTOM = "lexilog@custom"

_MATCH = ("text", "match_text", "match_types", "match_template", "match_tail", "match_index", "match")
_FIELDS = (
    "text",
    "iso_date",
    "labels",
    "beginning",
    "enrich_values",
    "enrich_fields",
    "enrich_document",
    "enrich_shape",
)


def pipelines(source: Source, *, opensearch: bool = False) -> tuple[ClusterObject, ...]:
    """Return the ingest pipelines, each after those that it calls.

    Args:
        source: the knowledge.
        opensearch: leave out what OpenSearch does not take: ``_meta``, and the call of a pipeline that may be missing.
    """
    shaping = shape_table(longest=LONGEST if opensearch else None)
    steps = [
        # The only way to this time that needs no module beside the scripts' own.
        _convert("_ingest.timestamp", "_lexilog_now"),
        framing.begin(),
        *framing.framing(),
        step(
            "match",
            "Which message is it?",
            script(_MATCH, ""),
            condition="ctx._lexilog?.frame != null",
            params=match_table(source.entries),
        ),
        step(
            "enrich",
            "Write the fields",
            script((*_FIELDS, "enrich"), ""),
            params=enrich_table(source.entries) | shaping,
        ),
    ]
    if not opensearch:
        steps.append({"pipeline": {"tag": "custom", "name": CUSTOM, "ignore_missing_pipeline": True}})
    body = {
        "description": "Recognises and explains log lines of VPN gateways",
        "processors": steps,
        "on_failure": [_convert("_ingest.on_failure_message", "_lexilog_problem"), _failed(shaping)],
        "_meta": source.meta,
    }
    made = (*framing.framing_pipelines(source), ClusterObject("ingest_pipeline", NAME, body))
    return tuple(one._replace(body=_without_meta(one.body)) for one in made) if opensearch else made


def files(source: Source) -> Files:
    """Return the pipelines as files, for Elasticsearch and for OpenSearch."""
    variants = {"mappings/elasticsearch": False, "mappings/elasticsearch/opensearch": True}
    return {
        f"{folder}/pipeline/{one.name}.json": to_json(one.body)
        for folder, opensearch in variants.items()
        for one in pipelines(source, opensearch=opensearch)
    }


def _without_meta(body: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in body.items() if name != "_meta"}


def _convert(field: str, target: str) -> dict[str, Any]:
    # An exception may have no message.
    return {"convert": {"field": field, "type": "string", "target_field": target, "ignore_missing": True}}


def _failed(shaping: dict[str, Any]) -> dict[str, Any]:
    """Return what is done when a step fails; if that fails too, nothing of ours stays in the document."""
    say = step("failed", "Say what failed", script((*_FIELDS, "failed"), ""), params=shaping)
    names = ["_lexilog", "_lexilog_now", "_lexilog_problem"]
    return {"script": {**say["script"], "on_failure": [{"remove": {"field": names, "ignore_missing": True}}]}}
