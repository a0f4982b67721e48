"""Requests that are too large, too many, or too late: refused as each protocol has it, while others are served."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import msgpack
import pytest

from house import (
    ENRICH,
    ENRICH_STREAM,
    EXPORT,
    LINE,
    PATIENCE,
    PROTOBUF,
    House,
    call,
    channel,
    chunk_of,
    enrich_of,
    export_of,
    house,
    raw,
    session,
    stream,
    until,
)
from lexilog import Pipeline
from processes import Process
from real_server import RealServer

MEBIBYTE = 1 << 20
LIMIT = 8 * MEBIBYTE
DOORS = ("grpc", "http", "forward")
# Bytes. A message at the limit is there two or three times: as it comes, in pieces and as a whole.
MOST = 4 * LIMIT
BOMB = gzip.compress(bytes(100 * MEBIBYTE))


@pytest.fixture
def server(serve_config: Callable[..., Process], tmp_path: Path) -> RealServer:
    door = {"listen": "127.0.0.1:0", "max_receive_bytes": LIMIT}
    settings = {
        "doors": dict.fromkeys(DOORS, door),
        "relays": {"file": {"type": "file", "path": str(tmp_path / "taken.ndjson")}},
    }
    server = RealServer(serve_config(settings))
    assert server.is_well()
    return server


def test_a_bomb_of_gzip(server: RealServer, tmp_path: Path) -> None:
    """A hundred kilobytes for a hundred megabytes: refused on each door, never unpacked as a whole; others go on."""
    assert len(BOMB) < 110_000
    message = msgpack.packb(["vpn", BOMB, {"chunk": "b", "compressed": "gzip"}])
    with server.busy_with_others() as others:
        with server.stays_small(MOST):
            assert server.grpc(bytes(100 * MEBIBYTE), EXPORT, grpc.Compression.Gzip) == "RESOURCE_EXHAUSTED"
        with server.stays_small(MOST):
            assert server.grpc(BOMB, ENRICH) == "RESOURCE_EXHAUSTED"
        with server.stays_small(MOST):
            assert server.http(BOMB, Content_Encoding="gzip") == 413
        with server.stays_small(MOST):
            assert server.forward(message) is None
    assert others
    assert all(others)
    assert all(json.loads(line)["message"] for line in (tmp_path / "taken.ndjson").read_text().splitlines())


def test_a_line_of_100_mebibytes(server: RealServer) -> None:
    """It is refused on each door, at once where its size is told before; memory does not follow; others go on."""
    line = "x" * (100 * MEBIBYTE)
    request, message = export_of(line), chunk_of("1", line)
    pieces = [request[start : start + MEBIBYTE] for start in range(0, len(request), MEBIBYTE)]
    with server.busy_with_others() as others:
        with server.stays_small(MOST):
            assert server.grpc(request) == "RESOURCE_EXHAUSTED"
        with server.stays_small(MOST):
            assert server.http(request) == 413
        with server.stays_small(MOST):
            assert server.http(iter(pieces), Transfer_Encoding="chunked") == 413
        with server.stays_small(MOST):
            assert server.forward(message) is None
    assert others
    assert all(others)


# In the test's own process, where the relay can be held up.


def _all(**told: Any) -> dict[str, Any]:
    return {door: dict(told) for door in DOORS}


def test_more_records_than_a_message_may_hold(pipeline: Pipeline) -> None:
    """As many as the limit pass on each door; one more is refused and counted, and none of them is taken."""
    most = ["x"] * 10
    more = [*most, "x"]

    async def run() -> None:
        async with house(pipeline, **_all(max_records=10)) as there:
            async with channel(there.ports["grpc"]) as to:
                for method, make in {EXPORT: export_of, ENRICH: enrich_of, ENRICH_STREAM: enrich_of}.items():
                    assert isinstance(await stream(to, method, make(*most)), list), method
                    error = await stream(to, method, make(*more))
                    assert isinstance(error, grpc.aio.AioRpcError), method
                    assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
                    assert "max_records" in str(error.details())
            assert there.refused("grpc", "too_large") == 3
            async with session() as client:
                for path, make_body in {"/v1/logs": export_of, "/v1/enrich": lambda *them: json.dumps(them)}.items():
                    url = f"http://127.0.0.1:{there.ports['http']}{path}"
                    kind = PROTOBUF if path == "/v1/logs" else {}
                    for lines, status in ((most, 200), (more, 413)):
                        async with client.post(url, data=make_body(*lines), headers=kind) as answer:
                            assert answer.status == status, path
            assert there.refused("http", "too_large") == 2
            for lines, acknowledged in ((most, {"ack": "1"}), (more, None)):
                async with raw(there.ports["forward"]) as client:
                    client.writer.write(chunk_of("1", *lines))
                    assert await client.answer() == acknowledged
            assert there.refused("forward", "too_large") == 1
            assert len(there.relay.lines) == 30

    asyncio.run(run())


def test_a_line_that_is_too_long_passes_as_it_came() -> None:
    """It is not looked at, since that takes time; it is not lost, it says why, and its neighbours are enriched."""
    long = LINE + " x" * 1000

    async def run() -> None:
        async with house(Pipeline(max_line=1000), **_all()) as there:
            async with channel(there.ports["grpc"]) as to:
                assert isinstance(await call(to, EXPORT, export_of(long, LINE)), bytes)
            async with raw(there.ports["forward"]) as client:
                client.writer.write(chunk_of("1", long, LINE))
                assert await client.answer() == {"ack": "1"}
            assert there.relay.lines == [long, LINE] * 2
            for enriched in there.relay.records:
                assert (enriched.match is None) == (enriched.record.line == long)
                assert ("error.message" in enriched.fields) == (enriched.record.line == long)

    asyncio.run(run())


# A server that stops.


async def _begin(there: House, *clients: Any) -> list[asyncio.Task[Any]]:
    """Send a record to each door; the relay holds them."""
    there.relay.gate.clear()
    to, http_client, forward_client = clients
    url = f"http://127.0.0.1:{there.ports['http']}/v1/logs"

    async def post() -> tuple[int, str | None]:
        async with http_client.post(url, data=export_of("http"), headers=PROTOBUF) as answer:
            return answer.status, answer.headers.get("Retry-After")

    forward_client.writer.write(chunk_of("1", "forward"))
    tasks = [asyncio.create_task(one) for one in (call(to, EXPORT, export_of("grpc")), post(), forward_client.answer())]
    await until(lambda: there.metric("pending_bytes") > len(export_of("grpc") + export_of("http")))
    return tasks


def test_a_stop_finishes_what_is_in_flight(pipeline: Pipeline) -> None:
    """Requests under way are answered OK; meanwhile nobody new is let in."""

    async def run() -> None:
        async with (
            house(pipeline, **_all(), grace=PATIENCE) as there,
            channel(there.ports["grpc"]) as to,
            session() as http_client,
            raw(there.ports["forward"]) as forward_client,
        ):
            ports = dict(there.ports)
            tasks = await _begin(there, to, http_client, forward_client)
            stop = asyncio.create_task(there.server.stop())
            await until(lambda: not there.server.ports)
            for port in ports.values():
                with pytest.raises(ConnectionRefusedError):
                    async with raw(port):
                        pytest.fail("it is let in")
            assert not stop.done()
            there.relay.gate.set()
            answers = await asyncio.gather(*tasks)
            assert answers == [b"", (200, None), {"ack": "1"}]
            await stop
            assert sorted(map(str, there.relay.lines)) == ["forward", "grpc", "http"]

    asyncio.run(run())


def test_what_is_not_finished_within_the_grace_comes_again(pipeline: Pipeline) -> None:
    """Its sender hears UNAVAILABLE, 503 with Retry-After, or no acknowledgement, and keeps its records."""

    async def run() -> None:
        async with (
            house(pipeline, **_all(), grace=0.2) as there,
            channel(there.ports["grpc"]) as to,
            session() as http_client,
            raw(there.ports["forward"]) as forward_client,
        ):
            tasks = await _begin(there, to, http_client, forward_client)
            async with asyncio.timeout(PATIENCE):
                await there.server.stop()
            error, answer, acknowledged = await asyncio.gather(*tasks)
            assert error.code() is grpc.StatusCode.UNAVAILABLE
            assert answer == (503, "1")
            assert acknowledged is None
            assert there.relay.lines == []

    asyncio.run(run())


def test_who_asks_over_a_standing_connection_during_a_stop_comes_again(pipeline: Pipeline) -> None:
    """It is neither served nor left without an answer: 503, and the connection is closed; gRPC says UNAVAILABLE."""

    async def run() -> None:
        async with (
            house(pipeline, **_all(), grace=PATIENCE) as there,
            channel(there.ports["grpc"]) as to,
            session() as http_client,
            raw(there.ports["forward"]) as forward_client,
            raw(there.ports["http"]) as standing,
        ):
            head = 'POST /v1/enrich HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\n"x"'
            standing.writer.write(head.encode())
            async with asyncio.timeout(PATIENCE):
                assert b"200 OK" in await standing.reader.readuntil(b"\r\n")
            tasks = await _begin(there, to, http_client, forward_client)
            stop = asyncio.create_task(there.server.stop())
            await until(lambda: not there.server.ports)
            said = await standing.ask(head.encode())
            assert b"HTTP/1.1 503 " in said
            error = await call(to, EXPORT, export_of("late"))
            assert isinstance(error, grpc.aio.AioRpcError)
            assert error.code() is grpc.StatusCode.UNAVAILABLE
            there.relay.gate.set()
            assert (await asyncio.gather(*tasks))[1:] == [(200, None), {"ack": "1"}]
            await stop
            assert "late" not in there.relay.lines

    asyncio.run(run())
