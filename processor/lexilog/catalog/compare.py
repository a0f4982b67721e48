"""What differs between two catalogues of the same messages, such as those of two releases."""

from __future__ import annotations

import re
from collections.abc import Iterator

import msgspec

from lexilog.catalog.load import Catalog
from lexilog.model import Entry

__all__ = ["Difference", "bare", "differences"]

# What a vendor's document says, and an importer reads.
_FACTS = ("title", "severity", "facility", "type", "categories", "parameters", "vendor_action", "diagnostics", "role")
_BRACES = re.compile(r"\{\{|\}\}|[{}]")


class Difference(msgspec.Struct, frozen=True):
    """One difference: the entry's id, what differs (``added``, ``removed`` or a key), and both values as text."""

    id: str
    what: str
    old: str
    new: str

    def __str__(self) -> str:
        if self.what == "added":
            return f"+ {self.id}  {self.new}"
        if self.what == "removed":
            return f"- {self.id}  {self.old}"
        return f"~ {self.id} {self.what}: {self.old or '(none)'} -> {self.new or '(none)'}"


def differences(old: Catalog, new: Catalog) -> list[Difference]:
    """Return what differs in the facts of two catalogues: messages, their formats, severities and so on.

    Texts that explain are not compared, nor the names that variables have been given in a format, nor the order of
    parameters and categories.
    """
    olds = {entry.id: entry for entry in old.entries}
    news = {entry.id: entry for entry in new.entries}
    found = [Difference(name, "removed", _format(olds[name]), "") for name in olds if name not in news]
    for name, entry in news.items():
        if name in olds:
            found += _changes(olds[name], entry)
        else:
            found.append(Difference(name, "added", "", _format(entry)))
    return found


def _changes(old: Entry, new: Entry) -> Iterator[Difference]:
    ours, theirs = {bare(text) for text in old.formats}, {bare(text) for text in new.formats}
    if bool(ours) != bool(theirs) or (ours and not ours & theirs):
        yield Difference(new.id, "format", _format(old), _format(new))
    for name in _FACTS:
        before, after = getattr(old, name), getattr(new, name)
        if before != after and not (isinstance(before, tuple) and set(before) == set(after)):
            yield Difference(new.id, name, _said(before), _said(after))


def _format(entry: Entry) -> str:
    return entry.formats[0] if entry.formats else ""


def bare(text: str) -> str:
    """Return a format without the marks of its variables."""
    return _BRACES.sub(lambda found: found[0][0] if len(found[0]) == 2 else "", text)


def _said(value: object) -> str:
    return ", ".join(value) if isinstance(value, tuple) else str(value if value is not None else "")
