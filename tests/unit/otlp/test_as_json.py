"""OTLP/JSON to records: what senders write is read, and what is odd about one record costs no other.

The payloads are made by hand, in the shapes that the named senders are documented, or known from their sources, to
send: the examples of the OTLP specification, rsyslog's omotlp and Vector's opentelemetry sink.
"""

from __future__ import annotations

import json
import re
from base64 import b64encode
from typing import Any

import pytest
from google.protobuf.json_format import MessageToDict
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.resource.v1.resource_pb2 import Resource

from lexilog import OriginError, Pipeline, document
from lexilog.model import Record
from lexilog.otlp.as_json import parse_json, read_json_request
from lexilog.otlp.decode import OtlpOrigin, read_records, read_request
from lexilog.otlp.encode import RequestBuilder
from lexilog.otlp.values import set_any

LINE = "<30>Aug  3 10:18:44 srx1 kmd[1]: KMD_VPN_DOWN_ALARM_USER: VPN v1 from 198.51.100.7 is down."

SPECIFICATION = {
    "resourceLogs": [
        {
            "resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "gateway"}}]},
            "scopeLogs": [
                {
                    "scope": {
                        "name": "reader",
                        "version": "2.1.0",
                        "attributes": [{"key": "scope.note", "value": {"stringValue": "a note"}}],
                    },
                    "logRecords": [
                        {
                            "timeUnixNano": "1754216324000000000",
                            "observedTimeUnixNano": "1754216325000000000",
                            "severityNumber": 10,
                            "severityText": "Information",
                            "traceId": "5B8EFFF798038103D269B633813FC60C",
                            "spanId": "eee19b7ec3c1b174",
                            "body": {"stringValue": LINE},
                            "attributes": [
                                {"key": "text", "value": {"stringValue": "some text"}},
                                {"key": "boolean", "value": {"boolValue": True}},
                                {"key": "int", "value": {"intValue": "10"}},
                                {"key": "double", "value": {"doubleValue": 637.704}},
                                {"key": "bytes", "value": {"bytesValue": "_w-A"}},
                                {
                                    "key": "array",
                                    "value": {"arrayValue": {"values": [{"stringValue": "a"}, {"intValue": -1}]}},
                                },
                                {
                                    "key": "map",
                                    "value": {"kvlistValue": {"values": [{"key": "k", "value": {"boolValue": False}}]}},
                                },
                            ],
                        }
                    ],
                }
            ],
        }
    ]
}
OMOTLP = {
    "resourceLogs": [
        {
            "resource": {
                "attributes": [
                    {"key": "service.name", "value": {"stringValue": "rsyslog"}},
                    {"key": "host.name", "value": {"stringValue": "relay1"}},
                ]
            },
            "scopeLogs": [
                {
                    "scope": {"name": "rsyslog.omotlp", "version": "8.2512.0"},
                    "logRecords": [
                        {
                            "timeUnixNano": 1754216324000000000,
                            "observedTimeUnixNano": 1754216325000000000,
                            "severityNumber": 9,
                            "severityText": "INFO",
                            "body": {"stringValue": LINE},
                            "attributes": [
                                {"key": "log.syslog.appname", "value": {"stringValue": "kmd"}},
                                {"key": "log.syslog.facility", "value": {"intValue": 3}},
                                {"key": "log.syslog.hostname", "value": {"stringValue": "srx1"}},
                            ],
                        }
                    ],
                }
            ],
        }
    ]
}


def _vector(line: str) -> dict[str, Any]:
    record = {"timeUnixNano": 1754216324, "severityText": "info", "body": {"stringValue": line}, "attributes": []}
    return {"resourceLogs": [{"resource": {}, "scopeLogs": [{"scope": {"name": "vector"}, "logRecords": [record]}]}]}


def _request(*records: Any) -> bytes:
    text = json.dumps({"resourceLogs": [{"scopeLogs": [{"logRecords": records}]}]}, ensure_ascii=False)
    return text.encode("utf-8", "surrogateescape")


def _read(data: bytes) -> list[Record]:
    return list(read_records(read_json_request(data)))


def _origin(record: Record) -> OtlpOrigin:
    assert isinstance(record.origin, OtlpOrigin)
    return record.origin


