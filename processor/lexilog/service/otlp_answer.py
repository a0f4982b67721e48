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

# The field's type is int64.
_MOST_REJECTED = 2**63 - 1


def answer_to(delivery: Delivery) -> ExportLogsServiceResponse:
    """Return the answer of success; records that nobody will ever take are a ``partial_success``."""
    answer = ExportLogsServiceResponse()
    rejected = delivery.unnamed + len(delivery.refused)
    if rejected or delivery.message:
        reasons = dict.fromkeys([refusal.reason for refusal in delivery.refused])
        answer.partial_success.rejected_log_records = min(rejected, _MOST_REJECTED)
        answer.partial_success.error_message = escape("; ".join([*reasons, *filter(None, [delivery.message])]))
    return answer


def status_of(error: LexilogError) -> Status:
    """Return an error as the OTLP specification asks for it: what may pass later says when, in a RetryInfo."""
    message = escape(str(error))
    if not isinstance(error, RelayError):
        return Status(code=INVALID_ARGUMENT, message=message)
    status = Status(code=UNAVAILABLE, message=message)
    seconds, rest = divmod(error.retry_after, 1)
    status.details.add().Pack(RetryInfo(retry_delay=Duration(seconds=int(seconds), nanos=int(rest * 1e9))))
    return status
