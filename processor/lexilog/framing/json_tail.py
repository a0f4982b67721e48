r"""The JSON object that ends a log text, read strictly where it can be, and forgivingly where it cannot.

What happens to such objects on their way: they are printed over several lines and with no-break spaces, as Blue Cedar's
help page "Gateway log contents" shows them; quotes are typographic; line ends arrive as ``#012`` (rsyslog) or ``\n``
(others); control characters stand in strings; and any number of characters is missing at the end.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import msgspec

__all__ = ["QUOTES", "JsonTail", "find_object", "read_json_tail"]

# How deep objects and arrays may be nested, and how many leaves and tokens are read: more is no log record's.
_DEPTH = 64
_LEAVES = 4096
_TOKENS = 4 * _LEAVES
# How many steps of a path make a name, and how much of each it shows: names of a hostile object must not outgrow it.
_STEPS = 4
_KEY = 64

# The double quotes that may stand around a string.
QUOTES = '"\u201c\u201d\u201e\u201f'
# What may stand between two tokens: commas and colons, blanks of any kind (a lone byte A0 is the no-break space of
# Latin-1), and line ends as collectors write them.
_BETWEEN = r"\s\0\ufeff\u200b\udca0,:"
_WRITTEN = r"#01[125]|#302#240"
_SEPARATOR = rf"(?:[{_BETWEEN}]|{_WRITTEN}|\\[nrt])*+"
_SEPARATORS = re.compile(_SEPARATOR)
_OBJECT = re.compile(rf"\{{(?={_SEPARATOR}(?:[{QUOTES}}}]|\Z))")
_PLAIN = re.compile(r'"((?:[^"\\]|\\.)*+)"', re.DOTALL)
# A string that a typographic quote opens ends at the next double quote of any kind.
_TYPOGRAPHIC = re.compile(rf"[{QUOTES}]((?:[^{QUOTES}\\]|\\.)*+)[{QUOTES}]", re.DOTALL)
# Numbers, true, false and null, and whatever else has no quotes.
_BARE = re.compile(rf"(?:(?!{_WRITTEN})[^{_BETWEEN}{{}}\[\]{QUOTES}\\])++")
_WORDS = ("true", "false", "null")
_SURROGATE = re.compile("[\ud800-\udfff]")

_Path = tuple[str | int, ...]

_decode = msgspec.json.Decoder(float_hook=str).decode


class JsonTail(NamedTuple):
    """What an object says.

    Attributes:
        values: the text of each leaf by its key; of leaves with the same key the second and any further one by the
            last steps of its dotted path. Numbers are as written, null is left out, the plain items of an array are
            joined by ", ".
        truncated: the object is cut off, or goes on in a way that cannot be read; what is whole is kept.
        end: the position after the object; the position where it should begin if no object stands there.
    """

    values: dict[str, str]
    truncated: bool
    end: int


def find_object(text: str, position: int = 0) -> int | None:
    """Return where the first object of a text begins: at a brace with a string, its end or nothing after it."""
    found = _OBJECT.search(text, position)
    return found.start() if found else None


def read_json_tail(text: str, position: int) -> JsonTail:
    """Read the JSON object that begins at a position of a text. No text makes it raise."""
    if not text.startswith("{", position):
        return JsonTail({}, False, position)
    try:
        leaves = _Leaves()
        for path, value in _walk((), _decode(text[position:].strip())):
            leaves.add(path, value)
        return JsonTail(leaves.values, False, len(text))
    except (ValueError, RecursionError, _BoundError):
        return _Reader(text).read(position)


class _BoundError(Exception):
    """An object is deeper or larger than a log record's can be."""


class _Leaves:
    """Gives each leaf its name."""

    def __init__(self) -> None:
        self.values: dict[str, str] = {}

    def add(self, path: _Path, text: str) -> None:
        if len(self.values) == _LEAVES:
            raise _BoundError
        name = next(key for key in reversed(path) if isinstance(key, str))
        if name in self.values:
            name = ".".join(str(key)[:_KEY] for key in path[-_STEPS:])
        if name in self.values:
            # Two leaves with the same last steps, or one at the top after a deeper one with its name.
            name = f"{name}.{len(self.values)}"
        self.values[name] = text


