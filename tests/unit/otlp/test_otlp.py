"""OTLP requests to records and back: what came stays, what is new is added, in either shape."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord

from lexilog import OriginError, Pipeline, Record
from lexilog.model import Enriched
from lexilog.otlp.decode import read_records, read_request
from lexilog.otlp.encode import AttributeStyle, RequestBuilder, Shape
from lexilog.otlp.values import from_any, from_pairs, set_any

LINE = "<30>Aug  3 10:18:44 srx1 kmd[1]: KMD_VPN_DOWN_ALARM_USER: VPN v1 from 198.51.100.7 is down."
KEYS = ("log", "message", "MESSAGE")


def _request(*bodies: Any, attributes: Mapping[str, Any] | None = None) -> ExportLogsServiceRequest:
    request = ExportLogsServiceRequest()
    resource = request.resource_logs.add(schema_url="https://schema.example/r")
    pair = resource.resource.attributes.add(key="host.name")
    pair.value.string_value = "agent1"
    scope = resource.scope_logs.add()
    scope.scope.name = "scope1"
    for body in bodies:
        record = scope.log_records.add(time_unix_nano=1_700_000_000_123_456_789, flags=1, trace_id=b"t" * 16)
        if isinstance(body, bytes):
            record.body.bytes_value = body
        else:
            set_any(record.body, body)
        for key, value in (attributes or {}).items():
            set_any(record.attributes.add(key=key).value, value)
    return request


def _through(
    request: ExportLogsServiceRequest,
    pipeline: Pipeline,
    shape: Shape = "document",
    style: AttributeStyle = "dotted",
    max_bytes: int = 1_000_000,
) -> list[ExportLogsServiceRequest]:
    batch = pipeline.process_all(read_records(read_request(request.SerializeToString()), KEYS))
    parts = _build(batch, shape, style, max_bytes)
    assert sum(count for _, count in parts) == len(batch)
    # What is sent is what the next hop can parse.
    return [ExportLogsServiceRequest.FromString(part.SerializeToString()) for part, _ in parts]


def _build(
    batch: list[Enriched], shape: Shape, style: AttributeStyle = "dotted", max_bytes: int = 1_000_000
) -> list[tuple[ExportLogsServiceRequest, int]]:
    builder = RequestBuilder(shape=shape, style=style, max_bytes=max_bytes)
    return [part for part in (*map(builder.add, batch), builder.rest()) if part is not None]


def _only(requests: list[ExportLogsServiceRequest]) -> LogRecord:
    (request,) = requests
    return request.resource_logs[0].scope_logs[0].log_records[0]


@pytest.mark.parametrize("body", [LINE, LINE.encode(), *({key: LINE, "more": 1} for key in KEYS)], ids=repr)
def test_the_line_is_found(body: Any, pipeline: Pipeline) -> None:
    """A body is the line as text or bytes, or a map that holds it under a key that agents use."""
    record = _only(_through(_request(body), pipeline))
    found = from_any(record.body)
    assert found["event"]["code"] == "KMD_VPN_DOWN_ALARM_USER"
    assert found["event"]["original"] == LINE
    assert found["message"] == "VPN v1 from 198.51.100.7 is down."
    assert isinstance(body, str | bytes) or found["more"] == 1


def test_another_key_can_be_named(pipeline: Pipeline) -> None:
    """The keys are a setting, and the first that is there counts."""
    data = _request({"raw": LINE, "log": "other"}).SerializeToString()
    (record,) = read_records(read_request(data), ("raw", "log"))
    assert (record.line, record.line_key) == (LINE, "raw")


def test_shape_document(pipeline: Pipeline) -> None:
    """The body is the ECS document with the agent's fields; all else on the record is as it came."""
    request = _request(LINE, attributes={"file": "/var/log/x", "n": {"a": [1, True, 2.5]}})
    record = _only(_through(request, pipeline))
    came = request.resource_logs[0].scope_logs[0].log_records[0]
    found = from_any(record.body)
    assert found["file"] == "/var/log/x"
    assert found["n"] == {"a": [1, True, 2.5]}
    assert found["event"]["category"] == ["network", "session"]
    assert found["event"]["severity"] == 6
    assert list(record.attributes) == list(came.attributes)
    assert (record.time_unix_nano, record.flags, record.trace_id) == (came.time_unix_nano, 1, b"t" * 16)
    assert (record.severity_number, record.severity_text) == (9, "info")


