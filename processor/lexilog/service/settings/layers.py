"""Settings as they are written, layer upon layer: in a file, in the environment, in flags."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from lexilog.errors import SettingsError
from lexilog.relay.settings import RELAYS
from lexilog.service.settings import LEVELS, Settings
from lexilog.service.settings.kinds import is_path_at
from lexilog.service.settings.placeholders import Placeholders
from lexilog.yaml_document import Document, convert, cut, meant_of

__all__ = ["Change", "Layers", "Steps", "leaves"]

Steps = tuple[str | int, ...]


class Change(NamedTuple):
    """What a flag or a variable says of a setting.

    Attributes:
        steps: the path of the setting.
        value: its value; None takes away what lower layers say.
        origin: what errors call the flag or the variable.
    """

    steps: Steps
    value: Any
    origin: str


class Layers:
    """Settings before they are checked, and where each of them comes from.

    Args:
        path: the settings file, the lowest layer; None for no file.

    Attributes:
        data: the settings.

    Raises:
        SettingsError: the file cannot be read, or is not YAML.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.data: Any = {}
        self._origins: dict[Steps, str] = {}
        self._changed: set[Steps] = set()
        self._base = path.parent if path else Path()
        self._placeholders = Placeholders(self._base)
        if path:
            document = Document(path, failure=_fail)
            if isinstance(document.data, str):
                raise _fail(path, 1, 1, "this is no map of settings, such as 'workers: 2'; only YAML is known")
            self.data = document.data
            self._origins.update(document.places())

    def put(self, change: Change) -> None:
        """Put a setting over what lower layers say of it.

        Raises:
            SettingsError: one of the steps to it is no map.
        """
        data = self.data
        for depth, step in enumerate(change.steps):
            if not isinstance(data, dict):
                raise self.error("a map is expected here: {key: value}", *change.steps[:depth])
            if depth + 1 < len(change.steps):
                if data.get(step) is None:
                    data[step] = {}
                data = data[step]
        self._forget(change.steps)
        if change.value is None:
            data.pop(change.steps[-1], None)
            return
        data[change.steps[-1]] = change.value
        self._origins |= dict.fromkeys(_paths(change.value, change.steps), change.origin)
        self._changed.add(change.steps)

    def _forget(self, steps: Steps) -> None:
        size = len(steps)
        self._origins = {known: origin for known, origin in self._origins.items() if known[:size] != steps}
        self._changed = {known for known in self._changed if known[:size] != steps}

    def origin(self, *steps: str | int) -> str | None:
        """Return where a setting comes from: file, line and column, a variable or a flag; None for a default."""
        return self._origins.get(steps)

    def error(self, problem: str, *steps: str | int) -> SettingsError:
        """Return an error that names where a setting comes from; where it has no place, what is nearest to it.

        What was filled in for a placeholder is not repeated.
        """
        problem = self.hide(problem)
        while True:
            if origin := self._origins.get(steps) or (self._below(steps) if steps else None):
                return SettingsError(f"{origin}: {problem}")
            if not steps:
                return SettingsError(problem)
            steps = steps[:-1]

    def hide(self, text: str) -> str:
        """Return a text without what was filled in for placeholders."""
        return self._placeholders.hide(text)

    def written(self, *steps: str | int) -> str | None:
        """Return what stands in the file for a setting that placeholders were filled into; None for another one."""
        return self._placeholders.written(*steps)

    def _below(self, steps: Steps) -> str | None:
        size = len(steps)
        return next((origin for known, origin in self._origins.items() if known[:size] == steps), None)

    def settings(self) -> Settings:
        """Return the settings; they have the right types, and that is all.

        ``${NAME}`` in a text of the file stands for an environment variable, ``${file:PATH}`` for what a file holds,
        ``$${`` for ``${`` itself. Relative paths in the file start at its folder.

        Raises:
            SettingsError: they do not have the right types, or what a text stands for cannot be had.
        """
        try:
            data = self._expand(self.data, ())
        except RecursionError as error:
            raise self.error("is nested too deep") from error
        for steps in self._placeholders.contents():
            if is_path_at(*steps):
                problem = "this wants a path, not a content: leave ${file: } away"
                name = next(step for step in reversed(steps) if isinstance(step, str))
                raise self.error(f"{name}: {problem}", *steps)
        _open_what_is_named(data)
        _lower_level(data)
        self._check_relays(data)
        return convert(data, Settings, self.error, base=self._base)

    def _check_relays(self, data: Any) -> None:
        """Find what is wrong with each relay by itself: of a map of many types msgspec tells neither key nor type."""
        found = data.get("relays") if isinstance(data, dict) else None
        raw: dict[str, Any] = found if isinstance(found, dict) else {}
        for name, item in raw.items():
            kind = item.get("type") if isinstance(item, dict) else None
            if not isinstance(kind, str) or kind not in RELAYS:
                others = [other for other in raw if other != name]
                hint = meant_of(name, others) if isinstance(item, dict) and "type" not in item else ""
                if ("relays",) in self._changed:
                    hint = f"; {self._origins[('relays',)]} took the place of all relays"
                problem = f"relay {cut(name)}: 'type' is to be one of {', '.join(RELAYS)}{hint}"
                raise self.error(problem, "relays", name, "type")
            convert(item, RELAYS[kind], self.error, "relays", name, base=self._base)

    def _expand(self, value: Any, steps: Steps) -> Any:
        """Return a value of the file with what its texts stand for; other layers say what they mean."""
        if steps in self._changed:
            return value
        if isinstance(value, dict):
            return {key: self._expand(item, (*steps, key)) for key, item in value.items()}
        if isinstance(value, list):
            return [self._expand(item, (*steps, index)) for index, item in enumerate(value)]
        return self._fill(value, steps) if isinstance(value, str) else value

    def _fill(self, text: str, steps: Steps) -> str:
        def fail(problem: str) -> SettingsError:
            return self.error(f"{problem}; for a literal '${{' write '$${{'", *steps)

        return self._placeholders.fill(text, steps, fail)


def leaves(value: Any, steps: Steps) -> Iterator[tuple[Steps, Any]]:
    """Yield what stands in a value, with its path, that is neither a map nor a list."""
    parts = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else None
    if parts is None:
        yield steps, value
        return
    for key, item in parts:
        yield from leaves(item, (*steps, key))


def _fail(path: Path, line: int, column: int, problem: str) -> SettingsError:
    if path.suffix not in (".yaml", ".yml") and problem.startswith("is not valid YAML"):
        problem += "; only YAML is known"
    return SettingsError(f"{path}:{line}:{column}: {problem}")


def _paths(value: Any, steps: Steps) -> Iterator[Steps]:
    """Yield the path of a value and, where it is a map, of all that is in it."""
    yield steps
    for key, item in value.items() if isinstance(value, dict) else ():
        yield from _paths(item, (*steps, key))


def _open_what_is_named(data: Any) -> None:
    """Let `grpc:` open that door, and `metrics:` that port, also where nothing else is said of it."""
    if not isinstance(data, dict):
        return
    if isinstance(doors := data.get("doors"), dict):
        data["doors"] = {name: {} if door is None else door for name, door in doors.items()}
    if "metrics" in data and data["metrics"] is None:
        data["metrics"] = {}


def _lower_level(data: Any) -> None:
    """Take the level of the log in any case."""
    log = data.get("log") if isinstance(data, dict) else None
    if isinstance(log, dict) and str(level := log.get("level")).lower() in LEVELS:
        data["log"] = log | {"level": str(level).lower()}
