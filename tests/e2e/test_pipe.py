"""The whole pipe over real sockets: an agent, `lexilog serve` in a process of its own, and a next hop in another."""

from __future__ import annotations

import asyncio
import json
import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from lexilog import Enriched, RelayError, encode_json
from lexilog._proto.v1 import enrich_pb2 as pb
from lexilog._proto.v1 import enrich_pb2_grpc
from lexilog.model import Record
from lexilog.pipeline import Pipeline
from lexilog.relay import Delivery
from lexilog.relay.memory import MemoryRelay
from lexilog.service.server import Server
from lexilog.service.settings import Doors, GrpcDoorSettings, Settings
from processes import RETRIED, Agent, Process, arrivals, free_port, request_of

Serve = Callable[..., tuple[Process, Agent]]
ServeConfig = Callable[[dict[str, Any]], Process]
Receive = Callable[..., Process]
TEXT = "KMD_PM_DYNAMIC_SA_INSTALL_FAILED: Unable to install dynamic SA for tunnel t{}"
KNOWN = "<35>Aug  3 10:18:44 srx1 kmd[1]: " + TEXT


def _lines(start: int, count: int, padding: int = 0) -> list[str]:
    """Return numbered lines, two known ones to each unknown one."""
    unknown = f"<14>Aug  3 10:18:44 web1 app[1]: {'x' * padding} request {{}}"
    return [(KNOWN if number % 3 else unknown).format(number) for number in range(start, start + count)]


def _settings(port: int, far: int, **relay: Any) -> dict[str, Any]:
    """Return settings with a gRPC door on a port, and an OTLP relay to another."""
    doors = {"grpc": {"listen": f"127.0.0.1:{port}"}}
    return {"doors": doors, "relays": {"far": {"type": "otlp", "endpoint": f"127.0.0.1:{far}", **relay}}}


def _arrived(path: Path) -> Counter[int]:
    """Return how often each number has arrived."""
    return Counter(number for number, _ in arrivals(path))


def _send_during(agent: Agent, disturb: Callable[[], None]) -> int:
    """Send batches of 500 numbered lines before, while and after something is disturbed; return how many lines."""
    thread = threading.Timer(1, disturb)
    thread.start()
    sent = 0
    while thread.is_alive() or sent < 5_000:
        agent.send(request_of(_lines(sent, 500)))
        sent += 500
    thread.join()
    return sent


def test_real_lines_come_out_enriched(serve: Serve, tmp_path: Path, checkout: Path) -> None:
    """The shipped sample lines go in as an agent sends them, and documents come out at the next hop, in order."""
    _, agent = serve("--relay", f"file:{tmp_path / 'out'}")
    lines = (checkout / "examples" / "lines" / "junos.log").read_text(encoding="utf-8").splitlines()
    assert not agent.once(request_of(lines)).HasField("partial_success")
    found = [json.loads(line) for line in (tmp_path / "out").read_text().splitlines()]
    assert [record["event"]["original"] for record in found] == lines
    assert [record["lexilog"]["match"]["quality"] for record in found] == ["prefix", *["exact"] * 5, "none"]


def test_fifty_thousand_records_are_counted_out(serve: Serve, receive: Receive, tmp_path: Path) -> None:
    """Every acknowledged record has arrived, once; the batches are over the 4 MiB that gRPC takes by default."""
    port = free_port()
    receive(port)
    _, agent = serve("--relay", f"otlp://127.0.0.1:{port}")
    for start in range(0, 50_000, 10_000):
        request = request_of(_lines(start, 10_000, padding=1_200))
        assert request.ByteSize() > 4 * 1024 * 1024
        agent.once(request)
    assert _arrived(tmp_path / "otlp.ndjson") == Counter(range(50_000))


def test_a_far_end_that_dies_in_mid_stream_loses_nothing(
    serve_config: ServeConfig, receive: Receive, tmp_path: Path
) -> None:
    """Kill -9 of the next hop: the agent hears UNAVAILABLE and keeps its batch, and all is there after the return."""
    port = free_port()
    far = receive(port)
    agent = Agent(serve_config(_settings(0, port, max_bytes=50_000, timeout=2)).ports["grpc"])

    def disturb() -> None:
        far.kill()
        time.sleep(2)
        receive(port)

    sent = _send_during(agent, disturb)
    assert agent.tries > sent // 500, "the far end was never missed: the test proves nothing"
    assert set(_arrived(tmp_path / "otlp.ndjson")) == set(range(sent))


