"""The way out over OTLP, against receivers of that protocol in the same process."""

from __future__ import annotations

import asyncio
import shutil
import ssl
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any, NamedTuple

import grpc
import grpc.aio
import pytest
from aiohttp import web
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.duration_pb2 import Duration
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest, ExportLogsServiceResponse

from lexilog import Enriched, Pipeline, Record, RelayError, SettingsError
from lexilog.otlp import SERVICE
from lexilog.relay import Delivery
from lexilog.relay.otlp import OtlpRelay
from lexilog.relay.settings import OtlpSettings

SECRET = "secret-of-the-test"
PROTOBUF = "application/x-protobuf"
Judge = Callable[[list[str]], Any]


class No(NamedTuple):
    """An answer other than OK: a gRPC code or an HTTP status, its text, and what comes with it."""

    status: Any
    text: str = ""
    extra: Any = ()


class _Receiver:
    """What both receivers do: keep what they take, unless `judge`, which sees a request's lines, has another answer."""

    def __init__(self, judge: Judge = lambda lines: None) -> None:
        self.judge = judge
        self.lines: list[str] = []
        self.sizes: list[int] = []
        self.headers: list[dict[str, str]] = []

    def answer(self, body: bytes, headers: dict[str, str]) -> Any:
        request = ExportLogsServiceRequest.FromString(body)
        records = [record for r in request.resource_logs for s in r.scope_logs for record in s.log_records]
        lines = [record.body.string_value for record in records]
        self.sizes.append(len(body))
        self.headers.append(headers)
        answer = self.judge(lines)
        if isinstance(answer, No):
            return answer
        self.lines += lines
        return b"" if answer is None else answer


class GrpcReceiver(_Receiver):
    """An OTLP/gRPC receiver, as far as logs go."""

    def __init__(self, judge: Judge = lambda lines: None, max_bytes: int = 4 << 20) -> None:
        super().__init__(judge)
        self.max_bytes = max_bytes

    async def __aenter__(self) -> GrpcReceiver:
        method = grpc.unary_unary_rpc_method_handler(self._export)
        self._server = grpc.aio.server(options=[("grpc.max_receive_message_length", self.max_bytes)])
        self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, {"Export": method}),))
        self.endpoint = f"127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}"
        await self._server.start()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._server.stop(0)

    async def _export(self, body: bytes, context: Any) -> bytes:
        answer = self.answer(body, dict(context.invocation_metadata()))
        if isinstance(answer, No):
            await context.abort(answer.status, answer.text, answer.extra)
        return bytes(answer)


class HttpReceiver(_Receiver):
    """An OTLP/HTTP receiver of logs, on whatever path; it takes protobuf and gzip."""

    def __init__(self, judge: Judge = lambda lines: None, status: int = 200, tls: ssl.SSLContext | None = None) -> None:
        super().__init__(judge)
        self.status = status
        self.content_type = PROTOBUF
        self.tls = tls
        self.paths: list[str] = []

    async def __aenter__(self) -> HttpReceiver:
        app = web.Application(client_max_size=1 << 26)
        app.router.add_post("/{path:.*}", self._export)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1, access_log=None)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0, ssl_context=self.tls).start()
        scheme = "https" if self.tls else "http"
        self.endpoint = f"{scheme}://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._runner.cleanup()

    async def _export(self, request: web.Request) -> web.Response:
        self.paths.append(request.path_qs)
        headers = {key.lower(): value for key, value in request.headers.items()}
        assert headers["content-type"] == PROTOBUF
        answer = self.answer(await request.read(), headers)
        if isinstance(answer, No):
            return web.Response(status=answer.status, text=answer.text, headers=dict(answer.extra))
        return web.Response(status=self.status, body=answer, content_type=self.content_type)


RECEIVERS = {"grpc": GrpcReceiver, "http": HttpReceiver}
both = pytest.mark.parametrize("protocol", ["grpc", "http"])


