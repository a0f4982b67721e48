"""Traces: what is told, to whom, and that nobody has to pay who does not want them."""

from __future__ import annotations

import asyncio
import logging
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import (
    TraceServiceServicer,
    add_TraceServiceServicer_to_server,
)

from lexilog import Enriched, Pipeline, Record, RelayError, SettingsError
from lexilog.relay import Delivery
from lexilog.relay.memory import MemoryRelay
from lexilog.relay.router import Router
from lexilog.service import tracing as tracing_module
from lexilog.service.measured import Measured
from lexilog.service.metrics import Metrics
from lexilog.service.settings import TracesSettings
from lexilog.service.tracing import set_up_tracing, span

pytest.importorskip("opentelemetry.sdk.trace", reason="needs the extra traces")

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
SAMPLED = {"traceparent": f"00-{TRACE}-{PARENT}-01"}
NOT_SAMPLED = {"traceparent": f"00-{TRACE}-{PARENT}-00"}
NOWHERE = "http://127.0.0.1:1"


@pytest.fixture(autouse=True)
def nothing_goes_on() -> Iterator[None]:
    """Wait for the threads that a test leaves behind: an exporter that tries again draws random numbers, which tests
    that are made up at random must not see."""
    yield
    for thread in threading.enumerate():
        if thread.name in ("lexilog-traces-end", "OtelBatchSpanRecordProcessor"):
            thread.join(60)
            assert not thread.is_alive()


class Traced:
    """Traces into memory, until they are asked for."""

    def __init__(self, ratio: float) -> None:
        self._exporter = InMemorySpanExporter()
        self.shut_down = set_up_tracing(TracesSettings(endpoint=NOWHERE, ratio=ratio), self._exporter)

    def spans(self) -> dict[str, ReadableSpan]:
        """Return what was told, by name; nothing is told any more."""
        self.shut_down()
        found = self._exporter.get_finished_spans()
        assert len({one.name for one in found}) == len(found)
        return {one.name: one for one in found}


@pytest.fixture
def traced() -> Iterator[Traced]:
    one = Traced(1.0)
    yield one
    one.shut_down()


def test_without_settings_a_span_is_nothing() -> None:
    """It can be opened anywhere, in another of its kind too, and an error goes through it as it is."""
    with pytest.raises(KeyError), span("a", {}), span("b", records=1):
        raise KeyError
    assert span("a") is span("b", SAMPLED, records=1)


def test_opentelemetry_is_not_loaded_before_it_is_wanted() -> None:
    """Without the extra everything but traces works: nothing of the SDK is needed to load the server."""
    code = (
        "import lexilog.service.tracing, lexilog.service.measured, sys; print([n for n in sys.modules if 'telem' in n])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert not [
        name for name in done.stdout.split("'") if name.startswith(("opentelemetry.sdk", "opentelemetry.trace"))
    ]


def test_without_the_extra_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever asks for traces and does not have them hears how to."""
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
    with pytest.raises(SettingsError, match=r"^traces: .*pip install 'lexilog\[traces\]'$"):
        set_up_tracing(TracesSettings(endpoint=NOWHERE))
    assert span("a") is span("b")


def test_spans_are_in_each_other(traced: Traced) -> None:
    """A request's span holds those of its parts, and says what they are about."""
    with span("lexilog.door.otlp", {}, records=2):
        with span("lexilog.enrich", records=2):
            pass
        with span("lexilog.relay.siem"):
            pass
    spans = traced.spans()
    door = spans["lexilog.door.otlp"]
    assert door.parent is None
    assert door.attributes == {"records": 2}
    for name in ("lexilog.enrich", "lexilog.relay.siem"):
        parent = spans[name].parent
        assert parent is not None
        assert parent.span_id == door.context.span_id
    assert door.resource.attributes["service.name"] == "lexilog"


def test_a_span_is_a_child_of_the_senders() -> None:
    """traceparent names the parent, and its sender decides, whatever the ratio is."""
    traced = Traced(0.0)
    with span("sampled", SAMPLED):
        pass
    with span("not sampled", NOT_SAMPLED):
        pass
    spans = traced.spans()
    assert spans.keys() == {"sampled"}
    assert f"{spans['sampled'].context.trace_id:032x}" == TRACE
    parent = spans["sampled"].parent
    assert parent is not None
    assert f"{parent.span_id:016x}" == PARENT


def test_the_ratio_counts_where_nobody_has_decided() -> None:
    """Without traceparent, or with one that is none, a ratio of zero traces nothing."""
    traced = Traced(0.0)
    for headers in (None, {}, {"traceparent": "nonsense"}, {"traceparent": "00-0-0-01", "tracestate": "=" * 9_999}):
        with span("none", headers):
            pass
    assert traced.spans() == {}


