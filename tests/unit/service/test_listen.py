"""The ports, over real sockets: how many are let in, who is sent away, and that others are served meanwhile."""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
from contextlib import AsyncExitStack
from typing import Any, cast

import grpc.aio
import pytest

from house import (
    ENRICH,
    HEALTH,
    House,
    Raw,
    call,
    channel,
    chunk_of,
    coming_from,
    enrich_of,
    house,
    raw,
    session,
    silent_socket,
    until,
)
from lexilog import Pipeline, SettingsError
from lexilog.service import forward, listen
from lexilog.service.door import Door
from lexilog.service.grpc_server import GrpcServer
from lexilog.service.http import HttpDoor
from lexilog.service.listen import Listener, accept, bind
from lexilog.service.metrics import Counts
from lexilog.service.settings import DoorSettings

DOORS = ("grpc", "http", "forward")
OTHER = "127.0.0.2"


async def _is_served(there: House, door: str, host: str = "127.0.0.1") -> bool:
    """Return whether a client from a host that asks something of a door is answered."""
    port = there.ports[door]
    if door == "grpc":
        async with coming_from(host, port) as passed, channel(passed) as to:
            return isinstance(await call(to, ENRICH, enrich_of("x")), bytes)
    if door == "http":
        async with session(host) as client, client.post(f"http://127.0.0.1:{port}/v1/enrich", data=b'"x"') as answer:
            return answer.status == 200
    async with raw(port, host) as client:
        client.writer.write(chunk_of("1", "x"))
        return await client.answer() == {"ack": "1"}


async def _is_open(client: Raw) -> bool:
    """Return whether a connection stands: whether it is still so when the door has had time to close it."""
    try:
        async with asyncio.timeout(0.1):
            return await client.reader.read(1) != b""
    except TimeoutError:
        return True
    except ConnectionError:
        return False


@pytest.mark.parametrize("door", DOORS)
def test_no_more_connections_than_the_limit(pipeline: Pipeline, door: str) -> None:
    """Whoever comes then is sent away at once, from wherever; when one is closed there is room again."""

    async def run() -> None:
        async with house(pipeline, **{door: {"max_connections": 3}}) as there, AsyncExitStack() as stack:
            port = there.ports[door]
            standing = [await stack.enter_async_context(raw(port)) for _ in range(3)]
            await until(lambda: there.metric("connections", door=door) == 3)
            async with raw(port, OTHER) as one_more:
                assert await one_more.rest() == b""
            assert there.refused(door, "connections") == 1
            for client in standing:
                assert await _is_open(client), "it was there first"
            standing[0].writer.close()
            await until(lambda: there.metric("connections", door=door) == 2)
            assert await _is_served(there, door, OTHER)
            assert there.refused(door, "connections") == 1
            await stack.aclose()
            await there.at_rest()

    asyncio.run(run())


@pytest.mark.parametrize("door", DOORS)
def test_no_more_connections_of_a_host_than_its_limit(pipeline: Pipeline, door: str) -> None:
    """Another host is let in meanwhile, and is served."""

    async def run() -> None:
        async with house(pipeline, **{door: {"max_connections_per_host": 2}}) as there, AsyncExitStack() as stack:
            port = there.ports[door]
            for _ in range(2):
                await stack.enter_async_context(raw(port))
            await until(lambda: there.metric("connections", door=door) == 2)
            async with raw(port) as one_more:
                assert await one_more.rest() == b""
            assert there.refused(door, "connections_per_host") == 1
            assert await _is_served(there, door, OTHER)
            await stack.aclose()
            await there.at_rest()
            assert await _is_served(there, door)
            assert there.refused(door, "connections_per_host") == 1

    asyncio.run(run())


@pytest.mark.parametrize(("door", "kind"), [("grpc", GrpcServer), ("http", HttpDoor)])
def test_who_says_nothing_is_sent_away(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch, door: str, kind: type[Door]
) -> None:
    """After a while, and counted; while many such connections stand others are served."""
    # Long enough for all of them to connect, also on a busy machine.
    monkeypatch.setattr(kind, "silence", 3.0)

    async def run() -> None:
        async with house(pipeline, **{door: {}}) as there, AsyncExitStack() as stack:
            silent = [await stack.enter_async_context(raw(there.ports[door])) for _ in range(20)]
            await until(lambda: there.metric("connections", door=door) == 20)
            assert await _is_served(there, door)
            assert await asyncio.gather(*(client.rest() for client in silent)) == [b""] * 20
            assert there.refused(door, "silence") == 20
            await there.at_rest()

    asyncio.run(run())


