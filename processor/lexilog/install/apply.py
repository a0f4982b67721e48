"""Carries a plan out, step by step."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from lexilog.errors import LexilogError
from lexilog.install.access import RefusedError
from lexilog.install.plan import Step

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
    stays, and the rest is still tried.

    Args:
        steps: of a plan.
        target: where to.
        done: is told each step that was done.

    Raises:
        LexilogError: an object could not be made; the text says how far it came.
    """
    work = [step for step in steps if step.is_work]
    kept = []
    for number, step in enumerate(work):
        try:
            if step.action == "remove":
                target.delete(step.kind, step.name)
            else:
                target.put(step.kind, step.name, step.body)
        except LexilogError as error:
            if step.action != "remove" or not isinstance(error, RefusedError):
                how_far = f"{number} of {len(work)} steps are done, what is there works; mend it and run this again"
                raise LexilogError(f"{error}\n{how_far}") from error
            kept.append(str(error))
        else:
            done(step)
    return kept
