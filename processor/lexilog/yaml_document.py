"""YAML with a position for each value, so that an error can say file, line and column."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, Protocol, TypeVar

import msgspec
import yaml

from lexilog.errors import CatalogError, LexilogError

__all__ = ["Document", "Fail", "convert", "cut", "inside", "meant_of", "members"]

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_Keys = TypeVar("_Keys")
_UNKNOWN = re.compile(r"unknown field `([^`]*)`")
_MISSING = re.compile(r"missing required field `([^`]*)`")
_STEP = re.compile(r"\.([^.\[\]]+)|\[(\d+)\]|\[\.\.\.\]")
_PLAIN = re.compile(r"[A-Za-z0-9_.-]{1,40}")
_WRONG = re.compile(r"Expected `([^`]*)`.*, got `([^`]*)`")
# What PyYAML repeats of the text: a password may begin like an alias.
_REPEATED = re.compile(r"(?<=^found )([^']*) '.*", re.DOTALL)


class Fail(Protocol):
    """Makes an error of a problem, and of the path of the value that it is about."""

    def __call__(self, problem: str, /, *path: str | int) -> LexilogError:
        """Return the error."""
        ...


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
            problem = _REPEATED.sub(r"\1", str(error.problem))
            raise failure(path, line, column, f"is not valid YAML: {problem}") from error
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
                if not isinstance(key_node, yaml.ScalarNode):
                    raise self._at(key_node.start_mark, "a key is to be a text")
                key = str(key_node.value)
                if key in data:
                    raise self._at(key_node.start_mark, f"key '{cut(key)}' stands here a second time")
                self._marks[(*path, key)] = key_node.start_mark
                data[key] = self._walk(value_node, (*path, key))
            return data
        if isinstance(node, yaml.SequenceNode):
            return [self._walk(child, (*path, i)) for i, child in enumerate(node.value)]
        try:
            return self._construct(node)
        except (yaml.YAMLError, ValueError, LookupError, AttributeError, TypeError) as error:
            # What PyYAML raises for a tag such as !!bool that its value does not fit.
            raise self._at(node.start_mark, "value cannot be read as YAML: put a text in quotes") from error

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
        return convert(data, keys, self.error, *path, base=base)

    def places(self) -> Iterator[tuple[tuple[str | int, ...], str]]:
        """Yield the path of each value, and where it stands: file, line and column."""
        for path, mark in self._marks.items():
            yield path, f"{self.path}:{mark.line + 1}:{mark.column + 1}"

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


def convert(data: Any, keys: type[_Keys], fail: Fail, *path: str | int, base: Path | None = None) -> _Keys:
    """Return data as `keys`.

    Args:
        data: what is to be of that type.
        keys: the type.
        fail: makes an error of what is not.
        *path: where the data stands.
        base: where relative paths start that are texts.

    Raises:
        LexilogError: it is not of that type.
    """
    try:
        return msgspec.convert(data, keys, dec_hook=partial(_read_path, base or Path()))
    except msgspec.ValidationError as error:
        problem, where = _explain(str(error), keys)
        raise fail(problem, *path, *where) from error


def _explain(text: str, keys: Any) -> tuple[str, tuple[str | int, ...]]:
    """Return what a msgspec error says, and where: its text ends in `` - at `$.path[0]` ``."""
    problem, _, where = text.partition(" - at `$")
    path = tuple(name or int(index) for name, index in _STEP.findall(where.rstrip("`")) if name or index)
    wanted = _expected(msgspec.inspect.type_info(keys), path)
    if found := _UNKNOWN.search(problem):
        return _unknown(found[1], _keys(wanted)), (*path, found[1])
    if found := _MISSING.search(problem):
        return f"key '{found[1]}' is missing", path
    key = next((step for step in reversed(path) if isinstance(step, str)), "the file")
    return f"{key}: {problem}{_said(problem, wanted)}", path


def _unknown(key: str, known: Iterable[str]) -> str:
    shown = cut(key)
    lacks_blank = key.removeprefix(shown).startswith(":")
    hint = "; a blank is missing behind its colon" if lacks_blank else meant_of(key, known)
    return f"key '{shown}' is not known here{hint}"


def _read_path(base: Path, kind: type, value: Any) -> Path:
    if kind is not Path or not isinstance(value, str | Path):
        raise TypeError("a path is expected, as text")
    text = str(value)
    if not text or "\0" in text:
        raise ValueError("no path is empty, or holds a NUL")
    if "\n" in text or "\r" in text:
        raise ValueError("a path is expected, and this has several lines")
    return value if isinstance(value, Path) else base / value


def _expected(kind: Any, path: tuple[str | int, ...]) -> Any:
    """Return what a type has at a path, as `msgspec.inspect` describes it."""
    for step in path:
        kind = inside(kind, step)
    return kind


def members(kind: Any) -> tuple[Any, ...]:
    """Return the types that a type may be, without what is only said of them, as `msgspec.inspect` describes them."""
    if isinstance(kind, msgspec.inspect.Metadata):
        return members(kind.type)
    if isinstance(kind, msgspec.inspect.UnionType):
        return tuple(one for inner in kind.types for one in members(inner))
    return (kind,)


def inside(kind: Any, step: str | int) -> Any:
    """Return what a type has under a key or an index; None where it has nothing there."""
    return next((found for one in members(kind) if (found := _step(one, step)) is not None), None)


def _step(kind: Any, step: str | int) -> Any:
    if isinstance(kind, msgspec.inspect.StructType):
        return next((field.type for field in kind.fields if field.encode_name == step), None)
    if isinstance(kind, msgspec.inspect.DictType):
        return kind.value_type
    return getattr(kind, "item_type", None)


def cut(key: str) -> str:
    """Return as much of a key as may stand in an error: without a blank behind its colon, its value is a part of it."""
    found = _PLAIN.match(key)
    return found[0] if found else "..."


def meant_of(name: str, known: Iterable[str]) -> str:
    """Return which of the names that are known may be meant, as the end of a sentence."""
    there = {one.casefold(): one for one in known}
    near = difflib.get_close_matches(name.casefold(), there, n=1)
    if near:
        return f"; is '{there[near[0]]}' meant?"
    return f"; known are {', '.join(there.values())}" if there else ""


def _keys(kind: Any) -> dict[str, None]:
    return dict.fromkeys(field.encode_name for one in members(kind) for field in getattr(one, "fields", ()))


def _values(kind: Any) -> Iterable[Any]:
    return kind.cls if isinstance(kind, msgspec.inspect.EnumType) else getattr(kind, "values", ())


def _right(wanted: list[str], found: str) -> str:
    """Return what would be right in the place of what was found, both as msgspec calls them."""
    if "str" in wanted:
        return "; write a text" if found in ("array", "object", "null") else "; put it in quotes"
    if "array" in wanted:
        return "; write a list: [...]"
    if "object" in wanted:
        return "; write a map: {key: value}"
    return "; write a plain number" if found == "str" and {"int", "float"} & {*wanted} else ""


def _said(problem: str, kind: Any) -> str:
    """Return what would be right, where the problem alone does not say it."""
    values = [str(value) for one in members(kind) for value in _values(one)]
    if "enum value" in problem and values:
        return f"; it is one of {', '.join(values)}"
    if found := _WRONG.match(problem):
        return _right(found[1].split(" | "), found[2])
    if "matching regex" in problem:
        return "; small letters and digits, with _ or - between them"
    return ""
