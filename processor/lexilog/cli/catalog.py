"""``lexilog catalog``: what is known, and the work of making it."""

from __future__ import annotations

import sys
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from lexilog.catalog.compare import differences
from lexilog.catalog.coverage import measure
from lexilog.catalog.lint import lint as lint_catalogs
from lexilog.catalog.load import Catalog, load_catalog
from lexilog.catalog.lock import check_lock, make_lock, read_lock, write_lock
from lexilog.catalog.search import find_entries, search_entries
from lexilog.catalog.sources import load_catalogs, vendor_texts
from lexilog.cli._options import FOUND, catalog_option
from lexilog.cli.catalog_import import import_catalog
from lexilog.errors import LexilogError
from lexilog.model import Entry
from lexilog.pipeline import Pipeline

__all__ = ["catalog", "print_entry"]

_STYLES = {"down": "bold red", "security": "bold magenta", "degraded": "yellow", "none": "green"}


@click.group()
def catalog() -> None:
    """Show, check and make catalogues.

    \b
    What is known:        list, show ID, search WORDS
    A catalogue of yours: import (from a vendor's document), lint, coverage, diff, lock

    The format of a catalogue is told in docs/catalog-format.md.
    """


@catalog.command("list")
@catalog_option
@click.option("--ids", is_flag=True, help="One line for each entry: catalogue, id and title, with tabs between.")
def list_catalogs(catalogs: tuple[Path, ...], *, ids: bool) -> None:
    """List the catalogues, or all entries with --ids."""
    found = load_catalogs(catalogs)
    if ids:
        for item in found:
            for entry in item.entries:
                print(entry.catalog, entry.id, entry.title, sep="\t")
        return
    table = Table("catalogue", "version", "documented", "observed", "wrappings", "title", box=None, pad_edge=False)
    for item in found:
        observed = sum(entry.provenance == "observed" for entry in item.entries)
        frames = ", ".join(item.entries[0].frames)
        table.add_row(item.name, item.version, str(len(item.entries) - observed), str(observed), frames, item.title)
    Console().print(table)


@catalog.command()
@catalog_option
@click.argument("entry_id", metavar="ID")
def show(catalogs: tuple[Path, ...], entry_id: str) -> None:
    """Show everything that is known of an entry.

    Where a file of the vendor's own sentences lies beside its catalogue (lexilog catalog import --keep-vendor-text),
    these are shown as well; they are never part of a record.
    """
    found = load_catalogs(catalogs)
    entries = find_entries((entry for item in found for entry in item.entries), entry_id)
    if not entries:
        words = entry_id.replace("_", " ").replace("-", " ")
        near = search_entries((entry for item in found for entry in item.entries), words, 3)
        hint = f"; is it {' or '.join(entry.id for entry in near)}?" if near else "; see lexilog catalog search"
        raise LexilogError(f"no catalogue has an entry '{entry_id}'{hint}")
    texts = vendor_texts(catalogs)
    console = Console()
    for entry in entries:
        print_entry(console, entry)
        for heading, text in texts.get((entry.catalog, entry.id), {}).items():
            console.print(Text(f"vendor, {heading}: ", style="cyan").append(text, style="none"))


def print_entry(console: Console, entry: Entry) -> None:
    """Print an entry for people."""
    level = entry.level()
    facts = {
        "catalogue": f"{entry.catalog} {entry.catalog_version} ({entry.provenance})",
        "severity": f"{level.word} (syslog {level.code})" if level else "as the line says",
        "facility": entry.facility,
        "categories": ", ".join(entry.categories),
        "component": ", ".join(sorted(entry.components)),
        "event": " ".join((*entry.event.category, *entry.event.type, entry.event.outcome or "", entry.event.action)),
        "device": entry.vendor_action,
        "logged": "only with diagnostics switched on" if entry.diagnostics else None,
    }
    console.print(Text(entry.id, style="bold").append(f"  {entry.title if entry.title != entry.id else ''}"))
    console.print(Text("impact ", style="cyan").append(entry.impact, style=_STYLES[entry.impact]))
    for format_ in dict.fromkeys((*([entry.template] if entry.template else []), *entry.formats)):
        console.print(Text("format ", style="cyan").append(format_))
    for name, value in facts.items():
        if value:
            console.print(Text(f"{name} ", style="cyan").append(value))
    for variable in entry.variables.values():
        if variable.name in entry.parameters or any(f"{{{variable.name}}}" in text for text in entry.formats):
            where = " ".join(variable.fields) or "lexilog.variables alone"
            console.print(Text("variable ", style="cyan").append(f"{variable.name}: {variable.type} -> {where}"))
    for name in ("explanation", "cause", "action"):
        console.print(Text(f"{name}: ", style="cyan").append(getattr(entry, name) or "not written yet"))
    for note in entry.notes:
        console.print(Text("note: ", style="cyan").append(note))
    source = f"{entry.source['document']}, {entry.source['section']}"
    console.print(Text("source: ", style="cyan").append(f"{source} {entry.reference or ''}".rstrip()))


