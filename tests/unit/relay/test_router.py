"""Several relays as one: who gets which record, and when the sender hears OK."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any

import pytest

from lexilog import Enriched, Pipeline, Record, RelayError, SettingsError
from lexilog.model import Quality
from lexilog.relay import Delivery, Refusal, Relay, best_effort
from lexilog.relay import router as router_module
from lexilog.relay.dead_letters import DeadLetters
from lexilog.relay.memory import MemoryRelay
from lexilog.relay.router import Router
from lexilog.relay.settings import Route

KNOWN = "KMD_VPN_DOWN_ALARM_USER: VPN v1 from 198.51.100.7 is down."


@pytest.fixture
def batch(pipeline: Pipeline) -> list[Enriched]:
    lines = ["x 0", KNOWN, "x 2", f"<35>Aug  3 10:18:44 srx1 kmd[1]: {KNOWN} more"]
    return pipeline.process_all(Record(line=line, id=f"b-{number}") for number, line in enumerate(lines))


class Flaky(MemoryRelay):
    """Fails as often as it is told, or refuses records that hold a text."""

    def __init__(self, failures: int = 0, refuses: str = "\0", unnamed: int = 0) -> None:
        super().__init__()
        self.failures = failures
        self.refuses = refuses
        self.unnamed = unnamed
        self.calls = 0

    async def deliver(self, batch: Sequence[Enriched]) -> Delivery:
        self.calls += 1
        await asyncio.sleep(0)
        if self.failures:
            self.failures -= 1
            raise RelayError("relay flaky: away", retry_after=7)
        refused = [one for one in batch if self.refuses in (one.record.line or "")]
        await super().deliver([one for one in batch if one not in refused])
        return Delivery(tuple(Refusal(one, "odd") for one in refused), unnamed=self.unnamed)


def _ids(relay: MemoryRelay) -> list[str | None]:
    return [one.record.id for one in relay.records]


def _run(router: Router, work: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
    async def inner() -> Any:
        await router.open()
        try:
            return await work()
        finally:
            await router.close()

    return asyncio.run(inner())


def test_every_relay_gets_every_record_in_order(batch: list[Enriched]) -> None:
    """Without routes all records go everywhere."""
    one, other = MemoryRelay(), MemoryRelay()
    router = Router({"one": one, "other": other})
    assert _run(router, lambda: router.deliver(batch)) == Delivery()
    assert _ids(one) == _ids(other) == ["b-0", "b-1", "b-2", "b-3"]


def test_a_record_takes_the_first_route_that_it_fits(batch: list[Enriched]) -> None:
    """Routes look at the catalogue and the match quality; the last one takes the rest."""
    exact, known, rest = MemoryRelay(), MemoryRelay(), MemoryRelay()
    routes = [
        Route(to=("exact",), quality=(Quality.EXACT,)),
        Route(to=("known", "rest"), catalog=("juniper_kmd", "other")),
        Route(to=("rest",)),
    ]
    router = Router({"exact": exact, "known": known, "rest": rest}, routes=routes)
    _run(router, lambda: router.deliver(batch))
    assert (_ids(exact), _ids(known), _ids(rest)) == (["b-1"], ["b-3"], ["b-0", "b-2", "b-3"])


def test_ok_means_that_every_required_relay_has_it(batch: list[Enriched]) -> None:
    """One relay that fails makes the batch fail, with its reason and the time to wait."""
    router = Router({"good": MemoryRelay(), "bad": Flaky(failures=1)})
    with pytest.raises(RelayError, match="flaky: away") as caught:
        _run(router, lambda: router.deliver(batch))
    assert caught.value.retry_after == 7


def test_a_relay_that_is_away_does_not_fill_the_others_with_repeats(batch: list[Enriched]) -> None:
    """A batch that comes again goes only where it has not been confirmed; once it is through nothing is remembered."""
    good, bad = MemoryRelay(), Flaky(failures=3)
    router = Router({"good": good, "bad": bad})

    async def work() -> None:
        for _ in range(3):
            with pytest.raises(RelayError):
                await router.deliver(batch)
        await router.deliver(batch)
        assert _ids(good) == _ids(bad) == ["b-0", "b-1", "b-2", "b-3"]
        # A sender that has missed the answer comes again: the repeat is delivered, with the same ids.
        await router.deliver(batch)

    _run(router, work)
    assert _ids(good) == _ids(bad) == ["b-0", "b-1", "b-2", "b-3"] * 2


def test_what_is_remembered_has_a_bound(batch: list[Enriched], monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest ids are forgotten first; forgetting costs a repeat, not a record."""
    monkeypatch.setattr(router_module, "_REMEMBERED", 3)
    good = MemoryRelay()
    router = Router({"good": good, "bad": Flaky(failures=1)})

    async def work() -> None:
        with pytest.raises(RelayError):
            await router.deliver(batch)
        await router.deliver(batch)

    _run(router, work)
    assert _ids(good) == ["b-0", "b-1", "b-2", "b-3", "b-0"]


