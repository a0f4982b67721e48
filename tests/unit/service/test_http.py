"""The doors over HTTP, over real sockets: what senders hear, what becomes of their records, and hostile input.

The OTLP payloads are made by hand, in the shapes that Vector and rsyslog are known to send.
"""

from __future__ import annotations

import asyncio
import gzip
import http.client
import json
import logging
import threading
import tracemalloc
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

import aiohttp
import pytest
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest, ExportLogsServiceResponse

from doors import OpenDoor, hall
from lexilog import Enriched, Pipeline, Record, RelayError, encode_json
from lexilog.gunzip import Inflater
from lexilog.relay import Delivery, Refusal, Relay
from lexilog.relay.memory import MemoryRelay
from lexilog.service import http as http_module
from lexilog.service import http_body, json_records
from lexilog.service.http import HttpDoor
from lexilog.service.ids import batch_ids
from lexilog.service.metrics import Counts, Key
from lexilog.service.settings import HttpDoorSettings

LINE = "<30>Aug  3 10:18:44 srx1 kmd[1]: KMD_VPN_DOWN_ALARM_USER: VPN v1 from 198.51.100.7 is down."
KEYS = ("log", "message", "MESSAGE")
JSON = {"Content-Type": "application/json"}
NDJSON = {"Content-Type": "application/x-ndjson"}
PROTOBUF = {"Content-Type": "application/x-protobuf"}
GZIP = {"Content-Encoding": "gzip"}


class OneAnswer(Relay):
    """A relay that does with each batch what it is told."""

    def __init__(self, answer: Callable[[Sequence[Enriched]], Awaitable[Delivery]]) -> None:
        self._answer = answer

    async def deliver(self, batch: Sequence[Enriched]) -> Delivery:
        return await self._answer(batch)


class Peer:
    """A door and a client of it."""

    def __init__(self, door: OpenDoor, counts: Counts, session: aiohttp.ClientSession) -> None:
        self.door = door
        self.counts = counts
        self._session = session

    async def ask(
        self, path: str, body: Any = b"", headers: dict[str, str] | None = None, method: str = "POST"
    ) -> tuple[aiohttp.ClientResponse, bytes]:
        url = f"http://127.0.0.1:{self.door.port}{path}"
        async with self._session.request(method, url, data=body, headers=headers or {}) as answer:
            return answer, await answer.read()

    def refused(self, reason: str) -> float | None:
        return self.counts.metrics.registry.get_sample_value(
            "lexilog_refused_total", {"door": "http", "reason": reason}
        )

    def counted(self) -> set[tuple[str, str, str, int]]:
        return {(key.door, key.outcome, key.delivery, count) for key, count in self.counts.items()}


@asynccontextmanager
async def _peer(
    pipeline: Pipeline, relay: Relay | None = None, limit: int = 1_000_000, **told: Any
) -> AsyncIterator[Peer]:
    counts = Counts()
    settings = HttpDoorSettings(max_receive_bytes=limit, **told)
    door = OpenDoor(HttpDoor(settings, hall(pipeline, relay, counts, KEYS)))
    await door.start()
    try:
        timeout = aiohttp.ClientTimeout(total=20)
        async with aiohttp.ClientSession(timeout=timeout, skip_auto_headers=["Content-Type"]) as session:
            yield Peer(door, counts, session)
    finally:
        await door.stop(1)


def _protobuf(*lines: str) -> bytes:
    request = ExportLogsServiceRequest()
    scope = request.resource_logs.add().scope_logs.add()
    for line in lines:
        scope.log_records.add(time_unix_nano=1_754_216_324_000_000_000).body.string_value = line
    return request.SerializeToString()


def _json(*lines: str) -> bytes:
    records = [{"timeUnixNano": "1754216324000000000", "body": {"stringValue": line}} for line in lines]
    return json.dumps({"resourceLogs": [{"scopeLogs": [{"logRecords": records}]}]}).encode()


