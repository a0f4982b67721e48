"""Hands records to Splunk's HTTP Event Collector."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple
from uuid import uuid4

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType
from yarl import URL

from lexilog.enrich.document import encode_json
from lexilog.enrich.escape import escape
from lexilog.errors import RelayError, SettingsError
from lexilog.model import Enriched
from lexilog.relay._http import Answer, HttpClient, parse_url
from lexilog.relay._text import excerpt, secrets_in
from lexilog.relay.base import Delivery, Refusal, Refused, Relay, isolate, slices
from lexilog.relay.settings import SplunkHecSettings

__all__ = ["SplunkHecRelay"]

_COLLECTOR = "services/collector"
_CHANNEL = "X-Splunk-Request-Channel"
_TOKEN_TEXT = re.compile("[!-~]+")
# Seconds between two questions whether events are indexed: the first pause, and the longest.
_PAUSE, _LONGEST_PAUSE = 0.1, 1.0

# Codes of an answer. Up to 16 they are those of Splunk's documentation, the rest is what public clients know of them.
# 24 and 25 come with 200: the events are taken, and a queue is filling up.
_TAKEN = (0, 24, 25)
# No data, invalid format, event missing, event blank, indexed fields: with 400 they are about an event.
_ABOUT_AN_EVENT = (5, 6, 12, 13, 15)
_ACK_DISABLED = 14
_TOKEN = "check token: the collector does not know it"  # noqa: S105 (no secret)
_ADVICE = {
    1: "enable the token in Splunk",
    2: _TOKEN,
    3: _TOKEN,
    4: _TOKEN,
    7: "set index to one that the token may write to, or allow it in Splunk",
    10: "the token asks for acknowledgement: set acknowledge to true, or turn it off for the token",
    11: "the token asks for acknowledgement: set acknowledge to true, or turn it off for the token",
    _ACK_DISABLED: "turn on indexer acknowledgement for the token, or set acknowledge to false",
    21: _TOKEN,
    22: "enable the token in Splunk",
}
_ADVICE_BY_STATUS = {
    401: _TOKEN,
    403: _TOKEN,
    404: "check url: there is no event collector, or it is switched off",
    405: "check url: there is no event collector",
}


class _Event(Struct, omit_defaults=True):
    """An event, as the collector's event endpoint takes it."""

    event: Raw
    source: str
    sourcetype: str
    time: Raw | UnsetType = UNSET
    host: str | UnsetType = UNSET
    index: str | UnsetType = UNSET


class _Item(NamedTuple):
    """A record, and its line in a request."""

    record: Enriched
    line: bytes


class _Reply(Struct, rename="camel"):
    """What the collector says in the body of an answer."""

    code: int | None = None
    text: str = ""
    ack_id: int | None = None
    acks: dict[str, bool] = {}


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(_Reply)


