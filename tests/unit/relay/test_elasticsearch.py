"""The way out to Elasticsearch: what a real node cannot be made to answer at will."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import itertools
import json
import logging
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import pytest
from aiohttp import web

from lexilog import Enriched, Pipeline, Record, RelayError, SettingsError
from lexilog.relay import elasticsearch as relay_module
from lexilog.relay._bulk import Result
from lexilog.relay.base import Delivery
from lexilog.relay.elasticsearch import ElasticsearchRelay, _finish
from lexilog.relay.settings import ElasticsearchSettings
from processes import free_port

T = TypeVar("T")
KNOWN = "Aug  3 10:18:44  srx1 kmd[14162]: KMD_VPN_UP_ALARM_USER: VPN to-branch from 192.0.2.7 is up."
PRODUCT = {"X-Elastic-Product": "Elasticsearch"}
SECRET = "c2VjcmV0LW9mLXRoZS1kb3VibGU="


class Document(NamedTuple):
    """What a request asks to create."""

    action: dict[str, Any]
    source: dict[str, Any]

    @property
    def id(self) -> str:
        name: str = self.action["_id"]
        return name


Handler = Callable[[web.Request, list[Document]], Awaitable[web.StreamResponse]]


class ClusterDouble:
    """A double of a cluster's bulk endpoint, on a port of its own, as an async context manager.

    It reads requests strictly, remembers ids for each stream, and answers 201 to new ones and 409 to those that it has,
    with the header by which clients know Elasticsearch. It has no templates, mappings, users or TLS: each handler of
    the script answers one request in place of it, in order.
    """

    def __init__(self, *script: Handler) -> None:
        self.script = list(script)
        self.requests: list[list[Document]] = []
        self.headers: list[Any] = []
        self.sizes: list[int] = []
        self.taken: list[Document] = []

    async def __aenter__(self) -> ClusterDouble:
        app = web.Application(client_max_size=1 << 30)
        app.router.add_post("/_bulk", self._bulk)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()

    async def _bulk(self, request: web.Request) -> web.StreamResponse:
        assert request.query["require_data_stream"] == "true"
        assert request.content_type == "application/vnd.elasticsearch+x-ndjson"
        body = await request.read()
        assert body.endswith(b"\n")
        lines = [json.loads(line) for line in body.split(b"\n")[:-1]]
        documents = []
        for action, source in zip(lines[::2], lines[1::2], strict=True):
            assert list(action) == ["create"]
            documents.append(Document(action["create"], source))
        self.requests.append(documents)
        self.headers.append(request.headers)
        self.sizes.append(len(body))
        if self.script:
            return await self.script.pop(0)(request, documents)
        return self.answer([self.create(document) for document in documents])

    def create(self, document: Document) -> dict[str, Any]:
        """Take a document, if it is new."""
        if any(document.action == other.action and "_id" in document.action for other in self.taken):
            return failure(409, "version_conflict_engine_exception", "document already exists")
        self.taken.append(document)
        return {"status": 201}

    @staticmethod
    def answer(results: list[dict[str, Any]]) -> web.Response:
        return web.json_response({"items": [{"create": result} for result in results]}, headers=PRODUCT)

    def items(self, *results: dict[str, Any] | None) -> Handler:
        """Return a handler that answers documents with these results; None stands for what it does otherwise."""

        async def handle(request: web.Request, documents: list[Document]) -> web.StreamResponse:
            pairs = zip(documents, results, strict=True)
            return self.answer([result or self.create(document) for document, result in pairs])

        return handle


def failure(status: int, kind: str, reason: str | None = None, **more: Any) -> dict[str, Any]:
    return {"status": status, "error": {"type": kind, "reason": reason, **more}}


BUSY = failure(429, "es_rejected_execution_exception", "rejected execution of primary operation")
AWAY = failure(503, "unavailable_shards_exception", "primary shard is not active")
CONFLICT = failure(400, "document_parsing_exception", "failed to parse field [port]")


def whole(status: int, body: Any = None, **options: Any) -> Handler:
    """Return a handler that fails a whole request."""

    async def handle(request: web.Request, documents: list[Document]) -> web.StreamResponse:
        if isinstance(body, str):
            return web.Response(status=status, text=body, **options)
        return web.json_response(body, status=status, **options)

    return handle


def error(kind: str, reason: str) -> dict[str, Any]:
    told = {"type": kind, "reason": reason}
    return {"error": {"root_cause": [told], **told}}


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relay_module, "_FIRST_PAUSE", 0.001)


@pytest.fixture
def batch(pipeline: Pipeline) -> list[Enriched]:
    return [pipeline.process(Record(line=f"line {number}", id=f"abc-{number}")) for number in range(4)]


def run(work: Callable[[], Awaitable[T]]) -> T:
    async def bounded() -> T:
        async with asyncio.timeout(30):
            return await work()

    return asyncio.run(bounded())


def deliver(cluster: ClusterDouble, *batches: Sequence[Enriched], **settings: Any) -> list[Delivery]:
    """Deliver batches one after the other."""

    async def work() -> list[Delivery]:
        async with cluster:
            relay = ElasticsearchRelay("es", ElasticsearchSettings(urls=(cluster.url,), **settings))
            await relay.open()
            try:
                return [await relay.deliver(batch) for batch in batches]
            finally:
                await relay.close()

    return run(work)


def ids(documents: list[Document]) -> list[str]:
    return [document.id.removeprefix("abc-") for document in documents]


def test_a_batch_is_one_request_in_order(pipeline: Pipeline, batch: list[Enriched]) -> None:
    """Each document is created under its event.id, in the stream that it names itself."""
    cluster = ClusterDouble()
    known = pipeline.process(Record(line=KNOWN, id="abc-9"))
    assert deliver(cluster, [*batch, known]) == [Delivery()]
    assert len(cluster.requests) == 1
    assert ids(cluster.taken) == ["0", "1", "2", "3", "9"]
    streams = ["logs-lexilog.unknown-default"] * 4 + ["logs-lexilog.juniper_kmd-default"]
    assert [one.action["_index"] for one in cluster.taken] == streams
    for one in cluster.taken:
        assert "-".join(one.source["data_stream"][part] for part in ("type", "dataset", "namespace")) in streams
        assert one.source["event"]["id"] == one.id


def test_nothing_to_deliver_asks_nobody() -> None:
    """An empty batch is taken without a request."""
    cluster = ClusterDouble()
    assert deliver(cluster, []) == [Delivery()]
    assert cluster.requests == []


def test_a_record_without_an_id_gets_one_from_the_cluster(pipeline: Pipeline) -> None:
    """Where a door gives no ids the cluster makes them."""
    cluster = ClusterDouble()
    deliver(cluster, [pipeline.process(Record(line="a line"))])
    assert cluster.taken[0].action == {"_index": "logs-lexilog.unknown-default"}


def test_an_agents_names_are_honoured_where_they_can_be(pipeline: Pipeline) -> None:
    """Nested and dotted names count, part by part, for logs alone; what the agent had beside them stays."""
    nested = {"data_stream": {"dataset": "a.b", "more": 1}, "data_stream.namespace": "c"}
    odd = {"data_stream": {"type": "Logs", "dataset": None, "namespace": "__"}}
    metrics = {"data_stream": {"type": "metrics", "dataset": "a"}}
    flat = {"data_stream.type": "traces", "data_stream.namespace": "c"}
    cluster = ClusterDouble()
    deliver(cluster, [pipeline.process(Record(line="a line", fields=one)) for one in (nested, odd, metrics, flat)])
    streams = ["logs-a.b-c", "logs-lexilog.unknown-default", "logs-a-default", "logs-lexilog.unknown-c"]
    assert [one.action["_index"] for one in cluster.taken] == streams
    assert {one.source["data_stream"]["type"] for one in cluster.taken} == {"logs"}
    wanted = {"dataset": "a.b", "more": 1, "type": "logs", "namespace": "c"}
    assert cluster.taken[0].source["data_stream"] == wanted
    assert "data_stream.namespace" not in cluster.taken[0].source


@pytest.mark.parametrize(
    ("stated", "name"),
    [
        ("Prod", "prod"),
        ("a/b-c d", "a_b_c_d"),
        ("_.-+x", "x"),
        ("é🎉\ud83cb", "b"),
        ("é🎉", "default"),
        ("a" * 99 + "🎉b", "a" * 99 + "_"),
        ("..", "default"),
        (5, "default"),
    ],
)
def test_a_name_keeps_what_every_cluster_can_hold(pipeline: Pipeline, stated: object, name: str) -> None:
    """What an index cannot be called is written with an underscore, and where no name is left it is the default."""
    assert _finish({"data_stream": {"namespace": stated}}) == f"logs-lexilog.unknown-{name}"


def test_the_relay_sends_what_fits(pipeline: Pipeline) -> None:
    """A record of an agent with fields of another form leaves as a document that the cluster takes."""
    cluster = ClusterDouble()
    deliver(
        cluster, [pipeline.process(Record(line="a line", fields={"host": "web1", "log": "a line"}, line_key="log"))]
    )
    [document] = [one.source for one in cluster.taken]
    assert document["labels"] == {"host": "web1"}
    assert "log" not in document
    assert "host" not in document


def test_fields_that_cannot_be_written_do_not_cost_the_record(pipeline: Pipeline) -> None:
    """A record whose agent nested maps too deep arrives without them, in the stream for unknown ones."""
    deep: dict[str, Any] = {}
    for _ in range(3_000):
        deep = {"a": deep}
    cluster = ClusterDouble()
    assert deliver(cluster, [pipeline.process(Record(line="a line", fields={"deep": deep}, id="abc-0"))]) == [
        Delivery()
    ]
    [one] = cluster.taken
    assert one.source["message"] == "a line"
    assert one.source["error"]["message"].startswith("the agent's fields cannot be written: RecursionError")
    assert one.action == {"_index": "logs-lexilog.unknown-default", "_id": "abc-0"}


def test_a_repeat_counts_as_taken(batch: list[Enriched]) -> None:
    """To a document that it has the cluster answers 409, which is no failure."""
    cluster = ClusterDouble()
    assert deliver(cluster, batch[:2], batch) == [Delivery(), Delivery()]
    assert ids(cluster.taken) == ["0", "1", "2", "3"]


def test_only_what_was_not_taken_is_sent_again(batch: list[Enriched]) -> None:
    """After a mixed answer the busy documents alone go again, in order; a refused one stays refused, once."""
    cluster = ClusterDouble()
    cluster.script = [cluster.items(BUSY, CONFLICT, None, AWAY), cluster.items(AWAY, None)]
    [delivery] = deliver(cluster, batch)
    assert [ids(request) for request in cluster.requests] == [["0", "1", "2", "3"], ["0", "3"], ["0"]]
    assert ids(cluster.taken) == ["2", "3", "0"]
    assert [refusal.record for refusal in delivery.refused] == [batch[1]]
    assert delivery.refused[0].reason == "document_parsing_exception: failed to parse field [port]"


def test_attempts_come_to_an_end(batch: list[Enriched], monkeypatch: pytest.MonkeyPatch) -> None:
    """A cluster that stays busy is asked as often as the settings say, with pauses; then the sender hears so."""
    pauses: list[int] = []

    def note(attempt: int) -> float:
        pauses.append(attempt)
        return 0.0

    monkeypatch.setattr(relay_module, "_pause", note)
    cluster = ClusterDouble()
    cluster.script = [cluster.items(None, BUSY, BUSY, None), *[cluster.items(BUSY, BUSY)] * 5]
    with pytest.raises(
        RelayError, match=r"2 documents not taken in 3 attempts: 429 es_rejected_execution_exception: rej"
    ):
        deliver(cluster, batch, attempts=3)
    assert [ids(request) for request in cluster.requests] == [["0", "1", "2", "3"], ["1", "2"], ["1", "2"]]
    assert pauses == [1, 2]


def test_pauses_grow_up_to_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each pause is drawn from the upper half of a span that doubles, and none is longer than ten seconds."""
    monkeypatch.setattr(relay_module, "_FIRST_PAUSE", 0.5)
    spans = [0.5, 1.0, 2.0, 4.0, 8.0, 10.0, 10.0]
    for attempt, span in enumerate(spans, start=1):
        drawn = {relay_module._pause(attempt) for _ in range(50)}
        assert len(drawn) > 1
        assert all(span / 2 <= pause <= span for pause in drawn)
    assert relay_module._pause(100) <= 10.0


