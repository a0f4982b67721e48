"""gRPC's own server behind the door: when it ends or loses its socket the door does not; connections, and the end."""

from __future__ import annotations

import asyncio
import errno
import gc
import logging
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import grpc.aio
import pytest

from house import (
    ENRICH,
    ENRICH_STREAM,
    EXPORT,
    PATIENCE,
    House,
    call,
    channel,
    enrich_of,
    export_of,
    house,
    raw,
    until,
)
from http2 import call_of, greeting
from lexilog import Pipeline
from lexilog.service import grpc_server
from lexilog.service.grpc_server import GrpcServer

# Seconds that no test takes.
FOR_EVER = 300.0


def _door(there: House) -> GrpcServer:
    door = there.server._doors["grpc"]
    assert isinstance(door, GrpcServer)
    return door


@pytest.fixture
def quiet(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Make sure that asyncio complains of nothing."""
    yield
    gc.collect()
    assert not [record for record in caplog.records if record.name == "asyncio"]


def test_a_server_that_ends_by_itself_is_started_again(pipeline: Pipeline, caplog: pytest.LogCaptureFixture) -> None:
    """grpcio 1.85 ends on a method whose name is not UTF-8. The door lets none through, so it is said from within.

    Who was connected to it is sent away, and comes again.
    """

    async def run() -> None:
        async with house(pipeline, grpc={}) as server, channel(server.ports["grpc"]) as before:
            assert isinstance(await call(before, ENRICH, enrich_of("x")), bytes)
            door = _door(server)
            _, writer = await asyncio.open_unix_connection(str(door._path))
            writer.write(greeting() + call_of("/xx", b"").replace(b"/xx", b"/\xff\xff"))
            await until(lambda: not door._path.exists())
            writer.close()
            async with channel(server.ports["grpc"]) as client:
                assert isinstance(await call(client, ENRICH, enrich_of("x")), bytes)
            await until(lambda: before.get_state() is not grpc.ChannelConnectivity.READY)
            assert isinstance(await call(before, ENRICH, enrich_of("x")), bytes)

    with caplog.at_level(logging.ERROR):
        asyncio.run(run())
    assert "has ended by itself or lost" in caplog.text
    assert "is started again" in caplog.text


@pytest.mark.usefixtures("quiet")
@pytest.mark.parametrize("what", ["folder", "socket"])
def test_a_socket_that_is_removed(pipeline: Pipeline, what: str, caplog: pytest.LogCaptureFixture) -> None:
    """A cleaner of temporary files closes the door to nobody; what is under way is answered, and nothing is left."""

    async def run() -> list[Path]:
        async with house(pipeline, grpc={}) as there, channel(there.ports["grpc"]) as before:
            door, folders = _door(there), []
            there.relay.gate.clear()
            under_way = asyncio.create_task(call(before, EXPORT, export_of("x")))
            await until(lambda: there.relay.held)
            for _ in range(2):
                folders.append(door._path.parent)
                door._path.unlink() if what == "socket" else shutil.rmtree(door._path.parent)
                async with channel(there.ports["grpc"]) as client:
                    assert isinstance(await call(client, ENRICH, enrich_of("x")), bytes)
            there.relay.gate.set()
            assert await under_way == b""
            assert isinstance(await call(before, ENRICH, enrich_of("x")), bytes)
            return [*folders, door._path.parent]

    with caplog.at_level(logging.ERROR):
        folders = asyncio.run(run())
    assert caplog.text.count("is started again") == 2
    assert not any(folder.exists() for folder in folders)


@pytest.mark.usefixtures("quiet")
def test_a_server_that_cannot_be_reached(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A connection that cannot be passed on is counted, and the log says why; the next one has another chance."""

    async def run() -> None:
        async with house(pipeline, grpc={}) as there:
            async with raw(there.ports["grpc"]) as client:
                with mock.patch("socket.socket.bind", side_effect=OSError(errno.EMFILE, "Too many open files")):
                    assert await client.ask(greeting()) == b""
            assert there.refused("grpc", "internal") == 1
            shutil.rmtree(_door(there)._path.parent)
            with monkeypatch.context() as patch:
                patch.setattr(tempfile, "tempdir", "/no/such/folder")
                async with raw(there.ports["grpc"]) as client:
                    assert await client.ask(greeting()) == b""
            assert there.refused("grpc", "internal") == 2
            async with channel(there.ports["grpc"]) as to:
                assert isinstance(await call(to, ENRICH, enrich_of("x")), bytes)

    asyncio.run(run())
    assert "gRPC's server cannot be reached: [Errno 24] Too many open files" in caplog.text
    assert "a folder for temporary files is needed" in caplog.text


# The end.


@pytest.mark.usefixtures("quiet")
@pytest.mark.parametrize("has_ended", [False, True])
def test_who_greets_when_it_is_over(pipeline: Pipeline, has_ended: bool) -> None:
    """Is sent away; nothing is started again, and nothing is wrong."""

    async def run() -> None:
        async with (
            house(pipeline, grpc={}) as there,
            channel(there.ports["grpc"]) as to,
            raw(there.ports["grpc"]) as late,
        ):
            door = _door(there)
            there.relay.gate.clear()
            under_way = asyncio.create_task(call(to, EXPORT, export_of("x")))
            await until(lambda: there.relay.held)
            stopping = asyncio.create_task(door.stop(FOR_EVER))
            await until(lambda: not door._path.exists())
            if has_ended:
                there.relay.gate.set()
                await stopping
            assert await late.ask(greeting()) == b""
            there.relay.gate.set()
            assert await under_way == b""
            await stopping
            assert there.refused("grpc", "internal") == 0
            assert len(door._servers) == 1

    asyncio.run(run())


@pytest.mark.parametrize("who", ["says no more", "watches health"])
def test_a_stop_does_not_wait_for_who_has_nothing_under_way(pipeline: Pipeline, who: str) -> None:
    """A client need not answer that it has heard; whoever watches hears how it is."""

    async def run() -> None:
        async with (
            house(pipeline, grpc={}) as there,
            raw(there.ports["grpc"]) as client,
            channel(there.ports["grpc"]) as to,
        ):
            if who == "says no more":
                client.writer.write(greeting())
                assert await client.reader.readexactly(9)
            else:
                watch = to.unary_stream("/grpc.health.v1.Health/Watch")(b"", timeout=PATIENCE)
                assert await watch.read() == b"\x08\x01"
            async with asyncio.timeout(PATIENCE):
                await _door(there).stop(FOR_EVER)
            if who == "watches health":
                assert await watch.read() == b"\x08\x02"

    asyncio.run(run())


def test_a_stop_waits_for_what_is_under_way(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    """Until its answer is sent; a client that does not answer that it has heard makes no difference."""
    monkeypatch.setattr(grpc_server, "_LAST_WORDS", 0.0)

    async def run() -> None:
        async with (
            house(pipeline, grpc={}) as there,
            raw(there.ports["grpc"]) as client,
            channel(there.ports["grpc"]) as to,
            asyncio.timeout(PATIENCE),
        ):
            client.writer.write(greeting())
            assert await client.reader.readexactly(9)
            there.relay.gate.clear()
            under_way = asyncio.create_task(call(to, EXPORT, export_of("x")))
            stream = to.stream_stream(ENRICH_STREAM)(timeout=PATIENCE)
            await stream.write(enrich_of("x"))
            assert isinstance(await stream.read(), bytes)
            await until(lambda: there.relay.held)
            door = _door(there)
            stopping = asyncio.create_task(door.stop(FOR_EVER))
            await until(lambda: not door._path.exists())
            await stream.write(enrich_of("x"))
            assert isinstance(await stream.read(), bytes)
            await stream.done_writing()
            assert await stream.read() is grpc.aio.EOF
            assert not stopping.done()
            there.relay.gate.set()
            assert await under_way == b""
            await stopping

    asyncio.run(run())


def test_a_later_stop_may_be_shorter(pipeline: Pipeline) -> None:
    """Whoever asks a second time has no more patience: both end."""

    async def run() -> None:
        async with house(pipeline, grpc={}) as there, channel(there.ports["grpc"]) as to:
            there.relay.gate.clear()
            under_way = asyncio.create_task(call(to, EXPORT, export_of("x")))
            await until(lambda: there.relay.held)
            door = _door(there)
            first = asyncio.create_task(door.stop(FOR_EVER))
            await until(lambda: not door._path.exists())
            async with asyncio.timeout(PATIENCE):
                await door.stop(0)
                await first
                answer = await under_way
            assert isinstance(answer, grpc.aio.AioRpcError)
            assert answer.code() is grpc.StatusCode.UNAVAILABLE

    asyncio.run(run())


# What gRPC is told.


def test_connections_have_an_age(pipeline: Pipeline) -> None:
    """After it a client gets a new one, and no call of it fails."""

    async def run() -> None:
        with mock.patch.object(GrpcServer, "connect", autospec=True, side_effect=GrpcServer.connect) as connect:
            async with house(pipeline, grpc={"max_connection_age": 0.1}) as there, channel(there.ports["grpc"]) as to:

                async def several() -> None:
                    while connect.call_count < 3:
                        assert isinstance(await call(to, ENRICH, enrich_of("x")), bytes)

                async with asyncio.timeout(PATIENCE):
                    await several()

    asyncio.run(run())


def test_what_a_client_asks_beyond_its_share_waits_at_the_client(pipeline: Pipeline) -> None:
    """Of 64 requests 32 are one connection's; its 33rd call is not refused, and is answered when there is room."""

    async def run() -> None:
        async with house(pipeline, grpc={"max_requests": 64}) as there, channel(there.ports["grpc"]) as to:
            there.relay.gate.clear()
            calls = [asyncio.create_task(call(to, EXPORT, export_of(str(number)))) for number in range(33)]
            await until(lambda: there.waiting() == 32)
            there.relay.gate.set()
            assert await asyncio.gather(*calls) == [b""] * 33
            assert there.refused("grpc", "busy") == 0

    asyncio.run(run())