class SplunkHecRelay(Relay):
    """Posts events to ``services/collector/event``, several in a request.

    An event is the ECS document, with:

    - ``time``: when the device says that it happened. Left out, so that Splunk sets its own, where that is before 1970.
    - ``host``: the device, by name, else by address; else the host that the agent names.
    - ``source``: ``lexilog:`` and the catalogue that knows the line, as in ``lexilog:juniper_kmd``; ``lexilog:unknown``
      where none does.
    - ``sourcetype`` and ``index``, as the settings say.

    Where the collector refuses a request over one of its events, it names the first such event. Whether those before
    it are indexed by then is not documented, and reports differ; nor is it from which number it counts. So the number
    is not relied upon: halves of the request are sent until the events to blame are found, and nothing is lost. Events
    of such a request may be indexed more than once; ``event.id`` tells which are the same.

    Without `acknowledge` a batch counts as taken when the collector has received it, which is before it is indexed.
    With it, a batch counts as taken when the indexers say so. Behind a load balancer that needs sticky sessions, since
    only the collector that took a request knows of it; cookies are kept. Each delivery has a channel of its own: a
    collector that starts anew counts its acknowledgements from the beginning, and on a shared channel one delivery
    would take another's for its own.

    Args:
        name: name of the relay.
        settings: where to, and how.
    """

    def __init__(self, name: str, settings: SplunkHecSettings) -> None:
        self._name = name
        self._settings = settings
        self._secrets = secrets_in([settings.token])
        # Events were taken with no promise of an acknowledgement: find out before more are, again and again.
        self._in_doubt = False
        self._event_url = self._ack_url = URL()
        self._client = HttpClient(
            name,
            headers={"Authorization": f"Splunk {settings.token}"},
            compression=settings.compression,
            timeout=settings.timeout,
            tls=settings,
        )

    async def open(self) -> None:
        """Make the session; it connects when it is first used.

        Raises:
            SettingsError: URL, token or certificates cannot be used.
        """
        url = parse_url(self._name, "url", self._settings.url)
        if not _TOKEN_TEXT.fullmatch(self._settings.token):
            raise SettingsError(
                f"relay {self._name}: token: holds a blank, a line break or what is not ASCII: copy it anew"
            )
        # People write the collector's whole address, or its root.
        base = url.path.rstrip("/").removesuffix("/event").removesuffix(f"/{_COLLECTOR}")
        collector = url.with_path(f"{base}/{_COLLECTOR}")
        self._event_url = collector / "event"
        self._ack_url = collector / "ack"
        await self._client.open(url)

    async def deliver(self, batch: Sequence[Enriched]) -> Delivery:
        """Post the batch, request by request, and wait for each answer."""
        refused: list[Refusal] = []
        channel = str(uuid4())

        async def send(part: Sequence[_Item]) -> None:
            await self._send(b"\n".join(item.line for item in part), len(part), channel)

        def make(enriched: Enriched) -> _Item:
            return _Item(enriched, _line(enriched, self._settings))

        async for items in slices(batch, make, lambda item: len(item.line) + 1, self._settings.max_bytes):
            refused += [Refusal(item.record, reason) for item, reason in await isolate(items, send)]
        return Delivery(tuple(refused))

    async def _send(self, body: bytes, count: int, channel: str) -> None:
        """Post events and wait until they count as taken."""
        if self._in_doubt:
            await self._ask([], channel)
        headers = {_CHANNEL: channel} if self._settings.acknowledge else None
        answer = await self._client.post(self._event_url, body, "application/json", headers=headers)
        reply = _read(answer)
        if answer.status == 413 or (answer.status == 400 and reply.code in _ABOUT_AN_EVENT):
            raise Refused(self._told(answer, reply))
        if answer.status != 200 or reply.code not in _TAKEN:
            raise self._failure(f"{count} events not taken", answer, reply)
        if self._settings.acknowledge:
            self._in_doubt = reply.ack_id is None
            if reply.ack_id is None:
                raise RelayError(f"{self._where}: {count} events not acknowledged: {_ADVICE[_ACK_DISABLED]}")
            await self._wait(reply.ack_id, count, channel)

    async def _wait(self, number: int, count: int, channel: str) -> None:
        """Wait until the indexers have the events of a request."""
        pause = _PAUSE
        try:
            async with asyncio.timeout(self._settings.timeout):
                while not (await self._ask([number], channel)).get(str(number)):
                    await asyncio.sleep(pause)
                    pause = min(2 * pause, _LONGEST_PAUSE)
        except TimeoutError as error:
            raise RelayError(
                f"{self._where}: {count} events not acknowledged within {self._settings.timeout:g} s"
            ) from error

    async def _ask(self, numbers: list[int], channel: str) -> Mapping[str, bool]:
        """Ask which requests are indexed; with no number, whether the token has acknowledgement at all."""
        body = _encoder.encode({"acks": numbers})
        url = self._ack_url.with_query(channel=channel)
        answer = await self._client.post(url, body, "application/json", plain=True, headers={_CHANNEL: channel})
        reply = _read(answer)
        if reply.code == _ACK_DISABLED or (numbers and answer.status != 200):
            raise self._failure("events not acknowledged", answer, reply)
        return reply.acks

    @property
    def _where(self) -> str:
        return f"relay {self._name}: {self._event_url.host_port_subcomponent}"

    def _told(self, answer: Answer, reply: _Reply) -> str:
        code = f", code {reply.code}" if reply.code is not None else ""
        said = excerpt(reply.text or answer.body.decode("utf-8", "replace"), self._secrets)
        return f"HTTP {answer.status}{code}" + (f": {said}" if said else "")

    def _failure(self, problem: str, answer: Answer, reply: _Reply) -> RelayError:
        """Return the error for an answer that may be another one later, or once the operator has mended something."""
        advice = _ADVICE.get(reply.code or 0) or _ADVICE_BY_STATUS.get(answer.status)
        if answer.status == 200 and reply.code is None:
            advice = "check url: what answers there is no event collector"
        told = self._told(answer, reply) + (f"; {advice}" if advice else "")
        return RelayError(
            f"{self._where}: {problem}: {told}", 1.0 if answer.retry_after is None else answer.retry_after
        )

    async def close(self) -> None:
        """Close the session."""
        await self._client.close()


def _line(enriched: Enriched, settings: SplunkHecSettings) -> bytes:
    """Return a record as an event, on one line."""
    event = _Event(
        event=Raw(encode_json(enriched)),
        source=f"lexilog:{enriched.match.entry.catalog if enriched.match else 'unknown'}",
        sourcetype=settings.sourcetype,
        time=_time(enriched.fields.get("@timestamp")),
        host=_host(enriched),
        index=UNSET if settings.index is None else settings.index,
    )
    return _encoder.encode(event)


def _time(when: datetime | None) -> Raw | UnsetType:
    """Return a time as plain decimal seconds: with milliseconds, or microseconds where there are any."""
    if when is None:
        return UNSET
    whole, micro = divmod((when - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1), 1_000_000)
    if whole < 0:
        return UNSET
    return Raw(f"{whole}.{micro:06}".encode() if micro % 1000 else f"{whole}.{micro // 1000:03}".encode())


def _host(enriched: Enriched) -> str | UnsetType:
    ours, agent = enriched.fields, enriched.record.fields
    addresses = ours.get("observer.ip") or [None]
    for found in (ours.get("observer.hostname"), addresses[0], _host_of(agent)):
        if isinstance(found, str) and found.strip():
            return escape(found)
    return UNSET


def _host_of(agent: Mapping[str, Any]) -> Any:
    """Return the host that an agent names: ``host.name``, dotted or nested, or ``host`` where that is text."""
    host = agent.get("host")
    return agent.get("host.name") or (host.get("name") if isinstance(host, Mapping) else host)


def _read(answer: Answer) -> _Reply:
    try:
        return _decoder.decode(answer.body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return _Reply()
