"""``grpc.health.v1.Health``: whether each service of the gRPC port is served.

grpcio's own answers to ``Watch`` while it holds a lock, so that one client that does not read keeps all others waiting,
and the end of the server too.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from typing import Any

import grpc
from grpc_health.v1 import health_pb2

__all__ = ["DOOR", "SERVICE", "HealthDoor"]

# Its stubs do not know all of it.
pb: Any = health_pb2
SERVICE = "grpc.health.v1.Health"
DOOR = "health"


class HealthDoor:
    """Answers Check, List and Watch.

    Args:
        services: full names of the services of the port; the port as a whole is known as ``""``.
    """

    def __init__(self, services: Iterable[str]) -> None:
        self._services = frozenset(["", *services])
        self._status = pb.HealthCheckResponse.NOT_SERVING
        # Set, and put anew, at each change.
        self._changed = asyncio.Event()

    def methods(self) -> dict[str, Any]:
        """Return the methods by name."""
        read, write = pb.HealthCheckRequest.FromString, pb.HealthCheckResponse.SerializeToString
        return {
            "Check": grpc.unary_unary_rpc_method_handler(self._check, read, write),
            "List": grpc.unary_unary_rpc_method_handler(
                self._list, pb.HealthListRequest.FromString, pb.HealthListResponse.SerializeToString
            ),
            "Watch": grpc.unary_stream_rpc_method_handler(self._watch, read, write),
        }

    def set(self, *, serving: bool) -> None:
        """Say whether requests are taken; every watch hears of it."""
        self._status = pb.HealthCheckResponse.SERVING if serving else pb.HealthCheckResponse.NOT_SERVING
        self._changed.set()
        self._changed = asyncio.Event()

    async def _check(self, request: Any, context: Any) -> Any:
        if request.service not in self._services:
            await context.abort(grpc.StatusCode.NOT_FOUND)
        return pb.HealthCheckResponse(status=self._status)

    async def _list(self, _request: Any, _context: Any) -> Any:
        return pb.HealthListResponse(
            statuses={name: pb.HealthCheckResponse(status=self._status) for name in self._services}
        )

    async def _watch(self, request: Any, _context: Any) -> AsyncIterator[Any]:
        if request.service not in self._services:
            # It will not be known later either.
            yield pb.HealthCheckResponse(status=pb.HealthCheckResponse.SERVICE_UNKNOWN)
            return
        told = None
        while True:
            changed = self._changed
            if self._status != told:
                told = self._status
                yield pb.HealthCheckResponse(status=told)
            await changed.wait()
