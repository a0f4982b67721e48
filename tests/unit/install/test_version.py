"""Which version is the newer one."""

from __future__ import annotations

from itertools import pairwise

import pytest

from lexilog.install.version import is_newer

# From old to new.
ORDER = (
    "no version", "0.9", "1.0.0.dev2", "1.0.0a1.dev1", "1.0.0a1", "1.0.0b1", "1.0.0b2", "1.0.0rc1", "1.0.0rc2", "1.0.0",
    "1.0.0.post1.dev1", "1.0.0.post1", "1.0.1.dev1", "1.0.1", "1.9.0", "1.10.0", "2",
)  # fmt: skip


@pytest.mark.parametrize(("older", "newer"), list(pairwise(ORDER)))
def test_order(older: str, newer: str) -> None:
    """Versions of packages have one order; a text that is none comes first."""
    assert is_newer(newer, older)
    assert not is_newer(older, newer)


@pytest.mark.parametrize(("one", "other"), [("1.0", "1.0.0"), ("1.0.0+local", "1.0.0"), ("", "unknown")])
def test_equals(one: str, other: str) -> None:
    """Zeros at the end, and a part behind `+`, make no other version."""
    assert not is_newer(one, other)
    assert not is_newer(other, one)
