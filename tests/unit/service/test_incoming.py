"""What Forward senders have begun and not finished, over real sockets: how much of it is kept, and for how long."""

from __future__ import annotations

import asyncio
import gzip
import tracemalloc
from collections.abc import Callable
from typing import Any

import msgpack
import pytest

from house import House, Raw, chunk_of, house, raw, until
from lexilog import Pipeline
from lexilog.forward.wire import MessageReader
from lexilog.service import incoming

OTHER = "127.0.0.2"
MIB = 1 << 20
# Announces more than comes.
BEGUN = b"\x92\xa1t\xc6\x00\x30\x00\x00" + bytes(1_500_000)


def _packed(size: int, **options: Any) -> bytes:
    """Return a message whose entries are gzip, and have some size when they are inflated."""
    entries = msgpack.packb([1_700_000_000, {"log": "x" * size}])
    packed: bytes = msgpack.packb(["t", gzip.compress(entries), {"compressed": "gzip", **options}])
    return packed


async def _begin(there: House, client: Raw) -> None:
    """Have a client send most of a message, and wait until it is held."""
    client.writer.write(BEGUN)
    await until(lambda: there.metric("pending_bytes") >= len(BEGUN) - 2 * incoming._FREE)


def test_a_host_has_half_of_the_bytes_for_messages_that_do_not_end(
    pipeline: Pipeline, caplog: pytest.LogCaptureFixture
) -> None:
    """What is more costs its connection, which is counted and logged; another host is served meanwhile."""

    async def run() -> None:
        async with house(pipeline, forward={}, max_pending_bytes=4 * MIB) as there:
            port = there.ports["forward"]
            async with raw(port) as first, raw(port) as second:
                await _begin(there, first)
                assert await second.ask(BEGUN) == b""
                assert there.refused("forward", "busy") == 1
                assert there.metric("pending_bytes") < 2 * MIB
                async with raw(port, OTHER) as other:
                    other.writer.write(chunk_of("1", "x" * 1_000_000))
                    assert await other.answer() == {"ack": "1"}
            await there.at_rest()

    asyncio.run(run())
    keys = [getattr(record, "once", None) for record in caplog.records]
    assert keys == ["127.0.0.1 busy", "127.0.0.1 message"], "each host and each problem is logged"


def test_a_message_is_held_once_when_it_is_whole(pipeline: Pipeline) -> None:
    """The intake holds it while it is in work, and afterwards nobody does."""

    async def run() -> None:
        async with (
            house(pipeline, forward={}, max_pending_bytes=4 * MIB) as there,
            raw(there.ports["forward"]) as client,
        ):
            there.relay.gate.clear()
            message = chunk_of("1", "x" * 1_500_000)
            client.writer.write(message)
            await until(lambda: there.relay.held)
            assert there.metric("pending_bytes") == len(message)
            there.relay.gate.set()
            assert await client.answer() == {"ack": "1"}
            await there.at_rest_of_requests()

    asyncio.run(run())


@pytest.mark.parametrize("size", [100, 1_500_000])
def test_what_nobody_else_has_is_held_until_it_is_delivered(pipeline: Pipeline, size: int) -> None:
    """Even where it is more than a host's part: it never has to ask for room a second time."""

    async def run() -> None:
        async with (
            house(pipeline, forward={}, max_pending_bytes=2 * MIB) as there,
            raw(there.ports["forward"]) as client,
        ):
            there.relay.gate.clear()
            client.writer.write(chunk_of(None, "x" * size))
            await until(lambda: there.relay.held)
            assert there.metric("pending_bytes") >= size - incoming._FREE
            there.relay.gate.set()
            await until(lambda: there.relay.lines)
            await there.at_rest_of_requests()

    asyncio.run(run())


def test_what_is_inflated_is_held_too(pipeline: Pipeline) -> None:
    """A few bytes that become many cost their connection where there is no room for many; the sender comes again."""

    async def run() -> None:
        async with house(pipeline, forward={}, max_pending_bytes=4 * MIB) as there:
            port = there.ports["forward"]
            async with raw(port) as first, raw(port) as second, raw(port) as third:
                await _begin(there, first)
                assert await second.ask(_packed(1_500_000, chunk="1")) == b""
                assert there.refused("forward", "busy") == 1
                assert there.relay.lines == []
                first.writer.transport.abort()
                await until(lambda: not there.metric("pending_bytes"))
                third.writer.write(_packed(1_500_000, chunk="1"))
                assert await third.answer() == {"ack": "1"}

    asyncio.run(run())


