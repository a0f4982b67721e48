"""Writes records into data streams of an Elasticsearch cluster.

Requests, answers and errors are those of the bulk API:
https://www.elastic.co/docs/api/doc/elasticsearch/operation/operation-bulk
"""

from __future__ import annotations

import asyncio
import base64
import dataclasses
import random
import re
import ssl
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
from aiohttp import ClientConnectionError
from elastic_transport import NodeConfig
from elastic_transport.client_utils import url_to_node_config
from elasticsearch import ApiError, AsyncElasticsearch, ConnectionTimeout, SerializationError, UnsupportedProductError

from lexilog.elastic import media_type, quieten_client
from lexilog.enrich.document import encode_finished
from lexilog.errors import RelayError, SettingsError
from lexilog.model import Enriched
from lexilog.relay._bulk import Answer, Result, error_in
from lexilog.relay._http import connection_problem, parse_url
from lexilog.relay._renewed import Renewed
from lexilog.relay._shape import fit
from lexilog.relay._text import excerpt, seconds, secrets_in
from lexilog.relay._tls import Loaded, TlsFiles, refuse_files
from lexilog.relay.base import Delivery, Refusal, Refused, Relay, isolate, slices
from lexilog.relay.settings import ElasticsearchSettings

__all__ = ["ElasticsearchRelay"]

# Seconds before the second attempt; each pause after it is twice as long, up to the last figure.
_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 10.0
# What a part of a data stream's name keeps of a text: less than it could hold, and the same on every cluster.
_OTHER = re.compile(r"[^a-z0-9_.]")
_DEFAULTS = {"type": "logs", "dataset": "lexilog.unknown", "namespace": "default"}
_HEADERS = {"accept": media_type("json"), "content-type": media_type("x-ndjson")}
_PARAMETERS = {
    # Without it a cluster that lacks the index template makes a plain index of its own guesses.
    "require_data_stream": "true",
    "filter_path": "items.create.status,items.create.error.type,items.create.error.reason,items.create.error.caused_by",
}


class _Item(NamedTuple):
    """A record, its two lines in a bulk request, and the data stream where its agent has chosen one."""

    record: Enriched
    lines: bytes
    chosen: str | None


