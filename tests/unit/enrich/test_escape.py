"""Bytes that are not UTF-8 leave in a form that can be undone."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from lexilog.enrich.escape import escape, is_clean, unescape


@given(st.binary())
def test_any_bytes_come_back(data: bytes) -> None:
    """What is escaped can be undone to the byte, and what is clean is not touched."""
    text = data.decode("utf-8", "surrogateescape")
    if is_clean(text):
        assert escape(text) == text
    else:
        assert is_clean(escape(text))
        assert unescape(escape(text)) == data


@given(st.lists(st.sampled_from([b"\\", b"x", b"\\x", b"41", b"\xff", b"\\x5c", b"5c", "é".encode()])).map(b"".join))
def test_escapes_in_the_line_itself_come_back(data: bytes) -> None:
    r"""A line that had \xNN in it is told from one that had the byte."""
    text = data.decode("utf-8", "surrogateescape")
    assert is_clean(text) or unescape(escape(text)) == data


def test_a_lone_surrogate_from_json_is_held() -> None:
    """A surrogate that stands for no byte becomes its own three bytes."""
    assert escape("a\ud800") == "a\\xed\\xa0\\x80"