def test_kill_of_lexilog_in_mid_stream_loses_nothing(
    serve_config: ServeConfig, receive: Receive, tmp_path: Path
) -> None:
    """Kill -9 of lexilog itself: there is no queue in it that could be lost."""
    port, far = free_port(), free_port()
    receive(far)
    settings = _settings(port, far, max_bytes=50_000)
    process, agent = serve_config(settings), Agent(port)

    def disturb() -> None:
        process.kill()
        time.sleep(1)
        serve_config(settings)

    sent = _send_during(agent, disturb)
    assert agent.tries > sent // 500, "lexilog was never missed: the test proves nothing"
    assert set(_arrived(tmp_path / "otlp.ndjson")) == set(range(sent))


@pytest.mark.parametrize("mode", ["", "refuse"])
def test_what_may_pass_later_is_unavailable(
    mode: str, serve_config: ServeConfig, receive: Receive, tmp_path: Path
) -> None:
    """A next hop that is away or refuses is UNAVAILABLE to the agent, never a code on which it drops its records."""
    port = free_port()
    if mode:
        receive(port, mode)
    process = serve_config(_settings(0, port, timeout=1))
    agent = Agent(process.ports["grpc"])
    for _ in range(3):
        with pytest.raises(grpc.RpcError) as caught:
            agent.once(request_of(["a"]))
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
        assert re.search("records not taken|cannot be reached", caught.value.details())
    assert process.terminate() == 0
    log = (tmp_path / "serve.log").read_text()
    assert log.count("stay with their sender") == 1, "what repeats is logged once a minute"
    assert "no_frame returned" in log


def test_what_the_next_hop_refuses_for_good_is_told(serve: Serve, receive: Receive) -> None:
    """The next hop's partial success is the agent's answer."""
    port = free_port()
    receive(port, "partial")
    _, agent = serve("--relay", f"otlp://127.0.0.1:{port}")
    answer = agent.once(request_of(["a 1", "b 2"]))
    assert answer.partial_success.rejected_log_records == 1
    assert answer.partial_success.error_message == "the first one is odd"


def test_a_stop_finishes_what_is_in_flight(serve_config: ServeConfig, receive: Receive, tmp_path: Path) -> None:
    """SIGTERM while a batch is under way: it is finished and answered, and the exit code is 0."""
    port = free_port()
    receive(port, "slow")
    process = serve_config(_settings(0, port, max_bytes=50_000))
    agent = Agent(process.ports["grpc"])
    codes: list[int] = []
    thread = threading.Thread(target=lambda: agent.once(request_of(_lines(0, 200))))
    thread.start()
    while not _arrived(tmp_path / "otlp.ndjson"):
        time.sleep(0.01)
    codes.append(process.terminate())
    thread.join()
    assert codes == [0]
    assert _arrived(tmp_path / "otlp.ndjson") == Counter(range(200))
    assert "otlp unknown unknown_text relayed: 67" in (tmp_path / "serve.log").read_text()
    assert "otlp juniper_kmd matched exact relayed: 133" in (tmp_path / "serve.log").read_text()


def test_a_stop_does_not_wait_for_ever(serve_config: ServeConfig, receive: Receive, tmp_path: Path) -> None:
    """When the grace is over, what is still under way is called off; its sender hears so, and it is counted."""
    port = free_port()
    receive(port, "slow")
    process = serve_config({**_settings(0, port, max_bytes=2_000), "grace": 0.5})
    agent = Agent(process.ports["grpc"])
    errors: list[grpc.RpcError] = []

    def send() -> None:
        try:
            agent.once(request_of(_lines(0, 200)))
        except grpc.RpcError as error:
            errors.append(error)

    thread = threading.Thread(target=send)
    thread.start()
    while not _arrived(tmp_path / "otlp.ndjson"):
        time.sleep(0.01)
    assert process.terminate() == 0
    thread.join()
    assert errors[0].code() in RETRIED
    log = (tmp_path / "serve.log").read_text()
    assert "otlp juniper_kmd matched exact returned: 133" in log
    assert "Traceback" not in log


