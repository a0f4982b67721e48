"""The door for agents: OTLP/gRPC ``LogsService/Export``.

OK means that the relay has every record. Whatever may pass later is answered UNAVAILABLE, because agents keep what was
refused so, and drop it on most other codes.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Any

import grpc
import grpc.aio
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse

from lexilog.errors import OriginError, RelayError
from lexilog.model import Enriched
from lexilog.otlp import SERVICE
from lexilog.otlp.decode import read_records, read_request
from lexilog.pipeline import Pipeline
from lexilog.relay import Delivery, Relay
from lexilog.service.metrics import Counts
from lexilog.service.work import process_batch

__all__ = ["OtlpDoor"]

_DOOR = "otlp"
# Batches in work at once: while one waits for the next hop another is enriched. More would only take memory, because
# an agent that comes back after a while sends all that it has kept.
_AT_ONCE = 2
# Seconds that a stop waits for calls that have been called off.
_PATIENCE = 5.0

_log = logging.getLogger(__name__)


class OtlpDoor:
    """Answers Export.

    Args:
        pipeline: enriches.
        relay: takes the enriched records.
        counts: counts them.
        body_keys: where the line stands when a body is a map.
    """

    def __init__(self, pipeline: Pipeline, relay: Relay, counts: Counts, body_keys: Sequence[str]) -> None:
        self._pipeline = pipeline
        self._relay = relay
        self._counts = counts
        self._body_keys = tuple(body_keys)
        self._turns = asyncio.Semaphore(_AT_ONCE)
        self._under_way: set[asyncio.Task[Delivery]] = set()
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
        """Call off what is still under way; its senders keep their records."""
        for task in self._under_way:
            task.cancel()
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
        batch: list[Enriched] = []
        task = asyncio.create_task(self._pass_on(data, batch))
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)
        try:
            delivery = await task
        except OriginError as error:
            _log.warning("refused for good: %s", error)
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
        except asyncio.CancelledError:
            # The agent has gone, or the server stops; either way nobody waits for an answer any more.
            task.cancel()
            self._count_returned(batch)
            raise
        except RelayError as error:
            self._count_returned(batch)
            _log.warning("records stay with their sender: %s", error)
            await context.abort(grpc.StatusCode.UNAVAILABLE, str(error))
        except Exception as error:
            self._count_returned(batch)
            _log.exception("records stay with their sender")
            await context.abort(grpc.StatusCode.UNAVAILABLE, f"{type(error).__name__}: {error}")
        self._counts.add(_DOOR, batch, "rejected" if delivery.rejected else "relayed")
        answer = ExportLogsServiceResponse()
        if delivery.rejected or delivery.message:
            answer.partial_success.rejected_log_records = delivery.rejected
            answer.partial_success.error_message = delivery.message
            _log.warning("the next hop refused %d of %d records: %s", delivery.rejected, len(batch), delivery.message)
        return answer

    def _count_returned(self, batch: list[Enriched]) -> None:
        if batch:
            self._counts.add(_DOOR, batch, "returned")
        else:
            self._counts.add_unread(_DOOR)

    async def _pass_on(self, data: bytes, batch: list[Enriched]) -> Delivery:
        """Enrich the records of a request into `batch`, and hand them on when it is their turn."""
        async with self._turns:
            await self._relay.check()
            records = read_records(read_request(data), self._body_keys)
            batch += await process_batch(self._pipeline, records)
            return await self._relay.deliver(batch) if batch else Delivery()