def test_a_reason_names_its_cause(batch: list[Enriched]) -> None:
    """The whole chain of causes is told, without repetitions."""
    innermost = {"type": "date_time_parse_exception", "reason": "no date at all"}
    cause = {"type": "illegal_argument_exception", "reason": "failed to parse field", "caused_by": innermost}
    cluster = ClusterDouble()
    result = failure(400, "document_parsing_exception", "failed to parse field", caused_by=cause)
    cluster.script = [cluster.items(result, None, failure(400, "odd_exception"), {"status": 400})]
    [delivery] = deliver(cluster, batch)
    assert [refusal.reason for refusal in delivery.refused] == [
        "document_parsing_exception: failed to parse field: no date at all",
        "odd_exception",
        "no reason given",
    ]


@pytest.mark.parametrize(
    ("result", "message"),
    [
        (failure(401, "security_exception", "missing token"), "401 security_exception: missing token; check the cred"),
        (
            failure(403, "security_exception", "not granted"),
            "403 security_exception: not granted; check the credentials",
        ),
        (failure(404, "odd_exception", "nowhere"), "404 odd_exception: nowhere$"),
        (failure(404, "index_not_found_exception", "no such index"), "install the index template"),
        (failure(400, "index_closed_exception", "closed"), "400 index_closed_exception: closed; open the index"),
    ],
)
def test_what_the_operator_mends_is_no_dead_letter(batch: list[Enriched], result: dict[str, Any], message: str) -> None:
    """One document that lacks a privilege, a template or an open index keeps the batch with the sender, at once."""
    cluster = ClusterDouble()
    cluster.script = [cluster.items(None, CONFLICT, result, None)]
    with pytest.raises(RelayError, match=rf"^relay es: 127\.0\.0\.1:\d+: .*{message}"):
        deliver(cluster, batch)
    assert len(cluster.requests) == 1