def test_records_without_an_id_are_never_left_out(pipeline: Pipeline) -> None:
    """What cannot be told from another is delivered again."""
    batch = pipeline.process_all([Record(line="a"), Record(line="a")])
    good = MemoryRelay()
    router = Router({"good": good, "bad": Flaky(failures=1)})

    async def work() -> None:
        with pytest.raises(RelayError):
            await router.deliver(batch)
        await router.deliver(batch)

    _run(router, work)
    assert len(good.records) == 4


def test_what_is_refused_for_good_is_stored(batch: list[Enriched], tmp_path: Path) -> None:
    """A refused record is among the dead letters before the sender hears OK, and costs no other record."""
    picky = Flaky(refuses="x 2")
    router = Router({"picky": picky, "other": MemoryRelay()}, dead_letters=DeadLetters(tmp_path / "dead", 100_000))
    delivery = _run(router, lambda: router.deliver(batch))
    assert [refusal.record.record.id for refusal in delivery.stored] == ["b-2"]
    assert delivery.refused == ()
    assert _ids(picky) == ["b-0", "b-1", "b-3"]
    (file,) = (tmp_path / "dead").glob("*.ndjson")
    assert '"reason":"odd"' in file.read_text()


def test_full_dead_letters_keep_the_batch_with_its_sender(batch: list[Enriched], tmp_path: Path) -> None:
    """When there is no room for what was refused, nothing of it is acknowledged."""
    picky = Flaky(refuses="x")
    router = Router({"picky": picky}, dead_letters=DeadLetters(tmp_path / "dead", 5_000))

    async def work() -> None:
        await router.deliver(batch)
        for _ in range(3):
            with pytest.raises(RelayError, match=r"dead letters.*lexilog replay"):
                await router.deliver(batch)

    _run(router, work)
    assert _ids(picky) == ["b-1"] * 2, "what was taken is not sent again with every attempt"


def test_without_dead_letters_the_sender_is_told(batch: list[Enriched]) -> None:
    """Refusals come back to the door, also where the batch had to come twice because of another relay."""
    picky, bad = Flaky(refuses="x 2"), Flaky(failures=1)
    router = Router({"picky": picky, "bad": bad})

    async def work() -> Delivery:
        with pytest.raises(RelayError):
            await router.deliver(batch)
        return await router.deliver(batch)

    delivery = _run(router, work)
    assert [refusal.reason for refusal in delivery.refused] == ["odd"]
    assert _ids(picky) == ["b-0", "b-1", "b-3"]


def test_unnamed_refusals_are_told(batch: list[Enriched]) -> None:
    """A next hop that does not say which records it refused is passed on as it speaks, also at a second attempt."""
    router = Router({"one": Flaky(unnamed=2), "other": Flaky(failures=1)})

    async def work() -> Delivery:
        with pytest.raises(RelayError):
            await router.deliver(batch)
        return await router.deliver(batch)

    assert _run(router, work).unnamed == 2


def test_a_relay_that_is_not_required_holds_up_nothing(batch: list[Enriched], caplog: pytest.LogCaptureFixture) -> None:
    """It gets records after the others have them; what it fails to take is counted and gone."""

    class Stuck(MemoryRelay):
        async def deliver(self, batch: Sequence[Enriched]) -> Delivery:
            await asyncio.sleep(3600)
            raise AssertionError

    good, extra, failing = Flaky(failures=1), MemoryRelay(), Flaky(failures=1)
    relays: dict[str, Relay] = {"good": good, "extra": extra, "failing": failing, "stuck": Stuck()}
    router = Router(relays, optional=["extra", "failing", "stuck"])

    async def work() -> None:
        with pytest.raises(RelayError):
            await router.deliver(batch)
        assert extra.records == []
        await router.deliver(batch)

    _run(router, work)
    assert _ids(extra) == ["b-0", "b-1", "b-2", "b-3"]
    for name in ("failing", "stuck"):
        assert f"relay {name}, which is not required, has not taken 4 records in all" in caplog.text


