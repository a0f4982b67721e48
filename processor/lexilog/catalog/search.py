"""Finding entries by id and by words."""

from __future__ import annotations

import re
from collections.abc import Iterable

from lexilog.model import Entry

__all__ = ["find_entries", "query_words", "search_entries"]

_WORD = re.compile(r"\w+")


def find_entries(entries: Iterable[Entry], entry_id: str, catalog: str = "") -> list[Entry]:
    """Return the entries that have an id, in any catalogue or in the named one."""
    return [entry for entry in entries if entry.id == entry_id and catalog in ("", entry.catalog)]


def query_words(query: str) -> list[str]:
    """Return the words of a query, lower case."""
    return [word.lower() for word in _WORD.findall(query)]


def search_entries(entries: Iterable[Entry], query: str, limit: int) -> list[Entry]:
    """Return the entries that hold every word of the query, best first.

    A word in the id or title counts more than one in the format, and that more than one in the texts.
    """
    words = query_words(query)
    ranked = []
    for number, entry in enumerate(entries):
        named = f"{entry.id} {entry.title}".lower()
        formats = " ".join(entry.formats).lower()
        texts = f"{entry.explanation} {entry.cause} {entry.action} {entry.event.action}".lower()
        if words and all(word in named or word in formats or word in texts for word in words):
            score = sum(100 * (word in named) + 10 * (word in formats) + (word in texts) for word in words)
            ranked.append((-score, number, entry))
    return [entry for _, _, entry in sorted(ranked, key=lambda item: item[:2])[:limit]]
