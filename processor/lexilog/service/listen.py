"""The ports: connections are accepted, bounded in number, encrypted and counted here, before a door sees them.

gRPC's own server tells nobody of a failed handshake, and has no limit on connections. So all ports are opened here, and
it sits behind one of them (`lexilog.service.grpc_server`).
"""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
import ssl
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from ipaddress import IPv6Address, IPv6Network, ip_address
from typing import Any, cast

from lexilog.errors import SettingsError
from lexilog.service.metrics import Counts
from lexilog.service.settings import DoorSettings, read_address

__all__ = ["Listener", "accept", "bind"]

# Connections that the system keeps until they are accepted.
_BACKLOG = 1024
# Seconds for a TLS handshake.
_HANDSHAKE = 10.0
# Seconds for clients to take what has been said to them, once a door is closed.
_LAST_WORDS = 1.0
# Seconds until another attempt, where no connection can be accepted.
_PAUSE = 1.0
# Seconds of silence until the system asks, seconds between two questions, and how many go unanswered.
_KEEP_ALIVE = {"TCP_KEEPIDLE": 60, "TCP_KEEPINTVL": 15, "TCP_KEEPCNT": 4}
# The connection has gone before it was accepted.
_GONE = (errno.ECONNABORTED, errno.EPROTO)
_NO_ROOM = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
# How OpenSSL says that what came is not TLS.
_NOT_TLS = (
    "HTTP_REQUEST",
    "WRONG_VERSION_NUMBER",
    "HTTPS_PROXY_REQUEST",
    "RECORD_LAYER_FAILURE",
    "PACKET_LENGTH_TOO_LONG",
)

_log = logging.getLogger(__name__)
_Protocol = asyncio.Protocol


def bind(listen: str, what: str) -> list[socket.socket]:
    """Open an address, on every IP version that it has.

    Args:
        listen: host and port; port 0 is any that is free, an empty host every address of this machine.
        what: what errors call it.

    Raises:
        SettingsError: the address cannot be bound.
    """
    host, port = read_address(listen, what)
    sockets: list[socket.socket] = []
    try:
        for family, kind, protocol, _, address in dict.fromkeys(
            socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        ):
            one = socket.socket(family, kind, protocol)
            sockets.append(one)
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            # Every IP version gets the same port, where any will do.
            one.bind((address[0], sockets[0].getsockname()[1] or port, *address[2:]))
            one.listen(_BACKLOG)
            one.setblocking(False)
    except (OSError, UnicodeError) as error:
        for one in sockets:
            one.close()
        why = getattr(error, "strerror", None) or error
        raise SettingsError(f"{what}: {listen}: cannot be bound: {why}") from error
    return sockets


async def accept(listening: socket.socket, take: Callable[[socket.socket], Awaitable[None]]) -> None:
    """Accept connections and hand each on, for ever. One that cannot be handed on is closed."""
    loop = asyncio.get_running_loop()
    while True:
        try:
            connection, _ = await loop.sock_accept(listening)
        except OSError as error:
            await _pause(error)
            continue
        try:
            await take(connection)
        except Exception:  # one connection must not cost all others
            _log.exception("a connection is closed: it cannot be let in")
            connection.close()


async def _pause(error: OSError) -> None:
    if error.errno in _GONE:
        # The event loop tries at once, so it would not come to anything else.
        await asyncio.sleep(0)
        return
    advice = "; raise the limit of open files" if error.errno in _NO_ROOM else ""
    _log.error("connections cannot be accepted: %s%s", error.strerror or error, advice)
    await asyncio.sleep(_PAUSE)


