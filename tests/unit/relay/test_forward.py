"""The way out over the Fluent Forward protocol: against a receiver that shares no code with it, and our own door."""

from __future__ import annotations

import asyncio
import json
import struct
import subprocess
import sys
from collections.abc import Coroutine, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import msgpack
import pytest

import forward_double
from doors import OpenDoor, hall
from forward_double import ForwardDouble
from lexilog import Enriched, Pipeline, Record, RelayError, SettingsError
from lexilog.forward.codec import read_entry
from lexilog.relay import Delivery
from lexilog.relay.forward import ForwardRelay
from lexilog.relay.memory import MemoryRelay
from lexilog.relay.settings import ForwardSettings
from lexilog.service.forward import ForwardDoor
from lexilog.service.settings import ForwardDoorSettings

KEY = "the-key-of-the-test"
LINE = "<30>Aug  3 10:18:44 srx1 kmd[1]: KMD_VPN_DOWN_ALARM_USER: VPN v1 from 198.51.100.7 is down."
EVENT_TIME = msgpack.ExtType(0, struct.pack(">II", 1_700_000_000, 123_456_789))


@pytest.fixture
def batch(pipeline: Pipeline) -> list[Enriched]:
    return pipeline.process_all(Record(line=f"line {number}") for number in range(3))


@pytest.fixture
def doubles() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def _relay(endpoint: str, **settings: Any) -> ForwardRelay:
    return ForwardRelay("next", ForwardSettings(endpoint=endpoint, **settings))


def _forward(pipeline: Pipeline, tag: str, *fields: Any, time: Any = EVENT_TIME) -> list[Enriched]:
    entries = [msgpack.packb([time, one], unicode_errors="surrogateescape") for one in fields]
    return pipeline.process_all(read_entry(tag, entry, ("log",), None) for entry in entries)


def _deliver(relay: ForwardRelay, *batches: list[Enriched]) -> list[Delivery]:
    async def run() -> list[Delivery]:
        await relay.open()
        try:
            return [await relay.deliver(batch) for batch in batches]
        finally:
            await relay.close()
            await relay.close()

    return asyncio.run(run())


def _run(test: Coroutine[Any, Any, None]) -> None:
    asyncio.run(test)


def _messages(double: ForwardDouble) -> list[str]:
    return [received.record["message"] for received in double.received]


@pytest.mark.parametrize("compression", ["none", "gzip"])
@pytest.mark.parametrize("key", [None, KEY])
def test_a_batch_arrives_in_order(compression: str, key: str | None, batch: list[Enriched]) -> None:
    """Over one connection, under the tag of the settings, with `@timestamp` as time."""
    with ForwardDouble(shared_key=key) as double:
        relay = _relay(double.endpoint, compression=compression, shared_key=key, tag="vpn")
        assert _deliver(relay, batch, [], batch) == [Delivery()] * 3
        assert _messages(double) == ["line 0", "line 1", "line 2"] * 2
        assert {(received.tag, received.time.code) for received in double.received} == {("vpn", 0)}
        assert [options["size"] for options in double.options] == [3, 3]
        assert len({options["chunk"] for options in double.options}) == 2
        assert double.connections == 1


def test_what_came_over_the_protocol_leaves_as_it_came(pipeline: Pipeline, doubles: ExitStack) -> None:
    """Tag, time and metadata are those that came; only the record is explained."""
    double = doubles.enter_context(ForwardDouble())
    batch = _forward(pipeline, "fw.a", {"log": LINE, "host": "a", "n": {"x": [1, None]}, "junk": b"\xff\x00"})
    batch += _forward(pipeline, "fw.\udcff", {"log": "b"}, time=1_700_000_000)
    batch += _forward(pipeline, "", {"log": "c"}, time=[1_700_000_000.5, {"m": b"\xff"}])
    _deliver(_relay(double.endpoint), batch)
    first, second, third = double.received
    assert (first.tag, first.time, first.metadata) == ("fw.a", EVENT_TIME, None)
    assert first.record["event"]["code"] == "KMD_VPN_DOWN_ALARM_USER"
    assert (first.record["n"], first.record["junk"]) == ({"x": [1, None]}, "\\xff\x00")
    assert (second.tag, second.time) == ("fw.\udcff", 1_700_000_000)
    assert (third.tag, third.time, third.metadata) == ("lexilog", 1_700_000_000.5, {"m": b"\xff"})