def absent(stream: str) -> dict[str, Any]:
    return failure(404, "index_not_found_exception", f"no such index [{stream}] and no matching index template")


def denied(stream: str) -> dict[str, Any]:
    return failure(403, "security_exception", f"unauthorized for user [writer] on indices [{stream}], ask for it")


@pytest.mark.parametrize("result", [absent("logs-gone-default"), denied("logs-gone-default")], ids=["absent", "denied"])
def test_an_agent_cannot_hold_a_batch_up_with_its_choice_of_stream(
    pipeline: Pipeline, batch: list[Enriched], result: dict[str, Any]
) -> None:
    """A stream that an agent has chosen, and that is not there or not for us, costs its own record alone."""
    fields = {"data_stream": {"dataset": "gone"}}
    batch[1] = pipeline.process(Record(line="a line", fields=fields, id="abc-1"))
    cluster = ClusterDouble()
    cluster.script = [cluster.items(None, result, None, None)]
    [delivery] = deliver(cluster, batch)
    assert [refusal.record for refusal in delivery.refused] == [batch[1]]
    assert delivery.refused[0].reason.startswith(f"{result['error']['type']}: ")
    assert delivery.refused[0].reason.endswith("; the agent chose this data stream")
    assert ids(cluster.taken) == ["0", "2", "3"]


