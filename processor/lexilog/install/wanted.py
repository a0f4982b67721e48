"""Which objects a cluster should have, by what was asked for and what an earlier run has left there."""

from __future__ import annotations

from typing import Literal

from lexilog.compilers.elasticsearch.objects import ClusterObject
from lexilog.compilers.elasticsearch.pipeline import pipelines
from lexilog.compilers.elasticsearch.templates import templates
from lexilog.compilers.source import Source
from lexilog.install.plan import Objects, is_ours

__all__ = ["Lifecycle", "has_pipeline", "lifecycle_of", "wanted"]

Lifecycle = Literal["ilm", "dsl", "none"]


def lifecycle_of(there: Objects) -> Lifecycle:
    """Return the lifecycle that an earlier run has chosen; data stream lifecycle, which every cluster has, at first."""
    template = there.get(("index_template", "lexilog"))
    if template is None or not is_ours("index_template", template):
        return "dsl"
    parts = template.get("composed_of", [])
    if "lexilog@ilm" in parts:
        return "ilm"
    return "dsl" if "lexilog@dsl" in parts else "none"


def has_pipeline(there: Objects) -> bool:
    """Tell whether an earlier run has installed the ingest pipeline."""
    template = there.get(("index_template", "lexilog-raw"))
    return template is not None and is_ours("index_template", template)


def wanted(source: Source, lifecycle: Lifecycle, *, pipeline: bool) -> list[ClusterObject]:
    """Return the objects that should be there.

    Args:
        source: what they are made from.
        lifecycle: how data get old.
        pipeline: whether raw lines are to be recognised in the cluster.
    """
    chosen = None if lifecycle == "none" else lifecycle
    objects = templates(source, lifecycle=chosen, pipeline=pipeline)
    return [*objects, *(pipelines(source) if pipeline else ())]
