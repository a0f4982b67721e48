"""What lexilog keeps in a cluster, one object at a time."""

from __future__ import annotations

from typing import Any, NamedTuple

__all__ = ["ClusterObject"]


class ClusterObject(NamedTuple):
    """An object of a cluster, by kind and name, as its API takes it.

    Attributes:
        kind: ``lifecycle_policy``, ``component_template``, ``ingest_pipeline`` or ``index_template``: the order in
            which they are made, each standing on those before it.
        name: its name in the cluster.
        body: what is sent; ``_meta`` in it says that it is ours.
    """

    kind: str
    name: str
    body: dict[str, Any]
