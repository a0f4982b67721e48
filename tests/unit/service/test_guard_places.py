"""Places on the gRPC port: what stands open without being in work takes none, and is bounded by itself."""

from __future__ import annotations

import asyncio
import gzip
import threading
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Any
from unittest import mock

import grpc.aio
import pytest
from grpc_health.v1 import health_pb2

import http2
from house import (
    ENRICH,
    ENRICH_STREAM,
    EXPORT,
    HEALTH,
    PATIENCE,
    REFLECTION,
    House,
    call,
    channel,
    coming_from,
    enrich_of,
    export_of,
    house,
    raw,
    stream,
    until,
)
from lexilog import Pipeline
from lexilog.gunzip import gunzip
from lexilog.service import work
from lexilog.service.grpc_server import GrpcServer

WATCH = "/grpc.health.v1.Health/Watch"
OTHER = "127.0.0.2"
TOKEN = "the-token-of-the-test"


def _code(answer: Any) -> grpc.StatusCode:
    code: grpc.StatusCode = answer.code() if isinstance(answer, grpc.aio.AioRpcError) else grpc.StatusCode.OK
    return code


def _door(there: House) -> GrpcServer:
    door = there.server._doors["grpc"]
    assert isinstance(door, GrpcServer)
    return door


def _guard(there: House) -> Any:
    return _door(there)._guard


@asynccontextmanager
async def _open(there: House, method: str, count: int, host: str) -> AsyncIterator[list[Any]]:
    """Have a host open streams over connections of their own, which say nothing yet."""
    share = _guard(there)._streams
    before = share.used
    async with AsyncExitStack() as stack:
        calls = []
        for _ in range(count):
            passed = await stack.enter_async_context(coming_from(host, there.ports["grpc"]))
            to = await stack.enter_async_context(channel(passed))
            calls.append(to.stream_stream(method)(timeout=PATIENCE))
        await until(lambda: share.used == before + count)
        yield calls
        for one in calls:
            one.cancel()


@asynccontextmanager
async def _nobody_enriches(there: House) -> AsyncIterator[None]:
    """Have all turns taken."""
    turns = _door(there).hall.turns
    async with AsyncExitStack() as stack:
        while turns._free:
            await stack.enter_async_context(turns.turn("the test"))
        yield


@pytest.mark.parametrize("method", [ENRICH_STREAM, REFLECTION])
def test_streams_that_say_nothing_take_no_place(pipeline: Pipeline, method: str) -> None:
    """Two hosts that keep more of them open than there are requests keep nobody from asking."""

    async def run() -> None:
        async with (
            house(pipeline, grpc={"max_requests": 2}) as there,
            _open(there, method, 4, "127.0.0.1"),
            _open(there, method, 4, OTHER),
            channel(there.ports["grpc"]) as to,
        ):
            assert there.metric("requests_in_flight", door="grpc") == 0
            assert _code(await call(to, ENRICH, enrich_of("x"))) is grpc.StatusCode.OK
            assert _code(await call(to, EXPORT, export_of("x"))) is grpc.StatusCode.OK

    asyncio.run(run())


def test_open_streams_are_bounded(pipeline: Pipeline) -> None:
    """Four times max_requests, half of them one host's: more are to come again, and those that end make room."""

    async def run() -> None:
        async with house(pipeline, grpc={"max_requests": 1}) as there:
            async with _open(there, ENRICH_STREAM, 2, "127.0.0.1"), channel(there.ports["grpc"]) as to:
                assert _code(await stream(to, ENRICH_STREAM, enrich_of("x"))) is grpc.StatusCode.UNAVAILABLE
                assert there.refused("grpc", "busy") == 1
                async with _open(there, ENRICH_STREAM, 2, OTHER):
                    pass
            await until(lambda: not _guard(there)._streams.used)
            async with channel(there.ports["grpc"]) as to:
                answers = await stream(to, ENRICH_STREAM, enrich_of("x"), enrich_of("y"))
                assert isinstance(answers, list)
                assert len(answers) == 2

    asyncio.run(run())


def test_a_message_of_a_stream_is_a_request(pipeline: Pipeline) -> None:
    """While it is in work it has a place among them; where there is none its stream is to come again."""

    async def run() -> None:
        async with house(pipeline, grpc={"max_requests": 2}) as there, AsyncExitStack() as stack:
            first, second = await stack.enter_async_context(_open(there, ENRICH_STREAM, 2, "127.0.0.1"))
            async with _nobody_enriches(there):
                await first.write(enrich_of("x"))
                await until(lambda: there.metric("requests_in_flight", door="grpc") == 1)
                await second.write(enrich_of("x"))
                assert await second.code() is grpc.StatusCode.UNAVAILABLE
                assert there.refused("grpc", "busy") == 1
            assert isinstance(await first.read(), bytes)
            await until(lambda: there.metric("requests_in_flight", door="grpc") == 0)
            await first.write(enrich_of("x"))
            assert isinstance(await first.read(), bytes)

    asyncio.run(run())