def test_a_request_is_no_part_of_another(traced: Traced) -> None:
    """With headers that name no parent a span begins a trace of its own, wherever it is opened."""
    with span("outer"), span("inner", {}):
        pass
    spans = traced.spans()
    assert spans["inner"].parent is None
    assert spans["inner"].context.trace_id != spans["outer"].context.trace_id


def test_relays_have_spans(traced: Traced) -> None:
    """Each relay's part of a request is a span, and says when it fails; what nobody waits for is a trace of its own."""

    class Failing(MemoryRelay):
        async def deliver(self, batch: Sequence[Enriched]) -> Delivery:
            raise RelayError("away")

    relays = {"good": MemoryRelay(), "bad": Failing(), "extra": MemoryRelay()}
    measured = {name: Measured(name, relay, Metrics()) for name, relay in relays.items()}

    async def run() -> None:
        with span("door", {}):
            for names in (("good", "extra"), ("bad",)):
                router = Router({name: measured[name] for name in names}, optional=[n for n in names if n == "extra"])
                try:
                    await router.deliver([])
                    await router.deliver([_record()])
                except RelayError:
                    assert names == ("bad",)
                await router.close()

    asyncio.run(run())
    spans = traced.spans()
    trace = spans["door"].context.trace_id
    assert spans["lexilog.relay.good"].context.trace_id == trace
    assert spans["lexilog.relay.extra"].context.trace_id != trace
    assert spans["lexilog.relay.bad"].context.trace_id == trace
    assert not spans["lexilog.relay.bad"].status.is_ok
    assert spans["lexilog.relay.good"].attributes == {"records": 1}


def _record() -> Enriched:
    return Pipeline([]).process(Record(line="x"))


class Receiver(TraceServiceServicer):
    """A double of an OTLP receiver of traces, over gRPC: it takes everything, and keeps the requests in memory."""

    def __init__(self) -> None:
        self.requests: list[ExportTraceServiceRequest] = []

    def Export(self, request: ExportTraceServiceRequest, context: Any) -> ExportTraceServiceResponse:  # noqa: N802
        self.requests.append(request)
        return ExportTraceServiceResponse()


def test_spans_reach_an_otlp_receiver() -> None:
    """What has ended before the end of the process is sent to the endpoint, under the name of the service."""
    receiver, server = Receiver(), grpc.server(ThreadPoolExecutor(1))
    add_TraceServiceServicer_to_server(receiver, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    shut_down = set_up_tracing(TracesSettings(endpoint=f"http://127.0.0.1:{port}", ratio=1.0))
    with span("lexilog.door.otlp", SAMPLED, records=2):
        pass
    shut_down()
    server.stop(None).wait(10)
    (request,) = receiver.requests
    (resource,) = request.resource_spans
    assert {one.key: one.value.string_value for one in resource.resource.attributes}["service.name"] == "lexilog"
    (found,) = resource.scope_spans[0].spans
    assert (found.name, found.trace_id.hex(), found.parent_span_id.hex()) == ("lexilog.door.otlp", TRACE, PARENT)


class Stuck(SpanExporter):
    """A double of an exporter whose receiver does not answer: it takes one batch, and never comes back."""

    def __init__(self) -> None:
        self.go = threading.Event()

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self.go.wait(20)
        return SpanExportResult.FAILURE

    def shutdown(self) -> None:
        self.go.set()


def test_a_receiver_that_hangs_holds_up_nothing(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """More spans than are kept are dropped, the log says so, and the end does not wait for them."""
    monkeypatch.setattr(tracing_module, "_PATIENCE", 0.05)
    exporter = Stuck()
    shut_down = set_up_tracing(TracesSettings(endpoint=NOWHERE, ratio=1.0), exporter)
    with caplog.at_level(logging.WARNING):
        for _ in range(5_000):
            with span("a"):
                pass
    shut_down()
    assert not exporter.go.is_set()
    exporter.go.set()
    assert "Queue full" in caplog.text
    assert span("a") is span("b")


def test_a_receiver_that_is_away_hurts_nobody(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever the exporter of the extra does without a receiver, records and the end of the process go on."""
    monkeypatch.setattr(tracing_module, "_PATIENCE", 0.05)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    shut_down = set_up_tracing(TracesSettings(endpoint=f"http://127.0.0.1:{port}", ratio=1.0))
    with span("a", records=1):
        pass
    shut_down()
    assert span("a") is span("b")


def test_an_exporter_that_fails_hurts_nobody(caplog: pytest.LogCaptureFixture) -> None:
    """A defect in it is logged, and is nobody else's."""

    class Broken(InMemorySpanExporter):
        def export(self, spans: Any) -> SpanExportResult:
            raise KeyError("a defect")

    shut_down = set_up_tracing(TracesSettings(endpoint=NOWHERE, ratio=1.0), Broken())
    with span("a"):
        pass
    shut_down()
    assert "a defect" in caplog.text
