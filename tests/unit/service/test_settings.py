"""What the server can be told, and what it says to what makes no sense."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from lexilog import Pipeline, Record, SettingsError
from lexilog.relay.file import FileRelay, StdoutRelay
from lexilog.relay.otlp import OtlpRelay
from lexilog.service.logs import OncePerMinute
from lexilog.service.metrics import Counts
from lexilog.service.settings import Settings, make_relay, read_address, read_zone


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        (None, type(None)),
        ("stdout", StdoutRelay),
        ("file:/tmp/x", FileRelay),
        ("otlp://127.0.0.1:4319", OtlpRelay),
        ("otlp://[::1]:4319", OtlpRelay),
        ("otlp://next-hop.example:4317", OtlpRelay),
    ],
)
def test_relays(text: str | None, kind: type) -> None:
    """Each way out has a name."""
    assert type(make_relay(Settings(relay=text))) is kind


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("otlp://127.0.0.1", "no HOST:PORT"),
        ("otlp:127.0.0.1:1", "none of otlp://"),
        ("file:", "none of otlp://"),
        ("kafka://x:1", "none of otlp://"),
        ("", "none of otlp://"),
        ("otlp://127.0.0.1:99999", "no HOST:PORT"),
        ("otlp://127.0.0.1:4317", "round in a loop"),
        ("otlp://localhost:4317", "round in a loop"),
        ("otlp://0.0.0.0:4317", "round in a loop"),
        ("otlp://127.0.0.1:0", "port 0"),
    ],
)
def test_a_relay_that_makes_no_sense(text: str, problem: str) -> None:
    """The error says what would."""
    with pytest.raises(SettingsError, match=problem):
        make_relay(Settings(relay=text))


@pytest.mark.parametrize("text", ["4317", "a:b", ":1", "::1:4317", "127.0.0.1:", "127.0.0.1:65536", "a b:1"])
def test_an_address_that_is_none(text: str) -> None:
    """Host and port are both needed."""
    with pytest.raises(SettingsError, match=r"listen: '.*' is no HOST:PORT"):
        read_address(text, "listen")


@pytest.mark.parametrize("name", ["Nowhere/Town", "", "../etc/passwd", "\0"])
def test_a_zone_that_is_none(name: str) -> None:
    """The error gives an example."""
    with pytest.raises(SettingsError, match="no IANA time zone"):
        read_zone(name)


def test_times_without_a_zone_are_in_the_zone_that_is_set() -> None:
    """A BSD time is local time of that zone."""
    line = "Aug  3 10:18:44 srx1 kmd[1]: KMD_VPN_DOWN_ALARM_USER: VPN v1 from 198.51.100.7 is down."
    found = Pipeline(zone=read_zone("America/New_York")).process(Record(line=line))
    assert found.fields["@timestamp"].hour == 14


def test_every_record_is_counted(pipeline: Pipeline) -> None:
    """Each record is in one counter, by door, catalogue, outcome, reason and delivery."""
    counts = Counts()
    line = "KMD_VPN_DOWN_ALARM_USER: VPN v1 from 198.51.100.7 is down."
    batch = pipeline.process_all([Record(line=line), Record(line=line), Record(line="x"), Record(line=None)])
    counts.add("otlp", batch, "relayed")
    assert dict(counts.items()) == {
        ("otlp", "", "unknown", "no_frame", "relayed"): 1,
        ("otlp", "", "unknown", "no_line", "relayed"): 1,
        ("otlp", "juniper_kmd", "matched", "exact", "relayed"): 2,
    }
    assert "otlp juniper_kmd matched exact relayed: 2" in counts.summary()
    assert Counts().summary() == "no records"


def test_what_repeats_is_logged_once_a_minute() -> None:
    """The same place in the code speaks once a minute, and says how often it was held back; information is not held."""
    now = [0.0]
    once = OncePerMinute(lambda: now[0])

    def passes(level: int, line: int) -> str | None:
        record = logging.LogRecord("x", level, str(Path(__file__)), line, "text %d", (1,), None)
        return record.getMessage() if once.filter(record) else None

    assert passes(logging.WARNING, 1) == "text 1"
    assert passes(logging.WARNING, 1) is None
    assert passes(logging.ERROR, 2) == "text 1"
    assert passes(logging.INFO, 3) == passes(logging.INFO, 3) == "text 1"
    now[0] = 59.0
    assert passes(logging.WARNING, 1) is None
    now[0] = 60.0
    assert passes(logging.WARNING, 1) == "text 1 (and 2 more like this in the meantime)"
