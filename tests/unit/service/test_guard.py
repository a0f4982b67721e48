"""Who may ask, how often at once, and for what, on the doors that answer: over real sockets."""

from __future__ import annotations

import asyncio
import gzip
import logging
import os
import socket
from contextlib import AsyncExitStack
from typing import Any

import grpc.aio
import pytest
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2

from house import (
    ENRICH,
    ENRICH_STREAM,
    EXPORT,
    HEALTH,
    PATIENCE,
    PROTOBUF,
    REFLECTION,
    call,
    channel,
    enrich_of,
    export_of,
    house,
    raw,
    session,
    stream,
    until,
)
from lexilog import Pipeline
from lexilog.service import guard

TOKEN = "the-token-of-the-test"
WRONG = "some-other-token-of-16"
OTHER = "127.0.0.2"
LIST = reflection_pb2.ServerReflectionRequest(list_services="").SerializeToString()
# What a client may bring, as gRPC and HTTP have it; which of it is right.
BROUGHT = {
    "bearer": ({"authorization": f"Bearer {TOKEN}"}, True),
    "any case": ({"authorization": f"bEARER {TOKEN}"}, True),
    "api key": ({"x-api-key": TOKEN}, True),
    "one of two": ({"authorization": f"Bearer {WRONG}", "x-api-key": TOKEN}, True),
    "nothing": ({}, False),
    "wrong": ({"authorization": f"Bearer {WRONG}"}, False),
    "empty": ({"authorization": "Bearer "}, False),
    "too short": ({"authorization": f"Bearer {TOKEN[:-1]}"}, False),
    "too long": ({"authorization": f"Bearer {TOKEN}x"}, False),
    "bare": ({"authorization": TOKEN}, False),
    "basic": ({"authorization": f"Basic {TOKEN}"}, False),
    "another header": ({"x-auth-token": TOKEN}, False),
    "a scheme in the key": ({"x-api-key": f"Bearer {TOKEN}"}, False),
}
METHODS = {
    ENRICH: (enrich_of("x"),),
    ENRICH_STREAM: (enrich_of("x"), enrich_of("x")),
    EXPORT: (export_of("x"),),
    REFLECTION: (LIST,),
}


def _code(answer: Any) -> grpc.StatusCode:
    code: grpc.StatusCode = answer.code() if isinstance(answer, grpc.aio.AioRpcError) else grpc.StatusCode.OK
    return code


@pytest.mark.parametrize("brought", BROUGHT)
def test_tokens_of_grpc(pipeline: Pipeline, brought: str, caplog: pytest.LogCaptureFixture) -> None:
    """Every method but health needs one; who has none is UNAUTHENTICATED and counted, and nothing is done for it."""
    headers, right = BROUGHT[brought]
    metadata = tuple(headers.items())
    expected = grpc.StatusCode.OK if right else grpc.StatusCode.UNAUTHENTICATED

    async def run() -> None:
        async with house(pipeline, grpc={"tokens": (TOKEN,)}) as there, channel(there.ports["grpc"]) as to:
            for method, messages in METHODS.items():
                # A client of grpc.aio that is still writing when it is refused may say INTERNAL of its own accord.
                sent = messages if right else ()
                assert _code(await stream(to, method, *sent, metadata=metadata)) is expected, method
            assert there.refused("grpc", "token") == (0 if right else len(METHODS))
            assert there.relay.lines == (["x"] if right else [])
            assert _code(await call(to, HEALTH, metadata=metadata)) is grpc.StatusCode.OK

    with caplog.at_level(logging.DEBUG, "lexilog"):
        asyncio.run(run())
    _holds_no_token(caplog)


