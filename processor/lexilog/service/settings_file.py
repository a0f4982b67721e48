"""Reads the settings file of `lexilog serve`."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from lexilog.errors import SettingsError
from lexilog.relay.settings import RELAYS
from lexilog.service.settings import Settings
from lexilog.service.settings_check import Fail, check_settings
from lexilog.yaml_document import Document

__all__ = ["load_settings"]

_VARIABLE = re.compile(r"\$(\$\{|\{(\w+)\})")


def load_settings(path: Path) -> Settings:
    """Return the settings that a file holds.

    ``${NAME}`` in a text stands for an environment variable; ``$${`` for ``${`` itself. Relative paths start at the
    folder of the file.

    Raises:
        SettingsError: the file cannot be read, or makes no sense; the error names line and column.
    """

    def fail(path: Path, line: int, column: int, problem: str) -> SettingsError:
        return SettingsError(f"{path}:{line}:{column}: {problem}")

    document = Document(path, failure=fail)
    try:
        document.data = _expand(document.data, (), document.error)
    except RecursionError as error:
        raise fail(path, 1, 1, "is nested too deep") from error
    if isinstance(document.data, dict) and isinstance(doors := document.data.get("doors"), dict):
        # A door that is named is open, also where nothing else is said of it: `grpc:`.
        document.data["doors"] = {name: {} if door is None else door for name, door in doors.items()}
    _check_types(document)
    settings = document.convert(Settings, base=path.parent)
    check_settings(settings, document.error)
    return settings


def _check_types(document: Document) -> None:
    """Find what is wrong with each relay by itself: of a map of many types msgspec tells neither key nor type."""
    raw = document.data.get("relays") if isinstance(document.data, dict) else None
    for name, item in raw.items() if isinstance(raw, dict) else ():
        kind = item.get("type") if isinstance(item, dict) else None
        if not isinstance(kind, str) or kind not in RELAYS:
            problem = f"relay {name}: 'type' is to be one of {', '.join(RELAYS)}"
            raise document.error(problem, "relays", name, "type")
        document.convert(RELAYS[kind], "relays", name)


def _expand(value: Any, path: tuple[str | int, ...], fail: Fail) -> Any:
    """Put the environment's values into every text."""

    def put(found: re.Match[str]) -> str:
        if not found[2]:
            return "${"
        if found[2] not in os.environ:
            raise fail(f"the environment variable {found[2]} is not set; for a literal '${{' write '$${{'", *path)
        return os.environ[found[2]]

    if isinstance(value, dict):
        return {key: _expand(item, (*path, key), fail) for key, item in value.items()}
    if isinstance(value, list):
        return [_expand(item, (*path, index), fail) for index, item in enumerate(value)]
    return _VARIABLE.sub(put, value) if isinstance(value, str) else value
