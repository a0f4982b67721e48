"""Who is next: a client that asks a thousand times waits for the others after each time, and they for none of it."""

from __future__ import annotations

import asyncio
from collections import Counter, OrderedDict, deque
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

from lexilog.errors import RelayError

__all__ = ["BusyError", "Share", "Turns"]

# Seconds after which whoever was sent away is to come again.
_RETRY = 1.0


class BusyError(RelayError):
    """There is too much to do already: whoever asks is to come again."""


class Turns:
    """Lets a few work at once; who waits is let in by turns, client by client.

    Whoever comes while one works gets in line before that one can come again, even where it never waits in its work.

    Args:
        at_once: how many.
    """

    def __init__(self, at_once: int) -> None:
        self._free = at_once
        self._waiting: OrderedDict[str, deque[asyncio.Future[None]]] = OrderedDict()

    @asynccontextmanager
    async def turn(self, client: str) -> AsyncIterator[None]:
        """Wait for a client's turn, and have it."""
        if self._free and not self._waiting:
            self._free -= 1
        else:
            await self._wait(client)
        try:
            yield
            await asyncio.sleep(0)
        finally:
            self._free += 1
            self._let_in()

    async def _wait(self, client: str) -> None:
        mine: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(client, deque()).append(mine)
        try:
            await mine
        except asyncio.CancelledError:
            if mine.done() and not mine.cancelled():
                # It was let in at the same moment.
                self._free += 1
                self._let_in()
            else:
                self._forget(client, mine)
            raise

    def _forget(self, client: str, future: asyncio.Future[None]) -> None:
        queue = self._waiting.get(client)
        # Others may have been let in meanwhile, and this one passed over.
        if queue is None or future not in queue:
            return
        queue.remove(future)
        if not queue:
            del self._waiting[client]

    def _let_in(self) -> None:
        while self._free and self._waiting:
            client, queue = next(iter(self._waiting.items()))
            future = queue.popleft()
            if not queue:
                del self._waiting[client]
            if future.done():
                # It was called off: that was no turn.
                continue
            if queue:
                # Its next one is behind those of all others.
                self._waiting.move_to_end(client)
            self._free -= 1
            future.set_result(None)


class Share:
    """Bounds what is there at once, and what of it is one client's: half, so that there is always room for others.

    Args:
        most: how much.
        what: what it is, for errors.
        gauge: a metric that shows how much is there.

    Attributes:
        used: how much is there.
    """

    def __init__(self, most: int, what: str, gauge: Any = None) -> None:
        self.used = 0
        self.most = most
        self._what = what
        self._gauge = gauge
        self._clients: Counter[str] = Counter()

    @contextmanager
    def hold(self, client: str, amount: int = 1) -> Iterator[None]:
        """Take a part of it for a while; what is larger than a share only while nothing else of the client is there.

        Raises:
            BusyError: there is no room.
        """
        self.resize(client, 0, amount)
        try:
            yield
        finally:
            self._add(client, -amount)

    def resize(self, client: str, before: int, now: int) -> None:
        """Make a part that a client holds larger or smaller, by the rule of `hold`: from nothing, and to it, too.

        Raises:
            BusyError: there is no room; the part stays as it was.
        """
        used, mine = self.used - before, self._clients[client] - before
        if now > before and used and used + now > self.most:
            raise BusyError(f"busy: {used} of {self.most} {self._what} are in use", _RETRY)
        if now > before and mine and mine + now > self.most // 2:
            raise BusyError(f"busy: {mine} of {self.most} {self._what} are this client's, and half is the most", _RETRY)
        self._add(client, now - before)

    def _add(self, client: str, amount: int) -> None:
        self.used += amount
        self._clients[client] += amount
        if not self._clients[client]:
            del self._clients[client]
        if self._gauge:
            self._gauge.set(self.used)
