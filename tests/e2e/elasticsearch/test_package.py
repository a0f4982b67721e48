"""The pipeline of the integration package on a real node."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from elasticsearch_node import Node
from lexilog.compilers.elasticsearch.package_pipeline import package_pipelines, reference
from lexilog.compilers.source import load_source

Run = Callable[[dict[str, Any]], dict[str, Any]]

_NAME = "lexilog-test-package"
_FAILS = "a line on which a step of the pipeline fails"
_STREAM = "logs-lexilog.log-branch"


@pytest.fixture(scope="module")
def run(es9: Node) -> Iterator[Run]:
    """Return a function from a document that an agent writes into the package's data stream to what becomes of it."""
    made = package_pipelines(load_source())
    made["default"]["processors"].insert(3, {"fail": {"message": "made to fail", "if": f"ctx.message == '{_FAILS}'"}})
    # What Fleet does when it installs the package.
    names = {stem: f"{_NAME}-{stem}" for stem in made}
    for stem, body in made.items():
        text = json.dumps(body)
        for called, name in names.items():
            text = text.replace(reference(called), name, 1)
        es9.request("PUT", f"/_ingest/pipeline/{names[stem]}", text.encode())

    def simulate(document: dict[str, Any]) -> dict[str, Any]:
        asked = {"docs": [{"_index": _STREAM, "_source": document}]}
        answer = es9.request("POST", f"/_ingest/pipeline/{names['default']}/_simulate", asked)
        found: dict[str, Any] = answer["docs"][0]["doc"]
        return found

    yield simulate
    for name in names.values():
        es9.request("DELETE", f"/_ingest/pipeline/{name}")


def _line() -> str:
    folder = Path(__file__).resolve().parents[2] / "golden" / "junos" / "KMD_VPN_DOWN_ALARM_USER" / "documented"
    return (folder / "input.log").read_text().splitlines()[0]


def test_explains_a_line_where_it_lies(run: Run) -> None:
    """A line is recognised and explained, and stays in the data stream that it was written to."""
    found = run({"@timestamp": "2026-01-15T12:00:00Z", "message": _line()})
    record = found["_source"]
    assert (record["event"]["action"], record["event"]["dataset"]) == ("tunnel-down", "lexilog.juniper_kmd")
    assert found["_index"] == _STREAM
    assert record["data_stream"] == {"type": "logs", "dataset": "lexilog.log", "namespace": "branch"}
    assert [name for name in record if name.startswith("_lexilog")] == []


def test_lets_pass_what_it_does_not_know(run: Run) -> None:
    """A line of something else passes with its text, in the same data stream."""
    found = run({"@timestamp": "2026-01-15T12:00:00Z", "message": "a cat sat on the mat"})
    record = found["_source"]
    assert (record["message"], record["lexilog"]["match"]["quality"]) == ("a cat sat on the mat", "none")
    assert (found["_index"], record["data_stream"]["dataset"]) == (_STREAM, "lexilog.log")
    assert [name for name in record if name.startswith("_lexilog")] == []


def test_explains_a_line_in_json(run: Run) -> None:
    """A line inside a JSON object is found: each pipeline that another one calls twice is reached both times."""
    found = run({"@timestamp": "2026-01-15T12:00:00Z", "message": json.dumps({"message": _line()})})
    assert found["_source"]["event"]["action"] == "tunnel-down"
    assert found["_index"] == _STREAM


def test_keeps_a_record_on_which_it_fails(run: Run) -> None:
    """A record on which a step fails is kept in the same data stream, and says so."""
    found = run({"@timestamp": "2026-01-15T12:00:00Z", "message": _FAILS})
    record = found["_source"]
    assert (record["event"]["kind"], record["message"]) == ("pipeline_error", _FAILS)
    assert "made to fail" in record["error"]["message"]
    assert (found["_index"], record["data_stream"]["dataset"]) == (_STREAM, "lexilog.log")
    assert [name for name in record if name.startswith("_lexilog")] == []


def test_takes_out_what_no_term_can_hold(run: Run, es9: Node) -> None:
    """A value too long for a term does not keep a record from being indexed, with the mapping that Fleet makes."""
    line = '<14>1 2026-01-15T12:00:00.000Z srx1 kmd 1 KMD_PM_SA_ESTABLISHED [junos@2636.1.1.1.2.36 a="{}" b="c"] x'
    found = run({"@timestamp": "2026-01-15T12:00:00Z", "message": line.format("\N{EURO SIGN}" * 20_000)})["_source"]
    assert found["log"]["syslog"]["structured_data"] == {"junos@2636.1.1.1.2.36": {"b": "c"}}
    assert found["lexilog"]["variables"] == {"b": "c"}
    flattened = {"type": "flattened"}
    properties = {
        "lexilog": {"properties": {"variables": flattened}},
        "log": {"properties": {"syslog": {"properties": {"structured_data": flattened}}}},
    }
    es9.request("PUT", f"/{_NAME}", {"mappings": {"dynamic": False, "properties": properties}})
    try:
        assert es9.request("POST", f"/{_NAME}/_doc", found)["result"] == "created"
    finally:
        es9.request("DELETE", f"/{_NAME}")