@pytest.mark.parametrize("brought", BROUGHT)
@pytest.mark.parametrize("path", ["/v1/enrich", "/v1/logs", "/", "/no/such/page"])
def test_tokens_of_http(pipeline: Pipeline, brought: str, path: str, caplog: pytest.LogCaptureFixture) -> None:
    """Every page needs one, that which is not there too; who has none is told how to bring it, and counted."""
    headers, right = BROUGHT[brought]
    body = export_of("x") if path == "/v1/logs" else b'"x"'

    async def run() -> None:
        async with house(pipeline, http={"tokens": (TOKEN,)}) as there, session() as client:
            url = f"http://127.0.0.1:{there.ports['http']}{path}"
            kind = PROTOBUF if path == "/v1/logs" else {}
            async with client.post(url, data=body, headers=headers | kind) as answer:
                said = await answer.read()
            if right:
                assert answer.status == (200 if path.startswith("/v1/") else 404)
            else:
                assert answer.status == 401
                assert answer.headers["WWW-Authenticate"] == "Bearer"
                assert TOKEN.encode() not in said
                assert WRONG.encode() not in said
            assert there.refused("http", "token") == (not right)

    with caplog.at_level(logging.DEBUG, "lexilog"):
        asyncio.run(run())
    _holds_no_token(caplog)


def _holds_no_token(caplog: pytest.LogCaptureFixture) -> None:
    for token in (TOKEN, TOKEN[:-1], WRONG):
        assert token not in caplog.text