def test_shape_attributes_dotted(pipeline: Pipeline) -> None:
    """The body stays the line; the new fields are attributes; the agent's own win, but not under event and lexilog."""
    request = _request(
        LINE, attributes={"file": "x", "observer.vendor": "mine", "event.code": "mine", "source": "tail"}
    )
    record = _only(_through(request, pipeline, "attributes"))
    found = from_pairs(record.attributes)
    assert record.body.string_value == LINE
    assert found["file"] == "x"
    assert found["observer.vendor"] == "mine"
    assert found["event.code"] == "KMD_VPN_DOWN_ALARM_USER"
    assert found["source"] == "tail"
    assert "source.ip" not in found
    assert found["destination.ip"] == "198.51.100.7"
    assert found["lexilog.variables.vpn-name"] == "v1"
    assert found["@timestamp"] == "2023-08-03T10:18:44.000Z"
    assert len({pair.key for pair in record.attributes}) == len(record.attributes)


def test_shape_attributes_nested(pipeline: Pipeline) -> None:
    """The same, each field in maps; an agent's map is kept and added to."""
    request = _request(LINE, attributes={"file": "x", "observer": {"vendor": "mine"}})
    record = _only(_through(request, pipeline, "attributes", "nested"))
    found = from_pairs(record.attributes)
    assert record.body.string_value == LINE
    assert found["observer"]["vendor"] == "mine"
    assert found["observer"]["hostname"] == "srx1"
    assert found["lexilog"]["match"] == {"quality": "exact"}
    assert found["file"] == "x"


@pytest.mark.parametrize(
    "body", ["nothing known", b"\xff\x00", {"log": "x", "a": 1}, 7, ["a"], {"other": 1}, None], ids=repr
)
@pytest.mark.parametrize("style", ["dotted", "nested"])
def test_unknown_records_keep_their_body(body: Any, style: AttributeStyle, pipeline: Pipeline) -> None:
    """In the shape attributes an unknown record is as it came, with the note that nothing is known of it."""
    request = _request(body, attributes={"a": "b"})
    came = request.resource_logs[0].scope_logs[0].log_records[0]
    record = _only(_through(request, pipeline, "attributes", style))
    assert record.body == came.body
    noted = {"lexilog": {"match": {"quality": "none"}}} if style == "nested" else {"lexilog.match.quality": "none"}
    assert from_pairs(record.attributes) == {"a": "b", **noted}
    assert record.severity_number == 0


def test_unknown_records_as_documents(pipeline: Pipeline) -> None:
    """In the shape document an unknown record keeps every field, the line in message; without a line too."""
    found = from_any(_only(_through(_request("nothing known", attributes={"a": "b"}), pipeline)).body)
    assert found.pop("@timestamp")
    assert found == {
        "a": "b",
        "message": "nothing known",
        "event": {"original": "nothing known", "created": "2026-01-15T12:00:00.000Z"},
        "lexilog": {"match": {"quality": "none"}},
    }
    for body, expected in ((7, {"log": 7}), (["a"], {"log": ["a"]}), ({"other": {"b": 1}}, {"other": {"b": 1}})):
        found = from_any(_only(_through(_request(body, attributes={"a": "b"}), pipeline)).body)
        assert found.pop("@timestamp")
        assert found.pop("event") == {"created": "2026-01-15T12:00:00.000Z"}
        assert found == {**expected, "a": "b", "lexilog": {"match": {"quality": "none"}}}