@pytest.mark.parametrize(
    ("fields", "result"),
    [
        ({"data_stream": {"dataset": "gone"}}, absent("logs-rerouted-default")),
        ({"data_stream": {"dataset": "gone"}}, failure(403, "cluster_block_exception", "[logs-gone-default] blocked")),
        ({"data_stream": {"dataset": "gone"}}, failure(401, "security_exception", "on indices [logs-gone-default]")),
        ({"data_stream": {"dataset": "lexilog.unknown"}}, absent("logs-lexilog.unknown-default")),
        ({"data_stream": {"dataset": "No Name"}}, absent("logs-lexilog.unknown-default")),
        ({}, denied("logs-lexilog.unknown-default")),
    ],
    ids=["pipeline", "blocked", "login", "same", "replaced", "ours"],
)
def test_our_own_streams_are_the_operators_to_mend(
    pipeline: Pipeline, fields: dict[str, Any], result: dict[str, Any]
) -> None:
    """Where the stream is ours after all, or something else is wrong, the sender keeps the record."""
    cluster = ClusterDouble()
    cluster.script = [cluster.items(result)]
    with pytest.raises(RelayError, match=rf"{result['status']} {result['error']['type']}: "):
        deliver(cluster, [pipeline.process(Record(line="a line", fields=fields, id="abc-0"))])
    assert cluster.taken == []


def test_a_document_that_a_pipeline_fails_is_refused(batch: list[Enriched]) -> None:
    """An ingest pipeline that says no on purpose answers 500: it is asked once, and the others arrive."""
    cluster = ClusterDouble()
    cluster.script = [cluster.items(None, None, failure(500, "fail_processor_exception", "not these"), None)]
    [delivery] = deliver(cluster, batch)
    assert [(refusal.record, refusal.reason) for refusal in delivery.refused] == [
        (batch[2], "fail_processor_exception: not these")
    ]
    assert len(cluster.requests) == 1


NO_ROOM = (
    "rejected execution of {0} operation [coordinating_and_primary_bytes=0, replica_bytes=0, all_bytes=0, "
    "{0}_operation_bytes=80008016, max_{0}_bytes=51897958]"
)


