"""Hands records to the next hop over OTLP/gRPC."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import grpc
import grpc.aio
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest, ExportLogsServiceResponse

from lexilog.errors import RelayError
from lexilog.model import Enriched
from lexilog.otlp import SERVICE
from lexilog.otlp.encode import AttributeStyle, RequestBuilder, Shape
from lexilog.relay.base import Delivery, Relay

__all__ = ["OtlpRelay"]

# Records between two looks at what else there is to do.
_SLICE = 100
_OPTIONS = [
    ("grpc.max_send_message_length", -1),
    ("grpc.max_receive_message_length", -1),
    # Come back soon after the next hop does; gRPC's own limit is two minutes.
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.min_reconnect_backoff_ms", 1_000),
    ("grpc.max_reconnect_backoff_ms", 5_000),
]


class OtlpRelay(Relay):
    """Exports to an OTLP/gRPC receiver.

    A batch is split into requests that receivers take by default, and counts as taken when each was answered OK. The
    receiver's own ``partial_success`` is passed on to the sender: those records it will never take.

    Args:
        target: host and port.
        shape: record shape, see `lexilog.otlp.encode`.
        style: how attributes are named in the shape ``attributes``.
        max_bytes: size of a request, in bytes.
        timeout: how long the next hop may take for a request, in seconds.
    """

    def __init__(
        self,
        target: str,
        *,
        shape: Shape,
        style: AttributeStyle,
        max_bytes: int,
        timeout: float,
    ) -> None:
        self._target = target
        self._shape: Shape = shape
        self._style: AttributeStyle = style
        self._max_bytes = max_bytes
        self._timeout = timeout
        self._channel: grpc.aio.Channel | None = None
        self._export: Any = None

    async def open(self) -> None:
        """Make the channel; it connects when it is first used, and again whenever it is lost."""
        self._channel = grpc.aio.insecure_channel(self._target, options=_OPTIONS)
        self._export = self._channel.unary_unary(
            f"/{SERVICE}/Export",
            request_serializer=ExportLogsServiceRequest.SerializeToString,
            response_deserializer=ExportLogsServiceResponse.FromString,
        )

    async def check(self) -> None:
        """Look at the channel: after a failed connection it waits for a while before it tries again."""
        if self._channel and self._channel.get_state(True) is grpc.ChannelConnectivity.TRANSIENT_FAILURE:
            raise RelayError(f"relay otlp://{self._target}: cannot be reached")

    async def deliver(self, batch: Sequence[Enriched]) -> Delivery:
        """Export the batch, request by request, and wait for each answer."""
        builder = RequestBuilder(shape=self._shape, style=self._style, max_bytes=self._max_bytes)
        answers = []
        for number, enriched in enumerate(batch):
            if full := builder.add(enriched):
                answers.append(await self._send(*full))
            if number % _SLICE == 0:
                await asyncio.sleep(0)
        if rest := builder.rest():
            answers.append(await self._send(*rest))
        partial = [answer.partial_success for answer in answers]
        messages = dict.fromkeys(part.error_message for part in partial if part.error_message)
        return Delivery(sum(part.rejected_log_records for part in partial), "; ".join(messages))

    async def _send(self, request: ExportLogsServiceRequest, count: int) -> ExportLogsServiceResponse:
        try:
            answer: ExportLogsServiceResponse = await self._export(request, timeout=self._timeout)
        except grpc.aio.AioRpcError as error:
            what = f"{error.code().name}: {error.details()}"
            raise RelayError(f"relay otlp://{self._target}: {count} records not taken: {what}") from error
        return answer

    async def close(self) -> None:
        """Close the channel."""
        if self._channel is not None:
            await self._channel.close()
            self._channel = None