def test_a_relay_that_is_not_required_takes_no_more_memory_than_is_allowed(
    batch: list[Enriched], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """When it is too far behind, new records are counted as lost instead of kept; it does one batch at a time."""
    monkeypatch.setattr(best_effort, "_PENDING", 20_000)
    gate = asyncio.Event()

    class Slow(MemoryRelay):
        at_once = 0

        async def deliver(self, batch: Sequence[Enriched]) -> Delivery:
            self.at_once += 1
            await gate.wait()
            assert self.at_once == 1
            self.at_once -= 1
            return await super().deliver(batch)

    slow = Slow()
    router = Router({"good": MemoryRelay(), "slow": slow}, optional=["slow"])

    async def work() -> None:
        for _ in range(5):
            await router.deliver(batch)
        gate.set()

    _run(router, work)
    assert len(slow.records) == 8
    assert "has not taken 12 records in all" in caplog.text


def test_a_batch_of_any_size_goes_to_a_relay_that_is_not_required(
    batch: list[Enriched], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The bound is for what waits: an idle relay gets its batch however large that is."""
    monkeypatch.setattr(best_effort, "_PENDING", 1)
    extra = MemoryRelay()
    router = Router({"good": MemoryRelay(), "extra": extra}, optional=["extra"])
    _run(router, lambda: router.deliver(batch))
    assert len(extra.records) == 4


def test_a_sender_that_gives_up_early_fills_no_relay_with_repeats(batch: list[Enriched]) -> None:
    """Also when the sender's patience ends before that of a relay, the others are left out when it comes again."""
    gate = asyncio.Event()

    class Stuck(MemoryRelay):
        async def deliver(self, batch: Sequence[Enriched]) -> Delivery:
            await gate.wait()
            return await super().deliver(batch)

    good, stuck = MemoryRelay(), Stuck()
    router = Router({"good": good, "stuck": stuck})

    async def work() -> None:
        for _ in range(3):
            task = asyncio.create_task(router.deliver(batch))
            while not good.records:
                await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        gate.set()
        await router.deliver(batch)

    _run(router, work)
    assert _ids(good) == _ids(stuck) == ["b-0", "b-1", "b-2", "b-3"]


def test_a_defect_in_a_relay_keeps_the_batch_with_its_sender(batch: list[Enriched]) -> None:
    """Whatever a relay raises, the sender is asked to come again."""

    class Broken(MemoryRelay):
        async def deliver(self, batch: Sequence[Enriched]) -> Delivery:
            raise KeyError("x")

    router = Router({"broken": Broken()})
    with pytest.raises(RelayError, match="KeyError"):
        _run(router, lambda: router.deliver(batch))


def test_only_relays_that_every_record_takes_are_asked_first(batch: list[Enriched]) -> None:
    """A relay that is away holds up no record that does not go there."""

    class Away(MemoryRelay):
        async def check(self) -> None:
            raise RelayError("away")

    routes = [Route(to=("away",), quality=(Quality.LOOSE,)), Route(to=("good",))]
    routed = Router({"away": Away(), "good": MemoryRelay()}, routes=routes)
    _run(routed, routed.check)
    plain = Router({"away": Away(), "good": MemoryRelay()})
    with pytest.raises(RelayError, match="away"):
        _run(plain, plain.check)


def test_a_relay_that_cannot_be_opened_leaves_nothing_open() -> None:
    """Those that were opened before it are closed again."""
    closed = []

    class Opened(MemoryRelay):
        async def close(self) -> None:
            closed.append(self)

    class Wrong(MemoryRelay):
        async def open(self) -> None:
            raise SettingsError("wrong")

    opened = Opened()
    with pytest.raises(SettingsError, match="wrong"):
        asyncio.run(Router({"opened": opened, "wrong": Wrong()}).open())
    assert closed == [opened]