async def _raw(port: int, data: bytes, *, half_close: bool = False) -> bytes:
    """Send bytes and return all that comes until the server closes, or has answered once."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(data)
    if half_close:
        writer.write_eof()
    try:
        return await asyncio.wait_for(reader.read(100_000), 5)
    finally:
        writer.close()


async def _until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.01)


@pytest.mark.parametrize(
    ("body", "headers", "answer_type", "answer"),
    [
        (_protobuf("a", LINE), PROTOBUF, "application/x-protobuf", b""),
        (_protobuf("a", LINE), {"Content-Type": "application/protobuf"}, "application/protobuf", b""),
        (_json("a", LINE), {"Content-Type": "application/json; charset=utf-8"}, "application/json", b"{}"),
        (_json("a") + b"\n" + _json(LINE), NDJSON, "application/json", b"{}"),
        (gzip.compress(_json("a", LINE)), JSON | GZIP, "application/json", b"{}"),
        (gzip.compress(_protobuf("a", LINE)), PROTOBUF | GZIP, "application/x-protobuf", b""),
        (_protobuf("a", LINE), PROTOBUF | {"Content-Encoding": "identity"}, "application/x-protobuf", b""),
    ],
    ids=["protobuf", "registered name", "json", "vector's lines", "json gzip", "protobuf gzip", "identity"],
)
def test_records_are_handed_on(
    body: bytes, headers: dict[str, str], answer_type: str, answer: bytes, pipeline: Pipeline
) -> None:
    """200 with the empty answer, in the encoding of the request, once the relay has every record."""

    async def run() -> None:
        relay = MemoryRelay()
        async with _peer(pipeline, relay) as peer:
            found, content = await peer.ask("/v1/logs", body, headers)
            assert (found.status, found.content_type, content) == (200, answer_type, answer)
            assert [enriched.record.line for enriched in relay.records] == ["a", LINE]
            assert relay.records[1].match
            assert peer.counted() == {("otlp_http", "unknown", "relayed", 1), ("otlp_http", "matched", "relayed", 1)}

    asyncio.run(run())


@pytest.mark.parametrize(("body", "headers"), [(_json("a", LINE), JSON), (_protobuf("a", LINE), PROTOBUF)])
def test_what_is_sent_again_has_the_same_ids(body: bytes, headers: dict[str, str], pipeline: Pipeline) -> None:
    """Compressed or not, the same batch has the same ids, and each record its own."""

    async def run() -> None:
        relay = MemoryRelay()
        async with _peer(pipeline, relay) as peer:
            await peer.ask("/v1/logs", body, headers)
            await peer.ask("/v1/logs", gzip.compress(body), headers | GZIP)
        ids = [enriched.record.id for enriched in relay.records]
        assert ids[:2] == ids[2:]
        assert len(set(ids)) == 2

    asyncio.run(run())


def test_a_request_without_records(pipeline: Pipeline) -> None:
    """It is a success, as the specification asks."""

    async def run() -> None:
        async with _peer(pipeline, MemoryRelay()) as peer:
            for body, headers in ((b"", PROTOBUF), (b"{}", JSON)):
                answer, _ = await peer.ask("/v1/logs", body, headers)
                assert answer.status == 200

    asyncio.run(run())


def test_an_odd_record_costs_no_other(pipeline: Pipeline) -> None:
    """It is handed on as its own text and says what is wrong with it."""

    async def run() -> None:
        relay = MemoryRelay()
        async with _peer(pipeline, relay) as peer:
            body = _json("@", LINE).replace(b'"@"', b"[1]")
            answer, _ = await peer.ask("/v1/logs", body, JSON)
            assert answer.status == 200
        odd, good = relay.records
        assert "stringValue" in odd.fields["error.message"]
        assert good.match

    asyncio.run(run())


def test_partial_success(pipeline: Pipeline) -> None:
    """The sender hears how many records nobody will ever take, and why."""

    async def refuse(batch: Sequence[Enriched]) -> Delivery:
        return Delivery(refused=(Refusal(batch[0], "too odd"),))

    async def run() -> None:
        async with _peer(pipeline, OneAnswer(refuse)) as peer:
            answer, content = await peer.ask("/v1/logs", _json("a", "b"), JSON)
            assert answer.status == 200
            assert json.loads(content) == {"partialSuccess": {"rejectedLogRecords": "1", "errorMessage": "too odd"}}
            answer, content = await peer.ask("/v1/logs", _protobuf("a", "b"), PROTOBUF)
            assert answer.status == 200
            found = ExportLogsServiceResponse.FromString(content)
            assert found.partial_success.rejected_log_records == 1

    asyncio.run(run())


@pytest.mark.parametrize(("seconds", "header"), [(2.5, "3"), (0.0, "1"), (7.0, "7")])
def test_what_may_pass_later(seconds: float, header: str, pipeline: Pipeline) -> None:
    """503 says when to come again, in whole seconds, and the Status exactly."""

    async def away(_: Sequence[Enriched]) -> Delivery:
        raise RelayError("the next hop is away", seconds)

    async def run() -> None:
        async with _peer(pipeline, OneAnswer(away)) as peer:
            answer, content = await peer.ask("/v1/logs", _protobuf("a"), PROTOBUF)
            assert (answer.status, answer.headers["Retry-After"]) == (503, header)
            assert answer.content_type == "application/x-protobuf"
            status, info = Status.FromString(content), RetryInfo()
            assert status.message == "the next hop is away"
            assert status.details[0].Unpack(info)
            assert info.retry_delay.ToNanoseconds() == seconds * 1e9
            answer, content = await peer.ask("/v1/logs", _json("a"), JSON)
            assert (answer.status, answer.headers["Retry-After"]) == (503, header)
            plain = json.loads(content)
            assert plain["message"] == "the next hop is away"
            assert plain["details"][0]["@type"].endswith("google.rpc.RetryInfo")
            assert peer.counted() == {("otlp_http", "unknown", "returned", 2)}

    asyncio.run(run())


def test_a_defect_costs_no_record(pipeline: Pipeline, caplog: pytest.LogCaptureFixture) -> None:
    """Where we fail the sender of logs hears 503 and keeps its records; nobody hears a traceback."""

    async def fail(_: Sequence[Enriched]) -> Delivery:
        raise KeyError("a secret")

    async def run(patch: pytest.MonkeyPatch) -> None:
        async with _peer(pipeline, OneAnswer(fail)) as peer:
            answer, _ = await peer.ask("/v1/logs", _json("a"), JSON)
            assert answer.status == 503
            patch.setattr(http_module, "batch_ids", lambda _: 1 / 0)
            patch.setattr(http_module, "answer_to", lambda _: 1 / 0)
            for path, status in (("/v1/logs", 503), ("/v1/enrich", 500)):
                answer, content = await peer.ask(path, _json("a"), JSON)
                assert answer.status == status
                assert b"Traceback" not in content
                assert b"ZeroDivision" not in content or path == "/v1/logs"
            assert ("http", "unread", "returned", 1) in peer.counted()

    with pytest.MonkeyPatch.context() as patch:
        asyncio.run(run(patch))
    assert "a request to /v1/enrich could not be answered" in caplog.text


BOMB = gzip.compress(bytes(50_000_000))


@pytest.mark.parametrize(
    ("body", "headers", "status", "problem"),
    [
        (b"\xff\xff\xff", PROTOBUF, 400, "no OTLP"),
        (b"hello", JSON, 400, "no JSON"),
        (b"[" * 100_000, JSON, 400, "nested too deep"),
        (b'{"message":"a"}', JSON, 400, "no resourceLogs"),
        (b"a" * 100_001, JSON, 413, "larger than 100000 bytes"),
        (BOMB, JSON | GZIP, 413, "larger than 100000 bytes"),
        (gzip.compress(b"a" * 100_001), PROTOBUF | GZIP, 413, "larger"),
        (gzip.compress(_json("a"))[:-1], JSON | GZIP, 400, "ends too early"),
        (gzip.compress(_json("a"))[:20], JSON | GZIP, 400, "ends too early"),
        (b"", JSON | GZIP, 400, "ends too early"),
        (_json("a"), JSON | GZIP, 400, "no sound gzip"),
        (gzip.compress(_json("a"))[:-6] + b"123456", JSON | GZIP, 400, "no sound gzip"),
        (gzip.compress(b"") * 1600, PROTOBUF | GZIP, 400, "too many streams"),
        (_json("a"), JSON | {"Content-Encoding": "zstd"}, 415, "zstd is not known: send gzip"),
        (_json("a"), JSON | {"Content-Encoding": "deflate"}, 415, "deflate is not known"),
        (_json("a"), {"Content-Type": "text/plain"}, 415, "text/plain is not known: send application/x-protobuf"),
        (_json("a"), {}, 415, "application/octet-stream is not known"),
    ],
)
def test_requests_that_are_refused(
    body: bytes, headers: dict[str, str], status: int, problem: str, pipeline: Pipeline
) -> None:
    """Each says why, in the encoding of the request, is counted, and the next request passes."""

    async def run() -> None:
        relay = MemoryRelay()
        async with _peer(pipeline, relay, limit=100_000) as peer:
            answer, content = await peer.ask("/v1/logs", body, headers)
            assert answer.status == status
            if headers.get("Content-Type") == "application/x-protobuf":
                assert problem in Status.FromString(content).message
            else:
                assert answer.content_type == "application/json"
                assert problem in json.loads(content)["message"]
            unknown = headers.get("Content-Encoding") in ("zstd", "deflate")
            assert answer.headers.get("Accept-Encoding") == ("gzip" if unknown else None)
            assert peer.refused("too_large") == (1 if status == 413 else None)
            assert peer.counted() == {("otlp_http", "unread", "refused", 1)}
            answer, _ = await peer.ask("/v1/logs", _json("a"), JSON)
            assert answer.status == 200
        assert len(relay.records) == 1

    asyncio.run(run())


def test_a_large_body_without_length(pipeline: Pipeline) -> None:
    """The limit holds where the sender does not say how much will come."""

    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(50):
            yield b"x" * 10_000

    async def run() -> None:
        async with _peer(pipeline, MemoryRelay(), limit=100_000) as peer:
            for path in ("/v1/logs", "/v1/enrich"):
                answer, _ = await peer.ask(path, chunks(), JSON)
                assert answer.status == 413

    asyncio.run(run())


def test_gzip_streams_one_behind_the_other(pipeline: Pipeline) -> None:
    """They are one body, as RFC 1952 has it; and a body of exactly the limit passes."""
    body = _json("a", LINE)
    packed = b"".join(gzip.compress(body[start : start + 7]) for start in range(0, len(body), 7))

    async def run() -> None:
        relay = MemoryRelay()
        async with _peer(pipeline, relay, limit=len(packed)) as peer:
            answer, _ = await peer.ask("/v1/logs", packed, JSON | GZIP)
            assert answer.status == 200
        async with _peer(pipeline, relay, limit=len(body)) as peer:
            answer, _ = await peer.ask("/v1/logs", gzip.compress(body), JSON | GZIP)
            assert answer.status == 200
        assert len(relay.records) == 4

    asyncio.run(run())


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v1/logs", 405),
        ("PUT", "/v1/logs", 405),
        ("HEAD", "/v1/enrich", 405),
        ("GET", "/v1/enrich", 405),
        ("POST", "/v1/traces", 404),
        ("GET", "/", 404),
        ("POST", "/v1/logs/", 404),
    ],
)
def test_other_methods_and_paths(method: str, path: str, status: int, pipeline: Pipeline) -> None:
    """405 names what is allowed; what is no request for a door is not counted."""

    async def run() -> None:
        async with _peer(pipeline, MemoryRelay()) as peer:
            answer, content = await peer.ask(path, method=method, headers=JSON)
            assert (answer.status, answer.headers.get("Allow")) == (status, "POST" if status == 405 else None)
            assert answer.content_type == "application/json"
            assert method == "HEAD" or json.loads(content)
            assert peer.counted() == set()

    asyncio.run(run())


def test_who_has_no_token_hears_so_everywhere(pipeline: Pipeline, caplog: pytest.LogCaptureFixture) -> None:
    """401 says how to bring one, whether there is something at that path or not; nothing is looked at before."""
    token = "0123456789abcdef-token"

    async def run() -> None:
        async with _peer(pipeline, MemoryRelay(), tokens=(token,)) as peer:
            for path in ("/v1/logs", "/v1/enrich", "/", "/metrics"):
                answer, _ = await peer.ask(path, _json("a"), JSON | {"Authorization": "Bearer another"})
                assert (answer.status, answer.headers.get("WWW-Authenticate")) == (401, "Bearer")
            assert peer.counted() == {("otlp_http", "unread", "refused", 1), ("http", "unread", "refused", 1)}
            assert peer.refused("token") == 4
            answer, _ = await peer.ask("/", headers={"X-API-Key": token})
            assert answer.status == 404
            answer, _ = await peer.ask("/v1/enrich", b'"a"', {"Authorization": f"Bearer {token}"})
            assert answer.status == 200

    asyncio.run(run())
    assert not any(record.exc_info for record in caplog.records)
    assert token not in caplog.text


def test_no_relay(pipeline: Pipeline) -> None:
    """Where there is no relay, logs are refused with a word on why, and records are answered all the same."""

    async def run() -> None:
        async with _peer(pipeline) as peer:
            answer, content = await peer.ask("/v1/logs", _protobuf("a"), PROTOBUF)
            assert answer.status == 404
            assert "no relay is set" in Status.FromString(content).message
            assert peer.counted() == {("otlp_http", "unread", "refused", 1)}
            answer, _ = await peer.ask("/v1/enrich", b'"a"', JSON)
            assert answer.status == 200

    asyncio.run(run())


def _documents(pipeline: Pipeline, body: bytes, records: Sequence[Any]) -> list[bytes]:
    """Return what is to be answered for records that are objects or lines."""
    ids, found = batch_ids(body), []
    for record in records:
        number = next(ids)
        if isinstance(record, str):
            found.append(encode_json(pipeline.process(Record(line=record, id=number))))
        else:
            found.append(encode_json(pipeline.process(Record.from_map(record, KEYS, id=number))))
    return found


EVENT = {"@timestamp": "2026-01-15T11:00:00.000Z", "message": LINE, "host": {"name": "agent1"}, "tags": ["vpn"]}


@pytest.mark.parametrize(
    ("body", "headers", "records", "shape", "answer_type"),
    [
        (json.dumps(EVENT), JSON, [EVENT], b"%s", "application/json"),
        (json.dumps(EVENT, indent=2), {}, [EVENT], b"%s", "application/json"),
        (json.dumps(EVENT) + "\n", {}, [EVENT], b"%s", "application/json"),
        (json.dumps(LINE), JSON, [LINE], b"%s", "application/json"),
        (json.dumps([EVENT, LINE, {"x": 1}]), JSON, [EVENT, LINE, {"x": 1}], b"[%s,%s,%s]", "application/json"),
        (json.dumps([EVENT], indent=2), {}, [EVENT], b"[%s]", "application/json"),
        ("[]", JSON, [], b"[]", "application/json"),
        (json.dumps(EVENT), NDJSON, [EVENT], b"%s\n", "application/x-ndjson"),
        (f"{json.dumps(LINE)}\r\n\n{json.dumps(EVENT)}", NDJSON, [LINE, EVENT], b"%s\n%s\n", "application/x-ndjson"),
        (f"{json.dumps(LINE)}\n{json.dumps(EVENT)}\n", JSON, [LINE, EVENT], b"%s\n%s\n", "application/x-ndjson"),
        (
            f"{json.dumps(EVENT)}\n" * 500,
            {"Content-Type": "application/x-www-form-urlencoded"},
            [EVENT] * 500,
            b"%s\n" * 500,
            "application/x-ndjson",
        ),
        (json.dumps([LINE] * 500), JSON, [LINE] * 500, b"[" + b",".join([b"%s"] * 500) + b"]", "application/json"),
    ],
)
def test_the_answer_has_the_shape_of_the_question(
    body: str, headers: dict[str, str], records: list[Any], shape: bytes, answer_type: str, pipeline: Pipeline
) -> None:
    """Each document is exactly what every other way out writes, in the same order, and each is counted."""

    async def run() -> None:
        async with _peer(pipeline) as peer:
            answer, content = await peer.ask("/v1/enrich", body.encode(), headers)
            assert (answer.status, answer.content_type) == (200, answer_type)
            assert content == shape % tuple(_documents(pipeline, body.encode(), records))
            assert sum(count for _, count in peer.counts.items()) == len(records)
            assert {key.delivery for key, _ in peer.counts.items()} <= {"answered"}

    asyncio.run(run())


def test_documents_know_the_line(pipeline: Pipeline) -> None:
    """The record is explained and keeps what the agent had set."""

    async def run() -> None:
        async with _peer(pipeline) as peer:
            _, content = await peer.ask("/v1/enrich", json.dumps(EVENT), JSON)
            found = json.loads(content)
            assert found["lexilog"]["catalog"]["id"] == "KMD_VPN_DOWN_ALARM_USER"
            assert found["event"]["original"] == LINE
            assert (found["host"], found["tags"]) == ({"name": "agent1"}, ["vpn"])
            [(key, count)] = peer.counts.items()
            assert (key, count) == (Key("http", "juniper_kmd", "matched", key.reason, "answered"), 1)

    asyncio.run(run())


# What JSON has, but no record: nested as no parser takes it, or of more values than any log has.
DEEP = b"[" * 20_000 + b"]" * 20_000
MANY = b'{"message":"x","a":[' + b",".join([b"[]"] * 100_000) + b"]}"


@pytest.mark.parametrize(
    ("body", "headers", "texts"),
    [
        (b'[7, {"message":"a"}, null, [1, "x"]]', JSON, ["7", "a", "null", '[1, "x"]']),
        (b'7\n{"message":"a"}\n{"mess\n\n"b"\n', NDJSON, ["7", "a", '{"mess', "b"]),
        (b'7\n{"message":"a"}\n{"mess\n"b"', JSON, ["7", "a", '{"mess', "b"]),
        (b"plain text", NDJSON, ["plain text"]),
        (b'\xff\xfe\n"b"', NDJSON, ["\\xff\\xfe", "b"]),
        *[
            (body % (DEEP if deep else MANY), headers, ["a", (DEEP if deep else MANY).decode(), "b"])
            for deep in (False, True)
            for body, headers in (
                (b'"a"\n%s\n"b"', NDJSON),
                (b'"a"\n%s\n"b"', JSON),
                (b'["a", %s, "b"]', JSON),
            )
        ],
        (b" %s " % MANY, JSON, [MANY.decode()]),
    ],
    ids=range(12),
)
def test_what_is_no_record_costs_no_other(
    body: bytes, headers: dict[str, str], texts: list[str], pipeline: Pipeline
) -> None:
    """It comes back in its place with its text and what is wrong with it."""

    async def run() -> None:
        async with _peer(pipeline) as peer:
            answer, content = await peer.ask("/v1/enrich", body, headers)
            assert answer.status == 200
            lines = content.splitlines() if answer.content_type == "application/x-ndjson" else None
            found = [json.loads(line) for line in lines] if lines else json.loads(content)
            found = found if isinstance(found, list) else [found]
            assert [one.get("message") or one["event"]["original"] for one in found] == texts
            for one, text in zip(found, texts, strict=True):
                assert ("error" in one) == (text not in ("a", "b"))
                assert text in ("a", "b") or one["error"]["message"].startswith("no record: ")

    asyncio.run(run())


def test_bytes_that_are_not_utf_8(pipeline: Pipeline) -> None:
    """They refuse nothing; the document has them escaped and names the field."""
    body = b'{"message":"caf\xe9","k":"\\ud800"}\n{"message":"b"}'

    async def run() -> None:
        async with _peer(pipeline) as peer:
            answer, content = await peer.ask("/v1/enrich", body, JSON)
            assert answer.status == 200
            odd, fine = (json.loads(line) for line in content.splitlines())
            assert odd["message"] == "caf\\xe9"
            assert set(odd["lexilog"]["escaped"]) >= {"message", "k"}
            assert fine["message"] == "b"

    asyncio.run(run())


@pytest.mark.parametrize(
    ("body", "headers", "status", "problem"),
    [
        (b"", JSON, 400, "nothing is there"),
        (b" \r\n\t", {}, 400, "nothing is there"),
        (b"\n\n", NDJSON, 400, "there is no line"),
        (b"hello", JSON, 400, "no JSON"),
        (LINE.encode(), {"Content-Type": "text/plain"}, 400, "no JSON"),
        (b"42", JSON, 400, "neither an object"),
        (b"null", JSON, 400, "neither an object"),
        (b'{"message": "a",', JSON, 400, "no JSON"),
        (b"[" * 100_000, JSON, 400, "does not end where the text ends"),
        (b'{"a":' * 10_000, JSON, 400, "brackets are missing"),
        (b'["a" "b"]', JSON, 400, "more than one value"),
        (b'["a",]', JSON, 400, "nothing is there"),
        (b'["a"}', JSON, 400, "does not end where the text ends"),
        (b'["a", "b', JSON, 400, "does not end where the text ends"),
        (b'["a", {"b": tru}]', JSON, 400, "no JSON"),
        (b"\x91\x80", {"Content-Type": "application/msgpack"}, 415, "msgpack is not taken here: send JSON"),
        (b"\x91\x80", {"Content-Type": "application/x-msgpack"}, 415, "msgpack is not taken here: send JSON"),
        (b"x" * 100_001, JSON, 413, "larger than 100000"),
        (BOMB, JSON | GZIP, 413, "larger than 100000"),
        (b"hello", JSON | GZIP, 400, "no sound gzip"),
        (b"hello", JSON | {"Content-Encoding": "br"}, 415, "send gzip"),
    ],
)
def test_questions_that_are_none(
    body: bytes, headers: dict[str, str], status: int, problem: str, pipeline: Pipeline
) -> None:
    """The error is JSON, says what is wrong, and where it may help what is expected, with an example."""

    async def run() -> None:
        async with _peer(pipeline, limit=100_000) as peer:
            answer, content = await peer.ask("/v1/enrich", body, headers)
            assert (answer.status, answer.content_type) == (status, "application/json")
            error = json.loads(content)["error"]
            assert problem in error
            assert status != 400 or "gzip" in problem or '{"message": "' in error
            assert peer.counted() == {("http", "unread", "refused", 1)}

    asyncio.run(run())


def test_a_bomb_goes_off_in_a_thread(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    """A piece of a body can stand for a thousand times as much: others are answered while it is inflated."""
    threads: list[int] = []

    class Notes(Inflater):
        def feed(self, data: bytes | memoryview, room: int) -> bytes:
            threads.append(threading.get_ident())
            return super().feed(data, room)

    monkeypatch.setattr(http_body, "Inflater", Notes)

    async def run() -> None:
        async with _peer(pipeline) as peer:
            answer, _ = await peer.ask("/v1/enrich", gzip.compress(b" " * 900_000 + b'"a"'), JSON | GZIP)
            assert answer.status == 200

    asyncio.run(run())
    assert threads
    assert threading.get_ident() not in threads


@pytest.mark.parametrize(("body", "headers"), [(_protobuf("a", "b", "c"), PROTOBUF), (_json("a", "b", "c"), JSON)])
def test_a_request_of_countless_records_is_refused(body: bytes, headers: dict[str, str], pipeline: Pipeline) -> None:
    """The error says how many may be in one, in the encoding of the request; it is counted."""

    async def run() -> None:
        relay = MemoryRelay()
        async with _peer(pipeline, relay, max_records=2) as peer:
            answer, content = await peer.ask("/v1/logs", body, headers)
            assert answer.status == 413
            assert b"more than 2 records in one message, the max_records of this door" in content
            assert peer.refused("too_large") == 1
            assert peer.counted() == {("otlp_http", "unread", "refused", 1)}
        assert relay.records == []

    asyncio.run(run())


def test_gzip_in_and_out(pipeline: Pipeline) -> None:
    """A compressed question has the same answer; it comes compressed where the client takes that."""
    body = json.dumps([EVENT, LINE] * 300).encode()

    async def run() -> None:
        async with _peer(pipeline) as peer:
            plain, content = await peer.ask("/v1/enrich", body, JSON | {"Accept-Encoding": "identity"})
            packed, same = await peer.ask("/v1/enrich", gzip.compress(body), JSON | GZIP | {"Accept-Encoding": "gzip"})
            assert content == same
            assert "Content-Encoding" not in plain.headers
            assert packed.headers["Content-Encoding"] == "gzip"

    asyncio.run(run())


def test_a_large_question_does_not_hold_up_others(pipeline: Pipeline) -> None:
    """While its answer is under way a small one is answered, and it comes whole."""
    body = json.dumps([LINE] * 5000).encode()

    async def run() -> None:
        async with _peer(pipeline) as peer:
            url = f"http://127.0.0.1:{peer.door.port}/v1/enrich"
            async with aiohttp.ClientSession() as session, session.post(url, data=body) as large:
                first = await large.content.readany()
                small, _ = await peer.ask("/v1/enrich", b'"a"', JSON)
                assert small.status == 200
                answered = sum(count for _, count in peer.counts.items())
                assert answered < 5001
                assert len(json.loads(first + await large.content.read())) == 5000

    asyncio.run(run())


@pytest.mark.parametrize(("path", "status"), [("/v1/logs", b"503"), ("/v1/enrich", b"408")])
def test_a_body_that_stops(path: str, status: bytes, pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    """The sender is told; an OTLP sender in a way that makes it come again."""
    monkeypatch.setattr(http_body, "_PATIENCE", 0.1)

    async def run() -> None:
        async with _peer(pipeline, MemoryRelay()) as peer:
            head = f"POST {path} HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n"
            answer = await _raw(peer.door.port, head.encode() + b'{"mess')
            assert answer.startswith(b"HTTP/1.1 " + status)
            assert b"has not come within" in answer
            assert (b"Retry-After" in answer) == (status == b"503")
            assert {delivery for _, _, delivery, _ in peer.counted()} == {"returned"}

    asyncio.run(run())


def test_a_client_that_does_not_read(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is let go, and what it has not read is counted as such."""
    monkeypatch.setattr(http_module, "_PATIENCE", 0.2)
    body = json.dumps([LINE] * 9000).encode()

    async def run() -> None:
        async with _peer(pipeline) as peer:
            head = f"POST /v1/enrich HTTP/1.1\r\nHost: a\r\nContent-Length: {len(body)}\r\n\r\n".encode()
            reader, writer = await asyncio.open_connection("127.0.0.1", peer.door.port, limit=1000)
            writer.write(head + body)
            await _until(lambda: any(key.outcome == "unread" for key, _ in peer.counts.items()))
            answer = await asyncio.wait_for(reader.read(), 5)
            writer.close()
            # The last chunk of an answer that is whole is empty.
            assert answer.startswith(b"HTTP/1.1 200")
            assert not answer.endswith(b"\r\n0\r\n\r\n")
            assert ("http", "matched", "returned") in {(k.door, k.outcome, k.delivery) for k, _ in peer.counts.items()}
            again, _ = await peer.ask("/v1/enrich", b'"a"', JSON)
            assert again.status == 200

    asyncio.run(run())


