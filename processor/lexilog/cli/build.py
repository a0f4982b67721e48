"""``lexilog build``: everything that is made from the catalogue, the field table and the panels."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import click

from lexilog.cli._options import FOUND, catalog_option
from lexilog.cli._output import write_file
from lexilog.compilers.build import GENERATED
from lexilog.compilers.build import build as make
from lexilog.compilers.source import Files, load_source
from lexilog.errors import LexilogError

__all__ = ["build"]


@click.command()
@catalog_option
@click.option(
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Where to; default: the current directory, if it is a checkout of lexilog.",
)
@click.option("--check", is_flag=True, help="Only say what differs from what is there.")
def build(catalogs: tuple[Path, ...], output: Path | None, *, check: bool) -> None:
    """Make templates, ingest pipeline, dashboards and pages anew, from the catalogues.

    Files that are as they should be are not touched. In a checkout, files in the folders of what is made that nothing
    makes any more are removed. `lexilog install` needs none of these files.

    Exit codes: 0 done, or with --check nothing differs; 1 a file could not be read or written; 2 bad usage; 3 with
    --check: something differs.

    \b
    Examples:
      lexilog build --check
      lexilog build --catalog own.yaml --output /tmp/elastic
    """
    top = output or _checkout()
    made = make(load_source(catalogs))
    changed = [path for path, content in made.items() if _content(top / path) != content]
    stale = list(_stale(top, made)) if _is_checkout(top) else []
    if check:
        for path in changed:
            print(f"{path}: differs" if (top / path).exists() else f"{path}: missing")
        for path in stale:
            print(f"{path}: nothing makes it any more")
        sys.exit(FOUND if changed or stale else 0)
    for path in changed:
        _write(top / path, made[path])
    for path in stale:
        _remove(top, path)
    print(f"{len(made)} files, {len(changed)} written, {len(stale)} removed", file=sys.stderr)


def _checkout() -> Path:
    here = Path.cwd()
    if not _is_checkout(here):
        raise click.UsageError("this directory is no checkout of lexilog: say with --output where to")
    return here


def _is_checkout(top: Path) -> bool:
    return (top / "processor" / "lexilog" / "catalog").is_dir()


def _content(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise LexilogError(f"{path}: cannot be read: {error.strerror}") from error


def _stale(top: Path, made: Files) -> Iterator[str]:
    """Yield the files in the folders of what is made that are not made."""
    for folder in GENERATED:
        # Behind a link is somebody else's folder.
        if (top / folder).resolve() != top.resolve() / folder:
            continue
        for path in sorted((top / folder).rglob("*")):
            name = path.relative_to(top).as_posix()
            if path.is_file() and name not in made:
                yield name


def _write(path: Path, content: bytes) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise LexilogError(f"{path.parent}: cannot be made: {error.strerror}") from error
    write_file(path, content)


def _remove(top: Path, name: str) -> None:
    """Remove a file, and the folders that it leaves empty."""
    path = top / name
    try:
        path.unlink()
        for folder in path.relative_to(top).parents:
            if folder.as_posix() in (*GENERATED, ".") or any((top / folder).iterdir()):
                return
            (top / folder).rmdir()
    except OSError as error:
        raise LexilogError(f"{path}: cannot be removed: {error.strerror}") from error