@pytest.mark.parametrize("agent", [{"event.code": "theirs"}, {"event": {"code": "theirs", "own": 1}}])
def test_what_is_ours_stands_in_one_place(agent: dict[str, Any], pipeline: Pipeline) -> None:
    """An agent's event.code, dotted or nested, does not stay beside ours; what else it has under event does."""
    request = _request(LINE, attributes=agent)
    nested = from_any(_only(_through(request, pipeline)).body)
    assert "event.code" not in nested
    assert nested["event"]["code"] == "KMD_VPN_DOWN_ALARM_USER"
    assert nested["event"].get("own") == ("own" in str(agent) or None)
    found = from_pairs(_only(_through(request, pipeline, "attributes", "nested")).attributes)
    assert "event.code" not in found
    assert found["event"]["code"] == "KMD_VPN_DOWN_ALARM_USER"
    found = from_pairs(_only(_through(request, pipeline, "attributes")).attributes)
    assert found["event.code"] == "KMD_VPN_DOWN_ALARM_USER"
    assert found.get("event", {}) == ({"own": 1} if "own" in str(agent) else {})


def test_a_value_in_the_place_of_our_maps_is_kept(pipeline: Pipeline) -> None:
    """An agent's event or lexilog that is no map moves to labels."""
    agent = {"event": "login", "lexilog": ["mine"], "labels": {"a": "b"}}
    for line in (LINE, "unknown"):
        found = from_any(_only(_through(_request(line, attributes=agent), pipeline)).body)
        assert found["labels"] == {"a": "b", "event": "login", "lexilog": ["mine"]}
        assert found["event"]["original"] == line
    found = from_pairs(_only(_through(_request(LINE, attributes=agent), pipeline, "attributes", "nested")).attributes)
    assert found["labels"] == {"a": "b", "event": "login", "lexilog": ["mine"]}


def test_what_is_too_large_once_enriched_goes_as_it_came(pipeline: Pipeline) -> None:
    """A record that would not fit into a request any more is not held back: it goes unenriched, and says so."""
    line = f"{LINE} {'x' * 3_000}"
    record = _only(_through(_request(line), pipeline, max_bytes=5_000))
    assert record.body.string_value == line
    assert "too large to be enriched" in from_pairs(record.attributes)["error.message"]


def test_headers_count_too(pipeline: Pipeline) -> None:
    """A resource that is large does not make a request larger than the limit, and many scopes do not make it tiny."""
    request = _request(*["line"] * 5)
    large = _request("other")
    large.resource_logs[0].resource.attributes.add(key="big").value.string_value = "x" * 2_000
    for number in range(50):
        large.resource_logs[0].scope_logs.add(schema_url=f"s{number}").log_records.add().body.string_value = "a"
    request.resource_logs.add().CopyFrom(large.resource_logs[0])
    parts = _through(request, pipeline, "attributes", max_bytes=3_000)
    assert all(part.ByteSize() <= 3_000 for part in parts)
    assert len(_through(request, pipeline, "attributes", max_bytes=10_000)) <= 2


def test_text_that_is_not_utf8_refuses_nothing(pipeline: Pipeline) -> None:
    """Agents send bytes as text; the line is kept to the byte, and the other records of the request are not touched."""
    data = _request("bad LINE", LINE, attributes={"k": "bad value"}).SerializeToString()
    data = data.replace(b"bad LINE", b"bad\xffLINE").replace(b"bad value", b"bad\xfevalue")
    records = list(read_records(read_request(data), KEYS))
    assert records[0].line == "bad\udcffLINE"
    assert records[0].fields == {"k": "bad\udcfevalue"}
    ((part, _),) = _build(pipeline.process_all(records), "attributes")
    first, second = part.resource_logs[0].scope_logs[0].log_records
    assert first.body.bytes_value == b"bad\xffLINE"
    assert second.body.string_value == LINE
    ((part, _),) = _build(pipeline.process_all(records), "document")
    found = from_any(part.resource_logs[0].scope_logs[0].log_records[0].body)
    assert found["event"]["original"] == "bad\\xffLINE"
    assert sorted(found["lexilog"]["escaped"]) == ["event.original", "k", "message"]


