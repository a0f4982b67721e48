"""The ingest pipeline as a package carries it: the same steps, but the records stay in the data stream of the package.

Roles and agents that Fleet makes know that one data stream alone. So what the pipeline does to send a record on is
taken back behind it. Fleet calls pipelines of the user's own by itself (``logs-lexilog.log@custom``).

Fleet passes over ``ignore_above`` of a flattened field: ``_generateMappings`` of its source knows it of keyword and
wildcard alone. So what no term can hold is taken out as for OpenSearch, or the record would be refused.
"""

from __future__ import annotations

from typing import Any

from lexilog.compilers.elasticsearch.mapping import LONGEST
from lexilog.compilers.elasticsearch.objects import ClusterObject
from lexilog.compilers.elasticsearch.painless import step
from lexilog.compilers.elasticsearch.pipeline import CUSTOM, NAME, pipelines
from lexilog.compilers.source import Source

__all__ = ["package_pipelines", "reference"]

# What an Elastic package may say of a pipeline, and no more.
_KEYS = ("description", "processors", "on_failure")
_AGAIN = "-call-"
_KEEP = {"set": {"tag": "keep-data-stream", "field": "_lexilog_index", "copy_from": "_index"}}
# Neither a dataset nor a namespace has a hyphen.
_BACK = """\
String index = ctx.remove('_lexilog_index');
if (index != null) {
  ctx._index = index;
  int end = index.lastIndexOf('-');
  if (index.startsWith('logs-') && end > 5) {
    ctx.data_stream = ['type': 'logs', 'dataset': index.substring(5, end), 'namespace': index.substring(end + 1)];
  }
}
"""


def package_pipelines(source: Source) -> dict[str, dict[str, Any]]:
    """Return the pipelines of the package's data stream by the stem of their file; ``default`` is called by Fleet."""
    found: dict[str, dict[str, Any]] = {}
    for one in pipelines(source):
        calls: list[str] = []
        found[_stem(one.name)] = _referring(_body(one), calls)
        found |= {stem: _calling(_first(stem)) for stem in calls if stem != _first(stem)}
    return found


def reference(stem: str) -> str:
    """Return how one pipeline of a package calls another: Fleet puts the name in the cluster in its place.

    It does so once for each name in a file: ``rewriteIngestPipeline`` of its source replaces the first it finds.
    """
    return f"{{{{ IngestPipeline '{stem}' }}}}"


def _stem(name: str) -> str:
    return "default" if name == NAME else name.removeprefix(f"{NAME}@")


def _first(stem: str) -> str:
    return stem.partition(_AGAIN)[0]


def _calling(stem: str) -> dict[str, Any]:
    """Return a pipeline that does nothing but call another: what calls that one a second time calls this instead."""
    return {"description": f"Calls {stem}", "processors": [{"pipeline": {"tag": "call", "name": reference(stem)}}]}


def _body(pipeline: ClusterObject) -> dict[str, Any]:
    body = {key: pipeline.body[key] for key in _KEYS if key in pipeline.body}
    if pipeline.name == NAME:
        steps = [one for one in body["processors"] if one.get("pipeline", {}).get("name") != CUSTOM]
        body["processors"] = [_KEEP, *map(_bounded, steps), _back("back-to-data-stream")]
        body["on_failure"] = [*map(_bounded, body["on_failure"]), _back("failed-back-to-data-stream")]
    return body


def _bounded(one: dict[str, Any]) -> dict[str, Any]:
    script = one.get("script", {})
    if "shape" not in script.get("params", {}):
        return one
    return {"script": {**script, "params": {**script["params"], "longest": LONGEST}}}


def _back(tag: str) -> dict[str, Any]:
    return step(tag, "Stay in the data stream", _BACK)


def _referring(body: Any, calls: list[str]) -> Any:
    """Return a pipeline that calls the others as those of its package, and add to `calls` by which stem it does."""
    if isinstance(body, list):
        return [_referring(one, calls) for one in body]
    if not isinstance(body, dict):
        return body
    found = {key: _referring(value, calls) for key, value in body.items() if key != "pipeline"}
    if "pipeline" in body:
        stem = _stem(body["pipeline"]["name"])
        times = sum(_first(called) == stem for called in calls)
        calls.append(stem if times == 0 else f"{stem}{_AGAIN}{times + 1}")
        found["pipeline"] = {**body["pipeline"], "name": reference(calls[-1])}
    return found
