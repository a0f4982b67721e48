"""How commands print, for people on a terminal and for programs elsewhere, and how they write files."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from lexilog.errors import LexilogError

__all__ = ["IMPACT_STYLES", "console", "print_table", "write_file"]

# How an impact looks on a terminal.
IMPACT_STYLES = {"down": "bold red", "security": "bold magenta", "degraded": "yellow", "none": "green"}


@cache
def console() -> Console:
    """Return a console that breaks no line where nobody looks, and takes no text for markup."""
    return Console(highlight=False, markup=False, soft_wrap=sys.stdout is None or not sys.stdout.isatty())


def print_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table: aligned on a terminal, with tabs between the cells elsewhere."""
    if not sys.stdout.isatty():
        for row in (head, *rows):
            print(*row, sep="\t")
        return
    table = Table(*head, box=None, pad_edge=False)
    for row in rows:
        table.add_row(*map(Text, row))
    console().print(table)


def write_file(path: Path, content: str | bytes, *, mode: int = 0o644) -> None:
    """Write a file as a whole or not at all, so that nothing half-done stays behind.

    Args:
        path: the file.
        content: what it is to hold.
        mode: its permissions.

    Raises:
        LexilogError: it cannot be written.
    """
    data = content.encode() if isinstance(content, str) else content
    part = None
    try:
        # A new file that nobody else can read or has prepared; only then it gets its name.
        descriptor, part = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            os.fchmod(file.fileno(), mode)
        os.replace(part, path)  # noqa: PTH105 (the path is text here)
    except OSError as error:
        if part is not None:
            Path(part).unlink(missing_ok=True)
        raise LexilogError(f"{path}: cannot be written: {error.strerror}") from error
