"""The lock: id, hash and version of every entry, so that no entry changes without its catalogue's version."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

import msgspec

from lexilog.catalog.load import Catalog
from lexilog.errors import LexilogError
from lexilog.model import Entry

__all__ = ["Locked", "check_lock", "make_lock", "read_lock", "write_lock"]

# Where an entry stands is no part of what it says.
_NOT_CONTENT = ("place", "catalog_version")


class Locked(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A catalogue as it was locked: its version, and the first 16 hexadecimal digits of each entry's SHA-256 by id."""

    version: str
    entries: dict[str, str]


def make_lock(catalogs: Iterable[Catalog]) -> dict[str, Locked]:
    """Return the lock of catalogues, by name."""
    return {c.name: Locked(c.version, {entry.id: _hash(entry) for entry in c.entries}) for c in catalogs}


def read_lock(path: Path) -> dict[str, Locked]:
    """Read a lock file.

    Raises:
        LexilogError: it cannot be read, or is none.
    """
    try:
        return msgspec.json.decode(path.read_bytes(), type=dict[str, Locked])
    except OSError as error:
        raise LexilogError(f"{path}: cannot be read: {error.strerror}") from error
    except msgspec.MsgspecError as error:
        raise LexilogError(f"{path}: is no lock file: {error}") from error


def write_lock(lock: dict[str, Locked]) -> bytes:
    """Return a lock file's content."""
    return msgspec.json.format(msgspec.json.encode(lock, order="sorted"), indent=1) + b"\n"


def check_lock(lock: dict[str, Locked], catalogs: Iterable[Catalog]) -> list[str]:
    """Return what differs between a lock and the catalogues, in words; nothing where all is as it was locked."""
    now, said = make_lock(catalogs), []
    for name in sorted(lock.keys() | now.keys()):
        before, after = lock.get(name), now.get(name)
        if before is None or after is None:
            said.append(f"{name}: {'is not in the lock' if before is None else 'is in the lock but not there'}")
            continue
        ids = sorted(
            i for i in before.entries.keys() | after.entries.keys() if before.entries.get(i) != after.entries.get(i)
        )
        if ids and before.version == after.version:
            said.append(f"{name}: {_named(ids)} changed, but the version is still {after.version}: raise it")
        elif ids or before.version != after.version:
            said.append(f"{name}: is at {after.version}, the lock at {before.version}: lock it again")
    return said


def _hash(entry: Entry) -> str:
    # What is empty is left out, so that a new attribute which an entry does not use changes no hash.
    every = msgspec.structs.asdict(entry).items()
    content = {name: value for name, value in every if value and name not in _NOT_CONTENT}
    return hashlib.sha256(msgspec.json.encode(content, order="deterministic")).hexdigest()[:16]


def _named(ids: list[str]) -> str:
    return ", ".join(ids[:5]) + (f" and {len(ids) - 5} more" if len(ids) > 5 else "")
