"""Lines from a stream."""

from __future__ import annotations

import io

from hypothesis import given
from hypothesis import strategies as st

from lexilog.service.lines import read_chunks


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
