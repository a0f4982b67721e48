"""The port of metrics and health, over real sockets."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Any

import aiohttp
import pytest

from lexilog import SettingsError
from lexilog.service import admin as admin_module
from lexilog.service.admin import AdminServer, Health
from lexilog.service.metrics import Metrics
from lexilog.service.settings import MetricsSettings
from lexilog.service.status import Status

ANYWHERE = MetricsSettings(listen="127.0.0.1:0")
READY = Health(ready=True)


def _serve(
    client: Callable[[AdminServer], Awaitable[None]],
    exposition: Callable[[], bytes] = lambda: b"",
    status: Callable[[], Health] = lambda: READY,
) -> None:
    """Start a server, run a client against it, and stop the server."""

    async def run() -> None:
        server = AdminServer(ANYWHERE, exposition, status)
        await server.start()
        try:
            async with asyncio.timeout(20):
                await client(server)
        finally:
            await server.stop()

    asyncio.run(run())


async def _request(server: AdminServer, path: str, method: str = "GET") -> tuple[int, str, dict[str, str]]:
    async with (
        aiohttp.ClientSession() as session,
        session.request(method, f"http://127.0.0.1:{server.port}{path}") as answer,
    ):
        return answer.status, await answer.text(), dict(answer.headers)


@asynccontextmanager
async def _connected(server: AdminServer) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    try:
        yield reader, writer
    finally:
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()


async def _send(server: AdminServer, request: bytes) -> bytes:
    """Send bytes, and return all that comes until the server closes, in one way or the other."""
    async with _connected(server) as (reader, writer):
        writer.write(request)
        answer = b""
        with suppress(ConnectionError):
            while part := await reader.read(1 << 16):
                answer += part
        return answer


def test_metrics_are_in_prometheus_text_format() -> None:
    """Whatever the server counts can be scraped, with the content type that says which format it is."""
    metrics = Metrics()
    metrics["refused"].labels("grpc", "token").inc(3)

    async def client(server: AdminServer) -> None:
        status, text, headers = await _request(server, "/metrics")
        assert status == 200
        assert headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
        assert 'lexilog_refused_total{door="grpc",reason="token"} 3.0' in text.splitlines()

    _serve(client, metrics.expose)


@pytest.mark.parametrize(
    ("health", "path", "status", "answer"),
    [
        (Health(ready=True), "/readyz", 200, {"status": "ready", "problems": {}}),
        (Health(ready=False), "/readyz", 503, {"status": "not ready", "problems": {}}),
        (Health(ready=False), "/healthz", 200, {"status": "not ready", "problems": {}}),
        (
            Health(ready=True, problems={"catalogs": "a.yaml:1:1: wrong"}),
            "/readyz",
            200,
            {"status": "ready", "problems": {"catalogs": "a.yaml:1:1: wrong"}},
        ),
    ],
)
def test_health_and_readiness(health: Health, path: str, status: int, answer: dict[str, Any]) -> None:
    """A process that lives is healthy; it is ready when its doors are open; problems are told, and change neither."""

    async def client(server: AdminServer) -> None:
        got, text, headers = await _request(server, path)
        assert (got, json.loads(text), headers["Content-Type"]) == (status, answer, "application/json; charset=utf-8")

    _serve(client, status=lambda: health)


def test_a_process_says_what_its_status_says() -> None:
    """Whatever is set there is heard here, and later changes do not change what was said."""
    status = Status()
    status.set_ready(ready=True)
    status.set_problem("tls", "no key")
    said = Health.of(status)
    status.set_problem("tls", None)
    assert said == Health(ready=True, problems={"tls": "no key"})


def test_workers_are_told_apart_and_together() -> None:
    """One ready worker is enough to take requests; a problem names the workers that have it."""
    workers = {
        "1": Health(ready=False, problems={"catalogs": "old"}),
        "2": Health(ready=True, problems={"catalogs": "old", "tls": "gone"}),
        "3": Health(ready=True, problems={"catalogs": "other"}),
    }
    merged = Health.merge(workers)
    assert merged.as_json() == {
        "status": "ready",
        "problems": {"catalogs": "worker 1, 2: old; worker 3: other", "tls": "worker 2: gone"},
        "workers": {
            "1": {"status": "not ready", "problems": {"catalogs": "old"}},
            "2": {"status": "ready", "problems": {"catalogs": "old", "tls": "gone"}},
            "3": {"status": "ready", "problems": {"catalogs": "other"}},
        },
    }
    assert not Health.merge({"1": workers["1"]}).ready
    assert not Health.merge({}).ready


@pytest.mark.parametrize("path", ["/metrics", "/healthz", "/readyz"])
def test_nothing_but_reading_is_possible(path: str) -> None:
    """HEAD is GET without a body; other methods are refused, with those that there are; the query does not matter."""

    async def client(server: AdminServer) -> None:
        status, text, _ = await _request(server, f"{path}?x=1", "HEAD")
        assert (status, text) == (200, "")
        for method in ("POST", "PUT", "DELETE", "OPTIONS"):
            status, _, headers = await _request(server, path, method)
            assert (status, headers["Allow"]) == (405, "GET, HEAD")
        assert (await _request(server, f"{path}/x"))[0] == 404

    _serve(client, lambda: b"x 1\n")


@pytest.mark.parametrize(
    "request_",
    [
        b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /nowhere HTTP/1.1\r\nHost: x\r\n\r\n",
        b"POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello",
        b"\x16\x03\x01 this is TLS\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET /metrics HTTP/1.1\r\nHost: x\r\nbad header\r\n\r\n",
        b"GET /" + b"x" * 5000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /metrics HTTP/1.1\r\nHost: x\r\nX: " + b"y" * 10_000 + b"\r\n\r\n",
        b"GET /metrics HTTP/1.1\r\nHost: x\r\n" + b"X: y\r\n" * 100 + b"\r\n",
    ],
)
def test_an_answer_tells_no_versions_and_ends_the_connection(request_: bytes) -> None:
    """Whatever is asked, well-formed or not, the answer is one, and names neither Python nor aiohttp."""

    async def client(server: AdminServer) -> None:
        answer = await _send(server, request_)
        assert answer.startswith(b"HTTP/1.")
        head = answer.partition(b"\r\n\r\n")[0].lower()
        assert b"server: lexilog" in head
        assert b"python" not in answer.lower()
        assert b"aiohttp" not in answer.lower()
        assert answer.count(b"HTTP/1.") == 1

    _serve(client)


def test_a_defect_is_an_error_and_not_the_end() -> None:
    """Where the metrics cannot be had the answer says so, and the next question is answered."""

    def broken() -> bytes:
        raise KeyError("secret")

    async def client(server: AdminServer) -> None:
        status, text, _ = await _request(server, "/metrics")
        assert status == 500
        assert "secret" not in text
        assert (await _request(server, "/healthz"))[0] == 200

    _serve(client, broken)


def test_a_connection_does_not_last(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that says nothing, or half of something, is closed."""
    monkeypatch.setattr(admin_module, "_LIFETIME", 0.1)

    async def client(server: AdminServer) -> None:
        for request in (b"", b"GET /metrics HTTP/1.1\r\nHost:"):
            assert await _send(server, request) == b""
        assert (await _request(server, "/healthz"))[0] == 200

    _serve(client)