class Listener:
    """Lets connections in to a door, or not.

    Args:
        port: the port's name in the settings.
        settings: its limits.
        make: makes the protocol of a connection from a host. Where there is a silence its `has_begun` tells whether the
            client has said what the door understands.
        counts: counts what is not let in.
        context: returns how to encrypt now; None for plain text.
        silence: seconds that a client has for that; 0 for as long as it likes.
    """

    def __init__(
        self,
        port: str,
        settings: DoorSettings,
        make: Callable[[str], _Protocol],
        counts: Counts,
        *,
        context: Callable[[], ssl.SSLContext | None] = lambda: None,
        silence: float = 0,
    ) -> None:
        self._port = port
        self._settings = settings
        self._make = make
        self._counts = counts
        self._context = context
        self._silence = silence
        self._hosts: Counter[str] = Counter()
        self._handshakes: set[asyncio.Task[None]] = set()
        self._transports: set[asyncio.Transport] = set()
        self._none_open = asyncio.Event()
        self._none_open.set()
        self._open = counts.metrics["connections"].labels(port)
        self._bytes = counts.metrics["received_bytes"].labels(port)

    async def take(self, connection: socket.socket) -> None:
        """Let a connection in, unless there are too many; what it says is the door's from then on."""
        host = _host(connection)
        if host is None:
            connection.close()
            return
        problem = self._problem(host)
        if problem:
            self.refuse(host, *problem)
            connection.close()
            return
        _keep_alive(connection)
        self._hosts[host] += 1
        self._open.inc()
        task = asyncio.create_task(self._begin(connection, host))
        self._handshakes.add(task)
        task.add_done_callback(self._handshakes.discard)

    def _problem(self, host: str) -> tuple[str, str] | None:
        if self._hosts.total() >= self._settings.max_connections:
            return "connections", f"{self._settings.max_connections} are open, which is max_connections"
        if self._hosts[host] >= self._settings.max_connections_per_host:
            most = self._settings.max_connections_per_host
            return "connections_per_host", f"it has {most} open, which is max_connections_per_host"
        return None

    def refuse(self, host: str, reason: str, text: str) -> None:
        """Count a connection that is not let in, and say so."""
        self._counts.refuse(self._port, reason)
        once = f"{self._port} {reason} {host}"
        _log.warning("%s: a connection from %s is not let in: %s", self._port, host, text, extra={"once": once})

    async def _begin(self, connection: socket.socket, host: str) -> None:
        watched = _Watched(self, host)
        loop = asyncio.get_running_loop()
        try:
            context = self._context()
            timeout = _HANDSHAKE if context else None
            tls: Any = _Alerting(context, connection) if context else None
            await loop.connect_accepted_socket(lambda: watched, connection, ssl=tls, ssl_handshake_timeout=timeout)
        except (OSError, ssl.SSLError) as error:
            self.refuse(host, *_handshake_problem(error))
            connection.close()
        except Exception:  # as in `accept`
            _log.exception("%s: a connection from %s is closed", self._port, host)
            connection.close()
        finally:
            # Once a connection stands it is over when its protocol hears so.
            if watched.transport is None:
                self.let_go(host)

    def make(self, host: str) -> _Protocol:
        """Return the door's protocol for a connection."""
        return self._make(host)

    def begun(self, transport: asyncio.Transport) -> None:
        """Note that a connection stands."""
        self._transports.add(transport)
        self._none_open.clear()

    def ended(self, transport: asyncio.Transport, host: str) -> None:
        """Note that a connection that stood is closed."""
        self._transports.discard(transport)
        if not self._transports:
            self._none_open.set()
        self.let_go(host)

    def let_go(self, host: str) -> None:
        """Note that a connection is no more counted."""
        self._hosts[host] -= 1
        if not self._hosts[host]:
            del self._hosts[host]
        self._open.dec()

    def received(self, count: int) -> None:
        """Count bytes that have come in."""
        self._bytes.inc(count)

    @property
    def silence(self) -> float:
        """Seconds that a client has to begin; 0 for as long as it likes."""
        return self._silence

    async def close(self) -> None:
        """Give up handshakes that are under way."""
        # One that was cancelled before it has begun would close nothing.
        await asyncio.sleep(0)
        tasks = set(self._handshakes)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    async def end(self) -> None:
        """Close what is still open, when the door has said its last words."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_LAST_WORDS):
                await self._none_open.wait()
        for transport in tuple(self._transports):
            transport.abort()
        await self._none_open.wait()


class _Watched(_Protocol):
    """Stands between a transport and the door's protocol, and notes what comes and when it ends."""

    def __init__(self, listener: Listener, host: str) -> None:
        self._listener = listener
        self._host = host
        self._inner: _Protocol | None = None
        # None until the connection stands.
        self.transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self._listener.begun(transport)
        self._inner = self._listener.make(self._host)
        if self._listener.silence:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(self._listener.silence, self._is_silent, transport)
        self._inner.connection_made(transport)
        # From here on only the end is of interest, and how much comes.
        self.pause_writing = self._inner.pause_writing  # type: ignore[method-assign]
        self.resume_writing = self._inner.resume_writing  # type: ignore[method-assign]
        self.eof_received = self._inner.eof_received  # type: ignore[method-assign]

    def _is_silent(self, transport: asyncio.Transport) -> None:
        # A byte now and then would keep a connection open for ever.
        if getattr(self._inner, "has_begun", False):
            return
        self._listener.refuse(self._host, "silence", f"it has asked nothing for {self._listener.silence:g} seconds")
        transport.abort()

    def data_received(self, data: bytes) -> None:
        self._listener.received(len(data))
        assert self._inner is not None
        self._inner.data_received(data)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._timer:
            self._timer.cancel()
        assert self._inner is not None
        assert self.transport is not None
        self._listener.ended(self.transport, self._host)
        self._inner.connection_lost(exc)


