"""OTLP requests whose text is not UTF-8, as agents send them that do not check (Fluent Bit does not).

A protobuf parser refuses such a request whole, so that one odd line would hold up every other. Here the request is read
with the same messages in which each string field is a bytes field: on the wire the two are the same. A log value that
is not UTF-8 becomes a ``bytes_value``, which OTLP has for that; any other text is escaped (`lexilog.enrich.escape`).
"""

from __future__ import annotations

from functools import cache
from typing import Any

from google.protobuf.descriptor import FieldDescriptor, FileDescriptor
from google.protobuf.descriptor_pb2 import FieldDescriptorProto, FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2

from lexilog.enrich.escape import escape, is_clean

__all__ = ["repair"]

_REQUEST = "opentelemetry.proto.collector.logs.v1.ExportLogsServiceRequest"
_ANY_VALUE = "opentelemetry.proto.common.v1.AnyValue"


def repair(data: bytes) -> bytes:
    """Return the same request with all its text in UTF-8.

    Raises:
        google.protobuf.message.DecodeError: the bytes are no such request at all.
    """
    request = _lenient_request().FromString(data)
    _repair(request)
    mended: bytes = request.SerializeToString()
    return mended


@cache
def _lenient_request() -> Any:
    pool = DescriptorPool()
    _add(pool, logs_service_pb2.DESCRIPTOR, set())
    return GetMessageClass(pool.FindMessageTypeByName(_REQUEST))


def _add(pool: DescriptorPool, file: FileDescriptor, done: set[str]) -> None:
    if file.name in done:
        return
    done.add(file.name)
    for needed in file.dependencies:
        _add(pool, needed, done)
    copy = FileDescriptorProto()
    file.CopyToProto(copy)
    for message in copy.message_type:
        for field in message.field:
            if field.type == FieldDescriptorProto.TYPE_STRING:
                field.type = FieldDescriptorProto.TYPE_BYTES
    pool.Add(copy)


def _repair(message: Message) -> None:
    for field, value in message.ListFields():
        if field.type == FieldDescriptor.TYPE_MESSAGE:
            for inner in value if field.is_repeated else (value,):
                _repair(inner)
        elif field.type == FieldDescriptor.TYPE_BYTES and field.name != "bytes_value":
            _repair_text(message, field, value)


def _repair_text(message: Any, field: FieldDescriptor, value: Any) -> None:
    if field.is_repeated:
        value[:] = [_escaped(item) for item in value]
    elif message.DESCRIPTOR.full_name == _ANY_VALUE:
        if not is_clean(_decoded(value)):
            message.bytes_value = value
    elif field.name not in ("trace_id", "span_id"):
        setattr(message, field.name, _escaped(value))


def _escaped(value: bytes) -> bytes:
    return escape(_decoded(value)).encode("utf-8")


def _decoded(value: bytes) -> str:
    return value.decode("utf-8", "surrogateescape")
