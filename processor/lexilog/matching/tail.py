"""The ``Name: value, Name: value`` list that newer releases print after a documented text."""

from __future__ import annotations

import re
from collections.abc import Iterable

__all__ = ["TailReader"]

# A name that no catalogue knows yet: only taken for one outside brackets.
_UNKNOWN = r"[A-Za-z][\w./-]{0,30}(?: [\w./-]{1,30}){0,4}"
_OPEN, _CLOSE = "([{", ")]}"


class TailReader:
    """Splits a tail at its names; commas inside a value's brackets do not split it.

    Args:
        labels: the names that are known.
    """

    def __init__(self, labels: Iterable[str]) -> None:
        known = "|".join(re.escape(label) for label in sorted(labels, key=len, reverse=True))
        self._known = frozenset(labels)
        self._name = re.compile(rf"(?:^|[,;])\s*({known}|{_UNKNOWN})\s*:(?!\S*//)", re.DOTALL)

    def read(self, tail: str) -> dict[str, str]:
        """Return the pairs of a tail, in order; the first of two equal names counts."""
        names = [found for found in self._name.finditer(tail) if self._is_name(found, tail)]
        pairs: dict[str, str] = {}
        for number, found in enumerate(names):
            end = names[number + 1].start() if number + 1 < len(names) else len(tail)
            pairs.setdefault(found[1], tail[found.end() : end].strip(" "))
        return pairs

    def _is_name(self, found: re.Match[str], tail: str) -> bool:
        return found[1] in self._known or _depth(tail, found.start()) == 0


def _depth(text: str, end: int) -> int:
    before = text[:end]
    return sum(map(before.count, _OPEN)) - sum(map(before.count, _CLOSE))
