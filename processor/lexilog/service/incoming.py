"""What comes over a Forward connection: bytes become messages, and what these take is held for their sender's host."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator

from lexilog.errors import OriginError
from lexilog.forward.wire import Message, MessageReader, read_message
from lexilog.service.turns import BusyError, Share, Turns

__all__ = ["Incoming"]

_BLOCK = 1 << 16
# Bytes that each connection may keep without asking for room.
_FREE = 1 << 18
# Messages from this size on are cut into entries in a thread: the others do not wait for that.
_LARGE = 1 << 18
# Bytes that are read ahead, to find out whether a sender has gone while a message of its is in work.
_AHEAD = 1 << 16
# A message that has begun has to go on by so many bytes, or to its end, in so many seconds.
_PROGRESS, _PROGRESS_TIMEOUT = 1 << 16, 60.0
# Seconds.
_PAUSE = 0.2

_log = logging.getLogger(__name__)


class Incoming:
    """The messages of one sender.

    Args:
        reader: what it sends.
        host: where it is.
        max_bytes: the largest message, before and after it is inflated.
        pending: where what has come is held.
        turns: who inflates next.

    Attributes:
        idle: it waits for the sender.
        closed: nothing more is read.
        held: how many bytes of `pending` it has.
    """

    def __init__(self, reader: asyncio.StreamReader, host: str, max_bytes: int, pending: Share, turns: Turns) -> None:
        self.idle = False
        self.closed = False
        self.held = 0
        self._reader = reader
        self._host = host
        self._max_bytes = max_bytes
        self._pending = pending
        self._turns = turns
        self._stream = MessageReader(max_bytes)
        # A message that is whole, and not cut into entries yet.
        self._whole = b""
        # Bytes of messages that have been returned, and not been let go.
        self._in_hand = 0
        self._deadline: float | None = None
        self._progress = 0

    @property
    def begun(self) -> bool:
        """Whether there is part of a message, or more."""
        return self._stream.begun

    async def first(self, max_bytes: int) -> bytes:
        """Return the first message as it came; nothing where the sender has gone.

        Raises:
            OriginError: it is none, or larger than `max_bytes`.
        """
        self._stream.max_bytes = max_bytes
        found = await self._next_whole(wait=True)
        self._stream.max_bytes = self._max_bytes
        return found

    async def next(self, *, wait: bool) -> Message | None:
        """Return the next message; what it takes is held until it is let go.

        Args:
            wait: for what has not come, or has no room yet.

        Returns:
            The message; None where there are no more, or one would have to wait.

        Raises:
            OriginError: it is no message, or too large.
            BusyError: there is no room for it.
            TimeoutError: too little has come of it.
        """
        self._whole = self._whole or await self._next_whole(wait=wait)
        while self._whole:
            message = await self._cut(self._whole)
            size = len(message.data)
            try:
                self._hold(size)
            except BusyError:
                if not wait:
                    return None
                if message.chunk is not None:
                    raise
                # Its sender has forgotten it: it stays here, as small as it came.
                del message
                await self._room_for(size)
            else:
                self._whole = b""
                self._in_hand += size
                return message
        return None

    def let_go(self, size: int) -> None:
        """Hold so many bytes no longer, of messages that have been returned."""
        self._in_hand -= size
        self._hold()

    def close(self) -> None:
        """Hold nothing any more."""
        self._pending.resize(self._host, self.held, 0)
        self.held = 0

    def rest(self) -> Iterator[Message]:
        """Yield what has come, and has not been returned.

        Raises:
            OriginError: something in it is no message.
        """
        while data := self._whole or self._stream.next_message():
            self._whole = b""
            yield read_message(data, self._max_bytes)

    async def has_gone(self) -> bool:
        """Read ahead; return True when the sender has gone, False when enough is there."""
        while self._stream.size < _AHEAD:
            try:
                data = await self._reader.read(_BLOCK)
            except OSError:
                return True
            if not data:
                return True
            self._stream.feed(data)
        return False

    async def _next_whole(self, *, wait: bool) -> bytes:
        while (data := self._stream.next_message()) is None:
            if not wait or not await self._read():
                return b""
        self._deadline = None
        return data

    async def _read(self) -> bool:
        """Wait for more; return whether there is any."""
        if self.closed:
            return False
        self._set_deadline()
        self.idle = True
        try:
            async with asyncio.timeout_at(self._deadline):
                data = await self._reader.read(_BLOCK)
        finally:
            self.idle = False
        if data:
            self._progress += len(data)
            self._stream.feed(data)
            self._hold()
        elif self.begun:
            raise OriginError("the connection ends in the middle of a message")
        return bool(data)

    def _set_deadline(self) -> None:
        if not self.begun:
            self._deadline = None
        elif self._deadline is None or self._progress >= _PROGRESS:
            self._deadline = asyncio.get_running_loop().time() + _PROGRESS_TIMEOUT
            self._progress = 0

    async def _cut(self, data: bytes) -> Message:
        # A few bytes of gzip can stand for a thousand times as many. Where the word stands by chance nothing is lost.
        if len(data) < _LARGE and b"compressed" not in data:
            return read_message(data, self._max_bytes)
        async with self._turns.turn(self._host):
            return await asyncio.to_thread(read_message, data, self._max_bytes)

    def _hold(self, inflated: int = 0) -> None:
        here = self._stream.memory + max(len(self._whole), inflated) + self._in_hand
        now = max(0, here - _FREE)
        self._pending.resize(self._host, self.held, now)
        self.held = now

    async def _room_for(self, size: int) -> None:
        _log.warning("forward: %s: a message waits for room", self._host, extra={"once": self._host})
        while True:
            await asyncio.sleep(_PAUSE)
            try:
                return self._hold(size)
            except BusyError:
                continue