@pytest.mark.parametrize("kind", ["primary", "coordinating"])
def test_what_a_node_has_no_room_for_costs_no_other(batch: list[Enriched], kind: str) -> None:
    """Whether items or the whole request hear so: halves go until the record stands alone, and none waits."""
    rejected = ("es_rejected_execution_exception", NO_ROOM.format(kind))
    cluster = ClusterDouble()

    async def judge(request: web.Request, documents: list[Document]) -> web.StreamResponse:
        if all(document.id != "abc-2" for document in documents):
            return cluster.answer([cluster.create(document) for document in documents])
        if kind == "coordinating":
            return await whole(429, error(*rejected))(request, documents)
        return cluster.answer([failure(429, *rejected)] * len(documents))

    cluster.script = [judge] * 20
    [delivery] = deliver(cluster, batch, attempts=1)
    assert [refusal.record for refusal in delivery.refused] == [batch[2]]
    assert "rejected execution of " in delivery.refused[0].reason
    assert ids(cluster.taken) == ["0", "1", "3"]


def test_the_client_keeps_its_own_log_to_itself(batch: list[Enriched], caplog: pytest.LogCaptureFixture) -> None:
    """Neither a request nor a node that fails makes a line: the relay's error says it all."""
    caplog.set_level("INFO")
    cluster = ClusterDouble(whole(503, {}))
    with pytest.raises(RelayError):
        deliver(cluster, batch)
    assert deliver(ClusterDouble(), batch) == [Delivery()]
    assert [record.name for record in caplog.records if record.name.startswith("elastic")] == []


def test_a_level_that_was_set_for_the_clients_log_stays(
    batch: list[Enriched], caplog: pytest.LogCaptureFixture
) -> None:
    """Who wants to see its requests can."""
    caplog.set_level("INFO", "elastic_transport")
    deliver(ClusterDouble(), batch)
    assert logging.getLogger("elastic_transport").level == logging.INFO
    assert "elastic_transport.transport" in {record.name for record in caplog.records}


def test_tls_to_a_port_without_it_says_so(batch: list[Enriched]) -> None:
    """An https URL for a cluster that speaks plain HTTP is a hint, and no record's fault."""

    async def work() -> None:
        async with ClusterDouble() as cluster:
            url = cluster.url.replace("http:", "https:")
            relay = ElasticsearchRelay("es", ElasticsearchSettings(urls=(url,)))
            await relay.open()
            with pytest.raises(RelayError, match=r"^relay es: .*: Cannot connect to host 127.*; no TLS there\?$"):
                await relay.deliver(batch)
            await relay.close()

    run(work)


@pytest.mark.parametrize(
    ("handler", "message"),
    [
        (whole(401, error("security_exception", "who?")), "HTTP 401: security_exception: who.; check the credentials"),
        (whole(403, error("cluster_block_exception", "read-only")), "HTTP 403: .*: read-only; lift the block"),
        (whole(404, "not here"), "HTTP 404: not here"),
        (whole(406, "no such type"), "HTTP 406: no such type"),
        (
            # As OpenSearch 3.6 answers.
            whole(406, {"error": "Content-Type header [x; compatible-with=9] is not supported", "status": 406}),
            "HTTP 406: .* this is OpenSearch, or an Elasticsearch before 8: lexilog writes to Elasticsearch 8 and 9",
        ),
        (whole(429, error("circuit_breaking_exception", "too much")), "HTTP 429: circuit_breaking_exception: too much"),
        (whole(500, ""), "HTTP 500: no reason given"),
        (whole(502, "<html>bad gateway</html>", content_type="text/html"), "HTTP 502: <html>bad gateway"),
        (whole(503, {"message": "later"}), "HTTP 503: .*later"),
        (whole(400, "<html>plain HTTP to an HTTPS port", content_type="text/html"), "HTTP 400: <html>plain HTTP"),
        (whole(400, {"error": {"code": 400, "message": "a gateway's"}}), "HTTP 400: .*a gateway's"),
        (
            whole(400, error("media_type_header_exception", "Invalid")),
            "HTTP 400: .*; the cluster must be Elasticsearch 9",
        ),
        (
            whole(400, error("illegal_argument_exception", "request [/_bulk] contains unrecognized parameter: [x]")),
            "Elasticsearch 9 or",
        ),
        (whole(200, {"items": []}), "the server is not Elasticsearch"),
        (whole(200, {"items": []}, headers=PRODUCT), "the answer is about 0 documents, the request had 4"),
        (whole(200, {"took": 1}, headers=PRODUCT), "the answer is not one to a bulk request: .*items"),
        (
            whole(200, {"items": [{"create": {"status": "201"}}]}, headers=PRODUCT),
            "not one to a bulk request: .*status",
        ),
        (whole(200, {"items": [{"index": {"status": 201}}]}, headers=PRODUCT), "not one to a bulk request: .*create"),
        (whole(200, "done", headers=PRODUCT), "the answer is not one to a bulk request"),
        (
            whole(200, "{}}", headers=PRODUCT, content_type="application/json"),
            "not answer like Elasticsearch; check urls: .*JSON",
        ),
        (whole(200, "[" * 100_000, headers=PRODUCT, content_type="application/json"), "RecursionError|check urls"),
        (whole(200, "<x/>", headers=PRODUCT, content_type="application/xml"), "like Elasticsearch; check urls: .*/xml"),
    ],
)
def test_a_request_that_fails_keeps_the_batch_with_the_sender(
    batch: list[Enriched], handler: Handler, message: str
) -> None:
    """Whatever is wrong with server, way or answer is no record's fault, and is told after one request."""
    cluster = ClusterDouble(handler)
    with pytest.raises(RelayError, match=rf"^relay es: 127\.0\.0\.1:\d+: .*({message})") as caught:
        deliver(cluster, batch)
    assert len(cluster.requests) == 1
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("7", 7.0), ("999999999", 3_600.0), ("0", 0.0), ("soon", 1.0), ("-1", 1.0), ("\u0663", 1.0), (None, 1.0)],
)
def test_the_server_says_when_to_come_again(batch: list[Enriched], header: str | None, seconds: float) -> None:
    """Retry-After reaches the sender, within bounds."""
    cluster = ClusterDouble(whole(429, {}, headers={} if header is None else {"Retry-After": header}))
    with pytest.raises(RelayError) as caught:
        deliver(cluster, batch)
    assert caught.value.retry_after == seconds


