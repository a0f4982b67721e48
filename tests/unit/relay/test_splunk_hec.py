"""The way out to Splunk's HTTP Event Collector, against a double of it."""

from __future__ import annotations

import asyncio
import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

import hec_double
from hec_double import TOKEN, HecDouble
from lexilog import Enriched, Outcome, Pipeline, Record, RelayError, SettingsError, document
from lexilog.relay import Delivery, splunk_hec
from lexilog.relay.settings import SplunkHecSettings
from lexilog.relay.splunk_hec import SplunkHecRelay
from processes import Process, free_port

KMD = (
    "<27>1 2025-05-04T15:27:26.461+10:00 srx1 kmd 13862 KMD_PM_SA_ESTABLISHED [junos@2636.1.1.1.2.129 "
    'local-address="192.0.2.1" remote-address="198.51.100.7"] Local gateway: 192.0.2.1'
)


def _batch(pipeline: Pipeline, count: int = 20, padding: str = "") -> list[Enriched]:
    return pipeline.process_all(Record(line=f"line {number}{padding}") for number in range(count))


def _settings(url: str, **more: Any) -> SplunkHecSettings:
    return SplunkHecSettings(**{"url": url, "token": TOKEN} | more)


async def _deliver(double: HecDouble, batch: list[Enriched], times: int = 1, **more: Any) -> list[Any]:
    """Deliver a batch to a double that is up, as often as asked; return what came of it, errors too."""
    async with double:
        relay = SplunkHecRelay("splunk", _settings(double.url, **more))
        await relay.open()
        try:
            return [(await asyncio.gather(relay.deliver(batch), return_exceptions=True))[0] for _ in range(times)]
        finally:
            await relay.close()


def _deliver_once(double: HecDouble, batch: list[Enriched], **more: Any) -> Delivery:
    (done,) = asyncio.run(_deliver(double, batch, **more))
    if isinstance(done, BaseException):
        raise done
    return done


def _messages(double: HecDouble) -> list[str]:
    return [event["event"]["message"] for event in double.events]


def _refuses(code: int, *messages: str) -> Any:
    return lambda event: code if event["event"]["message"] in messages else None


@pytest.mark.parametrize("compression", ["none", "gzip"])
def test_a_batch_arrives_in_order_in_requests_of_bounded_size(compression: str, pipeline: Pipeline) -> None:
    """Whatever the size of a batch, no request is larger than the settings say, and each is compressed as they say."""
    double, batch = HecDouble(), _batch(pipeline, 200)
    assert _deliver_once(double, batch, compression=compression, max_bytes=4096) == Delivery()
    assert [event["event"] for event in double.events] == [document(enriched) for enriched in batch]
    assert 5 < len(double.requests) < 40
    assert max(request.size for request in double.requests) <= 4096
    assert {request.headers.get("Content-Encoding", "none") for request in double.requests} == {compression}


def test_an_event_is_what_a_search_in_splunk_needs(pipeline: Pipeline) -> None:
    """The device's time and name, the catalogue as the source, and the whole document."""
    double, enriched = (
        HecDouble(indexes=("vpn",)),
        pipeline.process(Record(line=KMD, fields={"host": {"name": "relay1"}})),
    )
    assert enriched.outcome is Outcome.MATCHED
    _deliver_once(double, [enriched], index="vpn", sourcetype="vpn:json")
    (event,) = double.events
    assert event.pop("event") == document(enriched)
    assert event.pop("time").text == "1746336446.461"
    assert event == {"host": "srx1", "source": "lexilog:juniper_kmd", "sourcetype": "vpn:json", "index": "vpn"}


