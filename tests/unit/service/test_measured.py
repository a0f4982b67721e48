"""What relays do, as the metrics tell it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from lexilog import Enriched, Pipeline, Record, RelayError
from lexilog.relay import Delivery, Refusal, Relay
from lexilog.relay.memory import MemoryRelay
from lexilog.relay.router import Router
from lexilog.relay.settings import DeadLettersSettings, FileSettings
from lexilog.service.make import make_router
from lexilog.service.measured import Measured
from lexilog.service.metrics import Metrics
from lexilog.service.settings import Settings

AWAY = RelayError("away")


class Says(Relay):
    """A double of a relay: it raises what it is told, or returns what it is told to make of the batch.

    It reaches nothing; `open`, `check` and `close` note that they were called, and `check` raises what it is told.
    """

    def __init__(self, answer: Any = None, check: Exception | None = None) -> None:
        self.answer = answer or (lambda batch: Delivery())
        self.problem = check
        self.calls: list[str] = []

    async def open(self) -> None:
        self.calls.append("open")

    async def check(self) -> None:
        self.calls.append("check")
        if self.problem:
            raise self.problem

    async def deliver(self, batch: Sequence[Enriched]) -> Delivery:
        if isinstance(self.answer, BaseException):
            raise self.answer
        delivery: Delivery = self.answer(batch)
        return delivery

    async def close(self) -> None:
        self.calls.append("close")


@pytest.fixture(scope="module")
def batch() -> list[Enriched]:
    return Pipeline([]).process_all([Record(line=str(number), id=str(number)) for number in range(5)])


def _value(metrics: Metrics, name: str, labels: Mapping[str, str]) -> float | None:
    return metrics.registry.get_sample_value(name, dict(labels))


def _told(metrics: Metrics, relay: str) -> dict[str, float | None]:
    """Return what is known of a relay: up, records by result, and deliveries by result."""
    found = {"up": _value(metrics, "lexilog_relay_up", {"relay": relay})}
    for result in ("taken", "refused", "lost"):
        found[result] = _value(metrics, "lexilog_relay_records_total", {"relay": relay, "result": result})
    for result in ("ok", "failed"):
        found[result] = _value(metrics, "lexilog_relay_duration_seconds_count", {"relay": relay, "result": result})
    return found


def _deliver(relay: Relay, batch: Sequence[Enriched]) -> tuple[Metrics, Any]:
    metrics = Metrics()

    async def run() -> Any:
        try:
            return await Measured("siem", relay, metrics).deliver(batch)
        except Exception as error:
            return error

    return metrics, asyncio.run(run())


@pytest.mark.parametrize(
    ("answer", "taken", "refused"),
    [
        (lambda batch: Delivery(), 5, 0),
        (lambda batch: Delivery(refused=(Refusal(batch[0], "a"), Refusal(batch[1], "b"))), 3, 2),
        (lambda batch: Delivery(unnamed=1, message="one of you"), 4, 1),
        (lambda batch: Delivery(refused=(Refusal(batch[0], "a"),), unnamed=9), 0, 10),
    ],
)
def test_records_are_taken_or_refused(
    batch: list[Enriched], answer: Callable[[Any], Delivery], taken: int, refused: int
) -> None:
    """Each record of a batch that a relay has taken is counted; what the relay says is passed on as it is."""
    metrics, delivery = _deliver(Says(answer), batch)
    assert delivery == answer(batch)
    assert _told(metrics, "siem") == {
        "up": 1, "taken": taken, "refused": refused, "lost": 0, "ok": 1, "failed": 0,
    }  # fmt: skip


@pytest.mark.parametrize("problem", [AWAY, KeyError("a defect")])
def test_a_delivery_that_fails_counts_no_records(batch: list[Enriched], problem: Exception) -> None:
    """The sender keeps them; the relay is not up, and the time that it took is there; the error is the same."""
    metrics, error = _deliver(Says(problem), batch)
    assert error is problem
    assert _told(metrics, "siem") == {"up": 0, "taken": 0, "refused": 0, "lost": 0, "ok": 0, "failed": 1}


def test_nothing_is_told_of_a_relay_before_it_was_used() -> None:
    """A relay that has had nothing to do is neither up nor away, but its counters are there, to be compared with."""
    metrics = Metrics()
    Measured("siem", Says(), metrics)
    assert _told(metrics, "siem") == {"up": None, "taken": 0, "refused": 0, "lost": 0, "ok": 0, "failed": 0}


def test_a_relay_comes_back(batch: list[Enriched]) -> None:
    """The last delivery counts."""
    metrics, relay = Metrics(), Says(AWAY)
    measured = Measured("siem", relay, metrics)

    async def run() -> None:
        with pytest.raises(RelayError):
            await measured.deliver(batch)
        relay.answer = lambda batch: Delivery()
        await measured.deliver(batch)

    asyncio.run(run())
    assert _told(metrics, "siem") == {"up": 1, "taken": 5, "refused": 0, "lost": 0, "ok": 1, "failed": 1}


def test_a_sender_that_goes_says_nothing_of_the_relay() -> None:
    """A delivery that is called off took its time, but the relay is as up as it was."""
    metrics, measured = Metrics(), None

    async def run() -> None:
        stuck = asyncio.Event()

        class Stuck(MemoryRelay):
            async def deliver(self, batch: Sequence[Enriched]) -> Delivery:
                await stuck.wait()
                return Delivery()

        nonlocal measured
        measured = Measured("siem", Stuck(), metrics)
        task = asyncio.create_task(measured.deliver([]))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task], timeout=5)
        assert task.cancelled()

    asyncio.run(run())
    assert _told(metrics, "siem") == {"up": None, "taken": 0, "refused": 0, "lost": 0, "ok": 0, "failed": 1}


def test_the_other_stages_reach_the_relay() -> None:
    """It is opened, asked and closed as if it stood there alone; one that is known to be away is not up."""
    metrics, relay = Metrics(), Says(check=AWAY)
    measured = Measured("siem", relay, metrics)

    async def run() -> None:
        await measured.open()
        with pytest.raises(RelayError):
            await measured.check()
        await measured.close()

    asyncio.run(run())
    assert relay.calls == ["open", "check", "close"]
    assert _told(metrics, "siem")["up"] == 0


def _route(relays: Mapping[str, Relay], metrics: Metrics, use: Callable[[Router], Coroutine[Any, Any, None]]) -> None:
    """Run something with a router in which nobody has to have what the relay `extra` does not take."""
    measured = {name: Measured(name, relay, metrics) for name, relay in relays.items()}
    router = Router(measured, optional=["extra"], on_lost=lambda name, count: measured[name].lose(count))

    async def run() -> None:
        await use(router)
        await router.close()

    asyncio.run(run())


def test_what_a_relay_that_is_not_required_does_not_take_is_lost(batch: list[Enriched]) -> None:
    """Where nobody keeps the records it is counted how many are gone."""
    metrics = Metrics()

    async def use(router: Router) -> None:
        await router.deliver(batch)
        await asyncio.sleep(0)
        await router.deliver(batch[:2])

    _route({"good": MemoryRelay(), "extra": Says(AWAY)}, metrics, use)
    assert _told(metrics, "extra")["lost"] == 7
    assert _told(metrics, "good")["lost"] == 0
    assert _told(metrics, "good")["taken"] == 7


def test_a_refused_record_is_not_lost_as_well(batch: list[Enriched]) -> None:
    """Each record has one result, of a relay that is not required too."""
    metrics = Metrics()

    async def use(router: Router) -> None:
        await router.deliver(batch)

    refusing = Says(lambda batch: Delivery(refused=(Refusal(batch[0], "odd"),)))
    _route({"good": MemoryRelay(), "extra": refusing}, metrics, use)
    told = _told(metrics, "extra")
    assert (told["taken"], told["refused"], told["lost"]) == (4, 1, 0)


def test_what_still_waits_at_the_end_is_lost(batch: list[Enriched], monkeypatch: pytest.MonkeyPatch) -> None:
    """A relay that is stuck when the server stops has not taken what was handed to it."""
    monkeypatch.setattr("lexilog.relay.best_effort._PATIENCE", 0.05)
    metrics = Metrics()

    class Stuck(MemoryRelay):
        async def deliver(self, batch: Sequence[Enriched]) -> Delivery:
            await asyncio.Event().wait()
            return Delivery()

    async def use(router: Router) -> None:
        await router.deliver(batch)
        await router.deliver(batch)

    _route({"good": MemoryRelay(), "extra": Stuck()}, metrics, use)
    assert _told(metrics, "extra")["lost"] == 10


def test_the_relays_of_the_settings_are_measured(batch: list[Enriched], tmp_path: Path) -> None:
    """Whatever the settings name is counted under its name."""
    metrics = Metrics()
    relays = {"one": FileSettings(path=tmp_path / "one"), "two": FileSettings(path=tmp_path / "two", required=False)}
    router = make_router(Settings(relays=relays), metrics)

    async def run() -> None:
        await router.open()
        await router.deliver(batch)
        await router.close()

    asyncio.run(run())
    assert [_told(metrics, name)["taken"] for name in relays] == [5, 5]


def test_dead_letters_tell_how_full_they_are(tmp_path: Path, batch: Sequence[Enriched]) -> None:
    """Both numbers are there, so that an alert can compare them; without dead letters they are 0."""
    metrics = Metrics()
    file = FileSettings(path=tmp_path / "out")
    make_router(Settings(relays={"file": file}), metrics)
    assert _dead(metrics) == (0, 0)
    told = Settings(
        relays={"file": file}, dead_letters=DeadLettersSettings(path=tmp_path / "dead", max_bytes=1_000_000)
    )
    router = make_router(told, metrics)
    refused = Says(lambda batch: Delivery(refused=tuple(Refusal(one, "no") for one in batch)))
    router._relays["file"] = refused

    async def run() -> None:
        await router.open()
        await router.deliver(batch)
        await router.close()

    asyncio.run(run())
    held = sum(file.stat().st_size for file in (tmp_path / "dead").glob("dead-*"))
    assert held
    assert _dead(metrics) == (held, 1_000_000)


def _dead(metrics: Metrics) -> tuple[float | None, float | None]:
    value = metrics.registry.get_sample_value
    return value("lexilog_dead_letters_bytes"), value("lexilog_dead_letters_max_bytes")