@catalog.command()
@catalog_option
@click.argument("words", nargs=-1, required=True)
@click.option("--limit", default=20, show_default=True, type=click.IntRange(min=1), help="How many at most.")
def search(catalogs: tuple[Path, ...], words: tuple[str, ...], limit: int) -> None:
    """Find entries that have all WORDS, in id, title, format or texts; best first."""
    entries = [entry for item in load_catalogs(catalogs) for entry in item.entries]
    found = search_entries(entries, " ".join(words), limit)
    if not found:
        raise LexilogError(f"no entry has all of these words: {' '.join(words)}")
    console = Console()
    for entry in found:
        head = (
            Text(f"{entry.catalog} ").append(entry.id, style="bold").append(f"  {entry.impact}", _STYLES[entry.impact])
        )
        console.print(head)
        console.print(Text(f"  {entry.template or entry.title}"))


@catalog.command()
@catalog_option
@click.argument("files", nargs=-1, type=click.Path(exists=True, path_type=Path), metavar="[FILE|DIRECTORY]...")
def lint(catalogs: tuple[Path, ...], files: tuple[Path, ...]) -> None:
    """Check catalogues: do they load together, what is missing, pasted, ambiguous or still to be reviewed.

    FILE is a catalogue of yours; without one everything is checked. Each problem is one line, FILE:LINE: ID: text.
    Exit code 0 when there is none, 3 otherwise.
    """
    found = load_catalogs((*catalogs, *files))
    wanted = {path.resolve() for path in files}
    checked = [item for item in found if not wanted or {item.place.path, *item.place.path.parents} & wanted]
    problems = lint_catalogs(checked)
    for problem in problems:
        print(problem)
    print(f"{sum(len(item.entries) for item in checked)} entries checked, {len(problems)} problems", file=sys.stderr)
    sys.exit(FOUND if problems else 0)


@catalog.command()
@catalog_option
@click.option("--lines", is_flag=True, help="Print the lines that are not recognised.")
def coverage(catalogs: tuple[Path, ...], *, lines: bool) -> None:
    """Count how many messages are recognised, on lines made from the catalogues themselves.

    Each entry is written with sample values in every wrapping that it may come in, and read again. This shows what a
    catalogue claims, not what devices send. Exit code 0 when all are recognised, 3 otherwise.
    """
    found = load_catalogs(catalogs)
    table = Table("catalogue", "documented", "observed", "lines", box=None, pad_edge=False)
    results = measure(found, Pipeline(found).process)
    for result in results:
        counts = [f"{known} of {total}" for known, total in (result.documented, result.observed)]
        table.add_row(result.catalog, *counts, str(result.lines))
    Console().print(table)
    failures = [(result.catalog, failure) for result in results for failure in result.failures]
    for name, failure in failures:
        print(f"{name}: {failure.id} in {failure.frame}: {failure.found}", file=sys.stderr)
        if lines:
            print(failure.line)
    sys.exit(FOUND if failures else 0)


@catalog.command()
@click.argument("old")
@click.argument("new")
def diff(old: str, new: str) -> None:
    """Show what differs between two catalogues: messages added, removed, and facts changed.

    OLD and NEW are catalogue files, or names of catalogues that are shipped. The texts that explain are not compared.
    Exit code 0 when nothing differs, 3 otherwise.
    """
    found = differences(_named(old), _named(new))
    for item in found:
        print(item)
    sys.exit(FOUND if found else 0)


def _named(text: str) -> Catalog:
    path = Path(text)
    if path.exists():
        return load_catalog(path)
    shipped = {item.name: item for item in load_catalogs()}
    if text not in shipped:
        raise LexilogError(f"{text}: no such file, and no catalogue of that name; there are {', '.join(shipped)}")
    return shipped[text]


@catalog.command()
@catalog_option
@click.option("--check", type=click.Path(path_type=Path), metavar="FILE", help="Compare with a lock file.")
@click.option("--output", "-o", type=click.Path(path_type=Path), metavar="FILE", help="Write the lock file.")
def lock(catalogs: tuple[Path, ...], check: Path | None, output: Path | None) -> None:
    """Print the lock: version of each catalogue, and id and hash of each entry.

    With --check, exit code 3 when an entry changed since; each line says which, and whether the version was raised.
    """
    found = load_catalogs(catalogs)
    if check is not None:
        said = check_lock(read_lock(check), found)
        for line in said:
            print(line)
        sys.exit(FOUND if said else 0)
    content = write_lock(make_lock(found))
    if output is None:
        sys.stdout.buffer.write(content)
        return
    try:
        output.write_bytes(content)
    except OSError as error:
        raise LexilogError(f"{output}: cannot be written: {error.strerror}") from error


catalog.add_command(import_catalog)
