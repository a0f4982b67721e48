"""The door for programs: EnrichService; its promises stand in proto/lexilog/v1/enrich.proto."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, TypeVar

import grpc
import grpc.aio
import msgspec
from google.protobuf.message import DecodeError, Message

from lexilog._proto.v1 import enrich_pb2 as pb
from lexilog.catalog.search import find_entries, query_words, search_entries
from lexilog.enrich.document import encode_json
from lexilog.errors import OriginError, TooLargeError
from lexilog.model import Enriched, Entry, Outcome, Record
from lexilog.otlp.count import check_count
from lexilog.otlp.decode import to_time
from lexilog.service.door import Hall
from lexilog.service.ids import batch_ids
from lexilog.service.metrics import Key
from lexilog.service.tracing import span
from lexilog.service.work import process_slice

__all__ = ["DOOR", "SERVICE", "EnrichDoor"]

SERVICE = "lexilog.v1.EnrichService"
DOOR = "enrich"
_LIMIT = 20
# Where the records stand in a request.
_RECORDS = (1,)
_STATUS = {
    Outcome.MATCHED: pb.STATUS_MATCHED,
    Outcome.UNKNOWN: pb.STATUS_UNKNOWN,
    Outcome.ERROR: pb.STATUS_FAILED,
}

_log = logging.getLogger(__name__)
_Request = TypeVar("_Request", bound=Message)


class EnrichDoor:
    """Answers EnrichService.

    Args:
        hall: enriches, and says whose turn it is.
        max_records: how many records a request may hold.
        host_of: returns who calls.
    """

    def __init__(self, hall: Hall, max_records: int, host_of: Callable[[Any], str]) -> None:
        self._hall = hall
        self._knowledge = hall.knowledge
        self._counts = hall.counts
        self._max_records = max_records
        self._host_of = host_of

    def methods(self) -> dict[str, Any]:
        """Return the methods by name. They take the raw messages, so that what is no request is told so."""

        async def describe(data: bytes, context: Any) -> pb.DescribeResponse:
            return await self.Describe(self._read(pb.DescribeRequest, data), context)

        async def search(data: bytes, context: Any) -> pb.SearchResponse:
            return await self.Search(self._read(pb.SearchRequest, data), context)

        unary, stream = grpc.unary_unary_rpc_method_handler, grpc.stream_stream_rpc_method_handler
        return {
            "Enrich": unary(self.Enrich, None, pb.EnrichResponse.SerializeToString),
            "EnrichStream": stream(self.EnrichStream, None, pb.EnrichResponse.SerializeToString),
            "Describe": unary(describe, None, pb.DescribeResponse.SerializeToString),
            "Search": unary(search, None, pb.SearchResponse.SerializeToString),
        }

    def _read(self, kind: type[_Request], data: bytes) -> _Request:
        """Return the request that a message is."""
        try:
            return kind.FromString(data)
        except DecodeError as error:
            raise self._refused(OriginError(f"the message is no {kind.DESCRIPTOR.full_name}: {error}")) from error

    def _refused(self, error: OriginError) -> OriginError:
        self._counts.add_unread(DOOR, "refused")
        _log.warning("a request to the door %s is refused for good: %s", DOOR, error)
        return error

    async def Enrich(self, data: bytes, context: Any) -> pb.EnrichResponse:  # noqa: N802
        """Enrich one batch."""
        return await self._enrich(data, self._host_of(context))

    async def EnrichStream(  # noqa: N802
        self, messages: AsyncIterator[bytes], context: Any
    ) -> AsyncIterator[pb.EnrichResponse]:
        """Enrich one batch after the other; the next is read when the transport has taken the answer."""
        client = self._host_of(context)
        async for data in messages:
            yield await self._enrich(data, client)

    async def Describe(self, request: pb.DescribeRequest, context: Any) -> pb.DescribeResponse:  # noqa: N802
        """Return one entry."""
        found = find_entries(self._knowledge.pipeline.entries, request.id, request.catalog)
        if not found:
            where = f"catalogue '{request.catalog}'" if request.catalog else "any catalogue"
            await context.abort(grpc.StatusCode.NOT_FOUND, f"no entry '{request.id}' in {where}; Search finds entries")
        return pb.DescribeResponse(entry=_to_entry(found[0]))

    async def Search(self, request: pb.SearchRequest, context: Any) -> pb.SearchResponse:  # noqa: N802
        """Return the entries that hold all words."""
        if not query_words(request.query):
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "query has no word: give one to look for")
        found = search_entries(self._knowledge.pipeline.entries, request.query, request.limit or _LIMIT)
        return pb.SearchResponse(entries=map(_to_entry, found))

    async def _enrich(self, data: bytes, client: str) -> pb.EnrichResponse:
        """Enrich a request by turns with other clients; of what is not answered nothing is counted."""
        pipeline, turns = self._knowledge.pipeline, self._hall.turns
        duration = self._counts.metrics["enrich_duration_seconds"].labels(DOOR)
        results: list[pb.Result] = []
        keys: Counter[Key] = Counter()
        unknown: list[Enriched] = []
        with self._hall.pending.hold(client, len(data)), span("lexilog.enrich"):
            async with turns.turn(client):
                records = self._records(data)
            more = True
            while more:
                async with turns.turn(client):
                    with duration.time():
                        done, more = process_slice(pipeline.process, records)
                    results.extend(map(_to_result, done))
                keys.update(self._counts.key(DOOR, enriched, "answered") for enriched in done)
                unknown.extend(enriched for enriched in done if enriched.unknown is not None)
        self._counts.add_all(keys)
        self._counts.note_unknown(unknown)
        return pb.EnrichResponse(results=results)

    def _records(self, data: bytes) -> Iterator[Record]:
        """Return the records of a request."""
        try:
            check_count(data, _RECORDS, self._max_records)
        except TooLargeError as error:
            raise self._refused(error) from None
        request = self._read(pb.EnrichRequest, data)
        ids = batch_ids(request.SerializeToString(deterministic=True))
        return (_to_record(item, next(ids)) for item in request.records)


def _to_record(item: pb.Record, number: str) -> Record:
    fields: dict[str, Any] = {}
    problem = None
    try:
        fields = msgspec.json.decode(item.fields, type=dict[str, Any]) if item.fields else {}
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        problem = f"fields: not a JSON object: {error}"
    line = item.line.decode("utf-8", "surrogateescape")
    return Record(line=line, fields=fields, time=to_time(item.time_unix_nano), id=number, problem=problem)


def _to_result(enriched: Enriched) -> pb.Result:
    entry = enriched.match.entry if enriched.match else None
    return pb.Result(
        status=_STATUS[enriched.outcome],
        reason=enriched.reason,
        document=encode_json(enriched),
        catalog=entry.catalog if entry else "",
        id=entry.id if entry else "",
        candidates=enriched.match.candidates if enriched.match else (),
    )


def _to_entry(entry: Entry) -> pb.Entry:
    level = entry.level()
    return pb.Entry(
        catalog=entry.catalog,
        catalog_version=entry.catalog_version,
        id=entry.id,
        title=entry.title,
        formats=entry.formats,
        variables=[pb.Variable(name=v.name, type=v.type, fields=v.fields) for v in entry.variables.values()],
        severity=entry.severity or "",
        severity_code=level.code if level else None,
        facility=entry.facility or "",
        facility_code=entry.facility_code,
        type=entry.type or "",
        impact=entry.impact,
        explanation=entry.explanation,
        cause=entry.cause,
        action=entry.action,
        event_category=entry.event.category,
        event_type=entry.event.type,
        event_outcome=entry.event.outcome or "",
        event_action=entry.event.action,
        source_document=entry.source["document"],
        source_section=entry.source["section"],
        notes=entry.notes,
        parameters=entry.parameters,
        categories=entry.categories,
        vendor_action=entry.vendor_action or "",
        provenance=entry.provenance,
        diagnostics=entry.diagnostics,
        role=entry.role or "",
    )
