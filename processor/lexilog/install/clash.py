"""Finds index templates of others that claim the data streams of ours.

Elasticsearch refuses two templates of one priority whose patterns meet; of several priorities the highest counts alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any

from lexilog.compilers.elasticsearch.objects import ClusterObject

__all__ = ["clashes", "meet", "patterns"]

_Templates = Mapping[str, Mapping[str, Any]]


def clashes(ours: Iterable[ClusterObject], others: _Templates) -> tuple[list[str], list[str]]:
    """Return what forbids to make index templates, and what an admin should know of them; a sentence for each case.

    Args:
        ours: the index templates that are to be made.
        others: those that others have made, by name, as the cluster gives them back.
    """
    problems, notes = [], []
    for template in ours:
        priority, claimed = template.body.get("priority", 0), patterns(template.body)
        for name, other in sorted(others.items()):
            theirs, rank = patterns(other), other.get("priority", 0)
            pairs = [(mine, one) for mine in claimed for one in theirs if meet(mine, one)]
            if not pairs or rank < priority:
                continue
            who = f"index template '{name}' (priority {rank}, {', '.join(theirs)})"
            if rank == priority:
                problems.append(
                    f"{who} meets ours '{template.name}', of the same priority: give it another priority, or remove it"
                )
            elif any(_covers(one, mine) for mine, one in pairs):
                problems.append(
                    f"{who} would take all data streams of ours '{template.name}' (priority {priority}): give it a "
                    "lower priority, narrower patterns, or remove it"
                )
            else:
                notes.append(f"{who} comes before ours '{template.name}' (priority {priority}) for what both match")
    return problems, notes


def patterns(template: Mapping[str, Any]) -> Sequence[str]:
    """Return the patterns of an index template."""
    found = template.get("index_patterns", [])
    return [found] if isinstance(found, str) else found


def _covers(wide: str, narrow: str) -> bool:
    """Tell whether all that one pattern matches is matched by another: its ``*`` is matched by a ``*`` alone."""
    return re.fullmatch(".*".join(map(re.escape, wide.split("*"))), narrow) is not None


def meet(one: str, other: str) -> bool:
    """Tell whether there is a name that two patterns both match; ``*`` stands for any text, also for none."""

    @cache
    def rest(here: int, there: int) -> bool:
        left, right = one[here:], other[there:]
        if not left or not right:
            return not (left or right).strip("*")
        if left[0] == "*":
            return rest(here + 1, there) or rest(here, there + 1)
        if right[0] == "*":
            return rest(here, there + 1) or rest(here + 1, there)
        return left[0] == right[0] and rest(here + 1, there + 1)

    return rest(0, 0)
