"""gRPC's own server behind the door: when it ends by a defect of its own, the door does not."""

from __future__ import annotations

import asyncio
import logging

import pytest

from house import ENRICH, call, channel, enrich_of, house, until
from http2 import call_of, greeting
from lexilog import Pipeline
from lexilog.service.grpc_server import GrpcServer


def test_a_server_that_ends_by_itself_is_started_again(pipeline: Pipeline, caplog: pytest.LogCaptureFixture) -> None:
    """grpcio 1.85 ends on a method whose name is not UTF-8. The door lets none through, so it is said from within."""

    async def run() -> None:
        async with house(pipeline, grpc={}) as server:
            door = server.server._doors["grpc"]
            assert isinstance(door, GrpcServer)
            _, writer = await asyncio.open_unix_connection(str(door._path))
            writer.write(greeting() + call_of("/xx", b"").replace(b"/xx", b"/\xff\xff"))
            await until(lambda: not door._path.exists())
            writer.close()
            async with channel(server.ports["grpc"]) as client:
                assert isinstance(await call(client, ENRICH, enrich_of("x")), bytes)

    with caplog.at_level(logging.ERROR):
        asyncio.run(run())
    assert "has ended by itself, and is started again" in caplog.text
