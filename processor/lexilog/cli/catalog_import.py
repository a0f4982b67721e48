"""``lexilog catalog import``: a vendor's document -> the draft of a catalogue."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import click
import msgspec

from lexilog.catalog.compare import differences
from lexilog.catalog.load import Catalog, load_catalog, read_catalog
from lexilog.catalog.sources import VENDOR_TEXT, shipped_catalogs
from lexilog.cli._options import FOUND
from lexilog.cli._output import write_file
from lexilog.errors import CatalogError, ImportFormatError, LexilogError
from lexilog.importers import LAYOUTS
from lexilog.importers.draft import Draft, write_draft, write_vendor_text
from lexilog.yaml_document import Document

__all__ = ["import_catalog"]


@click.command("import")
@click.argument("layout", type=click.Choice(sorted(LAYOUTS)))
@click.argument("file", type=click.Path(path_type=Path, allow_dash=True, readable=False))
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
    help="Write the vendor's sentences too, into a file beside it (.vendor-text.yaml) that only you can read. They are "
    "shown by `lexilog catalog show`, and never become part of a record, a catalogue or anything built from one.",
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
    draft = _draft(LAYOUTS[layout], file, name)
    text = write_draft(draft)
    if output is None:
        print(text, end="")
        return
    if output.exists() and not output.is_file():
        raise LexilogError(f"{output}: is no ordinary file; without --output the draft goes to standard output")
    output = output.resolve()
    new = _loaded(text, output)
    if keep_vendor_text:
        write_file(output.with_name(output.stem + VENDOR_TEXT), write_vendor_text(draft), mode=0o600)
    if output.exists() and not force:
        found = differences(load_catalog(output), new)
        for item in found:
            print(item)
        print(f"{output}: is there already and stays as it is; {len(found)} differences", file=sys.stderr)
        sys.exit(FOUND if found else 0)
    write_file(output, text)
    print(f"{output}: {len(draft.facts)} entries written; next: lexilog catalog lint {output}", file=sys.stderr)


def _draft(read: Callable[[str], Draft], file: Path, name: str | None) -> Draft:
    """Read a document; where its entries are shipped already, the draft's stand in for them.

    Raises:
        LexilogError: it cannot be read, or is none of that layout.
    """
    try:
        draft = read(_read(file))
    except ImportFormatError as error:
        raise LexilogError(f"{file}: {error}") from error
    shipped = shipped_catalogs()
    ids, frames = {fact.id for fact in draft.facts}, set(draft.frame)
    replaces = [item.name for item in shipped if any(e.id in ids and frames & set(e.frames) for e in item.entries)]
    name = name or draft.name
    # Two catalogues of one name cannot be used together.
    if any(item.name == name for item in shipped):
        name = f"{name}_local"
    return msgspec.structs.replace(draft, name=name, replaces=tuple(replaces))


def _loaded(text: str, output: Path) -> Catalog:
    """Load a draft before it is written, so that no file is left that does not load.

    Raises:
        LexilogError: it does not.
    """
    try:
        return read_catalog(Document(output, text))
    except CatalogError as error:
        raise LexilogError(f"{output}: not written, because it would not load: {error.problem}") from error


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