@pytest.mark.parametrize(
    ("fields", "agent", "expected"),
    [
        ({"observer.hostname": "fw1", "observer.ip": ["192.0.2.1"]}, {"host": {"name": "relay1"}}, "fw1"),
        ({"observer.ip": ["192.0.2.1"]}, {"host": {"name": "relay1"}}, "192.0.2.1"),
        ({}, {"host": {"name": "relay1"}}, "relay1"),
        ({}, {"host.name": "relay1"}, "relay1"),
        ({}, {"host": "relay1"}, "relay1"),
        ({"observer.hostname": "fw\udcff"}, {}, "fw\\xff"),
        ({}, {"host": {"name": 7}}, None),
        ({}, {"host": " "}, None),
        ({}, {"host": ["relay1"]}, None),
        ({}, {}, None),
    ],
)
def test_the_host_is_the_device_else_what_the_agent_names(
    fields: dict[str, Any], agent: dict[str, Any], expected: str | None
) -> None:
    """What is no text never gets there: the collector would refuse the event."""
    when = datetime(2026, 1, 15, tzinfo=UTC)
    record = Record(line="line", fields=agent)
    enriched = Enriched(record=record, fields={"@timestamp": when} | fields, outcome=Outcome.UNKNOWN, reason="no_frame")
    double = HecDouble()
    assert _deliver_once(double, [enriched]) == Delivery()
    assert double.events[0].get("host") == expected
    assert double.events[0]["source"] == "lexilog:unknown"


@pytest.mark.parametrize(
    ("when", "expected"),
    [
        (datetime(2026, 1, 15, 12, tzinfo=UTC), "1768478400.000"),
        (datetime(2026, 1, 15, 12, 0, 0, 7_000, tzinfo=UTC), "1768478400.007"),
        (datetime(2026, 1, 15, 12, 0, 0, 7, tzinfo=UTC), "1768478400.000007"),
        (datetime(2026, 1, 15, 12, 0, 0, 999_999, tzinfo=UTC), "1768478400.999999"),
        (datetime(1970, 1, 1, tzinfo=UTC), "0.000"),
        (datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC), "253402300799.999999"),
        (datetime(1969, 12, 31, 23, 59, 59, tzinfo=UTC), None),
        (datetime.min.replace(tzinfo=UTC), None),
    ],
)
def test_a_time_is_written_in_plain_digits(when: datetime, expected: str | None) -> None:
    """To the microsecond where there are any, never in powers of ten; a time that Splunk cannot hold is left out."""
    enriched = Enriched(
        record=Record(line="x"), fields={"@timestamp": when}, outcome=Outcome.UNKNOWN, reason="no_frame"
    )
    double = HecDouble()
    assert _deliver_once(double, [enriched]) == Delivery()
    time = double.events[0].get("time")
    assert (None if time is None else time.text) == expected


@pytest.mark.parametrize("keeps_head", [True, False])
@pytest.mark.parametrize("first", [0, 1])
@pytest.mark.parametrize("code", [5, 6, 12, 13, 15])
def test_an_event_that_is_never_taken_costs_no_other(
    code: int, first: int, keeps_head: bool, pipeline: Pipeline
) -> None:
    """Whether Splunk keeps the events before it or not, and from where it counts: those to blame come back alone."""
    double = HecDouble(judge=_refuses(code, "line 0", "line 7", "line 19"), keeps_head=keeps_head, first=first)
    batch = _batch(pipeline)
    done = _deliver_once(double, batch)
    assert [refusal.record for refusal in done.refused] == [batch[0], batch[7], batch[19]]
    assert all(refusal.reason.startswith(f"HTTP 400, code {code}: ") for refusal in done.refused)
    assert set(_messages(double)) == {f"line {number}" for number in range(20)} - {"line 0", "line 7", "line 19"}
    if not keeps_head:
        assert len(_messages(double)) == 17


def test_what_is_too_large_for_the_collector_is_found_out(pipeline: Pipeline) -> None:
    """A collector with a low limit gets every event that it can take, and the one above it is refused."""
    batch = _batch(pipeline)
    batch[3] = pipeline.process(Record(line="line 3" + "x" * 5000))
    double = HecDouble(max_bytes=4096)
    done = _deliver_once(double, batch)
    assert [refusal.record for refusal in done.refused] == [batch[3]]
    assert done.refused[0].reason == "HTTP 413: Content-Length too large"
    assert sorted(_messages(double)) == sorted({f"line {number}" for number in range(20)} - {"line 3"})


