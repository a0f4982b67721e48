"""Which objects a cluster should have, by what was asked for and what an earlier run has left there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from lexilog.compilers.elasticsearch.objects import ClusterObject
from lexilog.compilers.elasticsearch.pipeline import pipelines
from lexilog.compilers.elasticsearch.templates import templates
from lexilog.compilers.source import Source
from lexilog.install.plan import Objects, is_ours

__all__ = ["LifecycleChoice", "forgotten_catalogs", "has_pipeline", "lifecycle_of", "wanted"]

LifecycleChoice = Literal["ilm", "dsl", "none"]
_PIPELINE = ("ingest_pipeline", "lexilog")


def lifecycle_of(there: Objects) -> LifecycleChoice:
    """Return the lifecycle that an earlier run has chosen; data stream lifecycle, which every cluster has, at first."""
    template = there.get(("index_template", "lexilog"))
    if template is None or not is_ours("index_template", "lexilog", template):
        return "dsl"
    parts = template.get("composed_of", [])
    if "lexilog@ilm" in parts:
        return "ilm"
    return "dsl" if "lexilog@dsl" in parts else "none"


def has_pipeline(there: Objects) -> bool:
    """Tell whether an earlier run has installed the ingest pipeline, or a part of what belongs to it."""
    parts = (("index_template", "lexilog-raw"), _PIPELINE)
    return any(key in there and is_ours(*key, there[key]) for key in parts)


def forgotten_catalogs(objects: Sequence[ClusterObject], there: Objects) -> list[str]:
    """Return the names of the catalogues that the ingest pipeline there knows, and the one that is to be does not."""
    new = next((one.body for one in objects if (one.kind, one.name) == _PIPELINE), None)
    if new is None:
        return []
    return sorted(_catalogs(there.get(_PIPELINE, {})) - _catalogs(new))


def _catalogs(pipeline: Mapping[str, Any]) -> set[str]:
    scripts = [step.get("script", {}) for step in pipeline.get("processors", ())]
    return {name for one in scripts for name in one.get("params", {}).get("catalogs", ())}


def wanted(source: Source, lifecycle: LifecycleChoice, *, pipeline: bool) -> list[ClusterObject]:
    """Return the objects that should be there.

    Args:
        source: what they are made from.
        lifecycle: how data get old.
        pipeline: whether raw lines are to be recognised in the cluster.
    """
    chosen = None if lifecycle == "none" else lifecycle
    objects = templates(source, lifecycle=chosen, pipeline=pipeline)
    return [*objects, *(pipelines(source) if pipeline else ())]
