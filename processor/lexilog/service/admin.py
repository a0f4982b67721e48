"""The port of metrics and health: ``/metrics``, ``/healthz`` and ``/readyz``, in plain HTTP.

Whoever reaches this port must not be able to hurt the doors. A connection carries one request and lasts some seconds;
when there are too many the oldest makes room; and to write the metrics down takes a tenth of the time at most.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable, Mapping
from time import monotonic
from typing import Any, NamedTuple

from aiohttp import web
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from lexilog.errors import SettingsError
from lexilog.service.settings import MetricsSettings, read_address
from lexilog.service.status import Status

__all__ = ["AdminServer", "Health"]

_PATHS = ("/metrics", "/healthz", "/readyz")
# Connections at once, and seconds that each may last, whatever it does.
_CONNECTIONS = 32
_LIFETIME = 10.0
# Of aiohttp: bytes of a request's line and of a header, and how many headers there may be.
_OPTIONS: dict[str, Any] = {"max_line_size": 2048, "max_field_size": 4096, "max_headers": 64, "access_log": None}
# How many times as long as it took to write the metrics down nobody does it again.
_REST = 9
# Seconds for what is under way when the server stops.
_GOODBYE = 1.0

_log = logging.getLogger(__name__)


class Health(NamedTuple):
    """How a server is doing.

    Attributes:
        ready: it takes requests. Problems do not change that: what was in use before still is.
        problems: what is wrong, by what it concerns; a sentence each.
        workers: the same of each worker, by its number, where there are several.
    """

    ready: bool
    problems: Mapping[str, str] = {}
    workers: Mapping[str, Health] = {}

    @classmethod
    def of(cls, status: Status) -> Health:
        """Return what a single process says."""
        return cls(status.ready, dict(status.problems))

    @classmethod
    def merge(cls, workers: Mapping[str, Health]) -> Health:
        """Return what several workers say together; one that is ready is enough to take requests."""
        said: dict[str, dict[str, list[str]]] = {}
        for number, worker in workers.items():
            for what, problem in worker.problems.items():
                said.setdefault(what, {}).setdefault(problem, []).append(number)
        problems = {
            what: "; ".join(f"worker {', '.join(numbers)}: {problem}" for problem, numbers in found.items())
            for what, found in said.items()
        }
        return cls(any(worker.ready for worker in workers.values()), problems, workers)

    def as_json(self) -> dict[str, Any]:
        """Return it as an answer has it."""
        found: dict[str, Any] = {"status": "ready" if self.ready else "not ready", "problems": dict(self.problems)}
        if self.workers:
            found["workers"] = {number: worker.as_json() for number, worker in self.workers.items()}
        return found


class AdminServer:
    """Answers on the port of metrics and health.

    Args:
        settings: where to listen.
        exposition: returns the metrics in Prometheus' text format; it is called in a thread.
        status: says how the server is doing.

    Attributes:
        port: the port that it is bound to.
    """

    def __init__(
        self, settings: MetricsSettings, exposition: Callable[[], bytes], status: Callable[[], Health]
    ) -> None:
        self.port = 0
        self._settings = settings
        self._exposition = exposition
        self._status = status
        self._runner: web.ServerRunner | None = None
        self._turn = asyncio.Lock()
        self._not_before = 0.0
        self._written = b""

    async def start(self) -> None:
        """Bind the port.

        Raises:
            SettingsError: it cannot be bound.
        """
        host, port = read_address(self._settings.listen, "metrics.listen")
        runner = web.ServerRunner(_Server(self._answer), shutdown_timeout=_GOODBYE)
        await runner.setup()
        try:
            await web.TCPSite(runner, host, port).start()
        except (OSError, UnicodeError) as error:
            await runner.cleanup()
            raise SettingsError(f"metrics.listen: {self._settings.listen}: cannot be bound: {error}") from error
        self._runner, self.port = runner, runner.addresses[0][1]

    async def stop(self) -> None:
        """Let go of the port."""
        runner, self._runner = self._runner, None
        if runner:
            await runner.cleanup()

    async def _answer(self, request: web.BaseRequest) -> web.Response:
        try:
            response = await self._respond(request)
        except Exception:  # a defect must not end the connection without a word
            _log.exception("a request to %s could not be answered", request.path)
            response = web.Response(status=500, text="internal error; the log of this server says more\n")
        response.headers["Server"] = "lexilog"
        response.headers["Cache-Control"] = "no-store"
        response.force_close()
        return response

    async def _respond(self, request: web.BaseRequest) -> web.Response:
        if request.path not in _PATHS:
            return web.Response(status=404, text=f"there is nothing here: GET {', '.join(_PATHS)}\n")
        if request.method not in ("GET", "HEAD"):
            return web.Response(status=405, text=f"{request.path} takes GET and HEAD\n", headers={"Allow": "GET, HEAD"})
        if request.path == "/metrics":
            return web.Response(body=await self._expose(), headers={"Content-Type": CONTENT_TYPE_PLAIN_0_0_4})
        health = self._status()
        lives = request.path == "/healthz" or health.ready
        body = json.dumps(health.as_json()) + "\n"
        return web.Response(status=200 if lives else 503, text=body, content_type="application/json")

    async def _expose(self) -> bytes:
        async with self._turn:
            # Whoever asks too often gets what was written down last.
            if monotonic() >= self._not_before:
                begun = monotonic()
                try:
                    self._written = await asyncio.to_thread(self._exposition)
                finally:
                    self._not_before = monotonic() + _REST * (monotonic() - begun)
            return self._written


class _Connection(web.RequestHandler):
    """One connection, for a while."""

    __slots__ = ("_end",)

    _end: asyncio.TimerHandle | None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._end = asyncio.get_running_loop().call_later(_LIFETIME, self.end)
        super().connection_made(transport)

    def connection_lost(self, exc: BaseException | None) -> None:
        if self._end:
            self._end.cancel()
        super().connection_lost(exc)

    def end(self) -> None:
        """End the connection, whatever is under way on it."""
        transport = self.transport
        self.force_close()
        if transport:
            transport.abort()

    def handle_error(self, *args: Any, **kwargs: Any) -> web.StreamResponse:
        """Answer what is no HTTP, without the versions that aiohttp tells."""
        response = super().handle_error(*args, **kwargs)
        response.headers["Server"] = "lexilog"
        return response

    def log_exception(self, *args: Any, **kwargs: Any) -> None:
        """Say little of what is no HTTP: there is nothing to do about it here."""
        _log.debug("a request on the port of metrics and health is no HTTP")


class _Server(web.Server):
    """Makes connections."""

    def __call__(self) -> web.RequestHandler:
        return _Connection(self, loop=asyncio.get_running_loop(), **_OPTIONS)

    def connection_made(self, handler: web.RequestHandler, transport: asyncio.Transport) -> None:
        crowd = self.connections
        if len(crowd) >= _CONNECTIONS and isinstance(crowd[0], _Connection):
            crowd[0].end()
        super().connection_made(handler, transport)