@pytest.mark.parametrize("status", [400, 413])
def test_a_record_that_spoils_its_request_costs_no_other(batch: list[Enriched], status: int) -> None:
    """The request is halved until the record stands alone; the others arrive, each once."""
    cluster = ClusterDouble()
    body = error("action_request_validation_exception", "id is too long") if status == 400 else ""

    async def judge(request: web.Request, documents: list[Document]) -> web.StreamResponse:
        if any(document.id == "abc-2" for document in documents):
            return await whole(status, body)(request, documents)
        return cluster.answer([cluster.create(document) for document in documents])

    cluster.script = [judge] * 20
    [delivery] = deliver(cluster, batch)
    assert [refusal.record for refusal in delivery.refused] == [batch[2]]
    assert delivery.refused[0].reason.startswith(f"HTTP {status}: ")
    assert ids(cluster.taken) == ["0", "1", "3"]


def test_requests_are_split_by_size(pipeline: Pipeline) -> None:
    """No request is larger than the settings allow, but for a document that is so by itself, and order is kept."""
    sizes = [3_000, 500, 100, 3_000, 10, 10, 10, 10, 10, 10]
    batch = [pipeline.process(Record(line="x" * size, id=f"abc-{number}")) for number, size in enumerate(sizes)]
    cluster = ClusterDouble()
    deliver(cluster, batch, max_bytes=1_500)
    assert ids(cluster.taken) == [str(number) for number in range(10)]
    assert all(cluster.requests), "a request without documents"
    assert {"0", "3"} <= {ids(request)[0] for request in cluster.requests if len(request) == 1}
    for request, size in zip(cluster.requests, cluster.sizes, strict=True):
        assert size <= 1_500 or ids(request) in (["0"], ["3"])
    for first, second in itertools.pairwise(cluster.sizes):
        assert first + second > 1_500, "two requests would have been one"


def test_an_answer_that_breaks_off_keeps_the_batch_with_the_sender(batch: list[Enriched]) -> None:
    """A connection that is cut in mid-answer says nothing of what was taken; the repeat finds out."""
    cluster = ClusterDouble()

    async def cut(request: web.Request, documents: list[Document]) -> web.StreamResponse:
        for document in documents[:2]:
            cluster.create(document)
        response = web.StreamResponse(headers={**PRODUCT, "Content-Type": "application/json", "Content-Length": "900"})
        await response.prepare(request)
        await response.write(b'{"items":[{"create":{"status":201}},')
        assert request.transport is not None
        request.transport.abort()
        return response

    cluster.script = [cut]

    async def work() -> None:
        async with cluster:
            relay = ElasticsearchRelay("es", ElasticsearchSettings(urls=(cluster.url,)))
            await relay.open()
            with pytest.raises(RelayError, match=r"^relay es: 127\.0\.0\.1:\d+: ConnectionError: "):
                await relay.deliver(batch)
            assert await relay.deliver(batch) == Delivery()
            await relay.close()

    run(work)
    assert ids(cluster.taken) == ["0", "1", "2", "3"]