class _Alerting:
    """Stands for a context; who fails in the handshake is told why, which asyncio does not send."""

    def __init__(self, context: ssl.SSLContext, connection: socket.socket) -> None:
        self._context = context
        self._connection = connection
        context.sslobject_class = _Encrypted

    def wrap_bio(self, incoming: ssl.MemoryBIO, outgoing: ssl.MemoryBIO, **told: Any) -> ssl.SSLObject:
        """Return what encrypts the connection; asyncio asks a context for nothing else."""
        made: Any = self._context.wrap_bio(incoming, outgoing, **told)
        made.outgoing, made.connection = outgoing, self._connection
        return cast(ssl.SSLObject, made)


class _Encrypted(ssl.SSLObject):
    outgoing: ssl.MemoryBIO
    connection: socket.socket

    def do_handshake(self) -> None:
        try:
            super().do_handshake()
        except (ssl.SSLWantReadError, ssl.SSLSyscallError):
            raise
        except ssl.SSLError:
            with suppress(OSError):
                self.connection.send(self.outgoing.read())
            raise


def _keep_alive(connection: socket.socket) -> None:
    """Have the system find out about clients that have vanished: they would be counted for ever."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    # Not every system has these; they are Linux's names.
    for name, value in _KEEP_ALIVE.items():
        if hasattr(socket, name):
            connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


def _host(connection: socket.socket) -> str | None:
    """Return who is at the other end, without the port; None where it has gone."""
    try:
        address = ip_address(connection.getpeername()[0])
    except OSError:
        return None
    if not isinstance(address, IPv6Address) or address.is_loopback:
        return str(address)
    if address.ipv4_mapped:
        return str(address.ipv4_mapped)
    # Whoever has one address of such a network has all 2**64.
    return str(IPv6Network((int(address) >> 64 << 64, 64)))


def _handshake_problem(error: OSError) -> tuple[str, str]:
    """Return why a TLS handshake failed: a reason to count by, and a text."""
    reason = getattr(error, "reason", None) or ""
    if isinstance(error, ssl.SSLCertVerificationError):
        return "certificate", f"its certificate is not accepted: {error.verify_message}"
    if reason == "PEER_DID_NOT_RETURN_A_CERTIFICATE":
        return "no_certificate", "it shows no certificate, which tls.client_ca_file demands"
    if reason in _NOT_TLS:
        return "plain_text", "it does not speak TLS, and this port does"
    if isinstance(error, ConnectionAbortedError):
        return "handshake_timeout", f"its TLS handshake took longer than {_HANDSHAKE:g} seconds"
    if isinstance(error, ssl.SSLError) and not isinstance(error, ssl.SSLEOFError):
        return "tls", f"its TLS handshake failed: {reason or error}"
    return "handshake_broken", "it was closed during the TLS handshake"