def _walk(path: _Path, value: Any) -> Iterator[tuple[_Path, str]]:
    """Yield the leaves of an object with their paths; those of an array as one, after those of the objects in it."""
    if len(path) >= _DEPTH:
        raise _BoundError
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _walk((*path, key), inner)
    elif isinstance(value, list):
        plain = []
        for number, item in enumerate(value):
            if isinstance(item, dict | list):
                yield from _walk((*path, number), item)
            elif item is not None:
                plain.append(_text(item))
        if plain:
            yield path, ", ".join(plain)
    elif value is not None:
        yield path, _text(value)


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


class _Level:
    """An object or an array that is being read."""

    def __init__(self, *, is_array: bool) -> None:
        self.is_array = is_array
        # The key whose value comes next; None where a key comes next.
        self.key: str | None = None
        self.items = 0
        self.plain: list[str] = []

    @property
    def takes_value(self) -> bool:
        """Whether a value may come next."""
        return self.is_array or self.key is not None

    def done(self) -> None:
        """Go on to the next key or item."""
        self.key = None
        self.items += 1


class _Reader:
    """Reads an object token by token. Commas and colons may be missing; what is no token ends it."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.leaves = _Leaves()
        self.levels = [_Level(is_array=False)]

    def read(self, position: int) -> JsonTail:
        """Read the object that begins at a position."""
        begin, position = position, self.skip(position + 1)
        if position < len(self.text) and self.text[position] not in QUOTES + "}":
            return JsonTail({}, False, begin)
        for _ in range(_TOKENS):
            after = self.token(position)
            if after is None:
                break
            if not self.levels:
                return JsonTail(self.leaves.values, False, after)
            position = self.skip(after)
        return JsonTail(self.leaves.values, True, position)

    def skip(self, position: int) -> int:
        found = _SEPARATORS.match(self.text, position)
        return found.end() if found else position

    def token(self, position: int) -> int | None:
        """Read one token; return the position after it, or None where none stands that is whole and in its place."""
        character = self.text[position : position + 1]
        if not character:
            return None
        try:
            if character in "{[":
                return self.open(position)
            if character in "}]":
                return self.close(position)
            return self.string(position) if character in QUOTES else self.bare(position)
        except _BoundError:
            return None

    def open(self, position: int) -> int | None:
        if not self.levels[-1].takes_value:
            return None
        if len(self.levels) == _DEPTH:
            raise _BoundError
        self.levels.append(_Level(is_array=self.text[position] == "["))
        return position + 1

    def close(self, position: int) -> int | None:
        if self.levels[-1].is_array != (self.text[position] == "]"):
            return None
        level = self.levels.pop()
        if level.plain:
            self.leaves.add(self.path(), ", ".join(level.plain))
        if self.levels:
            self.levels[-1].done()
        return position + 1

    def string(self, position: int) -> int | None:
        pattern = _PLAIN if self.text[position] == '"' else _TYPOGRAPHIC
        found = pattern.match(self.text, position)
        if found is None:
            return None
        if self.levels[-1].takes_value:
            self.value(_unescape(found[1]))
        else:
            self.levels[-1].key = _unescape(found[1])
        return found.end()

    def bare(self, position: int) -> int | None:
        found = _BARE.match(self.text, position)
        if found is None or not self.levels[-1].takes_value:
            return None
        # At the very end it cannot be told whether a number goes on.
        if found.end() == len(self.text) and found[0] not in _WORDS:
            return None
        self.value(None if found[0] == "null" else found[0])
        return found.end()

    def value(self, text: str | None) -> None:
        level = self.levels[-1]
        if text is not None and level.is_array:
            level.plain.append(text)
        elif text is not None:
            self.leaves.add(self.path(), text)
        level.done()

    def path(self) -> _Path:
        return tuple(level.items if level.is_array else level.key or "" for level in self.levels)


def _unescape(text: str) -> str:
    """Return what a string stands for; one with an escape that JSON does not know is returned as it is."""
    if "\\" not in text:
        return text
    try:
        plain: str = json.loads(f'"{text}"', strict=False)
    except ValueError:
        return text
    # An escape must not make a lone surrogate: that would stand for a byte which was not there.
    return text if len(_SURROGATE.findall(plain)) > len(_SURROGATE.findall(text)) else plain