def test_an_example_of_the_specification() -> None:
    """Every kind of value arrives as what it is; ids are hexadecimal, in either case."""
    [record] = _read(json.dumps(SPECIFICATION).encode())
    assert record.line == LINE
    assert record.problem is None
    assert record.fields == {
        "text": "some text",
        "boolean": True,
        "int": 10,
        "double": 637.704,
        "bytes": "\udcff\x0f\udc80",
        "array": ["a", -1],
        "map": {"k": False},
    }
    origin = _origin(record)
    assert origin.record.trace_id == bytes.fromhex("5b8efff798038103d269b633813fc60c")
    assert origin.record.span_id == bytes.fromhex("eee19b7ec3c1b174")
    assert origin.record.severity_number == 10
    assert origin.record.observed_time_unix_nano == 1_754_216_325_000_000_000
    assert origin.scope.scope.attributes[0].value.string_value == "a note"
    assert origin.resource.resource.attributes[0].key == "service.name"


def test_rsyslog() -> None:
    """64-bit integers may be plain numbers."""
    [record] = _read(json.dumps(OMOTLP).encode())
    assert record.line == LINE
    assert record.fields["log.syslog.facility"] == 3
    assert _origin(record).record.time_unix_nano == 1_754_216_324_000_000_000


@pytest.mark.parametrize("framing", ["@", "@\n@\n", "@@", "[@,@]", "[]", "\ufeff @\r\n\t@ "])
def test_vector_packs_requests_in_lines_or_arrays(framing: str) -> None:
    """Several requests in one body are all read, in order."""
    count = framing.count("@")
    for number in range(count):
        framing = framing.replace("@", json.dumps(_vector(f"line {number}")), 1)
    assert [record.line for record in _read(framing.encode())] == [f"line {number}" for number in range(count)]


