"""The ``Name: value, Name: value`` list that newer releases print after a documented text."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

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
        self._known = frozenset(labels)
        known = "|".join(re.escape(label) for label in sorted(self._known, key=len, reverse=True))
        self._name = re.compile(rf"(?:^|,)\s{{0,8}}({known}|{_UNKNOWN}) ?:(?!//)")

    def read(self, tail: str) -> dict[str, str]:
        """Return the pairs of a tail, in order; the first of two equal names counts."""
        names = list(self._names(tail))
        pairs: dict[str, str] = {}
        for number, found in enumerate(names):
            end = names[number + 1].start() if number + 1 < len(names) else len(tail)
            pairs.setdefault(found[1], tail[found.end() : end].strip(" "))
        return pairs

    def _names(self, tail: str) -> Iterator[re.Match[str]]:
        """Yield the names outside brackets. Where the brackets do not add up, known names count everywhere."""
        uneven, depth, seen = _depth(tail) != 0, 0, 0
        for found in self._name.finditer(tail):
            depth += _depth(tail[seen : found.start()])
            seen = found.start()
            if depth == 0 or (uneven and found[1] in self._known):
                yield found


def _depth(text: str) -> int:
    return sum(map(text.count, _OPEN)) - sum(map(text.count, _CLOSE))
