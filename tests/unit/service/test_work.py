"""Work that would hold up others: what is inflated goes to a thread, unless it is next to nothing."""

from __future__ import annotations

import asyncio
import gzip
import threading
import zlib
from typing import Any

import pytest

from lexilog.errors import TooLargeError
from lexilog.gunzip import Inflater, gunzip
from lexilog.service import work
from lexilog.service.work import feed, inflate

BOMB = gzip.compress(bytes(1 << 20))
TINY = gzip.compress(b"x")


@pytest.fixture
def threads(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return in which threads something has been inflated."""
    found: list[int] = []

    class Notes(Inflater):
        def feed(self, data: bytes | memoryview, room: int) -> bytes:
            found.append(threading.get_ident())
            return super().feed(data, room)

    def note(data: bytes, most: int) -> bytes:
        found.append(threading.get_ident())
        return gunzip(data, most)

    monkeypatch.setattr(work, "Inflater", Notes)
    monkeypatch.setattr(work, "gunzip", note)
    return found


async def _whole(data: bytes) -> bytes:
    return await inflate(data, 1 << 20)


async def _fed(data: bytes) -> bytes:
    return await feed(work.Inflater(), data, 1 << 20)


@pytest.mark.parametrize("how", [_whole, _fed])
def test_a_bomb_goes_off_in_a_thread(how: Any, threads: list[int]) -> None:
    """A kilobyte can hold a megabyte: others are answered while it is inflated. A few bytes are not worth a thread."""
    assert len(BOMB) < 2_000
    assert asyncio.run(how(BOMB)) == bytes(1 << 20)
    assert asyncio.run(how(TINY)) == b"x"
    first, second = threads
    assert first != threading.get_ident() == second


@pytest.mark.parametrize("data", [BOMB, TINY])
def test_what_is_wrong_with_it_comes_out(data: bytes) -> None:
    """In a thread or not: too much, and no gzip, are told apart."""
    with pytest.raises(TooLargeError):
        asyncio.run(inflate(data, 0))
    with pytest.raises(zlib.error):
        asyncio.run(inflate(data[:-1], 1 << 20))
    with pytest.raises(zlib.error):
        asyncio.run(feed(Inflater(), b"no gzip" * 100, 100))
