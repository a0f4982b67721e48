"""Whoever is only answered, at ``/v1/enrich``, has its turns and its share like whoever hands records on."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import aiohttp
import pytest

from doors import OpenDoor, hall
from house import PROTOBUF, export_of, house, raw, session, until
from lexilog import Enriched, Pipeline, encode_json
from lexilog.service import http as http_module
from lexilog.service import work as work_module
from lexilog.service.door import Hall
from lexilog.service.http import HttpDoor
from lexilog.service.json_records import read_body
from lexilog.service.settings import HttpDoorSettings

JSON = {"Content-Type": "application/json"}
OTHER = "127.0.0.2"
NETWORK = "a network"


class OfANetwork(HttpDoor):
    """A door whose listener takes all hosts of a network for one."""

    def connect(self, host: str) -> asyncio.Protocol:
        return super().connect(NETWORK)


@asynccontextmanager
async def _open(pipeline: Pipeline, kind: type[HttpDoor] = HttpDoor) -> AsyncIterator[tuple[Hall, str]]:
    """Yield what stands behind a door, and where to ask it."""
    behind = hall(pipeline)
    door = OpenDoor(kind(HttpDoorSettings(), behind))
    await door.start()
    try:
        yield behind, f"http://127.0.0.1:{door.port}/v1/enrich"
    finally:
        await door.stop(1)


async def _ask(client: aiohttp.ClientSession, url: str, *lines: str) -> tuple[int, Any]:
    async with client.post(url, data=json.dumps(lines), headers=JSON) as answer:
        return answer.status, json.loads(await answer.read())


def test_a_question_waits_for_its_turn(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of all who have records enriched two are at work at once, whichever way they come; until then it is bytes."""
    read: list[bytes] = []

    def note(body: bytes, *args: Any, **options: Any) -> Any:
        read.append(body)
        return read_body(body, *args, **options)

    monkeypatch.setattr(http_module, "read_body", note)

    async def run() -> None:
        async with _open(pipeline) as (behind, url), session() as client:
            async with behind.turns.turn("a"), behind.turns.turn("b"):
                asked = asyncio.create_task(_ask(client, url, "x"))
                await until(lambda: behind.pending.used)
                done, _ = await asyncio.wait([asked], timeout=0.1)
                assert not done
                assert not read
            status, documents = await asked
            assert (status, len(documents)) == (200, 1)
            assert behind.pending.used == 0

    asyncio.run(run())


def test_many_large_questions_do_not_stand_before_one_of_another_client(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Turns go from client to client after each piece of an answer, whatever one of them has asked."""
    order: list[str | None] = []

    def note(enriched: Enriched) -> bytes:
        order.append(enriched.record.line)
        return encode_json(enriched)

    monkeypatch.setattr(work_module, "_SLICE", 1)
    monkeypatch.setattr(http_module, "encode_json", note)

    async def run() -> None:
        async with AsyncExitStack() as stack:
            behind, url = await stack.enter_async_context(_open(pipeline))
            many = await stack.enter_async_context(session(OTHER))
            one = await stack.enter_async_context(session())
            tasks = [asyncio.create_task(_ask(many, url, *["many"] * 100)) for _ in range(30)]
            await until(lambda: len(order) > 30)
            assert (await _ask(one, url, *["one"] * 10))[0] == 200
            answers = await asyncio.gather(*tasks)
            assert all(status == 200 and len(documents) == 100 for status, documents in answers)
            assert behind.pending.used == 0

    asyncio.run(run())
    mine = [place for place, line in enumerate(order) if line == "one"]
    between = mine[-1] - mine[0] - 9
    # Each of its nine further pieces waits for one or two of theirs: neither for none nor for thirty.
    assert 0 < between <= 60, f"{between} pieces of the others"


@pytest.mark.parametrize("door", [HttpDoor, OfANetwork])
def test_a_question_counts_among_the_bytes_that_wait(pipeline: Pipeline, door: type[HttpDoor]) -> None:
    """What is above its client's half comes again later; hosts are told apart as the listener does it."""
    client_name = NETWORK if door is OfANetwork else "127.0.0.1"

    async def run() -> None:
        async with _open(pipeline, door) as (behind, url), session() as client:
            with behind.pending.hold(client_name, 1 << 27):
                status, answer = await _ask(client, url, "x")
                assert status == 503
                assert "this client's, and half is the most" in answer["error"]
                value = behind.counts.metrics.registry.get_sample_value
                assert value("lexilog_refused_total", {"door": "http", "reason": "busy"}) == 1
                assert value("lexilog_pending_bytes") == 1 << 27
            assert [(key.outcome, key.delivery, count) for key, count in behind.counts.items()] == [
                ("unread", "returned", 1)
            ]
            assert (await _ask(client, url, "x"))[0] == 200

    asyncio.run(run())


def test_a_client_that_does_not_read_takes_nobodys_turn(pipeline: Pipeline) -> None:
    """Its question is pending as long as its answer is; others are answered meanwhile."""
    body = json.dumps(["x" * 100] * 20_000).encode()
    head = f"POST /v1/enrich HTTP/1.1\r\nHost: a\r\nContent-Length: {len(body)}\r\n\r\n".encode()

    async def run() -> None:
        async with _open(pipeline) as (behind, url), AsyncExitStack() as stack:
            port = int(url.split(":")[2].partition("/")[0])
            for _ in range(3):
                one = await stack.enter_async_context(raw(port))
                one.writer.transport.pause_reading()  # type: ignore[attr-defined]
                one.writer.write(head + body)
            await until(lambda: behind.pending.used == 3 * len(body))
            client = await stack.enter_async_context(session(OTHER))
            for _ in range(10):
                assert (await _ask(client, url, *["y"] * 300))[0] == 200
            assert behind.pending.used == 3 * len(body)
            await stack.aclose()
            await until(lambda: not behind.pending.used)

    asyncio.run(run())


def test_a_question_does_not_wait_for_the_next_hop(pipeline: Pipeline) -> None:
    """While all batches that may be in work are held by a relay, whoever wants only documents has them."""

    async def run() -> None:
        async with house(pipeline, http={}) as there, session() as client, session(OTHER) as other:
            there.relay.gate.clear()
            port = there.ports["http"]
            url = f"http://127.0.0.1:{port}/v1/logs"
            tasks = [asyncio.create_task(_export(client, url)) for _ in range(6)]
            await until(lambda: there.relay.held == 2 and there.waiting() == 6)
            status, _ = await _ask(other, f"http://127.0.0.1:{port}/v1/enrich", "x")
            assert status == 200
            assert there.relay.held == 2
            there.relay.gate.set()
            assert await asyncio.gather(*tasks) == [200] * 6

    asyncio.run(run())


async def _export(client: aiohttp.ClientSession, url: str, lines: Sequence[str] = ("a",)) -> int:
    async with client.post(url, data=export_of(*lines), headers=PROTOBUF) as answer:
        return answer.status
