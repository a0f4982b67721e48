"""Makes a document one that an index of ours takes, whatever an agent has set.

Names are nested in our indices: where the field table has a map, such as ``host``, a text is refused, and so is a map
where it has a value. Such a value moves to ``labels``, under the dotted name that it had.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from lexilog.catalog.fields import Shape, shape

__all__ = ["fit"]

# Levels of a flattened field, and characters of all names above a value with the dots between them: what an index takes
# at least. Twice what `lexilog.enrich.ecs` leaves of a name.
_DEEPEST, _LONGEST = 20, 2 * (1024 + 1)
# What Java takes for blank, and trims off.
_BLANKS = (
    "".join(map(chr, range(33)))
    + "\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2008\u2009\u200a\u2028\u2029\u205f\u3000"
)
_DATE = re.compile(r"\d{4}-\d\d-\d\d(?:T\d\d(?::\d\d(?::\d\d(?:[.,]\d{1,9})?)?)?(?:Z|[+-]\d\d(?::?\d\d)?)?)?", re.ASCII)
# Milliseconds since 1970 of the years 1 to 9999.
_MILLIS = range(-62_135_596_800_000, 253_402_300_800_000)


def fit(document: dict[str, Any], line: str | None) -> None:
    """Move to ``labels`` what does not fit; what is the line, which ``event.original`` has, goes.

    Args:
        document: nested; it is changed in place.
        line: the line.
    """
    taken: dict[str, list[Any]] = {}
    if "@timestamp" in document and not _is_date(document["@timestamp"]):
        taken["@timestamp"] = [document.pop("@timestamp")]
    for name, value in list(_take(document, shape(), "")):
        taken.setdefault(name, []).append(value)
    for name, values in taken.items():
        kept = [value for value in values if value is not None and not (isinstance(value, str) and value == line)]
        if kept:
            labels = _labels(document)
            there = labels.get(name)
            several = [*(there if isinstance(there, list) else [there] if there is not None else []), *kept]
            labels[name] = several[0] if len(several) == 1 else several


def _is_date(value: Any) -> bool:
    """Tell whether an index takes a value as a date: ``strict_date_optional_time||epoch_millis``, years 1 to 9999."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value in _MILLIS
    if not isinstance(value, str) or not _DATE.fullmatch(value):
        return isinstance(value, str) and value.isascii() and value.isdigit() and 4 < len(value) < 15
    try:
        datetime.fromisoformat(value)
    except ValueError:
        return False
    return True


def _labels(document: dict[str, Any]) -> dict[str, Any]:
    labels = document.get("labels")
    if not isinstance(labels, dict):
        labels = document["labels"] = {"labels": labels} if "labels" in document else {}
    return labels


def _take(place: dict[str, Any], shape: Mapping[str, Shape], prefix: str) -> Iterator[tuple[str, Any]]:
    """Take out of a map what does not fit."""
    for key in list(place):
        form, value = _form(key, shape), place[key]
        if form is None:
            continue
        if not _fits(value, form):
            yield prefix + key, place.pop(key)
        elif isinstance(form, Mapping):
            for one in value if isinstance(value, list) else [value]:
                if one is not None:
                    yield from _take(one, form, f"{prefix}{key}.")


def _form(key: str, shape: Mapping[str, Shape]) -> Shape | None:
    """Return what a name of one map stands for: ``none`` where nothing may stand there, None where anything may."""
    form: Shape | None = shape
    for step in key.split("."):
        if not step.strip(_BLANKS):
            return "none"
        form = form.get(step) if isinstance(form, Mapping) else form and "none"
    return form


def _fits(value: Any, form: Shape) -> bool:
    if form == "none":
        return False
    if value is None:
        return True
    if form == "flattened":
        return isinstance(value, dict) and _is_flat(value, 1, 0)
    if not isinstance(value, list):
        return isinstance(value, dict) == isinstance(form, Mapping)
    if isinstance(form, Mapping):
        return all(one is None or isinstance(one, dict) for one in value)
    return not any(isinstance(one, dict | list) for one in value)


def _is_flat(value: Any, depth: int, length: int) -> bool:
    if isinstance(value, list):
        return not any(isinstance(one, dict | list) for one in value)
    if not isinstance(value, dict):
        return True
    return depth <= _DEEPEST and all(
        (size := length + len(name) + 1) <= _LONGEST and "\0" not in name and _is_flat(one, depth + 1, size)
        for name, one in value.items()
    )
