"""YAML with a position for each value, so that an error can say file, line and column."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import yaml

from lexilog.errors import CatalogError

__all__ = ["Document"]

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_Keys = TypeVar("_Keys")
_STEP = re.compile(r"\.([^.\[\]]+)|\[(\d+)\]|\[\.\.\.\]")


class Document:
    """One YAML file: its data, and where each value stands.

    Args:
        path: the file; read as UTF-8.

    Raises:
        CatalogError: the file cannot be read, is not YAML, or names a key twice.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._marks: dict[tuple[str | int, ...], yaml.Mark] = {}
        try:
            text = path.read_text(encoding="utf-8")
            root = yaml.compose(text, Loader=_Loader)
        except OSError as error:
            raise CatalogError(path, 1, 1, f"cannot be read: {error.strerror}") from error
        except UnicodeDecodeError as error:
            raise CatalogError(path, 1, 1, f"is not UTF-8 (byte {error.start}): save it as UTF-8") from error
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark
            line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
            raise CatalogError(path, line, column, f"is not valid YAML: {error.problem}") from error
        except yaml.YAMLError as error:
            raise CatalogError(path, 1, 1, f"is not valid YAML: {error}") from error
        if root is None:
            raise CatalogError(path, 1, 1, "is empty: a catalogue has at least 'format', 'name' and 'entries'")
        self._construct: Any = yaml.SafeLoader("").construct_object
        try:
            self.data = self._walk(root, ())
        except RecursionError as error:
            raise CatalogError(path, 1, 1, "is nested too deep, or an alias stands for what it is part of") from error

    def _walk(self, node: yaml.Node, path: tuple[str | int, ...]) -> Any:
        self._marks.setdefault(path, node.start_mark)
        if isinstance(node, yaml.MappingNode):
            data: dict[str, Any] = {}
            for key_node, value_node in node.value:
                key = str(key_node.value)
                if key in data:
                    raise self._at(key_node.start_mark, f"key '{key}' stands here a second time")
                self._marks[(*path, key)] = key_node.start_mark
                data[key] = self._walk(value_node, (*path, key))
            return data
        if isinstance(node, yaml.SequenceNode):
            return [self._walk(child, (*path, i)) for i, child in enumerate(node.value)]
        try:
            return self._construct(node)
        except (yaml.YAMLError, ValueError) as error:
            raise self._at(node.start_mark, f"value cannot be read: {error}") from error

    def _at(self, mark: yaml.Mark, problem: str) -> CatalogError:
        return CatalogError(self.path, mark.line + 1, mark.column + 1, problem)

    def convert(self, keys: type[_Keys], *path: str | int) -> _Keys:
        """Return the data, or what stands at a path of it, as `keys`.

        Raises:
            CatalogError: it is not of that type.
        """
        data = self.data
        for step in path:
            data = data[step]
        try:
            return msgspec.convert(data, keys)
        except msgspec.ValidationError as error:
            raise self._error_of(str(error), path) from error

    def line(self, *path: str | int) -> int:
        """Return the line of the value under `path`, or of its nearest parent that exists, counted from 1."""
        return self.error("", *path).line

    def error(self, problem: str, *path: str | int) -> CatalogError:
        """Return an error that points at the value under `path`, or at its nearest parent that exists."""
        while path and path not in self._marks:
            path = path[:-1]
        return self._at(self._marks[path], problem)

    def _error_of(self, text: str, base: tuple[str | int, ...]) -> CatalogError:
        """Return an error from the text of a msgspec error, which ends in `` - at `$.path[0]` ``."""
        problem, _, where = text.partition(" - at `$")
        path = tuple(name or int(index) for name, index in _STEP.findall(where.rstrip("`")) if name or index)
        return self.error(problem, *base, *path)
