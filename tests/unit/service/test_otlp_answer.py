"""What an OTLP sender hears can be sent, whatever the next hop has said."""

from __future__ import annotations

import pytest
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse

from lexilog import Enriched, OriginError, Pipeline, Record, RelayError
from lexilog.errors import LexilogError
from lexilog.relay import Delivery
from lexilog.relay.base import Refusal
from lexilog.service.otlp_answer import answer_to, status_of


@pytest.fixture
def enriched(pipeline: Pipeline) -> Enriched:
    return pipeline.process(Record(line="x"))


def test_reasons_that_are_not_utf_8_are_escaped(enriched: Enriched) -> None:
    """A reason may quote the record, or a next hop that does not write UTF-8: the delivery is answered all the same."""
    delivery = Delivery((Refusal(enriched, "odd \udcff value"),), unnamed=2, message="and \ud800")
    answer = ExportLogsServiceResponse.FromString(answer_to(delivery).SerializeToString())
    assert answer.partial_success.rejected_log_records == 3
    assert answer.partial_success.error_message == "odd \\xff value; and \\xed\\xa0\\x80"


@pytest.mark.parametrize("count", [2**63 - 1, 2**63, 2**80])
def test_a_count_beyond_int64_is_the_largest_there_is(count: int, enriched: Enriched) -> None:
    """A next hop that counts wrongly does not make a delivery fail."""
    delivery = Delivery((Refusal(enriched, "odd"),), unnamed=count)
    assert answer_to(delivery).partial_success.rejected_log_records == 2**63 - 1


@pytest.mark.parametrize("kind", [OriginError, RelayError])
def test_errors_that_are_not_utf_8_are_escaped(kind: type[LexilogError]) -> None:
    """The status of an error can be written whatever its text."""
    status = Status.FromString(status_of(kind("caf\udce9")).SerializeToString())
    assert status.message == "caf\\xe9"


def test_long_reasons_are_cut(enriched: Enriched) -> None:
    """gRPC clients take an error with more than 8 KiB of text for one on which records are dropped."""
    assert len(status_of(RelayError("x" * 9_000)).SerializeToString()) < 2_000
    delivery = Delivery(tuple(Refusal(enriched, f"reason {number} " + "é" * 2_000) for number in range(5_000)))
    told = answer_to(delivery).partial_success
    assert told.rejected_log_records == 5_000
    assert len(told.error_message) < 1_100
    assert told.error_message.endswith("; and 4997 reasons more")
