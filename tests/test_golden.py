"""The folder is the list of cases: tests/golden/<product>/<MESSAGE>/<case>/{input.log,expected.json}.

A new case needs no code: make the folder, write input.log, run `script/test --update-golden`, and read expected.json.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lexilog import Pipeline, Record, encode_json

GOLDEN = Path(__file__).resolve().parent / "golden"
CASES = sorted(path.parent for path in GOLDEN.glob("*/*/*/input.log"))


@pytest.mark.parametrize("case", CASES, ids=lambda path: str(path.relative_to(GOLDEN)))
def test_case(case: Path, pipeline: Pipeline, request: pytest.FixtureRequest) -> None:
    """Each line of input.log comes out as the object at the same place in expected.json."""
    lines = (case / "input.log").read_bytes().removesuffix(b"\n").split(b"\n")
    records = [Record(line=line.decode("utf-8", "surrogateescape")) for line in lines]
    found = [json.loads(encode_json(pipeline.process(record))) for record in records]
    expected = case / "expected.json"
    if request.config.getoption("--update-golden"):
        expected.write_text(json.dumps(found, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    assert found == json.loads(expected.read_text(encoding="utf-8"))


def test_each_entry_has_a_case(pipeline: Pipeline) -> None:
    """No entry goes without a golden case."""
    there = {path.parent.name for path in CASES}
    assert [entry.id for entry in pipeline.entries if entry.id not in there] == []


@pytest.mark.parametrize("variant", list("abcdefghijklmno"))
def test_each_envelope_has_a_case(variant: str) -> None:
    """Each wrapping that Junos lines are known to come in has a golden case; its name begins with its letter."""
    assert list(GOLDEN.glob(f"junos/*/{variant}-*/input.log"))
