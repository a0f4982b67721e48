"""Second room: what wraps the human part of a line.

A framer is a callable `Framer`: it gets a line and the `Clock`, and returns a `Frame`, or None where the line is not in
its wrapping. It never raises on any text, and its time grows with the length of the line alone.
"""

from __future__ import annotations

from collections.abc import Callable

from lexilog.framing.junos import parse_junos
from lexilog.framing.timestamp import Clock
from lexilog.model import Frame

__all__ = ["Clock", "Framer", "frame"]

Framer = Callable[[str, Clock], Frame | None]

FRAMERS: tuple[Framer, ...] = (parse_junos,)


def frame(line: str, clock: Clock) -> Frame | None:
    """Return the first frame that fits a line."""
    for framer in FRAMERS:
        found = framer(line, clock)
        if found is not None:
            return found
    return None