def _batch(pipeline: Pipeline, lines: list[str]) -> list[Enriched]:
    return pipeline.process_all(Record(line=line) for line in lines)


@pytest.fixture
def batch(pipeline: Pipeline) -> list[Enriched]:
    return _batch(pipeline, [f"line {number}" for number in range(20)])


def _settings(endpoint: str, protocol: Any, **more: Any) -> OtlpSettings:
    return OtlpSettings(**{"endpoint": endpoint, "protocol": protocol, "shape": "attributes"} | more)


async def _deliver(receiver: Any, batch: list[Enriched], **more: Any) -> Delivery:
    """Deliver a batch once to a receiver that is up."""
    protocol = "grpc" if isinstance(receiver, GrpcReceiver) else "http"
    async with receiver:
        relay = OtlpRelay("hop", _settings(receiver.endpoint, protocol, **more))
        await relay.open()
        try:
            return await relay.deliver(batch)
        finally:
            await relay.close()


def _poisoned(no: No) -> Judge:
    return lambda lines: no if "line 7" in lines else None


@both
@pytest.mark.parametrize("compression", ["none", "gzip"])
def test_a_batch_arrives_in_order_in_requests_of_bounded_size(
    protocol: str, compression: str, pipeline: Pipeline
) -> None:
    """Whatever the size of a batch, no request is larger than the settings say, and each carries the headers."""
    lines = [f"line {number} {'x' * 50}" for number in range(200)]
    receiver = RECEIVERS[protocol]()
    told: dict[str, Any] = {"compression": compression, "max_bytes": 2048, "headers": {"X-Tenant": "blue"}}
    done = asyncio.run(_deliver(receiver, _batch(pipeline, lines), **told))
    assert done == Delivery()
    assert receiver.lines == lines
    assert len(receiver.sizes) > 5
    assert max(receiver.sizes) <= 2048
    assert {headers["x-tenant"] for headers in receiver.headers} == {"blue"}
    if protocol == "http":
        assert {headers.get("content-encoding", "none") for headers in receiver.headers} == {compression}


@pytest.mark.parametrize(
    ("protocol", "no"),
    [
        ("grpc", No(grpc.StatusCode.INVALID_ARGUMENT, "odd")),
        ("grpc", No(grpc.StatusCode.RESOURCE_EXHAUSTED, "SERVER: Received message larger than max (9 vs. 8)")),
        (
            "grpc",
            No(grpc.StatusCode.RESOURCE_EXHAUSTED, "grpc: received message after decompression larger than max 8"),
        ),
        ("grpc", No(grpc.StatusCode.RESOURCE_EXHAUSTED, "gRPC message exceeds maximum size 8: 9")),
        (
            "grpc",
            No(grpc.StatusCode.RESOURCE_EXHAUSTED, "Received message exceeds the maximum configured message size."),
        ),
        ("grpc", No(grpc.StatusCode.OUT_OF_RANGE, "Error, decoded message length too large: found 9 bytes")),
        ("http", No(400, "odd")),
        ("http", No(413, "too large")),
    ],
)
@pytest.mark.parametrize("max_bytes", [1024, 4_000_000], ids=["requests", "request"])
def test_a_record_that_is_never_taken_costs_no_other(max_bytes: int, protocol: str, no: No, pipeline: Pipeline) -> None:
    """The record to blame is found and comes back with the receiver's words; each other one arrives once."""
    receiver = RECEIVERS[protocol](lambda lines: no if any(line.startswith("line 27") for line in lines) else None)
    lines = [f"line {number} {'x' * 50}" for number in range(40)]
    batch = _batch(pipeline, lines)
    done = asyncio.run(_deliver(receiver, batch, max_bytes=max_bytes))
    assert [refusal.record for refusal in done.refused] == [batch[27]]
    assert no.text in done.refused[0].reason
    assert sorted(receiver.lines) == sorted(lines[:27] + lines[28:])
    assert done.unnamed == 0