values = st.recursive(
    st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
    | st.text().map(lambda text: text.encode("utf-16-le", "surrogatepass")),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def _set(target: Any, value: Any) -> None:
    if isinstance(value, bytes):
        target.bytes_value = value
    elif isinstance(value, list):
        target.array_value.SetInParent()
        for item in value:
            _set(target.array_value.values.add(), item)
    elif isinstance(value, dict):
        target.kvlist_value.SetInParent()
        for key, item in value.items():
            _set(target.kvlist_value.values.add(key=key).value, item)
    else:
        set_any(target, value)


def _with_hex(value: Any) -> Any:
    if isinstance(value, list):
        return [_with_hex(item) for item in value]
    if not isinstance(value, dict):
        return value
    ids = {name: bytes([1, 254] * 8).hex() for name in ("traceId",) if name in value}
    return {name: _with_hex(item) for name, item in value.items()} | ids


@given(st.lists(values, max_size=4), st.dictionaries(st.text(), values, max_size=3))
def test_json_and_protobuf_are_the_same_records(bodies: list[Any], attributes: dict[str, Any]) -> None:
    """A request in JSON, as protobuf's own library writes it, gives the records of the request in protobuf."""
    request = ExportLogsServiceRequest()
    resource = request.resource_logs.add(schema_url="https://schema.example/r")
    scope = resource.scope_logs.add()
    scope.scope.name = "s"
    for body in bodies:
        record = scope.log_records.add(time_unix_nano=2**63 + 5, trace_id=bytes([1, 254] * 8), flags=1)
        _set(record.body, body)
        for key, value in attributes.items():
            _set(record.attributes.add(key=key).value, value)
    plain = _with_hex(MessageToDict(request, use_integers_for_enums=True))
    found = _read(json.dumps(plain).encode())
    assert [_origin(record).record for record in found] == list(scope.log_records)
    wanted = list(read_records(read_request(request.SerializeToString())))
    assert [(one.line, one.fields, one.time) for one in found] == [(one.line, one.fields, one.time) for one in wanted]
    if found:
        assert _origin(found[0]).resource.schema_url == "https://schema.example/r"
        # They are one group still, which the relay keeps together.
        assert len({id(_origin(record).scope) for record in found}) == 1


@pytest.mark.parametrize(
    ("odd", "problem"),
    [
        (5, "log record: a number where an object"),
        (None, "log record: null"),
        ([], "log record: a list"),
        ({"body": "text"}, "body: text where an object"),
        ({"body": {"stringValue": 5}}, "body: stringValue: a number where text"),
        ({"body": {"stringValue": "a", "intValue": "1"}}, "a second value"),
        ({"body": {"intValue": 2**64}}, "intValue: .*range"),
        ({"body": {"intValue": 2**63}}, "intValue: .*range"),
        ({"body": {"intValue": "9" * 5000}}, "intValue: text where a whole number"),
        ({"body": {"intValue": 1.5}}, "intValue: a number where a whole number"),
        ({"body": {"intValue": True}}, "intValue: true or false where"),
        ({"body": {"boolValue": "true"}}, "boolValue: text where true or false"),
        ({"body": {"doubleValue": "1e5"}}, "doubleValue: text where a number"),
        ({"body": {"doubleValue": True}}, "doubleValue: true or false"),
        ({"body": {"bytesValue": "!!!!"}}, "bytesValue: .*base64"),
        ({"body": {"bytesValue": "AAAAA"}}, "bytesValue: .*"),
        ({"timeUnixNano": -1}, "timeUnixNano: .*range"),
        ({"timeUnixNano": ""}, "timeUnixNano: text where"),
        ({"flags": 2**32}, "flags: .*range"),
        ({"severityNumber": "LOUD"}, "severityNumber: text where"),
        ({"severityNumber": 2**31}, "severityNumber: .*range"),
        ({"traceId": "abc"}, "traceId: is to be 32 hexadecimal digits"),
        ({"spanId": "W47/95gDgQPSabYzgT/GDA=="}, "spanId: is to be 16 hexadecimal digits"),
        ({"traceId": 7}, "traceId: a number where text"),
        ({"attributes": {}}, "attributes: an object where a list"),
        ({"attributes": [None]}, "attributes: null where an object"),
        ({"attributes": [{"key": 1}]}, "attributes: key: a number where text"),
    ],
)
def test_one_odd_record_costs_no_other(odd: Any, problem: str, pipeline: Pipeline) -> None:
    """It passes as its own text and says what is wrong with it."""
    good = {"body": {"stringValue": LINE}}
    before, found, after = pipeline.process_all(_read(_request(good, odd, good)))
    assert before.match
    assert after.match
    assert found.reason == "invalid_record"
    assert found.record.line is not None
    # An integer beyond 64 bits becomes text when the JSON is read.
    assert json.loads(found.record.line) in (odd, json.loads(json.dumps(odd).replace(f"{2**64}", f'"{2**64}"')))
    out = document(found)
    assert out["event"]["kind"] == "pipeline_error"
    assert re.search(problem, out["error"]["message"])


def test_what_is_unread_can_be_relayed(pipeline: Pipeline) -> None:
    """The record that stands for an odd one leaves like any other, beside its neighbours, in a request that parses."""
    batch = pipeline.process_all(_read(_request({"body": 5}, {"body": {"stringValue": LINE}})))
    builder = RequestBuilder(shape="attributes", style="dotted", max_bytes=1_000_000)
    assert [builder.add(enriched) for enriched in batch] == [None, None]
    full = builder.rest()
    assert full
    [resource] = ExportLogsServiceRequest.FromString(full[0].SerializeToString()).resource_logs
    bodies = [record.body.string_value for record in resource.scope_logs[0].log_records]
    assert bodies == ['{"body": 5}', LINE]


@pytest.mark.parametrize(
    ("entry", "texts", "problem"),
    [
        (7, ["7"], "ResourceLogs: a number"),
        ({"scopeLogs": 7}, ['{"scopeLogs": 7}'], "ResourceLogs: scopeLogs: a number"),
        ({"scopeLogs": [7]}, ["7"], "ScopeLogs: a number"),
        (
            {"resource": 7, "scopeLogs": [{"logRecords": [{"body": {"stringValue": "a"}}]}]},
            ['{"resource": 7}', "a"],
            "ResourceLogs: resource: a number",
        ),
        (
            {"scopeLogs": [{"scope": {"name": 7}, "logRecords": [{"body": {"stringValue": "a"}}]}]},
            ['{"scope": {"name": 7}}', "a"],
            "ScopeLogs: scope: name: a number",
        ),
    ],
)
def test_an_odd_resource_costs_no_record(entry: Any, texts: list[str], problem: str) -> None:
    """What cannot be read of a resource or scope is a record more; the records that stand in it pass."""
    data = json.dumps({"resourceLogs": [entry, *_vector("last")["resourceLogs"]]}).encode()
    found = _read(data)
    assert [record.line for record in found] == [*texts, "last"]
    assert found[0].problem is not None
    assert found[0].problem.startswith(problem)
    assert [record.problem for record in found[1:]] == [None] * (len(found) - 1)


def test_members_under_the_names_of_fields() -> None:
    """Names that are not in camel case mean the same; they are not for OTLP, but ignoring them would lose records."""
    text = json.dumps(SPECIFICATION).replace("resourceLogs", "resource_logs").replace("scopeLogs", "scope_logs")
    text = text.replace("logRecords", "log_records").replace("stringValue", "string_value").replace("spanId", "span_id")
    [record] = _read(text.encode())
    assert record.line == LINE
    assert _origin(record).record.span_id == bytes.fromhex("eee19b7ec3c1b174")


def test_unknown_members_are_ignored() -> None:
    """As the specification asks, so that new fields break nothing; null is a field that is not set."""
    data = _request({"body": {"stringValue": "a"}, "new": [1], "[x]": 1, "attributes": None, "traceId": None})
    [record] = _read(data)
    assert (record.line, record.problem) == ("a", None)


def test_bytes_that_are_not_utf_8() -> None:
    """In a value they stay the bytes that they are; in other text they are escaped."""
    data = _request(
        {
            "body": {"stringValue": "caf\udce9"},
            "severityText": "\udcff",
            "attributes": [{"key": "k\udcff", "value": {"stringValue": "v\udcff"}}],
        },
        {"body": {"stringValue": "fine"}},
        {"body": {"intValue": "caf\udce9"}},
    )
    odd, fine, unread = _read(data)
    assert odd.line == "caf\udce9"
    assert odd.fields == {"k\\xff": "v\udcff"}
    assert _origin(odd).record.body.bytes_value == b"caf\xe9"
    assert _origin(odd).record.severity_text == "\\xff"
    assert fine.line == "fine"
    assert unread.line == '{"body": {"intValue": "caf\udce9"}}'


def test_lone_surrogates_of_json_escapes() -> None:
    """They are kept as the bytes that they would be in UTF-8, and the record can be written."""
    [record] = _read(rb'{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"body":{"stringValue":"a\ud800b\\x41"}}]}]}]}')
    origin = _origin(record)
    assert origin.record.body.bytes_value == b"a\xed\xa0\x80b\\x41"
    assert origin.record.SerializeToString()


@pytest.mark.parametrize("text", ["\x00", "a\x00b", "\x1b[0m", "\t"])
def test_control_characters_pass(text: str) -> None:
    """NUL is a character like others, escaped or not."""
    escaped = _request({"body": {"stringValue": text}})
    raw = _request({"body": {"stringValue": "@"}}).replace(b"@", text.encode())
    assert [record.line for record in _read(escaped) + _read(raw)] == [text, text]


def _nested(levels: int) -> dict[str, Any]:
    value: dict[str, Any] = {"stringValue": "x"}
    for _ in range(levels):
        value = {"arrayValue": {"values": [value]}}
    return value


def test_nesting_ends_where_protobuf_ends_it() -> None:
    """The deepest record that passes is one that others can parse; a deeper one passes as text."""
    deepest, deeper, plain = _read(
        _request({"body": _nested(48)}, {"body": _nested(49)}, {"body": {"stringValue": "a"}})
    )
    assert (deepest.problem, plain.problem) == (None, None)
    assert deeper.problem is not None
    assert deeper.problem.endswith("nested too deep")
    request = ExportLogsServiceRequest()
    request.resource_logs.add().scope_logs.add().log_records.append(_origin(deepest).record)
    assert len(list(read_records(read_request(request.SerializeToString())))) == 1


@pytest.mark.parametrize("start", [b"[", b'{"resourceLogs":', b'{"resourceLogs":[{"scopeLogs":['])
def test_nesting_without_end(start: bytes) -> None:
    """A request that is nested too deep is refused."""
    with pytest.raises(OriginError):
        _read(start * 100_000)


@pytest.mark.parametrize("depth", range(900, 1010, 5))
def test_nesting_at_the_brink(depth: int) -> None:
    """A record is read or refused where reading just ends, never more than that."""
    data = _request("@").replace(b'"@"', b"[" * depth + b"]" * depth)
    try:
        assert len(_read(data)) == 1
    except OriginError as error:
        assert "nested too deep" in str(error)  # noqa: PT017 (either will do)


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"{", "no JSON: Expecting"),
        (b"\x0a\x05hello", "no JSON"),
        (b"<xml/>", "no JSON"),
        (b"7", "a number where an object"),
        (b'"text"', "text where an object"),
        (b"[7]", "a number where an object"),
        (b'{"message":"a"}', r"only message; one looks like \{"),
        (b'{"resourceSpans":[]}', "no resourceLogs in it"),
        (b'{"resourceLogs":{}}', "an object where a list"),
        (json.dumps(_vector("a")).encode() + b"\n{", "no JSON"),
    ],
)
def test_what_is_no_request(data: bytes, problem: str) -> None:
    """It is refused and told what it should have been, rather than taken for a request without records."""
    with pytest.raises(OriginError, match=problem):
        _read(data)