def test_names_that_are_not_utf8_are_escaped() -> None:
    """Keys and scope names have to be text: they are escaped, and nothing is lost."""
    request = _request("a", attributes={"bad key": "v"})
    data = request.SerializeToString().replace(b"bad key", b"bad\xffkey").replace(b"scope1", b"\xfecope1")
    ((origin, _),) = read_request(data)
    assert origin.scope.scope.name == "\\xfecope1"
    assert from_pairs(origin.record.attributes) == {"bad\\xffkey": "v"}


@pytest.mark.parametrize("data", [b"\xff\xff\xff", b"\x0a\x05abc", b"{}"])
def test_what_is_no_request_is_refused(data: bytes) -> None:
    """Bytes that are no protobuf at all are an error that says so."""
    with pytest.raises(OriginError, match="no OTLP ExportLogsServiceRequest"):
        read_request(data)


@pytest.mark.parametrize("shape", ["document", "attributes"])
def test_requests_are_split_by_size(shape: Shape, pipeline: Pipeline) -> None:
    """Each part is within the limit unless it is one record; order, resource and scope are kept."""
    request = _request(*(f"line {number} " + "x" * (number % 50) for number in range(200)), "y" * 5_000)
    other = _request("other resource")
    request.resource_logs.add().CopyFrom(other.resource_logs[0])
    parts = _through(request, pipeline, shape, max_bytes=2_000)
    lines = []
    for part in parts:
        records = [record for r in part.resource_logs for s in r.scope_logs for record in s.log_records]
        assert part.ByteSize() <= 2_000 or len(records) == 1
        for resource in part.resource_logs:
            assert from_pairs(resource.resource.attributes) == {"host.name": "agent1"}
            assert resource.schema_url == "https://schema.example/r"
            assert resource.scope_logs[0].scope.name == "scope1"
        bodies = [from_any(record.body) for record in records]
        lines += [body["message"] if isinstance(body, dict) else body for body in bodies]
    came = [record for r in request.resource_logs for s in r.scope_logs for record in s.log_records]
    assert lines == [record.body.string_value for record in came]
    assert len(parts) > 5


def test_records_of_other_doors_make_requests_too(pipeline: Pipeline) -> None:
    """A record without OTLP origin gets a record of its own."""
    batch = pipeline.process_all([Record(line=LINE), Record(line="\udcff")])
    ((request, count),) = _build(batch, "attributes")
    first, second = request.resource_logs[0].scope_logs[0].log_records
    assert count == 2
    assert first.body.string_value == LINE
    assert first.time_unix_nano == 1_754_216_324_000_000_000
    assert second.body.bytes_value == b"\xff"


def test_a_record_that_cannot_be_written_passes_as_it_came(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    """A failure on the way out costs the explanation of that record, and nothing else."""
    monkeypatch.setattr("lexilog.otlp.encode.document", lambda _: 1 / 0)
    record = _only(_through(_request(LINE), pipeline))
    assert record.body.string_value == LINE
    assert from_pairs(record.attributes) == {
        "event.kind": "pipeline_error",
        "error.message": "ZeroDivisionError: division by zero",
    }


values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)


@given(values)
def test_values_come_back(value: Any) -> None:
    """Any value survives the way into AnyValue and back."""
    target = AnyValue()
    set_any(target, value)
    assert from_any(target) == value


@given(st.binary(max_size=300))
def test_no_bytes_make_reading_raise_anything_else(data: bytes) -> None:
    """Any bytes are a request or an OriginError."""
    with suppress(OriginError):
        list(read_records(read_request(data), KEYS))
