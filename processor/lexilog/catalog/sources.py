"""Where catalogues come from: this package, installed packages, files and directories; and how they go together."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from pathlib import Path

import msgspec

from lexilog.catalog.compare import bare
from lexilog.catalog.load import Catalog, load_catalog, read_catalog
from lexilog.catalog.schema import ChangeKeys, OverlayKeys, VendorTextKeys
from lexilog.errors import CatalogError
from lexilog.matching.index import frame_kinds
from lexilog.model import Entry
from lexilog.yaml_document import Document

__all__ = ["ENTRY_POINTS", "VENDOR_TEXT", "catalog_files", "load_catalogs", "shipped_catalogs", "vendor_texts"]

# The group of entry points under which an installed package offers catalogues: each names a package with YAML files.
ENTRY_POINTS = "lexilog.catalogs"

# How the name of a file with the vendor's own sentences ends.
VENDOR_TEXT = ".vendor-text.yaml"

_ENTRIES = Path(__file__).resolve().parent / "entries"
_SUFFIXES = (".yaml", ".yml")
# What a draft only guesses, as its review list names it, and what of the entry with the same id stands in its place.
_GUESSED = {"impact": "impact", "event": "event", "variables": "variables", "format": "formats"}
# What a draft lacks altogether.
_TAKEN_OVER = (
    "explanation", "cause", "action", "protocol", "phase", "role", "processes", "components", "devices", "tail",
    "absent", "notes", "reference",
)  # fmt: skip


def shipped_catalogs() -> tuple[Catalog, ...]:
    """Return the catalogues that are part of this package, by name.

    Raises:
        CatalogError: a shipped file is damaged.
    """
    return tuple(load_catalog(path) for path in _files(_ENTRIES))


def load_catalogs(paths: Sequence[Path] = ()) -> tuple[Catalog, ...]:
    """Return every catalogue there is: the shipped ones, those of installed packages, and those under `paths`.

    Overlays are applied, and entries give way to those of a catalogue that replaces them.

    Args:
        paths: catalogue files, overlay files, or directories that hold some.

    Raises:
        CatalogError: a file cannot be used; two catalogues have the same name, or claim an id in the same wrapping.
    """
    catalogs, overlays = list(shipped_catalogs()), []
    files = [file for path in (*_offered(), *paths) for file in _files(path)]
    # The same file may be reached in two ways.
    for file in {file.resolve(): file for file in files}.values():
        document = Document(file)
        kind = set(document.data) if isinstance(document.data, dict) else set()
        if "overlay" in kind:
            overlays.append(document)
        else:
            catalogs.append(read_catalog(document))
    _check_names(catalogs)
    catalogs = _replaced(catalogs)
    for document in overlays:
        catalogs = _overlaid(catalogs, document)
    _check_ids(catalogs)
    return tuple(catalogs)


def catalog_files(path: Path) -> list[Path]:
    """Return the catalogues and overlays in a directory, by name; none where it is no directory, or cannot be read."""
    try:
        files = [file for file in path.iterdir() if file.suffix in _SUFFIXES and file.is_file()]
    except OSError:
        return []
    return sorted(file for file in files if not file.name.endswith(VENDOR_TEXT))


def vendor_texts(paths: Sequence[Path]) -> dict[tuple[str, str], dict[str, str]]:
    """Return the vendor's own sentences by catalogue and id, then by heading, from the files at and beside `paths`.

    They are for the eyes of who has the document: nothing else reads them.

    Raises:
        CatalogError: a file is damaged.
    """
    found: dict[tuple[str, str], dict[str, str]] = {}
    for folder in dict.fromkeys(path if path.is_dir() else path.parent for path in paths):
        for file in folder.glob(f"*{VENDOR_TEXT}"):
            keys = Document(file).convert(VendorTextKeys)
            found |= {(keys.vendor_text_of, name): texts for name, texts in keys.entries.items()}
    return found


def _offered() -> Iterator[Path]:
    """Yield the directories that installed packages offer."""
    for point in entry_points(group=ENTRY_POINTS):
        yield _directory(point)


def _directory(point: EntryPoint) -> Path:
    try:
        spec = find_spec(point.value)
    except (ImportError, ValueError):
        spec = None
    if spec is None or not spec.submodule_search_locations:
        whose = f" of {point.dist.name}" if point.dist else ""
        problem = f"entry point {ENTRY_POINTS}: '{point.name}'{whose} names no package with files"
        raise CatalogError(point.value, 1, 1, problem)
    return Path(next(iter(spec.submodule_search_locations)))


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    found = catalog_files(path)
    if not found:
        why = "no file *.yaml" if os.access(path, os.R_OK | os.X_OK) else "it cannot be read"
        raise CatalogError(path, 1, 1, f"this directory holds no catalogue: {why}")
    return found


def _check_names(catalogs: Iterable[Catalog]) -> None:
    seen: dict[str, Catalog] = {}
    for catalog in catalogs:
        if catalog.name in seen:
            path, line = catalog.place
            other = seen[catalog.name].place
            problem = f"catalogue '{catalog.name}' is already there: {other}; give this one another name"
            raise CatalogError(path, line, 1, problem)
        seen[catalog.name] = catalog


def _check_ids(catalogs: Iterable[Catalog]) -> None:
    """Refuse two entries that the same line could be by its id."""
    seen: dict[tuple[str, str], list[Entry]] = {}
    for entry in (entry for catalog in catalogs for entry in catalog.entries):
        for kind in frame_kinds(entry) if entry.code is not None else ():
            others = seen.setdefault((kind, str(entry.code)), [])
            for other in others:
                # One that names no device is any device's.
                if not (entry.devices and other.devices) or entry.devices & other.devices:
                    path, line = entry.place
                    problem = (
                        f"id '{entry.code}' is already taken by catalogue {other.catalog}: {other.place}; "
                        f"remove one, say 'replaces: [{other.catalog}]', or change single fields by an overlay"
                    )
                    raise CatalogError(path, line, 1, problem)
            others.append(entry)


def _replaced(catalogs: list[Catalog]) -> list[Catalog]:
    """Let entries give way to those of a catalogue that replaces them; the latter take over what they lack."""
    names = {catalog.name for catalog in catalogs}
    for new in catalogs:
        unknown = [name for name in new.replaces if name not in names]
        if unknown:
            path, line = new.place
            raise CatalogError(path, line, 1, f"replaces: there is no catalogue '{unknown[0]}'")
    heirs = {(old, entry.id): entry for catalog in catalogs for old in catalog.replaces for entry in catalog.entries}
    if not heirs:
        return catalogs
    left = {(c.name, entry.id): entry for c in catalogs for entry in c.entries if (c.name, entry.id) in heirs}
    out = []
    for catalog in catalogs:
        kept = [entry for entry in catalog.entries if (catalog.name, entry.id) not in left]
        for old in catalog.replaces:
            kept = [_inherited(entry, left[old, entry.id]) if (old, entry.id) in left else entry for entry in kept]
        if kept:
            out.append(msgspec.structs.replace(catalog, entries=tuple(kept)))
    return out


def _inherited(entry: Entry, old: Entry) -> Entry:
    """Return an entry with what it lacks, and what it only guesses, from the one that it replaces."""
    lacking = {name: getattr(old, name) for name in _TAKEN_OVER if not getattr(entry, name)}
    guessed = {key: getattr(old, name) for key, name in _GUESSED.items() if key in entry.review}
    if "variables" in guessed:
        guessed["variables"] = {**entry.variables, **old.variables}
    if "format" in guessed:
        # Where the words are the same, the better-known entry knows which of them are variables; else both are read.
        is_same = bool({bare(text) for text in entry.formats} & {bare(text) for text in old.formats})
        guessed["format"] = old.formats if is_same or not entry.formats else (*entry.formats, *old.formats)
        guessed["template"] = old.template if is_same else entry.template
    reviewed = {*guessed, *(["texts"] if "explanation" in lacking else [])}
    taken = {_GUESSED.get(key, key): value for key, value in guessed.items()}
    review = tuple(name for name in entry.review if name not in reviewed)
    return msgspec.structs.replace(entry, **{**lacking, **taken}, review=review)


def _overlaid(catalogs: list[Catalog], document: Document) -> list[Catalog]:
    """Apply an overlay file: single fields of a catalogue's entries change, and their version says so."""
    file = document.convert(OverlayKeys)
    target = next((catalog for catalog in catalogs if catalog.name == file.overlay), None)
    if target is None:
        raise document.error(f"there is no catalogue '{file.overlay}' to change", "overlay")
    ids = {entry.id for entry in target.entries}
    changes = {}
    for name in file.entries:
        if name not in ids:
            raise document.error(f"catalogue {target.name} has no entry '{name}'", "entries", name)
        changes[name] = document.convert(ChangeKeys, "entries", name)
    entries = []
    for entry in target.entries:
        change = changes.get(entry.id)
        entries.append(_changed(entry, change, file, document) if change else entry)
    changed = msgspec.structs.replace(target, entries=tuple(entries))
    return [changed if catalog is target else catalog for catalog in catalogs]


def _changed(entry: Entry, change: ChangeKeys, file: OverlayKeys, document: Document) -> Entry:
    fields = {name: value for name, value in msgspec.structs.asdict(change).items() if value is not None}
    words = {level.word for level in entry.levels.values()}
    for name, known in (("severity", words), ("facility", set(entry.facilities))):
        if name in fields and fields[name] not in known:
            listed = ", ".join(sorted(known)) or "none at all"
            raise document.error(f"{name} '{fields[name]}' is not one of {listed}", "entries", entry.id, name)
    if change.facility is not None:
        fields["facility_code"] = entry.facilities[change.facility]
    sign = "." if "+" in entry.catalog_version else "+"
    version = f"{entry.catalog_version}{sign}{file.name}.{file.version}"
    return msgspec.structs.replace(entry, **fields, catalog_version=version)
