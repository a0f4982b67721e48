"""Lines from a stream."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lexilog.service.lines import read_chunks, read_counted


class _Slow(io.BytesIO):
    """Gives out a few bytes at a time, as a pipe does."""

    def __init__(self, data: bytes, size: int) -> None:
        super().__init__(data)
        self.size = size

    def read1(self, size: int | None = -1, /) -> bytes:
        return super().read(self.size)


@given(
    st.lists(st.sampled_from([b"a", b"\n", b"\r\n", b"\x0b", b"\x85", b"\xe2\x80\xa8", b"\x00"])).map(b"".join),
    st.integers(1, 5),
)
def test_only_newline_ends_a_line(data: bytes, size: int) -> None:
    """However the bytes arrive, the lines are the same, and together with their endings they are the input."""
    found = [line for lines in read_chunks(_Slow(data, size)) for line in lines]
    expected = data.split(b"\n")
    assert found == (expected[:-1] if data.endswith(b"\n") or not data else expected)


def _counted(*messages: bytes) -> bytes:
    return b"".join(str(len(message)).encode() + b" " + message for message in messages)


MESSAGES = [b"<30>one", b"<30>two\nhas a line feed", b"<30>" + b"x" * 5000, b"<30>\xff\x00"]


@pytest.mark.parametrize("size", [1, 2, 7, 100, 1 << 18])
def test_messages_with_their_length_before_them(size: int) -> None:
    """A line feed inside a message is part of it, however the bytes arrive (RFC 6587 section 3.4.1)."""
    found = [line for lines in read_counted(_Slow(_counted(*MESSAGES), size)) for line in lines]
    assert found == MESSAGES


@pytest.mark.parametrize("size", [1, 7, 1 << 18])
@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"plain\n" + _counted(b"<30>one") + b"\nplain\n", [b"plain", b"<30>one", b"plain"]),
        (b"7 <30>on", [b"7 <30>on"]),
        (b"99999999 <30>one\nplain", [b"99999999 <30>one", b"plain"]),
        (b"12 apples\n", [b"12 apples"]),
        (b"12", [b"12"]),
        (b"\n\n", [b"", b""]),
        (b"", []),
    ],
)
def test_a_stream_that_changes_its_mind_loses_nothing(data: bytes, expected: list[bytes], size: int) -> None:
    """Where no count stands, or one that nobody waits for, a message ends at the next line feed."""
    assert [line for lines in read_counted(_Slow(data, size)) for line in lines] == expected
