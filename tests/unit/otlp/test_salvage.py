"""OTLP requests in which a part cannot be parsed: it costs no other."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue

from lexilog import OriginError, Pipeline, document
from lexilog.model import Record
from lexilog.otlp.decode import OtlpOrigin, read_records, read_request
from lexilog.otlp.encode import RequestBuilder, Shape

LINE = "<30>Aug  3 10:18:44 srx1 kmd[1]: KMD_VPN_DOWN_ALARM_USER: VPN v1 from 198.51.100.7 is down."


def _field(number: int, data: bytes) -> bytes:
    """Return a length-delimited field, as it is on the wire."""
    size, length = b"", len(data)
    while length > 127:
        size += bytes([length & 127 | 128])
        length >>= 7
    return bytes([number << 3 | 2]) + size + bytes([length]) + data


def _text(text: str) -> bytes:
    return _field(1, text.encode())


def _map(levels: int) -> bytes:
    value = _text("deep")
    for _ in range(levels):
        value = _field(6, _field(1, _text("k") + _field(2, value)))
    return value


def _list(levels: int) -> bytes:
    value = _text("deep")
    for _ in range(levels):
        value = _field(5, _field(1, value))
    return value


def _attribute(number: int, value: bytes) -> bytes:
    return _field(number, _text("a") + _field(2, value))


def _record(body: bytes, rest: bytes = b"") -> bytes:
    return _field(5, body) + rest


def _request(*records: bytes) -> bytes:
    scope = b"".join(_field(2, record) for record in records)
    resource = _field(1, _attribute(1, _text("agent1"))) + _field(2, scope) + _field(3, b"https://schema.example/r")
    return _field(1, resource)


def _read(data: bytes) -> list[Record]:
    return list(read_records(read_request(data)))


def _origin(record: Record) -> OtlpOrigin:
    assert isinstance(record.origin, OtlpOrigin)
    return record.origin


@pytest.mark.parametrize(
    "odd",
    [
        _record(_map(33)),
        _record(_list(49)),
        _record(_text(LINE), _attribute(6, _map(32))),
        _record(_map(60)),
        _record(_map(10_000)),
        b"\x0a",
        b"no record at all",
    ],
    ids=["maps", "lists", "attribute", "more maps", "many maps", "half a field", "text"],
)
@pytest.mark.parametrize("shape", ["document", "attributes"])
def test_a_record_that_cannot_be_parsed_costs_no_other(odd: bytes, shape: Shape, pipeline: Pipeline) -> None:
    """It passes as its bytes and says so; its neighbours are read, in order, and stay in one resource and scope."""
    records = _read(_request(_record(_text(LINE)), odd, _record(_text("last"))))
    assert [record.line for record in records] == [LINE, odd.decode("utf-8", "surrogateescape"), "last"]
    assert [record.problem is None for record in records] == [True, False, True]
    assert records[1].problem.startswith("log record: it cannot be parsed: ")  # type: ignore[union-attr]
    assert _origin(records[1]).record.body.bytes_value == odd
    assert len({id(_origin(record).scope) for record in records}) == 1
    assert _origin(records[0]).resource.resource.attributes[0].value.string_value == "agent1"
    assert _origin(records[0]).resource.schema_url == "https://schema.example/r"
    batch = pipeline.process_all(records)
    assert batch[0].match
    assert document(batch[1])["event"]["kind"] == "pipeline_error"
    builder = RequestBuilder(shape=shape, style="dotted", max_bytes=1_000_000)
    assert [builder.add(enriched) for enriched in batch] == [None] * 3
    ((resource,), _) = _parts(builder)
    assert len(resource.scope_logs[0].log_records) == 3


def _parts(builder: RequestBuilder) -> Any:
    full = builder.rest()
    assert full
    return ExportLogsServiceRequest.FromString(full[0].SerializeToString()).resource_logs, full[1]


@pytest.mark.parametrize("deepest", [_record(_map(32)), _record(_list(48)), _record(b"", _attribute(6, _map(31)))])
def test_what_can_be_parsed_in_its_place_is_read(deepest: bytes) -> None:
    """How deep a record may be nested does not depend on its neighbours."""
    alone = _read(_request(deepest))
    beside, _ = _read(_request(deepest, _record(_map(33))))
    assert (beside.problem, beside.line, beside.fields) == (None, alone[0].line, alone[0].fields)
    assert beside.fields


def test_text_that_is_not_utf_8_beside_a_record_that_is_too_deep() -> None:
    """Two things are wrong with a request, and each is as it would be alone."""
    bad, deep = _read(_request(_record(_field(1, b"caf\xe9")), _record(_map(33))))
    assert (bad.line, bad.problem) == ("caf\udce9", None)
    assert deep.problem


def test_a_resource_or_scope_that_cannot_be_parsed_costs_no_record() -> None:
    """What it says of itself is a record more, before the records that stand in it."""
    deep_resource = _field(1, _attribute(1, _map(40)))
    deep_scope = _field(1, _attribute(3, _map(40)))
    good = _field(2, _record(_text("good")))
    data = _field(1, deep_resource + _field(2, deep_scope + good)) + _request(_record(_text("last")))
    records = _read(data)
    assert [_origin(record).record.body.bytes_value for record in records] == [deep_resource, deep_scope, b"", b""]
    assert [record.line for record in records[2:]] == ["good", "last"]
    assert [str(record.problem).partition(":")[0] for record in records] == [
        "ResourceLogs",
        "ScopeLogs",
        "None",
        "None",
    ]
    assert not _origin(records[0]).resource.ByteSize()


def test_each_record_has_an_id() -> None:
    """Whether it can be parsed or not: ids stand for places in the request."""
    data = _request(_record(_text("a")), _record(_map(33)), _record(_text("b")))
    assert [record.id for record in read_records(read_request(data), ids=iter("xyz"))] == ["x", "y", "z"]


@pytest.mark.parametrize("cut", [1, 5, 40])
def test_a_request_that_ends_too_early_is_refused(cut: int) -> None:
    """Where records end is not known any more: its sender hears that it is no request."""
    with pytest.raises(OriginError, match="no OTLP ExportLogsServiceRequest"):
        read_request(_request(_record(_text("a")), _record(_map(33)))[:-cut])


@given(st.lists(st.binary(max_size=40), max_size=5))
def test_any_bytes_as_records(records: list[bytes]) -> None:
    """As many come out, in order, and those with a problem hold what came."""
    found = _read(_request(_record(_map(33)), *records))
    assert len(found) == len(records) + 1
    for came, record in zip(records, found[1:], strict=True):
        assert record.problem is None or _origin(record).record.body == AnyValue(bytes_value=came)