def test_what_its_sender_has_forgotten_waits_for_room(pipeline: Pipeline, caplog: pytest.LogCaptureFixture) -> None:
    """A message without chunk that has come is not thrown away; those before it go on meanwhile."""

    async def run() -> None:
        async with house(pipeline, forward={}, max_pending_bytes=4 * MIB) as there:
            port = there.ports["forward"]
            async with raw(port) as first, raw(port) as second:
                await _begin(there, first)
                second.writer.write(chunk_of(None, "before") + _packed(1_500_000))
                await until(lambda: "a message waits for room" in caplog.text)
                assert there.relay.lines == ["before"]
                first.writer.transport.abort()
                await until(lambda: len(there.relay.lines) == 2)
            await there.at_rest()
            assert there.refused("forward", "busy") == 0

    asyncio.run(run())


def test_what_waits_for_room_when_the_server_stops_is_counted(
    pipeline: Pipeline, caplog: pytest.LogCaptureFixture
) -> None:
    """Its sender has forgotten it, so it is lost, and the log says so."""

    async def run() -> None:
        async with house(pipeline, forward={}, max_pending_bytes=4 * MIB, grace=0.1) as there:
            pending = there.server._doors["forward"].hall.pending
            async with raw(there.ports["forward"]) as client:
                with pending.hold("127.0.0.1", 1_500_000):
                    client.writer.write(_packed(1_500_000))
                    await until(lambda: "a message waits for room" in caplog.text)
                    await there.server.stop()

    asyncio.run(run())
    assert "1 records are lost" in caplog.text


def test_a_byte_now_and_then_keeps_no_message_alive(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    """A message that has begun has one time to come on, however often something of it comes."""
    monkeypatch.setattr(incoming, "_PROGRESS_TIMEOUT", 0.2)

    async def run() -> None:
        async with house(pipeline, forward={}) as there, raw(there.ports["forward"]) as client:
            async with asyncio.timeout(20):
                for byte in BEGUN:
                    client.writer.write(bytes([byte]))
                    await asyncio.sleep(0.02)
                    if there.refused("forward", "silence"):
                        break
            assert await client.rest() == b""
            await there.at_rest()

    asyncio.run(run())


def test_a_slow_link_gets_a_large_message_through(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    """As long as enough of it comes in the time; and a message behind it has a time of its own."""
    monkeypatch.setattr(incoming, "_PROGRESS_TIMEOUT", 1.0)
    monkeypatch.setattr(incoming, "_PROGRESS", 1_000)

    async def run() -> None:
        async with house(pipeline, forward={}) as there, raw(there.ports["forward"]) as client:
            message = chunk_of("1", "x" * 25_000) + chunk_of("2", "y")
            for start in range(0, len(message), 500):
                client.writer.write(message[start : start + 500])
                await asyncio.sleep(0.03)
            assert await client.answer() == {"ack": "1"}
            await until(lambda: len(there.relay.lines) == 2)
            assert there.refused("forward", "silence") == 0

    asyncio.run(run())


def _fed(reader: MessageReader, data: bytes, step: int, seen: Callable[[], None]) -> list[bytes]:
    found = []
    for start in range(0, len(data), step):
        reader.feed(data[start : start + step])
        while message := reader.next_message():
            found.append(message)
        seen()
    return found


@pytest.mark.parametrize("step", [7_001, 65_536])
@pytest.mark.parametrize("options", [{}, {"chunk": "c"}])
def test_a_large_message_is_kept_once(step: int, options: dict[str, str]) -> None:
    """While it comes: what finds its end keeps no bytes of its own; and nothing of it stays behind."""
    large = msgpack.packb(["t", bytes(3 * MIB), options])
    small = msgpack.packb(["t", bytes(100), options])
    reader, most = MessageReader(4 * MIB), 0

    def look() -> None:
        nonlocal most
        most = max(most, reader.memory)

    assert _fed(reader, small + large + small + large + small, step, look) == [small, large, small, large, small]
    assert most <= len(large) + 3 * step
    assert reader.memory == 0


def test_no_room_is_kept_for_a_message_that_has_been_taken() -> None:
    """A connection that has once sent something large, and then says nothing for hours, costs no memory."""
    message = msgpack.packb(["t", bytes(16 * MIB)])
    reader = MessageReader(32 * MIB)
    tracemalloc.start()
    try:
        reader.feed(message)
        assert reader.next_message() == message
        left = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert left < 4 * MIB