@pytest.mark.parametrize("data", [b"", b"{}", b"[]", b'{"resourceLogs":[]}', b'{"resourceLogs":null}', b" \n"])
def test_a_request_without_records(data: bytes) -> None:
    """It is a request."""
    assert _read(data) == []


def test_ids() -> None:
    """Each record has the next id, whether it can be read or not."""
    data = _request({"body": {"stringValue": "a"}}, 5, {"body": {"stringValue": "b"}})
    found = list(read_records(read_json_request(data), ids=iter("xyz")))
    assert [record.id for record in found] == ["x", "y", "z"]


def test_body_keys() -> None:
    """Where the line stands in a map is as in protobuf."""
    pairs = [{"key": "text", "value": {"stringValue": LINE}}, {"key": "n", "value": {"intValue": 1}}]
    data = _request({"body": {"kvlistValue": {"values": pairs}}})
    [record] = read_records(read_json_request(data), ["text"])
    assert (record.line, record.line_key, record.fields["n"]) == (LINE, "text", 1)


MESSAGES = (LogRecord, KeyValue, AnyValue, ArrayValue, Resource)
NAMES = [field.json_name for message in MESSAGES for field in message.DESCRIPTOR.fields]
json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters() | st.sampled_from("\ud800\udcff\udfff")),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(NAMES),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(st.lists(json_values, max_size=4))
def test_any_value_as_record(records: list[Any]) -> None:
    """However odd records are, as many come out, each of them read or with a problem, and all can be written."""
    found = _read(json.dumps({"resourceLogs": [{"scopeLogs": [{"logRecords": records}]}]}).encode())
    assert len(found) == len(records)
    for record, value in zip(found, records, strict=True):
        data = _origin(record).record.SerializeToString()
        assert LogRecord.FromString(data).SerializeToString() == data
        assert isinstance(value, dict) or record.problem


