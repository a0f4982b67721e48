"""A whole server in the test's own event loop: all doors on free ports, a relay that can be held up, and clients."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any
from unittest import mock

import aiohttp
import grpc.aio
import msgpack
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

from lexilog import Enriched, Pipeline
from lexilog._proto.v1 import enrich_pb2 as pb
from lexilog.relay import Delivery
from lexilog.relay.memory import MemoryRelay
from lexilog.service import knowledge
from lexilog.service.server import Server
from lexilog.service.settings import Doors, ForwardDoorSettings, GrpcDoorSettings, HttpDoorSettings, Settings

LINE = "<30>Aug  3 10:18:44 srx1 kmd[1]: KMD_VPN_DOWN_ALARM_USER: VPN v1 from 198.51.100.7 is down."
EXPORT = "/opentelemetry.proto.collector.logs.v1.LogsService/Export"
ENRICH = "/lexilog.v1.EnrichService/Enrich"
ENRICH_STREAM = "/lexilog.v1.EnrichService/EnrichStream"
HEALTH = "/grpc.health.v1.Health/Check"
REFLECTION = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"
PROTOBUF = {"Content-Type": "application/x-protobuf"}
# Seconds that anything is waited for.
PATIENCE = 20.0


class Gate(MemoryRelay):
    """A relay in memory that takes a batch when its gate is open, and until then holds it.

    Attributes:
        gate: open unless a test closes it.
        held: how many batches stand before it.
    """

    def __init__(self) -> None:
        super().__init__()
        self.gate = asyncio.Event()
        self.gate.set()
        self.held = 0

    async def deliver(self, batch: Sequence[Enriched]) -> Delivery:
        self.held += 1
        try:
            await self.gate.wait()
        finally:
            self.held -= 1
        return await super().deliver(batch)

    @property
    def lines(self) -> list[str | None]:
        return [one.record.line for one in self.records]


class House:
    """A server that is open.

    Attributes:
        server: the server.
        relay: what stands behind it.
    """

    def __init__(self, server: Server, relay: Gate) -> None:
        self.server = server
        self.relay = relay
        self.ports = server.ports

    def metric(self, name: str, **labels: str) -> float:
        """Return the value of a metric, 0 where nothing was counted."""
        return self.server.counts.metrics.registry.get_sample_value(f"lexilog_{name}", labels) or 0

    def refused(self, door: str, reason: str) -> float:
        """Return how often a door has refused something for a reason."""
        return self.metric("refused_total", door=door, reason=reason)

    async def at_rest(self) -> None:
        """Wait until no request is in flight, nothing is pending, and no connection is open."""
        await self.at_rest_of_requests()
        await until(lambda: not any(self.metric("connections", door=door) for door in self.ports))

    async def at_rest_of_requests(self) -> None:
        """Wait until no request is in flight, and nothing is pending."""
        doors = ("grpc", "http")
        await until(lambda: not any(self.metric("requests_in_flight", door=door) for door in doors))
        await until(lambda: not self.metric("pending_bytes"))
        intake: Any = self.server._intake
        assert intake._pending.used == 0

    def waiting(self) -> int:
        """Return how many requests are at work or wait for their turn."""
        intake: Any = self.server._intake
        return len(intake._under_way)


@asynccontextmanager
async def house(
    pipeline: Pipeline,
    *,
    grpc: dict[str, Any] | None = None,
    http: dict[str, Any] | None = None,
    forward: dict[str, Any] | None = None,
    **told: Any,
) -> AsyncIterator[House]:
    """Open a server with the doors that are told something.

    Args:
        pipeline: what it knows, instead of catalogues of its own.
        grpc: settings of the door.
        http: settings of the door.
        forward: settings of the door.
        **told: other settings.
    """
    here = {"listen": "127.0.0.1:0"}
    doors = Doors(
        grpc=None if grpc is None else GrpcDoorSettings(**(here | grpc)),
        http=None if http is None else HttpDoorSettings(**(here | http)),
        forward=None if forward is None else ForwardDoorSettings(**(here | forward)),
    )
    relay = Gate()
    with mock.patch.object(knowledge, "make_pipeline", return_value=pipeline):
        server = Server(Settings(doors=doors, **({"reload_seconds": 0, "grace": 1} | told)), relay=relay)
    await server.start()
    try:
        yield House(server, relay)
    finally:
        relay.gate.set()
        await server.stop()


async def until(is_so: Callable[[], Any]) -> None:
    """Wait until something is so.

    Raises:
        TimeoutError: it never was.
    """
    async with asyncio.timeout(PATIENCE):
        while not is_so():
            await asyncio.sleep(0.01)


@asynccontextmanager
async def coming_from(host: str, port: int) -> AsyncIterator[int]:
    """Yield a port whose connections reach another one from a loopback address: gRPC's client cannot choose its own."""
    tasks: set[asyncio.Task[None]] = set()

    async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task
        tasks.add(task)
        there = await asyncio.open_connection("127.0.0.1", port, local_addr=(host, 0))
        try:
            await asyncio.gather(_pump(reader, there[1]), _pump(there[0], writer))
        except asyncio.CancelledError:
            return
        finally:
            writer.transport.abort()
            there[1].transport.abort()

    server = await asyncio.start_server(pass_on, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()
    except ConnectionError:
        pass
    writer.transport.abort()


def channel(port: int, credentials: Any = None, **options: Any) -> grpc.aio.Channel:
    """Return a gRPC channel with a connection of its own."""
    told = [
        ("grpc.use_local_subchannel_pool", 1),
        ("grpc.max_send_message_length", -1),
        ("grpc.enable_retries", 0),
        *((f"grpc.{name}", value) for name, value in options.items()),
    ]
    if credentials is not None:
        return grpc.aio.secure_channel(f"localhost:{port}", credentials, options=told)
    return grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=told)


