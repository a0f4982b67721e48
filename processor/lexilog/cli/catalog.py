"""``lexilog catalog``: what is known, and the work of making it."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import click
from rich.text import Text

from lexilog.catalog.compare import differences
from lexilog.catalog.coverage import measure
from lexilog.catalog.lint import Problem
from lexilog.catalog.lint import lint as lint_catalogs
from lexilog.catalog.load import Catalog, load_catalog
from lexilog.catalog.lock import check_lock, make_lock, read_lock, write_lock
from lexilog.catalog.search import find_entries, search_entries
from lexilog.catalog.sources import load_catalogs, shipped_catalogs, vendor_texts
from lexilog.cli._options import FOUND, catalog_option
from lexilog.cli._output import IMPACT_STYLES, console, print_table, write_file
from lexilog.cli.catalog_import import import_catalog
from lexilog.errors import LexilogError
from lexilog.model import Entry
from lexilog.pipeline import Pipeline

__all__ = ["catalog"]


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
    rows = []
    for item in found:
        observed = sum(entry.provenance == "observed" for entry in item.entries)
        frames = ", ".join(item.entries[0].frames)
        rows.append((item.name, item.version, str(len(item.entries) - observed), str(observed), frames, item.title))
    print_table(("catalogue", "version", "documented", "observed", "wrappings", "title"), rows)


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
    for entry in entries:
        _print_entry(entry)
        for heading, text in texts.get((entry.catalog, entry.id), {}).items():
            _print_fact(f"vendor, {heading}:", text)


def _print_fact(name: str, value: str | None) -> None:
    if value:
        console().print(Text(f"{name} ", style="cyan").append(value, style="none"))


def _print_entry(entry: Entry) -> None:
    level, event = entry.level(), entry.event
    facts = {
        "catalogue": f"{entry.catalog} {entry.catalog_version} ({entry.provenance}), {entry.place}",
        "severity": f"{level.word} (syslog {level.code})" if level else "as the line says",
        "facility": entry.facility,
        "categories": ", ".join(entry.categories),
        "type": entry.type,
        "event": " ".join(filter(None, (*event.category, *event.type, event.outcome, event.action))),
        "protocol": " ".join(filter(None, (entry.protocol, entry.phase and f"phase {entry.phase}", entry.role))),
        "device does": entry.vendor_action,
        "logged": "only with diagnostics switched on" if entry.diagnostics else None,
        "wrapping": ", ".join(entry.frames),
        "device": ", ".join(" ".join(device) for device in sorted(entry.devices)),
        "process": ", ".join(entry.processes),
        "component": ", ".join(sorted(entry.components)),
        "where": "; ".join(f"{name} is {' or '.join(sorted(texts))}" for name, texts in entry.where.items()),
    }
    console().print(Text(entry.id, style="bold").append(f"  {entry.title if entry.title != entry.id else ''}"))
    console().print(Text("impact ", style="cyan").append(entry.impact, style=IMPACT_STYLES[entry.impact]))
    for format_ in dict.fromkeys((*([entry.template] if entry.template else []), *entry.formats)):
        _print_fact("format", format_)
    for name, value in facts.items():
        _print_fact(name, value)
    for variable in entry.variables.values():
        if variable.name in entry.parameters or any(f"{{{variable.name}}}" in text for text in entry.formats):
            where = " ".join(variable.fields) or "lexilog.variables alone"
            _print_fact("variable", f"{variable.name}: {variable.type} -> {where}")
    for name in ("explanation", "cause", "action"):
        _print_fact(f"{name}:", getattr(entry, name) or "not written yet")
    for note in entry.notes:
        _print_fact("note:", note)
    _print_fact("to review:", ", ".join(entry.review))
    _print_fact("source:", f"{entry.source['document']}, {entry.source['section']}")
    _print_fact("see:", entry.reference)


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
    for entry in found:
        impact = Text(f"  {entry.impact}", style=IMPACT_STYLES[entry.impact])
        console().print(Text(f"{entry.catalog} ").append(entry.id, style="bold").append(impact))
        console().print(Text(f"  {entry.template or entry.title}"))


@catalog.command()
@catalog_option
@click.argument("files", nargs=-1, type=click.Path(path_type=Path), metavar="[FILE|DIRECTORY]...")
def lint(catalogs: tuple[Path, ...], files: tuple[Path, ...]) -> None:
    """Check catalogues: do they load together, is every message recognised, what is missing, pasted or to be reviewed.

    FILE is a catalogue of yours; without one everything is checked. Each problem is one line, FILE:LINE: ID: text.
    Exit code 0 when there is none, 3 otherwise.
    """
    known = load_catalogs((*catalogs, *files))
    checked = [item for file in files for item in _of(known, file)] if files else list(known)
    problems = lint_catalogs(checked)
    entries = {(entry.catalog, entry.id): entry for item in checked for entry in item.entries}
    for result in measure(checked, Pipeline(known).process):
        for failure in result.failures:
            entry = entries[result.catalog, failure.id]
            said = f"a line of its own in {failure.frame} is {failure.found}; see lexilog catalog coverage --lines"
            problems.append(Problem(entry.place, entry.id, said))
    for problem in problems:
        print(problem)
    print(f"{len(entries)} entries checked, {len(problems)} problems", file=sys.stderr)
    sys.exit(FOUND if problems else 0)


def _of(catalogs: Sequence[Catalog], path: Path) -> list[Catalog]:
    """Return the catalogues that are from a file or directory.

    Raises:
        LexilogError: there are none.
    """
    wanted, found = path.resolve(), []
    for item in catalogs:
        place = item.place.path.resolve()
        if wanted in (place, *place.parents):
            found.append(item)
    if not found:
        raise LexilogError(f"{path}: holds no catalogue; an overlay is checked by loading it with --catalog")
    return found


@catalog.command()
@catalog_option
@click.option("--lines", is_flag=True, help="Print the lines that are not recognised.")
def coverage(catalogs: tuple[Path, ...], *, lines: bool) -> None:
    """Count how many messages are recognised, on lines made from the catalogues themselves.

    Each entry is written with sample values in every wrapping that it may come in, and read again. This shows what a
    catalogue claims, not what devices send. Exit code 0 when all are recognised, 3 otherwise.
    """
    found = load_catalogs(catalogs)
    results = measure(found, Pipeline(found).process)
    rows = []
    for result in results:
        counts = [f"{known} of {total}" for known, total in (result.documented, result.observed)]
        rows.append((result.catalog, *counts, str(result.lines)))
    print_table(("catalogue", "documented", "observed", "lines"), rows)
    failures = [(result.catalog, failure) for result in results for failure in result.failures]
    for name, failure in failures:
        print(f"{name}: {failure.id} in {failure.frame}: {failure.found}")
        if lines:
            print(f"  {failure.line}")
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
    shipped = {item.name: item for item in shipped_catalogs()}
    if text not in shipped:
        raise LexilogError(f"{text}: no such file, and no catalogue of that name; there are {', '.join(shipped)}")
    return shipped[text]


@catalog.command()
@click.argument("files", nargs=-1, type=click.Path(path_type=Path), metavar="[FILE]...")
@click.option("--check", type=click.Path(path_type=Path), metavar="LOCK", help="Compare with a lock file.")
@click.option(
    "--output", "-o", type=click.Path(path_type=Path, readable=False), metavar="LOCK", help="Write the lock file."
)
def lock(files: tuple[Path, ...], check: Path | None, output: Path | None) -> None:
    """Print the lock: version of each catalogue, and id and hash of each entry.

    FILE is a catalogue of yours; without one it is about those that are shipped. With --check, exit code 3 when an
    entry changed since; each line says which, and whether the version was raised.
    """
    if check is not None and output is not None:
        raise click.UsageError("--check compares and --output writes: one at a time")
    found = tuple(load_catalog(file) for file in files) or shipped_catalogs()
    if check is not None:
        said = check_lock(read_lock(check), found)
        for line in said:
            print(line)
        sys.exit(FOUND if said else 0)
    content = write_lock(make_lock(found))
    if output is None:
        print(content.decode(), end="")
    else:
        write_file(output, content)


catalog.add_command(import_catalog)
