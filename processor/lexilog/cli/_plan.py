"""How a plan for a server is shown."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from rich.text import Text

from lexilog.cli._output import console
from lexilog.install.kibana_plan import TITLES
from lexilog.install.plan import KINDS, Action, Step
from lexilog.install.streams import LIFECYCLE, ROLLOVER

__all__ = ["show_line", "show_plan", "title"]

_SIGNS = {
    "create": ("+", "green"),
    "change": ("~", "yellow"),
    "same": ("=", "dim"),
    "remove": ("-", "red"),
    "keep": (".", "dim"),
}
_TITLES = {
    **KINDS,
    LIFECYCLE: "lifecycle of data stream",
    ROLLOVER: "data stream",
    **TITLES,
}
_SAID: dict[Action, str] = {
    "create": "to create",
    "change": "to change",
    "same": "the same",
    "remove": "to remove",
    "keep": "left alone",
}


def title(step: Step) -> str:
    """Return what a step is about."""
    return f"{_TITLES.get(step.kind, step.kind)} {step.name}"


def show_line(sign: str, style: str, word: str, text: str) -> None:
    """Print one line of a plan."""
    console().print(Text.assemble((f"{sign} {word:<6}  ", style), text))


def show_plan(where: str, steps: Sequence[Step]) -> None:
    """Print the steps, with how each change differs from what is there, and how many there are of each kind.

    Args:
        where: the server.
        steps: of the plan.
    """
    console().print(Text(where, style="bold"))
    for step in steps:
        sign, style = _SIGNS[step.action]
        show_line(sign, style, step.action, title(step) + (f"  ({step.note})" if step.note else ""))
        if step.action == "change":
            _show_diff(step.diff)
    counts = Counter(step.action for step in steps)
    console().print(
        ", ".join(f"{counts[one]} {words}" for one, words in _SAID.items() if counts[one]) or "nothing there"
    )


def _show_diff(lines: Iterable[str]) -> None:
    for line in lines:
        style = {"+": "green", "-": "red", "@": "cyan"}.get(line[:1], "none")
        console().print(Text(f"    {line}", style=style))
