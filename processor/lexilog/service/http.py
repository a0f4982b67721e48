"""The doors over HTTP: OTLP/HTTP at ``/v1/logs``, and ``/v1/enrich`` for Logstash's ``http`` filter and for scripts.

``POST /v1/logs`` hands records on as `lexilog.service.otlp_grpc` does: 200 means that the relays have every record.
Senders drop what is answered with most other codes (the specification has 429, 502, 503 and 504 sent again; Vector
does so with 429 and nearly all of 5xx, rsyslog with 408 too), so whatever may pass later is 503.

``POST /v1/enrich`` answers with the documents and hands nothing on. A record is an object, as agents have it, or text,
which is a line by itself. The answer has the shape of the question: an object for an object, an array for an array, and
NDJSON for NDJSON, in the same order. It is sent while it is made, so that a large one is never in memory as a whole.
"""

from __future__ import annotations

import asyncio
import json
import logging
import math
import re
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

from aiohttp import web
from google.protobuf.json_format import MessageToJson
from google.protobuf.message import Message

from lexilog.enrich.document import encode_json
from lexilog.errors import LexilogError, OriginError, RelayError, TooLargeError
from lexilog.model import Enriched, Record
from lexilog.otlp.as_json import read_json_request
from lexilog.otlp.decode import read_records, read_request
from lexilog.service.auth import Tokens
from lexilog.service.door import Door, Hall
from lexilog.service.http_body import Refused, receive
from lexilog.service.ids import batch_ids
from lexilog.service.json_records import NDJSON, Shape, read_body
from lexilog.service.otlp_answer import answer_to, status_of
from lexilog.service.reload import Reloadable
from lexilog.service.settings import HttpDoorSettings
from lexilog.service.tracing import span
from lexilog.service.turns import BusyError, Share
from lexilog.service.work import process_slice

__all__ = ["HttpDoor"]

_LOGS = "/v1/logs"
_ENRICH = "/v1/enrich"
# The names that the doors are counted by.
_DOORS = {_LOGS: "otlp_http", _ENRICH: "http"}
_NEED_TOKEN = "a token is needed: Authorization: Bearer TOKEN, or X-API-Key: TOKEN"  # noqa: S105 (it is none)
_JSON = "application/json"
# OTLP has the first; the second is what IANA has registered since.
_PROTOBUF = ("application/x-protobuf", "application/protobuf")
# Vector says so of OTLP/JSON where its framing is that of lines.
_OTLP_JSON = (_JSON, NDJSON)
# Seconds that a client may take nothing of the answer.
_PATIENCE = 60.0
# Seconds that a connection stays without a request. Clients let go of theirs after 90 (Go's, hyper's) or 118 (curl's);
# the server should not be the first, or a request that is just under way is lost to it.
_IDLE = 120.0
# Seconds for what has to be called off at the end.
_GOODBYE = 1.0
# Where an error begins to repeat what was sent.
_QUOTED = re.compile(r"b?['\"]|\n")
# Bodies from this size on are cut into records in a thread: the others do not wait for that.
_LARGE = 1 << 18

_log = logging.getLogger(__name__)
_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def _in_one_line(record: logging.LogRecord) -> bool:
    """Take away tracebacks: what aiohttp itself logs is what senders do wrong, such as TLS on a plain port."""
    if record.exc_info:
        record.levelno, record.levelname = logging.WARNING, "WARNING"
        error = record.exc_info[1]
        # aiohttp quotes what came, and that may be a token.
        said = _QUOTED.split(getattr(error, "message", ""), maxsplit=1)[0]
        record.msg, record.args = f"{record.getMessage()}: {type(error).__name__}: {said.rstrip(' :')}", None
        record.exc_info = None
    return True


_protocol_log = _log.getChild("protocol")
_protocol_log.addFilter(_in_one_line)
# Of a connection. aiohttp's own decompression does not notice a gzip stream that ends too early.
_OPTIONS: dict[str, Any] = {
    "access_log": None,
    "auto_decompress": False,
    "keepalive_timeout": _IDLE,
    "logger": _protocol_log,
}


