"""The door for agents: OTLP/gRPC ``LogsService/Export``.

OK means that the relays have every record. Whatever may pass later is answered UNAVAILABLE with a RetryInfo that says
when, because agents keep what was refused so, and drop it on most other codes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import grpc
import grpc.aio
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse

from lexilog.errors import OriginError, RelayError
from lexilog.otlp import SERVICE
from lexilog.otlp.decode import read_records, read_request
from lexilog.service.ids import batch_ids
from lexilog.service.intake import Intake
from lexilog.service.otlp_answer import answer_to, status_of

__all__ = ["OtlpDoor"]

_DOOR = "otlp"
# Seconds that a stop waits for calls that have been called off.
_PATIENCE = 5.0


class OtlpDoor:
    """Answers Export.

    Args:
        intake: takes the records.
        body_keys: where the line stands when a body is a map.
    """

    def __init__(self, intake: Intake, body_keys: Sequence[str]) -> None:
        self._intake = intake
        self._body_keys = tuple(body_keys)
        self._calls: set[asyncio.Task[Any]] = set()

    def handler(self) -> grpc.GenericRpcHandler:
        """Return the handler to register. It takes the raw message, so that odd text does not refuse it."""
        export: Any = grpc.unary_unary_rpc_method_handler(
            self.export,
            request_deserializer=None,
            response_serializer=ExportLogsServiceResponse.SerializeToString,
        )
        return grpc.method_handlers_generic_handler(SERVICE, {"Export": export})

    async def close(self) -> None:
        """Wait for calls that the server has called off: gRPC complains of those that outlive it."""
        if self._calls:
            await asyncio.wait(self._calls, timeout=_PATIENCE)

    async def export(
        self, data: bytes, context: grpc.aio.ServicerContext[bytes, ExportLogsServiceResponse]
    ) -> ExportLogsServiceResponse:
        """Enrich and hand on a request; see the module's text for the answers."""
        call = asyncio.current_task()
        if call:
            self._calls.add(call)
            call.add_done_callback(self._calls.discard)
        try:
            delivery = await self._intake.take(
                _DOOR, lambda: read_records(read_request(data), self._body_keys, batch_ids(data))
            )
        except OriginError as error:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, status_of(error).message)
        except RelayError as error:
            status = status_of(error)
            context.set_trailing_metadata((("grpc-status-details-bin", status.SerializeToString()),))
            await context.abort(grpc.StatusCode.UNAVAILABLE, status.message)
        return answer_to(delivery)