@pytest.mark.parametrize(
    ("door", "kind", "words"),
    [("grpc", GrpcServer, b"PRI * HTTP"), ("http", HttpDoor, b"POST /v1/enrich HTTP/1.1\r\nHost: x\r\n")],
)
def test_who_begins_and_says_no_more_is_sent_away(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch, door: str, kind: type[Door], words: bytes
) -> None:
    """A part of a greeting, or of a request's head, is no reason to be kept for ever."""
    monkeypatch.setattr(kind, "silence", 0.2)

    async def run() -> None:
        async with house(pipeline, **{door: {}}) as there, raw(there.ports[door]) as client:
            client.writer.write(words)
            await client.rest()
            assert there.refused(door, "silence") == 1
            await there.at_rest()

    asyncio.run(run())


def test_forward_senders_may_be_silent(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    """A firewall at night logs nothing for hours. With a shared key a sender that does not answer is sent away."""
    monkeypatch.setattr(forward, "_HANDSHAKE_TIMEOUT", 0.2)

    async def run() -> None:
        async with house(pipeline, forward={}) as there, raw(there.ports["forward"]) as client:
            await asyncio.sleep(0.3)
            client.writer.write(chunk_of("1", "x"))
            assert await client.answer() == {"ack": "1"}
        async with house(pipeline, forward={"shared_key": "k"}) as there, raw(there.ports["forward"]) as client:
            assert b"HELO" in await client.rest()
            assert there.refused("forward", "silence") == 1

    asyncio.run(run())


def test_forward_without_the_shared_key(pipeline: Pipeline, caplog: pytest.LogCaptureFixture) -> None:
    """A message instead of the handshake is refused and counted, and nothing of it is taken."""

    async def run() -> None:
        async with house(pipeline, forward={"shared_key": "the-key-of-the-test"}) as there:
            async with raw(there.ports["forward"]) as client:
                await client.ask(chunk_of("1", "x"))
            await until(lambda: there.refused("forward", "shared_key"))
            assert there.relay.lines == []

    asyncio.run(run())
    assert "the-key-of-the-test" not in caplog.text


FOREIGN = {
    "http/1": b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "http/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0",
    "tls": bytes.fromhex("16030100050100000100"),
    "forward": chunk_of("1", "x"),
    "zeros": bytes(1000),
    "random": bytes((number * 197 + 31) % 256 for number in range(5000)),
}


@pytest.mark.parametrize(
    ("door", "what", "reason"),
    [
        *(("grpc", what, "not_http2") for what in FOREIGN if what != "http/2"),
        *(("http", what, "not_http") for what in FOREIGN if what != "http/1"),
        *(("forward", what, "not_forward") for what in FOREIGN if what != "forward"),
    ],
)
def test_another_protocol_on_a_port(pipeline: Pipeline, door: str, what: str, reason: str) -> None:
    """It is refused, counted and closed; others are served after it."""

    async def run() -> None:
        async with house(pipeline, **{door: {}}) as there:
            async with raw(there.ports[door]) as client:
                said = await client.ask(FOREIGN[what])
            if door == "grpc":
                assert said.startswith(b"HTTP/1.1 426 "), "a browser understands that, and says so"
            if door == "http":
                assert said.startswith((b"HTTP/1.0 400 ", b"HTTP/1.1 400 "))
            await until(lambda: there.refused(door, reason) == 1)
            assert there.relay.lines == []
            assert await _is_served(there, door)
            await there.at_rest()

    asyncio.run(run())


def test_the_greeting_of_http2_may_come_byte_by_byte(pipeline: Pipeline) -> None:
    """What came before the door knew what it is reaches gRPC as well: it answers with its settings."""

    async def run() -> None:
        async with house(pipeline, grpc={}) as there, raw(there.ports["grpc"]) as client:
            for byte in FOREIGN["http/2"]:
                client.writer.write(bytes([byte]))
                await asyncio.sleep(0)
            async with asyncio.timeout(20):
                head = await client.reader.readexactly(9)
            assert head[3] == 4, "the first frame is SETTINGS (RFC 9113, section 3.4)"

    asyncio.run(run())


def test_bytes_are_counted_as_they_come(pipeline: Pipeline) -> None:
    """All that a door reads is in its counter."""

    async def run() -> None:
        async with house(pipeline, forward={}) as there, raw(there.ports["forward"]) as client:
            message = chunk_of("1", "x" * 100_000)
            client.writer.write(message)
            assert await client.answer() == {"ack": "1"}
            assert there.metric("received_bytes_total", door="forward") == len(message)

    asyncio.run(run())


def test_health_is_served_where_connections_stand(pipeline: Pipeline) -> None:
    """Connections that wait in the middle of a greeting do not hold gRPC up."""

    async def run() -> None:
        async with house(pipeline, grpc={}) as there, AsyncExitStack() as stack:
            for _ in range(50):
                client = await stack.enter_async_context(raw(there.ports["grpc"]))
                client.writer.write(b"PRI * HT")
            async with channel(there.ports["grpc"]) as to:
                answer = await call(to, HEALTH)
                assert not isinstance(answer, grpc.aio.AioRpcError)

    asyncio.run(run())


def test_where_there_is_no_room_for_connections_it_goes_on_later(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The limit of open files is reached: the log says so, nothing spins, and later connections are accepted again."""
    taken: list[str] = []
    calls = 0

    async def sock_accept(_listening: Any) -> tuple[Any, None]:
        """A double of the event loop's: has no room, then a client that has gone, then one that is there."""
        nonlocal calls
        calls += 1
        if calls == 1:
            raise OSError(errno.EMFILE, "Too many open files")
        if calls == 2:
            raise OSError(errno.ECONNABORTED, "gone")
        if calls == 3:
            return "a connection", None
        await asyncio.sleep(3600)
        raise AssertionError

    async def take(connection: Any) -> None:
        taken.append(connection)

    async def run() -> None:
        monkeypatch.setattr(asyncio.get_running_loop(), "sock_accept", sock_accept)
        task = asyncio.create_task(accept(cast(socket.socket, None), take))
        await until(lambda: taken)
        task.cancel()
        await asyncio.wait([task])

    monkeypatch.setattr(listen, "_PAUSE", 0.05)
    asyncio.run(run())
    assert taken == ["a connection"]
    assert "raise the limit of open files" in caplog.text
    assert len(caplog.records) == 1


def test_a_stop_closes_connections_that_have_only_just_come() -> None:
    """A connection whose handshake has not even begun is closed too, and counted as gone."""

    async def run() -> None:
        counts = Counts()
        listener = Listener("http", DoorSettings(listen=""), lambda _host: asyncio.Protocol(), counts)
        sockets = bind("127.0.0.1:0", "here")
        client = silent_socket(sockets[0].getsockname()[1])
        ours, _ = await asyncio.get_running_loop().sock_accept(sockets[0])
        with client, sockets[0]:
            await listener.take(ours)
            await listener.close()
            client.settimeout(10)
            assert await asyncio.to_thread(client.recv, 1) == b""
        assert counts.metrics.registry.get_sample_value("lexilog_connections", {"door": "http"}) == 0

    asyncio.run(run())


def test_a_client_that_has_gone_before_it_was_let_in(pipeline: Pipeline) -> None:
    """It costs nothing, and leaves nothing behind."""

    async def run() -> None:
        async with house(pipeline, **{door: {} for door in DOORS}) as there:
            for door in DOORS:
                for _ in range(20):
                    client = silent_socket(there.ports[door])
                    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                    client.close()
                assert await _is_served(there, door)
            await there.at_rest()

    asyncio.run(run())


def test_an_address_that_is_taken() -> None:
    """The error names the setting, the address and the reason."""
    sockets = bind("127.0.0.1:0", "doors.http.listen")
    address = f"127.0.0.1:{sockets[0].getsockname()[1]}"
    try:
        with pytest.raises(SettingsError, match=rf"doors\.http\.listen: {address}: cannot be bound: Address already"):
            bind(address, "doors.http.listen")
    finally:
        for one in sockets:
            one.close()


@pytest.mark.parametrize("address", ["no-such-host.invalid:1", "192.0.2.1:0", "127.0.0.1:1:1", "nonsense", "x:99999"])
def test_an_address_that_cannot_be_bound(address: str) -> None:
    """The error names setting and address."""
    with pytest.raises(SettingsError, match=r"doors\.grpc\.listen.*" + address):
        bind(address, "doors.grpc.listen")


def test_a_name_is_bound_on_every_address_that_it_has() -> None:
    """All with the same port, where any will do."""
    sockets = bind("localhost:0", "doors.http.listen")
    try:
        assert len({one.getsockname()[1] for one in sockets}) == 1
        assert sockets[0].getsockname()[1] != 0
    finally:
        for one in sockets:
            one.close()


def test_a_refused_connection_is_logged_with_who_and_why(pipeline: Pipeline, caplog: pytest.LogCaptureFixture) -> None:
    """Whoever reads the log knows what to mend."""

    async def run() -> None:
        async with (
            house(pipeline, http={"max_connections_per_host": 1}) as there,
            raw(there.ports["http"]),
            raw(there.ports["http"]) as second,
        ):
            assert await second.rest() == b""

    with caplog.at_level(logging.WARNING):
        asyncio.run(run())
    assert (
        "http: a connection from 127.0.0.1 is not let in: it has 1 open, which is max_connections_per_host"
        in caplog.text
    )
