"""Hands records to the next hop over OTLP."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import (
    ExportLogsPartialSuccess,
    ExportLogsServiceRequest,
    ExportLogsServiceResponse,
)

from lexilog.model import Enriched
from lexilog.otlp.encode import RequestBuilder
from lexilog.relay._otlp_grpc import GrpcTransport
from lexilog.relay._otlp_http import HttpTransport
from lexilog.relay.base import SLICE, Delivery, Refusal, Relay, isolate
from lexilog.relay.settings import OtlpSettings

__all__ = ["OtlpRelay", "Transport"]


class Transport(Protocol):
    """How a request gets to the receiver; stages and errors are those of a relay."""

    async def open(self) -> None:
        """Get ready."""

    async def check(self) -> None:
        """Tell whether a request has a chance."""

    async def send(self, request: ExportLogsServiceRequest) -> ExportLogsServiceResponse:
        """Send a request and return the answer.

        Raises:
            Refused: the receiver will never take it.
            RelayError: the receiver has not taken it.
        """

    async def close(self) -> None:
        """Let go of what `open` took."""


class OtlpRelay(Relay):
    """Exports to an OTLP receiver, over gRPC or HTTP.

    A batch is split into requests that receivers take by default, and counts as taken when each was answered OK. Where
    the receiver refuses a request (gRPC: INVALID_ARGUMENT, or that it is too large; HTTP: 400, 413) halves of it are
    sent until the records to blame are found: those are refused, the others arrive. Records that the receiver says it
    has rejected within a request that it took (``partial_success``) cannot be told apart, so they are counted.

    Args:
        name: name of the relay.
        settings: where to, and how.
    """

    def __init__(self, name: str, settings: OtlpSettings) -> None:
        self._settings = settings
        self._transport: Transport = (GrpcTransport if settings.protocol == "grpc" else HttpTransport)(name, settings)

    async def open(self) -> None:
        """Get the transport ready; it connects when it is first used."""
        await self._transport.open()

    async def check(self) -> None:
        """Tell whether the receiver is known to be away, as a gRPC channel knows."""
        await self._transport.check()

    async def deliver(self, batch: Sequence[Enriched]) -> Delivery:
        """Export the batch, request by request, and wait for each answer."""
        refused: list[Refusal] = []
        partial: list[ExportLogsPartialSuccess] = []

        async def export(request: ExportLogsServiceRequest, _records: Sequence[Enriched]) -> None:
            partial.append((await self._transport.send(request)).partial_success)

        async def hand_on(request: ExportLogsServiceRequest, records: Sequence[Enriched]) -> None:
            async def send(part: Sequence[Enriched]) -> None:
                if part is records:
                    await export(request, records)
                else:
                    await self._pack(part, export)

            refused.extend(Refusal(*one) for one in await isolate(records, send))

        await self._pack(batch, hand_on)
        messages = dict.fromkeys(part.error_message for part in partial if part.error_message)
        unnamed = sum(max(0, part.rejected_log_records) for part in partial)
        return Delivery(tuple(refused), unnamed=unnamed, message="; ".join(messages))

    async def _pack(
        self,
        batch: Sequence[Enriched],
        then: Callable[[ExportLogsServiceRequest, Sequence[Enriched]], Awaitable[None]],
    ) -> None:
        """Put records into requests, and do something with each request, and its records, as soon as it is full."""
        told = self._settings
        builder = RequestBuilder(shape=told.shape, style=told.attributes, max_bytes=told.max_bytes)
        records: list[Enriched] = []
        for number, enriched in enumerate(batch):
            if full := builder.add(enriched):
                await then(full[0], records)
                records = []
            records.append(enriched)
            if number % SLICE == 0:
                await asyncio.sleep(0)
        if rest := builder.rest():
            await then(rest[0], records)

    async def close(self) -> None:
        """Close the transport."""
        await self._transport.close()