class HttpDoor(Door):
    """Answers HTTP.

    Args:
        settings: address and limits.
        hall: what stands behind it.

    Raises:
        SettingsError: its certificates or tokens cannot be used.
    """

    name = "http"
    alpn = ("http/1.1",)
    silence = 10.0

    def __init__(self, settings: HttpDoorSettings, hall: Hall) -> None:
        super().__init__(settings, hall)
        self._limit = settings.max_receive_bytes
        self._max_records = settings.max_records
        self._tokens = Tokens(settings, self.name)
        self._requests = Share(settings.max_requests, "requests (max_requests)")
        self._counts = hall.counts
        self._busy = hall.counts.metrics["requests_in_flight"].labels(self.name)
        self._runner: web.AppRunner | None = None
        self._in_flight: set[asyncio.Task[Any]] = set()

    def reloadables(self) -> Iterator[Reloadable]:
        """Yield what can be read anew."""
        yield from super().reloadables()
        yield self._tokens

    async def start(self) -> None:
        """Get ready for connections."""
        app = web.Application(middlewares=[self._guard])
        app.router.add_post(_LOGS, self._take_logs, expect_handler=self._expect)
        app.router.add_post(_ENRICH, self._enrich, expect_handler=self._expect)
        app.on_response_prepare.append(self._sign)
        # What nobody waits for any more is called off; its sender comes again.
        self._runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=_GOODBYE)
        await self._runner.setup()

    def connect(self, host: str) -> asyncio.Protocol:
        """Return the protocol of a connection from a host."""
        assert self._runner is not None
        assert self._runner.server is not None
        return _Connection(self, host, self._runner.server)

    async def stop(self, grace: float) -> None:
        """Finish what is in flight within `grace` seconds, and close."""
        runner, self._runner = self._runner, None
        if runner is None:
            return
        if self._in_flight:
            await asyncio.wait(self._in_flight, timeout=grace)
        await runner.cleanup()

    @web.middleware
    async def _guard(self, request: web.Request, handler: _Handler) -> web.StreamResponse:
        """Answer a request whatever it does to us."""
        self._note_arrival(request)
        try:
            self._admit(request)
            with (
                self._requests.hold(_client(request)),
                self._busy.track_inprogress(),
                span(f"lexilog.door.{_DOORS.get(request.path, self.name)}", request.headers),
            ):
                return await handler(request)
        except web.HTTPException as error:
            return _failure(request, error.status, OriginError(_help(request, error)), _allow(error))
        except Refused as refused:
            self._note(request, refused.status, str(refused))
            kind = RelayError if refused.status == 503 else OriginError
            return _failure(request, refused.status, kind(str(refused)), refused.headers)
        except TooLargeError as error:  # of the intake, which has counted the request
            self._counts.refuse(self.name, "too_large")
            return _failure(request, 413, error)
        except OriginError as error:
            return _failure(request, 400, error)
        except BusyError as error:
            self._counts.refuse(self.name, "busy")
            self._note(request, 503, str(error))
            return _failure(request, 503, error)
        except RelayError as error:
            return _failure(request, 503, error)
        except ConnectionError:
            text = "the sender has gone in mid-request"
            self._note(request, 503, text)
            return _failure(request, 503, RelayError(text))  # nobody hears it
        except asyncio.CancelledError:
            # The intake has counted what it was given.
            if request.path == _ENRICH or not request.content.at_eof():
                self._note(request, 503, "the sender has gone in mid-request, or the server stops")
            raise
        except Exception:  # a bug of ours must not cost records: their sender still has them
            _log.exception("a request to %s could not be answered", request.path)
            self._counts.add_unread(_DOORS[request.path], "returned")
            text = "internal error; the log of this server says more"
            if request.path == _LOGS:
                return _failure(request, 503, RelayError(text))
            return _failure(request, 500, LexilogError(text))

    async def _sign(self, _request: web.Request, response: web.StreamResponse) -> None:
        response.headers["Server"] = "lexilog"
        if self._runner is None:
            # Its client is to go elsewhere with the next request.
            response.headers["Connection"] = "close"
            response.force_close()

    def _note_arrival(self, request: web.Request) -> None:
        if isinstance(request.protocol, _Connection):
            request.protocol.has_begun = True
        task = asyncio.current_task()
        if task:
            self._in_flight.add(task)
            task.add_done_callback(self._in_flight.discard)

    async def _expect(self, request: web.Request) -> None:
        """Ask for the body, unless the request will be refused without it (RFC 9110, section 10.1.1)."""
        if request.headers["Expect"].lower() == "100-continue" and self._tokens.allows(request.headers):
            await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            request.writer.output_size = 0

    def _admit(self, request: web.Request) -> None:
        if self._runner is None:
            raise Refused(503, "the server stops")
        if not self._tokens.allows(request.headers):
            self._counts.refuse(self.name, "token")
            raise Refused(401, _NEED_TOKEN, **{"WWW-Authenticate": "Bearer"})

    def _note(self, request: web.Request, status: int, text: str) -> None:
        if status == 413:
            self._counts.refuse(self.name, "too_large")
        door = _DOORS.get(request.path)
        if door:
            self._counts.add_unread(door, "returned" if status in (408, 503) else "refused")
        _log.warning("a request to the door %s from %s is not taken: %s", door or self.name, request.remote, text)

    async def _take_logs(self, request: web.Request) -> web.StreamResponse:
        """Enrich and hand on an OTLP request."""
        intake = self.hall.intake
        if intake is None:
            raise Refused(404, f"no relay is set, so records cannot be handed on; {_ENRICH} answers with documents")
        if request.content_type not in (*_PROTOBUF, *_OTLP_JSON):
            known = f"{_PROTOBUF[0]} or {_JSON}"
            raise Refused(415, f"content type {request.content_type} is not known: send {known}")
        body = await receive(request, self._limit, late=503)

        def read() -> Iterator[Record]:
            read_body = read_request if request.content_type in _PROTOBUF else read_json_request
            return read_records(read_body(body, self._max_records), self.hall.body_keys, batch_ids(body))

        delivery = await intake.take(_DOORS[_LOGS], _client(request), len(body), read)
        return _message(request, 200, answer_to(delivery))

    async def _enrich(self, request: web.Request) -> web.StreamResponse:
        """Answer with the documents of the records that came."""
        if request.content_type.endswith("msgpack"):
            raise Refused(415, "msgpack is not taken here: send JSON; Fluent Bit's http output does with 'format json'")
        body = await receive(request, self._limit, late=408)
        duration = self._counts.metrics["request_duration_seconds"].labels(_DOORS[_ENRICH])
        with self.hall.pending.hold(_client(request), len(body)), duration.time():
            return await self._answer(request, body)

    async def _answer(self, request: web.Request, body: bytes) -> web.StreamResponse:
        def read() -> tuple[Shape, Iterator[Record]]:
            is_ndjson = request.content_type == NDJSON
            return read_body(body, self.hall.body_keys, batch_ids(body), self._max_records, lines=is_ndjson)

        try:
            async with self.hall.turns.turn(_client(request)):
                shape, records = read() if len(body) < _LARGE else await asyncio.to_thread(read)
        except OriginError as error:
            raise Refused(413 if isinstance(error, TooLargeError) else 400, str(error)) from error
        response = web.StreamResponse(headers={"Content-Type": shape.content_type})
        response.enable_compression()
        await response.prepare(request)
        try:
            await self._send(response, _client(request), shape, records)
        except Exception as error:
            # The status is sent. That the answer breaks off is what can still be said.
            if not isinstance(error, ConnectionError | TimeoutError):
                _log.exception("an answer breaks off")
            self._note(request, 503, f"the answer was not taken: {type(error).__name__}")
            if request.transport:
                request.transport.abort()
        return response

    async def _send(self, response: web.StreamResponse, client: str, shape: Shape, records: Iterator[Record]) -> None:
        before, more = shape.start, True
        pipeline = self.hall.knowledge.pipeline

        def answer(record: Record) -> tuple[Enriched, bytes]:
            enriched = pipeline.process(record)
            return enriched, encode_json(enriched)

        while more:
            # Others have their turn after each piece, and do not wait for a client that is slow to read.
            async with self.hall.turns.turn(client):
                batch, more = process_slice(answer, records)
            if not batch:
                break
            delivery = "returned"
            try:
                async with asyncio.timeout(_PATIENCE):
                    await response.write(before + shape.between.join(text for _, text in batch))
                delivery = "answered"
            finally:
                for enriched, _ in batch:
                    self._counts.add(_DOORS[_ENRICH], enriched, delivery)
            before = shape.between
        async with asyncio.timeout(_PATIENCE):
            await response.write_eof(shape.end)


