"""The door for the Fluent Forward protocol, over real sockets."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import logging
import socket
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from typing import Any

import msgpack
import pytest
from fluent.sender import FluentSender

from doors import OpenDoor, hall
from lexilog import Enriched, Pipeline, RelayError
from lexilog.forward.wire import Message, read_message
from lexilog.relay import Delivery, Refusal, Relay
from lexilog.relay.memory import MemoryRelay
from lexilog.service import forward as forward_module
from lexilog.service import incoming
from lexilog.service import intake as intake_module
from lexilog.service.forward import ForwardDoor
from lexilog.service.metrics import Counts
from lexilog.service.settings import ForwardDoorSettings

KEYS = ("log", "message")
KEY = "the-key-of-the-test"
SECONDS = 1_700_000_000
LIMIT = 1 << 20


class _Relay(MemoryRelay):
    """Fails as often as it is told, and waits while it is told to."""

    def __init__(self, failures: int = 0) -> None:
        super().__init__()
        self.failures = failures
        self.calls = 0
        self.go = asyncio.Event()
        self.go.set()

    async def deliver(self, batch: Sequence[Enriched]) -> Delivery:
        self.calls += 1
        await self.go.wait()
        if self.failures:
            self.failures -= 1
            # As a relay does that has handed on half of a batch.
            self.records.append(batch[0])
            raise RelayError("not now")
        return await super().deliver(batch)

    @property
    def lines(self) -> list[str | None]:
        return [enriched.record.line for enriched in self.records]


class _Refusing(Relay):
    """Takes a batch but for its first record, and says of two more that they are refused."""

    async def deliver(self, batch: Sequence[Enriched]) -> Delivery:
        return Delivery((Refusal(batch[0], "odd"),), unnamed=2, message="odd too")


class _Client:
    """A sender, written by hand."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self._unpacker = msgpack.Unpacker(unicode_errors="surrogateescape")

    async def send(self, message: Any) -> None:
        self.write(msgpack.packb(message, unicode_errors="surrogateescape"))
        await self.writer.drain()

    def write(self, data: bytes) -> None:
        self.writer.write(data)

    async def answer(self) -> Any:
        """Return what the door says next; None where it closes the connection."""
        async with asyncio.timeout(30):
            while True:
                try:
                    return self._unpacker.unpack()
                except msgpack.OutOfData:
                    try:
                        data = await self.reader.read(4096)
                    except ConnectionError:
                        return None
                    if not data:
                        return None
                    self._unpacker.feed(data)

    async def close(self) -> None:
        self.writer.close()
        try:
            await self.writer.wait_closed()
        except ConnectionError:
            return


class _Open(OpenDoor):
    """A door that is open, its counters, and senders."""

    def __init__(self, door: ForwardDoor, counts: Counts) -> None:
        super().__init__(door)
        self.door = door
        self.counts = counts
        self._clients: list[_Client] = []

    async def client(self) -> _Client:
        client = _Client(*await asyncio.open_connection("127.0.0.1", self.port))
        self._clients.append(client)
        return client

    async def close(self) -> None:
        for client in self._clients:
            await client.close()


@asynccontextmanager
async def _open(
    pipeline: Pipeline, relay: Relay, key: str | None = None, limit: int = LIMIT, grace: float = 5
) -> AsyncIterator[_Open]:
    counts = Counts()
    behind = hall(pipeline, relay, counts, KEYS)
    assert behind.intake
    settings = ForwardDoorSettings(max_receive_bytes=limit, shared_key=key)
    opened = _Open(ForwardDoor(settings, behind, behind.intake), counts)
    await opened.start()
    try:
        yield opened
    finally:
        await opened.stop(grace)
        await opened.close()


async def _until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.01)


def _run(test: Coroutine[Any, Any, None]) -> None:
    asyncio.run(test)


def _batch(*lines: str) -> list[Any]:
    return [[SECONDS + number, {"log": line}] for number, line in enumerate(lines)]


def _ids(relay: MemoryRelay) -> list[str | None]:
    return [enriched.record.id for enriched in relay.records]


