"""What next hops say, as far as it may stand in an error or a log."""

from __future__ import annotations

import math
from collections.abc import Iterable

__all__ = ["excerpt", "seconds", "secrets_in"]

# The longest wait that a next hop can ask for, in seconds.
_LONGEST_WAIT = 3600.0
_LONGEST_EXCERPT = 300
# A word of a header that is shorter than this is no secret, and may stand in any text.
_SHORTEST_SECRET = 8


def excerpt(text: str, secrets: Iterable[str] = ()) -> str:
    """Return a server's words on one line, cut to size, without the secrets that it may have repeated."""
    for secret in secrets:
        text = text.replace(secret, "***")
    words = " ".join("".join(char if char.isprintable() else " " for char in text[: 2 * _LONGEST_EXCERPT]).split())
    return words if len(words) <= _LONGEST_EXCERPT else f"{words[:_LONGEST_EXCERPT]}…"


def secrets_in(values: Iterable[str]) -> list[str]:
    """Return the words of header values that no message may hold."""
    return [word for value in values for word in value.split() if len(word) >= _SHORTEST_SECRET]


def seconds(value: float) -> float:
    """Return a wait that a server asks for, kept within bounds."""
    return 0.0 if math.isnan(value) else min(max(value, 0.0), _LONGEST_WAIT)
