"""Hands records to the next hop over the Fluent Forward protocol."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Sequence
from typing import Any

from lexilog.errors import OriginError, RelayError, SettingsError
from lexilog.forward.codec import Entries, ForwardOrigin, pack_entry
from lexilog.forward.handshake import HandshakeError, check_pong, is_helo, make_nonce, make_ping, read_helo
from lexilog.forward.wire import ANSWERS, MessageReader, Pairs, pack_message, unpack
from lexilog.model import Enriched
from lexilog.relay._endpoint import read_endpoint
from lexilog.relay._text import excerpt
from lexilog.relay._tls import TlsFiles, hint, refuse_files
from lexilog.relay.base import SLICE, Delivery, Refusal, Relay
from lexilog.relay.settings import ForwardSettings

__all__ = ["ForwardRelay"]

_BLOCK = 4096
# Fluentd lets in no client that is called as itself, so it is no host's name.
_HOSTNAME = "lexilog-relay"
# An acknowledgement or a part of the handshake has a few hundred bytes.
_LONGEST_ANSWER = 65_536
# Seconds for the other side to say that it has seen the end of TLS; nothing depends on it.
_GOODBYE = 1.0
_ENDED = (ConnectionResetError, BrokenPipeError)


class ForwardRelay(Relay):
    """Sends PackedForward messages to Fluent Bit, Fluentd, or whatever else takes them, over one connection.

    A message counts as taken when its chunk was acknowledged. A connection on which that fails is given up, so that no
    late acknowledgement can be taken for that of another message. A record keeps the tag that it came with, its time to
    the nanosecond, and Fluent Bit's metadata.

    The protocol has no way to refuse a record. What is larger than `max_bytes` even without its new fields is refused
    here, because the next hop would close the connection on it, time after time.

    Args:
        name: name of the relay.
        settings: where to, and how.
    """

    def __init__(self, name: str, settings: ForwardSettings) -> None:
        self._name = name
        self._settings = settings
        self._where = f"relay {name}: {settings.endpoint}"
        self._turn = asyncio.Lock()
        self._files: TlsFiles | None = None
        self._connection: _Connection | None = None
        self._open = False

    async def open(self) -> None:
        """Check endpoint and certificates; the connection is made when it is first needed.

        Raises:
            SettingsError: one of them cannot be used.
        """
        self._address()
        if self._settings.tls:
            self._files = TlsFiles(self._name, self._settings)
        else:
            refuse_files(self._name, self._settings, "is for TLS: set tls to true, or leave it out")
        self._open = True

    async def deliver(self, batch: Sequence[Enriched]) -> Delivery:
        """Send the batch, message by message, and wait until each is acknowledged."""
        refused: list[Refusal] = []
        entries = Entries(self._settings.max_bytes)
        async with self._turn:
            for number, enriched in enumerate(batch):
                origin = enriched.record.origin
                tag = (origin.tag if isinstance(origin, ForwardOrigin) else "") or self._settings.tag
                entry = pack_entry(enriched, entries.room(tag))
                if entry is None:
                    reason = f"larger than max_bytes, {self._settings.max_bytes}, even without what is known of it"
                    refused.append(Refusal(enriched, reason))
                elif full := entries.add(tag, entry):
                    await self._send(tag, full)
                if number % SLICE == 0:
                    await asyncio.sleep(0)
            for tag, rest in entries.rest():
                await self._send(tag, rest)
        return Delivery(tuple(refused))

    async def _send(self, tag: str, entries: Sequence[bytes]) -> None:
        """Send one message.

        Raises:
            RelayError: it has not been acknowledged.
        """
        if not self._open:
            raise RelayError(f"relay {self._name}: is closed")
        connection, self._connection = self._connection, None
        context = self._files.current().context if self._files else None
        try:
            if connection is not None and (connection.context is not context or not await connection.is_quiet()):
                connection.abort()
                connection = None
            connection = connection or await self._connect(context)
            await connection.send(tag, entries, compress=self._settings.compression == "gzip")
        except BaseException as error:
            if connection is not None:
                connection.abort()
            problem = _problem(error, self._settings.timeout, self._files)
            if problem is None:
                raise
            raise RelayError(f"{self._where}: {len(entries)} records not taken: {problem}") from error
        if self._files:
            self._files.proven = True
        if connection.keepalive and self._open:
            self._connection = connection
        else:
            connection.abort()

    async def _connect(self, context: ssl.SSLContext | None) -> _Connection:
        host, port = self._address()
        tls: dict[str, Any] = {"ssl": context, "ssl_shutdown_timeout": _GOODBYE} if context else {}
        async with asyncio.timeout(self._settings.timeout):
            reader, writer = await asyncio.open_connection(host, port, **tls)
        connection = _Connection(reader, writer, self._settings.timeout, context)
        if self._settings.shared_key is not None:
            try:
                await connection.shake_hands(self._settings.shared_key)
            except BaseException:
                connection.abort()
                raise
        return connection

    def _address(self) -> tuple[str, int]:
        address = read_endpoint(self._settings.endpoint)
        if address is not None:
            return address
        raise SettingsError(f"relay {self._name}: endpoint is not HOST:PORT, such as 127.0.0.1:24224")

    async def close(self) -> None:
        """Close the connection."""
        self._open = False
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()


class _Connection:
    """One connection to the next hop.

    Args:
        reader: what it says.
        writer: what it is told.
        timeout: how long it may take for an answer, in seconds.
        context: the certificates that it was made with; None without TLS.

    Attributes:
        keepalive: it may be used for another message.
        context: the certificates.
    """

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        timeout: float,
        context: ssl.SSLContext | None,
    ) -> None:
        self.keepalive = True
        self.context = context
        self._timeout = timeout
        self._reader = reader
        self._writer = writer
        self._answers = MessageReader(_LONGEST_ANSWER, ANSWERS)

    async def shake_hands(self, shared_key: str) -> None:
        """Let the next hop see that we have the key, and see that it has.

        Raises:
            HandshakeError: it has not, or does not want us.
        """
        salt = make_nonce()
        try:
            helo = read_helo(await self._ask(b""))
            self.keepalive = helo.keepalive
            pong = await self._ask(make_ping(helo, salt, _HOSTNAME, shared_key))
        except TimeoutError as error:
            raise HandshakeError(f"it says nothing within {self._timeout:g} s") from error
        except ssl.SSLError:  # which is an OSError, but says more
            raise
        except OSError as error:
            # Fluent Bit does so where keys differ.
            raise HandshakeError("it has closed the connection") from error
        check_pong(pong, helo, salt, shared_key)

    async def send(self, tag: str, entries: Sequence[bytes], *, compress: bool) -> None:
        """Send a message and wait for its acknowledgement."""
        if compress:
            message, chunk = await asyncio.to_thread(pack_message, tag, entries, compress=True)
        else:
            message, chunk = pack_message(tag, entries, compress=False)
        answer = await self._ask(message)
        if is_helo(answer):
            raise HandshakeError("it asks for a shared key")
        value = unpack(answer)
        told = dict(value).get("ack") if isinstance(value, Pairs) and _has_names(value) else None
        if told not in (chunk, chunk.encode("ascii")):
            raise OriginError("it has acknowledged something else")

    async def _ask(self, data: bytes) -> bytes:
        """Say something and return the answer."""
        async with asyncio.timeout(self._timeout):
            self._writer.write(data)
            await self._writer.drain()
            while (answer := self._answers.next_message()) is None:
                if not (data := await self._reader.read(_BLOCK)):
                    raise ConnectionResetError("it has closed the connection")
                self._answers.feed(data)
        return answer

    async def is_quiet(self) -> bool:
        """Tell whether the connection stands, and nothing has come that was not asked for."""
        if self._answers.begun or self._writer.is_closing():
            return False
        try:
            # What has come, the end included, is returned before this fires.
            async with asyncio.timeout(0):
                await self._reader.read(1)
        except TimeoutError:
            return True
        return False

    def abort(self) -> None:
        """Give the connection up at once."""
        self._writer.transport.abort()

    async def close(self) -> None:
        """Close the connection and see it closed."""
        self._writer.close()
        try:
            await self._writer.wait_closed()
        except OSError:
            return


def _has_names(pairs: Pairs) -> bool:
    return all(isinstance(key, str) for key, _ in pairs)


def _problem(error: BaseException, timeout: float, files: TlsFiles | None) -> str | None:
    """Return why a message was not taken; None for what is no answer of the next hop."""
    if isinstance(error, HandshakeError):
        return f"the handshake failed: {excerpt(str(error))}; check shared_key on both sides"
    if isinstance(error, TimeoutError):
        return f"no answer within {timeout:g} s"
    if isinstance(error, OriginError):
        return f"its answer makes no sense: {error}"
    if isinstance(error, OSError):
        if not str(error):  # asyncio has no words for a connection that ends while TLS is set up
            return "it has closed the connection; no TLS there?"
        told = str(error.strerror or error)
        return told + (hint(told) or (files.hint if files and isinstance(error, _ENDED) else ""))
    return f"{type(error).__name__}: {error}" if isinstance(error, Exception) else None