@pytest.mark.parametrize(
    ("status", "body", "problem"),
    [
        (403, {"text": "Token disabled", "code": 1}, "HTTP 403, code 1: Token disabled; enable the token"),
        (401, {"text": "Token is required", "code": 2}, "code 2: .*check token"),
        (401, {"text": "Invalid authorization", "code": 3}, "code 3: .*check token"),
        (403, {"text": "Invalid token", "code": 4}, "code 4: .*check token"),
        (400, {"text": "Incorrect index", "code": 7, "invalid-event-number": 0}, "code 7: .*set index"),
        (500, {"text": "Internal server error", "code": 8}, "HTTP 500, code 8: Internal server error$"),
        (503, {"text": "Server is busy", "code": 9, "invalid-event-number": 3}, "HTTP 503, code 9: Server is busy$"),
        (400, {"text": "Data channel is missing", "code": 10}, "code 10: .*set acknowledge to true"),
        (400, {"text": "Invalid data channel", "code": 11}, "code 11: .*set acknowledge to true"),
        (400, {"text": "ACK is disabled", "code": 14}, "code 14: .*set acknowledge to false"),
        (400, {"text": "Invalid token", "code": 21}, "code 21: .*check token"),
        (503, {"text": "Server is shutting down", "code": 23}, "code 23"),
        (429, {"text": "HEC queue is at capacity", "code": 26}, "HTTP 429, code 26"),
        (400, {"text": "Something new", "code": 99}, "HTTP 400, code 99: Something new$"),
        (400, "The plain HTTP request was sent to HTTPS port", "HTTP 400: The plain HTTP request"),
        (404, "<html>\n<b>nothing</b>", "HTTP 404: <html> <b>nothing</b>; check url"),
        (302, "", "HTTP 302"),
        (502, "Bad Gateway", "HTTP 502: Bad Gateway$"),
        (200, "<html>welcome", "HTTP 200: <html>welcome; check url"),
        (200, {"text": "odd", "code": "0"}, "HTTP 200.*check url"),
        (200, [], "HTTP 200.*check url"),
        (200, '{"text":' + "[" * 100_000, "HTTP 200.*check url"),
        (200, '{"more":' + "[" * 100_000, "HTTP 200.*check url"),
        (503, {"text": "Success", "code": 0}, "HTTP 503, code 0"),
        (200, {"text": "Something new", "code": 99}, "HTTP 200, code 99"),
    ],
)
def test_any_other_answer_leaves_the_batch_with_its_sender(
    status: int, body: Any, problem: str, pipeline: Pipeline
) -> None:
    """What may pass, or what somebody mends, costs no event; the error says what it was and what to mend."""
    double = HecDouble()
    double.answers.append((status, body, {"Location": "/elsewhere"} if status == 302 else {}))
    with pytest.raises(RelayError, match=rf"(?s)^relay splunk: 127\.0\.0\.1:\d+: 1 events not taken: .*{problem}"):
        _deliver_once(double, _batch(pipeline, 1))
    assert double.events == []


@pytest.mark.parametrize(("given", "expected"), [({}, 1), ({"Retry-After": "7"}, 7), ({"Retry-After": "soon"}, 1)])
def test_the_collector_says_when_to_come_again(given: dict[str, str], expected: float, pipeline: Pipeline) -> None:
    """Its wait is honoured; without a word it is a second."""
    double = HecDouble()
    double.answers.append((503, {"text": "Server is busy", "code": 9}, given))
    with pytest.raises(RelayError) as caught:
        _deliver_once(double, _batch(pipeline, 1))
    assert caught.value.retry_after == expected


@pytest.mark.parametrize("code", [24, 25])
def test_a_queue_that_fills_up_has_taken_the_events(code: int, pipeline: Pipeline) -> None:
    """A 200 with a warning is a yes: the events are not sent again."""
    double = HecDouble()
    double.answers.append((200, {"text": "approaching its capacity limit", "code": code}, {}))
    assert _deliver_once(double, _batch(pipeline, 1)) == Delivery()


