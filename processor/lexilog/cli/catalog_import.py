"""``lexilog catalog import``: a vendor's document -> the draft of a catalogue."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

import click
import msgspec

from lexilog.catalog.compare import differences
from lexilog.catalog.load import load_catalog
from lexilog.catalog.sources import shipped_catalogs
from lexilog.cli._options import FOUND
from lexilog.errors import LexilogError
from lexilog.importers import LAYOUTS
from lexilog.importers.draft import Draft, write_draft, write_vendor_text

__all__ = ["import_catalog"]


@click.command("import")
@click.argument("layout", type=click.Choice(sorted(LAYOUTS)))
@click.argument("file", type=click.Path(path_type=Path, allow_dash=True))
@click.option(
    "--output", "-o", type=click.Path(path_type=Path), metavar="FILE", help="The draft; else standard output."
)
@click.option(
    "--name",
    metavar="NAME",
    help="Name of the catalogue; by default the document's, made different from a shipped one.",
)
@click.option("--force", is_flag=True, help="Write over a draft that is there already; what was edited in it is lost.")
@click.option(
    "--keep-vendor-text",
    is_flag=True,
    help="Write the vendor's sentences too, into OUTPUT.vendor-text.yaml, which only you can read. They are shown by "
    "`lexilog catalog show`, and never become part of a record, a catalogue or anything that is built from one.",
)
def import_catalog(
    layout: str, file: Path, output: Path | None, name: str | None, *, force: bool, keep_vendor_text: bool
) -> None:
    """Read a vendor's document as text and write a draft catalogue.

    LAYOUT is how the document is laid out: junos (a chapter of the System Log Messages reference, or what a device
    prints for `help syslog`), clavister (a section of the Log Reference Guide), forcepoint (the page of VPN
    notifications) or bluecedar (the page of gateway log contents). FILE is its text; - is standard input.

    Ids, formats, severities and parameters are filled in. What is only guessed, and what is missing, is named in the
    `review` list of each entry; the texts are for you to write. Where OUTPUT is there already, it is left as it is, and
    what differs is printed: that is how to see what a newer document changes.

    \b
    Exit codes: 0 written; 1 the document cannot be read; 3 the draft is there already and something differs.

    \b
    Example:
      lexilog catalog import junos help-syslog.txt -o ours.yaml
      lexilog catalog lint ours.yaml
      lexilog enrich --catalog ours.yaml /var/log/remote/srx1.log
    """
    if keep_vendor_text and output is None:
        raise click.UsageError("--keep-vendor-text needs --output, to know beside which file the text belongs")
    draft = LAYOUTS[layout](_read(file))
    draft = msgspec.structs.replace(draft, name=name or _free_name(draft.name))
    text = _with_replaces(write_draft(draft), draft)
    if output is None:
        print(text, end="")
        return
    if output.exists() and not force:
        _compare(output, text)
        return
    _write(output, text, mode=0o644)
    if keep_vendor_text:
        _write(_vendor_file(output), write_vendor_text(draft), mode=0o600)
    print(f"{output}: {len(draft.facts)} entries written; next: lexilog catalog lint {output}", file=sys.stderr)


def _read(file: Path) -> str:
    try:
        data = sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()
    except OSError as error:
        raise LexilogError(f"{file}: cannot be read: {error.strerror}") from error
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise LexilogError(
            f"{file}: is not UTF-8 text (byte {error.start}); save the document as plain text"
        ) from error


def _free_name(name: str) -> str:
    """Return a name that no shipped catalogue has: two of one name cannot be used together."""
    return f"{name}_local" if any(catalog.name == name for catalog in shipped_catalogs()) else name


def _with_replaces(text: str, draft: Draft) -> str:
    """Name the shipped catalogues whose entries the draft's give way to, so that it can be used as it is."""
    ids = {fact.id for fact in draft.facts}
    names = [c.name for c in shipped_catalogs() if any(entry.id in ids for entry in c.entries)]
    if not names:
        return text
    note = (
        "# Entries with the same id in these give way to this file's, which take over what they lack, such as texts.\n"
    )
    return text.replace("\nentries:", f"\n{note}replaces: [{', '.join(names)}]\n\nentries:", 1)


def _compare(output: Path, text: str) -> None:
    """Print what differs between the draft that is there and a new one, and leave it as it is."""
    with tempfile.TemporaryDirectory() as folder:
        new = Path(folder, output.name)
        new.write_text(text, encoding="utf-8")
        found = differences(load_catalog(output), load_catalog(new))
    for item in found:
        print(item)
    print(f"{output}: is there already and stays as it is; {len(found)} differences", file=sys.stderr)
    sys.exit(FOUND if found else 0)


def _vendor_file(output: Path) -> Path:
    return output.with_suffix(".vendor-text.yaml")


def _write(path: Path, text: str, *, mode: int) -> None:
    """Write a file as a whole or not at all."""
    part = path.with_name(f".{path.name}.part")
    try:
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise LexilogError(f"{path}: cannot be written: {error.strerror}") from error
