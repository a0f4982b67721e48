"""How much a request may hold: what is too much is refused before it is parsed, whatever it is made of."""

from __future__ import annotations

import json
from typing import Any

import pytest
from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

from lexilog.errors import OriginError, TooLargeError
from lexilog.otlp import as_json, decode
from lexilog.otlp.as_json import read_json_request
from lexilog.otlp.count import check_count, check_json, check_request
from lexilog.otlp.decode import read_request

RECORDS = (1, 2, 2)
# More values than one log record may have, and than a request of few records.
RECORD_FULL, REQUEST_FULL = 100_001, 1_000_600


def _varint(value: int, size: int = 1) -> bytes:
    """Return a number in `size` bytes, if it does not need more."""
    out = b""
    while value > 127 or size > 1:
        out += bytes([value & 127 | 128])
        value >>= 7
        size -= 1
    return out + bytes([value])


def _field(number: int, data: bytes) -> bytes:
    """Return a length-delimited field, as it is on the wire."""
    return _varint(number << 3 | 2) + _varint(len(data)) + data


def _scope(data: bytes) -> bytes:
    return _field(1, _field(2, data))


def _record(data: bytes) -> bytes:
    return _scope(_field(2, data))


def _maps(levels: int) -> bytes:
    value = b""
    for _ in range(levels):
        value = _field(6, _field(1, _field(2, value)))
    return value


def _no_parser(*_: Any) -> Any:
    pytest.fail("it is parsed")


@pytest.fixture
def unparsed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decode, "parse_request", _no_parser)
    monkeypatch.setattr(decode, "salvage", _no_parser)
    monkeypatch.setattr(as_json, "_values", _no_parser)


TOO_MANY_PARTS = {
    "records": _scope(b"\x12\x00" * 11),
    "records with unknown fields": _scope(b"\x12\x02\x78\x01" * 11),
    "records in many resources": _record(b"") * 11,
    "records with long keys": _scope(b"\x92\x80\x00\x80\x00" * 11),
    "records behind a damaged one": _scope(_field(2, b"\x0a") + b"\x12\x00" * 10),
    "records behind a damaged scope": _scope(b"\x0a") + _scope(b"\x12\x00" * 11),
    "records behind a group": _field(1, b"\x7b\x12\x00\x7c" + _field(2, b"\x12\x00" * 11)),
    "records behind other fields": _scope(b"\x79" + bytes(8) + b"\x7d" + bytes(4) + b"\x78\xff\x01" + b"\x12\x00" * 11),
    "resources": b"\x0a\x00" * 11,
    "scopes": _field(1, b"\x12\x00" * 11),
}


@pytest.mark.usefixtures("unparsed")
@pytest.mark.parametrize("data", TOO_MANY_PARTS.values(), ids=TOO_MANY_PARTS)
def test_more_parts_than_records_may_be(data: bytes) -> None:
    """Records, and resources and scopes, are counted before any of them is parsed."""
    with pytest.raises(TooLargeError, match=r"more than 10 (records|resources or scopes) in one message, the max_rec"):
        read_request(data, 10)
    with pytest.raises(TooLargeError):
        check_count(data, RECORDS, 10)


