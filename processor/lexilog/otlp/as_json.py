"""OTLP/JSON -> records.

The encoding is protobuf's JSON mapping with the deviations of the OTLP specification (section JSON Protobuf Encoding):
``traceId`` and ``spanId`` are hexadecimal, and fields with unknown names are ignored. It is read strictly here, because
`google.protobuf.json_format` leaves out what it does not understand, such as a body that is text where an object is
due, and says nothing.

One odd part costs no other: a log record that cannot be read passes as its own JSON text, with what is wrong in
`Record.problem`. So does what a resource or scope says of itself, as a record more, before the records that stand in
it.
"""

from __future__ import annotations

import json
import re
from base64 import b64decode
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from itertools import islice
from typing import Any, NamedTuple, TypeVar

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord, ResourceLogs, ScopeLogs

from lexilog.enrich.escape import escape
from lexilog.errors import OriginError, TooLargeError
from lexilog.otlp.count import HOLDERS, check_json
from lexilog.otlp.received import OtlpOrigin, Received
from lexilog.otlp.values import set_any

__all__ = ["parse_json", "read_json_request"]

_T = TypeVar("_T")

# What JSON libraries and protobuf hold in 64 bits, signed or not.
_NUMBERS = range(-(2**63), 2**64)
# No such number has more digits, sign included.
_LONGEST_NUMBER = 20
_INTEGER = re.compile(r"-?[0-9]+")
_SPACE = re.compile(r"[ \t\r\n]*")
_NO_NUMBERS = ("NaN", "Infinity", "-Infinity")
# How deep a message may be nested in a request: what parsers of protobuf refuse by default starts behind it.
_DEEPEST = 100
# Where a log record stands: request, resource, scope, record.
_RECORD_DEPTH = 3
_LONGEST_PROBLEM = 300
_EXAMPLE = '{"resourceLogs": [{"scopeLogs": [{"logRecords": [{"body": {"stringValue": "…"}}]}]}]}'
_STRING_VALUE = AnyValue.DESCRIPTOR.fields_by_name["string_value"].full_name
# How many hexadecimal digits they have.
_IDS = {"trace_id": 32, "span_id": 16}


def parse_json(data: bytes) -> Any:
    """Return the value that a text is.

    A byte that is not UTF-8 becomes a lone surrogate, control characters may stand in texts, and a number that does not
    fit into 64 bits stays the text that it was.

    Raises:
        OriginError: it is not one JSON value, or one that is nested too deep.
    """
    values = list(islice(_values(data), 2))
    if len(values) != 1:
        raise OriginError(f"no JSON: {'more than one value' if values else 'nothing is there'}")
    return values[0]


def read_json_request(data: bytes, most: int | None = None) -> Iterator[Received]:
    """Return the log records of a request in order.

    Several requests, one behind the other or in an array, are read as one: so Vector's ``opentelemetry`` sink sends
    them when it packs JSON into batches.

    Args:
        data: the request.
        most: how many records it may hold, if that is bounded; values are counted before they are parsed.

    Raises:
        OriginError: it is no such request.
        TooLargeError: it holds too much.
    """
    if most is not None:
        check_json(data, most)
    requests = (one for found in _values(data) for one in (found if isinstance(found, list) else [found]))
    resources = _at_most(most, (entry for request in requests for entry in _resources(request)), HOLDERS)
    # All are read before the first is handed on: a request that is refused is refused as a whole.
    return iter(_at_most(most, _read_resources(resources, most)))


def _at_most(most: int | None, items: Iterable[_T], *what: str) -> list[_T]:
    found = list(items if most is None else islice(items, most + 1))
    if most is not None and len(found) > most:
        raise TooLargeError.of_records(most, *what)
    return found


def _values(data: bytes) -> Iterator[Any]:
    """Yield the JSON values of a text, one behind the other."""
    text = data.decode("utf-8", "surrogateescape").removeprefix("\ufeff")
    position = _skip(text, 0)
    while position < len(text):
        try:
            value, position = _decoder.raw_decode(text, position)
        except json.JSONDecodeError as error:
            raise OriginError(f"no JSON: {error}") from error
        except RecursionError as error:
            raise OriginError("no JSON that can be read: it is nested too deep") from error
        yield value
        position = _skip(text, position)


def _skip(text: str, position: int) -> int:
    found = _SPACE.match(text, position)
    return found.end() if found else position