def test_a_wrong_token_is_not_told(pipeline: Pipeline) -> None:
    """The error says which setting to check, and not what stands there, even where the server repeats it."""
    double = HecDouble()
    secret = "secret-of-the-test"
    with pytest.raises(RelayError, match="check token") as caught:
        _deliver_once(double, _batch(pipeline, 1), token=secret)
    assert secret not in str(caught.value)
    double.answers.append((403, {"text": f"who is {secret}?", "code": 4}, {}))
    with pytest.raises(RelayError, match=r"who is \*\*\*\?") as caught:
        _deliver_once(double, _batch(pipeline, 1), token=secret)
    assert secret not in str(caught.value)


def test_with_acknowledge_a_batch_is_taken_when_it_is_indexed(pipeline: Pipeline) -> None:
    """Each delivery asks on a channel of its own until the indexers have its requests, several batches at once."""
    double, batch = HecDouble(acknowledge=True, asked=1), _batch(pipeline)

    async def run() -> None:
        async with double:
            relays = [
                SplunkHecRelay("splunk", _settings(double.url, acknowledge=True, max_bytes=4096)) for _ in range(2)
            ]
            for relay in relays:
                await relay.open()
            done = await asyncio.gather(*(relay.deliver(batch) for relay in relays * 2))
            assert done == [Delivery()] * 4
            for relay in relays:
                await relay.close()

    asyncio.run(run())
    assert sorted(_messages(double)) == sorted([f"line {number}" for number in range(20)] * 4)
    assert len({request.headers["X-Splunk-Request-Channel"] for request in double.requests}) == 4
    assert len(double.requests) > 4
    assert double.asks == 2 * len(double.requests)


def test_with_acknowledge_an_event_that_is_never_taken_costs_no_other(pipeline: Pipeline) -> None:
    """Each half that is taken is waited for, too."""
    double, batch = HecDouble(acknowledge=True, asked=0, judge=_refuses(6, "line 7")), _batch(pipeline)
    done = _deliver_once(double, batch, acknowledge=True)
    assert [refusal.record for refusal in done.refused] == [batch[7]]
    assert set(_messages(double)) == {f"line {number}" for number in range(20)} - {"line 7"}


def test_what_is_not_acknowledged_in_time_stays_with_its_sender(pipeline: Pipeline) -> None:
    """200 alone is no promise of the indexers; the wait for theirs is bounded."""
    double = HecDouble(acknowledge=True, asked=None)
    with pytest.raises(RelayError, match=r"^relay splunk: .*: 20 events not acknowledged within 0\.2 s"):
        _deliver_once(double, _batch(pipeline), acknowledge=True, timeout=0.2)
    assert double.asks > 0