def test_a_message_is_acknowledged_when_the_relay_has_it(pipeline: Pipeline) -> None:
    """Not before: until then the sender keeps it. Further messages come over the same connection."""

    async def run() -> None:
        relay = _Relay()
        relay.go.clear()
        async with _open(pipeline, relay) as opened:
            client = await opened.client()
            await client.send(["t", _batch("a", "b"), {"chunk": "one"}])
            await _until(lambda: relay.calls == 1)
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.1):
                    await client.answer()
            relay.go.set()
            assert await client.answer() == {"ack": "one"}
            await client.send(["t", [], {"chunk": b"\xfftwo"}])
            assert await client.answer() == {"ack": b"\xfftwo"}
            await client.send(["t", SECONDS, {"log": "c"}, {"chunk": "thr\udcffee"}])
            assert await client.answer() == {"ack": "thr\udcffee"}
            assert relay.lines == ["a", "b", "c"]
            assert [key.delivery for key, _ in opened.counts.items()] == ["relayed"]

    _run(run())


def test_what_is_not_taken_comes_again_under_the_same_ids(pipeline: Pipeline) -> None:
    """The connection is closed without an acknowledgement; the sender repeats the message, byte for byte."""

    async def run() -> None:
        relay = _Relay(failures=1)
        message = ["t", _batch("a", "b"), {"chunk": "one"}]
        async with _open(pipeline, relay) as opened:
            client = await opened.client()
            await client.send(message)
            assert await client.answer() is None
            again = await opened.client()
            await again.send(message)
            assert await again.answer() == {"ack": "one"}
            half, first, second = _ids(relay)
            assert half == first
            assert first != second
            await again.send(["t", _batch("a", "b"), {"chunk": "two"}])
            assert await again.answer() == {"ack": "two"}
            await again.send(["u", _batch("a", "b"), {"chunk": "one"}])
            assert await again.answer() == {"ack": "one"}
            assert len(set(_ids(relay))) == 6

    _run(run())


