"""The gRPC server: EnrichService, OTLP logs where there is a relay, health and reflection."""

from __future__ import annotations

import asyncio
import logging
import socket

import grpc
import grpc.aio
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from lexilog import otlp
from lexilog._proto.v1 import enrich_pb2_grpc
from lexilog.catalog.sources import load_catalogs
from lexilog.errors import SettingsError
from lexilog.pipeline import Pipeline
from lexilog.relay import Relay
from lexilog.service import enrich_grpc, otlp_grpc
from lexilog.service.metrics import Counts
from lexilog.service.settings import Settings, make_relay, read_address, read_zone

__all__ = ["Server"]

_log = logging.getLogger(__name__)


class Server:
    """One server; `start` it, and `stop` it.

    Args:
        settings: what it is told.
        pipeline: enriches; by default the shipped catalogues do.
        relay: the way out; by default the one that the settings name.

    Raises:
        SettingsError: a setting is wrong.
        CatalogError: a catalogue is damaged.
    """

    def __init__(self, settings: Settings, *, pipeline: Pipeline | None = None, relay: Relay | None = None) -> None:
        read_address(settings.listen, "listen")
        self.settings = settings
        self.counts = Counts()
        self.port = 0
        self._relay = relay or make_relay(settings)
        self._pipeline = pipeline or Pipeline(
            load_catalogs(settings.catalogs), zone=read_zone(settings.timezone), columns=settings.csv_columns
        )
        self._server: grpc.aio.Server | None = None
        self._door: otlp_grpc.OtlpDoor | None = None
        self._health = health.aio.HealthServicer()
        self._services = [enrich_grpc.SERVICE] + ([otlp.SERVICE] if self._relay else [])

    async def start(self) -> None:
        """Open the relay, then the port; set `port` to the one that was bound.

        Raises:
            SettingsError: the relay or the address cannot be used.
        """
        if self._relay:
            await self._relay.open()
        options = [
            ("grpc.max_receive_message_length", self.settings.max_receive_bytes),
            ("grpc.max_send_message_length", -1),
            ("grpc.so_reuseport", 0),
        ]
        server = grpc.aio.server(options=options)
        enrich = enrich_grpc.EnrichDoor(self._pipeline, self.counts)
        enrich_pb2_grpc.add_EnrichServiceServicer_to_server(enrich, server)  # type: ignore[no-untyped-call]
        if self._relay:
            self._door = otlp_grpc.OtlpDoor(self._pipeline, self._relay, self.counts, self.settings.body_keys)
            server.add_generic_rpc_handlers((self._door.handler(),))
        health_pb2_grpc.add_HealthServicer_to_server(self._health, server)
        reflection.enable_server_reflection([*self._services, health.SERVICE_NAME, reflection.SERVICE_NAME], server)
        try:
            _try_bind(self.settings.listen)
            self.port = server.add_insecure_port(self.settings.listen)
        except (OSError, RuntimeError) as error:
            await self._close_relay()
            why = getattr(error, "strerror", None) or error
            raise SettingsError(f"listen: {self.settings.listen}: cannot be bound: {why}") from error
        await server.start()
        self._server = server
        await self._set_health(serving=True)

    async def stop(self) -> None:
        """Take no more requests, finish those in flight within the grace, and let go of port and relay."""
        if self._server:
            await self._set_health(serving=False)
            await self._server.stop(self.settings.grace)
            self._server = None
        if self._door:
            await self._door.close()
        await self._close_relay()

    async def run(self, stopping: asyncio.Event) -> None:
        """Start, serve until `stopping` is set, and stop.

        Raises:
            SettingsError: the relay or the address cannot be used.
        """
        await self.start()
        host, _ = read_address(self.settings.listen, "listen")
        what = f"OTLP logs to {self.settings.relay}" if self.settings.relay else "EnrichService only"
        _log.info("listening on %s:%d (%s)", host, self.port, what)
        await stopping.wait()
        _log.info("stopping")
        await self.stop()
        _log.info("stopped; records: %s", self.counts.summary())

    async def _close_relay(self) -> None:
        if self._relay:
            await self._relay.close()

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
    family, kind, protocol, _, address = socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM)[0]
    with socket.socket(family, kind, protocol) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(address)