@pytest.mark.parametrize(
    "head",
    [
        f"X-API-Key: {TOKEN}\x01",
        f"X-API-Key : {TOKEN}",
        f"Authorization: Bearer {TOKEN * 500}",
        f"{TOKEN}",
    ],
)
def test_a_token_in_a_damaged_request_is_not_logged(
    pipeline: Pipeline, head: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The log says what is wrong with a request that is no HTTP, and repeats nothing of it."""

    async def run() -> None:
        async with house(pipeline, http={"tokens": (TOKEN,)}) as there, raw(there.ports["http"]) as client:
            said = await client.ask(f"POST /v1/enrich HTTP/1.1\r\nHost: x\r\n{head}\r\n\r\n".encode())
            assert said.startswith(b"HTTP/1.0 400")
            assert there.refused("http", "not_http") == 1

    with caplog.at_level(logging.DEBUG):
        asyncio.run(run())
    assert "Error handling request" in caplog.text
    _holds_no_token(caplog)


@pytest.mark.parametrize("expects", [False, True])
def test_the_body_of_a_request_without_a_token_is_not_waited_for(pipeline: Pipeline, expects: bool) -> None:
    """The answer to 50 MB comes when hardly anything of them is sent; who asks first is not told to send them."""
    size = 50_000_000

    async def run() -> None:
        async with house(pipeline, http={"tokens": (TOKEN,)}) as there, raw(there.ports["http"]) as client:
            expect = "Expect: 100-continue\r\n" if expects else ""
            head = f"POST /v1/enrich HTTP/1.1\r\nHost: x\r\nContent-Length: {size}\r\n{expect}\r\n"
            client.writer.write(head.encode() + b"x" * 1000)
            async with asyncio.timeout(PATIENCE):
                assert (await client.reader.readline()).startswith(b"HTTP/1.1 401 ")
            assert there.metric("received_bytes_total", door="http") < size / 10

    asyncio.run(run())


def test_a_message_without_a_token_is_not_read(pipeline: Pipeline) -> None:
    """gRPC's client is answered before its 50 MB are sent."""

    async def run() -> None:
        async with house(pipeline, grpc={"tokens": (TOKEN,)}) as there, channel(there.ports["grpc"]) as to:
            assert _code(await call(to, EXPORT, bytes(50_000_000))) is grpc.StatusCode.UNAUTHENTICATED
            assert there.metric("received_bytes_total", door="grpc") < 5_000_000

    asyncio.run(run())


def test_who_has_the_token_is_told_to_send_the_body(pipeline: Pipeline) -> None:
    """``Expect: 100-continue`` is answered (RFC 9110, section 10.1.1); curl waits a second for it."""

    async def run() -> None:
        async with house(pipeline, http={"tokens": (TOKEN,)}) as there, raw(there.ports["http"]) as client:
            head = f"POST /v1/enrich HTTP/1.1\r\nHost: x\r\nX-API-Key: {TOKEN}\r\nContent-Length: 3\r\n"
            client.writer.write(head.encode() + b"Connection: close\r\nExpect: 100-continue\r\n\r\n")
            async with asyncio.timeout(PATIENCE):
                assert await client.reader.readline() == b"HTTP/1.1 100 Continue\r\n"
            assert b"HTTP/1.1 200 OK" in await client.ask(b'"x"')

    asyncio.run(run())


# What is no request.


@pytest.mark.parametrize("method", [*METHODS, HEALTH])
@pytest.mark.parametrize("what", ["no message", "a bomb", "half of a gzip"])
def test_messages_that_cannot_be_read(
    pipeline: Pipeline, method: str, what: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Each method tells the client what is wrong, health and reflection too; the log has no traceback of it."""
    message = {
        "no message": b"\x0a\xff\xff",
        "a bomb": gzip.compress(bytes(2_000_000)),
        "half of a gzip": gzip.compress(os.urandom(1000))[:500],
    }[what]
    expected = grpc.StatusCode.RESOURCE_EXHAUSTED if what == "a bomb" else grpc.StatusCode.INVALID_ARGUMENT

    async def run() -> None:
        async with house(pipeline, grpc={"max_receive_bytes": 1 << 20}) as there, channel(there.ports["grpc"]) as to:
            assert _code(await stream(to, method, message)) is expected
            assert there.refused("grpc", "too_large") == (what == "a bomb")
            assert _code(await call(to, HEALTH)) is grpc.StatusCode.OK

    asyncio.run(run())
    assert "Traceback" not in caplog.text
    assert not [record for record in caplog.records if record.exc_info]


@pytest.mark.parametrize("method", [ENRICH, EXPORT, ENRICH_STREAM])
def test_a_message_that_is_larger_than_the_limit(pipeline: Pipeline, method: str) -> None:
    """gRPC itself refuses it, unread. Of a stream nobody hears why it has ended, so there it is not counted."""

    async def run() -> None:
        async with house(pipeline, grpc={"max_receive_bytes": 1 << 20}) as there, channel(there.ports["grpc"]) as to:
            assert _code(await stream(to, method, bytes(2 << 20))) is grpc.StatusCode.RESOURCE_EXHAUSTED
            await until(lambda: there.refused("grpc", "too_large") == (method != ENRICH_STREAM))
            await there.at_rest_of_requests()

    asyncio.run(run())


def test_a_call_without_its_message_is_given_up(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    """It would hold a place for ever."""
    monkeypatch.setattr(guard, "_PATIENCE", 0.2)

    async def run() -> None:
        async with house(pipeline, grpc={}) as there, channel(there.ports["grpc"]) as to:
            begun = to.stream_unary(EXPORT)(timeout=PATIENCE)
            with pytest.raises(grpc.aio.AioRpcError) as error:
                await begun
            assert error.value.code() is grpc.StatusCode.UNAVAILABLE
            assert "has not come" in (error.value.details() or "")
            await there.at_rest_of_requests()

    asyncio.run(run())


def test_health_can_be_watched_without_a_token(pipeline: Pipeline) -> None:
    """A watch hears at once how things are; watchers do not use up the requests of others."""

    async def run() -> None:
        told = {"tokens": (TOKEN,), "max_requests": 2}
        async with house(pipeline, grpc=told) as there, AsyncExitStack() as stack:
            watches = []
            for _ in range(4):
                to = await stack.enter_async_context(channel(there.ports["grpc"]))
                watch = to.unary_stream("/grpc.health.v1.Health/Watch")(b"", timeout=PATIENCE)
                watches.append(watch)
                answer = health_pb2.HealthCheckResponse.FromString(await watch.read())
                assert answer.status == health_pb2.HealthCheckResponse.SERVING
            to = await stack.enter_async_context(channel(there.ports["grpc"]))
            metadata = (("x-api-key", TOKEN),)
            assert _code(await call(to, ENRICH, enrich_of("x"), metadata)) is grpc.StatusCode.OK
            for watch in watches:
                watch.cancel()

    asyncio.run(run())


def test_the_socket_behind_grpc_is_private(pipeline: Pipeline) -> None:
    """Nobody but this user reaches it, so that nobody comes in without TLS; it is gone when the server is."""

    async def run() -> None:
        async with house(pipeline, grpc={}) as there:
            door: Any = there.server._doors["grpc"]
            path = door._path
            assert path.is_socket()
            assert path.parent.stat().st_mode & 0o077 == 0
            with socket.socket(socket.AF_UNIX) as found:
                found.connect(str(path))
        assert not path.parent.exists()

    asyncio.run(run())
