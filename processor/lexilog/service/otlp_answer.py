"""What an OTLP sender hears, over gRPC and over HTTP alike."""

from __future__ import annotations

from google.protobuf.duration_pb2 import Duration
from google.rpc.code_pb2 import INVALID_ARGUMENT, UNAVAILABLE
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse

from lexilog.enrich.escape import escape
from lexilog.errors import LexilogError, RelayError
from lexilog.relay import Delivery

__all__ = ["answer_to", "status_of"]

# Bytes of a text. gRPC carries an error twice, encoded, in headers of 8 KiB in all; a client that gets more takes the
# call for failed for good.
_LONGEST = 1_000
_MOST_REASONS = 3
# The field's type is int64.
_MOST_REJECTED = 2**63 - 1


def answer_to(delivery: Delivery) -> ExportLogsServiceResponse:
    """Return the answer of success; records that nobody will ever take are a ``partial_success``."""
    answer = ExportLogsServiceResponse()
    rejected = delivery.unnamed + len(delivery.refused)
    if rejected or delivery.message:
        reasons = list(dict.fromkeys([refusal.reason for refusal in delivery.refused] + [delivery.message]))
        reasons = list(filter(None, reasons))
        told = _cut("; ".join(reasons[:_MOST_REASONS]))
        if len(reasons) > _MOST_REASONS:
            told += f"; and {len(reasons) - _MOST_REASONS} reasons more"
        answer.partial_success.rejected_log_records = min(rejected, _MOST_REJECTED)
        answer.partial_success.error_message = told
    return answer


def status_of(error: LexilogError) -> Status:
    """Return an error as the OTLP specification asks for it: what may pass later says when, in a RetryInfo."""
    message = _cut(str(error))
    if not isinstance(error, RelayError):
        return Status(code=INVALID_ARGUMENT, message=message)
    status = Status(code=UNAVAILABLE, message=message)
    seconds, rest = divmod(error.retry_after, 1)
    status.details.add().Pack(RetryInfo(retry_delay=Duration(seconds=int(seconds), nanos=int(rest * 1e9))))
    return status


def _cut(text: str) -> str:
    data = escape(text).encode()
    return data.decode() if len(data) <= _LONGEST else data[:_LONGEST].decode(errors="ignore") + "…"
