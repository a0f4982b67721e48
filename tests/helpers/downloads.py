"""What tests download: where it is kept, and that it cannot be had."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["Unavailable", "cache_folder"]


class Unavailable(Exception):  # noqa: N818 (it is no fault of a program)
    """This machine cannot get it, or cannot run it; the text says what is missing."""


def cache_folder(name: str) -> Path:
    """Return a folder of that name in the user's cache folder; it need not be there."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / name