async def call(
    to: grpc.aio.Channel, method: str, data: bytes = b"", metadata: Sequence[tuple[str, str]] = ()
) -> grpc.aio.AioRpcError | bytes:
    """Return the answer to a unary call, or the error."""
    try:
        answer: bytes = await to.unary_unary(method)(data, metadata=tuple(metadata), timeout=PATIENCE)
    except grpc.aio.AioRpcError as error:
        return error
    return answer


async def stream(
    to: grpc.aio.Channel, method: str, *messages: bytes, metadata: Sequence[tuple[str, str]] = ()
) -> grpc.aio.AioRpcError | list[bytes]:
    """Return the answers to a call of streams, or the error."""
    try:
        return [
            one async for one in to.stream_stream(method)(iter(messages), metadata=tuple(metadata), timeout=PATIENCE)
        ]
    except grpc.aio.AioRpcError as error:
        return error


def export_of(*lines: str) -> bytes:
    """Return an OTLP request."""
    request = ExportLogsServiceRequest()
    scope = request.resource_logs.add().scope_logs.add()
    for line in lines:
        scope.log_records.add().body.string_value = line
    return request.SerializeToString()


def enrich_of(*lines: str) -> bytes:
    """Return a request of EnrichService."""
    return pb.EnrichRequest(records=[pb.Record(line=line.encode()) for line in lines]).SerializeToString()


def chunk_of(chunk: str | None, *lines: str, **options: Any) -> bytes:
    """Return a Forward message, with a chunk to acknowledge or without."""
    told = options | ({} if chunk is None else {"chunk": chunk})
    packed: bytes = msgpack.packb(["vpn", [[1_700_000_000, {"log": line}] for line in lines], told])
    return packed


@asynccontextmanager
async def session(
    host: str = "127.0.0.1", context: ssl.SSLContext | bool = True
) -> AsyncIterator[aiohttp.ClientSession]:
    """Yield an HTTP client that comes from a loopback address, with a connection of its own for each request."""
    connector = aiohttp.TCPConnector(local_addr=(host, 0), force_close=True, limit=0, ssl=context)
    async with aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=PATIENCE)) as client:
        yield client


class Raw:
    """A client that says what it is told to, byte for byte."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def ask(self, data: bytes) -> bytes:
        """Send something, and return all that comes until the door closes the connection."""
        self.writer.write(data)
        return await self.rest()

    async def ask_for(self, data: bytes) -> Any:
        """Send something, and return the next msgpack value; None where the door closes the connection instead."""
        self.writer.write(data)
        return await self.answer()

    async def rest(self) -> bytes:
        """Return all that comes until the door closes the connection."""
        found = b""
        async with asyncio.timeout(PATIENCE):
            try:
                while data := await self.reader.read(1 << 16):
                    found += data
            except (ConnectionError, ssl.SSLError):
                return found
        return found

    async def answer(self) -> Any:
        """Return the next msgpack value; None where the door closes the connection instead."""
        unpacker = msgpack.Unpacker()
        async with asyncio.timeout(PATIENCE):
            try:
                while data := await self.reader.read(1 << 16):
                    unpacker.feed(data)
                    for one in unpacker:
                        return one
            except ConnectionError:
                return None
        return None


@asynccontextmanager
async def raw(port: int, host: str = "127.0.0.1", context: ssl.SSLContext | None = None) -> AsyncIterator[Raw]:
    """Yield a raw connection that comes from a loopback address."""
    name = "localhost" if context else None
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", port, local_addr=(host, 0), ssl=context, server_hostname=name
    )
    try:
        yield Raw(reader, writer)
    finally:
        writer.transport.abort()
        await asyncio.sleep(0)


def silent_socket(port: int, host: str = "127.0.0.1") -> socket.socket:
    """Return a plain socket that is connected from a loopback address."""
    return socket.create_connection(("127.0.0.1", port), PATIENCE, (host, 0))