def test_an_http_status_message_is_read_as_the_protocol_says(batch: list[Enriched]) -> None:
    """The reason of a refusal is the text of the Status that the receiver answers with, not its bytes."""

    class Receiver(HttpReceiver):
        async def _export(self, request: web.Request) -> web.Response:
            body = Status(code=3, message="no such tenant").SerializeToString()
            return web.Response(status=400, body=body, content_type=PROTOBUF)

    done = asyncio.run(_deliver(Receiver(), batch[:1]))
    assert [refusal.reason for refusal in done.refused] == ["HTTP 400: no such tenant"]


@pytest.mark.parametrize("compression", ["none", "gzip"])
def test_what_is_too_large_for_the_receiver_is_found_out(compression: str, pipeline: Pipeline) -> None:
    """A real gRPC server with a low limit gets every record that it can take, and the one above it is refused."""
    lines = [f"line {number} {'x' * 400}" for number in range(30)]
    lines[11] = "line 11 " + "y" * 9_000
    receiver = GrpcReceiver(max_bytes=4096)
    batch = _batch(pipeline, lines)
    done = asyncio.run(_deliver(receiver, batch, compression=compression))
    assert [refusal.record for refusal in done.refused] == [batch[11]]
    assert "larger than max" in done.refused[0].reason
    assert sorted(receiver.lines) == sorted(lines[:11] + lines[12:])


@pytest.mark.parametrize(
    "code",
    [code for code in grpc.StatusCode if code not in (grpc.StatusCode.OK, grpc.StatusCode.INVALID_ARGUMENT)],
    ids=lambda code: code.name,
)
def test_every_other_grpc_status_leaves_the_batch_with_its_sender(code: Any, batch: list[Enriched]) -> None:
    """What may pass, or what somebody mends, costs no record, not even where it is about one alone."""
    receiver = GrpcReceiver(_poisoned(No(code, "why not")))
    with pytest.raises(RelayError, match=rf"^relay hop: 127\.0\.0\.1:\d+: .*{code.name}: why not"):
        asyncio.run(_deliver(receiver, batch[7:8]))
    assert receiver.lines == []


@pytest.mark.parametrize("status", [301, 307, 401, 403, 404, 405, 408, 415, 422, 429, 500, 502, 503, 504])
def test_every_other_http_status_leaves_the_batch_with_its_sender(status: int, batch: list[Enriched]) -> None:
    """What may pass, or what somebody mends, costs no record; a redirect is not followed."""
    extra = {"Location": "/elsewhere"} if status < 400 else {}
    receiver = HttpReceiver(_poisoned(No(status, "why\nnot", extra)))
    with pytest.raises(RelayError, match=rf"^relay hop: 127\.0\.0\.1:\d+: .*HTTP {status}: why not"):
        asyncio.run(_deliver(receiver, batch[7:8]))
    assert receiver.paths == ["/v1/logs"]


def _retry_info(**delay: int) -> tuple[tuple[str, bytes], ...]:
    detail = AnyMessage()
    detail.Pack(RetryInfo(retry_delay=Duration(**delay)))
    other = AnyMessage(type_url="type.example/other", value=b"\xff")
    return (("grpc-status-details-bin", Status(code=14, details=[other, detail]).SerializeToString()),)


