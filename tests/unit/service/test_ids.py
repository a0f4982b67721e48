"""Stable ids: who sends the same again gets the same, and no two records share one."""

from __future__ import annotations

from itertools import islice

from hypothesis import given
from hypothesis import strategies as st

from lexilog.service.ids import StreamIds, batch_ids


@given(st.lists(st.binary()), st.integers(1, 50))
def test_the_same_batch_has_the_same_ids(parts: list[bytes], count: int) -> None:
    """Sent again byte for byte, each record has the id that it had; within the batch each has one of its own."""
    first = list(islice(batch_ids(*parts), count))
    assert first == list(islice(batch_ids(*parts), count))
    assert len(set(first)) == count
    assert all(len(one) <= 512 for one in first), "Elasticsearch takes ids of 512 bytes"


@given(st.lists(st.binary()), st.lists(st.binary()))
def test_other_batches_have_other_ids(one: list[bytes], other: list[bytes]) -> None:
    """Also where the same bytes are only divided in another way."""
    assert (next(batch_ids(*one)) == next(batch_ids(*other))) == (one == other)


def test_equal_lines_of_a_file_have_ids_of_their_own() -> None:
    """A device writes the same line twice; a file that is read again has the same ids; another file has others."""
    lines = ["same", "same", "other", "same", "\udcff"]
    found = _ids("/var/log/a", lines)
    assert len(set(found)) == 5
    assert _ids("/var/log/a", lines) == found
    assert _ids("/var/log/a", lines[:3]) == found[:3], "what is appended later changes nothing"
    assert not set(found) & set(_ids("/var/log/b", lines))


def _ids(name: str, lines: list[str]) -> list[str]:
    ids = StreamIds(name)
    return [ids.id_of(line) for line in lines]
