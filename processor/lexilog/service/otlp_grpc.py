"""The door for agents: OTLP/gRPC ``LogsService/Export``.

OK means that the relays have every record. Whatever may pass later is answered UNAVAILABLE with a RetryInfo that says
when, because agents keep what was refused so, and drop it on most other codes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import grpc
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse

from lexilog.model import Record
from lexilog.otlp.decode import read_records, read_request
from lexilog.service.ids import batch_ids
from lexilog.service.intake import Intake
from lexilog.service.otlp_answer import answer_to

__all__ = ["DOOR", "OtlpDoor"]

DOOR = "otlp"
# Seconds that a stop waits for calls that have been called off.
_PATIENCE = 5.0


class OtlpDoor:
    """Answers Export.

    Args:
        intake: takes the records.
        body_keys: where the line stands when a body is a map.
        max_records: how many records a request may hold.
        host_of: returns who calls.
    """

    def __init__(
        self, intake: Intake, body_keys: Sequence[str], max_records: int, host_of: Callable[[Any], str]
    ) -> None:
        self._intake = intake
        self._body_keys = tuple(body_keys)
        self._max_records = max_records
        self._host_of = host_of
        self._calls: set[asyncio.Task[Any]] = set()

    def methods(self) -> dict[str, Any]:
        """Return the methods by name. They take the raw message, so that odd text does not refuse it."""
        serialize = ExportLogsServiceResponse.SerializeToString
        return {"Export": grpc.unary_unary_rpc_method_handler(self.export, None, serialize)}

    async def close(self) -> None:
        """Wait for calls that the server has called off: gRPC complains of those that outlive it."""
        if self._calls:
            await asyncio.wait(self._calls, timeout=_PATIENCE)

    async def export(self, data: bytes, context: Any) -> ExportLogsServiceResponse:
        """Enrich and hand on a request.

        Raises:
            OriginError: it is none, or too large.
            RelayError: not every record has been confirmed.
        """
        call = asyncio.current_task()
        if call:
            self._calls.add(call)
            call.add_done_callback(self._calls.discard)

        def read() -> Iterator[Record]:
            return read_records(read_request(data, self._max_records), self._body_keys, batch_ids(data))

        return answer_to(await self._intake.take(DOOR, self._host_of(context), len(data), read))
