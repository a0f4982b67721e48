"""Accepting connections: nothing ends it, hosts are told apart, and who is refused is told why."""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest
import trustme

from certificates import Files, client_context
from house import house, silent_socket, until
from lexilog import Pipeline
from lexilog.service import listen
from lexilog.service.listen import Listener, accept, bind
from lexilog.service.metrics import Counts
from lexilog.service.ports import Ports
from lexilog.service.settings import Doors, DoorSettings, HttpDoorSettings
from lexilog.service.tls import Tls

_Context = Callable[[], ssl.SSLContext | None]


class _Door:
    """A listener, and who was let in."""

    def __init__(self, context: _Context = lambda: None) -> None:
        self.counts = Counts()
        self.hosts: list[str] = []
        self.listener = Listener("http", DoorSettings(listen=""), self._make, self.counts, context=context)

    def _make(self, host: str) -> asyncio.Protocol:
        self.hosts.append(host)
        return asyncio.Protocol()

    @property
    def connections(self) -> float | None:
        return self.counts.metrics.registry.get_sample_value("lexilog_connections", {"door": "http"})


async def _accepted(listening: socket.socket) -> socket.socket:
    connection, _ = await asyncio.get_running_loop().sock_accept(listening)
    return connection


async def _take_nobody(_door: str, _connection: socket.socket) -> None:
    raise AssertionError("nobody comes")


def test_a_connection_that_cannot_be_handed_on_costs_no_other(caplog: pytest.LogCaptureFixture) -> None:
    """It is closed and logged, and the next one is taken."""
    taken: list[socket.socket] = []
    sockets = bind("127.0.0.1:0", "here")
    port = sockets[0].getsockname()[1]

    async def take(connection: socket.socket) -> None:
        taken.append(connection)
        if len(taken) == 1:
            raise OSError(errno.EINVAL, "Invalid argument")

    async def run() -> None:
        task = asyncio.create_task(accept(sockets[0], take))
        with silent_socket(port) as first, silent_socket(port):
            assert await asyncio.to_thread(first.recv, 1) == b""
            await until(lambda: len(taken) == 2)
        task.cancel()
        await asyncio.wait([task])

    with sockets[0]:
        asyncio.run(run())
    taken[1].close()
    assert "Invalid argument" in caplog.text


