"""``lexilog enrich``: lines in, one ECS document per line out."""

from __future__ import annotations

import os
import sys
import time
from collections import Counter
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from lexilog.catalog.sources import load_catalogs
from lexilog.cli._options import catalog_option, csv_columns_option, timezone_option
from lexilog.enrich.document import encode_json
from lexilog.errors import LexilogError
from lexilog.model import Enriched, Outcome
from lexilog.pipeline import Pipeline
from lexilog.service.lines import FRAMINGS, RecordReader
from lexilog.service.multiline import Joiner
from lexilog.service.settings import read_zone

__all__ = ["enrich"]

_QUALITIES = ("exact", "prefix", "loose", "id_only")


@click.command()
@click.argument("files", nargs=-1, metavar="[FILE|-]...")
@timezone_option
@catalog_option
@csv_columns_option
@click.option(
    "--framing",
    type=click.Choice(sorted(FRAMINGS)),
    default="lf",
    show_default=True,
    help="How the lines of the input are told apart: by line feeds, or by the length before each (RFC 6587).",
)
@click.option(
    "--multiline",
    is_flag=True,
    help="Join a record that was cut into lines, such as JSON printed over many: one document for each record.",
)
@click.option("--quiet", "-q", is_flag=True, help="No summary and no progress on standard error.")
def enrich(
    files: tuple[str, ...],
    timezone: str,
    catalogs: tuple[Path, ...],
    csv_columns: tuple[str, ...],
    framing: str,
    *,
    multiline: bool,
    quiet: bool,
) -> None:
    """Enrich log lines: one JSON document on standard output for each line of input, in order.

    FILE is a file of lines; `-`, or no FILE, is standard input. Documents have ECS names; a line that no catalogue
    knows comes out with lexilog.match.quality "none".

    \b
    A contract for scripts:
      exactly one document for each input line; only \\n ends a line (but see --framing and --multiline)
      no two records share an event.id; a file that is read again, under the same path, gives the same ids
      event.original is the line; bytes that are not UTF-8 stand in it as \\xNN, and lexilog.escaped names the field
      exit code 0 when all lines were processed, matched or not; 1 when a file could not be read or the output not
      written; 2 for bad usage

    \b
    Examples:
      lexilog enrich /var/log/messages | jq -c 'select(.lexilog.impact == "down")'
      tail -F /var/log/remote/srx1.log | lexilog enrich -
    """
    pipeline = Pipeline(load_catalogs(catalogs), zone=read_zone(timezone), columns=csv_columns)
    if sys.stdout is None or (sys.stdin is None and "-" in (files or ("-",))):
        raise LexilogError("standard input or standard output is closed")
    tally: Counter[str] = Counter()
    started = time.monotonic()
    failed = False
    with _progress(files, quiet=quiet) as progress:
        task = progress.add_task("", total=_total(files), lines=0) if progress else None
        for name in files or ("-",):
            try:
                stream: Any = nullcontext(sys.stdin.buffer) if name == "-" else Path(name).open("rb")  # noqa: SIM115
                with stream as source:
                    # Nobody can tell one standard input from another, and none can be read again.
                    input_name = os.urandom(16).hex() if name == "-" else str(Path(name).resolve())
                    records = RecordReader(source, framing, Joiner() if multiline else None, input_name)
                    _enrich_stream(pipeline, records, tally, progress, task)
            except _OutputError as error:
                if not isinstance(error.__cause__, BrokenPipeError):
                    print(f"lexilog: standard output: {error}", file=sys.stderr)
                _abandon_stdout()
            except OSError as error:
                failed = True
                print(f"lexilog: {name}: cannot be read: {error.strerror}", file=sys.stderr)
    if not quiet:
        print(_summary(tally, time.monotonic() - started), file=sys.stderr)
    sys.exit(1 if failed else 0)


class _OutputError(Exception):
    """Standard output cannot be written."""


def _enrich_stream(
    pipeline: Pipeline, records: RecordReader, tally: Counter[str], progress: Progress | None, task: TaskID | None
) -> None:
    out = sys.stdout.buffer
    for batch, size in records:
        try:
            for record in batch:
                enriched = pipeline.process(record)
                tally[_kind(enriched)] += 1
                out.write(encode_json(enriched) + b"\n")
            out.flush()
        except OSError as error:
            raise _OutputError(error.strerror) from error
        if progress is not None and task is not None:
            progress.update(task, advance=size, lines=tally.total())


def _kind(enriched: Enriched) -> str:
    return enriched.quality.value if enriched.outcome is Outcome.MATCHED else enriched.outcome.value


def _summary(tally: Counter[str], seconds: float) -> str:
    matched = sum(tally[quality] for quality in _QUALITIES)
    qualities = ", ".join(f"{tally[quality]} {quality}" for quality in _QUALITIES)
    errors = f", {tally['error']} failed and passed as they came" if tally["error"] else ""
    known = f"{matched} matched ({qualities}), {tally['unknown']} unknown{errors}"
    return f"{tally.total()} lines: {known}; {seconds:.2f} s"


def _progress(files: tuple[str, ...], *, quiet: bool) -> Any:
    """Return a progress display; None where nobody looks: standard error is no terminal, or output goes to one too."""
    if quiet or not sys.stderr.isatty() or sys.stdout.isatty():
        return nullcontext(None)
    columns = (BarColumn(), TextColumn("{task.percentage:>3.0f}% {task.fields[lines]} lines"), TimeElapsedColumn())
    return Progress(*columns, console=Console(stderr=True), transient=True)


def _total(files: tuple[str, ...]) -> int | None:
    """Return how many bytes there are to read, if that is known."""
    if not files or "-" in files:
        return None
    return sum(Path(name).stat().st_size for name in files if Path(name).is_file())


def _abandon_stdout() -> None:
    """Leave at once with exit code 1; the reader has gone, so nothing may be flushed to it any more."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(1)