@pytest.mark.parametrize(
    ("protocol", "no", "low", "high"),
    [
        ("grpc", No(grpc.StatusCode.UNAVAILABLE, "", _retry_info(seconds=7, nanos=500_000_000)), 7.5, 7.5),
        ("grpc", No(grpc.StatusCode.UNAVAILABLE, "", _retry_info(seconds=99_999)), 3600, 3600),
        ("grpc", No(grpc.StatusCode.UNAVAILABLE, "", (("grpc-status-details-bin", b"\xff"),)), 1, 1),
        ("grpc", No(grpc.StatusCode.UNAVAILABLE), 1, 1),
        ("http", No(429, "", {"Retry-After": "7"}), 7, 7),
        ("http", No(503, "", {"Retry-After": "9" * 400}), 3600, 3600),
        ("http", No(503, "", {"Retry-After": format_datetime(datetime.now(UTC) + timedelta(hours=0.5))}), 60, 1800),
        ("http", No(503, "", {"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}), 0, 0),
        ("http", No(503, "", {"Retry-After": "soon"}), 1, 1),
        ("http", No(503), 1, 1),
    ],
)
def test_the_receiver_says_when_to_come_again(
    protocol: str, no: No, low: float, high: float, batch: list[Enriched]
) -> None:
    """Its wait is honoured, within an hour; without a word, or with one that cannot be read, it is a second."""
    with pytest.raises(RelayError) as caught:
        asyncio.run(_deliver(RECEIVERS[protocol](lambda lines: no), batch))
    assert low <= caught.value.retry_after <= high


@both
def test_what_the_receiver_rejects_without_a_name_is_counted(protocol: str, pipeline: Pipeline) -> None:
    """The counts of all requests are added up, and each reason is told once."""

    def judge(lines: list[str]) -> bytes:
        answer = ExportLogsServiceResponse()
        answer.partial_success.rejected_log_records = 2
        answer.partial_success.error_message = "too old" if "line 0" in lines[0] else "too odd"
        return answer.SerializeToString()

    receiver = RECEIVERS[protocol](judge)
    batch = _batch(pipeline, [f"line {number} {'x' * 300}" for number in range(9)])
    done = asyncio.run(_deliver(receiver, batch, max_bytes=1024))
    assert len(receiver.sizes) > 2
    assert done == Delivery(unnamed=2 * len(receiver.sizes), message="too old; too odd")


@pytest.mark.parametrize(("status", "body"), [(201, b""), (200, b"\xff\xff"), (204, b""), (202, b"")])
def test_any_success_over_http_is_a_yes(status: int, body: bytes, batch: list[Enriched]) -> None:
    """A receiver that says so with another status, as Fluent Bit does, or with a body that is no answer, has it."""
    receiver = HttpReceiver(lambda lines: body, status=status)
    assert asyncio.run(_deliver(receiver, batch)) == Delivery()
    assert len(receiver.lines) == len(batch)


def test_a_body_of_another_type_is_not_read_as_an_answer(batch: list[Enriched]) -> None:
    """Text that happens to be a protobuf rejects nothing."""
    answer = ExportLogsServiceResponse()
    answer.partial_success.rejected_log_records = 5
    receiver = HttpReceiver(lambda lines: answer.SerializeToString())
    receiver.content_type = "text/plain"
    assert asyncio.run(_deliver(receiver, batch)) == Delivery()


def test_ok_over_grpc_is_a_yes_whatever_comes_with_it(batch: list[Enriched]) -> None:
    """An answer that cannot be read does not bring the batch again and again."""
    receiver = GrpcReceiver(lambda lines: b"\xff\xff")
    assert asyncio.run(_deliver(receiver, batch)) == Delivery()
    assert len(receiver.sizes) == 1


@pytest.mark.parametrize(
    ("given", "expected"),
    [("", "/v1/logs"), ("/", "/v1/logs"), ("?tenant=a", "/v1/logs?tenant=a"), ("/otlp/v1/logs", "/otlp/v1/logs")],
)
def test_the_path_is_the_usual_one_unless_the_url_has_its_own(given: str, expected: str, batch: list[Enriched]) -> None:
    """What the operator writes behind the port is kept."""

    async def run() -> list[str]:
        async with HttpReceiver() as receiver:
            relay = OtlpRelay("hop", _settings(receiver.endpoint + given, "http"))
            await relay.open()
            await relay.deliver(batch)
            await relay.close()
            return receiver.paths

    assert asyncio.run(run()) == [expected]


@pytest.mark.parametrize(
    ("protocol", "endpoint", "more", "problem"),
    [
        ("http", "next-hop.example:4318", {}, "endpoint is no URL"),
        ("http", "ftp://next-hop.example", {}, "endpoint is no URL"),
        ("http", "http://", {}, "endpoint is no URL"),
        ("http", "http://next-hop.example:99999", {}, "endpoint is no URL"),
        ("http", f"http://me:{SECRET}@next-hop.example", {}, "holds a user or a password"),
        (
            "http",
            "https://next-hop.example",
            {"ca_file": Path("/nowhere/ca.pem")},
            "ca_file /nowhere/ca.pem: .*No such",
        ),
        ("http", "https://next-hop.example", {"ca_file": Path(__file__)}, "ca_file .*cannot be read as PEM"),
        ("http", "http://next-hop.example", {"ca_file": Path(__file__)}, "ca_file is for https"),
        ("http", "http://next-hop.example", {"tls": True}, "tls is true, and endpoint is http: make it https"),
        ("http", "http://next-hop.example", {"headers": {"X-Key": f"{SECRET}\n"}}, "header 'X-Key': its value"),
        ("http", "http://next-hop.example", {"headers": {"X Key": SECRET}}, "header 'X Key': is no name"),
        ("http", "http://next-hop.example", {"headers": {"Content-Encoding": "br"}}, "the relay sets it itself"),
        ("grpc", "http://next-hop.example:4317", {}, "endpoint is not HOST:PORT"),
        ("grpc", f"me:{SECRET}@next-hop.example:4317", {}, "endpoint is not HOST:PORT"),
        ("grpc", "next-hop.example", {}, "endpoint is not HOST:PORT"),
        ("grpc", "next-hop.example:4317", {"ca_file": Path(__file__)}, "ca_file is for TLS: set tls to true"),
        ("grpc", "next-hop.example:4317", {"headers": {"key-bin": SECRET}}, "'key-bin': gRPC cannot"),
        ("grpc", "next-hop.example:4317", {"headers": {"grpc-timeout": SECRET}}, "'grpc-timeout': gRPC cannot"),
        ("grpc", "next-hop.example:4317", {"headers": {"key": "ü"}}, "header 'key': its value"),
    ],
)
def test_a_setting_that_cannot_be_used_is_told_at_once(
    protocol: str, endpoint: str, more: dict[str, Any], problem: str
) -> None:
    """What can be known without the receiver is; the error names relay and setting, and repeats no secret."""
    relay = OtlpRelay("hop", _settings(endpoint, protocol, **more))

    async def run() -> None:
        try:
            await relay.open()
        finally:
            await relay.close()

    with pytest.raises(SettingsError, match=f"^relay hop: .*{problem}") as caught:
        asyncio.run(run())
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    ("protocol", "endpoint"),
    [
        ("grpc", "127.0.0.1:1"),
        ("grpc", "[::1]:1"),
        ("http", "http://127.0.0.1:1"),
        ("http", "http://a..example"),
    ],
)
def test_a_receiver_that_is_not_there_is_waited_for(protocol: str, endpoint: str, batch: list[Enriched]) -> None:
    """The relay opens all the same; its sender keeps the batch, and the relay can be closed twice."""

    async def run() -> None:
        relay = OtlpRelay("hop", _settings(endpoint, protocol))
        await relay.open()
        with pytest.raises(RelayError, match=r"^relay hop: "):
            await relay.deliver(batch)
        await relay.close()
        await relay.close()
        with pytest.raises(RelayError, match=r"^relay hop: is closed"):
            await relay.deliver(batch)

    asyncio.run(run())


def test_after_a_failed_connection_there_is_no_point_in_trying() -> None:
    """The check knows of a gRPC channel that is down before a batch is made ready for it."""

    async def run() -> None:
        relay = OtlpRelay("hop", _settings("127.0.0.1:1", "grpc"))
        await relay.open()
        await relay.check()
        with pytest.raises(RelayError):
            await relay.deliver(_batch(Pipeline([]), ["line"]))
        with pytest.raises(RelayError, match=r"^relay hop: 127\.0\.0\.1:1: cannot be reached"):
            await relay.check()
        await relay.close()

    asyncio.run(run())


@both
def test_a_receiver_that_does_not_answer_is_given_up(protocol: str, batch: list[Enriched]) -> None:
    """The wait is bounded by the timeout of the settings, and a sender may call it off before."""

    transports: list[asyncio.BaseTransport] = []

    class Silent(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            transports.append(transport)

    async def run() -> None:
        server = await asyncio.get_running_loop().create_server(Silent, "127.0.0.1", 0)
        where = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
        endpoint = where if protocol == "grpc" else f"http://{where}"
        relay = OtlpRelay("hop", _settings(endpoint, protocol, timeout=0.2))
        await relay.open()
        told = "DEADLINE_EXCEEDED|UNAVAILABLE" if protocol == "grpc" else r"no answer within 0\.2 s"
        with pytest.raises(RelayError, match=rf"^relay hop: 127\.0\.0\.1:\d+: .*({told})"):
            await relay.deliver(batch)
        task = asyncio.create_task(relay.deliver(batch))
        await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await relay.close()
        for transport in transports:
            transport.close()
        server.close()
        await server.wait_closed()

    asyncio.run(asyncio.wait_for(run(), 30))


@pytest.mark.parametrize(
    ("protocol", "no"),
    [
        ("grpc", No(grpc.StatusCode.UNAUTHENTICATED, f"who is Bearer {SECRET}?")),
        ("grpc", No(grpc.StatusCode.INVALID_ARGUMENT, f"who is Bearer {SECRET}?")),
        ("http", No(401, f"who is Bearer {SECRET}?")),
        ("http", No(400, f"who is Bearer {SECRET}?")),
    ],
)
def test_a_secret_that_the_receiver_repeats_goes_no_further(protocol: str, no: No, batch: list[Enriched]) -> None:
    """Neither an error nor a reason holds the value of a header."""
    receiver = RECEIVERS[protocol](lambda lines: no)
    try:
        told = str(asyncio.run(_deliver(receiver, batch[:1], headers={"Authorization": f"Bearer {SECRET}"})))
    except RelayError as error:
        told = str(error)
    assert receiver.headers[0]["authorization"] == f"Bearer {SECRET}"
    assert "who is Bearer ***?" in told
    assert SECRET not in told


def test_a_certificate_of_ones_own_is_trusted_where_it_is_named(tmp_path: Path, batch: list[Enriched]) -> None:
    """Over https the receiver's certificate is checked, against ca_file if there is one."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("needs openssl on the PATH, which makes the certificate")
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    command = [openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=next-hop.example"]
    command += ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(certificate, key)
    receiver = HttpReceiver(tls=tls)
    with pytest.raises(RelayError, match=r"^relay hop: 127\.0\.0\.1:\d+: .*certificate"):
        asyncio.run(_deliver(receiver, batch))
    assert receiver.lines == []
    assert asyncio.run(_deliver(receiver, batch, ca_file=certificate)) == Delivery()
    assert len(receiver.lines) == len(batch)


@pytest.mark.parametrize("compression", ["none", "gzip"])
def test_a_large_request_is_sent_whole(compression: str, pipeline: Pipeline) -> None:
    """A request of the usual size, which is above a mebibyte, arrives as it was."""
    lines = [f"line {number} {'x' * 1000}" for number in range(3000)]
    receiver = HttpReceiver()
    asyncio.run(_deliver(receiver, _batch(pipeline, lines), compression=compression))
    assert receiver.lines == lines
    assert len(receiver.sizes) == 1
    assert receiver.sizes[0] > 1 << 20
    on_the_wire = int(receiver.headers[0]["content-length"])
    assert on_the_wire < receiver.sizes[0] / 10 if compression == "gzip" else on_the_wire == receiver.sizes[0]