class ElasticsearchRelay(Relay):
    """Creates one document per record in the data stream that the record names (``data_stream.*``).

    A record that names none, as one that no catalogue knows, goes to ``logs-lexilog.unknown-default``. A part of the
    name is written in lower case and with ``_`` for what is no letter, digit, ``_`` or ``.``, as the ingest pipeline
    does; where nothing is left of it that part of the default takes its place. So that the document is taken what an
    agent has set in a form that our indices have not moves to ``labels``.

    The document's ``_id`` is the record's ``event.id``: when a sender repeats a batch the cluster answers 409 to the
    documents that it has, which counts as taken. An ``_id`` is unique in one backing index only, so what is repeated
    after a rollover of the data stream is written twice.

    Documents that the cluster is too busy for are sent again by themselves. A document that it cannot read is refused
    with its reason; whatever the operator has to mend keeps the batch with the sender. Where an agent has chosen a
    data stream that has no index template, or that the credentials may not write to, its record is refused.

    Args:
        name: of the relay, for messages.
        settings: where to and how.
    """

    def __init__(self, name: str, settings: ElasticsearchSettings) -> None:
        self._name = name
        self._settings = settings
        self._where = f"relay {name}"
        self._secrets: list[str] = []
        self._files: TlsFiles | None = None
        self._clients: Renewed[AsyncElasticsearch] | None = None

    async def open(self) -> None:
        """Make the client; it connects when it is first used."""
        quieten_client()
        settings = self._settings
        urls = [parse_url(self._name, "urls", url) for url in settings.urls]
        self._where = f"relay {self._name}: {', '.join(url.host_port_subcomponent or '' for url in urls)}"
        login = self._login()
        if any(url.scheme == "https" for url in urls):
            self._files = TlsFiles(self._name, settings)
        else:
            refuse_files(self._name, settings, "is for https, and urls are http: mend one of them")

        def make(loaded: Loaded | None) -> AsyncElasticsearch:
            return AsyncElasticsearch(
                [_node(url, loaded.context if loaded else None) for url in settings.urls],
                api_key=settings.api_key,
                basic_auth=login,
                request_timeout=settings.timeout,
                max_retries=0,
                retry_on_status=(),
                retry_on_timeout=False,
            )

        self._clients = Renewed(self._files, make, AsyncElasticsearch.close)

    def _login(self) -> tuple[str, str] | None:
        """Return user and password, and note what no message may hold."""
        key, user, password = self._settings.api_key, self._settings.username, self._settings.password
        if (user is None) != (password is None):
            raise SettingsError(f"relay {self._name}: username and password go together: set both or neither")
        if key is not None and user is not None:
            raise SettingsError(f"relay {self._name}: api_key and username exclude each other: set one of them")
        if key is not None and not re.fullmatch(r"[!-~]+", key):
            raise SettingsError(f"relay {self._name}: api_key has a blank, a line break or a character beyond ASCII")
        if user is None or password is None:
            self._secrets = secrets_in([key or ""])
            return None
        self._secrets = [*secrets_in([password]), base64.b64encode(f"{user}:{password}".encode()).decode()]
        return user, password

    async def deliver(self, batch: Sequence[Enriched]) -> Delivery:
        """Create the documents, request by request, and wait until the cluster has each of them."""
        refused: list[Refusal] = []
        async for items in slices(batch, _item, lambda item: len(item.lines), self._settings.max_bytes):
            refused += await self._send(items)
        return Delivery(tuple(refused))

    async def _send(self, items: list[_Item]) -> list[Refusal]:
        """Send the documents of one request; one that makes a whole request fail costs no others."""
        refused: list[Refusal] = []

        async def send(part: Sequence[_Item]) -> None:
            refused.extend(await self._until_taken(part))

        alone = await isolate(items, send)
        return refused + [Refusal(item.record, reason) for item, reason in alone]

    async def _until_taken(self, items: Sequence[_Item]) -> list[Refusal]:
        """Send documents, and those that the cluster is too busy for again."""
        refused: list[Refusal] = []
        for attempt in range(self._settings.attempts):
            if attempt:
                await asyncio.sleep(_pause(attempt))
            results, size = await self._bulk(items), sum(len(item.lines) for item in items)
            busy = []
            for item, result in zip(items, results, strict=True):
                if result.error.is_too_large(size):
                    # What goes to one shard is one operation: it fails as a whole, and may fit in halves.
                    raise Refused(self._readable(result.error))
                if result.is_busy:
                    busy.append((item, result))
                elif not result.is_taken:
                    refused.append(Refusal(item.record, self._refusal(result, item.chosen)))
            if not busy:
                return refused
            items = [item for item, _ in busy]
        status, error = busy[0][1].status, busy[0][1].error
        problem = f"{len(items)} documents not taken in {self._settings.attempts} attempts: {status}"
        raise RelayError(f"{self._where}: {problem} {self._readable(error)}")

    def _refusal(self, result: Result, chosen: str | None) -> str:
        """Return why a document will never be taken.

        Raises:
            RelayError: it is not the document's fault.
        """
        text, remedy = self._readable(result.error), result.error.remedy
        if chosen is not None and result.is_about(chosen):
            return f"{text}; the agent chose this data stream"
        if remedy is not None or result.status in (401, 403, 404):
            raise RelayError(f"{self._where}: {result.status} {text}" + (f"; {remedy}" if remedy else ""))
        return text

    async def _bulk(self, items: Sequence[_Item]) -> list[Result]:
        """Send one request; return one result for each document, in order.

        Raises:
            Refused: the cluster does not take a request like that.
            RelayError: it has not answered as a cluster does.
        """
        if self._clients is None:
            raise RelayError(f"relay {self._name}: is closed")
        body = b"".join(item.lines for item in items)
        try:
            async with self._clients.use() as client:
                response = await client.perform_request(
                    "POST", "/_bulk", params=_PARAMETERS, headers=_HEADERS, body=body
                )
            results = [item.create for item in msgspec.convert(response.body, Answer).items]
        except Exception as error:  # the client has no common class for what it raises
            raise self._failure(error, len(body)) from error
        if self._files:
            self._files.proven = True
        if len(results) != len(items):
            problem = f"the answer is about {len(results)} documents, the request had {len(items)}"
            raise RelayError(f"{self._where}: {problem}")
        return results

    def _failure(self, error: Exception, size: int) -> RelayError | Refused:
        """Return what the failure of a whole request of so many bytes means."""
        wait = 1.0
        if isinstance(error, UnsupportedProductError):
            problem = "the server is not Elasticsearch, says its answer (no header X-Elastic-Product); check urls"
        elif isinstance(error, ApiError):
            found, status = error_in(error.body), error.status_code
            text = f"HTTP {status}: {self._readable(found or error.body or 'no reason given')}"
            is_unfit = found is not None and (found.is_too_large(size) or (status == 400 and not found.remedy))
            if status == 413 or is_unfit:
                return Refused(text)
            problem = f"{text}; {found.remedy}" if found is not None and found.remedy else text
            if status == 406 and "compatible-with" in text:
                problem += "; this is OpenSearch, or an Elasticsearch before 8: lexilog writes to Elasticsearch 8 and 9"
            wait = _retry_after(error.meta.headers.get("retry-after"))
        elif isinstance(error, ConnectionTimeout):
            problem = f"no answer within {self._settings.timeout:g} s"
        elif isinstance(error, msgspec.ValidationError):
            problem = f"the answer is not one to a bulk request: {error}"
        elif isinstance(error, SerializationError):
            problem = f"the server does not answer like Elasticsearch; check urls: {self._readable(error.message)}"
        else:
            problem = f"{type(error).__name__}: {self._readable(_problem(error, self._files))}"
        return RelayError(f"{self._where}: {problem}", wait)

    def _readable(self, words: object) -> str:
        """Return the server's words as they may stand in a message."""
        return excerpt(str(words), self._secrets)

    async def close(self) -> None:
        """Close the connections."""
        clients, self._clients = self._clients, None
        if clients is not None:
            await clients.close()