def _client(request: web.Request) -> str:
    """Return whose request it is."""
    # As the listener tells hosts apart.
    return request.protocol.host if isinstance(request.protocol, _Connection) else request.remote or ""


class _Connection(web.RequestHandler):
    """One connection.

    Attributes:
        host: whose it is.
        has_begun: a request has come.
    """

    __slots__ = ("_door", "has_begun", "host")

    def __init__(self, door: HttpDoor, host: str, server: web.Server) -> None:
        super().__init__(server, loop=asyncio.get_running_loop(), **_OPTIONS)
        self._door = door
        self.host = host
        self.has_begun = False

    def handle_error(self, request: web.BaseRequest, status: int = 500, *args: Any) -> web.StreamResponse:
        """Answer what is no HTTP, and count it."""
        if status == 400:
            self._door.listener.refuse(self.host, "not_http", "what it says is not HTTP/1.1")
        response = super().handle_error(request, status, *args)
        response.headers["Server"] = "lexilog"
        return response


def _failure(
    request: web.Request, status: int, error: LexilogError, headers: dict[str, str] | None = None
) -> web.Response:
    """Return an error in the form that the caller reads."""
    headers = dict(headers or {})
    if isinstance(error, RelayError):
        headers["Retry-After"] = str(max(1, math.ceil(error.retry_after)))
    if request.path == _ENRICH:
        body = json.dumps({"error": str(error)}).encode()
        return web.Response(status=status, body=body, content_type=_JSON, headers=headers)
    return _message(request, status, status_of(error), headers)


def _message(
    request: web.Request, status: int, message: Message, headers: dict[str, str] | None = None
) -> web.Response:
    """Return a message in the encoding of the request."""
    if request.content_type in _PROTOBUF:
        body, content_type = message.SerializeToString(), request.content_type
    else:
        body, content_type = MessageToJson(message, indent=None).encode(), _JSON
    return web.Response(status=status, body=body, content_type=content_type, headers=headers)


def _help(request: web.Request, error: web.HTTPException) -> str:
    if isinstance(error, web.HTTPMethodNotAllowed):
        return f"{request.path} takes POST, not {request.method}"
    if isinstance(error, web.HTTPNotFound):
        return f"there is nothing here: POST to {_LOGS} (OTLP) or {_ENRICH}"
    return error.reason


def _allow(error: web.HTTPException) -> dict[str, str]:
    return {"Allow": error.headers["Allow"]} if "Allow" in error.headers else {}
