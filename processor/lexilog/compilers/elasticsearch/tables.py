"""What the scripts of the ingest pipeline know of the catalogues: their parameters, as plain JSON.

The scripts hold the rules and these tables the knowledge, so that a new entry changes no script. An entry is named by
its number: its place among the entries of all catalogues.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from lexilog.catalog.fields import shape
from lexilog.catalog.severity import FACILITIES, SEVERITIES
from lexilog.enrich.plan import Plan, Writer
from lexilog.matching.index import Candidate, Index
from lexilog.matching.template import Part, Template, find_words
from lexilog.model import Entry

__all__ = ["enrich_table", "match_table", "shape_table"]


def match_table(entries: Sequence[Entry]) -> dict[str, Any]:
    """Return what `lexilog.matching.index.Index` knows."""
    index, numbers = Index(entries), {(entry.catalog, entry.id): number for number, entry in enumerate(entries)}

    def numbered(candidates: Iterable[Candidate]) -> list[int]:
        return [numbers[candidate.entry.catalog, candidate.entry.id] for candidate in candidates]

    def by_kind(filed: Mapping[tuple[str, str], Iterable[Candidate]]) -> dict[str, dict[str, list[int]]]:
        found: dict[str, dict[str, list[int]]] = {}
        for (kind, key), candidates in filed.items():
            found.setdefault(kind, {})[key] = numbered(candidates)
        return found

    return {
        "entries": [_matched(Candidate(entry)) for entry in entries],
        "ids": by_kind(index.ids),
        "words": {word: numbered(candidates) for word, candidates in index.words.items()},
        "wordless": by_kind(index.wordless),
        "components": by_kind(index.components),
        "texts": sorted(index.texts),
    }


def _matched(candidate: Candidate) -> dict[str, Any]:
    """Return what matching needs to know of an entry; what says nothing is left out."""
    entry = candidate.entry
    found = {
        "catalog": entry.catalog,
        "id": entry.id,
        "coded": entry.code is not None,
        "kinds": list(candidate.kinds),
        "devices": [list(device) for device in sorted(entry.devices)],
        "components": sorted(entry.components),
        "needs_component": entry.needs_component,
        "where": {name: sorted(texts) for name, texts in entry.where.items()},
        "processes": list(entry.processes),
        "exact_without_id": entry.exact_without_id,
        "is_telling": candidate.is_telling,
        "parameters": list(entry.parameters),
        "names": list(candidate.names),
        "templates": [_template(template, entry) for template in candidate.templates],
        # The longest first: of two that both fit it is meant.
        "labels": sorted(entry.tail.labels, key=lambda label: (-len(label), label)) if entry.tail else None,
    }
    return {name: value for name, value in found.items() if value not in (None, False, [], {})}


def _template(template: Template, entry: Entry) -> dict[str, Any]:
    """Return a format: its parts, and its stretches as [number of the open value or -1, first rigid part, end]."""
    stretches, at = [], 0
    for stretch in template.stretches:
        name = -1 if stretch.name is None else at
        at += stretch.name is not None
        stretches.append([name, at, at + len(stretch.parts)])
        at += len(stretch.parts)
    return {
        "parts": [_part(part, entry) for part in template.parts],
        "stretches": stretches,
        "literal_length": template.literal_length,
        "open_end": template.open_end,
        "has_tail": template.has_tail,
    }


def _part(part: Part, entry: Entry) -> dict[str, Any]:
    if part.name is None:
        return {"text": part.text, "words": find_words(part.text)}
    return {"name": part.name, "type": entry.variables[part.name].type}


def enrich_table(entries: Sequence[Entry]) -> dict[str, Any]:
    """Return what `lexilog.enrich.plan.Plan` knows of each entry; what several have in common stands there once."""
    plans = [Plan(entry) for entry in entries]
    common = {entry.catalog: _common(entries, plans, entry.catalog) for entry in entries}
    absent, levels, writers = _Shared(), _Shared(), _Shared()

    def written(by_name: Mapping[str, tuple[Writer, ...]]) -> int:
        return writers.number(
            {
                name: [[w.field, _conversion(w), w.array, absent.number(sorted(w.absent))] for w in several]
                for name, several in by_name.items()
                if several
            }
        )

    return {
        "entries": [
            {
                "catalog": entry.catalog,
                "constant": {k: v for k, v in plan.constant.items() if k not in common[entry.catalog]},
                "levels": levels.number(
                    {stated: [level.code, level.word.lower()] for stated, level in entry.levels.items()}
                ),
                "variables": written(plan.writers),
                "labels": written(plan.labels),
            }
            for entry, plan in zip(entries, plans, strict=True)
        ],
        "catalogs": common,
        "writers": writers.items,
        "absent": absent.items,
        "levels": levels.items,
        "severities": list(SEVERITIES),
        "facilities": list(FACILITIES),
    }


def shape_table(*, longest: int | None) -> dict[str, Any]:
    """Return what an index takes at each name.

    Args:
        longest: text in a flattened field, in characters, where the index would refuse a longer one.
    """
    return {"shape": shape()} | ({} if longest is None else {"longest": longest})


def _common(entries: Sequence[Entry], plans: Sequence[Plan], catalog: str) -> dict[str, Any]:
    """Return the constants that all entries of a catalogue share."""
    constants = [plan.constant for entry, plan in zip(entries, plans, strict=True) if entry.catalog == catalog]
    return {k: v for k, v in constants[0].items() if all(k in other and other[k] == v for other in constants)}


def _conversion(writer: Writer) -> str:
    """Return the name of a conversion: that of its function in `lexilog.enrich.values`, without the leading words."""
    return writer.convert.__name__.lstrip("_").removeprefix("as_")


class _Shared:
    """Values that many have in common, each once, told by their numbers."""

    def __init__(self) -> None:
        self.items: list[Any] = []

    def number(self, value: Any) -> int:
        """Return the number of a value."""
        if value not in self.items:
            self.items.append(value)
        return self.items.index(value)