@pytest.mark.parametrize("compression", ["none", "gzip"])
def test_no_message_is_larger_than_it_may_be(compression: str, pipeline: Pipeline) -> None:
    """Records of a tag go together, in order, and a record that is too large leaves with its own fields."""
    batch = []
    for number in range(300):
        batch += _forward(pipeline, "ab"[number % 2], {"log": f"{number:03} " + "x" * (number % 7 * 40)})
    batch += _forward(pipeline, "a", {"log": "large " + "y" * 2_000})
    with ForwardDouble() as double:
        _deliver(_relay(double.endpoint, compression=compression, max_bytes=3_000), batch)
        if compression == "none":
            assert max(double.sizes) <= 3_000
        assert len(double.options) > 10
        for tag, start in (("a", 0), ("b", 1)):
            found = [received.record["log"] for received in double.received if received.tag == tag]
            assert [text[:3] for text in found[:150]] == [f"{number:03}" for number in range(start, 300, 2)]
        assert "too large" in double.received[-1].record["error"]["message"] or len(found) == 150


def test_a_record_that_no_message_can_hold_is_refused_and_costs_no_other(pipeline: Pipeline) -> None:
    """The next hop would close the connection on it for ever."""
    batch = _forward(pipeline, "t", {"log": "a"}, {"log": "x" * 5_000}, {"log": "b"})
    with ForwardDouble() as double:
        (delivery,) = _deliver(_relay(double.endpoint, max_bytes=3_000), batch)
        assert [received.record["log"] for received in double.received] == ["a", "b"]
    assert [refusal.record for refusal in delivery.refused] == [batch[1]]
    assert "larger than max_bytes, 3000" in delivery.refused[0].reason


@pytest.mark.parametrize(
    ("mode", "problem"),
    [
        ("refuse", "it has closed the connection"),
        ("deaf", r"no answer within 0\.2 s"),
        ("wrong", "makes no sense: it has acknowledged something else"),
        ("noise", "makes no sense: this is not the Forward protocol"),
    ],
)
def test_a_message_that_is_not_acknowledged_stays_with_its_sender(
    mode: str, problem: str, batch: list[Enriched]
) -> None:
    """And what comes next goes over another connection."""
    with ForwardDouble(mode=mode) as double:

        async def run() -> None:
            relay = _relay(double.endpoint, timeout=0.2)
            await relay.open()
            with pytest.raises(RelayError, match=rf"^relay next: {double.endpoint}: 3 records not taken: .*{problem}"):
                await relay.deliver(batch)
            double.mode = ""
            await relay.deliver(batch)
            await relay.close()

        _run(run())
        assert _messages(double)[-3:] == ["line 0", "line 1", "line 2"]
        assert double.connections == 2


def test_a_late_acknowledgement_is_for_no_other_message(batch: list[Enriched]) -> None:
    """After a timeout the connection is given up, and an acknowledgement that comes twice serves once."""
    with ForwardDouble(mode="late") as double:

        async def run() -> None:
            relay = _relay(double.endpoint, timeout=0.1)
            await relay.open()
            for _ in range(2):
                with pytest.raises(RelayError, match="no answer"):
                    await relay.deliver(batch)
            await relay.close()
            patient = _relay(double.endpoint)
            await patient.open()
            await patient.deliver(batch)
            await asyncio.sleep(0.1)
            double.mode = ""
            await patient.deliver(batch)
            await patient.close()

        _run(run())
        assert double.connections == 4


def test_a_connection_that_was_lost_is_made_again(batch: list[Enriched]) -> None:
    """A next hop that closes between messages, or starts anew, costs no failed delivery."""
    with ForwardDouble(mode="once") as double:

        async def run() -> None:
            relay = _relay(double.endpoint)
            await relay.open()
            for _ in range(3):
                await relay.deliver(batch)
                await asyncio.sleep(0.1)
            double.mode = ""
            await relay.deliver(batch)
            double.hang_up()
            await asyncio.sleep(0.1)
            await relay.deliver(batch)
            await relay.close()

        _run(run())
        assert (len(double.received), double.connections) == (15, 5)


def test_a_server_that_wants_one_message_each_gets_that(batch: list[Enriched]) -> None:
    """HELO says whether a connection may be kept."""
    with ForwardDouble(shared_key=KEY, keepalive=False) as double:
        _deliver(_relay(double.endpoint, shared_key=KEY), batch, batch)
        assert double.connections == 2


def test_calls_at_once_go_one_after_the_other(batch: list[Enriched]) -> None:
    """They share one connection, and no acknowledgement is taken for another's."""
    with ForwardDouble() as double:

        async def run() -> None:
            relay = _relay(double.endpoint)
            await relay.open()
            await asyncio.gather(*(relay.deliver(batch) for _ in range(20)))
            await relay.close()

        _run(run())
        assert _messages(double) == ["line 0", "line 1", "line 2"] * 20
        assert double.connections == 1


