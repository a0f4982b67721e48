"""Importers: a vendor's own reference text -> a draft of a catalogue. One module per layout.

A layout is a function that reads a text and returns a `Draft`, or raises `lexilog.errors.ImportFormatError`.
"""

from __future__ import annotations

from collections.abc import Callable

from lexilog.importers import bluecedar, clavister, forcepoint, junos
from lexilog.importers.draft import Draft, Fact, write_draft, write_vendor_text

__all__ = ["LAYOUTS", "Draft", "Fact", "write_draft", "write_vendor_text"]

# The layouts by the name under which the command line knows them.
LAYOUTS: dict[str, Callable[[str], Draft]] = {
    "junos": junos.read,
    "clavister": clavister.read,
    "forcepoint": forcepoint.read,
    "bluecedar": bluecedar.read,
}
