"""What a server says of itself to whoever asks how it is doing."""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["Status"]


class Status:
    """Whether a process is ready, and what is wrong although it serves.

    Args:
        changed: is called whenever one of them changes.

    Attributes:
        ready: its doors are open, and it does not stop.
        problems: what is wrong, by what it concerns (``catalogs``, ``tls``, ``tokens``); what was in use before still
            is. A sentence each.
    """

    def __init__(self, changed: Callable[[], None] = lambda: None) -> None:
        self.ready = False
        self.problems: dict[str, str] = {}
        self._changed = changed

    def set_ready(self, *, ready: bool) -> None:
        """Say whether the process is ready."""
        if ready != self.ready:
            self.ready = ready
            self._changed()

    def set_problem(self, what: str, problem: str | None) -> None:
        """Say what is wrong with something, or with None that nothing is."""
        if problem == self.problems.get(what):
            return
        if problem is None:
            del self.problems[what]
        else:
            self.problems[what] = problem
        self._changed()