def _integer(text: str) -> int | str:
    value = int(text) if len(text) <= _LONGEST_NUMBER else None
    return value if value is not None and value in _NUMBERS else text


def _float(text: str) -> float | str:
    value = float(text)
    return text if value in (float("inf"), float("-inf")) else value


_decoder = json.JSONDecoder(strict=False, parse_int=_integer, parse_float=_float, parse_constant=str)


class _Unfit(Exception):  # noqa: N818 (it never leaves this module)
    """A part of a request is not what should stand there; its text says where and what."""


class _Unread(NamedTuple):
    """A record that stands for what could not be read."""

    record: LogRecord
    problem: str

    def inside(self, scope: ScopeLogs, resource: ResourceLogs) -> Received:
        return Received(OtlpOrigin(self.record, scope, resource), self.problem)


def _read_resources(entries: Iterable[Any], most: int | None) -> Iterator[Received]:
    count = 0
    for entry in entries:
        resource = ResourceLogs()
        scopes, unread = _open(resource, entry, "scopeLogs")
        count += len(scopes)
        if most is not None and count > most:
            raise TooLargeError.of_records(most, HOLDERS)
        if unread:
            yield unread.inside(ScopeLogs(), resource)
        for inner in scopes:
            scope = ScopeLogs()
            items, unread = _open(scope, inner, "logRecords")
            if unread:
                yield unread.inside(scope, resource)
            for item in items:
                record = LogRecord()
                try:
                    _fill(record, item, _RECORD_DEPTH)
                except _Unfit as error:
                    yield _as_text(item, f"log record: {error}").inside(scope, resource)
                else:
                    yield Received(OtlpOrigin(record, scope, resource))


def _resources(request: Any) -> list[Any]:
    """Return the ``resourceLogs`` of a request; an empty one has none."""
    if not isinstance(request, dict):
        raise OriginError(f"no OTLP request: {_kind(request)} where an object is due, such as {_EXAMPLE}")
    found = _member(request, "resourceLogs")
    if found is None and request.keys().isdisjoint(("resourceLogs", _field_name("resourceLogs"))) and request:
        # Fields with unknown names are to be ignored. But whoever sends traces here must not hear that all is well.
        names = escape(", ".join(list(request)[:5]))[:_LONGEST_PROBLEM]
        raise OriginError(f"no OTLP request: no resourceLogs in it, only {names}; one looks like {_EXAMPLE}")
    if found is not None and not isinstance(found, list):
        raise OriginError(f"no OTLP request: resourceLogs is {_kind(found)} where a list is due, such as {_EXAMPLE}")
    return found or []


def _member(value: dict[str, Any], name: str) -> Any:
    """Return a member by its name in JSON, or else by the field's own: senders that take that mean the same."""
    found = value.get(name)
    return value.get(_field_name(name)) if found is None else found


def _field_name(name: str) -> str:
    return re.sub("[A-Z]", lambda found: f"_{found[0].lower()}", name)


def _open(message: ResourceLogs | ScopeLogs, value: Any, inner: str) -> tuple[list[Any], _Unread | None]:
    """Fill what a resource or scope says of itself; return what stands in it, and what could not be read.

    Args:
        message: is filled, or stays empty.
        value: what it is in JSON.
        inner: the member that holds what stands in it.
    """
    what = message.DESCRIPTOR.name
    if not isinstance(value, dict):
        return [], _as_text(value, f"{what}: {_kind(value)} where an object is due")
    items = _member(value, inner)
    if items is not None and not isinstance(items, list):
        return [], _as_text(value, f"{what}: {inner}: {_kind(items)} where a list is due")
    own = {name: item for name, item in value.items() if name not in (inner, _field_name(inner))}
    try:
        _fill(message, own, _RECORD_DEPTH - 1)
    except _Unfit as error:
        message.Clear()
        return items or [], _as_text(own, f"{what}: {error}")
    return items or [], None


def _as_text(value: Any, problem: str) -> _Unread:
    """Return a log record whose body is the text of a value."""
    try:
        text = json.dumps(value, ensure_ascii=False)
    except RecursionError as error:
        raise OriginError("no JSON that can be read: it is nested too deep") from error
    record = LogRecord()
    set_any(record.body, text)
    # Of a long path its end says most.
    cut = problem if len(problem) <= _LONGEST_PROBLEM else f"…{problem[-_LONGEST_PROBLEM:]}"
    return _Unread(record, escape(cut))


