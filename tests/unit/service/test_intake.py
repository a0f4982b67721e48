"""Where doors bring records: what they hear, and that every record is counted once, with an outcome and a reason."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from doors import hall, intake
from lexilog import Enriched, OriginError, Pipeline, Record, RelayError
from lexilog.relay import Delivery, Refusal
from lexilog.relay.memory import MemoryRelay
from lexilog.service import intake as intake_module
from lexilog.service import work as work_module
from lexilog.service.metrics import Counts

KNOWN = "KMD_VPN_DOWN_ALARM_USER: VPN v1 from 198.51.100.7 is down."
CLIENT = "192.0.2.1"
SIZE = 100


def _read() -> list[Record]:
    return [Record(line=KNOWN), Record(line="x", problem="odd"), Record(line="y")]


class Says(MemoryRelay):
    """Answers what it is told: raises it, or makes a delivery of the batch."""

    def __init__(self, answer: Any) -> None:
        super().__init__()
        self.answer = answer

    async def deliver(self, batch: Sequence[Enriched]) -> Delivery:
        if isinstance(self.answer, Exception):
            raise self.answer
        answer: Delivery = self.answer(batch)
        return answer


def _take(pipeline: Pipeline, relay: MemoryRelay) -> tuple[Any, dict[tuple[str, ...], int]]:
    counts = Counts()

    async def run() -> Any:
        taker = intake(pipeline, relay, counts)
        try:
            return await taker.take("door", CLIENT, SIZE, _read)
        except RelayError as error:
            return error
        finally:
            await taker.close()

    answer = asyncio.run(run())
    return answer, {(key.outcome, key.reason, key.delivery): count for key, count in counts.items()}


def test_taken_records_are_counted(pipeline: Pipeline) -> None:
    """A record that the door could not read passes too."""
    relay = MemoryRelay()
    assert _take(pipeline, relay) == (
        Delivery(),
        {
            ("matched", "exact", "relayed"): 1,
            ("error", "invalid_record", "relayed"): 1,
            ("unknown", "no_frame", "relayed"): 1,
        },
    )
    assert [one.record.line for one in relay.records] == [KNOWN, "x", "y"]
    assert relay.records[1].fields["error.message"] == "odd"


def test_refused_and_stored_records_are_told_apart(pipeline: Pipeline) -> None:
    """What the sender is told of is rejected; what is among the dead letters is stored; the rest is relayed."""
    relay = Says(lambda batch: Delivery(refused=(Refusal(batch[0], "a"),), stored=(Refusal(batch[2], "b"),)))
    _, counts = _take(pipeline, relay)
    assert counts == {
        ("matched", "exact", "rejected"): 1,
        ("error", "invalid_record", "relayed"): 1,
        ("unknown", "no_frame", "stored"): 1,
    }


def test_unnamed_refusals_count_for_the_whole_batch(pipeline: Pipeline) -> None:
    """Nobody knows which of them it was."""
    _, counts = _take(pipeline, Says(lambda batch: Delivery(unnamed=1, message="one of you")))
    assert {delivery for _, _, delivery in counts} == {"rejected"}
    assert sum(counts.values()) == 3


@pytest.mark.parametrize("problem", [RelayError("away", retry_after=5), KeyError("a defect")])
def test_whatever_goes_wrong_the_sender_keeps_its_records(pipeline: Pipeline, problem: Exception) -> None:
    """A relay that is away, and one with a defect, are the same to the sender."""
    answer, counts = _take(pipeline, Says(problem))
    assert isinstance(answer, RelayError)
    assert answer.retry_after == (5 if isinstance(problem, RelayError) else 1)
    assert {delivery for _, _, delivery in counts} == {"returned"}
    assert sum(counts.values()) == 3


def test_a_request_that_cannot_be_read_is_refused(pipeline: Pipeline) -> None:
    """It is the sender's mistake; it is counted as one request."""
    counts = Counts()

    def read() -> Iterator[Record]:
        raise OriginError("no request")
        yield

    async def run() -> None:
        with pytest.raises(OriginError, match="no request"):
            await intake(pipeline, MemoryRelay(), counts).take("door", CLIENT, SIZE, read)

    asyncio.run(run())
    assert counts.items() == [(("door", "", "unread", "request", "refused"), 1)]


def test_a_sender_that_goes_calls_its_batch_off(pipeline: Pipeline) -> None:
    """Nobody waits for the answer any more, and the place is free for others."""
    counts, stuck = Counts(), asyncio.Event()

    class Stuck(MemoryRelay):
        async def deliver(self, batch: Sequence[Enriched]) -> Delivery:
            await stuck.wait()
            return await super().deliver(batch)

    async def run() -> None:
        taker = intake(pipeline, Stuck(), counts)
        gone = [asyncio.create_task(taker.take("door", CLIENT, SIZE, _read)) for _ in range(4)]
        await asyncio.sleep(0.05)
        for task in gone:
            task.cancel()
        assert all(
            isinstance(one, asyncio.CancelledError) for one in await asyncio.gather(*gone, return_exceptions=True)
        )
        stuck.set()
        await taker.take("door", CLIENT, SIZE, _read)

    asyncio.run(run())
    found = {(key.reason, key.delivery): count for key, count in counts.items()}
    assert found["request", "returned"] == 2, "two were at work, two waited for their turn"
    assert found["exact", "returned"] == 2
    assert found["exact", "relayed"] == 1


