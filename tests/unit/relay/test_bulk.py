"""What the errors of a cluster mean."""

from __future__ import annotations

import pytest

from lexilog.relay._bulk import BulkError, Result

PIPELINE = "pipeline with id [gone] does not exist"
PARAMETER = "request [/_bulk] contains unrecognized parameters: [a], [b]"


@pytest.mark.parametrize("reason", [PIPELINE, PARAMETER])
def test_words_of_the_cluster_itself_are_the_operators_to_mend(reason: str) -> None:
    """Where the type says too little the whole reason tells what is missing."""
    assert BulkError("illegal_argument_exception", reason).remedy is not None


@pytest.mark.parametrize("words", [PIPELINE, PARAMETER, "pipeline with id ["])
@pytest.mark.parametrize(
    "reason", ['For input string: "{}"', "'{}' is not an IP", "unable to convert [{}] to integer", "failed: {}"]
)
def test_words_that_a_record_brings_mend_nothing(reason: str, words: str) -> None:
    """A reason that quotes a value is about the value, whatever that says; so is any other type of error."""
    assert BulkError("illegal_argument_exception", reason.format(words)).remedy is None
    assert BulkError("document_parsing_exception", words).remedy is None


def _no_room(kind: str, busy: int, size: int, limit: int = 1_000) -> BulkError:
    first = "" if kind == "replica" else f"coordinating_and_primary_bytes={busy}, "
    sizes = f"{first}replica_bytes=0, all_bytes={busy}, {kind}_operation_bytes={size}, max_{kind}_bytes={limit}"
    return BulkError("es_rejected_execution_exception", f"rejected execution of {kind} operation [{sizes}]")


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (_no_room("primary", 0, 1_001), True),
        (_no_room("primary", 900, 1_000), True),
        (_no_room("primary", 0, 1_000), False),
        # The request itself has 200 bytes; whatever else the node is busy with passes.
        (_no_room("primary", 900, 800), False),
        (_no_room("primary", 900, 801), True),
        (_no_room("primary", 100, 801), False),
        (_no_room("coordinating", 900, 1_000), False),
        (_no_room("coordinating", 0, 1_001), True),
        (_no_room("replica", 900, 1_000), False),
        (_no_room("replica", 0, 1_001), True),
        (BulkError("es_rejected_execution_exception", "rejected execution of primary operation"), False),
        (BulkError("es_rejected_execution_exception"), False),
        (
            BulkError(
                "es_rejected_execution_exception",
                "Request contains an operation of size [9] bytes, which exceeds the maximum allowed limit of [8] bytes",
            ),
            True,
        ),
        (BulkError("document_parsing_exception", _no_room("primary", 0, 1_001).reason), False),
    ],
)
def test_what_no_idle_node_has_room_for_is_too_large(error: BulkError, expected: bool) -> None:
    """An operation that would fit if the node had nothing else to do is worth another attempt; a larger one is not."""
    assert error.is_too_large(200) is expected


@pytest.mark.parametrize(
    ("status", "kind", "expected"),
    [
        (429, "es_rejected_execution_exception", True),
        (503, "unavailable_shards_exception", True),
        (500, "illegal_state_exception", True),
        (500, "fail_processor_exception", False),
        (400, "document_parsing_exception", False),
        (409, "version_conflict_engine_exception", False),
    ],
)
def test_a_busy_cluster_may_take_a_document_later(status: int, kind: str, expected: bool) -> None:
    """What a pipeline fails on purpose is no matter of time."""
    assert Result(status, BulkError(kind)).is_busy is expected
