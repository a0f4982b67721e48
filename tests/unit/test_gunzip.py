"""What is inflated, what is refused, and how much memory and work a hostile stream can cost."""

from __future__ import annotations

import gzip
import itertools
import os
import tracemalloc
import zlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lexilog import gunzip as module
from lexilog.errors import TooLargeError
from lexilog.gunzip import Inflater, gunzip

MEBIBYTE = 1 << 20


@given(parts=st.lists(st.binary(max_size=2000), min_size=1, max_size=5))
def test_streams_one_behind_the_other(parts: list[bytes]) -> None:
    """They are what they hold together, as gzip itself has it."""
    data = b"".join(map(gzip.compress, parts))
    whole = b"".join(parts)
    assert gunzip(data, len(whole) or 1) == whole == gzip.decompress(data)


@given(whole=st.binary(min_size=1, max_size=5000), cuts=st.lists(st.integers(0, 6000), max_size=6))
def test_it_does_not_matter_in_which_pieces_a_stream_comes(whole: bytes, cuts: list[int]) -> None:
    """Not even where a piece is a part of the header, of the checksum, or empty."""
    data = gzip.compress(whole)
    bounds = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    inflater, found = Inflater(), b""
    for start, end in itertools.pairwise(bounds):
        found += inflater.feed(data[start:end], len(whole) + 1 - len(found))
    inflater.check_end()
    assert found == whole


@pytest.mark.parametrize("members", [1, 3])
def test_the_limit_is_exact(members: int) -> None:
    """As much as the limit passes, a byte more does not; nor does it in several streams."""
    data = gzip.compress(b"x" * 1000) * members
    assert len(gunzip(data, 1000 * members)) == 1000 * members
    with pytest.raises(TooLargeError, match=f"larger than {1000 * members - 1} bytes"):
        gunzip(data, 1000 * members - 1)


def test_a_bomb_is_not_unpacked() -> None:
    """A hundred kilobytes that stand for a hundred megabytes take no more memory than there is room for, twice."""
    bomb = gzip.compress(b"\0" * (100 * MEBIBYTE))
    assert len(bomb) < 110_000
    tracemalloc.start()
    try:
        with pytest.raises(TooLargeError):
            gunzip(bomb, 4 * MEBIBYTE)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 10 * MEBIBYTE


@pytest.mark.parametrize("most", [0, 1, 99])
def test_no_more_comes_than_there_is_room_for(most: int) -> None:
    """Whoever inflates by pieces never gets more than was asked for."""
    assert len(Inflater().feed(gzip.compress(b"x" * 100), most)) == most


@pytest.mark.parametrize("end", [0, 1, 5, 12, -9, -8, -1])
def test_a_stream_that_breaks_off(end: int) -> None:
    """It is an error wherever it does, in the checksum too: half a batch would be taken for a whole one."""
    with pytest.raises(zlib.error):
        gunzip(gzip.compress(b"some lines of a log\n" * 10)[:end], 10_000)


@pytest.mark.parametrize(
    "data",
    [
        b"no gzip",
        zlib.compress(b"zlib, which is another format"),
        gzip.compress(b"x") + b"trailing",
        gzip.compress(b"wrong checksum")[:-8] + bytes(8),
    ],
)
def test_what_is_no_gzip(data: bytes) -> None:
    """It is an error, and nothing else."""
    with pytest.raises(zlib.error):
        gunzip(data, 10_000)


def test_streams_that_hold_nothing_are_bounded_in_number() -> None:
    """They would inflate to nothing for ever, and so never reach the limit."""
    empty = gzip.compress(b"")
    assert gunzip(empty * 1000, 10) == b""
    with pytest.raises(zlib.error, match="too many streams"):
        gunzip(empty * 1600, 10)


def test_many_streams_that_hold_something_are_no_bomb() -> None:
    """Fluentd puts a stream for each batch into a chunk; zeros behind the last one are padding."""
    one = gzip.compress(bytes(range(256)))
    assert gunzip(one * 20_000 + bytes(100), 256 * 20_000) == bytes(range(256)) * 20_000


def test_streams_before_a_large_one_do_not_copy_it_again_and_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """zlib copies all that stands behind a stream's end: with a thousand of them 60 MB would take minutes."""
    copied = 0

    class Counting:
        """A double of zlib's object that does all that the real one does, and counts what it copies."""

        def __init__(self, bits: int) -> None:
            self._real = zlib.decompressobj(bits)

        def __getattr__(self, name: str) -> Any:
            return getattr(self._real, name)

        def decompress(self, data: bytes, room: int) -> bytes:
            nonlocal copied
            found = self._real.decompress(data, room)
            copied += len(self._real.unused_data)
            return found

    large = os.urandom(MEBIBYTE)
    data = gzip.compress(b"") * 500 + gzip.compress(large, 1)
    monkeypatch.setattr(module, "zlib", _Zlib(Counting))
    assert gunzip(data, MEBIBYTE) == large
    assert 0 < copied < 32 * MEBIBYTE, "without blocks it is 500 times a mebibyte"


class _Zlib:
    """A double of the module: all of it is real but the object that inflates."""

    def __init__(self, inflate: Any) -> None:
        self.decompressobj = inflate

    def __getattr__(self, name: str) -> Any:
        return getattr(zlib, name)
