"""OTLP requests in which a part cannot be parsed, such as a map that is nested too deep.

A protobuf parser refuses such a request whole, so that one odd record would cost all its neighbours. Here only the
frame is parsed: requests, resources and scopes, in which log records and whatever else is a message are bytes. Then
each of them is parsed by itself, in a request of its own, because how deep it may be nested depends on where it stands.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from google.protobuf.message import DecodeError
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord, ResourceLogs, ScopeLogs

from lexilog.otlp.lenient import parse_request, request_class
from lexilog.otlp.received import OtlpOrigin, Received, copy_but

__all__ = ["salvage"]

_OPAQUE = frozenset({"ResourceLogs.resource", "ScopeLogs.scope", "ScopeLogs.log_records"})


def salvage(data: bytes) -> Iterator[Received]:
    """Return the records of a request in order.

    One that cannot be parsed is a record with its bytes as the body, and a problem. So is what a resource or scope says
    of itself, as a record more, before the records that stand in it.

    Raises:
        google.protobuf.message.DecodeError: not even the frame can be read.
    """
    return _each(request_class(_OPAQUE).FromString(data))


def _each(frame: Any) -> Iterator[Received]:
    for outer in frame.resource_logs:
        alone = request_class(_OPAQUE)()
        own = copy_but(outer, alone.resource_logs.add(), "scope_logs")
        resource = ResourceLogs()
        try:
            resource.CopyFrom(_parse(alone))
        except DecodeError as error:
            yield _unread(own.SerializeToString(), error, "ResourceLogs", ScopeLogs(), resource)
        for inner in outer.scope_logs:
            yield from _each_of_scope(inner, resource)


def _each_of_scope(inner: Any, resource: ResourceLogs) -> Iterator[Received]:
    alone = request_class(_OPAQUE)()
    own = copy_but(inner, alone.resource_logs.add().scope_logs.add(), "log_records")
    scope = ScopeLogs()
    try:
        scope.CopyFrom(_parse(alone).scope_logs[0])
    except DecodeError as error:
        yield _unread(own.SerializeToString(), error, "ScopeLogs", scope, resource)
    for data in inner.log_records:
        alone = request_class(_OPAQUE)()
        alone.resource_logs.add().scope_logs.add().log_records.append(data)
        try:
            record = _parse(alone).scope_logs[0].log_records[0]
        except DecodeError as error:
            yield _unread(data, error, "log record", scope, resource)
        else:
            yield Received(OtlpOrigin(record, scope, resource))


def _parse(alone: Any) -> ResourceLogs:
    return parse_request(alone.SerializeToString()).resource_logs[0]


def _unread(data: bytes, error: DecodeError, what: str, scope: ScopeLogs, resource: ResourceLogs) -> Received:
    record = LogRecord()
    record.body.bytes_value = data
    return Received(OtlpOrigin(record, scope, resource), f"{what}: it cannot be parsed: {error}")
