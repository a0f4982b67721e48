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
from google.protobuf.message import DecodeError, Message
from google.protobuf.message_factory import GetMessageClass
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

from lexilog.enrich.escape import escape, is_clean

__all__ = ["parse_request", "request_class"]

_REQUEST = "opentelemetry.proto.collector.logs.v1.ExportLogsServiceRequest"
_ANY_VALUE = "opentelemetry.proto.common.v1.AnyValue"


def parse_request(data: bytes) -> ExportLogsServiceRequest:
    """Return a request; text in it that is not UTF-8 is mended.

    Raises:
        google.protobuf.message.DecodeError: the bytes are no such request, or part of it is nested too deep.
    """
    try:
        return ExportLogsServiceRequest.FromString(data)
    except DecodeError:
        request = request_class().FromString(data)
    _repair(request)
    return ExportLogsServiceRequest.FromString(request.SerializeToString())


@cache
def request_class(opaque: frozenset[str] = frozenset()) -> Any:
    """Return the class of requests in which each string field is a bytes field.

    Args:
        opaque: message fields that are bytes fields too, as ``Message.field``; on the wire they too are the same.
    """
    pool = DescriptorPool()
    _add(pool, logs_service_pb2.DESCRIPTOR, opaque, set())
    return GetMessageClass(pool.FindMessageTypeByName(_REQUEST))


def _add(pool: DescriptorPool, file: FileDescriptor, opaque: frozenset[str], done: set[str]) -> None:
    if file.name in done:
        return
    done.add(file.name)
    for needed in file.dependencies:
        _add(pool, needed, opaque, done)
    copy = FileDescriptorProto()
    file.CopyToProto(copy)
    for message in copy.message_type:
        for field in message.field:
            if field.type == FieldDescriptorProto.TYPE_STRING or f"{message.name}.{field.name}" in opaque:
                field.type = FieldDescriptorProto.TYPE_BYTES
                field.ClearField("type_name")
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
