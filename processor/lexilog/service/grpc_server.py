"""The gRPC port: EnrichService, OTLP logs where there is a relay, health and reflection.

gRPC's server listens on a private Unix socket, which only this user can reach. Connections come in at the port
(`lexilog.service.listen`) and are passed on from there.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import suppress
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import grpc
import grpc.aio
from grpc_reflection.v1alpha import reflection, reflection_pb2_grpc

from lexilog import otlp
from lexilog.errors import LexilogError, SettingsError
from lexilog.service import enrich_grpc, health_grpc, otlp_grpc
from lexilog.service.auth import Tokens
from lexilog.service.door import Door, Hall
from lexilog.service.guard import Guard
from lexilog.service.http2 import PREFACE, Heads, Http2Error
from lexilog.service.reload import Reloadable
from lexilog.service.settings import GrpcDoorSettings

__all__ = ["GrpcServer"]

_NOT_HTTP2 = b"HTTP/1.1 426 Upgrade Required\r\nUpgrade: h2c\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
# Bytes. Of a Unix socket's 107 (unix(7)) some are for the numbers of connections.
_LONGEST_PATH = 95
# Seconds for clients to hear, once everything is answered, that it is over.
_LAST_WORDS = 0.2
# Answers may take so many times as much as requests, until their clients have taken them.
_ANSWERS = 2
_OPTIONS: list[tuple[str, Any]] = [
    ("grpc.max_send_message_length", -1),
    # Messages are inflated by the guard, and only gzip is offered: identity is bit 0, gzip bit 2.
    ("grpc.per_message_decompression", 0),
    ("grpc.compression_enabled_algorithms_bitset", 0b101),
]


_log = logging.getLogger(__name__)


class GrpcServer(Door):
    """The doors that speak gRPC, on one port.

    Args:
        settings: address and limits.
        hall: what stands behind it.

    Attributes:
        stops: it has been told to stop.

    Raises:
        SettingsError: its certificates or tokens cannot be used.
    """

    name = "grpc"
    alpn = ("h2",)
    silence = 10.0

    def __init__(self, settings: GrpcDoorSettings, hall: Hall) -> None:
        super().__init__(settings, hall)
        self._settings = settings
        self._tokens = Tokens(settings, self.name)
        self._guard = Guard(
            self._tokens,
            settings.max_requests,
            settings.max_receive_bytes,
            hall.counts,
            _ANSWERS * hall.pending.most,
            self._host_of,
        )
        self._enrich = enrich_grpc.EnrichDoor(hall, settings.max_records, self._host_of)
        self._otlp = (
            otlp_grpc.OtlpDoor(hall.intake, hall.body_keys, settings.max_records, self._host_of)
            if hall.intake
            else None
        )
        self._services = [enrich_grpc.SERVICE] + ([otlp.SERVICE] if self._otlp else [])
        self._health = health_grpc.HealthDoor(self._services)
        # The last one takes new connections; those before it have lost their sockets.
        self._servers: list[grpc.aio.Server] = []
        self._starting = asyncio.Lock()
        self.stops = False
        self._folder: TemporaryDirectory[str] | None = None
        self._numbers = count()
        self._hosts: dict[str, str] = {}

    def reloadables(self) -> Iterator[Reloadable]:
        """Yield what can be read anew."""
        yield from super().reloadables()
        yield self._tokens

    async def start(self) -> None:
        """Start gRPC's server.

        Raises:
            SettingsError: there is no folder for temporary files.
        """
        self._make_folder()
        await self._start_server()

    def _make_folder(self) -> None:
        try:
            self._folder = TemporaryDirectory(prefix="lexilog-")
        except OSError as error:
            problem = f"a folder for temporary files is needed: {error.strerror}; TMPDIR says where it is"
            raise SettingsError(f"doors.grpc: {problem}") from error
        if len(os.fsencode(self._path)) > _LONGEST_PATH:
            raise SettingsError(f"doors.grpc: {self._path} is too long for a Unix socket; TMPDIR says where it is")

    async def _start_again(self, ended: grpc.aio.Server) -> None:
        """Start gRPC's server again: no defect of its own, and no cleaner of files, must close the door for good."""
        async with self._starting:
            if self.stops or ended is not self._servers[-1]:
                return
            _log.error("grpc: gRPC's server has ended by itself or lost %s, and is started again", self._path)
            if self._folder and not self._path.parent.exists():
                self._folder.cleanup()
                self._make_folder()
            await self._start_server()

    async def _start_server(self) -> None:
        options = [
            *_OPTIONS,
            ("grpc.max_receive_message_length", self._settings.max_receive_bytes),
            # What a client wants to do beyond its share waits at the client.
            ("grpc.max_concurrent_streams", max(1, self._settings.max_requests // 2)),
        ]
        if self._settings.max_connection_age:
            # What is under way on it is finished.
            options.append(("grpc.max_connection_age_ms", int(self._settings.max_connection_age * 1000)))
        server = grpc.aio.server(options=options)
        guard = self._guard
        handlers = [guard.handler(enrich_grpc.SERVICE, enrich_grpc.DOOR, self._enrich.methods())]
        if self._otlp:
            handlers.append(guard.handler(otlp.SERVICE, otlp_grpc.DOOR, self._otlp.methods()))
        handlers.append(guard.handler(health_grpc.SERVICE, health_grpc.DOOR, self._health.methods(), free=True))
        offered: Any = _Offered()
        names = [*self._services, health_grpc.SERVICE, reflection.SERVICE_NAME]
        offer: Any = reflection_pb2_grpc.add_ServerReflectionServicer_to_server
        offer(reflection.aio.ReflectionServicer(names), offered)
        handlers.append(guard.handler(reflection.SERVICE_NAME, "reflection", offered.methods))
        server.add_generic_rpc_handlers(tuple(handlers))
        try:
            server.add_insecure_port(f"unix:{self._path}")
        except RuntimeError as error:
            problem = f"{self._path} cannot be used as a Unix socket: {error}; TMPDIR says where it is"
            raise SettingsError(f"doors.grpc: {problem}") from error
        await server.start()
        self._servers.append(server)
        self._health.set(serving=True)

    @property
    def _path(self) -> Path:
        assert self._folder is not None
        return Path(self._folder.name) / "grpc"

    def connect(self, host: str) -> asyncio.Protocol:
        """Return the protocol of a connection from a host."""
        return _Outer(self, host)

    def _host_of(self, context: Any) -> str:
        """Return who calls."""
        # gRPC writes the folder of the socket in an encoding of its own.
        return self._hosts.get(context.peer().rpartition("/")[2], "this machine")

    async def reach(self, inner: asyncio.Protocol, host: str) -> str:
        """Connect a protocol to gRPC's server; return the connection's name there.

        Raises:
            OSError: it does not listen.
        """
        # The name under which gRPC sees the connection tells whose it is.
        name = f"{next(self._numbers):x}"
        connection = await self._connect(name)
        try:
            self._hosts[name] = host
            await asyncio.get_running_loop().create_connection(lambda: inner, sock=connection)
        except BaseException:
            self.forget(name)
            connection.close()
            raise
        return name

    async def _connect(self, name: str) -> socket.socket:
        server = self._servers[-1]
        try:
            return await self._try_to_connect(name)
        except (ConnectionRefusedError, FileNotFoundError):
            await self._start_again(server)
        return await self._try_to_connect(name)

    async def _try_to_connect(self, name: str) -> socket.socket:
        if self.stops:
            raise ConnectionAbortedError("the server stops")
        connection = socket.socket(socket.AF_UNIX)
        here = self._path.with_name(name)
        try:
            connection.setblocking(False)
            connection.bind(str(here))
            await asyncio.get_running_loop().sock_connect(connection, str(self._path))
        except BaseException:
            connection.close()
            raise
        finally:
            with suppress(FileNotFoundError):
                os.unlink(here)  # noqa: PTH108 (it does not wait for a disk)
        return connection

    def forget(self, name: str) -> None:
        """Forget a connection that is closed."""
        self._hosts.pop(name, None)

    async def stop(self, grace: float) -> None:
        """Take no more requests, and give those in flight `grace` seconds."""
        async with self._starting:
            self.stops = True
        if self._servers:
            self._health.set(serving=False)
            await asyncio.gather(*(self._end(server, grace) for server in self._servers))
            if self._otlp:
                await self._otlp.close()
        if self._folder:
            self._folder.cleanup()
            self._folder = None

    async def _end(self, server: grpc.aio.Server, grace: float) -> None:
        """Stop gRPC's server; it would wait for clients that have nothing to do any more, but do not say so."""
        ending = asyncio.create_task(server.stop(grace))
        resting = asyncio.create_task(self._guard.at_rest.wait())
        await asyncio.wait((ending, resting), return_when=asyncio.FIRST_COMPLETED)
        resting.cancel()
        await server.stop(min(grace, _LAST_WORDS))
        await ending


class _Offered:
    """Takes methods in place of a server."""

    def __init__(self) -> None:
        self.methods: Mapping[str, Any] = {}

    def add_generic_rpc_handlers(self, handlers: object) -> None:
        """Take no notice: the same methods are registered by name as well."""

    def add_registered_method_handlers(self, service: str, methods: Mapping[str, Any]) -> None:
        """Take the methods of a service."""
        self.methods = methods


class _Side(asyncio.Protocol):
    """One side of a connection that is passed on: what comes in goes out at the other."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self.other: _Side | None = None

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        if self.other and self.other.transport:
            self.other.transport.write(data)

    def pause_writing(self) -> None:
        """Read no more at the other side than this one takes."""
        if self.other and self.other.transport:
            self.other.transport.pause_reading()

    def resume_writing(self) -> None:
        if self.other and self.other.transport and not self.other.transport.is_closing():
            self.other.transport.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        if self.other and self.other.transport:
            self.other.transport.close()


class _Outer(_Side):
    """A client's side: passed on when it has begun to speak HTTP/2."""

    def __init__(self, door: GrpcServer, host: str) -> None:
        super().__init__()
        self._door = door
        self._host = host
        self._begun = bytearray()
        self._heads = Heads()
        self._task: asyncio.Task[None] | None = None
        self._name = ""

    @property
    def has_begun(self) -> bool:
        """Whether the client has greeted."""
        return self._task is not None

    def data_received(self, data: bytes) -> None:
        if self.other:
            self._send_on(data)
            return
        self._begun += data
        assert self.transport is not None
        if not PREFACE.startswith(self._begun[: len(PREFACE)]):
            self._door.listener.refuse(self._host, "not_http2", "it does not speak HTTP/2, which gRPC needs")
            self.transport.write(_NOT_HTTP2)
            self.transport.close()
        elif len(self._begun) >= len(PREFACE):
            self.transport.pause_reading()
            self._task = asyncio.create_task(self._pass_on())

    def _send_on(self, data: bytes) -> None:
        assert self.transport is not None
        if self.transport.is_closing():
            return
        try:
            self._heads.feed(data)
        except Http2Error as error:
            self._door.listener.refuse(self._host, "not_grpc", f"what it says is no gRPC: {error}")
            self.transport.abort()
            return
        super().data_received(data)

    async def _pass_on(self) -> None:
        assert self.transport is not None
        inner = _Side()
        inner.other = self
        try:
            self._name = await self._door.reach(inner, self._host)
        except (OSError, LexilogError) as error:
            if not self._door.stops:
                self._door.listener.refuse(self._host, "internal", f"gRPC's server cannot be reached: {error}")
            self.transport.abort()
            return
        self.other = inner
        if self.transport.is_closing():
            self._door.forget(self._name)
            assert inner.transport is not None
            inner.transport.close()
            return
        self._send_on(bytes(self._begun))
        self._begun.clear()
        self.transport.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        self._door.forget(self._name)
        super().connection_lost(exc)