def test_an_answer_that_nobody_reads_takes_no_place(pipeline: Pipeline) -> None:
    """A client that sends and never reads would have it for ever: gRPC asks for no more until an answer is taken."""

    async def says_two() -> AsyncIterator[bytes]:
        yield enrich_of("x")
        yield enrich_of("y")

    async def run() -> None:
        async with house(pipeline, grpc={}) as there:
            guard, door = _guard(there), _door(there)
            handler = guard.handler("service", "enrich", door._enrich.methods())
            method = handler.service(mock.Mock(method="/service/EnrichStream"))
            context = mock.Mock(**{"invocation_metadata.return_value": (), "peer.return_value": "unix:x/0"})
            answers = method.stream_stream(says_two(), context)
            for _ in range(2):
                assert await anext(answers)
                assert (guard._requests.used, guard._streams.used) == (0, 1)
            assert [one async for one in answers] == []
            assert (guard._requests.used, guard._streams.used) == (0, 0)

    asyncio.run(run())


@pytest.mark.parametrize("method", [ENRICH_STREAM, REFLECTION])
def test_a_message_of_a_stream_that_cannot_be_read_is_counted(pipeline: Pipeline, method: str) -> None:
    """Half of a gzip is a request that nobody has looked at, in a stream as well."""
    half = gzip.compress(bytes(range(256)) * 4)[:100]
    door = "enrich" if method == ENRICH_STREAM else "reflection"
    labels = {"door": door, "catalog": "", "outcome": "unread", "reason": "request", "delivery": "refused"}

    async def run() -> None:
        async with house(pipeline, grpc={}) as there, channel(there.ports["grpc"]) as to:
            assert _code(await stream(to, method, half)) is grpc.StatusCode.INVALID_ARGUMENT
            assert there.metric("records_total", **labels) == 1

    asyncio.run(run())