@pytest.mark.parametrize("path", ["/v1/logs", "/v1/enrich"])
def test_a_sender_that_goes_in_mid_request(path: str, pipeline: Pipeline) -> None:
    """It is counted, its half batch is not taken for a whole one, and others do not notice."""

    async def run() -> None:
        relay = MemoryRelay()
        async with _peer(pipeline, relay) as peer:
            for head in (b"Content-Length: 900", b"Transfer-Encoding: chunked"):
                _, writer = await asyncio.open_connection("127.0.0.1", peer.door.port)
                start = f"POST {path} HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n".encode()
                whole = _json(LINE)
                body = whole if b"Length" in head else b"%x\r\n%s\r\n" % (len(whole), whole)
                writer.write(start + head + b"\r\n\r\n" + body)
                await writer.drain()
                await asyncio.sleep(0.05)
                writer.transport.abort()
            await _until(lambda: sum(count for _, count in peer.counts.items()) == 2)
            assert {key.delivery for key, _ in peer.counts.items()} == {"returned"}
            answer, _ = await peer.ask("/v1/enrich", b'"a"', JSON)
            assert answer.status == 200
        assert relay.records == []

    asyncio.run(run())


def test_what_nobody_waits_for_any_more_is_called_off(pipeline: Pipeline) -> None:
    """Whoever went before the answer will send its records again: they are not delivered once more when it is late."""

    async def run() -> None:
        entered, off = asyncio.Event(), asyncio.Event()

        async def hang(_: Sequence[Enriched]) -> Delivery:
            entered.set()
            try:
                await asyncio.Event().wait()
            finally:
                off.set()
            return Delivery()

        async with _peer(pipeline, OneAnswer(hang)) as peer:
            body = _json("a", LINE)
            head = b"POST /v1/logs HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
            _, writer = await asyncio.open_connection("127.0.0.1", peer.door.port)
            writer.write(head % len(body) + body)
            await asyncio.wait_for(entered.wait(), 5)
            writer.transport.abort()
            await asyncio.wait_for(off.wait(), 5)
            await _until(lambda: bool(peer.counted()))
            assert peer.counted() == {
                ("otlp_http", "unknown", "returned", 1),
                ("otlp_http", "matched", "returned", 1),
            }

    asyncio.run(run())


