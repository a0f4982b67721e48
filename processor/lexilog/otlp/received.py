"""Log records as a request holds them."""

from __future__ import annotations

from typing import Any, NamedTuple

from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord, ResourceLogs, ScopeLogs

__all__ = ["OtlpOrigin", "Received", "copy_but"]


class OtlpOrigin(NamedTuple):
    """The messages that a record came in; its relay builds on them, so that nothing that came is lost."""

    record: LogRecord
    scope: ScopeLogs
    resource: ResourceLogs


class Received(NamedTuple):
    """A log record that was received.

    Attributes:
        origin: the messages that it came in.
        problem: what could not be read of it; its body is then what it came as.
    """

    origin: OtlpOrigin
    problem: str | None = None


def copy_but(source: Any, target: Any, left_out: str) -> Any:
    """Copy every field of a message but one; return the target."""
    for field, value in source.ListFields():
        if field.name == left_out:
            continue
        if field.message_type is not None:
            getattr(target, field.name).CopyFrom(value)
        else:
            setattr(target, field.name, value)
    return target
