"""Options that several commands have, and how they speak to a terminal."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

__all__ = ["FOUND", "catalog_option", "csv_columns_option"]

# Exit code of a command that looked and found something: problems, differences, a line that is not known.
FOUND = 3

_F = TypeVar("_F", bound=Callable[..., Any])


def catalog_option(command: _F) -> _F:
    """Add ``--catalog``: more catalogues and overlays than those that are shipped."""
    option = click.option(
        "--catalog",
        "catalogs",
        multiple=True,
        type=click.Path(exists=True, path_type=Path),
        metavar="PATH",
        help="Catalogue or overlay file, or a directory of such files, to know besides what is shipped; may be given "
        "several times.",
    )
    return option(command)


def csv_columns_option(command: _F) -> _F:
    """Add ``--csv-columns``: what the cells of comma-separated lines are."""

    def split(context: click.Context, parameter: click.Parameter, value: str) -> tuple[str, ...]:
        return tuple(name.strip() for name in value.split(",")) if value else ()

    option = click.option(
        "--csv-columns",
        default="",
        callback=split,
        metavar="NAME,NAME,...",
        help="Names of the columns of comma-separated lines, in order, as the export names them (TIMESTAMP, FACILITY, "
        "INFO_MSG ...).",
    )
    return option(command)