def test_a_backlog_is_taken_in_turns(run_inside: Callable[..., Any]) -> None:
    """An agent that sends all it has kept at once does not make the server hold all of it in work."""
    at_once = []

    class Slow(MemoryRelay):
        now = 0

        async def deliver(self, batch: Sequence[Enriched]) -> Delivery:
            Slow.now += 1
            at_once.append(Slow.now)
            await asyncio.sleep(0.02)
            Slow.now -= 1
            return await super().deliver(batch)

    relay = Slow()

    async def work(channel: grpc.aio.Channel, server: Server) -> Any:
        export = channel.unary_unary("/opentelemetry.proto.collector.logs.v1.LogsService/Export")
        await asyncio.gather(*(export(request_of([f"line {n}"]).SerializeToString()) for n in range(30)))

    run_inside(work, relay)
    assert len(relay.records) == 30
    assert max(at_once) == 2


def test_a_relay_that_is_away_costs_no_work(run_inside: Callable[..., Any]) -> None:
    """When the next hop is known to be away the agent is told before anything is decoded or enriched."""

    class Away(MemoryRelay):
        async def check(self) -> None:
            raise RelayError("cannot be reached")

    async def work(channel: grpc.aio.Channel, server: Server) -> Any:
        export = channel.unary_unary("/opentelemetry.proto.collector.logs.v1.LogsService/Export")
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await export(request_of(["a"]).SerializeToString())
        return caught.value.code(), server.counts.items()

    counted = [(("otlp", "", "unread", "request", "returned"), 1)]
    assert run_inside(work, Away()) == (grpc.StatusCode.UNAVAILABLE, counted)


def test_unavailable_says_when_to_come_again(run_inside: Callable[..., Any]) -> None:
    """A RetryInfo tells it, as OTLP/gRPC throttling asks for, and a reason of any length leaves the code as it is."""

    class Away(MemoryRelay):
        async def deliver(self, batch: Sequence[Enriched]) -> Delivery:
            raise RelayError("x" * 20_000, retry_after=2.5)

    async def work(channel: grpc.aio.Channel, server: Server) -> Any:
        export = channel.unary_unary("/opentelemetry.proto.collector.logs.v1.LogsService/Export")
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await export(request_of(["a"]).SerializeToString())
        status, info = Status.FromString(dict(caught.value.trailing_metadata())["grpc-status-details-bin"]), RetryInfo()
        assert status.details[0].Unpack(info)
        return caught.value.code(), info.retry_delay.ToTimedelta().total_seconds()

    assert run_inside(work, Away()) == (grpc.StatusCode.UNAVAILABLE, 2.5)


def test_a_batch_that_is_sent_again_has_the_same_ids(run_inside: Callable[..., Any]) -> None:
    """Compressed or not; equal lines of a batch, and those of another, have ids of their own."""
    relay = MemoryRelay()

    async def work(channel: grpc.aio.Channel, server: Server) -> None:
        export = channel.unary_unary("/opentelemetry.proto.collector.logs.v1.LogsService/Export")
        await export(request_of(["a", "a"]).SerializeToString())
        await export(request_of(["a", "a"]).SerializeToString(), compression=grpc.Compression.Gzip)
        await export(request_of(["a", "a", "b"]).SerializeToString())

    run_inside(work, relay)
    ids = [one.fields["event.id"] for one in relay.records]
    assert ids[:2] == ids[2:4]
    assert len(set(ids)) == 5


def test_hostile_requests_cost_the_others_nothing(serve_config: ServeConfig, tmp_path: Path) -> None:
    """Bytes that are no request are refused for good, a message over the limit too; the next request is served."""
    door = {"listen": "127.0.0.1:0", "max_receive_bytes": 100_000}
    relay = {"type": "file", "path": str(tmp_path / "out")}
    agent = Agent(serve_config({"doors": {"grpc": door}, "relays": {"out": relay}}).ports["grpc"])
    with grpc.insecure_channel(f"127.0.0.1:{agent.port}") as channel:
        export = channel.unary_unary("/opentelemetry.proto.collector.logs.v1.LogsService/Export")
        for data, code in ((b"\xff\xff", "INVALID_ARGUMENT"), (b"\n" * 200_000, "RESOURCE_EXHAUSTED")):
            with pytest.raises(grpc.RpcError) as caught:
                export(data, timeout=30)
            assert caught.value.code().name == code
        data = request_of(["bad LINE"]).SerializeToString().replace(b"bad LINE", b"bad\xffLINE")
        export(data, timeout=30)
    agent.once(request_of([]))
    assert json.loads((tmp_path / "out").read_text())["event"]["original"] == "bad\\xffLINE"


def test_an_occupied_port_is_said(serve: Serve, tmp_path: Path) -> None:
    """A second server on the same port does not start, and says why."""
    _, agent = serve()
    with pytest.raises(pytest.fail.Exception, match="cannot be bound: Address already in use"):
        serve(port=agent.port)


