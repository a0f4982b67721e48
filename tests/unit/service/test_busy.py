"""Requests that are too many, over real sockets: whoever asks too often waits or comes again, and others do not."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import grpc.aio
import pytest
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status

from house import (
    EXPORT,
    PROTOBUF,
    House,
    call,
    channel,
    chunk_of,
    coming_from,
    export_of,
    house,
    raw,
    session,
    until,
)
from lexilog import Pipeline, SettingsError

OTHER = "127.0.0.2"


@asynccontextmanager
async def _waiting(there: House, door: str, count: int, host: str, size: int = 1) -> AsyncIterator[list[Any]]:
    """Have a host send requests, which the relay holds, each over a connection of its own; yield their tasks."""
    port, before = there.ports[door], there.waiting()
    async with AsyncExitStack() as stack:
        tasks = []
        for number in range(count):
            body = export_of(f"{host} {number} " + "x" * size)
            if door == "grpc":
                passed = await stack.enter_async_context(coming_from(host, port))
                to = await stack.enter_async_context(channel(passed))
                tasks.append(asyncio.create_task(call(to, EXPORT, body)))
            elif door == "http":
                client = await stack.enter_async_context(session(host))
                tasks.append(asyncio.create_task(_post(client, port, body)))
            else:
                sender = await stack.enter_async_context(raw(port, host))
                tasks.append(asyncio.create_task(sender.ask_for(chunk_of(str(number), "x" * size))))
        await until(lambda: there.waiting() == before + count)
        try:
            yield tasks
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


async def _post(client: aiohttp.ClientSession, port: int, body: bytes) -> tuple[int, str | None]:
    url = f"http://127.0.0.1:{port}/v1/logs"
    async with client.post(url, data=body, headers=PROTOBUF) as answer:
        await answer.read()
        return answer.status, answer.headers.get("Retry-After")


async def _one_more(there: House, door: str, host: str, size: int = 1) -> str:
    """Send a request, and return what the host hears: OK, or come again; with when, in the way of the door."""
    port, body = there.ports[door], export_of("one more " + "x" * size)
    if door == "http":
        async with session(host) as client:
            status, after = await _post(client, port, body)
        assert status == 200 or (status == 503 and after == "1"), (status, after)
        return "OK" if status == 200 else "come again"
    async with coming_from(host, port) as passed, channel(passed) as to:
        answer = await call(to, EXPORT, body)
    if not isinstance(answer, grpc.aio.AioRpcError):
        return "OK"
    assert answer.code() is grpc.StatusCode.UNAVAILABLE, answer.code()
    details = dict(answer.trailing_metadata())["grpc-status-details-bin"]
    retry = RetryInfo()
    assert Status.FromString(details).details[0].Unpack(retry)
    assert retry.retry_delay.ToSeconds() == 1
    return "come again"


@pytest.mark.parametrize("door", ["grpc", "http"])
def test_a_host_has_half_of_the_requests(pipeline: Pipeline, door: str) -> None:
    """What it asks beyond that comes again later; another host is taken meanwhile, until all are in use."""

    async def run() -> None:
        async with house(pipeline, **{door: {"max_requests": 4}}) as there:
            there.relay.gate.clear()
            async with _waiting(there, door, 2, "127.0.0.1"):
                assert await _one_more(there, door, "127.0.0.1") == "come again"
                assert there.refused(door, "busy") == 1
                async with _waiting(there, door, 2, OTHER) as others:
                    assert await _one_more(there, door, "127.0.0.3") == "come again"
                    assert there.refused(door, "busy") == 2
                    there.relay.gate.set()
                    answers = await asyncio.gather(*others)
                    assert all(_is_ok(answer) for answer in answers), answers
                assert await _one_more(there, door, "127.0.0.1") == "OK"
            await there.at_rest()
            assert len(there.relay.lines) == 5, "what was told to come again is not there as well"

    asyncio.run(run())


def _is_ok(answer: Any) -> bool:
    return isinstance(answer, bytes) or answer == (200, None) or (isinstance(answer, dict) and "ack" in answer)


@pytest.mark.parametrize("door", ["grpc", "http"])
def test_a_host_has_half_of_the_bytes_that_may_wait(pipeline: Pipeline, door: str) -> None:
    """Of all doors together: what is more comes again later, and another host's is taken meanwhile."""
    third = 400_000

    async def run() -> None:
        async with house(pipeline, grpc={}, http={}, max_pending_bytes=1 << 20) as there:
            there.relay.gate.clear()
            async with _waiting(there, door, 1, "127.0.0.1", third):
                await until(lambda: there.metric("pending_bytes") > third)
                assert await _one_more(there, "grpc", "127.0.0.1", third) == "come again"
                assert await _one_more(there, "http", "127.0.0.1", third) == "come again"
                assert (there.refused("grpc", "busy"), there.refused("http", "busy")) == (1, 1)
                async with _waiting(there, door, 1, OTHER, third) as others:
                    there.relay.gate.set()
                    assert all(map(_is_ok, await asyncio.gather(*others)))
            await there.at_rest()

    asyncio.run(run())


