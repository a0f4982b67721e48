"""Options that several commands have, and how they speak to a terminal."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from lexilog.errors import SettingsError
from lexilog.framing.csv_export import columns_of
from lexilog.service.settings import Settings, read_zone

__all__ = ["FOUND", "catalog_option", "csv_columns_option", "timezone_option"]

# Exit code of a command that looked and found something: problems, differences, a line that is not known.
FOUND = 3

_F = TypeVar("_F", bound=Callable[..., Any])


def catalog_option(command: _F) -> _F:
    """Add ``--catalog``: more catalogues and overlays than those that are shipped."""
    option = click.option(
        "--catalog",
        "catalogs",
        multiple=True,
        type=click.Path(path_type=Path),
        metavar="PATH",
        envvar="LEXILOG_CATALOG",
        allow_from_autoenv=False,
        show_envvar=True,
        help="Catalogue or overlay file, or a directory of such files, to know besides what is shipped; may be given "
        "several times.",
    )
    return option(command)


def csv_columns_option(command: _F) -> _F:
    """Add ``--csv-columns``: what the cells of comma-separated lines are."""

    def split(_context: click.Context, _parameter: click.Parameter, value: str) -> tuple[str, ...]:
        names = tuple(name.strip() for name in value.split(",")) if value else ()
        if names and columns_of(value) is None:
            problem = (
                f"'{value}' names no time (TIMESTAMP), or neither INFO_MSG nor SITUATION; use the export's own names"
            )
            raise click.BadParameter(problem)
        return names

    option = click.option(
        "--csv-columns",
        default="",
        callback=split,
        metavar="NAME,NAME,...",
        help="Names of the columns of comma-separated lines, in order, as the export names them (TIMESTAMP, FACILITY, "
        "INFO_MSG ...).",
    )
    return option(command)


def timezone_option(command: _F) -> _F:
    """Add ``--timezone``: the IANA name of the zone of times that name none."""

    def check(_context: click.Context, _parameter: click.Parameter, value: str) -> str:
        try:
            read_zone(value)
        except SettingsError as error:
            raise click.BadParameter(str(error)) from error
        return value

    option = click.option(
        "--timezone",
        default=Settings().timezone,
        show_default=True,
        callback=check,
        metavar="ZONE",
        help="IANA time zone of times that name none.",
    )
    return option(command)