@pytest.fixture
def run_inside() -> Callable[..., Any]:
    """Return a function that runs a coroutine with a channel to a server in this process."""

    def run(work: Callable[[grpc.aio.Channel, Server], Any], relay: MemoryRelay | None = None) -> Any:
        async def inner() -> Any:
            server = Server(Settings(doors=Doors(grpc=GrpcDoorSettings(listen="127.0.0.1:0")), grace=1), relay=relay)
            await server.start()
            try:
                async with grpc.aio.insecure_channel(f"127.0.0.1:{server.ports['grpc']}") as channel:
                    return await work(channel, server)
            finally:
                await server.stop()

        return asyncio.run(inner())

    return run


def test_enrich_answers_in_order(run_inside: Callable[..., Any]) -> None:
    """One result for each record, with status, reason and the same document that the command prints."""
    records = [
        pb.Record(line=KNOWN.format(1).encode(), fields=b'{"host":"a"}'),
        pb.Record(line=b"\xff unknown"),
        pb.Record(line=KNOWN.format(2).encode(), fields=b"[1]"),
        pb.Record(line=b"", fields=b'{"a":' * 10_000),
        pb.Record(line=b"", fields=b'{"a":' * 900 + b"1" + b"}" * 900),
        pb.Record(line=KNOWN.format(3).encode(), time_unix_nano=1_577_880_000_000_000_000),
    ]

    async def work(channel: grpc.aio.Channel, server: Server) -> Any:
        answer = await enrich_pb2_grpc.EnrichServiceStub(channel).Enrich(pb.EnrichRequest(records=records))
        return answer, server.counts.items()

    answer, counts = run_inside(work)
    assert [pb.Status.Name(result.status) for result in answer.results] == [
        "STATUS_MATCHED", "STATUS_UNKNOWN", "STATUS_FAILED", "STATUS_FAILED", "STATUS_UNKNOWN", "STATUS_MATCHED",
    ]  # fmt: skip
    reasons = ["exact", "no_frame", "invalid_record", "invalid_record", "no_frame", "exact"]
    assert [result.reason for result in answer.results] == reasons
    documents = [json.loads(result.document) for result in answer.results]
    assert documents[0]["host"] == "a"
    assert documents[1]["event"]["original"] == "\\xff unknown"
    assert documents[2]["error"]["message"].startswith("fields: not a JSON object")
    assert documents[2]["event"].pop("id") != documents[3]["event"]["id"]
    assert documents[2]["event"].pop("created")
    assert documents[2]["event"] == {"original": KNOWN.format(2), "kind": "pipeline_error"}
    assert documents[4]["event"]["original"] == ""
    assert documents[5]["@timestamp"] == "2019-08-03T10:18:44.000Z"
    assert (answer.results[0].catalog, answer.results[0].id) == ("juniper_kmd", "KMD_PM_DYNAMIC_SA_INSTALL_FAILED")
    printed = json.loads(encode_json(Pipeline().process(Record(line=KNOWN.format(3)))))
    del documents[5]["event"]["id"]
    for document in (printed, documents[5]):
        document["event"].pop("created")
        document["lexilog"].pop("lag")
        document.pop("@timestamp")
    assert printed == documents[5]
    assert sum(count for _, count in counts) == 6


def test_what_is_no_request_is_told_so(run_inside: Callable[..., Any], caplog: pytest.LogCaptureFixture) -> None:
    """Each call of EnrichService answers bytes that are no request with INVALID_ARGUMENT; good calls are served."""
    bad = b"\x0a\x05abc"
    prefix = "/lexilog.v1.EnrichService/"

    async def work(channel: grpc.aio.Channel, server: Server) -> Any:
        told = []
        for method in ("Enrich", "Describe", "Search"):
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await channel.unary_unary(prefix + method)(bad, timeout=30)
            told.append((caught.value.code().name, caught.value.details() or ""))
        good = pb.EnrichRequest(records=[pb.Record(line=b"x")])
        call = channel.stream_stream(prefix + "EnrichStream")([good.SerializeToString(), bad], timeout=30)
        assert len(pb.EnrichResponse.FromString(await call.read()).results) == 1
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call.read()
        told.append((caught.value.code().name, caught.value.details() or ""))
        stub = enrich_pb2_grpc.EnrichServiceStub(channel)
        assert len((await stub.Enrich(good)).results) == 1
        assert (await stub.Search(pb.SearchRequest(query="dpd"))).entries
        assert (await stub.Describe(pb.DescribeRequest(id="KMD_VPN_DOWN_ALARM_USER"))).entry.id
        return told, server.counts.items()

    told, counts = run_inside(work)
    assert {code for code, _ in told} == {"INVALID_ARGUMENT"}
    kinds = ("EnrichRequest", "DescribeRequest", "SearchRequest", "EnrichRequest")
    for (_, text), kind in zip(told, kinds, strict=True):
        assert text.startswith(f"the message is no lexilog.v1.{kind}: ")
    assert dict(counts)["enrich", "", "unread", "request", "refused"] == 4
    assert len(caplog.records) == 4
    assert not any(record.exc_info for record in caplog.records)


