"""YAML with a position for each value, so that an error can say file, line and column."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import yaml

from lexilog.errors import CatalogError, LexilogError

__all__ = ["Document"]

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_Keys = TypeVar("_Keys")
_UNKNOWN = re.compile(r"unknown field `([^`]*)`")
_MISSING = re.compile(r"missing required field `([^`]*)`")
_STEP = re.compile(r"\.([^.\[\]]+)|\[(\d+)\]|\[\.\.\.\]")


class Document:
    """One YAML file: its data, and where each value stands.

    Args:
        path: the file; read as UTF-8.
        text: its content, where it is not written yet.
        failure: the error that it raises, made of path, line, column and problem.

    Raises:
        LexilogError: that error; the file cannot be read, is not YAML, or names a key twice.
    """

    def __init__(
        self,
        path: Path,
        text: str | None = None,
        failure: Callable[[Path, int, int, str], LexilogError] = CatalogError,
    ) -> None:
        self.path = path
        self._failure = failure
        self._marks: dict[tuple[str | int, ...], yaml.Mark] = {}
        try:
            text = path.read_text(encoding="utf-8") if text is None else text
            root = yaml.compose(text, Loader=_Loader)
        except OSError as error:
            raise failure(path, 1, 1, f"cannot be read: {error.strerror}") from error
        except UnicodeDecodeError as error:
            raise failure(path, 1, 1, f"is not UTF-8 (byte {error.start}): save it as UTF-8") from error
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark
            line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
            raise failure(path, line, column, f"is not valid YAML: {error.problem}") from error
        except yaml.YAMLError as error:
            raise failure(path, 1, 1, f"is not valid YAML: {error}") from error
        if root is None:
            raise failure(path, 1, 1, "is empty")
        self._construct: Any = yaml.SafeLoader("").construct_object
        try:
            self.data = self._walk(root, ())
        except RecursionError as error:
            raise failure(path, 1, 1, "is nested too deep, or an alias stands for what it is part of") from error

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
        except (yaml.YAMLError, ValueError, LookupError, AttributeError, TypeError) as error:
            # What PyYAML raises for a tag such as !!bool that its value does not fit.
            raise self._at(node.start_mark, f"value cannot be read: {error}") from error

    def _at(self, mark: yaml.Mark, problem: str) -> LexilogError:
        return self._failure(self.path, mark.line + 1, mark.column + 1, problem)

    def convert(self, keys: type[_Keys], *path: str | int, base: Path | None = None) -> _Keys:
        """Return the data, or what stands at a path of it, as `keys`.

        Args:
            keys: the type.
            *path: where in the data.
            base: where relative paths start.

        Raises:
            LexilogError: it is not of that type.
        """
        data = self.data
        for step in path:
            data = data[step]
        try:
            return msgspec.convert(data, keys, dec_hook=partial(_read_path, base or Path()))
        except msgspec.ValidationError as error:
            raise self._error_of(str(error), keys, path) from error

    def line(self, *path: str | int) -> int:
        """Return the line of the value under `path`, or of its nearest parent that exists, counted from 1."""
        return self._mark(*path).line + 1

    def error(self, problem: str, *path: str | int) -> LexilogError:
        """Return an error that points at the value under `path`, or at its nearest parent that exists."""
        return self._at(self._mark(*path), problem)

    def _mark(self, *path: str | int) -> yaml.Mark:
        while path and path not in self._marks:
            path = path[:-1]
        return self._marks[path]

    def _error_of(self, text: str, keys: Any, base: tuple[str | int, ...]) -> LexilogError:
        """Return an error from the text of a msgspec error, which ends in `` - at `$.path[0]` ``."""
        problem, _, where = text.partition(" - at `$")
        path = tuple(name or int(index) for name, index in _STEP.findall(where.rstrip("`")) if name or index)
        wanted = _expected(msgspec.inspect.type_info(keys), path)
        if found := _UNKNOWN.search(problem):
            path = (*path, found[1])
            problem = f"key '{found[1]}' is not known here{_meant(found[1], wanted)}"
        elif found := _MISSING.search(problem):
            problem = f"key '{found[1]}' is missing"
        else:
            key = next((step for step in reversed(path) if isinstance(step, str)), "the file")
            problem = f"{key}: {problem}{_said(problem, wanted)}"
        return self.error(problem, *base, *path)


def _read_path(base: Path, kind: type, value: Any) -> Path:
    if kind is not Path or not isinstance(value, str):
        raise TypeError("a path is expected, as text")
    if not value or "\0" in value:
        raise ValueError("no path is empty, or holds a NUL")
    return base / value


def _expected(kind: Any, path: tuple[str | int, ...]) -> Any:
    """Return what a type has at a path, as `msgspec.inspect` describes it."""
    for step in path:
        kind = next((inner for inner in (_inside(one, step) for one in _members(kind)) if inner is not None), None)
    return kind


def _members(kind: Any) -> tuple[Any, ...]:
    return kind.types if isinstance(kind, msgspec.inspect.UnionType) else (kind,)


def _inside(kind: Any, step: str | int) -> Any:
    if isinstance(kind, msgspec.inspect.StructType):
        return next((field.type for field in kind.fields if field.encode_name == step), None)
    if isinstance(kind, msgspec.inspect.DictType):
        return kind.value_type
    return getattr(kind, "item_type", None)


def _meant(name: str, kind: Any) -> str:
    known = [field.encode_name for one in _members(kind) for field in getattr(one, "fields", ())]
    near = difflib.get_close_matches(name, known, n=1)
    return f"; is '{near[0]}' meant?" if near else f"; known are {', '.join(known)}"


def _values(kind: Any) -> Iterable[Any]:
    return kind.cls if isinstance(kind, msgspec.inspect.EnumType) else getattr(kind, "values", ())


def _said(problem: str, kind: Any) -> str:
    """Return what would be right, where the problem alone does not say it."""
    values = [str(value) for one in _members(kind) for value in _values(one)]
    if "enum value" in problem and values:
        return f"; it is one of {', '.join(values)}"
    if "Expected `str`, got" in problem:
        return "; put it in quotes"
    if "Expected `array`" in problem:
        return "; write a list: [...]"
    if "Expected `object" in problem:
        return "; write a map: {key: value}"
    if "Expected `int`, got `str`" in problem:
        return "; write a plain number"
    if "matching regex" in problem:
        return "; small letters and digits, with _ or - between them"
    return ""