def test_what_nobody_else_has_is_held_until_it_is_taken(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sender that asks for no acknowledgement has forgotten its message; two equal ones are two records each."""
    monkeypatch.setattr(forward_module, "_PAUSE", 0.01)

    async def run() -> None:
        relay = _Relay(failures=3)
        async with _open(pipeline, relay) as opened:
            client = await opened.client()
            await client.send(["t", _batch("a", "b")])
            await _until(lambda: len(relay.records) == 5)
            assert relay.lines == ["a"] * 3 + ["a", "b"]
            assert len(set(_ids(relay))) == 2
            # Nobody but the door has them meanwhile: they are not returned, and they are counted once.
            assert [(key.delivery, count) for key, count in opened.counts.items()] == [("relayed", 2)]
            await client.send(["t", _batch("a", "b")])
            await _until(lambda: len(relay.records) == 7)
            assert len(set(_ids(relay))) == 4
            await client.send(["t", _batch("c"), {"chunk": "one"}])
            assert await client.answer() == {"ack": "one"}
            await opened.stop(5)
            assert opened.door.lost == 0

    _run(run())


def test_a_next_hop_that_names_a_time_is_left_alone_until_then(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is held is not tried again before the relay asks for it: each attempt may cost it work."""
    monkeypatch.setattr(forward_module, "_PAUSE", 0.01)

    class Away(_Relay):
        async def deliver(self, batch: Sequence[Enriched]) -> Delivery:
            self.calls += 1
            raise RelayError("full", retry_after=3600)

    async def run() -> None:
        relay = Away()
        async with _open(pipeline, relay) as opened:
            client = await opened.client()
            await client.send(["t", _batch("a")])
            await _until(lambda: relay.calls == 1)
            await asyncio.sleep(0.2)
            assert relay.calls == 1

    _run(run())


def test_messages_that_have_come_together_go_on_together(pipeline: Pipeline) -> None:
    """Clients that send each record by itself do not wait for the next hop each time; order and tags stay."""

    async def run() -> None:
        relay = _Relay()
        relay.go.clear()
        async with _open(pipeline, relay) as opened:
            client = await opened.client()
            await client.send(["t", SECONDS, {"log": "first"}])
            await _until(lambda: relay.calls == 1)
            for number in range(500):
                await client.send([f"t{number % 3}", SECONDS, {"log": str(number)}])
            await client.send(["t", SECONDS, {"log": "last"}, {"chunk": "one"}])
            relay.go.set()
            assert await client.answer() == {"ack": "one"}
            assert relay.lines == ["first", *map(str, range(500)), "last"]
            assert relay.calls <= 4
            assert len(set(_ids(relay))) == 502

    _run(run())


def test_a_large_message_goes_on_in_pieces(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory is bounded where a message is many tiny records: and they have the ids that they always have."""
    monkeypatch.setattr(intake_module, "_MOST_RECORDS", 100)
    monkeypatch.setattr(incoming, "_LARGE", 1000)

    async def run() -> None:
        relay, message = _Relay(), ["t", _batch(*map(str, range(1_050))), {"chunk": "one"}]
        async with _open(pipeline, relay) as opened:
            client = await opened.client()
            await client.send(message)
            assert await client.answer() == {"ack": "one"}
            assert (relay.calls, relay.lines) == (11, list(map(str, range(1_050))))
            await client.send(message)
            assert await client.answer() == {"ack": "one"}
            assert _ids(relay)[:1_050] == _ids(relay)[1_050:]
            assert len(set(_ids(relay))) == 1_050

    _run(run())


def test_a_chunk_whose_sender_has_gone_is_called_off(pipeline: Pipeline) -> None:
    """The sender will send it again: delivered late, it would only be there twice. It is counted as returned."""

    async def run() -> None:
        relay = _Relay()
        relay.go.clear()
        async with _open(pipeline, relay) as opened:
            for leave in ("eof", "abort"):
                client, before = await opened.client(), relay.calls
                await client.send(["t", _batch("a"), {"chunk": "one"}])
                await _until(lambda before=before: relay.calls > before)
                if leave == "eof":
                    client.writer.write_eof()
                    assert await client.answer() is None
                else:
                    client.writer.transport.abort()
                returned = 1 if leave == "eof" else 2
                await _until(lambda returned=returned: sum(count for _, count in opened.counts.items()) == returned)
            relay.go.set()
            assert {key.delivery for key, _ in opened.counts.items()} == {"returned"}
            again = await opened.client()
            await again.send(["t", _batch("a"), {"chunk": "one"}])
            assert await again.answer() == {"ack": "one"}
            assert relay.lines == ["a"]

    _run(run())


def test_what_nobody_else_has_is_not_called_off_when_its_sender_has_gone(pipeline: Pipeline) -> None:
    """Neither a message that is in work, nor one that has come behind a chunk that is called off."""

    async def run() -> None:
        relay = _Relay()
        relay.go.clear()
        async with _open(pipeline, relay) as opened:
            alone, both = await opened.client(), await opened.client()
            await alone.send(["t", _batch("a")])
            await both.send(["t", _batch("b"), {"chunk": "one"}])
            await _until(lambda: relay.calls == 2)
            await both.send(["t", _batch("c")])
            for client in (alone, both):
                await client.close()
            await _until(lambda: any(key.delivery == "returned" for key, _ in opened.counts.items()))
            relay.go.set()
            await _until(lambda: len(relay.records) == 2)
            await opened.stop(5)
            assert sorted(map(str, relay.lines)) == ["a", "c"]
            assert opened.door.lost == 0

    _run(run())


def test_a_sender_of_chunks_is_read_ahead_but_not_without_end(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What has come behind a chunk in work is taken in its turn, however much it is."""
    monkeypatch.setattr(incoming, "_AHEAD", 1_000)

    async def run() -> None:
        relay = _Relay()
        relay.go.clear()
        async with _open(pipeline, relay) as opened:
            client = await opened.client()
            for number in range(20):
                client.write(msgpack.packb(["t", _batch("x" * 20_000), {"chunk": str(number)}]))
            await _until(lambda: relay.calls == 1)
            await asyncio.sleep(0.1)
            [connection] = opened.door._connections.values()
            assert connection.incoming._stream.size < 200_000
            relay.go.set()
            assert [await client.answer() for _ in range(20)] == [{"ack": str(number)} for number in range(20)]
            assert len(relay.records) == 20

    _run(run())


@pytest.mark.parametrize(("options", "elsewhere"), [({"compressed": "gzip"}, True), ({}, False)])
def test_a_compressed_message_does_not_hold_up_others(
    options: dict[str, str], elsewhere: bool, pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However small it is it may be large inside, so it is cut into entries in a thread."""
    threads: list[bool] = []

    def read(data: bytes, max_bytes: int) -> Message:
        threads.append(threading.current_thread() is not threading.main_thread())
        return read_message(data, max_bytes)

    monkeypatch.setattr(incoming, "read_message", read)

    async def run() -> None:
        relay = _Relay()
        async with _open(pipeline, relay) as opened:
            client = await opened.client()
            packed = msgpack.packb([SECONDS, {"log": "a"}])
            packed = gzip.compress(packed) if options else packed
            await client.send(["t", packed, {"chunk": "one", **options}])
            assert await client.answer() == {"ack": "one"}
            assert (relay.lines, threads) == (["a"], [elsewhere])

    _run(run())


def test_a_sender_that_is_faster_than_the_relay_has_to_wait(pipeline: Pipeline) -> None:
    """Nothing is read while a message is in work, so what a sender can write ahead is what sockets hold."""

    async def run() -> None:
        relay = _Relay()
        relay.go.clear()
        async with _open(pipeline, relay, limit=16 << 20) as opened:
            connection = socket.create_connection(("127.0.0.1", opened.port))
            connection.setblocking(False)
            message = msgpack.packb(["t", _batch("x" * 100_000)])
            written, quiet = 0, 0
            while quiet < 10:
                try:
                    written += connection.send(message[written % len(message) :])
                    quiet = 0
                except BlockingIOError:
                    quiet += 1
                await asyncio.sleep(0.02)
                assert written < 64 << 20
            connection.close()
            relay.go.set()
            await _until(lambda: len(relay.records) == written // len(message))

    _run(run())


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", r"not the Forward protocol: b'GET / HTTP/1.1"),
        (b"\x16\x03\x01\x02", "not the Forward protocol"),
        (b"\x92\xa1t\xc1", "not msgpack"),
        (b"\x92\xa1t" + b"\x91" * 5_000, "not msgpack"),
        (msgpack.packb(["t", b"\xc1"]), "entry 0 is not whole"),
        (msgpack.packb([7, []]), "no tag"),
        (msgpack.packb(["t", b"x" * LIMIT]), "larger than 1048576 bytes"),
        (b"\x92\xa1t\xc6\x7f\xff\xff\xff" + b"x" * (LIMIT + 70_000), "larger than 1048576 bytes"),
        (msgpack.packb(["t", b"", {"compressed": "zstd", "chunk": "c"}]), "'zstd' is not known"),
        (msgpack.packb(["t", b"", {"fluent_signal": 1, "chunk": "c"}]), "only logs"),
    ],
)
def test_what_makes_no_sense_costs_its_own_sender_the_connection(
    data: bytes, problem: str, pipeline: Pipeline, caplog: pytest.LogCaptureFixture
) -> None:
    """It is logged once, with the sender's address; others do not notice."""

    async def run() -> None:
        relay = _Relay()
        async with _open(pipeline, relay) as opened:
            other, client = await opened.client(), await opened.client()
            await client.send(["t", _batch("before")])
            client.write(data)
            assert await client.answer() is None
            await other.send(["t", _batch("other"), {"chunk": "one"}])
            assert await other.answer() == {"ack": "one"}
            assert relay.lines == ["before", "other"]

    _run(run())
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert caplog.text.count("127.0.0.1:") == 1
    assert problem in caplog.text.replace("\\\\", "\\")


def test_a_message_that_makes_no_sense_costs_none_before_it(
    pipeline: Pipeline, caplog: pytest.LogCaptureFixture
) -> None:
    """What stood whole before it in the same bytes is delivered."""

    async def run() -> None:
        relay = _Relay()
        async with _open(pipeline, relay) as opened:
            client = await opened.client()
            client.write(msgpack.packb(["t", _batch("a")]) * 2 + msgpack.packb(["t"]))
            assert await client.answer() is None
            assert relay.lines == ["a", "a"]

    _run(run())
    assert "1 parts" in caplog.text


def test_a_sender_that_vanishes_in_mid_message_is_told_of(pipeline: Pipeline, caplog: pytest.LogCaptureFixture) -> None:
    """What came of the message is no record."""

    async def run() -> None:
        relay = _Relay()
        async with _open(pipeline, relay) as opened:
            client = await opened.client()
            client.write(msgpack.packb(["t", _batch("a", "b")])[:-1])
            client.writer.write_eof()
            assert await client.answer() is None
            assert relay.records == []

    _run(run())
    assert "in the middle of a message" in caplog.text


def test_a_message_that_does_not_go_on_is_given_up(
    pipeline: Pipeline, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sender that has begun has to go on; one that is silent between messages may be so for ever."""
    monkeypatch.setattr(incoming, "_PROGRESS_TIMEOUT", 0.05)

    async def run() -> None:
        async with _open(pipeline, MemoryRelay()) as opened:
            idle, slow = await opened.client(), await opened.client()
            slow.write(b"\x92")
            assert await slow.answer() is None
            await asyncio.sleep(0.1)
            await idle.send(["t", _batch("a"), {"chunk": "one"}])
            assert await idle.answer() == {"ack": "one"}

    _run(run())
    assert "too little came for too long" in caplog.text


@pytest.mark.parametrize("key", [None, KEY])
def test_a_connection_without_a_byte_is_silent(
    key: str | None, pipeline: Pipeline, caplog: pytest.LogCaptureFixture
) -> None:
    """Fluentd looks that way whether a server is alive, and nil is a sign of life too."""
    caplog.set_level(logging.DEBUG, "lexilog")

    async def run() -> None:
        async with _open(pipeline, MemoryRelay(), key) as opened:
            caplog.clear()
            client = await opened.client()
            await client.close()
            if key is None:
                other = await opened.client()
                await other.send(None)
                await other.send(["t", _batch("a"), {"chunk": "one"}])
                assert await other.answer() == {"ack": "one"}

    _run(run())
    assert caplog.records == []


def test_records_that_are_refused_for_good_are_acknowledged(
    pipeline: Pipeline, caplog: pytest.LogCaptureFixture
) -> None:
    """The sender could do nothing about them; it is logged."""

    async def run() -> None:
        async with _open(pipeline, _Refusing()) as opened:
            client = await opened.client()
            await client.send(["t", _batch("a", "b", "c"), {"chunk": "one"}])
            assert await client.answer() == {"ack": "one"}

    _run(run())
    assert "refused 3 of 3 records for good: odd" in caplog.text


def test_an_entry_that_is_none_costs_no_other(pipeline: Pipeline) -> None:
    """It passes with what it holds, and what is wrong with it."""

    async def run() -> None:
        relay = _Relay()
        async with _open(pipeline, relay) as opened:
            client = await opened.client()
            await client.send(["t", [*_batch("a"), "junk", *_batch("b")], {"chunk": "one"}])
            assert await client.answer() == {"ack": "one"}
            assert relay.lines == ["a", "\udca4junk", "b"]
            assert [enriched.record.problem is None for enriched in relay.records] == [True, False, True]

    _run(run())


def _digest(*parts: str) -> str:
    return hashlib.sha512("".join(parts).encode()).hexdigest()


async def _shake_hands(client: _Client, key: str) -> Any:
    name, options = await client.answer()
    assert name == "HELO"
    await client.send(["PING", "agent", "salt", _digest("salt", "agent", options["nonce"], key), "", ""])
    pong = await client.answer()
    if pong[1]:
        assert pong[4] == _digest("salt", pong[3], options["nonce"], key)
    return pong


def test_a_sender_with_the_key_is_let_in(pipeline: Pipeline) -> None:
    """Each side proves that it has it, and each connection has a nonce of its own."""

    async def run() -> None:
        relay = _Relay()
        async with _open(pipeline, relay, KEY) as opened:
            client, other = await opened.client(), await opened.client()
            assert (await _shake_hands(client, KEY))[:3] == ["PONG", True, ""]
            await client.send(["t", _batch("x" * 100_000), {"chunk": "one"}])
            assert await client.answer() == {"ack": "one"}
            first, second = await (await opened.client()).answer(), await other.answer()
            assert first[1]["nonce"] != second[1]["nonce"]

    _run(run())


def test_a_sender_without_the_key_is_turned_away(pipeline: Pipeline, caplog: pytest.LogCaptureFixture) -> None:
    """It hears why; nothing that it sends is taken; and no secret is in the log."""

    async def run() -> None:
        relay = _Relay()
        async with _open(pipeline, relay, KEY) as opened:
            client = await opened.client()
            assert await _shake_hands(client, "another") == ["PONG", False, "shared key mismatch", "", ""]
            assert await client.answer() is None
            for message in (["t", _batch("a"), {"chunk": "one"}], ["t", SECONDS, {"log": "b"}]):
                client = await opened.client()
                assert (await client.answer())[0] == "HELO"
                await client.send(message)
                answer = await client.answer()
                assert answer is None or answer[1] is False
            client = await opened.client()
            client.write(b"\x93\xa1t\xc6\x00\x10\x00\x00" + b"x" * 200_000)
            assert (await client.answer())[0] == "HELO"
            assert await client.answer() is None
            assert relay.records == []

    _run(run())
    assert caplog.text.count("check shared_key on both sides") == 3
    assert caplog.text.count("larger than 65536 bytes") == 1
    assert KEY not in caplog.text


def test_a_handshake_that_does_not_end_is_given_up(
    pipeline: Pipeline, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A connection cannot be kept without the key."""
    monkeypatch.setattr(forward_module, "_HANDSHAKE_TIMEOUT", 0.05)

    async def run() -> None:
        async with _open(pipeline, MemoryRelay(), KEY) as opened:
            client = await opened.client()
            assert (await client.answer())[0] == "HELO"
            assert await client.answer() is None

    _run(run())
    assert "of the handshake" in caplog.text


def test_a_stop_finishes_what_is_in_work(pipeline: Pipeline) -> None:
    """The message is acknowledged, idle senders are let go, and nobody is let in any more."""

    async def run() -> None:
        relay = _Relay()
        relay.go.clear()
        async with _open(pipeline, relay) as opened:
            idle, busy, half = await opened.client(), await opened.client(), await opened.client()
            await busy.send(["t", _batch("a"), {"chunk": "one"}])
            half.write(b"\x92")
            await _until(lambda: relay.calls == 1)
            stop = asyncio.create_task(opened.stop(30))
            assert await idle.answer() is None
            assert await half.answer() is None
            with pytest.raises(ConnectionError):
                await opened.client()
            relay.go.set()
            assert await busy.answer() == {"ack": "one"}
            assert await busy.answer() is None
            await stop
            assert opened.door.lost == 0

    _run(run())


def test_a_stop_says_how_many_records_are_lost(pipeline: Pipeline, caplog: pytest.LogCaptureFixture) -> None:
    """Records that their senders have forgotten are held until the end of the grace, and then counted."""

    async def run() -> None:
        relay = _Relay(failures=1_000)
        async with _open(pipeline, relay, grace=0.1) as opened:
            client, other = await opened.client(), await opened.client()
            await client.send(["t", _batch("a", "b")])
            await _until(lambda: relay.calls >= 1)
            client.write(msgpack.packb(["t", _batch("c")]) * 3)
            await other.send(["t", _batch("d"), {"chunk": "one"}])
            assert await other.answer() is None
            await opened.stop(0.1)
            assert opened.door.lost == 2
            await opened.stop(0.1)

    _run(run())
    assert "2 records are lost" in caplog.text


def test_a_stop_counts_what_had_come_with_it(
    pipeline: Pipeline, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whole messages that were read together with the one in work are not forgotten in the count."""
    monkeypatch.setattr(forward_module, "_MOST_RECORDS", 2)

    async def run() -> None:
        relay = _Relay(failures=1_000)
        async with _open(pipeline, relay) as opened:
            client = await opened.client()
            client.write(msgpack.packb(["t", _batch("a", "b")]) * 2 + msgpack.packb(["t", _batch("c"), {"chunk": "c"}]))
            await _until(lambda: relay.calls >= 1)
            await opened.stop(0.05)
            assert opened.door.lost == 4

    _run(run())
    assert "4 records are lost" in caplog.text


def test_a_delivery_that_hangs_does_not_hold_up_a_stop(pipeline: Pipeline) -> None:
    """It is called off at the end of the grace, and its sender hears nothing."""

    async def run() -> None:
        relay = _Relay()
        relay.go.clear()
        async with _open(pipeline, relay) as opened:
            client = await opened.client()
            await client.send(["t", _batch("a"), {"chunk": "one"}])
            await _until(lambda: relay.calls == 1)
            await opened.stop(0.05)
            assert await client.answer() is None
            assert (relay.records, opened.door.lost) == ([], 0)

    _run(run())


@pytest.mark.parametrize("nanoseconds", [False, True])
def test_the_logger_of_the_fluent_project_is_understood(nanoseconds: bool, pipeline: Pipeline) -> None:
    """The real client library sends each record in a message of its own, and keeps it until it can connect."""

    async def run() -> None:
        relay = _Relay()
        async with _open(pipeline, relay) as opened:

            def send() -> None:
                with FluentSender(
                    "app", host="127.0.0.1", port=opened.port, nanosecond_precision=nanoseconds
                ) as sender:
                    for number in range(50):
                        assert sender.emit_with_time("vpn", SECONDS + 0.5, {"message": f"line {number}", "n": number})

            await asyncio.to_thread(send)
            await _until(lambda: len(relay.records) == 50)
            assert relay.lines == [f"line {number}" for number in range(50)]
            for enriched in relay.records:
                origin: Any = enriched.record.origin
                assert origin.tag == "app.vpn"
                assert enriched.record.time is not None
                assert enriched.record.time.timestamp() == SECONDS + 0.5

    _run(run())