def test_a_call_that_is_called_off_costs_no_other(batch: list[Enriched]) -> None:
    """Its connection is given up: the acknowledgement that it waited for may still come."""
    with ForwardDouble(mode="deaf") as double:

        async def run() -> None:
            relay = _relay(double.endpoint)
            await relay.open()
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.1):
                    await relay.deliver(batch)
            double.mode = ""
            await relay.deliver(batch)
            await relay.close()

        _run(run())
        assert double.connections == 2


@pytest.mark.parametrize(
    ("theirs", "ours", "problem"),
    [
        ("other", KEY, "shared_key mismatch"),
        (KEY, None, "it asks for a shared key"),
        (None, KEY, r"it says nothing within 0\.2 s"),
    ],
)
def test_keys_that_differ_are_told(theirs: str | None, ours: str | None, problem: str, batch: list[Enriched]) -> None:
    """The operator mends that; the sender keeps its records, and no key is in the error."""
    with ForwardDouble(shared_key=theirs) as double:
        relay = _relay(double.endpoint, shared_key=ours, timeout=0.2)
        with pytest.raises(RelayError, match=rf"the handshake failed: {problem}; check shared_key") as caught:
            _deliver(relay, batch)
        assert double.received == []
    assert KEY not in str(caught.value)


def test_a_server_that_only_pretends_to_have_the_key_gets_nothing(batch: list[Enriched]) -> None:
    """It has to prove it before the first record is sent."""
    with ForwardDouble(mode="fake", shared_key="other") as double:
        with pytest.raises(RelayError, match="shared key mismatch"):
            _deliver(_relay(double.endpoint, shared_key=KEY), batch)
        assert double.received == []


def test_a_next_hop_that_is_away_keeps_the_records_with_their_sender(batch: list[Enriched]) -> None:
    """The error says where, and why; a relay that is closed sends nothing."""
    with ForwardDouble() as double:
        endpoint = double.endpoint
    with pytest.raises(RelayError, match=rf"relay next: {endpoint}: 3 records not taken: .*[Cc]onne"):
        _deliver(_relay(endpoint), batch)
    with pytest.raises(RelayError, match="relay next: is closed"):
        asyncio.run(_relay(endpoint).deliver(batch))


@pytest.mark.parametrize("endpoint", ["nowhere", "a:b", ":24224", "http://a.example:1", "a:0", "u@a:1", "[::1"])
def test_an_endpoint_that_is_none_is_a_setting_that_is_wrong(endpoint: str) -> None:
    """It is told before anything is sent."""
    with pytest.raises(SettingsError, match="relay next: endpoint is not HOST:PORT"):
        asyncio.run(_relay(endpoint).open())


@pytest.mark.parametrize("compression", ["none", "gzip"])
@pytest.mark.parametrize("key", [None, KEY])
def test_our_relay_and_our_door_understand_each_other(
    compression: str, key: str | None, pipeline: Pipeline, batch: list[Enriched]
) -> None:
    """Records pass from one lexilog to another; with another key they stay where they are."""

    async def run() -> None:
        memory = MemoryRelay()
        behind = hall(pipeline, memory, keys=("log",))
        assert behind.intake
        door = OpenDoor(ForwardDoor(ForwardDoorSettings(shared_key=key), behind, behind.intake))
        await door.start()
        relay = _relay(f"127.0.0.1:{door.port}", compression=compression, shared_key=key)
        await relay.open()
        await relay.deliver(batch)
        await relay.deliver(_forward(pipeline, "fw", {"log": "x" * 200_000}))
        assert [enriched.record.fields["message"] for enriched in memory.records[:3]] == ["line 0", "line 1", "line 2"]
        origin: Any = memory.records[3].record.origin
        assert (origin.tag, origin.time) == ("fw", EVENT_TIME)
        if key:
            stranger = _relay(f"127.0.0.1:{door.port}", shared_key="other")
            await stranger.open()
            with pytest.raises(RelayError, match="shared key mismatch"):
                await stranger.deliver(batch)
            await stranger.close()
        await relay.close()
        await door.stop(5)

    _run(run())


def test_the_double_writes_what_it_takes_before_it_says_so(tmp_path: Path, batch: list[Enriched]) -> None:
    """As a process of its own, which can be killed: one record is one line of JSON."""
    with ForwardDouble() as free:
        port = free.server_address[1]
    path = tmp_path / "received.ndjson"
    command = [sys.executable, forward_double.__file__, str(port), str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        try:
            assert process.stdout.readline() == "ready\n"
            _deliver(_relay(f"127.0.0.1:{port}"), batch)
            found = [json.loads(line)["message"] for line in path.read_text().splitlines()]
        finally:
            process.kill()
    assert found == ["line 0", "line 1", "line 2"]
