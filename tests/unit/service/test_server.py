"""A server as a whole: what happens when one of its parts fails while it stops."""

from __future__ import annotations

import asyncio

import pytest

from house import Gate, House, raw, until
from lexilog import Pipeline
from lexilog.service import knowledge
from lexilog.service.door import Door
from lexilog.service.http import HttpDoor
from lexilog.service.server import Server
from lexilog.service.settings import Doors, ForwardDoorSettings, HttpDoorSettings, Settings

DOORS = Doors(http=HttpDoorSettings(listen="127.0.0.1:0"), forward=ForwardDoorSettings(listen="127.0.0.1:0"))


class Closes(Gate):
    """A relay that notes whether it was closed."""

    closed = False

    async def close(self) -> None:
        self.closed = True


@pytest.mark.parametrize("fails", ["stop", "close"])
def test_relays_are_closed_whatever_fails_before(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, fails: str
) -> None:
    """A door that cannot be closed is said in the log, and costs neither the other doors nor the relays their end."""
    monkeypatch.setattr(knowledge, "make_pipeline", lambda _: pipeline)
    relay, stopped = Closes(), list[str]()

    async def fail(*_: object) -> None:
        raise KeyError("a defect")

    async def run() -> None:
        server = Server(Settings(doors=DOORS, reload_seconds=0, grace=1), relay=relay)
        await server.start()
        stop = server._doors["forward"].stop

        async def note(grace: float) -> None:
            await stop(grace)
            stopped.append("forward")

        monkeypatch.setattr(server._doors["forward"], "stop", note)
        monkeypatch.setattr(server._doors["http"] if fails == "stop" else server._intake, fails, fail)
        if fails == "stop":
            await server.stop()
            assert "http: the door could not be closed as it should" in caplog.text
        else:
            with pytest.raises(KeyError):
                await server.stop()
        await asyncio.sleep(0)

    asyncio.run(run())
    assert relay.closed
    assert stopped == ["forward"]


def test_a_door_that_fails_to_stop_keeps_no_connection(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was open at it is closed all the same."""
    monkeypatch.setattr(knowledge, "make_pipeline", lambda _: pipeline)

    async def fail(_: float) -> None:
        raise KeyError("a defect")

    async def run() -> None:
        server = Server(Settings(doors=DOORS, reload_seconds=0, grace=1), relay=Gate())
        await server.start()
        door, port = server._doors["http"], server.ports["http"]
        stop = door.stop
        async with raw(port) as client:
            there = House(server, Gate())
            await until(lambda: there.metric("connections", door="http") == 1)
            monkeypatch.setattr(door, "stop", fail)
            await server.stop()
            assert there.metric("connections", door="http") == 0
            assert await client.rest() == b""
        await stop(0)

    asyncio.run(run())


def test_a_stop_waits_for_nobody_who_asks_nothing(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    """The grace is for what is under way: connections that are idle, or in the middle of a head, get none of it."""
    monkeypatch.setattr(knowledge, "make_pipeline", lambda _: pipeline)

    async def run() -> None:
        server = Server(Settings(doors=DOORS, reload_seconds=0, grace=3600), relay=Gate())
        await server.start()
        said = [
            b"",
            b"POST /v1/logs HTTP/1.1\r\nHo",
            b'POST /v1/enrich HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n"a"',
        ]
        clients = []
        for data in said:
            clients.append(await asyncio.open_connection("127.0.0.1", server.ports["http"]))
            clients[-1][1].write(data)
        await asyncio.wait_for(clients[-1][0].readuntil(b"\r\n0\r\n\r\n"), 10)
        clients.append(await asyncio.open_connection("127.0.0.1", server.ports["forward"]))
        await asyncio.wait_for(server.stop(), 10)
        for reader, writer in clients:
            assert await asyncio.wait_for(reader.read(), 10) == b""
            writer.close()

    asyncio.run(run())


def test_doors_that_a_server_has(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    """All of them share turns, and what may be pending."""
    monkeypatch.setattr(knowledge, "make_pipeline", lambda _: pipeline)
    server = Server(Settings(doors=DOORS, reload_seconds=0), relay=Gate())
    doors: list[Door] = list(server._doors.values())
    assert isinstance(doors[0], HttpDoor)
    assert len({(id(door.hall.turns), id(door.hall.pending)) for door in doors}) == 1
