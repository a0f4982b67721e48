"""What is worth a warning in the files that settings name, though the server would start."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from lexilog.service.settings import Settings
from lexilog.service.tls import warning_of_authorities, warning_of_chain

__all__ = ["warnings_of"]

_WARNINGS = {
    "cert_file": warning_of_chain,
    "ca_file": warning_of_authorities,
    "client_ca_file": warning_of_authorities,
}
_SECRET = ("key_file", "tokens_file")


def warnings_of(settings: Settings) -> Iterator[str]:
    """Yield what is to be said of certificates that end soon, and of files of secrets that everybody may read."""
    for where, name, path in _files(settings, ""):
        if (warn := _WARNINGS.get(name)) and (found := warn(path, where)):
            yield found
        if name in _SECRET and _is_open(path):
            yield f"{where}: {path}: every user of this machine may read it"


def _files(value: Any, where: str) -> Iterator[tuple[str, str, Path]]:
    """Yield the setting, its last name and its value, of each that is a path."""
    if isinstance(value, msgspec.Struct):
        value = msgspec.structs.asdict(value)
    for name, item in value.items() if isinstance(value, dict) else ():
        steps = f"{where}.{name}" if where else name
        if isinstance(item, Path):
            yield steps, name, item
        else:
            yield from _files(item, steps)


def _is_open(path: Path) -> bool:
    try:
        return bool(path.stat().st_mode & stat.S_IROTH)
    except OSError:
        return False
