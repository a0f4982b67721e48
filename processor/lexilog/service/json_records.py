"""What a body to ``/v1/enrich`` holds: one record, an array of them, or NDJSON.

A record is an object, as agents have it, or text, which is a line by itself. What is neither does not cost the others
their documents: it gets one of its own that says so.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, NamedTuple

from lexilog.errors import OriginError
from lexilog.model import Record
from lexilog.otlp.as_json import parse_json

__all__ = ["NDJSON", "Shape", "read_body"]

NDJSON = "application/x-ndjson"
_JSON = "application/json"
# Lines that are looked at to find out whether a body is NDJSON.
_LOOK = 1000
_BLANK = b" \t\r\n"
_EXPECTED = (
    'expected is one record such as {"message": "<30>Aug  3 10:18:44 srx1 kmd[1]: …"} or "<30>Aug  3 …", '
    "an array of records, or NDJSON, one record per line"
)


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

    text: str
    problem: str


def read_body(
    body: bytes, body_keys: Sequence[str], ids: Iterator[str], *, lines: bool
) -> tuple[Shape, Iterator[Record]]:
    """Return the shape of the answer, and the records that a body holds, in order.

    Args:
        body: the body.
        body_keys: where the line stands in a record that is a map.
        ids: an id for each record.
        lines: it is said to be NDJSON; else it is taken for that only where it is not one JSON value.

    Raises:
        OriginError: there is no record in it.
    """
    shape, items = _items(body, lines=lines)
    return shape, (_to_record(item, body_keys, next(ids)) for item in items)


def _items(body: bytes, *, lines: bool) -> tuple[Shape, Iterable[Any]]:
    if not lines:
        try:
            return _items_of(parse_json(body))
        except OriginError as error:
            if not any(isinstance(_read_line(line), dict | str) for line in islice(_lines(body), _LOOK)):
                raise OriginError(f"{error}; {_EXPECTED}") from error
    elif not body.strip(_BLANK):
        raise OriginError(f"there is no line in it; {_EXPECTED}")
    return _LINES, map(_read_line, _lines(body))


def _items_of(value: Any) -> tuple[Shape, Iterable[Any]]:
    if isinstance(value, dict | str):
        return _ONE, [value]
    if isinstance(value, list):
        try:
            return _ARRAY if value else _EMPTY_ARRAY, [_known(item) for item in value]
        except RecursionError as error:
            raise OriginError("no JSON that can be read: it is nested too deep") from error
    raise OriginError("it is neither an object nor an array nor text")


def _known(item: Any) -> Any:
    if isinstance(item, dict | str):
        return item
    return _Odd(json.dumps(item, ensure_ascii=False), "no record: neither an object nor text")


def _lines(body: bytes) -> Iterator[bytes]:
    """Yield the lines that are not blank."""
    return filter(None, (line.strip(_BLANK) for line in io.BytesIO(body)))


def _read_line(line: bytes) -> Any:
    try:
        return _known(parse_json(line))
    except OriginError as error:
        return _Odd(line.decode("utf-8", "surrogateescape"), f"no record: {error}")


def _to_record(item: Any, body_keys: Sequence[str], number: str) -> Record:
    if isinstance(item, dict):
        return Record.from_map(item, body_keys, id=number)
    if isinstance(item, _Odd):
        return Record(line=item.text, id=number, problem=item.problem)
    return Record(line=item, id=number)