def test_a_header_that_is_no_text_is_refused(pipeline: Pipeline) -> None:
    """The answer quotes it in a form that protobuf and JSON can hold."""

    async def run() -> None:
        async with _peer(pipeline, MemoryRelay()) as peer:
            for path in ("/v1/logs", "/v1/enrich"):
                for content_type in ("application/x-protobuf", "application/json"):
                    head = f"POST {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Type: {content_type}\r\n"
                    rest = b"Content-Encoding: \xff\r\nContent-Length: 2\r\n\r\n{}"
                    answer = await _raw(peer.door.port, head.encode() + rest)
                    assert answer.startswith(b"HTTP/1.1 415")
                    assert b"is not known: send gzip" in answer

    asyncio.run(run())


@pytest.mark.parametrize(
    "data",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(300),
        b"GET / HTTP/9.9\r\n\r\n",
        b"POST /v1/logs HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n",
        b"POST /v1/logs HTTP/1.1\r\nHost: a\r\nX: " + b"a" * 100_000 + b"\r\n\r\n",
        b"POST /v1/logs HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
        b"Transfer-Encoding: chunked\r\n\r\nzz\r\nhello\r\n0\r\n\r\n",
        b"\r\n" * 50_000 + b"x",
    ],
    ids=["tls", "version", "length", "header", "chunk", "blank"],
)
def test_what_is_no_http(data: bytes, pipeline: Pipeline, caplog: pytest.LogCaptureFixture) -> None:
    """It is answered with 400 or hung up on, in the log it takes a line at most, and others do not notice."""

    async def run() -> None:
        relay = MemoryRelay()
        async with _peer(pipeline, relay) as peer:
            answer = b""
            with suppress(ConnectionError):
                answer = await _raw(peer.door.port, data, half_close=True)
            assert answer == b"" or answer.startswith((b"HTTP/1.0 400", b"HTTP/1.1 400"))
            assert b"Traceback" not in answer
            again, _ = await peer.ask("/v1/logs", _json("a"), JSON)
            assert again.status == 200
        assert len(relay.records) == 1

    with caplog.at_level(logging.WARNING):
        asyncio.run(run())
    assert "Traceback" not in caplog.text
    assert len(caplog.records) <= 2


