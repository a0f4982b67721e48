"""The door for the Fluent Forward protocol: Fluent Bit, Fluentd, Docker, and client libraries.

A message with a chunk is acknowledged when every relay has its records; until then its sender keeps it, and where that
fails the connection is closed, so that the sender comes again with the same chunk. A sender that asks for no
acknowledgement has forgotten a message as soon as it was written. So such a message is held, and delivered again until
it is taken; in the meantime nothing more is read from that sender, and TCP slows it down.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine, Iterator, Sequence
from contextlib import suppress
from functools import partial
from os import urandom
from typing import Any

import msgpack

from lexilog.errors import OriginError, RelayError, TooLargeError
from lexilog.forward.codec import read_entry
from lexilog.forward.handshake import HandshakeError, check_ping, make_helo, make_nonce, make_pong
from lexilog.forward.wire import Message, NotForwardError
from lexilog.model import Record
from lexilog.service.door import Door, Hall
from lexilog.service.ids import batch_ids
from lexilog.service.incoming import Incoming
from lexilog.service.intake import Intake
from lexilog.service.settings import ForwardDoorSettings
from lexilog.service.tracing import span
from lexilog.service.turns import BusyError, Turns

__all__ = ["ForwardDoor"]

_DOOR = "forward"
# The name in the handshake. Fluentd lets in no server that is called as itself, so it is no host's name.
_HOSTNAME = "lexilog"
_BLOCK = 1 << 16
# Messages that are cut into entries in threads at once: each may be inflated before it is known how large it is.
_AT_ONCE = 2
# What is handed on at once of messages without chunk that have come together.
_MOST_RECORDS = 10_000
_MOST_BYTES = 4_000_000
# Seconds.
_HANDSHAKE_TIMEOUT = 10.0
_WRITE_TIMEOUT = 60.0
_PAUSE, _LONGEST_PAUSE = 0.2, 5.0
_LONGEST_WAIT = 60.0
_PATIENCE = 5.0
_LONGEST_PING = 65_536

_log = logging.getLogger(__name__)


class ForwardDoor(Door):
    """Takes messages of all modes: Message, Forward, PackedForward, CompressedPackedForward (gzip).

    Args:
        settings: address, limits, and the secret that senders must know.
        hall: what stands behind it.
        intake: takes the records.

    Attributes:
        lost: how many records were held for senders that asked for no acknowledgement, and could not be delivered
            before the door was closed.

    Raises:
        SettingsError: its certificates cannot be used.
    """

    name = "forward"

    def __init__(self, settings: ForwardDoorSettings, hall: Hall, intake: Intake) -> None:
        super().__init__(settings, hall)
        self.lost = 0
        self.stopping = False
        self.max_receive_bytes = settings.max_receive_bytes
        self.max_records = settings.max_records
        self.shared_key = settings.shared_key
        self.body_keys = hall.body_keys
        self.intake = intake
        self.turns = Turns(_AT_ONCE)
        self._connections: dict[asyncio.Task[None], _Connection] = {}

    def connect(self, host: str) -> asyncio.Protocol:
        """Return the protocol of a connection from a host."""
        reader = asyncio.StreamReader(limit=_BLOCK)
        return asyncio.StreamReaderProtocol(reader, partial(self._serve, host))

    async def _serve(self, host: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = _Connection(self, host, reader, writer)
        task = asyncio.current_task()
        assert task is not None
        self._connections[task] = connection
        try:
            if not self.stopping:
                await connection.run()
            await _close(writer)
        except asyncio.CancelledError:
            # Only `stop` does this; asyncio would report it as an error.
            return
        finally:
            del self._connections[task]
            writer.transport.abort()

    async def stop(self, grace: float) -> None:
        """Take no more messages; what is in work has `grace` seconds to be delivered and acknowledged."""
        self.stopping = True
        for task, connection in self._connections.items():
            connection.incoming.closed = True
            if connection.incoming.idle:
                task.cancel()
        await self._wait(grace)
        for task in self._connections:
            task.cancel()
        await self._wait(_PATIENCE)
        if self.lost:
            self.intake.counts.add_lost(_DOOR, self.lost)
            _log.error("%d records are lost whose senders had asked for no acknowledgement", self.lost)

    async def _wait(self, seconds: float) -> None:
        if tasks := set(self._connections):
            await asyncio.wait(tasks, timeout=seconds)


class _Connection:
    """One sender.

    Attributes:
        incoming: what comes.
    """

    def __init__(
        self, door: ForwardDoor, host: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.incoming = Incoming(reader, host, door.max_receive_bytes, door.hall.pending, door.turns)
        self._door = door
        self._host = host
        self._writer = writer
        # Read too early: it is to be looked at next.
        self._next: Message | None = None
        self._failure: OriginError | None = None
        # Records that nobody but us has.
        self._held = 0

    async def run(self) -> None:
        """Take messages until the sender has gone, or something is wrong."""
        try:
            if self._door.shared_key is not None:
                await self._shake_hands(self._door.shared_key)
            while messages := await self._next_messages():
                await self._take(messages)
        except OriginError as error:
            self._complain(self._refuse_message(error), str(error))
        except HandshakeError as error:
            self._refuse("shared_key")
            self._complain("handshake", f"the handshake failed: {error}; check shared_key on both sides")
        except BusyError as error:
            self._refuse("busy")
            self._door.intake.counts.add_unread(_DOOR, "returned")
            self._warn("busy", f"the connection is closed, its sender is to come again: {error}")
        except RelayError:
            # The intake has said so. The sender comes again as soon as the connection is closed.
            return
        except TimeoutError:
            self._refuse("silence")
            self._complain("silence", "too little came for too long in the middle of a message, or of the handshake")
        except OSError as error:
            if self.incoming.begun:
                self._complain("broken", f"the connection broke in the middle of a message: {error.strerror or error}")
        except asyncio.CancelledError:
            self._count_lost()
            raise
        except Exception:  # one sender must not cost another
            _log.exception("forward: %s: the connection is closed", self._host)
        finally:
            self.incoming.close()

    def _refuse_message(self, error: OriginError) -> str:
        """Count a message that makes no sense, where there is a reason to count by; return the kind of problem."""
        reason = {TooLargeError: "too_large", NotForwardError: "not_forward"}.get(type(error))
        if reason:
            self._refuse(reason)
        return reason or "message"

    def _refuse(self, reason: str) -> None:
        self._door.hall.counts.refuse(self._door.name, reason)

    def _complain(self, kind: str, problem: str) -> None:
        self._door.intake.counts.add_unread(_DOOR, "refused")
        self._warn(kind, f"{problem}; the connection is closed")

    def _warn(self, kind: str, problem: str) -> None:
        _log.warning("forward: %s: %s", self._host, problem, extra={"once": f"{self._host} {kind}"})

    async def _shake_hands(self, shared_key: str) -> None:
        nonce = make_nonce()
        async with asyncio.timeout(_HANDSHAKE_TIMEOUT):
            await self._write(make_helo(nonce))
            ping = await self.incoming.first(_LONGEST_PING)
            if not ping:
                return
            try:
                salt = check_ping(ping, nonce, shared_key)
            except HandshakeError:
                await self._write(make_pong(None, nonce, _HOSTNAME, shared_key))
                raise
            await self._write(make_pong(salt, nonce, _HOSTNAME, shared_key))

    async def _next_messages(self) -> list[Message]:
        """Return the next message, and what may be handed on with it; nothing when there are no more.

        Messages without chunk that are there already go together: some clients send each record by itself.
        """
        messages: list[Message] = []
        records = size = 0
        while records < _MOST_RECORDS and size < _MOST_BYTES:
            try:
                message = await self._next_message(wait=not messages)
            except OriginError as error:
                if not messages:
                    raise
                self._failure = error
                break
            if message is None:
                break
            if messages and message.chunk is not None:
                self._next = message
                break
            messages.append(message)
            if message.chunk is not None:
                break
            self._held += message.size
            records += message.size
            size += len(message.data)
        return messages

    async def _next_message(self, *, wait: bool) -> Message | None:
        if self._failure is not None:
            raise self._failure
        if self._next is not None:
            message, self._next = self._next, None
            return message
        found = await self.incoming.next(wait=wait)
        if found and found.size > self._door.max_records:
            raise TooLargeError.of_records(self._door.max_records, advice="have its sender send smaller messages")
        return found

    async def _take(self, messages: Sequence[Message]) -> None:
        """Hand messages on, and acknowledge them: either one with a chunk, or some without."""
        chunk = messages[0].chunk
        if chunk is None:
            # Such a sender never repeats itself, so two messages that are equal are two.
            await self._take_for_good(messages, urandom(16))
            self._held -= sum(message.size for message in messages)
            self.incoming.let_go(_size(messages))
            return
        named = chunk.encode("utf-8", "surrogateescape") if isinstance(chunk, str) else chunk
        tag = messages[0].tag.encode("utf-8", "surrogateescape")
        if await self._while_there(self._hand_on(messages, (tag, messages[0].content, named))):
            await self._write(msgpack.packb({"ack": chunk}, unicode_errors="surrogateescape"))

    async def _take_for_good(self, messages: Sequence[Message], seed: bytes) -> None:
        pause = _PAUSE
        while True:
            try:
                return await self._hand_on(messages, (seed,), kept=True)
            except RelayError as error:
                await asyncio.sleep(max(pause, min(error.retry_after, _LONGEST_WAIT)))
                pause = min(2 * pause, _LONGEST_PAUSE)

    async def _hand_on(self, messages: Sequence[Message], seed: Sequence[bytes], *, kept: bool = False) -> None:
        # What a relay will never take the intake has logged; there is no way to tell the sender.
        size = 0
        # What is kept stays held here: would it ask for room anew, senders could wait for each other for ever.
        if not kept:
            size = _size(messages)
            self.incoming.let_go(size)
        read = partial(self._records, messages, seed)
        with span("lexilog.door.forward", {}):
            await self._door.intake.take(_DOOR, self._host, size, read, kept=kept)

    def _records(self, messages: Sequence[Message], seed: Sequence[bytes]) -> Iterator[Record]:
        ids = batch_ids(*seed)
        for message in messages:
            for place in range(message.size):
                yield read_entry(message.tag, message.entry(place), self._door.body_keys, next(ids))

    async def _while_there(self, work: Coroutine[Any, Any, None]) -> bool:
        """Do some work, but call it off when the sender has gone; return whether it is done.

        Raises:
            RelayError: it has failed.
        """
        task, gone = asyncio.create_task(work), asyncio.create_task(self.incoming.has_gone())
        try:
            await asyncio.wait((task, gone), return_when=asyncio.FIRST_COMPLETED)
            if task.done() or not gone.result():
                await task
                return True
            _log.info("forward: %s: the sender has gone, and will send again what was in work", self._host)
            return False
        finally:
            task.cancel()
            gone.cancel()
            await asyncio.wait((task, gone))

    async def _write(self, data: bytes) -> None:
        self._writer.write(data)
        async with asyncio.timeout(_WRITE_TIMEOUT):
            await self._writer.drain()

    def _count_lost(self) -> None:
        """Count the records that have come, and that their sender has forgotten."""
        self._door.lost += self._held
        if self._failure is not None:
            return
        try:
            for message in self.incoming.rest():
                self._door.lost += message.size if message.chunk is None else 0
        except OriginError:
            return


def _size(messages: Sequence[Message]) -> int:
    return sum(len(message.data) for message in messages)


async def _close(writer: asyncio.StreamWriter) -> None:
    """Close a connection; what has been written goes out, if the sender takes it."""
    writer.close()
    with suppress(OSError, TimeoutError):
        async with asyncio.timeout(_PATIENCE):
            await writer.wait_closed()
