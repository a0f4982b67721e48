"""Enriched records -> OTLP requests.

There are two record shapes:

- ``document``: the body is the ECS document, as a map. Fluent Bit makes a record's fields of it.
- ``attributes``: the body stays the line, the new fields are attributes. OpenTelemetry pipelines expect that. The
  attributes' names are ``dotted`` (``source.ip``) or ``nested`` (``source`` is a map that holds ``ip``).

In either shape everything that came with the record stays on it: time, trace context, attributes, resource, scope.
A record that no entry knows keeps body and attributes as they came, but for the note that nothing is known of it.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Literal

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord, ResourceLogs, ScopeLogs

from lexilog.enrich.document import OURS, agent_has, document, flat_fields, put, without_ours
from lexilog.enrich.escape import escape, is_clean
from lexilog.model import Enriched, Outcome
from lexilog.otlp.decode import OtlpOrigin
from lexilog.otlp.values import from_pairs, set_any

__all__ = ["AttributeStyle", "RequestBuilder", "Shape", "request_as_it_came"]

Shape = Literal["document", "attributes"]
AttributeStyle = Literal["dotted", "nested"]

# What a record that no entry knows gets all the same.
_NOTES = ("event.id", "lexilog.match.quality")
# What a record costs in a request beside its own bytes: tag and length of its field, and of the two around it.
_OVERHEAD = 16

_log = logging.getLogger(__name__)


class RequestBuilder:
    """Packs records into requests, in order.

    Args:
        shape: record shape.
        style: names of attributes in the shape ``attributes``.
        max_bytes: size of a request, in bytes; a record that is larger than that by itself travels alone.
    """

    def __init__(self, *, shape: Shape, style: AttributeStyle, max_bytes: int) -> None:
        self._shape: Shape = shape
        self._style: AttributeStyle = style
        self._max_bytes = max_bytes
        self._start()

    def _start(self) -> None:
        self._request = ExportLogsServiceRequest()
        self._size = self._count = 0
        self._group: tuple[int, int] | None = None

    def add(self, enriched: Enriched) -> tuple[ExportLogsServiceRequest, int] | None:
        """Add a record; return the request before it and its number of records, if the record did not fit in."""
        record = _outgoing(enriched, self._shape, self._style)
        size = record.ByteSize() + _OVERHEAD
        if size - _OVERHEAD > self._max_bytes:
            record = _as_it_came(enriched, f"too large to be enriched: {size - _OVERHEAD} bytes")
            size = record.ByteSize() + _OVERHEAD
        origin = enriched.record.origin if isinstance(enriched.record.origin, OtlpOrigin) else None
        headers = self._new_headers(origin)
        full = None
        if self._count and self._size + size + _size_of(headers) > self._max_bytes:
            full = self.rest()
            headers = self._new_headers(origin)
        for header in headers:
            if isinstance(header, ResourceLogs):
                self._request.resource_logs.append(header)
            else:
                self._request.resource_logs[-1].scope_logs.append(header)
        self._request.resource_logs[-1].scope_logs[-1].log_records.append(record)
        self._group = _group(origin)
        self._size += size + _size_of(headers)
        self._count += 1
        return full

    def _new_headers(self, origin: OtlpOrigin | None) -> list[ResourceLogs | ScopeLogs]:
        """Return resource and scope of a record, without records, as far as the request does not end in them yet."""
        resource, scope = _group(origin)
        if self._group == (resource, scope):
            return []
        headers: list[ResourceLogs | ScopeLogs] = []
        if self._group is None or self._group[0] != resource:
            headers.append(_copy_but(origin.resource if origin else None, ResourceLogs(), "scope_logs"))
        headers.append(_copy_but(origin.scope if origin else None, ScopeLogs(), "log_records"))
        return headers

    def rest(self) -> tuple[ExportLogsServiceRequest, int] | None:
        """Return the request that is not full yet, and start anew; None where there is no record in it."""
        if not self._count:
            return None
        done = self._request, self._count
        self._start()
        return done


def request_as_it_came(enriched: Enriched) -> bytes:
    """Return a request with one record as it was received, with its resource and scope, and nothing of ours on it.

    A record that came by no protocol has its line as the body and its fields as attributes, or a map as the body where
    the line stood in it. Fields that no request can hold, such as a map nested a hundred deep, are left out.
    """
    origin = enriched.record.origin
    if isinstance(origin, OtlpOrigin):
        return _request_of(origin.record, origin)
    try:
        data = _request_of(_written(enriched))
        # A parser goes less deep than one can write.
        ExportLogsServiceRequest.FromString(data)
    except Exception as error:  # one record must not cost another
        _log.warning("the agent's fields of a record cannot be kept: %s: %s", type(error).__name__, error)
        return _request_of(_came(enriched))
    return data


def _request_of(record: LogRecord, origin: OtlpOrigin | None = None) -> bytes:
    request = ExportLogsServiceRequest()
    resource = _copy_but(origin.resource if origin else None, request.resource_logs.add(), "scope_logs")
    scope = _copy_but(origin.scope if origin else None, resource.scope_logs.add(), "log_records")
    scope.log_records.append(record)
    return request.SerializeToString()


def _group(origin: OtlpOrigin | None) -> tuple[int, int]:
    return (id(origin.resource), id(origin.scope)) if origin else (0, 0)


def _size_of(headers: list[ResourceLogs | ScopeLogs]) -> int:
    return sum(header.ByteSize() + _OVERHEAD for header in headers)


def _copy_but(source: ResourceLogs | ScopeLogs | None, target: Any, left_out: str) -> Any:
    """Copy every field of a message but one."""
    for field, value in source.ListFields() if source is not None else ():
        if field.name == left_out:
            continue
        if field.message_type is not None:
            getattr(target, field.name).CopyFrom(value)
        else:
            setattr(target, field.name, value)
    return target


def _outgoing(enriched: Enriched, shape: Shape, style: AttributeStyle) -> LogRecord:
    """Return the record as it leaves. A failure here costs the explanation, never the record."""
    try:
        return _enrich(_came(enriched), enriched, shape, style)
    except Exception as error:  # see the docstring
        _log.exception("a record could not be written as %s and passes as it came", shape)
        return _as_it_came(enriched, f"{type(error).__name__}: {error}")


def _came(enriched: Enriched) -> LogRecord:
    """Return the record as it came, as one that may be changed."""
    record, line = LogRecord(), enriched.record.line
    if isinstance(enriched.record.origin, OtlpOrigin):
        record.CopyFrom(enriched.record.origin.record)
    elif line is not None and is_clean(line):
        record.body.string_value = line
    elif line is not None:
        record.body.bytes_value = _received(line)
    return record


def _received(text: str) -> bytes:
    """Return the bytes that a text was; a surrogate that stands for no byte can only come from a JSON escape."""
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogatepass")


def _written(enriched: Enriched) -> LogRecord:
    """Return a record that came by no protocol, with its time and its fields."""
    came = enriched.record
    record = _came(enriched)
    if came.time is not None:
        record.time_unix_nano = _nanoseconds(came.time)
    if came.line_key is not None:
        _set_received(record.body, came.fields)
    else:
        for name, value in came.fields.items():
            _set_received(record.attributes.add(key=escape(str(name))).value, value)
    return record


def _set_received(target: AnyValue, value: Any) -> None:
    """Set a value to what was received; text that is not UTF-8 is kept as its bytes."""
    if isinstance(value, str) and not is_clean(value):
        target.bytes_value = _received(value)
    elif isinstance(value, bytes):
        target.bytes_value = value
    elif isinstance(value, Mapping):
        target.kvlist_value.SetInParent()
        for name, item in value.items():
            _set_received(target.kvlist_value.values.add(key=escape(str(name))).value, item)
    elif isinstance(value, list | tuple):
        target.array_value.SetInParent()
        for item in value:
            _set_received(target.array_value.values.add(), item)
    else:
        set_any(target, value)


def _as_it_came(enriched: Enriched, problem: str) -> LogRecord:
    record = _came(enriched)
    notes = {"event.kind": "pipeline_error", "error.message": escape(problem)}
    if enriched.record.id is not None:
        notes["event.id"] = enriched.record.id
    _set_attributes(record, notes)
    return record


def _enrich(record: LogRecord, enriched: Enriched, shape: Shape, style: AttributeStyle) -> LogRecord:
    if enriched.match is not None:
        _add_header(record, enriched)
    if shape == "document":
        body = document(enriched)
        record.body.Clear()
        set_any(record.body, body)
        return record
    if enriched.outcome is Outcome.UNKNOWN:
        _note(record, {name: enriched.fields[name] for name in _NOTES if name in enriched.fields}, style)
        return record
    is_told = record.time_unix_nano == _nanoseconds(enriched.fields["@timestamp"])
    if style == "nested":
        tops = {name.partition(".")[0] for name in enriched.fields} | {"labels"}
        nested = document(enriched)
        if is_told:
            del nested["@timestamp"]
        _drop_attributes(record, enriched.fields)
        _set_attributes(record, {name: value for name, value in nested.items() if name in tops})
    else:
        fields = flat_fields(enriched)
        if is_told:
            del fields["@timestamp"]
        agent = without_ours(from_pairs(record.attributes), fields)
        _set_attributes(record, {name: agent[name] for name in OURS if name in agent})
        _set_attributes(record, dict(_dotted(fields, agent)))
    return record


def _note(record: LogRecord, notes: Mapping[str, Any], style: AttributeStyle) -> None:
    """Set fields of ours, and leave everything else as the agent has set it."""
    if style == "dotted":
        _set_attributes(record, notes)
        return
    nested = without_ours(from_pairs(record.attributes), notes)
    for name, value in notes.items():
        put(nested, name, value)
    tops = {name.partition(".")[0] for name in notes} | {"labels"}
    _set_attributes(record, {name: value for name, value in nested.items() if name in tops})


def _add_header(record: LogRecord, enriched: Enriched) -> None:
    """Fill time and severity where the agent has set none."""
    level = enriched.match.level if enriched.match else None
    when = enriched.fields.get("@timestamp")
    if not record.time_unix_nano and isinstance(when, datetime):
        record.time_unix_nano = _nanoseconds(when)
    if level is not None and not record.severity_number:
        record.severity_number = level.otel  # type: ignore[assignment]  # an enum is its number
        record.severity_text = record.severity_text or level.word


def _nanoseconds(when: datetime) -> int:
    since = when - datetime(1970, 1, 1, tzinfo=UTC)
    return max(0, (since.days * 86_400 + since.seconds) * 1_000_000_000 + since.microseconds * 1_000)


def _dotted(fields: Mapping[str, Any], agent: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield the fields that the agent has not set, each under a dotted name."""
    for name, value in fields.items():
        if agent_has(agent, name):
            continue
        if isinstance(value, Mapping):
            for key, item in value.items():
                yield f"{name}.{key}", item
        else:
            yield name, value


def _set_attributes(record: LogRecord, values: Mapping[str, Any]) -> None:
    """Set attributes; one that is there under the same name is replaced."""
    there = {pair.key: pair for pair in record.attributes}
    for name, value in values.items():
        pair = there.get(name)
        if pair is None:
            pair = record.attributes.add()
            pair.key = name
        pair.value.Clear()
        set_any(pair.value, value)


def _drop_attributes(record: LogRecord, names: Mapping[str, Any]) -> None:
    """Take away attributes under dotted names that are ours."""
    kept = [pair for pair in record.attributes if not (pair.key in names and pair.key.partition(".")[0] in OURS)]
    if len(kept) < len(record.attributes):
        copies = LogRecord(attributes=kept)
        record.ClearField("attributes")
        record.attributes.MergeFrom(copies.attributes)