def test_enrich_stream_is_flow_controlled(run_inside: Callable[..., Any]) -> None:
    """A reader that waits makes the server wait: it has not worked off what nobody has read."""
    sent = 400

    async def work(channel: grpc.aio.Channel, server: Server) -> Any:
        call = enrich_pb2_grpc.EnrichServiceStub(channel).EnrichStream()
        padding = b"x" * 50_000

        async def write() -> None:
            for number in range(sent):
                await call.write(pb.EnrichRequest(records=[pb.Record(line=b"%d %s" % (number, padding))]))
            await call.done_writing()

        writer = asyncio.create_task(write())
        before = -1
        while (done := sum(count for _, count in server.counts.items())) != before:
            before = done
            await asyncio.sleep(0.5)
        numbers = []
        async for answer in call:
            numbers.append(int(json.loads(answer.results[0].document)["message"].split()[0]))
        await writer
        return done, numbers

    done, numbers = run_inside(work)
    assert numbers == list(range(sent))
    assert done < sent, "the server has read everything although nobody read its answers"


def test_describe_and_search(run_inside: Callable[..., Any]) -> None:
    """The catalogue can be asked by id and by words; what is not there is said."""

    async def work(channel: grpc.aio.Channel, server: Server) -> Any:
        stub = enrich_pb2_grpc.EnrichServiceStub(channel)
        entry = (await stub.Describe(pb.DescribeRequest(id="KMD_VPN_DOWN_ALARM_USER"))).entry
        assert entry.formats == ["VPN {vpn-name} from {remote-address} is down."]
        assert entry.severity == "info"
        assert entry.source_document == "Junos 10.3 System Log Messages Reference"
        found = (await stub.Search(pb.SearchRequest(query="dpd Sequence"))).entries
        assert found[0].id == "KMD_DPD_INVALID_SEQUENCE_NUMBER"
        assert len((await stub.Search(pb.SearchRequest(query="phase", limit=3))).entries) == 3
        assert not (await stub.Search(pb.SearchRequest(query="phase nowheretobefound"))).entries
        codes = []
        for call in (
            stub.Describe(pb.DescribeRequest(id="NOPE")),
            stub.Describe(pb.DescribeRequest(id="KMD_VPN_DOWN_ALARM_USER", catalog="other")),
            stub.Search(pb.SearchRequest(query=" !")),
        ):
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await call
            codes.append(caught.value.code().name)
        return codes

    assert run_inside(work) == ["NOT_FOUND", "NOT_FOUND", "INVALID_ARGUMENT"]


@pytest.mark.parametrize("with_relay", [True, False])
def test_health_and_reflection(with_relay: bool, run_inside: Callable[..., Any]) -> None:
    """Each service that is there is SERVING and can be listed; without a relay there is no OTLP door."""

    async def work(channel: grpc.aio.Channel, server: Server) -> Any:
        stub = health_pb2_grpc.HealthStub(channel)
        services = ["", "lexilog.v1.EnrichService"]
        if with_relay:
            services.append("opentelemetry.proto.collector.logs.v1.LogsService")
        for service in services:
            answer = await stub.Check(health_pb2.HealthCheckRequest(service=service))
            assert answer.status == health_pb2.HealthCheckResponse.SERVING
        call = reflection_pb2_grpc.ServerReflectionStub(channel).ServerReflectionInfo()
        await call.write(reflection_pb2.ServerReflectionRequest(list_services=""))
        listed = await call.read()
        call.cancel()
        return {service.name for service in listed.list_services_response.service}

    assert run_inside(work, MemoryRelay() if with_relay else None) == {
        "lexilog.v1.EnrichService",
        "grpc.health.v1.Health",
        "grpc.reflection.v1alpha.ServerReflection",
        *(["opentelemetry.proto.collector.logs.v1.LogsService"] if with_relay else []),
    }
