"""Carries a plan out, step by step."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from lexilog.install.access import RefusedError
from lexilog.install.plan import KINDS, Step

__all__ = ["Target", "apply"]


class Target(Protocol):
    """Where objects are kept."""

    def put(self, kind: str, name: str, body: Mapping[str, Any]) -> None:
        """Create or change an object; raises LexilogError."""

    def delete(self, kind: str, name: str) -> None:
        """Remove an object; raises LexilogError."""


def apply(steps: Sequence[Step], target: Target, done: Callable[[Step], None]) -> list[str]:
    """Do the steps in their order; return what could not be removed, and why.

    What cannot be made ends it, and what was made before stands by itself. What cannot be removed, as it is in use,
    stays with all that it stands on, and the rest is still tried.

    Args:
        steps: of a plan.
        target: where to.
        done: is told each step that was done.

    Raises:
        LexilogError: an object could not be made, or nothing can be removed at all.
    """
    kept = []
    users: dict[tuple[str, str], str] = {}
    for step in (step for step in steps if step.is_work):
        who = f"{KINDS.get(step.kind, step.kind)} {step.name}"
        if user := users.get((step.kind, step.name)):
            kept.append(f"{who}: used by {user}, which stays")
        elif (refusal := _do(step, target)) is not None:
            kept.append(refusal)
        else:
            done(step)
            continue
        users |= dict.fromkeys(step.stands_on, who)
    return kept


def _do(step: Step, target: Target) -> str | None:
    """Do a step; return why an object that is to be removed has to stay."""
    if step.action != "remove":
        target.put(step.kind, step.name, step.body)
        return None
    try:
        target.delete(step.kind, step.name)
    except RefusedError as error:
        if error.is_general:
            raise
        return str(error)
    return None
