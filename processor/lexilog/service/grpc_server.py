"""The gRPC port: EnrichService, OTLP logs where there is a relay, health and reflection."""

from __future__ import annotations

import socket
from collections.abc import Sequence

import grpc
import grpc.aio
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from lexilog import otlp
from lexilog.errors import SettingsError
from lexilog.pipeline import Pipeline
from lexilog.service import enrich_grpc, otlp_grpc
from lexilog.service.intake import Intake
from lexilog.service.metrics import Counts
from lexilog.service.settings import GrpcDoorSettings, read_address

__all__ = ["GrpcServer"]


class GrpcServer:
    """The doors that speak gRPC, on one port.

    Args:
        settings: address and limits.
        pipeline: enriches what is only answered.
        intake: takes what is handed on; None where there is no relay, and so no OTLP door.
        counts: counts what is only answered.
        body_keys: where the line stands when a body is a map.
    """

    def __init__(
        self,
        settings: GrpcDoorSettings,
        pipeline: Pipeline,
        intake: Intake | None,
        counts: Counts,
        body_keys: Sequence[str],
    ) -> None:
        self.port = 0
        self._settings = settings
        self._enrich = enrich_grpc.EnrichDoor(pipeline, counts)
        self._otlp = otlp_grpc.OtlpDoor(intake, body_keys) if intake else None
        self._health = health.aio.HealthServicer()
        self._services = [enrich_grpc.SERVICE] + ([otlp.SERVICE] if intake else [])
        self._server: grpc.aio.Server | None = None

    async def start(self) -> None:
        """Open the port; set `port` to the one that was bound.

        Raises:
            SettingsError: the address cannot be used.
        """
        options = [
            ("grpc.max_receive_message_length", self._settings.max_receive_bytes),
            ("grpc.max_send_message_length", -1),
            ("grpc.so_reuseport", 0),
        ]
        server = grpc.aio.server(options=options)
        server.add_generic_rpc_handlers((self._enrich.handler(),))
        if self._otlp:
            server.add_generic_rpc_handlers((self._otlp.handler(),))
        health_pb2_grpc.add_HealthServicer_to_server(self._health, server)
        reflection.enable_server_reflection([*self._services, health.SERVICE_NAME, reflection.SERVICE_NAME], server)
        try:
            _try_bind(self._settings.listen)
            self.port = server.add_insecure_port(self._settings.listen)
        except (OSError, RuntimeError, UnicodeError) as error:
            why = getattr(error, "strerror", None) or error
            raise SettingsError(f"doors.grpc.listen: {self._settings.listen}: cannot be bound: {why}") from error
        await server.start()
        self._server = server
        await self._set_health(serving=True)

    async def stop(self, grace: float) -> None:
        """Take no more requests, and give those in flight `grace` seconds."""
        if self._server:
            await self._set_health(serving=False)
            await self._server.stop(grace)
            self._server = None
            if self._otlp:
                await self._otlp.close()

    async def _set_health(self, *, serving: bool) -> None:
        status = health_pb2.HealthCheckResponse.SERVING if serving else health_pb2.HealthCheckResponse.NOT_SERVING
        for service in ("", *self._services):
            await self._health.set(service, status)


def _try_bind(listen: str) -> None:
    """Bind an address and let go of it: the system says why it cannot be had, gRPC does not.

    Raises:
        OSError: the address cannot be bound.
    """
    host, port = read_address(listen, "listen")
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    with socket.socket(family, kind, protocol) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(address)
