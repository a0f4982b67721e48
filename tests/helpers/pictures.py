"""What a picture of a dashboard says of itself: of which panels it was drawn."""

from __future__ import annotations

import hashlib
from pathlib import Path

import msgspec

from lexilog.compilers.panels import COLOURS, Dashboard, Panels

__all__ = ["KEYWORD", "digest", "drawn_of"]

# Of the text in the PNG that holds the digest.
KEYWORD = "lexilog-panels"


def digest(panels: Panels, dashboard: Dashboard) -> str:
    """Return what stands for all that a dashboard is drawn of, but for the records."""
    listed = {panel.search for panel in dashboard.panels}
    searches = [search for search in panels.searches if search.id in listed]
    return hashlib.sha256(msgspec.json.encode([dashboard, searches, COLOURS], order="deterministic")).hexdigest()


def drawn_of(picture: Path) -> str | None:
    """Return the digest in a picture; None where there is none."""
    data = picture.read_bytes()
    at = 8
    while at < len(data):
        size = int.from_bytes(data[at : at + 4])
        kind, body = data[at + 4 : at + 8], data[at + 8 : at + 8 + size]
        keyword, _, text = body.partition(b"\0")
        if (kind, keyword) == (b"tEXt", KEYWORD.encode()):
            return text.decode()
        at += size + 12
    return None