TOO_MANY_VALUES = {
    "attributes": _record(b"\x32\x00" * RECORD_FULL),
    "a list": _record(_field(5, _field(5, b"\x0a\x00" * RECORD_FULL))),
    "a map": _record(_field(5, _field(6, b"\x0a\x00" * RECORD_FULL))),
    "a value that is set again and again": _record(_field(5, b"\x2a\x00\x32\x00" * (RECORD_FULL // 2))),
    "deep maps": _record(_field(6, _field(2, _maps(30))) * (RECORD_FULL // 90)),
    "attributes of many records": _scope(_field(2, b"\x32\x00" * 99_000) * 11),
    "attributes of a resource": _field(1, _field(1, b"\x0a\x00" * REQUEST_FULL)),
    "entities": _field(1, _field(1, b"\x1a\x00" * REQUEST_FULL)),
    "names in an entity": _field(1, _field(1, _field(3, b"\x1a\x00" * REQUEST_FULL))),
    "attributes of a scope": _scope(_field(1, b"\x1a\x00" * REQUEST_FULL)),
    "attributes behind a damaged record": _scope(_field(2, b"\x0a") + _field(2, b"\x32\x00" * RECORD_FULL)),
    "fields that are not known": b"\x78\x01" * 1_000_000,
    "groups": b"\x7b\x7c" * 1_000_000,
}


@pytest.mark.usefixtures("unparsed")
@pytest.mark.parametrize("data", TOO_MANY_VALUES.values(), ids=TOO_MANY_VALUES)
def test_more_values_than_logs_have(data: bytes) -> None:
    """What two bytes make an object of is counted before it is parsed, wherever it stands."""
    with pytest.raises(TooLargeError, match="far more than logs have"):
        read_request(data, 11)


def _usual(records: int, attributes: int, text: bytes = b'22 "*" \n\x12 22') -> bytes:
    attribute = _field(6, _field(1, b"log.attribute") + _field(2, _field(1, text)))
    record = _field(5, _field(1, text)) + attribute * attributes
    return _scope(_field(2, record) * records)


@pytest.mark.parametrize(
    "data", [_usual(1000, 60), _usual(10, 2000), _usual(1, 40_000), _usual(1, 1, b"2" * 3_000_000)]
)
def test_real_requests_pass_at_the_limit(data: bytes) -> None:
    """As many records as there may be, with more attributes than agents set and text that looks like fields."""
    records = sum(1 for _ in read_request(data))
    assert sum(1 for _ in read_request(data, records)) == records
    check_count(data, RECORDS, records)


@pytest.mark.parametrize("odd", [_field(5, _field(1, b"caf\xe9")), _field(5, _maps(40)), b"\x0a"])
def test_mended_requests_pass_at_the_limit(odd: bytes) -> None:
    """Records that are not UTF-8, nested too deep or damaged are counted like others."""
    data = _scope(_field(2, odd) + _field(2, b"") * 2)
    assert sum(1 for _ in read_request(data, 3)) == 3
    with pytest.raises(TooLargeError):
        read_request(data, 2)


@pytest.mark.parametrize(
    "data", [b"\xff" * 3000, b"\x0a\x05abc" * 500, b"\x0a" + b"\xff" * 3000, b"{}" * 500, b"\x0b" * 500]
)
def test_damaged_bytes_are_the_parsers_business(data: bytes) -> None:
    """They are not counted, and what they are told is that they are no request."""
    check_request(data, 10_000)
    with pytest.raises(OriginError, match="no OTLP ExportLogsServiceRequest"):
        read_request(data, 10_000)


def _wire(number: int, inner: st.SearchStrategy[bytes]) -> st.SearchStrategy[bytes]:
    """Return fields as parsers take them: keys and lengths may be longer than they need be."""
    return st.builds(
        lambda data, key, length: _varint(number << 3 | 2, key) + _varint(len(data), length) + data,
        inner,
        st.integers(1, 6),
        st.integers(1, 6),
    )


def _message(inner: st.SearchStrategy[bytes]) -> st.SearchStrategy[bytes]:
    others = [b"\x7b\x0a\x00\x12\x00\x7c", b"\x7c", b"\x78\xff\x01", b"\x0d1234", b"\x1112345678", b"\x7a\x02\x12\x00"]
    return st.lists(inner | st.sampled_from(others) | st.binary(max_size=2), max_size=5).map(b"".join)


records = _wire(2, st.sampled_from([b"", b"\x32\x00", b"\x0a", b"\x78\x01"]))
requests = _message(_wire(1, _message(_wire(2, _message(records)))))


@given(requests)
def test_what_is_counted_is_what_is_parsed(data: bytes) -> None:
    """As many parts are counted as the parser finds, however a request is written."""
    try:
        resources = ExportLogsServiceRequest.FromString(data).resource_logs
    except DecodeError:
        return
    scopes = [scope for resource in resources for scope in resource.scope_logs]
    most = max(len(resources), len(scopes), sum(len(scope.log_records) for scope in scopes))
    check_count(data, RECORDS, most)
    if most:
        with pytest.raises(TooLargeError):
            check_count(data, RECORDS, most - 1)


@given(st.binary(max_size=200) | requests)
def test_any_bytes(data: bytes) -> None:
    """Any bytes are counted."""
    for most in (0, 1, 100):
        try:
            check_request(data, most)
        except TooLargeError as error:
            assert "in one message" in str(error)  # noqa: PT017 (either will do)


def test_a_message_of_another_kind() -> None:
    """The path is the caller's: records of an EnrichRequest stand in it."""
    check_count(b"\x0a\x00" * 10, (1,), 10)
    with pytest.raises(TooLargeError, match="more than 10 records in one message, the max_records of this door"):
        check_count(b"\x0a\x00" * 11, (1,), 10)


def _json(records: str) -> bytes:
    return f'{{"resourceLogs":[{{"scopeLogs":[{{"logRecords":[{records}]}}]}}]}}'.encode()


@pytest.mark.usefixtures("unparsed")
@pytest.mark.parametrize(
    "value",
    ["{}", "[]", "1", '""', '{"a":1}', '"\\",[{"'],
    ids=["objects", "lists", "numbers", "texts", "members", "marks"],
)
def test_more_values_in_json_than_logs_have(value: str) -> None:
    """They are counted before they are parsed."""
    with pytest.raises(TooLargeError, match="values in one message, far more than logs have"):
        read_json_request(_json(",".join([value] * REQUEST_FULL)), 10)


@pytest.mark.parametrize(
    "data",
    [
        _json(",".join(["{}"] * 11)),
        _json("{}") * 11,
        b'{"resourceLogs":[%s]}' % b",".join([b"{}"] * 11),
        b'{"resourceLogs":[{"scopeLogs":[%s]}]}' % b",".join([b"{}"] * 11),
        b"[%s]" % b",".join([b'{"resourceLogs":[{}]}'] * 11),
    ],
)
def test_more_parts_in_json_than_records_may_be(data: bytes) -> None:
    """A request in JSON may have as many as one in protobuf, and is refused before a record of it is handed on."""
    with pytest.raises(TooLargeError, match=r"more than 10 (records|resources or scopes) in one message, the max_rec"):
        read_json_request(data, 10)


def test_real_requests_in_json_pass_at_the_limit() -> None:
    """What stands in texts is no value, however much it looks like one."""
    record = {"body": {"stringValue": ',[{"\\' * 50_000}, "attributes": [{"key": "k", "value": {"intValue": 1}}] * 40}
    data = _json(",".join([json.dumps(record)] * 10))
    assert sum(1 for _ in read_json_request(data, 10)) == 10


@pytest.mark.parametrize("data", [b'"' + b"," * 1_100_000, b'{"a":"\\"' + b"[" * 1_100_000])
def test_a_text_that_does_not_end(data: bytes) -> None:
    """It is the parser's business."""
    check_json(data, 10)
    with pytest.raises(OriginError, match="no JSON"):
        read_json_request(data, 10)


def test_what_is_wrong_with_a_later_request_is_known_first() -> None:
    """No record is given out of a body that is refused."""
    with pytest.raises(OriginError, match="no resourceLogs"):
        read_json_request(_json("{}") + b'{"resourceSpans":[]}')
