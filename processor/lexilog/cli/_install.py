"""One run of ``lexilog install elasticsearch``: show what is planned, ask, do."""

from __future__ import annotations

import sys

import click

from lexilog.cli._options import FOUND
from lexilog.cli._plan import show_line, show_plan, title
from lexilog.errors import LexilogError
from lexilog.install.installation import Installation, Plan
from lexilog.install.plan import Step

__all__ = ["has_terminal", "run"]


def has_terminal() -> bool:
    """Tell whether there is somebody to ask."""
    return sys.stdin is not None and sys.stdin.isatty()


def run(installation: Installation, *, dry_run: bool, yes: bool) -> int:
    """Do an installation; return the exit code.

    Args:
        installation: what is to be done, and where.
        dry_run: show what is planned, and do nothing.
        yes: do not ask.

    Raises:
        LexilogError: it could not be done.
    """
    plan = installation.plan()
    for note in plan.notes:
        _note(note)
    for server in plan.servers:
        show_plan(server.url, server.steps)
    if dry_run or not plan.work:
        return FOUND if plan.work else 0
    if not yes:
        _ask()
        if installation.plan() != plan:
            raise LexilogError("somebody has changed something meanwhile; nothing was done: run this again")
    kept = _carry_out(installation, plan)
    for step in installation.unsettled(plan):
        _note(f"Kibana keeps {title(step)} in another form than it was given; the next run will show that again")
    for warning in installation.warnings:
        _note(f"Elasticsearch says: {warning}")
    for problem in kept:
        print(f"lexilog: stays: {problem}", file=sys.stderr)
    if kept:
        print("lexilog: data are never removed; when what uses the rest is gone, run this again", file=sys.stderr)
    if plan.outdated:
        _hint(plan.outdated)
    return 1 if kept else 0


def _ask() -> None:
    if not has_terminal():
        raise click.UsageError("there is no terminal to ask on: give --yes, or --dry-run to only look")
    if not click.confirm("Do this?", err=True):
        raise LexilogError("nothing was changed")


def _carry_out(installation: Installation, plan: Plan) -> list[str]:
    count = 0

    def done(step: Step) -> None:
        nonlocal count
        count += 1
        show_line("*", "green", "done", title(step))

    def how_far() -> str:
        return f"{count} of {plan.work} steps are done; run this again with the same options to do the rest"

    try:
        return installation.carry_out(plan, done)
    except LexilogError as error:
        raise LexilogError(f"{error}\n{how_far()}") from error
    except BaseException:
        # Ctrl-C, or nobody who reads what is printed.
        print(f"lexilog: cut off: {how_far()}", file=sys.stderr)
        raise


def _note(text: str) -> None:
    print(f"note: {text}", file=sys.stderr)


def _hint(streams: list[str]) -> None:
    _note(
        "indices that are there may have other mappings; new ones count from the next rollover of "
        f"{', '.join(streams)}: run this again with --rollover, or POST /NAME/_rollover?lazy for each"
    )