def test_when_there_are_too_many_connections_the_oldest_makes_room(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever occupies the port with connections that say nothing keeps nobody from asking."""
    monkeypatch.setattr(admin_module, "_CONNECTIONS", 4)
    monkeypatch.setattr(admin_module, "_LIFETIME", 1000)

    async def client(server: AdminServer) -> None:
        async with AsyncExitStack() as stack:
            silent = [await stack.enter_async_context(_connected(server)) for _ in range(20)]
            assert (await _request(server, "/healthz"))[0] == 200
            assert await silent[0][0].read() == b""

    _serve(client)


def test_nobody_is_kept_waiting_by_whoever_asks_for_metrics() -> None:
    """While the metrics are written down, health is answered; and they are written down once at a time."""
    go, begun = threading.Event(), threading.Event()
    under_way: list[int] = []

    def slow() -> bytes:
        under_way.append(1)
        assert len(under_way) == 1
        begun.set()
        assert go.wait(10)
        under_way.clear()
        return b"x 1\n"

    async def client(server: AdminServer) -> None:
        asked = [asyncio.create_task(_request(server, "/metrics")) for _ in range(2)]
        await asyncio.to_thread(begun.wait, 10)
        assert (await _request(server, "/readyz"))[0] == 200
        assert not any(task.done() for task in asked)
        go.set()
        assert [(await task)[:2] for task in asked] == [(200, "x 1\n")] * 2

    _serve(client, slow)


def test_who_asks_for_metrics_all_the_time_gets_the_last_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    """After the metrics were written down there is a rest before it is done again; nobody has to wait for its end."""
    monkeypatch.setattr(admin_module, "_REST", 1e9)
    written: list[int] = []

    def exposition() -> bytes:
        written.append(1)
        return b"x %d\n" % len(written)

    async def client(server: AdminServer) -> None:
        for _ in range(3):
            assert (await _request(server, "/metrics"))[:2] == (200, "x 1\n")
        assert len(written) == 1

    _serve(client, exposition)


def test_a_port_that_is_taken_is_named() -> None:
    """The error says which setting it is, and what is wrong with it."""

    async def client(server: AdminServer) -> None:
        listen = f"127.0.0.1:{server.port}"
        other = AdminServer(MetricsSettings(listen=listen), lambda: b"", lambda: READY)
        with pytest.raises(SettingsError, match=rf"^metrics\.listen: {listen}: cannot be bound: "):
            await other.start()

    _serve(client)


def test_stop_lets_go_of_the_port() -> None:
    """Whoever is connected is let go, and nobody is answered any more; a second stop does nothing."""

    async def client(server: AdminServer) -> None:
        async with _connected(server) as (reader, _):
            assert (await _request(server, "/healthz"))[0] == 200
            await server.stop()
            assert await reader.read() == b""
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", server.port)

    _serve(client)