def test_a_connection_is_kept(pipeline: Pipeline) -> None:
    """Several requests pass on one connection, also behind one that was refused."""

    def ask_on_one(port: int) -> list[int]:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        connection.connect()
        connection.auto_open = 0
        found = []
        for body, headers in ((_json("a"), JSON), (b"x", JSON), (b"x" * 200_000, {}), (_json("b"), JSON)):
            connection.request("POST", "/v1/logs", body, headers)
            answer = connection.getresponse()
            answer.read()
            found.append(answer.status)
        connection.close()
        return found

    async def run() -> None:
        async with _peer(pipeline, MemoryRelay()) as peer:
            assert await asyncio.to_thread(ask_on_one, peer.door.port) == [200, 400, 415, 200]

    asyncio.run(run())


def test_who_asks_first_whether_to_send(pipeline: Pipeline) -> None:
    """``Expect: 100-continue``, as curl sends it with large bodies, is answered."""

    async def run() -> None:
        async with _peer(pipeline, MemoryRelay()) as peer:
            url = f"http://127.0.0.1:{peer.door.port}/v1/logs"
            async with peer._session.post(url, data=_json("a"), headers=JSON, expect100=True) as answer:
                assert answer.status == 200

    asyncio.run(run())


def test_stop_finishes_what_is_in_flight(pipeline: Pipeline) -> None:
    """A request that the relay has is answered before the door closes; new connections are not taken."""

    async def run() -> None:
        entered, go = asyncio.Event(), asyncio.Event()

        async def slow(_: Sequence[Enriched]) -> Delivery:
            entered.set()
            await go.wait()
            return Delivery()

        async with _peer(pipeline, OneAnswer(slow)) as peer:
            asked = asyncio.create_task(peer.ask("/v1/logs", _json("a"), JSON))
            await asyncio.wait_for(entered.wait(), 5)
            stopped = asyncio.create_task(peer.door.stop(5))
            await asyncio.sleep(0.05)
            with pytest.raises(OSError, match=r".*"):
                await asyncio.open_connection("127.0.0.1", peer.door.port)
            assert not stopped.done()
            go.set()
            answer, _ = await asked
            assert answer.status == 200
            await asyncio.wait_for(stopped, 5)
            await peer.door.stop(5)

    asyncio.run(run())


