"""Clients whose certificates cannot be changed once they are made."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Generic, TypeVar

from lexilog.relay._tls import Loaded, TlsFiles

__all__ = ["Renewed"]

_log = logging.getLogger(__name__)

_T = TypeVar("_T")


class Renewed(Generic[_T]):
    """A client that is made anew when the files of its certificates change.

    The one before is closed when the last request that has begun with it is over.

    Args:
        files: the certificates; None for a client without TLS, which stays the same.
        make: makes a client with certificates.
        close: closes it.
    """

    def __init__(
        self, files: TlsFiles | None, make: Callable[[Loaded | None], _T], close: Callable[[_T], Awaitable[None]]
    ) -> None:
        self._files = files
        self._make = make
        self._close = close
        self._loaded = files.current() if files else None
        self._client = make(self._loaded)
        self._old: list[_T] = []
        self._users: Counter[_T] = Counter()

    def current(self) -> _T:
        """Return the client for what begins now."""
        loaded = self._files.current() if self._files else None
        if loaded is not self._loaded:
            client = self._make(loaded)
            self._old.append(self._client)
            self._loaded, self._client = loaded, client
        return self._client

    @asynccontextmanager
    async def use(self) -> AsyncIterator[_T]:
        """Lend the client for a request."""
        client = self.current()
        self._users[client] += 1
        try:
            yield client
        finally:
            self._users[client] -= 1
            for unused in [one for one in self._old if not self._users[one]]:
                self._old.remove(unused)
                del self._users[unused]
                await self._let_go(unused)

    async def close(self) -> None:
        """Close the client, whoever uses it."""
        for client in (*self._old, self._client):
            await self._let_go(client)
        self._old.clear()

    async def _let_go(self, client: _T) -> None:
        try:
            await self._close(client)
        except Exception as error:  # what it was asked to do is done, and nobody uses it any more
            _log.warning("a client cannot be closed: %s", error, exc_info=error)