def _fill(message: Any, value: Any, depth: int) -> None:
    """Set the fields of a message.

    Raises:
        _Unfit: the value cannot be the message.
    """
    if not isinstance(value, dict):
        raise _Unfit(f"{_kind(value)} where an object is due")
    if depth > _DEEPEST:
        raise _Unfit("nested too deep")
    fields = _fields(message.DESCRIPTOR)
    for name, item in value.items():
        field = fields.get(name)
        if field is None or item is None:
            continue
        try:
            if field.containing_oneof and message.WhichOneof(field.containing_oneof.name):
                raise _Unfit("a second value where there can be one")
            if field.is_repeated:
                _fill_list(getattr(message, field.name), field, item, depth)
            elif field.type == FieldDescriptor.TYPE_MESSAGE:
                inner = getattr(message, field.name)
                inner.SetInParent()
                _fill(inner, item, depth + 1)
            elif field.full_name == _STRING_VALUE and isinstance(item, str):
                set_any(message, item)
            else:
                setattr(message, field.name, _READERS.get(field.type, _read_number)(field, item))
        except (_Unfit, ValueError) as error:
            raise _Unfit(f"{name}: {error}") from None


def _fill_list(target: Any, field: FieldDescriptor, value: Any, depth: int) -> None:
    if not isinstance(value, list):
        raise _Unfit(f"{_kind(value)} where a list is due")
    for item in value:
        if field.type == FieldDescriptor.TYPE_MESSAGE:
            _fill(target.add(), item, depth + 1)
        else:
            target.append(_READERS.get(field.type, _read_number)(field, item))


@cache
def _fields(message: Descriptor) -> dict[str, FieldDescriptor]:
    return {name: field for field in message.fields for name in (field.name, field.json_name)}


def _read_text(_: FieldDescriptor, value: Any) -> str:
    if not isinstance(value, str):
        raise _Unfit(f"{_kind(value)} where text is due")
    return escape(value)


def _read_bytes(field: FieldDescriptor, value: Any) -> bytes:
    text = _read_text(field, value)
    if field.name in _IDS:
        try:
            return bytes.fromhex(text)
        except ValueError:
            raise _Unfit(f"is to be {_IDS[field.name]} hexadecimal digits") from None
    # Protobuf's JSON mapping takes the URL-safe alphabet too, and both without padding.
    plain = text.translate(_URL_SAFE).rstrip("=")
    return b64decode(plain + "=" * (-len(plain) % 4), validate=True)


def _read_bool(_: FieldDescriptor, value: Any) -> bool:
    if not isinstance(value, bool):
        raise _Unfit(f"{_kind(value)} where true or false is due")
    return value


def _read_number(_: FieldDescriptor, value: Any) -> int:
    if isinstance(value, str) and len(value) <= _LONGEST_NUMBER and _INTEGER.fullmatch(value):
        return int(value)
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if not isinstance(value, int) or isinstance(value, bool):
        raise _Unfit(f"{_kind(value)} where a whole number of at most 64 bits is due")
    return value


def _read_enum(field: FieldDescriptor, value: Any) -> int:
    # Names are not for OTLP. But what they mean is plain.
    names = field.enum_type.values_by_name if field.enum_type else {}
    return names[value].number if isinstance(value, str) and value in names else _read_number(field, value)


def _read_double(_: FieldDescriptor, value: Any) -> float:
    if isinstance(value, bool) or not (isinstance(value, int | float) or value in _NO_NUMBERS):
        raise _Unfit(f"{_kind(value)} where a number is due")
    return float(value)


_URL_SAFE = str.maketrans("-_", "+/")
# All other fields are integers of some size.
_READERS: dict[int, Callable[[FieldDescriptor, Any], object]] = {
    FieldDescriptor.TYPE_STRING: _read_text,
    FieldDescriptor.TYPE_BYTES: _read_bytes,
    FieldDescriptor.TYPE_BOOL: _read_bool,
    FieldDescriptor.TYPE_DOUBLE: _read_double,
    FieldDescriptor.TYPE_ENUM: _read_enum,
}


def _kind(value: Any) -> str:
    return next(name for kind, name in _KINDS if isinstance(value, kind))


_KINDS: tuple[tuple[type, str], ...] = (
    (dict, "an object"),
    (list, "a list"),
    (str, "text"),
    (bool, "true or false"),
    (int, "a number"),
    (float, "a number"),
    (object, "null"),
)
