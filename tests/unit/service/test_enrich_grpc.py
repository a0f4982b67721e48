"""EnrichService beside other clients: turns, bytes that may wait, and how many records a request may have."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from unittest import mock

import grpc.aio
import pytest

from house import ENRICH, ENRICH_STREAM, House, call, channel, coming_from, enrich_of, house, stream, until
from lexilog import Pipeline, Record
from lexilog._proto.v1 import enrich_pb2 as pb
from lexilog.model import Enriched
from lexilog.service.door import Hall

OTHER = "127.0.0.2"
MANY = 1000


def _hall(there: House) -> Hall:
    return there.server._doors["grpc"].hall


@asynccontextmanager
async def _nobody_enriches(there: House) -> AsyncIterator[None]:
    """Have all turns taken."""
    turns = _hall(there).turns
    async with AsyncExitStack() as stack:
        while turns._free:
            await stack.enter_async_context(turns.turn("the test"))
        yield


def _results(answer: grpc.aio.AioRpcError | bytes) -> int:
    assert isinstance(answer, bytes)
    return len(pb.EnrichResponse.FromString(answer).results)


def test_clients_have_their_turns(pipeline: Pipeline) -> None:
    """One record of another client does not wait for five thousand: it is among the first after its turn came."""
    lines: list[str | None] = []
    process = pipeline.process

    def note(record: Record) -> Enriched:
        lines.append(record.line)
        return process(record)

    async def run() -> None:
        async with (
            house(pipeline, grpc={}) as there,
            channel(there.ports["grpc"]) as to,
            coming_from(OTHER, there.ports["grpc"]) as passed,
            channel(passed) as other,
        ):
            async with _nobody_enriches(there):
                calls = [asyncio.create_task(call(to, ENRICH, enrich_of(*["many"] * MANY))) for _ in range(5)]
                await until(lambda: there.metric("requests_in_flight", door="grpc") == 5)
                single = asyncio.create_task(call(other, ENRICH, enrich_of("one")))
                await until(lambda: there.metric("requests_in_flight", door="grpc") == 6)
                assert not lines
            assert _results(await single) == 1
            assert [_results(await one) for one in calls] == [MANY] * 5
            assert len(lines) == 5 * MANY + 1
            # The two requests of the others that are read meanwhile have a slice or two.
            assert lines.index("one") <= MANY
            await there.at_rest_of_requests()
            assert sum(count for _, count in there.server.counts.items()) == 5 * MANY + 1

    with mock.patch.object(pipeline, "process", note):
        asyncio.run(run())


def test_a_request_that_waits_is_pending(pipeline: Pipeline) -> None:
    """With its size; what is more than a client's half is to come again, and another's is taken."""
    data = enrich_of("x" * 400_000)

    async def run() -> None:
        async with (
            house(pipeline, grpc={}, max_pending_bytes=1 << 20) as there,
            channel(there.ports["grpc"]) as to,
            coming_from(OTHER, there.ports["grpc"]) as passed,
            channel(passed) as other,
        ):
            async with _nobody_enriches(there):
                first = asyncio.create_task(call(to, ENRICH, data))
                await until(lambda: there.metric("pending_bytes") == len(data))
                for again in (await call(to, ENRICH, data), await stream(to, ENRICH_STREAM, data)):
                    assert isinstance(again, grpc.aio.AioRpcError)
                    assert again.code() is grpc.StatusCode.UNAVAILABLE
                assert there.refused("grpc", "busy") == 2
                second = asyncio.create_task(call(other, ENRICH, data))
                await until(lambda: there.metric("pending_bytes") == 2 * len(data))
            assert (_results(await first), _results(await second)) == (1, 1)
            await there.at_rest_of_requests()
            assert _hall(there).pending.used == 0

    asyncio.run(run())


def test_who_goes_while_it_waits_leaves_nothing_behind(pipeline: Pipeline) -> None:
    """Neither bytes nor a turn; and what was not answered is not counted."""

    async def run() -> None:
        async with house(pipeline, grpc={}) as there, channel(there.ports["grpc"]) as to:
            async with _nobody_enriches(there):
                gone = asyncio.create_task(call(to, ENRICH, enrich_of("x")))
                await until(lambda: there.metric("pending_bytes"))
                gone.cancel()
                await there.at_rest_of_requests()
            assert _results(await call(to, ENRICH, enrich_of("x"))) == 1
            assert sum(count for _, count in there.server.counts.items()) == 1

    asyncio.run(run())


@pytest.mark.parametrize("method", [ENRICH, ENRICH_STREAM])
def test_records_are_counted_before_they_are_read(pipeline: Pipeline, method: str) -> None:
    """A message that is damaged behind too many records is too large: nobody has looked at the rest of it."""
    labels = {"door": "enrich", "catalog": "", "outcome": "unread", "reason": "request", "delivery": "refused"}

    async def run() -> None:
        async with house(pipeline, grpc={"max_records": 10}) as there, channel(there.ports["grpc"]) as to:
            full = await stream(to, method, enrich_of(*[""] * 10))
            assert isinstance(full, list)
            assert _results(full[0]) == 10
            for damage in (b"", b"\xff\xff"):
                answer = await stream(to, method, enrich_of(*[""] * 11) + damage)
                assert isinstance(answer, grpc.aio.AioRpcError)
                assert answer.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
                assert "max_records" in (answer.details() or "")
            assert there.metric("records_total", **labels) == 2

    asyncio.run(run())


def test_a_request_has_one_pipeline(pipeline: Pipeline) -> None:
    """Catalogues that come while it is in work are for the next one."""
    process = pipeline.process

    async def run() -> None:
        async with house(pipeline, grpc={}) as there, channel(there.ports["grpc"]) as to:
            knowledge = _hall(there).knowledge
            newer = mock.Mock()

            def renew(record: Record) -> Enriched:
                knowledge.pipeline = newer
                return process(record)

            with mock.patch.object(pipeline, "process", renew):
                assert _results(await call(to, ENRICH, enrich_of(*["x"] * MANY))) == MANY
            assert knowledge.pipeline is newer
            assert not newer.process.called

    asyncio.run(run())