@pytest.mark.parametrize("path", ["/v1/logs", "/v1/enrich"])
def test_a_request_during_a_stop_is_counted(path: str, pipeline: Pipeline) -> None:
    """It comes on a connection that stands; its sender hears 503, and is to come again elsewhere."""

    async def run() -> None:
        entered, go = asyncio.Event(), asyncio.Event()

        async def slow(_: Sequence[Enriched]) -> Delivery:
            entered.set()
            await go.wait()
            return Delivery()

        async with _peer(pipeline, OneAnswer(slow)) as peer:
            reader, writer = await asyncio.open_connection("127.0.0.1", peer.door.port)
            asked = asyncio.create_task(peer.ask("/v1/logs", _json("a"), JSON))
            await asyncio.wait_for(entered.wait(), 5)
            stopped = asyncio.create_task(peer.door.stop(5))
            await asyncio.sleep(0.05)
            head = f"POST {path} HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 1\r\n\r\n"
            writer.write(head.encode() + b"1")
            answer = await asyncio.wait_for(reader.read(), 5)
            writer.close()
            assert answer.startswith(b"HTTP/1.1 503")
            assert b"the server stops" in answer
            assert b"Retry-After" in answer
            go.set()
            assert (await asked)[0].status == 200
            await asyncio.wait_for(stopped, 5)
            door = "otlp_http" if path == "/v1/logs" else "http"
            assert (door, "unread", "returned", 1) in peer.counted()

    asyncio.run(run())


