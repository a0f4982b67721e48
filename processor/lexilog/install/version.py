"""Which of two versions of lexilog is the newer one."""

from __future__ import annotations

import math
import re

__all__ = ["is_newer"]

# https://packaging.python.org/en/latest/specifications/version-specifiers/, as a package states its own version.
_VERSION = re.compile(r"(\d+(?:\.\d+)*)(?:(a|b|rc)(\d+))?(?:\.post(\d+))?(?:\.dev(\d+))?(?:\+.*)?")
# Around a, b and rc, in the order of letters.
_BEFORE_ALL, _FINAL = "", "z"


def is_newer(one: str, other: str) -> bool:
    """Tell whether a version comes after another one; a text that is no version comes before all.

    A part behind ``+`` does not count.
    """
    return _rank(one) > _rank(other)


def _rank(version: str) -> tuple[tuple[int, ...], str, int, float, float]:
    found = _VERSION.fullmatch(version)
    if found is None:
        return (), _BEFORE_ALL, 0, 0, 0
    release, stage, number, post, dev = found.groups()
    if stage is None:
        stage = _BEFORE_ALL if dev and not post else _FINAL
    numbers = [int(part) for part in release.split(".")]
    while numbers and numbers[-1] == 0:
        numbers.pop()
    return tuple(numbers), stage, int(number or 0), int(post or -1), int(dev) if dev else math.inf
