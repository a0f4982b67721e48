"""Who is next, and who may have how much: whatever clients do, in whatever order, and whenever they go."""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from contextlib import ExitStack
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import Gauge

from lexilog.service.turns import BusyError, Share, Turns

CLIENTS = "abc"
DONE_BY_CLIENTS = ("ask", "finish", "go")


class Visit:
    """A task that waits for its turn, works until it is told to finish, and notes when it begins."""

    def __init__(self, turns: Turns, client: str, begun: list[Visit], at_work: set[Visit]) -> None:
        self.client = client
        self.done = asyncio.Event()
        self.task = asyncio.create_task(self._run(turns, begun, at_work))

    async def _run(self, turns: Turns, begun: list[Visit], at_work: set[Visit]) -> None:
        async with turns.turn(self.client):
            begun.append(self)
            at_work.add(self)
            try:
                await self.done.wait()
            finally:
                at_work.discard(self)


class Do(NamedTuple):
    """A step of a schedule: somebody asks, or one of those who asked finishes or goes; or the event loop goes on."""

    what: str
    which: int = 0


DO = st.one_of(
    st.builds(Do, st.just("ask"), st.integers(0, len(CLIENTS) - 1)),
    st.builds(Do, st.sampled_from(["finish", "go"]), st.integers(0, 30)),
    st.sampled_from([Do("turn over"), Do("settle")]),
)


async def _settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


class Hall:
    """Some visits, and what is known of them."""

    def __init__(self, at_once: int) -> None:
        self.turns = Turns(at_once)
        self.visits: list[Visit] = []
        self.begun: list[Visit] = []
        self.at_work: set[Visit] = set()

    async def do(self, step: Do) -> None:
        if step.what == "ask":
            self.visits.append(Visit(self.turns, CLIENTS[step.which], self.begun, self.at_work))
        elif step.what == "turn over":
            await asyncio.sleep(0)
        elif step.what == "settle":
            await _settle()
        elif self.visits:
            visit = self.visits[step.which % len(self.visits)]
            visit.done.set() if step.what == "finish" else visit.task.cancel()

    async def finish(self) -> None:
        """Have everybody finish, and check how each ended: served, or called off by itself."""
        for visit in self.visits:
            visit.done.set()
        async with asyncio.timeout(10):
            ends = await asyncio.gather(*(visit.task for visit in self.visits), return_exceptions=True)
        for visit, end in zip(self.visits, ends, strict=True):
            assert end is None or visit.task.cancelled(), f"{end!r} came out"
            assert visit in self.begun or visit.task.cancelled(), "somebody was never served"


@given(at_once=st.integers(1, 3), steps=st.lists(DO, max_size=40))
def test_never_more_at_work_and_everyone_is_served(at_once: int, steps: list[Do]) -> None:
    """Whatever is called off, and be it at the moment at which it is let in: the place is not lost, nor given twice."""

    async def run() -> None:
        hall = Hall(at_once)
        for step in steps:
            await hall.do(step)
            assert len(hall.at_work) <= at_once
        await hall.finish()
        # All places are free again: as many as there are get to work at once, and no more.
        last = [Visit(hall.turns, "z", [], hall.at_work) for _ in range(at_once + 1)]
        await _settle()
        assert len(hall.at_work) == at_once
        for visit in last:
            visit.done.set()
        await asyncio.gather(*(visit.task for visit in last))

    asyncio.run(run())


@given(
    at_once=st.integers(1, 3), steps=st.lists(DO.filter(lambda step: step.what in ("ask", "finish", "go")), max_size=40)
)
def test_turns_go_round_exactly(at_once: int, steps: list[Do]) -> None:
    """Of those who wait the client is next whose last turn is longest ago; a call that is called off is no turn."""

    async def run() -> None:
        hall = Hall(at_once)
        waiting: OrderedDict[str, deque[Visit]] = OrderedDict()
        expected: list[Visit] = []
        working: set[Visit] = set()

        def let_in() -> None:
            while len(working) < at_once and waiting:
                client, queue = waiting.popitem(last=False)
                visit = queue.popleft()
                expected.append(visit)
                working.add(visit)
                if queue:
                    waiting[client] = queue
                if visit.done.is_set():
                    working.discard(visit)

        for step in steps:
            await hall.do(step)
            await _settle()
            if not hall.visits:
                continue
            visit = hall.visits[-1] if step.what == "ask" else hall.visits[step.which % len(hall.visits)]
            if step.what == "ask":
                waiting.setdefault(visit.client, deque()).append(visit)
            elif visit in working:
                working.discard(visit)
            elif step.what == "go":
                queue = waiting.get(visit.client, deque())
                if visit in queue:
                    queue.remove(visit)
                    if not queue:
                        del waiting[visit.client]
            let_in()
            assert hall.begun == expected
        await hall.finish()

    asyncio.run(run())


@pytest.mark.parametrize("loops", range(4))
def test_who_goes_just_when_it_is_let_in_gives_its_place_on(loops: int) -> None:
    """However far the event loop has got with letting it in."""

    async def run() -> None:
        hall = Hall(1)
        for _ in range(3):
            await hall.do(Do("ask"))
        await _settle()
        await hall.do(Do("finish", 0))
        for _ in range(loops):
            await asyncio.sleep(0)
        await hall.do(Do("go", 1))
        await _settle()
        assert hall.at_work == {hall.visits[2]}
        await hall.finish()

    asyncio.run(run())