def _node(url: str, context: ssl.SSLContext | None) -> NodeConfig:
    node = url_to_node_config(url, use_default_ports_for_scheme=True)
    return dataclasses.replace(node, ssl_context=context) if node.scheme == "https" else node


def _item(record: Enriched) -> _Item:
    stream, document = encode_finished(record, _finish, fit)
    action = {"_index": stream}
    if isinstance(key := record.fields.get("event.id"), str):
        action["_id"] = key
    ours = "-".join(record.fields.get(f"data_stream.{part}", default) for part, default in _DEFAULTS.items())
    lines = msgspec.json.encode({"create": action}) + b"\n" + document + b"\n"
    return _Item(record, lines, None if stream in (ours, "-".join(_DEFAULTS.values())) else stream)


def _finish(document: dict[str, Any]) -> str:
    """Return a document's data stream; the document says the same, nested, when this is done."""
    nested = document.get("data_stream")
    nested = dict(nested) if isinstance(nested, Mapping) else {}
    for part, default in _DEFAULTS.items():
        flat = document.pop(f"data_stream.{part}", None)
        nested[part] = _stream_part(nested.get(part)) or _stream_part(flat) or default
    # What goes through here are logs, and templates for other types are made for something else.
    nested["type"] = _DEFAULTS["type"]
    document["data_stream"] = nested
    return "-".join(nested[part] for part in _DEFAULTS)


def _stream_part(value: object) -> str:
    """Return a text as a part of a data stream's name; empty where nothing is left of it."""
    return _OTHER.sub("_", value.lower())[:100].lstrip("_.") if isinstance(value, str) else ""


def _problem(error: Exception, files: TlsFiles | None) -> str:
    """Return what a failure of the client says; the one of the connection is behind its own."""
    if isinstance(error.__context__, ClientConnectionError):
        return connection_problem(error.__context__, files)
    return str(getattr(error, "message", error))


def _pause(attempt: int) -> float:
    """Return the seconds before an attempt, counted from 0, so that many senders do not come back at once."""
    return min(_LONGEST_PAUSE, _FIRST_PAUSE * 2.0 ** (attempt - 1)) * random.uniform(0.5, 1.0)  # noqa: S311


def _retry_after(header: str | None) -> float:
    """Return what a Retry-After header asks for, in seconds; 1 s for a date, which clusters do not send."""
    return seconds(float(header)) if header is not None and re.fullmatch(r"[0-9]{1,9}", header) else 1.0
