"""What a cluster answers to a bulk request, and what its errors mean for the records in it.

The answers are those of https://www.elastic.co/docs/api/doc/elasticsearch/operation/operation-bulk; which types and
words errors have is not documented, and was seen on Elasticsearch 9.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec
from msgspec import Struct

__all__ = ["Answer", "BulkError", "Result", "error_in"]

# Types of errors that the operator mends, and how. A record is never to blame for these, whatever their status is.
_MENDED = {
    "cluster_block_exception": "lift the block",
    "index_closed_exception": "open the index",
    "index_not_found_exception": "install the index template that makes it a data stream",
    "media_type_header_exception": "the cluster must be Elasticsearch 9 or newer",
    "resource_not_found_exception": "remove the plain index, and install the index template",
    "security_exception": "check the credentials, and their privileges create_doc and auto_configure",
    "validation_exception": "the cluster is at the limit that it names",
}
# The same for errors whose type, illegal_argument_exception, says too little. Reasons may quote a record's values, so
# they are recognised by the whole of their words.
_MENDED_REASONS = {
    r"pipeline with id \[.*\] does not exist": "install the ingest pipeline that the index template names",
    r"request \[[^]]*\] contains unrecognized parameters?: .*": "the cluster must be Elasticsearch 9 or newer",
}
# How a node says that it has no room for an operation (indexing_pressure.memory): the bytes that it is busy with, those
# of the operation, and the limit.
_NO_ROOM = re.compile(
    r"rejected execution of (?P<kind>\w+) operation \[(?:coordinating_and_primary_bytes=(?P<busy>\d+), )?.*"
    r"\b(?P=kind)_operation_bytes=(?P<size>\d+), max_(?P=kind)_bytes=(?P<limit>\d+)\]"
)
# And that an operation is larger than it takes at all (indexing_pressure.memory.max_operation_size).
_OVERSIZE = re.compile(
    r"Request contains an operation of size \[\d+\] bytes, which exceeds the maximum allowed limit of .*"
)


class BulkError(Struct, frozen=True):
    """What Elasticsearch says went wrong."""

    type: str
    reason: str | None = None
    caused_by: BulkError | None = None

    def __str__(self) -> str:
        text = f"{self.type}: {self.reason}" if self.reason else self.type
        cause = self.caused_by
        while cause is not None:
            if cause.reason and cause.reason not in text:
                text += f": {cause.reason}"
            cause = cause.caused_by
        return text

    @property
    def remedy(self) -> str | None:
        """What the operator has to do; None where a record may be to blame."""
        if self.type != "illegal_argument_exception":
            return _MENDED.get(self.type)
        reason = self.reason or ""
        return next((remedy for words, remedy in _MENDED_REASONS.items() if re.fullmatch(words, reason)), None)

    def is_too_large(self, request: int) -> bool:
        """Tell whether an operation has no room, however little else the node has to do.

        A node counts the request beside what it makes of it (an operation on a shard, which is several times as large),
        where it does both: then the two have to fit together.

        Args:
            request: the size of the request, in bytes.
        """
        if self.type != "es_rejected_execution_exception":
            return False
        reason = self.reason or ""
        found = _NO_ROOM.fullmatch(reason)
        if found is None:
            return _OVERSIZE.fullmatch(reason) is not None
        beside = min(request, int(found["busy"] or 0)) if found["kind"] == "primary" else 0
        return beside + int(found["size"]) > int(found["limit"])


class Result(Struct, frozen=True):
    """What became of a document."""

    status: int
    error: BulkError = BulkError("no reason given")

    @property
    def is_taken(self) -> bool:
        """The cluster has the document; 409 says that it had it before."""
        return self.status < 300 or self.status == 409

    def is_about(self, stream: str) -> bool:
        """The cluster has no data stream of that name and cannot make it, or does not let us write to it."""
        is_denied = self.status == 403 and self.error.type == "security_exception"
        return (is_denied or self.status == 404) and f"[{stream}]" in (self.error.reason or "")

    @property
    def is_busy(self) -> bool:
        """The cluster may take the document later."""
        # An ingest pipeline that fails a document on purpose answers 500, and will again.
        return self.status == 429 or (self.status >= 500 and self.error.type != "fail_processor_exception")


class _Created(Struct, frozen=True):
    create: Result


class Answer(Struct, frozen=True):
    """What became of the documents of a request, in order."""

    items: list[_Created]


class _Failed(Struct, frozen=True):
    error: BulkError | str


def error_in(body: Any) -> BulkError | None:
    """Return the error that the body of an answer tells; None where it is not Elasticsearch's."""
    try:
        error = msgspec.convert(body, _Failed).error
    except msgspec.ValidationError:
        return None
    return error if isinstance(error, BulkError) else None