def test_a_cluster_that_does_not_answer_is_not_waited_for_forever(batch: list[Enriched]) -> None:
    """After the time of the settings the sender hears so; the relay works on."""
    go = asyncio.Event()

    async def stall(request: web.Request, documents: list[Document]) -> web.StreamResponse:
        await go.wait()
        return web.Response()

    cluster = ClusterDouble(stall)

    async def work() -> None:
        async with cluster:
            relay = ElasticsearchRelay("es", ElasticsearchSettings(urls=(cluster.url,), timeout=0.2))
            await relay.open()
            # The client's own limit would be 10 s.
            async with asyncio.timeout(8):
                with pytest.raises(RelayError, match=r"no answer within 0\.2 s$"):
                    await relay.deliver(batch)
            assert await relay.deliver(batch) == Delivery()
            go.set()
            await relay.close()

    run(work)


def test_a_call_that_is_called_off_ends(batch: list[Enriched]) -> None:
    """Cancellation passes through as it is, and the relay can be used and closed after it."""
    begun = asyncio.Event()

    async def stall(request: web.Request, documents: list[Document]) -> web.StreamResponse:
        begun.set()
        await asyncio.sleep(0.2)
        return web.Response()

    cluster = ClusterDouble(stall)

    async def work() -> None:
        async with cluster:
            relay = ElasticsearchRelay("es", ElasticsearchSettings(urls=(cluster.url,)))
            await relay.open()
            task = asyncio.create_task(relay.deliver(batch))
            await begun.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert await relay.deliver(batch) == Delivery()
            await relay.close()

    run(work)


def test_deliveries_run_side_by_side(pipeline: Pipeline) -> None:
    """Several batches under way at once do not mix: each hears of its own records."""
    cluster = ClusterDouble()
    batches = [
        [pipeline.process(Record(line="a line", id=f"abc-{one}-{number}")) for number in range(3)] for one in range(6)
    ]

    async def judge(request: web.Request, documents: list[Document]) -> web.StreamResponse:
        await asyncio.sleep(0.01)
        bad = documents[1]
        return cluster.answer([CONFLICT if one is bad else cluster.create(one) for one in documents])

    cluster.script = [judge] * 6

    async def work() -> list[Delivery]:
        async with cluster:
            relay = ElasticsearchRelay("es", ElasticsearchSettings(urls=(cluster.url,)))
            await relay.open()
            deliveries = await asyncio.gather(*(relay.deliver(batch) for batch in batches))
            await relay.close()
            return deliveries

    deliveries = run(work)
    assert [[refusal.record for refusal in one.refused] for one in deliveries] == [[batch[1]] for batch in batches]


def test_a_cluster_that_is_away_is_tried_again(batch: list[Enriched]) -> None:
    """A refused connection is a RelayError, and of several nodes the others are used."""

    async def work() -> None:
        async with ClusterDouble() as cluster:
            alone = ElasticsearchRelay("es", ElasticsearchSettings(urls=(f"http://127.0.0.1:{free_port()}",)))
            urls = (f"http://127.0.0.1:{free_port()}", cluster.url)
            two = ElasticsearchRelay("es", ElasticsearchSettings(urls=urls))
            await alone.open()
            await two.open()
            for _ in range(2):
                with pytest.raises(RelayError, match=r"^relay es: 127\.0\.0\.1:\d+: ConnectionError: Cannot connect"):
                    await alone.deliver(batch)
            taken: list[Delivery] = []
            for _ in range(20):
                with contextlib.suppress(RelayError):
                    taken.append(await two.deliver(batch))
            assert len(taken) >= 2
            assert ids(cluster.taken) == ["0", "1", "2", "3"]
            await alone.close()
            await two.close()

    run(work)


