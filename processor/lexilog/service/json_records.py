"""What a body to ``/v1/enrich`` holds: one record, an array of them, or NDJSON.

A record is an object, as agents have it, or text, which is a line by itself. What is neither does not cost the others
their documents: it gets one of its own that says so.

A body is cut into records before any of them is read, and each is read when it is its turn, because a few bytes of JSON
can stand for fifty times as many of objects.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, NamedTuple

from lexilog.errors import OriginError, TooLargeError
from lexilog.forward.wire import MOST_VALUES
from lexilog.model import Record
from lexilog.otlp.as_json import parse_json

__all__ = ["NDJSON", "Shape", "read_body"]

NDJSON = "application/x-ndjson"
_JSON = "application/json"
# Lines that are looked at to find out whether a body is NDJSON.
_LOOK = 1000
_BLANK = b" \t\r\n"
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_EXPECTED = (
    'expected is one record such as {"message": "<30>Aug  3 10:18:44 srx1 kmd[1]: …"} or "<30>Aug  3 …", '
    "an array of records, or NDJSON, one record per line"
)
# Up to the next mark of the structure; what stands in texts is none. Nothing is looked at twice.
_UP_TO = rb'(?:[^"%s]++|"[^"\\]*+(?:\\.[^"\\]*+)*+")*+[%s]'
_NEXT_BRACKET = re.compile(_UP_TO.replace(b"%s", rb"\[\]{}"), re.DOTALL)
_NEXT_MARK = re.compile(_UP_TO.replace(b"%s", rb"\[\]{},"), re.DOTALL)
# What begins a value beside the first one.
_STARTS = b",[{"


class Shape(NamedTuple):
    """How documents are put together to an answer.

    Attributes:
        content_type: media type of the answer.
        start: what stands before the first document.
        between: what stands between two.
        end: what stands after the last one.
    """

    content_type: str
    start: bytes = b""
    between: bytes = b""
    end: bytes = b""


_ONE = Shape(_JSON)
_ARRAY = Shape(_JSON, b"[", b",", b"]")
_EMPTY_ARRAY = Shape(_JSON, end=b"[]")
_LINES = Shape(NDJSON, between=b"\n", end=b"\n")


class _Odd(NamedTuple):
    """What is no record, and why."""

    text: bytes
    problem: str


def read_body(
    body: bytes, body_keys: Sequence[str], ids: Iterator[str], most: int, *, lines: bool
) -> tuple[Shape, Iterator[Record]]:
    """Return the shape of the answer, and the records that a body holds, in order; each is read when it is asked for.

    Args:
        body: the body.
        body_keys: where the line stands in a record that is a map.
        ids: an id for each record.
        most: how many elements an array may have; lines are read one after the other, and need no bound.
        lines: it is said to be NDJSON; else it is taken for that only where it is not one JSON value.

    Raises:
        OriginError: there is no record in it.
        TooLargeError: there are too many.
    """
    shape, texts = _texts(body, most, lines=lines)
    return shape, (_to_record(text, body_keys, next(ids)) for text in texts)


def _texts(body: bytes, most: int, *, lines: bool) -> tuple[Shape, Iterable[bytes]]:
    """Return the texts that each hold one record."""
    if not lines:
        try:
            return _texts_of(body.removeprefix(_BYTE_ORDER_MARK).strip(_BLANK), most)
        except TooLargeError:
            raise
        except OriginError as error:
            if all(isinstance(_read(line), _Odd) for line in islice(_lines(body), _LOOK)):
                raise OriginError(f"{error}; {_EXPECTED}") from error
    elif not body.strip(_BLANK):
        raise OriginError(f"there is no line in it; {_EXPECTED}")
    return _LINES, _lines(body)


def _texts_of(body: bytes, most: int) -> tuple[Shape, Iterable[bytes]]:
    if body.startswith(b"["):
        count = 0
        for count, text in enumerate(_elements(body), 1):
            if count > most:
                raise TooLargeError.of_records(most, where="an array", advice="send fewer at once, or NDJSON")
            _check(text)
        return (_ARRAY if count else _EMPTY_ARRAY), _elements(body)
    _check(body)
    if not body.startswith((b"{", b'"')):
        raise OriginError("it is neither an object nor an array nor text")
    return _ONE, [body]


def _elements(array: bytes) -> Iterator[bytes]:
    """Yield the texts of an array's elements.

    Raises:
        OriginError: it does not end where the text ends.
    """
    depth, begin, end = 0, 1, 1
    while found := (_NEXT_BRACKET if depth else _NEXT_MARK).match(array, end):
        end = found.end()
        mark = array[end - 1 : end]
        if mark in b"[{":
            depth += 1
        elif depth:
            depth -= 1
        else:
            text = array[begin : end - 1]
            if mark == b"," or begin > 1 or text.strip(_BLANK):
                yield text
            begin = end
            if mark != b",":
                break
    if end != len(array) or array[-1:] != b"]" or begin != end:
        raise OriginError("no JSON: an array does not end where the text ends")


def _check(text: bytes) -> None:
    """Make sure that a text is one JSON value, as far as it is to be read.

    Raises:
        OriginError: it is not.
    """
    if not _is_too_much(text):
        try:
            parse_json(text)
        except OriginError as error:
            if not isinstance(error.__cause__, RecursionError):
                raise
        else:
            return
    if not _is_one(text.strip(_BLANK)):
        raise OriginError("no JSON: brackets are missing, or there is more than one value")


def _is_one(text: bytes) -> bool:
    """Tell whether a text begins with a bracket and ends where that one is closed."""
    depth = end = 0
    while found := _NEXT_BRACKET.match(text, end):
        end = found.end()
        depth += 1 if text[end - 1] in b"[{" else -1
        if depth == 0:
            break
    return depth == 0 and 0 < end == len(text) and text[0] in b"[{"


def _is_too_much(text: bytes) -> bool:
    """Tell whether a text has more values than a record can have."""
    if sum(text.count(start) for start in _STARTS) <= MOST_VALUES:
        return False
    values = end = 0
    while values <= MOST_VALUES and (found := _NEXT_MARK.match(text, end)):
        end = found.end()
        values += text[end - 1] in _STARTS
    return values > MOST_VALUES


def _lines(body: bytes) -> Iterator[bytes]:
    """Yield the lines that are not blank."""
    return filter(None, (line.strip(_BLANK) for line in io.BytesIO(body)))


def _read(text: bytes) -> Any:
    if _is_too_much(text):
        return _Odd(text, f"no record: more than {MOST_VALUES} values")
    try:
        value = parse_json(text)
    except OriginError as error:
        return _Odd(text, f"no record: {error}")
    return value if isinstance(value, dict | str) else _Odd(text, "no record: neither an object nor text")


def _to_record(text: bytes, body_keys: Sequence[str], number: str) -> Record:
    item = _read(text)
    if isinstance(item, dict):
        return Record.from_map(item, body_keys, id=number)
    if isinstance(item, _Odd):
        line = item.text.strip(_BLANK).decode("utf-8", "surrogateescape")
        return Record(line=line, id=number, problem=item.problem)
    return Record(line=item, id=number)
