"""The processor that Redpanda Connect runs as a plug-in, on Redpanda's own Python SDK (PyPI: redpanda-connect).

One batch in, one batch out, with the same messages in the same order. A message's payload becomes the ECS document; its
metadata stays. When this process does not answer, Connect passes the batch on as it came, and marks its messages as
failed.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Sequence
from datetime import datetime
from itertools import chain
from typing import Any, Protocol, TypeVar

import msgspec

from lexilog.enrich.document import encode_json
from lexilog.errors import OriginError
from lexilog.model import Record
from lexilog.otlp.as_json import parse_json
from lexilog.pipeline import Pipeline
from lexilog.service.ids import batch_ids
from lexilog.service.metrics import Counts
from lexilog.service.work import process_batch

__all__ = ["RedpandaProcessor"]

_DOOR = "redpanda"
# What a JSON object or text begins with; anything else is a line, and no time is lost on it.
_JSON = ("{", '"')
# Maps arrive with their keys in any order.
_encoder = msgspec.json.Encoder(order="deterministic")

_log = logging.getLogger(__name__)


class _Message(Protocol):
    """What is used of the SDK's ``Message``.

    Attributes:
        payload: bytes, or another ``Value`` of the SDK: None, text, bool, a number, a datetime (UTC, without a zone), a
            dict or a list.
        metadata: values by name.
    """

    payload: Any
    metadata: dict[str, Any]


_M = TypeVar("_M", bound=_Message)


class RedpandaProcessor:
    """What the SDK calls a ``Processor``.

    Args:
        pipeline: enriches.
        body_keys: where the line stands in a payload that is a map.
        counts: counts records.
    """

    def __init__(self, pipeline: Pipeline, body_keys: Sequence[str], counts: Counts) -> None:
        self._pipeline = pipeline
        self._body_keys = tuple(body_keys)
        self._counts = counts

    async def process(self, batch: list[_M]) -> list[list[_M]]:
        """Enrich a batch in place, and return it as the only one."""
        ids = _ids_of(batch)
        records = (_to_record(message.payload, self._body_keys, next(ids)) for message in batch)
        done = await process_batch(self._pipeline, records)
        for message, enriched in zip(batch, done, strict=True):
            message.payload = encode_json(enriched)
            self._counts.add(_DOOR, enriched, "answered")
        return [batch]

    async def close(self) -> None:
        """Say what has been done."""
        _log.info("closed; records: %s", self._counts.summary())


def _ids_of(batch: Sequence[_Message]) -> Iterator[str]:
    """Yield the ids of a batch's messages.

    The same messages in the same batch, metadata included, have the same ids when Connect gives them out again. What it
    cuts into other batches by then, as after a restart, has other ids. Two batches that are equal in payloads and
    metadata are taken for one; an offset or a time among the metadata tells them apart.
    """
    parts = chain.from_iterable((message.payload, message.metadata) for message in batch)
    return batch_ids(*(part if isinstance(part, bytes) else _encoder.encode(part) for part in parts))


def _to_record(payload: Any, body_keys: Sequence[str], number: str) -> Record:
    found = _plain(payload)
    if isinstance(found, str):
        found = _read(found)
    if isinstance(found, dict):
        return Record.from_map(found, body_keys, id=number)
    if isinstance(found, str):
        return Record(line=found, id=number)
    text = json.dumps(found, ensure_ascii=False, default=datetime.isoformat)
    return Record(line=text, id=number, problem="no record: neither an object nor text")


def _read(text: str) -> Any:
    """Return what a text holds: a JSON object or JSON text; all else is a line as it stands."""
    if text.lstrip().startswith(_JSON):
        try:
            return parse_json(text.encode("utf-8", "surrogateescape"))
        except OriginError:
            pass
    return text


def _plain(value: Any) -> Any:
    """Return a value with text in the place of bytes: they are what Bloblang's ``content()`` puts into a map."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "surrogateescape")
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value
