"""What becomes of the data streams that are there already: a new template counts from their next index on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from lexilog.compilers.elasticsearch.objects import ClusterObject
from lexilog.install.clash import meet, patterns
from lexilog.install.plan import Objects, Step

__all__ = ["LIFECYCLE", "ROLLOVER", "lifecycles", "of_templates", "outdated", "rollovers"]

# Kinds of steps that change a data stream.
LIFECYCLE = "data_stream_lifecycle"
ROLLOVER = "data_stream"


def of_templates(
    streams: Iterable[str], ours: Sequence[ClusterObject], others: Mapping[str, Mapping[str, Any]]
) -> dict[str, ClusterObject]:
    """Return the data streams whose next index is made by an index template of ours, and that template.

    Args:
        streams: names of data streams.
        ours: our index templates.
        others: those that others have made, by name.
    """
    templates = {**others, **{one.name: one.body for one in ours}}
    by_name = {one.name: one for one in ours}
    found = {}
    for stream in streams:
        claims = [name for name, body in templates.items() if any(meet(one, stream) for one in patterns(body))]
        first = max(claims, key=lambda name: templates[name].get("priority", 0), default=None)
        if first in by_name:
            found[stream] = by_name[first]
    return found


def outdated(streams: Mapping[str, ClusterObject], steps: Iterable[Step]) -> list[str]:
    """Return the data streams whose index differs from what their template makes after these steps.

    Args:
        streams: data streams with their index templates.
        steps: that make or change templates.
    """
    new = {(step.kind, step.name) for step in steps if step.is_new_shape}
    return [stream for stream, template in streams.items() if new & set(_parts(template))]


def _parts(template: ClusterObject) -> Iterable[tuple[str, str]]:
    yield template.kind, template.name
    for name in template.body.get("composed_of", ()):
        yield "component_template", name


def rollovers(streams: Iterable[str]) -> list[Step]:
    """Return the steps that let data streams begin a new index."""
    return [Step("change", ROLLOVER, stream, note="begins a new index with its next document") for stream in streams]


def lifecycles(streams: Iterable[str], objects: Iterable[ClusterObject], there: Objects) -> list[Step]:
    """Return the steps that give data streams the lifecycle of their template, which only later ones would get.

    Args:
        streams: data streams that have none.
        objects: what a cluster is to have; the lifecycle is in a component template.
        there: what it has: the user's own component template may say more.
    """
    found: dict[str, Any] = {}
    custom = there.get(("component_template", "lexilog@custom"), {})
    for body in (*(one.body for one in objects if one.kind == "component_template"), custom):
        found |= body.get("template", {}).get("lifecycle") or {}
    return [Step("create", LIFECYCLE, stream, found) for stream in streams] if found else []
