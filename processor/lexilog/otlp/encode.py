"""Enriched records -> OTLP requests.

There are two record shapes:

- ``document``: the body is the ECS document, as a map. Fluent Bit makes a record's fields of it.
- ``attributes``: the body stays the line, the new fields are attributes. OpenTelemetry pipelines expect that. The
  attributes' names are ``dotted`` (``source.ip``) or ``nested`` (``source`` is a map that holds ``ip``).

In either shape everything that came with the record stays on it: time, trace context, attributes, resource, scope.
A record that no entry knows keeps body and attributes as they came, but for the note that nothing is known of it. One
that did not come by OTLP has its fields in the body, where the line stood among them or the body is the document; else
they are attributes.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Literal

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord, ResourceLogs, ScopeLogs

from lexilog.enrich.document import OURS, agent_has, document, flat_fields, put, without_ours
from lexilog.enrich.escape import escape
from lexilog.model import Enriched, Outcome, Record
from lexilog.otlp.received import OtlpOrigin, copy_but
from lexilog.otlp.values import add_pair, from_pairs, set_any

__all__ = ["AttributeStyle", "RequestBuilder", "Shape", "request_as_it_came"]

Shape = Literal["document", "attributes"]
AttributeStyle = Literal["dotted", "nested"]

# What a record that no entry knows gets all the same.
_NOTES = ("event.id", "lexilog.match.quality")
# What a record costs in a request beside its own bytes: tag and length of its field, and of the two around it.
_OVERHEAD = 16
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# Nanoseconds since then that a log record has a place for.
_TIMES = range(2**64)
# What a record builds on that did not come by OTLP.
_NO_ORIGIN = OtlpOrigin(LogRecord(), ScopeLogs(), ResourceLogs())

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
        origin = _origin(enriched)
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

    def _new_headers(self, origin: OtlpOrigin) -> list[ResourceLogs | ScopeLogs]:
        """Return resource and scope of a record, without records, as far as the request does not end in them yet."""
        resource, scope = _group(origin)
        if self._group == (resource, scope):
            return []
        headers: list[ResourceLogs | ScopeLogs] = []
        if self._group is None or self._group[0] != resource:
            headers.append(copy_but(origin.resource, ResourceLogs(), "scope_logs"))
        headers.append(copy_but(origin.scope, ScopeLogs(), "log_records"))
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

    A record that came by another protocol, or none, has its line as the body and its fields as attributes, or a map as
    the body where the line stood in it. Fields that no request can hold are left out.
    """
    origin = _origin(enriched)
    request = ExportLogsServiceRequest()
    resource = copy_but(origin.resource, request.resource_logs.add(), "scope_logs")
    scope = copy_but(origin.scope, resource.scope_logs.add(), "log_records")
    scope.log_records.append(_came(enriched))
    return request.SerializeToString()


def _origin(enriched: Enriched) -> OtlpOrigin:
    origin = enriched.record.origin
    return origin if isinstance(origin, OtlpOrigin) else _NO_ORIGIN


def _group(origin: OtlpOrigin) -> tuple[int, int]:
    return id(origin.resource), id(origin.scope)


def _size_of(headers: list[ResourceLogs | ScopeLogs]) -> int:
    return sum(header.ByteSize() + _OVERHEAD for header in headers)


def _outgoing(enriched: Enriched, shape: Shape, style: AttributeStyle) -> LogRecord:
    """Return the record as it leaves. A failure here costs the explanation, never the record."""
    try:
        return _enrich(enriched, shape, style)
    except Exception as error:  # see the docstring
        _log.exception("a record could not be written as %s and passes as it came", shape)
        return _as_it_came(enriched, f"{type(error).__name__}: {error}")


def _head(enriched: Enriched) -> LogRecord:
    """Return the record as it came, as one that may be changed; only its time where it did not come by OTLP."""
    record = LogRecord()
    record.CopyFrom(_origin(enriched).record)
    if enriched.record.time is not None and _origin(enriched) is _NO_ORIGIN:
        record.time_unix_nano = _nanoseconds(enriched.record.time)
    return record


def _came(enriched: Enriched) -> LogRecord:
    """Return the record as it came, as one that may be changed; where it did not come by OTLP it is written as such."""
    record, came = _head(enriched), enriched.record
    if _origin(enriched) is not _NO_ORIGIN:
        return record
    try:
        _write(record, came)
    except Exception as error:  # one record must not cost another
        _log.warning("the agent's fields of a record cannot be kept: %s: %s", type(error).__name__, error)
        record.ClearField("attributes")
        record.body.Clear()
        set_any(record.body, came.line)
    return record


def _write(record: LogRecord, came: Record) -> None:
    """Set body and attributes."""
    if came.line_key is not None:
        set_any(record.body, came.fields)
        return
    if came.line is not None:
        set_any(record.body, came.line)
    for name, value in came.fields.items():
        set_any(add_pair(record.attributes, name), value)


def _as_it_came(enriched: Enriched, problem: str) -> LogRecord:
    record = _came(enriched)
    notes = {"event.kind": "pipeline_error", "error.message": escape(problem)}
    if enriched.record.id is not None:
        notes["event.id"] = enriched.record.id
    _set_attributes(record, notes)
    return record


def _enrich(enriched: Enriched, shape: Shape, style: AttributeStyle) -> LogRecord:
    record = _head(enriched) if shape == "document" else _came(enriched)
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
    is_told = record.time_unix_nano and record.time_unix_nano == _nanoseconds(enriched.fields["@timestamp"])
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
    """Return a time in nanoseconds since 1970; 0, which is none, for one that OTLP has no place for."""
    since = (when if when.tzinfo else when.replace(tzinfo=UTC)) - _EPOCH
    nanoseconds = (since.days * 86_400 + since.seconds) * 1_000_000_000 + since.microseconds * 1_000
    return nanoseconds if nanoseconds in _TIMES else 0


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
        target = there[name].value if name in there else add_pair(record.attributes, name)
        target.Clear()
        set_any(target, value)


def _drop_attributes(record: LogRecord, names: Mapping[str, Any]) -> None:
    """Take away attributes under dotted names that are ours."""
    kept = [pair for pair in record.attributes if not (pair.key in names and pair.key.partition(".")[0] in OURS)]
    if len(kept) < len(record.attributes):
        copies = LogRecord(attributes=kept)
        record.ClearField("attributes")
        record.attributes.MergeFrom(copies.attributes)
