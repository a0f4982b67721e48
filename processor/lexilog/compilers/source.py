"""What everything generated is made from."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

from lexilog.catalog.load import Catalog
from lexilog.catalog.sources import load_catalogs
from lexilog.model import Entry

__all__ = ["Files", "Maker", "Source", "load_source", "to_json"]

# Content of files by their path from the top of the source tree, with slashes.
Files = Mapping[str, bytes]


class Source(NamedTuple):
    """The knowledge, and what it is stamped with.

    Attributes:
        catalogs: every catalogue.
        version: of lexilog.
    """

    catalogs: tuple[Catalog, ...]
    version: str

    @property
    def entries(self) -> tuple[Entry, ...]:
        """The entries of all catalogues, in their order."""
        return tuple(entry for catalog in self.catalogs for entry in catalog.entries)

    @property
    def meta(self) -> dict[str, str]:
        """What each object in a cluster carries as ``_meta``, so that it is known whose it is."""
        return {"managed_by": "lexilog", "version": self.version}


Maker = Callable[[Source], Files]


def load_source(paths: Sequence[Path] = ()) -> Source:
    """Return the shipped catalogues, those of installed packages and those under `paths`.

    Raises:
        CatalogError: a catalogue cannot be used.
    """
    return Source(load_catalogs(paths), version("lexilog"))


def to_json(value: Any) -> bytes:
    """Return a value as the JSON of a committed file: indented, in the order in which it was put together."""
    return (json.dumps(value, indent=2, ensure_ascii=False) + "\n").encode()