@pytest.mark.parametrize("door", ["grpc", "http", "forward"])
def test_who_goes_gives_its_place_back(pipeline: Pipeline, door: str) -> None:
    """Whether at work or waiting for its turn: afterwards as many can ask as before, and nothing is pending."""

    async def run() -> None:
        async with house(pipeline, **{door: {} if door == "forward" else {"max_requests": 12}}) as there:
            there.relay.gate.clear()
            async with _waiting(there, door, 6, "127.0.0.1"):
                await until(lambda: there.relay.held)
            await there.at_rest()
            assert there.relay.lines == []
            async with _waiting(there, door, 6, "127.0.0.1") as tasks:
                there.relay.gate.set()
                assert all(map(_is_ok, await asyncio.gather(*tasks)))
            await there.at_rest()

    asyncio.run(run())


@pytest.mark.parametrize("door", ["grpc", "http", "forward"])
def test_one_of_another_client_does_not_wait_for_three_hundred(pipeline: Pipeline, door: str) -> None:
    """Batches go to the relay in turns: what a client sends after another's many is among the first."""
    count = 300

    told: dict[str, Any] = {"max_connections_per_host": 500}
    if door != "forward":
        told["max_requests"] = 2 * count

    async def run() -> None:
        async with house(pipeline, **{door: told}) as there:
            there.relay.gate.clear()
            async with AsyncExitStack() as stack:
                port, tasks = there.ports[door], []
                to = await stack.enter_async_context(channel(port))
                client = await stack.enter_async_context(session())
                for number in range(count):
                    if door == "grpc":
                        one: Any = call(to, EXPORT, export_of("many"))
                    elif door == "http":
                        one = _post(client, port, export_of("many"))
                    else:
                        one = (await stack.enter_async_context(raw(port))).ask_for(chunk_of(str(number), "many"))
                    tasks.append(asyncio.create_task(one))
                await until(lambda: there.waiting() == count)
                async with _waiting(there, door, 1, OTHER) as others:
                    there.relay.gate.set()
                    assert all(map(_is_ok, await asyncio.gather(*others)))
                assert all(map(_is_ok, await asyncio.gather(*tasks)))
            assert len(there.relay.lines) == count + 1
            place = next(place for place, line in enumerate(there.relay.lines) if line != "many")
            # Two are at work when it comes, and one may have had its turn.
            assert place <= 4
            await there.at_rest()

    asyncio.run(run())


def test_hosts_are_told_apart_wherever_temporary_files_are(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    """gRPC writes the path of its socket in an encoding of its own; who calls is known all the same."""

    async def run() -> None:
        async with house(pipeline, grpc={"max_requests": 4}) as there:
            there.relay.gate.clear()
            async with _waiting(there, "grpc", 2, "127.0.0.1"), _waiting(there, "grpc", 2, OTHER) as others:
                there.relay.gate.set()
                assert all(map(_is_ok, await asyncio.gather(*others)))

    with tempfile.TemporaryDirectory(prefix="ä b ") as folder:
        monkeypatch.setattr(tempfile, "tempdir", folder)
        asyncio.run(run())


def test_a_folder_for_temporary_files_that_is_too_deep(
    pipeline: Pipeline, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A Unix socket has no room for its path; the server says so when it starts, not to its thousandth client."""
    folder = tmp_path / ("x" * 100)
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))

    async def run() -> None:
        with pytest.raises(SettingsError, match="too long for a Unix socket; TMPDIR says where it is"):
            async with house(pipeline, grpc={}):
                pytest.fail("it has started")

    asyncio.run(run())
    assert not list(folder.iterdir())
