"""Finds the files that are shipped beside the code, in an installed wheel and in a checkout alike."""

from __future__ import annotations

from pathlib import Path

from lexilog.errors import LexilogError

__all__ = ["asset"]

_PACKAGE = Path(__file__).resolve().parent


def asset(name: str) -> Path:
    """Return the path of a shipped file or folder.

    Args:
        name: its path from the top of the source tree, for example ``examples/lines/junos.log``.

    Raises:
        LexilogError: there is no such file in this installation.
    """
    for root in (_PACKAGE / "_assets", _PACKAGE.parent.parent):
        path = root / name
        if path.exists():
            return path
    raise LexilogError(f"{name}: not part of this installation; reinstall lexilog")