@pytest.mark.parametrize("number", [errno.ECONNABORTED, errno.EBADF, errno.EMFILE])
def test_an_error_that_stays_holds_nothing_up(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """Whatever accept says, and however often: everything else goes on."""
    calls = 0

    async def sock_accept(_listening: Any) -> None:
        """A double of the event loop's: fails at once, as that one does."""
        nonlocal calls
        calls += 1
        assert calls < 10_000, "nobody else comes to anything"
        raise OSError(number, "it stays")

    async def run() -> None:
        monkeypatch.setattr(asyncio.get_running_loop(), "sock_accept", sock_accept)
        task = asyncio.create_task(accept(cast(socket.socket, None), cast(Any, None)))
        for _ in range(100):
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert calls > 0

    asyncio.run(run())


def test_an_error_that_nobody_knows_is_logged(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A port that takes nobody any more says so, and tries again after a pause."""
    monkeypatch.setattr(listen, "_PAUSE", 0.01)
    one = socket.socket()
    one.setblocking(False)

    async def run() -> None:
        task = asyncio.create_task(accept(one, cast(Any, None)))
        await until(lambda: len(caplog.records) >= 2)
        task.cancel()
        await asyncio.wait([task])

    with one:
        asyncio.run(run())
    assert "connections cannot be accepted: Invalid argument" in caplog.text


def test_accepting_that_ends_is_logged(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """It should never; where it does the log names the door, and why."""

    async def fails(_listening: Any, _take: Any) -> None:
        """A double of `accept` that ends."""
        raise ValueError("it has ended")

    monkeypatch.setattr("lexilog.service.ports.accept", fails)

    async def run() -> None:
        ports = Ports()
        ports.bind(Doors(grpc=None, http=HttpDoorSettings(listen="127.0.0.1:0")))
        ports.accept(_take_nobody)
        await until(lambda: caplog.records)
        await ports.close()

    asyncio.run(run())
    assert "http: no more connections are accepted" in caplog.text
    assert "it has ended" in caplog.text


def test_a_stop_of_accepting_is_no_error(caplog: pytest.LogCaptureFixture) -> None:
    """The log says nothing of it."""

    async def run() -> None:
        ports = Ports()
        ports.bind(Doors(grpc=None, http=HttpDoorSettings(listen="127.0.0.1:0")))
        ports.accept(_take_nobody)
        await asyncio.sleep(0)
        await ports.close()
        await asyncio.sleep(0)

    asyncio.run(run())
    assert caplog.records == []


def test_a_connection_that_has_gone_before_it_was_accepted_is_no_host() -> None:
    """Such connections are closed at once: as one host they would shut each other out."""

    async def run() -> None:
        there, sockets = _Door(), bind("127.0.0.1:0", "here")
        with sockets[0], silent_socket(sockets[0].getsockname()[1]) as client:
            ours = await _accepted(sockets[0])
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            client.close()
            await until(lambda: not _has_peer(ours))
            await there.listener.take(ours)
            assert ours.fileno() == -1
            assert (there.connections or 0) == 0

    asyncio.run(run())


def _has_peer(connection: socket.socket) -> bool:
    try:
        connection.getpeername()
    except OSError:
        return False
    return True


def test_a_context_that_fails_costs_one_connection(caplog: pytest.LogCaptureFixture) -> None:
    """It is closed, logged, and counted as gone."""

    def context() -> ssl.SSLContext | None:
        raise ValueError("no certificate today")

    async def run() -> None:
        there, sockets = _Door(context), bind("127.0.0.1:0", "here")
        with sockets[0], silent_socket(sockets[0].getsockname()[1]) as client:
            await there.listener.take(await _accepted(sockets[0]))
            assert await asyncio.to_thread(client.recv, 1) == b""
            assert there.connections == 0

    asyncio.run(run())
    assert "no certificate today" in caplog.text


class _From:
    """Of a connection, where it comes from."""

    def __init__(self, address: str) -> None:
        self._address = address

    def getpeername(self) -> tuple[str, int]:
        return self._address, 1


@pytest.mark.parametrize(
    ("address", "host"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("::1", "::1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::", "2001:db8:1:2::/64"),
        ("2001:db8:1:3::", "2001:db8:1:3::/64"),
        ("fe80::1%eth0", "fe80::/64"),
    ],
)
def test_what_a_host_is(address: str, host: str) -> None:
    """Of IPv6 a network of 64 bits: who has one address of it has all, and would be as many clients."""
    assert listen._host(cast(socket.socket, _From(address))) == host


def test_the_system_finds_out_about_clients_that_have_vanished() -> None:
    """It asks after a minute of silence, and gives a connection up after four questions."""

    async def run() -> None:
        there, sockets = _Door(), bind("127.0.0.1:0", "here")
        with sockets[0], silent_socket(sockets[0].getsockname()[1]):
            ours = await _accepted(sockets[0])
            await there.listener.take(ours)
            assert ours.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
            told = {name: ours.getsockopt(socket.IPPROTO_TCP, getattr(socket, name)) for name in listen._KEEP_ALIVE}
            assert told == {"TCP_KEEPIDLE": 60, "TCP_KEEPINTVL": 15, "TCP_KEEPCNT": 4}
            await there.listener.close()

    asyncio.run(run())


def test_who_is_refused_is_logged_under_a_key_of_its_own(pipeline: Pipeline, caplog: pytest.LogCaptureFixture) -> None:
    """Port, reason and host: the log says each of them once a minute."""

    async def run() -> None:
        async with house(pipeline, http={"max_connections": 1}) as there:
            port = there.ports["http"]
            with silent_socket(port), silent_socket(port) as second, silent_socket(port, "127.0.0.2") as third:
                for client in (second, third):
                    assert await asyncio.to_thread(client.recv, 1) == b""

    with caplog.at_level(logging.WARNING):
        asyncio.run(run())
    keys = {getattr(record, "once", None) for record in caplog.records if "is not let in" in record.getMessage()}
    assert keys == {"http connections 127.0.0.1", "http connections 127.0.0.2"}


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_who_fails_in_the_handshake_is_told_why(tmp_path: Path, version: ssl.TLSVersion) -> None:
    """By TLS's own alert: a client without a certificate says so, and not just that the connection ended."""
    authority = trustme.CA()
    files = Files(tmp_path, authority)
    files.trust(authority)

    def ask(port: int) -> None:
        context = client_context(authority)
        context.minimum_version = context.maximum_version = version
        with silent_socket(port) as plain, context.wrap_socket(plain, server_hostname="localhost") as client:
            client.recv(1)

    async def run() -> None:
        tls = Tls("http", files.settings(), (), Counts())
        there, sockets = _Door(lambda: tls.context), bind("127.0.0.1:0", "here")
        with sockets[0]:
            task = asyncio.create_task(accept(sockets[0], there.listener.take))
            with pytest.raises(ssl.SSLError, match="ALERT"):
                await asyncio.to_thread(ask, sockets[0].getsockname()[1])
            task.cancel()
            await asyncio.wait([task])
            await there.listener.close()

    asyncio.run(run())