@pytest.mark.parametrize(
    ("settings", "header"),
    [
        ({"api_key": SECRET}, f"ApiKey {SECRET}"),
        (
            {"username": "writer", "password": "secret-of-the-double"},
            "Basic " + base64.b64encode(b"writer:secret-of-the-double").decode(),
        ),
        ({}, None),
    ],
    ids=["key", "user", "none"],
)
def test_credentials_go_to_the_server_and_nowhere_else(
    batch: list[Enriched], settings: dict[str, str], header: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    """They are sent with each request, and a server that repeats them does not bring them into messages or logs."""

    async def echo(request: web.Request, documents: list[Document]) -> web.StreamResponse:
        told = f"no: {request.headers.get('Authorization')} {settings.get('password')}"
        return await whole(401, error("security_exception", told))(request, documents)

    cluster = ClusterDouble(echo)
    caplog.set_level("DEBUG", "lexilog")
    with pytest.raises(RelayError, match="HTTP 401: security_exception: no: ") as caught:
        deliver(cluster, batch, **settings)
    assert cluster.headers[0].get("Authorization") == header
    for secret in (settings.get("api_key"), settings.get("password"), header and header.split()[1]):
        assert secret is None or secret not in str(caught.value) + caplog.text


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"urls": ("es1.example:9200",)}, "urls is no URL"),
        ({"urls": ("http://ok.example:9200", "ftp://es1.example:21")}, "urls is no URL"),
        ({"urls": ("http://:9200",)}, "urls is no URL"),
        ({"urls": ("http://es1.example:99999999",)}, "urls is no URL"),
        ({"urls": ("http://writer:secret-word@es1.example:9200",)}, "urls holds a user or a password"),
        ({"username": "writer"}, "username and password go together"),
        ({"password": "secret-word"}, "username and password go together"),
        ({"api_key": "secret-word", "username": "writer", "password": "secret-word"}, "api_key and username exclude"),
        ({"api_key": "secret-word\n"}, "api_key has a blank, a line break"),
        ({"ca_file": Path("nowhere.pem"), "urls": ("https://es1.example:9200",)}, "nowhere.pem: cannot be read as PEM"),
        ({"ca_file": Path(__file__), "urls": ("https://es1.example:9200",)}, "cannot be read as PEM certificates"),
        ({"ca_file": Path("nowhere.pem")}, "ca_file is for https"),
    ],
)
def test_settings_that_cannot_work_are_told_at_the_start(settings: dict[str, Any], message: str) -> None:
    """The error names the setting, and holds no secret."""
    relay = ElasticsearchRelay("es", ElasticsearchSettings(**{"urls": ("http://es1.example:9200",), **settings}))

    async def work() -> None:
        with pytest.raises(SettingsError, match=f"^relay es: .*{message}") as caught:
            await relay.open()
        assert "secret-word" not in str(caught.value)
        await relay.close()

    run(work)


@pytest.mark.parametrize("url", ["https://es1.example", "https://es1.example:9200/below", "https://[2001:db8::1]:9200"])
def test_a_cluster_need_not_be_up_at_the_start(url: str) -> None:
    """The relay opens without a look at the cluster; a port may be left out."""
    relay = ElasticsearchRelay("es", ElasticsearchSettings(urls=(url,)))

    async def work() -> None:
        await relay.open()
        await relay.close()

    run(work)


def test_a_closed_relay_takes_nothing(batch: list[Enriched]) -> None:
    """It can be closed twice, and before it was opened; a batch stays with the sender then."""

    async def work() -> None:
        async with ClusterDouble() as cluster:
            relay = ElasticsearchRelay("es", ElasticsearchSettings(urls=(cluster.url,)))
            await relay.close()
            await relay.open()
            assert await relay.deliver(batch) == Delivery()
            await relay.close()
            await relay.close()
            with pytest.raises(RelayError, match=r"^relay es: is closed"):
                await relay.deliver(batch)

    run(work)


def test_other_work_goes_on_while_a_batch_is_written(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before the first request of a large batch is sent other tasks have had their turn many times."""
    batch = [pipeline.process(Record(line="a line", id="abc-0"))] * 5_000
    turns = itertools.count()
    seen: list[int] = []

    async def note(self: ElasticsearchRelay, items: Sequence[Any]) -> list[Any]:
        seen.append(next(turns))
        return [Result(201)] * len(items)

    monkeypatch.setattr(ElasticsearchRelay, "_bulk", note)

    async def other() -> None:
        while True:
            next(turns)
            await asyncio.sleep(0)

    async def work() -> None:
        task = asyncio.create_task(other())
        relay = ElasticsearchRelay("es", ElasticsearchSettings(urls=("http://es1.example:9200",), max_bytes=2**30))
        await relay.deliver(batch)
        task.cancel()

    run(work)
    assert len(seen) == 1
    assert seen[0] >= 20