def test_a_call_that_is_called_off_as_a_place_gets_free_is_no_turn() -> None:
    """The next call of the same client is let in instead, not another client's."""

    async def run() -> None:
        hall = Hall(1)
        for client in (2, 0, 0, 1):
            await hall.do(Do("ask", client))
        await _settle()
        await hall.do(Do("finish", 0))
        await hall.do(Do("go", 1))
        await _settle()
        assert hall.at_work == {hall.visits[2]}
        await hall.finish()

    asyncio.run(run())


def test_many_of_one_client_do_not_stand_before_one_of_another() -> None:
    """Whoever asks once waits for one turn of the one who has asked three hundred times, not for all."""

    async def run() -> None:
        turns, order = Turns(1), list[str]()

        async def ask(client: str) -> None:
            async with turns.turn(client):
                order.append(client)
                await asyncio.sleep(0)

        async with asyncio.timeout(10):
            await asyncio.gather(*(ask("many") for _ in range(300)), ask("one"), ask("other"))
        assert order[:4] == ["many", "many", "one", "other"]
        assert order[4:] == ["many"] * 298

    asyncio.run(run())


def test_who_never_waits_in_its_work_has_turns_all_the_same() -> None:
    """Work in one go leaves nobody time to get in line; they get in line before its client comes again."""

    async def run() -> None:
        turns, order = Turns(1), list[str]()

        async def ask(client: str) -> None:
            for _ in range(3):
                async with turns.turn(client):
                    order.append(client)

        async with asyncio.timeout(10):
            await asyncio.gather(*(ask("many") for _ in range(30)), ask("one"))
        assert len(order) == 93
        assert order.index("one") <= 4
        assert order[:12].count("one") == 3

    asyncio.run(run())


def test_a_place_goes_on_when_its_work_fails() -> None:
    """An error in a turn is the caller's, and the next one is let in."""

    async def run() -> None:
        turns = Turns(1)
        with pytest.raises(ValueError, match="odd"):
            async with turns.turn("a"):
                raise ValueError("odd")
        async with asyncio.timeout(10), turns.turn("b"):
            return

    asyncio.run(run())


def test_a_client_has_half_and_the_rest_is_for_others() -> None:
    """What is more than half is refused with when to come again; another client is let in meanwhile."""
    share = Share(10, "things")
    with ExitStack() as held:
        held.enter_context(share.hold("a", 5))
        with pytest.raises(BusyError, match="5 of 10 things are this client's, and half is the most") as error:
            held.enter_context(share.hold("a"))
        assert error.value.retry_after == 1
        held.enter_context(share.hold("b", 5))
        with pytest.raises(BusyError, match="10 of 10 things are in use"):
            held.enter_context(share.hold("c"))
        assert share.used == 10
    assert share.used == 0


def test_a_gauge_shows_what_is_there() -> None:
    """As it changes, whoever holds it."""
    gauge = Gauge("used", "", registry=None)
    share = Share(10, "things", gauge)
    with share.hold("a", 3), share.hold("b", 4):
        assert gauge._value.get() == 7
    assert gauge._value.get() == 0


def test_what_is_larger_than_a_share_passes_alone() -> None:
    """Else a large request would never pass: it does while nothing of its client is there, or nothing at all."""
    share = Share(10, "things")
    with share.hold("a", 100), pytest.raises(BusyError), share.hold("b"):
        pytest.fail("it is let in")
    with share.hold("a", 1), share.hold("b", 9):
        assert share.used == 10
    with share.hold("a", 1), pytest.raises(BusyError), share.hold("a", 5):
        pytest.fail("it is let in")
    assert share.used == 0


@given(
    most=st.integers(1, 20),
    steps=st.lists(st.tuples(st.sampled_from(CLIENTS), st.integers(1, 30), st.booleans()), max_size=40),
)
def test_a_share_adds_up(most: int, steps: list[tuple[str, int, bool]]) -> None:
    """In any order of taking and giving back: never more than there is, but for one alone; in the end it is free."""
    share = Share(most, "things")
    held: list[tuple[ExitStack, str, int]] = []
    for client, amount, gives_back in steps:
        if gives_back and held:
            stack, _, _ = held.pop(amount % len(held))
            stack.close()
            continue
        stack = ExitStack()
        try:
            stack.enter_context(share.hold(client, amount))
        except BusyError:
            # Whoever has nothing is refused only because of what the others have.
            mine = sum(size for _, who, size in held if who == client)
            assert mine or share.used + amount > most
            continue
        held.append((stack, client, amount))
        assert share.used == sum(size for _, _, size in held)
        assert share.used <= most or share.used == amount
        mine = [size for _, who, size in held if who == client]
        assert sum(mine) <= most // 2 or sum(mine) == amount
    for stack, _, _ in held:
        stack.close()
    assert share.used == 0
    with share.hold("z", most):
        assert share.used == most