def test_bombs_are_not_inflated_on_the_event_loop(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    """A thousand bytes become a million: nobody waits for that."""
    threads = []

    def note(data: bytes, most: int) -> bytes:
        threads.append(threading.current_thread())
        return gunzip(data, most)

    monkeypatch.setattr(work, "gunzip", note)

    async def run() -> None:
        async with house(pipeline, grpc={}) as there, channel(there.ports["grpc"]) as to:
            packed = gzip.compress(enrich_of("x" * 1_000_000))
            assert len(packed) < 4000
            assert _code(await call(to, ENRICH, packed)) is grpc.StatusCode.OK

    asyncio.run(run())
    assert len(threads) == 1
    assert threads[0] is not threading.main_thread()


@pytest.mark.parametrize("right_first", [True, False])
def test_of_two_tokens_the_first_counts(pipeline: Pipeline, right_first: bool) -> None:
    """Whoever stands in between may look at the first alone."""
    brought = [("authorization", f"Bearer {TOKEN}"), ("authorization", "Bearer some-other-token-of-16")]
    expected = grpc.StatusCode.OK if right_first else grpc.StatusCode.UNAUTHENTICATED

    async def run() -> None:
        async with house(pipeline, grpc={"tokens": (TOKEN,)}) as there, channel(there.ports["grpc"]) as to:
            metadata = brought if right_first else brought[::-1]
            assert _code(await call(to, ENRICH, enrich_of("x"), metadata)) is expected

    asyncio.run(run())


# Health.


def test_open_calls_of_health_are_bounded(pipeline: Pipeline) -> None:
    """Half of them are one host's: its next is to come again, and another's is answered; those that end make room."""

    async def run() -> None:
        told = {"tokens": (TOKEN,), "max_requests": 1}
        async with house(pipeline, grpc=told) as there, AsyncExitStack() as stack:
            share, port = _guard(there)._health, there.ports["grpc"]
            first, second, third = [await stack.enter_async_context(channel(port)) for _ in range(3)]
            watches = [to.unary_stream(WATCH)(b"", timeout=PATIENCE) for to in (first, second)]
            await until(lambda: share.used == 2)
            assert _code(await call(third, HEALTH)) is grpc.StatusCode.UNAVAILABLE
            assert there.refused("grpc", "busy") == 1
            async with coming_from(OTHER, port) as passed, channel(passed) as other:
                assert _code(await call(other, HEALTH)) is grpc.StatusCode.OK
            for watch in watches:
                watch.cancel()
            await until(lambda: not share.used)
            assert _code(await call(third, HEALTH)) is grpc.StatusCode.OK

    asyncio.run(run())


def test_a_name_for_health_is_not_inflated(pipeline: Pipeline) -> None:
    """What is short as it comes and a megabyte then is refused."""
    name = gzip.compress(health_pb2.HealthCheckRequest(service="x" * 1_000_000).SerializeToString())
    assert len(name) < 4000

    async def run() -> None:
        async with house(pipeline, grpc={}) as there, channel(there.ports["grpc"]) as to:
            for method in (HEALTH, WATCH):
                assert _code(await stream(to, method, name)) is grpc.StatusCode.RESOURCE_EXHAUSTED

    asyncio.run(run())


def test_health_keeps_no_name(pipeline: Pipeline) -> None:
    """Of a service that is not ours a watch hears so, and is over."""

    async def run() -> None:
        async with house(pipeline, grpc={}) as there, channel(there.ports["grpc"]) as to:
            for number in range(3):
                asked = health_pb2.HealthCheckRequest(service=f"no-such-{number}").SerializeToString()
                assert _code(await call(to, HEALTH, asked)) is grpc.StatusCode.NOT_FOUND
                watch = [one async for one in to.unary_stream(WATCH)(asked, timeout=PATIENCE)]
                answers = [health_pb2.HealthCheckResponse.FromString(one).status for one in watch]
                assert answers == [health_pb2.HealthCheckResponse.SERVICE_UNKNOWN]

    asyncio.run(run())


def test_a_watch_that_is_never_read_holds_nobody_up(pipeline: Pipeline) -> None:
    """Its client takes no answer (a window of 0); others are answered, hear of the end, and the server stops."""

    async def run() -> None:
        async with house(pipeline, grpc={}, grace=0) as there, raw(there.ports["grpc"]) as client:
            no_window = http2.frame(http2.SETTINGS, payload=b"\0\4\0\0\0\0")
            message = health_pb2.HealthCheckRequest().SerializeToString()
            client.writer.write(http2.PREFACE + no_window + http2.call_of(WATCH, message))
            async with channel(there.ports["grpc"]) as to:
                watch = to.unary_stream(WATCH)(message, timeout=PATIENCE)
                assert await watch.read()
                assert isinstance(await call(to, HEALTH, message), bytes)
                async with asyncio.timeout(PATIENCE):
                    await there.server.stop()

    asyncio.run(run())


def test_answers_that_nobody_takes_are_bounded(pipeline: Pipeline) -> None:
    """A client that asks and never reads (a window of 0) gets no more answers than its share of what is pending."""

    async def run() -> None:
        told = {"max_receive_bytes": 1 << 19}
        async with house(pipeline, grpc=told, max_pending_bytes=1 << 20) as there:
            async with raw(there.ports["grpc"]) as client:
                no_window = http2.frame(http2.SETTINGS, payload=b"\0\4\0\0\0\0")
                asked = enrich_of(*["x" * 60] * 200)
                client.writer.write(http2.PREFACE + no_window)
                for number in range(20):
                    client.writer.write(http2.call_of(ENRICH, asked, 2 * number + 1))
                await until(lambda: there.refused("grpc", "busy") >= 3)
                answers = _door(there)._guard._answers
                assert answers.used > 300_000
                async with channel(there.ports["grpc"]) as to:
                    assert isinstance(await call(to, HEALTH), bytes)
            await until(lambda: answers.used == 0)

    asyncio.run(run())


def test_a_server_that_has_stopped_holds_no_connection(pipeline: Pipeline) -> None:
    """One that has asked nothing, one whose answer is not taken: both hear that it is over, and none is counted."""

    async def run() -> None:
        async with house(pipeline, grpc={}, grace=0) as there:
            port = there.ports["grpc"]
            async with raw(port) as silent, raw(port) as asking:
                no_window = http2.frame(http2.SETTINGS, payload=b"\0\4\0\0\0\0")
                message = health_pb2.HealthCheckRequest().SerializeToString()
                asking.writer.write(http2.PREFACE + no_window + http2.call_of(WATCH, message))
                await until(lambda: _guard(there)._health.used == 1)
                await there.server.stop()
                assert there.metric("connections", door="grpc") == 0
                async with asyncio.timeout(PATIENCE):
                    with suppress(ConnectionError):
                        assert await silent.reader.read() == b""
                    with suppress(ConnectionError):
                        await asking.reader.read()

    asyncio.run(run())
