"""Records that did not come by OTLP leave by it with all that came with them, and whatever they hold can be sent."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord

from lexilog import Pipeline, Record
from lexilog.forward.codec import read_entry
from lexilog.otlp.as_json import read_json_request
from lexilog.otlp.decode import BODY_KEYS, read_records, read_request
from lexilog.otlp.encode import AttributeStyle, RequestBuilder, Shape, request_as_it_came
from lexilog.otlp.values import from_any, from_pairs, set_any

LINE = "<30>Aug  3 10:18:44 srx1 kmd[1]: KMD_VPN_DOWN_ALARM_USER: VPN v1 from 198.51.100.7 is down."
WHEN = datetime(2020, 1, 1, 12, 0, tzinfo=UTC)
TIME = 1_577_880_000_000_000_000
SHAPES: list[tuple[Shape, AttributeStyle]] = [
    ("document", "dotted"),
    ("attributes", "dotted"),
    ("attributes", "nested"),
]
shapes = pytest.mark.parametrize(("shape", "style"), SHAPES)


def _sent(
    record: Record, pipeline: Pipeline, shape: Shape, style: AttributeStyle = "dotted", max_bytes: int = 1_000_000
) -> LogRecord:
    """Return a record as the next hop reads it."""
    builder = RequestBuilder(shape=shape, style=style, max_bytes=max_bytes)
    assert builder.add(pipeline.process(record)) is None
    full = builder.rest()
    assert full
    request = ExportLogsServiceRequest.FromString(full[0].SerializeToString())
    return request.resource_logs[0].scope_logs[0].log_records[0]


def _fields(sent: LogRecord) -> dict[str, Any]:
    """Return all that a record says, wherever it stands."""
    body = from_any(sent.body)
    return from_pairs(sent.attributes) | (body if isinstance(body, dict) else {})


def _forward(fields: Mapping[str, Any]) -> Record:
    return read_entry("tag", msgpack.packb([TIME // 10**9, fields]), BODY_KEYS, "id")


@shapes
@pytest.mark.parametrize(
    "fields", [{"audit": "login"}, {"log": "nobody knows"}, {"log": LINE}], ids=["no line", "unknown", "known"]
)
def test_fields_and_time_are_kept(
    fields: dict[str, Any], shape: Shape, style: AttributeStyle, pipeline: Pipeline
) -> None:
    """Every field of the agent and its time are there, in either shape, whether an entry knows the line or not."""
    agent = {"container": "c1", "in": {"a": [1, {"b": None}]}, "in.dots": 2.5}
    for record in (_forward(fields | agent), Record.from_map(fields | agent, BODY_KEYS, time=WHEN)):
        sent = _sent(record, pipeline, shape, style)
        found = _fields(sent)
        assert {name: found[name] for name in agent} == agent
        assert sent.time_unix_nano == TIME
        if shape == "document":
            assert not sent.attributes
        elif record.line_key:
            assert from_any(sent.body) == fields | agent
        else:
            assert sent.body == AnyValue()


@shapes
def test_fields_beside_a_line(shape: Shape, style: AttributeStyle, pipeline: Pipeline) -> None:
    """A line that did not stand among the fields is the body, and they are attributes."""
    sent = _sent(Record(line=LINE, fields={"site": "berlin"}, time=WHEN), pipeline, shape, style)
    assert _fields(sent)["site"] == "berlin"
    if shape == "attributes":
        assert sent.body.string_value == LINE
        assert from_pairs(sent.attributes)["site"] == "berlin"


@shapes
def test_no_time_is_made_up(shape: Shape, style: AttributeStyle, pipeline: Pipeline) -> None:
    """An unknown record that nobody has dated has none in its header; a known one has that of its line."""
    assert _sent(Record(line="nobody knows"), pipeline, shape, style).time_unix_nano == 0
    assert _sent(Record(line=LINE), pipeline, shape, style).time_unix_nano == 1_754_216_324_000_000_000


@shapes
@pytest.mark.parametrize("when", [datetime(1960, 1, 1, tzinfo=UTC), datetime(9999, 1, 1, tzinfo=UTC)], ids=str)
def test_a_time_that_otlp_has_no_place_for(
    when: datetime, shape: Shape, style: AttributeStyle, pipeline: Pipeline
) -> None:
    """It is not in the header, and costs nothing else: the record is explained all the same."""
    for line in (LINE, "unknown"):
        sent = _sent(Record(line=line, fields={"a": "b"}, time=when), pipeline, shape, style)
        found = _fields(sent)
        assert (found["a"], "error.message" in found, "error" in found) == ("b", False, False)
        if line == LINE:
            assert "@timestamp" in found
        else:
            assert sent.time_unix_nano == 0


@shapes
@pytest.mark.parametrize("log", ["nobody knows", LINE, None])
def test_what_is_too_large_keeps_fields_and_time(
    log: str | None, shape: Shape, style: AttributeStyle, pipeline: Pipeline
) -> None:
    """It leaves as it came, fields and all, with a note of ours."""
    fields = {"site": "berlin", "blob": "x" * 5_000} | ({"log": log} if log else {})
    sent = _sent(_forward(fields), pipeline, shape, style, max_bytes=5_000)
    found = _fields(sent)
    assert {name: found[name] for name in fields} == fields
    assert sent.time_unix_nano == TIME
    if shape == "document" or log == LINE:
        assert found["error.message"].startswith("too large to be enriched: ")


def test_what_cannot_be_written_keeps_fields_and_time(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    """A failure of ours costs the explanation, not what the agent has set."""
    monkeypatch.setattr("lexilog.otlp.encode.document", lambda _: 1 / 0)
    sent = _sent(_forward({"log": LINE, "site": "berlin"}), pipeline, "document")
    assert from_any(sent.body) == {"log": LINE, "site": "berlin"}
    assert sent.time_unix_nano == TIME
    assert from_pairs(sent.attributes)["error.message"] == "ZeroDivisionError: division by zero"


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        (2**64, str(2**64)),
        (-(2**63) - 1, str(-(2**63) - 1)),
        (WHEN, "2020-01-01T12:00:00+00:00"),
        ((1, ("a",)), [1, ["a"]]),
        (b"\xff", "\udcff"),
        ("caf\udce9", "caf\udce9"),
        ("\ud800", "\udced\udca0\udc80"),
        ({1: 2, None: 3, "k\udcff": 4}, {"1": 2, "None": 3, "k\\xff": 4}),
        ({"a"}, "{'a'}"),
    ],
    ids=repr,
)
def test_values_that_otlp_does_not_know(value: Any, wanted: Any) -> None:
    """They become the text or bytes that they stand for: nothing is left out, and nothing raises."""
    target = AnyValue()
    set_any(target, value)
    assert from_any(target) == wanted


@pytest.mark.parametrize("step", [lambda value: {"a": value}, lambda value: [value], lambda value: ({"b": value},)])
def test_what_is_nested_too_deep_becomes_json(step: Any) -> None:
    """Down to where parsers of protobuf surely go a value keeps its form; from there on it is text, and all there."""
    value: Any = {"end": [WHEN, b"\xe9", None, 2**70]}
    for _ in range(60):
        value = step(value)
    target = AnyValue()
    set_any(target, value)
    found = from_any(target)
    depth = 0
    while not isinstance(found, str):
        (found,) = found.values() if isinstance(found, dict) else found
        depth += 1
    assert depth >= 25
    text = json.loads(found)
    while "end" not in text:
        (text,) = text.values() if isinstance(text, dict) else text
    assert text["end"] == [WHEN.isoformat(), "\udce9", None, 2**70]


LEAVES = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | st.binary(max_size=5)
    | st.text(st.characters() | st.sampled_from("\ud800\udcff"), max_size=5)
    | st.datetimes(timezones=st.just(UTC) | st.none())
    | st.timedeltas()
)
KEYS = st.text(st.characters() | st.sampled_from("\ud800\udcff"), max_size=3)
STEPS = st.lists(st.sampled_from(["map", "list", "tuple"]), max_size=60)


@st.composite
def _nested(draw: st.DrawFn) -> Any:
    value = draw(LEAVES)
    for step in draw(STEPS):
        value = {"map": {draw(KEYS): value}, "list": [value], "tuple": (value, None)}[step]
    return value


TIMES = st.none() | st.datetimes() | st.datetimes(timezones=st.just(UTC))
NAMES = st.sampled_from(["event", "event.code", "lexilog", "labels", "log", "source", "@timestamp"]) | KEYS
LINES = st.sampled_from([LINE, "unknown", "\udcff", "\ud800", None])


@given(LINES, st.dictionaries(NAMES, _nested(), max_size=3), TIMES, st.booleans(), st.sampled_from([100, 100_000]))
def test_any_record_can_be_sent(
    line: str | None, fields: dict[str, Any], time: datetime | None, in_map: bool, max_bytes: int
) -> None:
    """Whatever fields and time a record has, the next hop can parse it, and no exception holds up its neighbours."""
    pipeline = _pipeline()
    if in_map:
        record = Record.from_map({**fields, "log": line}, BODY_KEYS, time=time)
    else:
        record = Record(line=line, fields=fields, time=time)
    for shape, style in SHAPES:
        assert _sent(record, pipeline, shape, style, max_bytes).ByteSize()
    (back,) = read_records(read_request(request_as_it_came(pipeline.process(record))))
    assert back.problem is None
    assert (back.line is None) == (record.line is None)


_PIPELINES: list[Pipeline] = []


def _pipeline() -> Pipeline:
    """Return one pipeline for all cases: to make one takes longer than a case."""
    if not _PIPELINES:
        _PIPELINES.append(Pipeline(now=lambda: WHEN + timedelta(days=1)))
    return _PIPELINES[0]


def _any_value(value: Any, target: AnyValue) -> None:
    """Set a value as an agent does that knows no bound."""
    if isinstance(value, dict):
        for key, item in value.items():
            _any_value(item, target.kvlist_value.values.add(key=key).value)
    elif isinstance(value, list):
        for item in value:
            _any_value(item, target.array_value.values.add())
    else:
        target.string_value = value


def _in_json(value: Any) -> dict[str, Any]:
    if isinstance(value, dict):
        return {"kvlistValue": {"values": [{"key": key, "value": _in_json(item)} for key, item in value.items()]}}
    if isinstance(value, list):
        return {"arrayValue": {"values": [_in_json(item) for item in value]}}
    return {"stringValue": value}


FORMS = st.sampled_from(["map", "list"])
DEEP = st.lists(FORMS, max_size=60) | st.tuples(FORMS, st.integers(0, 60)).map(lambda found: [found[0]] * found[1])


@given(DEEP, st.booleans())
def test_however_deep_a_door_lets_it_in(steps: list[str], known: bool) -> None:
    """A value nested up to 60 deep passes each door and leaves in either shape, explained where the line is known."""
    value: Any = "deep"
    for step in steps:
        value = {"a": value} if step == "map" else [value]
    line = LINE if known else "unknown"
    request = ExportLogsServiceRequest()
    scope = request.resource_logs.add().scope_logs.add()
    beside = {"body": {"stringValue": line}, "attributes": [{"key": "x", "value": _in_json(value)}]}
    in_json = {"resourceLogs": [{"scopeLogs": [{"logRecords": [beside, {"body": _in_json(value)}]}]}]}
    _any_value(value, scope.log_records.add().body)
    second = scope.log_records.add()
    second.body.string_value = line
    _any_value(value, second.attributes.add(key="x").value)
    records = [
        *read_records(read_request(request.SerializeToString())),
        *read_records(read_json_request(json.dumps(in_json).encode())),
        _forward({"log": line, "x": value}),
        Record(line=line, fields={"x": value}),
    ]
    assert len(records) == 6
    for record in records:
        for shape, style in SHAPES:
            found = _fields(_sent(record, _pipeline(), shape, style))
            assert "error.message" not in found or record.problem
