"""How much a request holds, counted before it is parsed.

Two bytes can stand for a message of a hundred, and a kilobyte of gzip for a million of them. So what is too much is
refused while it is still bytes. What is damaged is the parser's business: it is left out here, up to the end of the
message that it stands in.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TypeAlias

from google.protobuf.descriptor import Descriptor
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord

from lexilog.errors import TooLargeError
from lexilog.forward.wire import MOST_VALUES

__all__ = ["HOLDERS", "check_count", "check_json", "check_request"]

# What is not to be too many beside the records.
HOLDERS = "resources or scopes"
# By field number, what may stand in a message that a parser makes an object of.
_Table: TypeAlias = dict[int, "_Table"]

# From a request to its log records.
_RECORDS = (1, 2, 2)
# A part has two bytes at least: its key and its length.
_SMALLEST = 2
# How deep parsers of protobuf go by default.
_DEEPEST = 100
_LONGEST_VARINT = 10
# As a key it is of no known kind, and as a length it is beyond every end.
_DAMAGED = 1 << 70 | 6
_VARINT, _FIXED64, _DELIMITED, _GROUP, _GROUP_END, _FIXED32 = range(6)
# Fields of any kind that are walked over, for each record and for each value: more than any message has.
_FIELDS_OF_RECORD, _FIELDS_OF_VALUE = 10, 4
# Values that are walked over between two looks at the rest.
_LOOK = 1_000_000
# What may stand in a JSON text beside other texts, as many of them as are looked at at once.
_TEXT = rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"'
_TEXTS = re.compile(_TEXT, re.DOTALL)
_PIECE = re.compile(rb'(?:[^"]++|%s){1,10000}+' % _TEXT, re.DOTALL)
# What begins a value beside the first one.
_STARTS = b",[{"


def check_count(data: bytes, path: tuple[int, ...], most: int) -> None:
    """Make sure that a message does not hold too many others.

    Args:
        data: the message.
        path: the field numbers that lead to them.
        most: how many there may be, and how many of those that they stand in.

    Raises:
        TooLargeError: there are more.
    """
    if len(data) > most * _SMALLEST:
        _count_records(data, path, most)


def check_request(data: bytes, most: int) -> None:
    """Make sure that an OTLP request holds no more than may be parsed.

    Beside its records that is what stands in them, or in resources and scopes: far more than any log has.

    Args:
        data: the request.
        most: how many log records there may be, and how many resources and scopes.

    Raises:
        TooLargeError: there is more.
    """
    if len(data) <= min(most, MOST_VALUES) * _SMALLEST:
        return
    for start, end in _count_records(data, _RECORDS, most):
        _check_values(data[start:end], _RECORD, MOST_VALUES, "log record")
    _check_values(data, _REQUEST, _most_values(most), "message")


def check_json(data: bytes, most: int) -> None:
    """Make sure that a JSON text holds no more values than a request of so many records may have.

    Args:
        data: the text.
        most: how many records there may be.

    Raises:
        TooLargeError: there are more.
    """
    limit = _most_values(most)
    if _starts(data) <= limit:
        return
    values = end = 0
    while found := _PIECE.match(data, end):
        values += _starts(_TEXTS.sub(b"", found[0]))
        if values > limit:
            raise _too_much(limit, "values")
        end = found.end()


def _too_much(most: int, what: str, where: str = "message") -> TooLargeError:
    return TooLargeError(f"more than {most} {what} in one {where}, far more than logs have: send fewer records at once")


def _most_values(most: int) -> int:
    """Return how many values may stand in so many records; few of them may have as many as they like."""
    return 50 * most + 10 * MOST_VALUES


def _starts(text: bytes) -> int:
    return sum(text.count(start) for start in _STARTS)


def _count_records(data: bytes, path: tuple[int, ...], most: int) -> list[tuple[int, int]]:
    """Count the messages at the end of a path; return where those begin and end that may hold too much."""
    table: _Table = {}
    for number in reversed(path):
        table = {number: table}
    last = len(path) - 1
    left = [most] * len(path)
    found = []
    for depth, start, end in _parts(data, table, most * _FIELDS_OF_RECORD + MOST_VALUES):
        left[depth] -= 1
        if left[depth] < 0:
            raise TooLargeError.of_records(most, "records" if depth == last else HOLDERS)
        if end - start > MOST_VALUES * _SMALLEST and depth == last:
            found.append((start, end))
    return found


def _check_values(data: bytes, table: _Table, most: int, where: str) -> None:
    if len(data) <= most * _SMALLEST or _keys(data) <= most:
        return
    for count, (_, start, _) in enumerate(_parts(data, table, most * _FIELDS_OF_VALUE), 1):
        if count > most:
            raise _too_much(most, "values", where)
        # Walking takes a hundred times longer than counting bytes: it ends where the rest cannot be too much.
        if count % _LOOK == 0 and count + _keys(data[start:]) <= most:
            return


def _keys(data: bytes) -> int:
    """Return how many bytes there are that may begin a part."""
    return len(data.translate(None, _NO_KEYS))


def _parts(data: bytes, table: _Table, fields: int) -> Iterator[tuple[int, int, int]]:
    """Yield how deep each part stands that a table names, and where it begins and ends.

    Raises:
        TooLargeError: there are more fields of any kind than that.
    """
    left = fields
    outer: list[tuple[_Table, int]] = []
    position, end, groups = 0, len(data), 0
    while position < end or outer:
        if position >= end:
            position, groups = end, 0
            table, end = outer.pop()
            continue
        left -= 1
        if left < 0:
            raise _too_much(fields, "fields")
        # Nearly all numbers have one byte, and a call takes longer than the rest.
        key, start = data[position], position + 1
        if key > 127:
            key, start = _varint(data, position, end)
        kind = key & 7
        if kind != _DELIMITED:
            groups += (kind == _GROUP) - (kind == _GROUP_END)
            position = _skip(data, start, end, kind) if groups >= 0 else end
            continue
        length = data[start] if start < end else _DAMAGED
        start += 1
        if length > 127:
            length, start = _varint(data, start - 1, end)
        position = start + length
        inner = table.get(key >> 3)
        if inner is None or groups or position > end:
            continue
        yield len(outer), start, position
        if inner and length and len(outer) < _DEEPEST:
            outer.append((table, end))
            table, position, end = inner, start, position


def _varint(data: bytes, position: int, end: int) -> tuple[int, int]:
    """Return a number of two bytes or more, and where it ends."""
    if position + 1 < end and data[position + 1] < 128:
        return data[position] & 127 | data[position + 1] << 7, position + 2
    value = shift = 0
    for byte in data[position : min(position + _LONGEST_VARINT, end)]:
        position += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, position
        shift += 7
    return _DAMAGED, end


def _skip(data: bytes, position: int, end: int, kind: int) -> int:
    """Return where the value of a field ends that is no part."""
    if kind == _VARINT:
        return position + 1 if position < end and data[position] < 128 else _varint(data, position, end)[1]
    if kind in (_GROUP, _GROUP_END):
        return position
    return position + {_FIXED64: 8, _FIXED32: 4}.get(kind, end)


def _table_of(message: Descriptor, made: dict[str, _Table]) -> _Table:
    """Return what a message may hold that takes an object of its own, repeated texts among it."""
    if message.full_name not in made:
        table = made[message.full_name] = {}
        for field in message.fields:
            if field.message_type is not None:
                table[field.number] = _table_of(field.message_type, made)
            elif field.is_repeated:
                table[field.number] = {}
    return made[message.full_name]


def _firsts(made: dict[str, _Table]) -> set[int]:
    """Return the first bytes of keys, as they are where they are one byte."""
    return {(number << 3 | _DELIMITED) & 127 for table in made.values() for number in table}


_made: dict[str, _Table] = {}
_REQUEST = _table_of(ExportLogsServiceRequest.DESCRIPTOR, _made)
_RECORD = _table_of(LogRecord.DESCRIPTOR, _made)
# The bytes that begin no key of a part, whatever stands in it; keys may be longer than they need be.
_NO_KEYS = bytes(set(range(256)) - {first | more for first in _firsts(_made) for more in (0, 128)})
