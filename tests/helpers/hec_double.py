"""A double of Splunk's HTTP Event Collector, apart from lexilog's own code.

Usage: hec_double.py PORT FILE [MODE]

Each event is appended to FILE as one line of JSON, as it was sent, and is on disk before the answer is 200. The token
is ``token-of-the-double``. MODE ``busy`` answers 503; ``acknowledge`` is a token with indexer acknowledgement; ``slow``
takes a moment.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import uuid
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from aiohttp import web

TOKEN = "token-of-the-double"
_TEXTS = {
    0: "Success",
    2: "Token is required",
    3: "Invalid authorization",
    4: "Invalid token",
    5: "No data",
    6: "Invalid data format",
    7: "Incorrect index",
    9: "Server is busy",
    10: "Data channel is missing",
    11: "Invalid data channel",
    12: "Event field is required",
    13: "Event field cannot be blank",
    14: "ACK is disabled",
    15: "Error in handling indexed fields",
}
_STATUS = {0: 200, 2: 401, 3: 401, 4: 403, 9: 503}
_Scripted = tuple[int, Any, dict[str, str]]
_KEYS = {"time", "host", "source", "sourcetype", "index", "event", "fields"}


class Request(NamedTuple):
    """A request for events: its headers, its size after decompression, and how many events were in it."""

    headers: Any
    size: int
    events: int


class _Decimal(float):
    """A number that still knows how it was written."""

    text: str

    def __new__(cls, text: str) -> _Decimal:
        self = super().__new__(cls, text)
        self.text = text
        return self


class _No(Exception):  # noqa: N818
    def __init__(self, code: int, number: int | None = None) -> None:
        super().__init__(code)
        self.code, self.number = code, number


class HecDouble:
    """An event collector on a port of its own, as an async context manager.

    It does what Splunk documents: the event and ack endpoints, tokens, channels, gzip, concatenated events, the codes
    of its answers with ``invalid-event-number``, acknowledgements that come later and are told once. It is stricter
    than Splunk about what an event may hold. It does not index, know the query string, the raw endpoint, the health
    endpoint or arrays of events, and forgets its acknowledgements with the process. What Splunk does with the events
    before an invalid one is not documented: `keeps_head` says which of both it does here.

    Args:
        acknowledge: the token has indexer acknowledgement.
        indexes: those that the token may write to.
        asked: how often an acknowledgement is asked for before it is given; None for never.
        max_bytes: the largest body, after decompression.
        keeps_head: events before an invalid one are taken.
        first: the number of the first event in ``invalid-event-number``.
        judge: tells the code that an event is refused with, if it is.
    """

    def __init__(
        self,
        *,
        acknowledge: bool = False,
        indexes: tuple[str, ...] = ("main",),
        asked: int | None = 1,
        max_bytes: int = 100_000_000,
        keeps_head: bool = True,
        first: int = 0,
        judge: Callable[[dict[str, Any]], int | None] = lambda event: None,
        path: Path | None = None,
        port: int = 0,
        delay: float = 0,
    ) -> None:
        self.acknowledge = acknowledge
        self.indexes = indexes
        self.asked = asked
        self.max_bytes = max_bytes
        self.keeps_head = keeps_head
        self.first = first
        self.judge = judge
        self.path = path
        self.port = port
        self.delay = delay
        self.events: list[dict[str, Any]] = []
        self.requests: list[Request] = []
        # Answers to give in place of its own, first to last: status, body, headers.
        self.answers: deque[_Scripted] = deque()
        self.ack_answers: deque[_Scripted] = deque()
        self.asks = 0
        self._pending: dict[str, dict[str, int]] = {}
        self._issued: dict[str, int] = {}
        self._runner: web.AppRunner | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def __aenter__(self) -> HecDouble:
        app = web.Application(client_max_size=1 << 30)
        app.router.add_post("/services/collector/event", self._event)
        app.router.add_post("/services/collector/ack", self._ack)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1, access_log=None)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port).start()
        self.port = self._runner.addresses[0][1]
        return self

    async def __aexit__(self, *error: object) -> None:
        assert self._runner is not None
        await self._runner.cleanup()

    def forget(self) -> None:
        """Begin anew, as a collector that was restarted: acknowledgements are gone, and counted from the beginning."""
        self._pending.clear()
        self._issued.clear()

    async def _event(self, request: web.Request) -> web.Response:
        if self.answers:
            return await _scripted(request, self.answers.popleft())
        try:
            self._check_token(request)
            channel = self._channel(request)
            body = await request.read()
            if len(body) > self.max_bytes:
                return web.Response(status=413, text="Content-Length too large")
            await asyncio.sleep(self.delay)
            events = self._read(body)
            self.requests.append(Request(request.headers, len(body), len(events)))
            self._take(events)
        except _No as no:
            return _answer(no.code, **({} if no.number is None else {"invalid-event-number": no.number}))
        if channel is None:
            return _answer(0)
        number = self._issued[channel] = self._issued.get(channel, -1) + 1
        self._pending.setdefault(channel, {})[str(number)] = 0
        return _answer(0, ackId=number)

    async def _ack(self, request: web.Request) -> web.Response:
        self.asks += 1
        if self.ack_answers:
            return await _scripted(request, self.ack_answers.popleft())
        try:
            self._check_token(request)
            if not self.acknowledge:
                raise _No(14)
            channel = request.query.get("channel") or self._channel(request)
            if "Content-Encoding" in request.headers:
                # It is not documented that this endpoint takes a compressed body, so here it does not.
                raise _No(6)
            numbers = _decoder.decode(await request.text())["acks"]
        except (ValueError, KeyError, TypeError):
            return _answer(6)
        except _No as no:
            return _answer(no.code)
        return web.json_response({"acks": {str(number): self._is_indexed(str(channel), number) for number in numbers}})

    def _is_indexed(self, channel: str, number: int) -> bool:
        """Tell whether a request is indexed; that it is, is told once."""
        pending = self._pending.get(channel, {})
        if str(number) not in pending or self.asked is None:
            return False
        pending[str(number)] += 1
        if pending[str(number)] <= self.asked:
            return False
        del pending[str(number)]
        return True

    def _check_token(self, request: web.Request) -> None:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if not scheme:
            raise _No(2)
        if scheme != "Splunk":
            raise _No(3)
        if token != TOKEN:
            raise _No(4)

    def _channel(self, request: web.Request) -> str | None:
        if not self.acknowledge:
            return None
        channel = request.headers.get("X-Splunk-Request-Channel")
        if channel is None:
            raise _No(10)
        try:
            return str(uuid.UUID(channel))
        except ValueError as error:
            raise _No(11) from error

    def _read(self, body: bytes) -> list[dict[str, Any]]:
        """Return the objects of a body, which stand one behind the other."""
        text, place, events = body.decode("utf-8"), 0, []
        while place < len(text):
            if text[place].isspace():
                place += 1
                continue
            try:
                event, place = _decoder.raw_decode(text, place)
            except ValueError as error:
                raise _No(6, self.first + len(events)) from error
            events.append(event)
        if not events:
            raise _No(5)
        return events

    def _take(self, events: list[dict[str, Any]]) -> None:
        """Take the events, or those before the first that is not in order."""
        for number, event in enumerate(events):
            if code := self._verdict(event):
                if self.keeps_head:
                    self._keep(events[:number])
                raise _No(code, self.first + number)
        self._keep(events)

    def _verdict(self, event: Any) -> int | None:
        if not isinstance(event, dict) or not event.keys() <= _KEYS:
            return 6
        if "event" not in event:
            return 12
        if event["event"] in (None, "", {}) or str(event["event"]).isspace():
            return 13
        when = event.get("time", 0)
        if isinstance(when, bool) or not isinstance(when, int | _Decimal) or when < 0:
            return 6
        if isinstance(when, _Decimal) and not when.text.replace(".", "", 1).isdigit():
            return 6
        if any(not isinstance(event.get(key, ""), str) for key in ("host", "source", "sourcetype", "index")):
            return 6
        if event.get("index", self.indexes[0]) not in self.indexes:
            return 7
        if any(isinstance(value, dict) for value in event.get("fields", {}).values()):
            return 15
        return self.judge(event)

    def _keep(self, events: list[dict[str, Any]]) -> None:
        self.events += events
        if self.path is not None and events:
            with self.path.open("a", encoding="utf-8") as file:
                file.write("".join(f"{json.dumps(event)}\n" for event in events))
                file.flush()
                os.fsync(file.fileno())


async def _scripted(request: web.Request, answer: _Scripted) -> web.Response:
    await request.read()
    status, body, headers = answer
    if isinstance(body, str):
        return web.Response(status=status, text=body, headers=headers)
    return web.json_response(body, status=status, headers=headers)


def _no_constant(text: str) -> None:
    raise ValueError(f"{text} is no JSON")


_decoder = json.JSONDecoder(parse_float=_Decimal, parse_constant=_no_constant)


def _answer(code: int, **more: int) -> web.Response:
    return web.json_response({"text": _TEXTS.get(code, "No"), "code": code, **more}, status=_STATUS.get(code, 400))


async def _main(port: str, path: str, mode: str = "") -> None:
    double = HecDouble(
        acknowledge=mode == "acknowledge", path=Path(path), port=int(port), delay=0.2 if mode == "slow" else 0
    )
    if mode == "busy":
        double.judge = lambda event: 9
        double.keeps_head = False
    async with double:
        print("ready", flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_main(*sys.argv[1:]))
