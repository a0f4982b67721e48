"""OTLP requests -> records."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord

from lexilog.errors import OriginError
from lexilog.model import Record
from lexilog.otlp.count import check_request
from lexilog.otlp.lenient import parse_request
from lexilog.otlp.received import OtlpOrigin, Received
from lexilog.otlp.salvage import salvage
from lexilog.otlp.values import from_any, from_pairs

__all__ = ["BODY_KEYS", "OtlpOrigin", "read_records", "read_request", "to_time"]

# Where agents put the line in a body that is a map: Fluent Bit's tail, most others, journald.
BODY_KEYS = ("log", "message", "MESSAGE")


def read_request(data: bytes, most: int | None = None) -> Iterator[Received]:
    """Return the log records of a request in order; text that is not UTF-8 is mended first.

    One that cannot be parsed costs no other: it is its bytes, and a problem.

    Args:
        data: the request.
        most: how many records it may hold, if that is bounded; they are counted before they are parsed.

    Raises:
        OriginError: the message is no such request.
        TooLargeError: it holds too much.
    """
    if most is not None:
        check_request(data, most)
    try:
        return _each(parse_request(data))
    except DecodeError:
        pass
    try:
        return salvage(data)
    except DecodeError as error:
        raise OriginError(f"the message is no OTLP ExportLogsServiceRequest: {error}") from error


def _each(request: ExportLogsServiceRequest) -> Iterator[Received]:
    for resource in request.resource_logs:
        for scope in resource.scope_logs:
            for record in scope.log_records:
                yield Received(OtlpOrigin(record, scope, resource))


def read_records(
    received: Iterable[Received], body_keys: Sequence[str] = BODY_KEYS, ids: Iterator[str] | None = None
) -> Iterator[Record]:
    """Yield a record for each log record, in order.

    Args:
        received: the log records.
        body_keys: where the line stands when a body is a map; the first that is there counts.
        ids: an id for each record, in order.
    """
    for origin, problem in received:
        record = origin.record
        rest = {
            "time": to_time(record.time_unix_nano or record.observed_time_unix_nano),
            "origin": origin,
            "id": next(ids) if ids is not None else None,
            "problem": problem,
        }
        yield _record(record, body_keys, rest)


def to_time(nanoseconds: int) -> datetime | None:
    """Return a time in UTC from nanoseconds since 1970; None for 0 and for what no calendar holds."""
    if not nanoseconds:
        return None
    seconds, rest = divmod(nanoseconds, 1_000_000_000)
    try:
        return datetime.fromtimestamp(seconds, UTC).replace(microsecond=rest // 1_000)
    except (OverflowError, ValueError, OSError):
        return None


def _record(record: LogRecord, keys: Sequence[str], rest: dict[str, Any]) -> Record:
    fields = from_pairs(record.attributes)
    kind = record.body.WhichOneof("value")
    if kind in ("string_value", "bytes_value"):
        return Record(line=from_any(record.body), fields=fields, **rest)
    if kind is None:
        return Record(line=None, fields=fields, **rest)
    body = from_any(record.body)
    if not isinstance(body, dict):
        # What Fluent Bit itself makes of such a body.
        fields.setdefault("log", body)
        return Record(line=None, fields=fields, **rest)
    fields.update(body)
    return Record.from_map(fields, [key for key in keys if key in body], **rest)
