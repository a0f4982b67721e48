"""What is done of a plan where a server refuses something."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from lexilog.install.access import RefusedError
from lexilog.install.apply import apply
from lexilog.install.plan import Step


class _Server:
    """A double that keeps what it is told to keep; knows what it has let go of."""

    def __init__(self, **refused: int) -> None:
        self._refused = refused
        self.gone: list[str] = []

    def put(self, kind: str, name: str, body: Mapping[str, Any]) -> None:
        raise NotImplementedError

    def delete(self, kind: str, name: str) -> None:
        if status := self._refused.get(name):
            raise RefusedError(f"{name} is in use", status)
        self.gone.append(name)


A, B, C, D = (("ingest_pipeline", name) for name in "abcd")
STEPS = [
    Step("remove", *A, stands_on=(B,)),
    Step("remove", *B, stands_on=(C,)),
    Step("remove", *C),
    Step("remove", *D),
]


def test_what_stays_keeps_what_it_stands_on() -> None:
    """An object that a server does not let go of still works afterwards: what it needs stays too, and is told."""
    server, done = _Server(a=400), list[Step]()
    kept = apply(STEPS, server, done.append)
    assert kept == [
        "a is in use",
        "ingest pipeline b: used by ingest pipeline a, which stays",
        "ingest pipeline c: used by ingest pipeline b, which stays",
    ]
    assert server.gone == ["d"] == [step.name for step in done]


@pytest.mark.parametrize("status", [401, 403, 429, 500, 503])
def test_a_refusal_of_everything_ends_it(status: int) -> None:
    """Where a server refuses for a reason that has nothing to do with the object, nothing else is asked of it."""
    server = _Server(b=status)
    with pytest.raises(RefusedError, match="b is in use"):
        apply(STEPS, server, lambda _step: None)
    assert server.gone == ["a"]