@given(json_values, st.binary())
def test_any_request(value: Any, data: bytes) -> None:
    """Whatever a request is, it is read or refused."""
    for request in ({"resourceLogs": value}, {"resourceLogs": [value]}, {"resourceLogs": [{"scopeLogs": [value]}]}):
        try:
            _read(json.dumps(request).encode())
        except OriginError as error:
            assert str(error).encode()  # noqa: PT017 (it can be written)
    try:
        _read(data)
    except OriginError as error:
        assert str(error).encode()  # noqa: PT017 (it can be written)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("18446744073709551615", 2**64 - 1),
        ("18446744073709551616", "18446744073709551616"),
        ("-9223372036854775809", "-9223372036854775809"),
        ("1" * 5000, "1" * 5000),
        ("1e999", "1e999"),
        ("-1e999", "-1e999"),
        ("NaN", "NaN"),
        ("-Infinity", "-Infinity"),
        ("1.5", 1.5),
    ],
)
def test_numbers_that_nothing_holds_stay_text(text: str, value: Any) -> None:
    """A number is never replaced by null or infinity."""
    assert parse_json(text.encode()) == value


def test_one_value() -> None:
    """`parse_json` takes one value, not none and not two."""
    for data, problem in ((b"", "nothing is there"), (b"1 2", "more than one")):
        with pytest.raises(OriginError, match=problem):
            parse_json(data)


def test_base64_as_protobuf_takes_it() -> None:
    """Either alphabet, with or without padding."""
    data = bytes(range(240, 256)) * 2
    plain = b64encode(data).decode()
    for text in (plain, plain.rstrip("="), plain.replace("+", "-").replace("/", "_")):
        [record] = _read(_request({"body": {"bytesValue": text}}))
        assert _origin(record).record.body.bytes_value == data