def test_a_batch_never_takes_the_acknowledgement_of_another(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a collector lost when it was restarted stays with its sender, whatever it counts for others since."""
    monkeypatch.setattr(splunk_hec, "_LONGEST_PAUSE", 0.01)
    double = HecDouble(acknowledge=True, asked=None)

    async def taken(count: int) -> None:
        async with asyncio.timeout(5):
            while len(double.events) < count:
                await asyncio.sleep(0.01)

    async def run() -> None:
        async with double:
            relay = SplunkHecRelay("splunk", _settings(double.url, acknowledge=True, timeout=1.0))
            await relay.open()
            lost = asyncio.create_task(relay.deliver(_batch(pipeline, 1)))
            await taken(1)
            double.forget()
            other = asyncio.create_task(relay.deliver(_batch(pipeline, 1)))
            await taken(2)
            # Nobody else will ask for this one any more.
            other.cancel()
            double.asked, asks = 0, double.asks
            with pytest.raises(RelayError, match="1 events not acknowledged within 1 s"):
                await lost
            assert double.asks > asks
            await relay.close()

    asyncio.run(run())


def test_indexers_that_cannot_be_asked_leave_the_batch_with_its_sender(pipeline: Pipeline) -> None:
    """Where the question itself fails the error says so, and nobody waits for the timeout."""
    double = HecDouble(acknowledge=True)
    double.ack_answers.append((503, {"text": "Server is busy", "code": 9}, {"Retry-After": "7"}))
    with pytest.raises(RelayError, match=r"^relay splunk: .*: events not acknowledged: HTTP 503, code 9") as caught:
        _deliver_once(double, _batch(pipeline), acknowledge=True)
    assert caught.value.retry_after == 7
    assert double.asks == 1


def test_a_token_without_acknowledgement_gets_a_batch_once(pipeline: Pipeline) -> None:
    """The operator hears what to mend; until then the events do not come again, and then they do."""
    double, batch = HecDouble(acknowledge=False), _batch(pipeline)

    async def run() -> list[Any]:
        async with double:
            relay = SplunkHecRelay("splunk", _settings(double.url, acknowledge=True))
            await relay.open()
            problems = []
            for _ in range(3):
                with pytest.raises(RelayError) as caught:
                    await relay.deliver(batch)
                problems.append(str(caught.value))
            assert len(double.events) == len(batch)
            double.acknowledge = True
            assert await relay.deliver(batch) == Delivery()
            await relay.close()
            return problems

    assert all("turn on indexer acknowledgement for the token" in problem for problem in asyncio.run(run()))
    assert len(double.events) == 2 * len(batch)


def test_a_token_that_wants_acknowledgement_says_so(pipeline: Pipeline) -> None:
    """Without acknowledge in the settings there is no channel, and nothing is taken."""
    double = HecDouble(acknowledge=True)
    with pytest.raises(RelayError, match=r"code 10: Data channel is missing; .*set acknowledge to true"):
        _deliver_once(double, _batch(pipeline))
    assert double.events == []


@pytest.mark.parametrize("path", ["", "/", "/services/collector", "/services/collector/event", "/services/collector/"])
def test_the_url_may_be_the_whole_address_or_its_root(path: str, pipeline: Pipeline) -> None:
    """Either way events go to the event endpoint."""
    double = HecDouble()

    async def run() -> None:
        async with double:
            relay = SplunkHecRelay("splunk", _settings(double.url + path))
            await relay.open()
            await relay.deliver(_batch(pipeline, 1))
            await relay.close()

    asyncio.run(run())
    assert len(double.events) == 1


@pytest.mark.parametrize(
    ("told", "problem"),
    [
        ({"url": "splunk.example:8088"}, "url is no URL"),
        ({"url": "https://-[\n]["}, "url is no URL"),
        ({"url": "https://me:secret-of-the-test@splunk.example:8088"}, "url holds a user or a password"),
        ({"token": "secret-of-the-test\n"}, "token: holds a blank, a line break"),
        ({"ca_file": Path("/nowhere/ca.pem")}, "ca_file /nowhere/ca.pem: .*No such file"),
    ],
)
def test_a_setting_that_cannot_be_used_is_told_at_once(told: dict[str, Any], problem: str) -> None:
    """What can be known without the collector is; the error names relay and setting, and repeats no secret."""
    relay = SplunkHecRelay("splunk", SplunkHecSettings(**{"url": "https://splunk.example:8088", "token": "t"} | told))
    with pytest.raises(SettingsError, match=f"^relay splunk: .*{problem}") as caught:
        asyncio.run(relay.open())
    assert "secret-of-the-test" not in str(caught.value)


def test_tls_to_a_port_without_it_says_so(pipeline: Pipeline) -> None:
    """An https URL for a collector that speaks plain HTTP is told in words that help."""

    async def run() -> None:
        async with HecDouble() as double:
            relay = SplunkHecRelay("splunk", _settings(double.url.replace("http:", "https:")))
            await relay.open()
            with pytest.raises(RelayError, match=r"^relay splunk: .*: Cannot connect to host .*; no TLS there\?$"):
                await relay.deliver(_batch(pipeline, 1))
            await relay.close()

    asyncio.run(run())


def test_a_server_that_hangs_up_on_tls_has_none(pipeline: Pipeline) -> None:
    """A connection that ends while TLS is set up gives the same hint; one that is refused does not."""

    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.close()

    async def problem(port: int) -> str:
        relay = SplunkHecRelay("splunk", _settings(f"https://127.0.0.1:{port}"))
        await relay.open()
        with pytest.raises(RelayError) as caught:
            await relay.deliver(_batch(pipeline, 1))
        await relay.close()
        return str(caught.value)

    async def run() -> tuple[str, str]:
        async with await asyncio.start_server(hang_up, "127.0.0.1", 0) as server:
            return await problem(server.sockets[0].getsockname()[1]), await problem(free_port())

    cut, refused = asyncio.run(run())
    assert cut.endswith("; no TLS there?")
    assert "[None]" not in cut
    assert "refused" in refused.lower() or "Connect call failed" in refused
    assert "TLS" not in refused


def test_a_collector_that_is_not_there_is_waited_for(pipeline: Pipeline) -> None:
    """The relay opens all the same; its sender keeps the batch, and the relay can be closed twice."""

    async def run() -> None:
        relay = SplunkHecRelay("splunk", _settings("http://127.0.0.1:1"))
        await relay.open()
        with pytest.raises(RelayError, match=r"^relay splunk: 127\.0\.0\.1:1: "):
            await relay.deliver(_batch(pipeline))
        await relay.close()
        await relay.close()
        with pytest.raises(RelayError, match=r"^relay splunk: is closed"):
            await relay.deliver(_batch(pipeline))

    asyncio.run(run())


@pytest.mark.parametrize("mode", ["", "acknowledge"])
def test_a_collector_that_is_killed_and_comes_back_gets_every_event(
    mode: str, pipeline: Pipeline, tmp_path: Path
) -> None:
    """After OK from the relay the event is on the collector's disk, whenever the collector is killed."""
    port, path, log = free_port(), tmp_path / "events", tmp_path / "log"
    command = [sys.executable, hec_double.__file__, str(port), str(path), *filter(None, [mode])]
    batches = [pipeline.process_all(Record(line=f"line {part}-{n}") for n in range(5)) for part in range(6)]

    async def run() -> None:
        relay = SplunkHecRelay("splunk", _settings(f"http://127.0.0.1:{port}", acknowledge=bool(mode), timeout=5.0))
        await relay.open()
        process = Process(command, "ready", log)
        try:
            for part, batch in enumerate(batches):
                if part == 3:
                    process.kill()
                    with pytest.raises(RelayError):
                        await relay.deliver(batch)
                    process = Process(command, "ready", log)
                assert await relay.deliver(batch) == Delivery()
        finally:
            process.kill()
            await relay.close()

    asyncio.run(run())
    found = [msgspec.json.decode(line)["event"]["message"] for line in path.read_bytes().splitlines()]
    assert found == [f"line {part}-{number}" for part in range(6) for number in range(5)]


def test_a_collector_that_is_busy_has_nothing(pipeline: Pipeline, tmp_path: Path) -> None:
    """As a process the double can be busy: then the batch stays with its sender, and no event is on disk."""
    port, path = free_port(), tmp_path / "events"

    async def run() -> None:
        relay = SplunkHecRelay("splunk", _settings(f"http://127.0.0.1:{port}"))
        await relay.open()
        try:
            with pytest.raises(RelayError, match="HTTP 503, code 9: Server is busy"):
                await relay.deliver(_batch(pipeline))
        finally:
            await relay.close()

    process = Process([sys.executable, hec_double.__file__, str(port), str(path), "busy"], "ready", tmp_path / "log")
    try:
        asyncio.run(run())
    finally:
        process.kill()
    assert not path.exists()


def test_the_double_says_no_where_splunk_does() -> None:
    """The double reads events strictly, so that what it takes is in order."""
    good = {"event": {"message": "x"}}
    bodies = {
        b"": 5,
        b"{": 6,
        b'{"event":"x"} nonsense': 6,
        b'{"event":"x","time":1e9}': 6,
        b'{"event":"x","time":NaN}': 6,
        b'{"event":"x","time":"1.5"}': 6,
        b'{"event":"x","host":7}': 6,
        b'{"event":"x","hots":"y"}': 6,
        b'{"event":"x","index":"other"}': 7,
        b'{"host":"y"}': 12,
        b'{"event":" "}': 13,
        b'{"event":"x","fields":{"a":{}}}': 15,
        json.dumps(good).encode() * 2: 0,
    }
    double = HecDouble()
    for body, code in bodies.items():
        try:
            double._take(double._read(body))
            found = 0
        except hec_double._No as no:
            found = no.code
        assert found == code, body
    assert double.events == [good, good]