def test_a_stop_gives_every_batch_back(pipeline: Pipeline) -> None:
    """What is under way when the grace is over, and what comes later, stays with its sender, which hears so."""

    class Stuck(MemoryRelay):
        async def deliver(self, batch: Sequence[Enriched]) -> Delivery:
            await asyncio.sleep(3600)
            raise AssertionError

    async def run() -> None:
        taker = intake(pipeline, Stuck(), counts)
        task = asyncio.create_task(taker.take("door", CLIENT, SIZE, _read))
        await asyncio.sleep(0.05)
        await taker.close()
        with pytest.raises(RelayError, match="stops"):
            await task
        with pytest.raises(RelayError, match="stops"):
            await taker.take("door", CLIENT, SIZE, _read)
        with pytest.raises(RelayError, match="stops"):
            await taker.take("keeps", CLIENT, SIZE, _read, kept=True)

    counts = Counts()
    asyncio.run(run())
    found = {(key.door, key.reason, key.delivery): count for key, count in counts.items()}
    assert found.pop(("door", "request", "returned")) == 1, "what came later is counted"
    assert set(found.values()) == {1}
    assert len(found) == 3


def test_each_relay_has_a_warning_of_its_own(pipeline: Pipeline, caplog: pytest.LogCaptureFixture) -> None:
    """What is said once a minute is told apart by the relay that an error begins with, whatever else it says."""
    for problem in ("relay a: host:1: away", "relay b: host:2: away", "relay a: 25 records not taken"):
        _take(pipeline, Says(RelayError(problem)))
    found: list[Any] = [record for record in caplog.records if "stay with their sender" in record.message]
    assert [record.once for record in found] == ["relay a", "relay b", "relay a"]


def test_records_are_enriched_when_it_is_their_turn(pipeline: Pipeline) -> None:
    """Whoever is only answered has its turns among those who hand records on; nothing is read before."""
    read: list[str] = []

    def note() -> list[Record]:
        read.append("read")
        return _read()

    async def run() -> None:
        behind = hall(pipeline, MemoryRelay())
        assert behind.intake
        async with behind.turns.turn("a"), behind.turns.turn("b"):
            task = asyncio.create_task(behind.intake.take("door", CLIENT, SIZE, note))
            await asyncio.sleep(0.05)
            assert behind.pending.used == SIZE
            assert not read
        await asyncio.wait_for(task, 10)
        assert behind.pending.used == 0

    asyncio.run(run())


@pytest.mark.parametrize(("limit", "value"), [("_MOST_RECORDS", 2), ("_MOST_TEXT", 50)])
def test_a_large_request_is_handed_on_in_pieces(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch, limit: str, value: int
) -> None:
    """So that many small records do not take a hundred times their bytes; each is counted once, and in order."""
    monkeypatch.setattr(intake_module, limit, value)
    sizes = []

    class Notes(MemoryRelay):
        async def deliver(self, batch: Sequence[Enriched]) -> Delivery:
            sizes.append(len(batch))
            return await super().deliver(batch)

    relay = Notes()
    _, counts = _take(pipeline, relay)
    assert len(sizes) > 1
    assert [one.record.line for one in relay.records] == [KNOWN, "x", "y"]
    assert list(counts.values()) == [1, 1, 1]


def test_a_piece_that_fails_gives_the_whole_request_back(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was taken before comes again with the rest, so it is not counted as relayed yet."""
    monkeypatch.setattr(intake_module, "_MOST_RECORDS", 1)
    calls = iter([Delivery(), RelayError("away")])

    class Once(MemoryRelay):
        async def deliver(self, batch: Sequence[Enriched]) -> Delivery:
            answer = next(calls)
            if isinstance(answer, RelayError):
                raise answer
            return answer

    answer, counts = _take(pipeline, Once())
    assert isinstance(answer, RelayError)
    assert counts == {("error", "invalid_record", "returned"): 1, ("matched", "exact", "returned"): 1}


def test_others_have_their_turns_while_a_large_request_is_enriched(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever has one record enriched does not wait for ten thousand of another client."""
    monkeypatch.setattr(work_module, "_SLICE", 1)
    order: list[str | None] = []

    def read() -> Iterator[Record]:
        for record in _read():
            order.append(record.line)
            yield record

    async def run() -> None:
        relay = MemoryRelay()
        behind = hall(pipeline, relay)
        assert behind.intake
        task = asyncio.create_task(behind.intake.take("door", CLIENT, SIZE, read))
        async with asyncio.timeout(10), behind.turns.turn("first"):
            while not task.done():
                async with behind.turns.turn("another"):
                    order.append("another")
        await task
        assert [one.record.line for one in relay.records] == [KNOWN, "x", "y"]

    asyncio.run(run())
    mine = [order.index(line) for line in (KNOWN, "x", "y")]
    assert "another" in order[mine[0] : mine[1]]
    assert "another" in order[mine[1] : mine[2]]


def test_what_the_door_keeps_is_not_returned(pipeline: Pipeline) -> None:
    """A door that brings records again itself counts them when it is through with them."""
    counts = Counts()

    async def run() -> None:
        taker = intake(pipeline, Says(RelayError("away")), counts)
        with pytest.raises(RelayError):
            await taker.take("door", CLIENT, SIZE, _read, kept=True)

    asyncio.run(run())
    assert counts.items() == []


def test_what_is_delivered_does_not_wait_for_another_turn(pipeline: Pipeline) -> None:
    """A next hop that goes away behind a request's last record does not send back what it has taken."""
    checks = iter([None, RelayError("away")])

    class GoesAway(MemoryRelay):
        async def check(self) -> None:
            if problem := next(checks):
                raise problem

    relay = GoesAway()
    answer, counts = _take(pipeline, relay)
    assert answer == Delivery()
    assert len(relay.records) == 3
    assert {delivery for _, _, delivery in counts} == {"relayed"}