def test_stop_does_not_wait_for_ever(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is not done within the grace is called off; its sender hears no success and keeps its records."""
    monkeypatch.setattr(http_module, "_GOODBYE", 0.05)

    async def run() -> None:
        entered = asyncio.Event()

        async def hang(_: Sequence[Enriched]) -> Delivery:
            entered.set()
            await asyncio.Event().wait()
            return Delivery()

        async with _peer(pipeline, OneAnswer(hang)) as peer:
            asked = asyncio.create_task(peer.ask("/v1/logs", _json("a"), JSON))
            await asyncio.wait_for(entered.wait(), 5)
            await asyncio.wait_for(peer.door.stop(0.05), 5)
            with pytest.raises(aiohttp.ClientError):
                await asked
            await _until(lambda: peer.counted() == {("otlp_http", "unknown", "returned", 1)})

    asyncio.run(run())


@pytest.mark.parametrize("depth", range(960, 1000, 3))
def test_the_depth_at_which_nesting_is_too_deep_is_none_that_breaks_an_answer(depth: int, pipeline: Pipeline) -> None:
    """Reading may just succeed where writing fails; each record has its document all the same."""
    nested = b"[" * depth + b"]" * depth

    async def run() -> None:
        async with _peer(pipeline) as peer:
            for body in (nested, b'{"message": "m", "x": %s}' % nested):
                answer, content = await peer.ask("/v1/enrich", b'"a"\n%s\n"b"' % body, NDJSON)
                first, odd, last = (json.loads(line) for line in content.splitlines())
                assert (answer.status, first["message"], last["message"]) == (200, "a", "b")
                assert odd["message"] in (body.decode(), "m")

    asyncio.run(run())


def test_lines_of_many_values_in_all_are_lines(pipeline: Pipeline) -> None:
    """What a record may have is no limit for a body that is not said to be NDJSON."""
    body = (json.dumps({"message": "m", "a": [[]] * 1_000}) + "\n").encode() * 200

    async def run() -> None:
        async with _peer(pipeline) as peer:
            answer, content = await peer.ask("/v1/enrich", body, JSON)
            assert (answer.status, answer.content_type) == (200, "application/x-ndjson")
            assert [json.loads(line)["message"] for line in content.splitlines()] == ["m"] * 200

    asyncio.run(run())


def test_an_array_of_countless_records_is_refused(pipeline: Pipeline) -> None:
    """The error says how many may be in one; lines need no such bound."""

    async def run() -> None:
        async with _peer(pipeline, max_records=3) as peer:
            answer, content = await peer.ask("/v1/enrich", b"[1,1,1,1]", JSON)
            assert answer.status == 413
            assert peer.counted() == {("http", "unread", "refused", 1)}
            assert "more than 3 records in an array" in json.loads(content)["error"]
            answer, content = await peer.ask("/v1/enrich", b"[1,1,1]", JSON)
            assert (answer.status, len(json.loads(content))) == (200, 3)
            answer, content = await peer.ask("/v1/enrich", b"1\n1\n1\n1\n", NDJSON)
            assert (answer.status, len(content.splitlines())) == (200, 4)

    asyncio.run(run())


def test_records_are_read_when_it_is_their_turn() -> None:
    """A few bytes of JSON can stand for fifty times as many of objects, so they are never there all at once."""
    body = b"[" + b",".join([b'[[],[],[],[],[],[],[],[],["x"]]'] * 3_000) + b"]"
    tracemalloc.start()
    try:
        _, records = json_records.read_body(body, KEYS, batch_ids(body), 3_000, lines=False)
        count = sum(1 for _ in records)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert count == 3_000
    assert peak < 2 * len(body)


lines = st.lists(st.binary(max_size=20) | st.sampled_from([b'{"message":"a"}', b'"b"', b"7", b"[]", b"{}", b""]))
content_types = st.sampled_from([JSON, NDJSON, {}])


def test_any_bytes_are_answered(pipeline: Pipeline) -> None:
    """Whatever a body is, it is refused as a whole, or each of its lines comes back: none is lost, nothing is a 5xx."""
    with asyncio.Runner() as runner:
        opened = _peer(pipeline)
        peer = runner.run(opened.__aenter__())

        @given(lines.map(b"\n".join) | st.binary(), content_types)
        def check(body: bytes, headers: dict[str, str]) -> None:
            answer, content = runner.run(peer.ask("/v1/enrich", body, headers))
            assert answer.status in (200, 400)
            if answer.status == 200 and answer.content_type == "application/x-ndjson":
                sent = [line for line in body.split(b"\n") if line.strip(b" \t\r\n")]
                assert len([json.loads(line) for line in content.splitlines()]) == len(sent)
            elif answer.status == 200:
                asked, found = json.loads(body.decode("utf-8", "surrogateescape"), strict=False), json.loads(content)
                assert isinstance(found, list) == isinstance(asked, list)
                assert not isinstance(found, list) or len(found) == len(asked)

        try:
            check()
        finally:
            runner.run(opened.__aexit__(None, None, None))


values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters() | st.sampled_from("\ud800\udcff")),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["message", "log", "event", "lexilog", "labels", "@timestamp", "source.ip"]) | st.text(),
            inner,
            max_size=3,
        )
    ),
    max_leaves=10,
)


def test_any_values_are_answered(pipeline: Pipeline) -> None:
    """Each element of an array has its document, in order; each keeps the text that it was or held."""
    with asyncio.Runner() as runner:
        opened = _peer(pipeline)
        peer = runner.run(opened.__aenter__())

        @given(st.lists(values, max_size=4))
        def check(records: list[Any]) -> None:
            answer, content = runner.run(peer.ask("/v1/enrich", json.dumps(records).encode(), JSON))
            assert answer.status == 200
            found = json.loads(content)
            assert len(found) == len(records)
            for document, record in zip(found, records, strict=True):
                if isinstance(record, str) and record.isascii():
                    assert document.get("message", document["event"].get("original")) is not None
                # A number that nothing holds in 64 bits has become text, and so a line.
                if record is None or isinstance(record, list | bool) or record == 0:
                    assert document["error"]["message"].startswith("no record")

        try:
            check()
        finally:
            runner.run(opened.__aexit__(None, None, None))
