"""Looking entries up."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from lexilog import Frame, Match, Pipeline, Quality
from lexilog.framing import Clock, frame
from lexilog.matching.index import Index, Miss
from lexilog.matching.tail import TailReader
from lexilog.matching.template import Template
from lexilog.model import Entry

CLOCK = Clock(datetime(2026, 1, 15, tzinfo=UTC))
NEGATIVES = Path(__file__).resolve().parents[2] / "data" / "negatives.log"


def _copies(entry: Entry, count: int) -> list[Entry]:
    return [
        msgspec.structs.replace(
            entry, id=f"EX_COPY_{n}", code=f"EX_COPY_{n}", formats=(f"Unable to do thing{n} with {{tunnel-name}}",)
        )
        for n in range(count)
    ]


@pytest.mark.parametrize("tag", ["KMD_PM_DYNAMIC_SA_INSTALL_FAILED: ", ""])
def test_cost_does_not_grow_with_the_catalogue(tag: str, pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    """With two thousand more entries, as alike as they may be, a line is held against no more templates."""
    tried: list[str] = []
    full = Template.full
    monkeypatch.setattr(Template, "full", lambda self, text: (tried.append(self.text), full(self, text))[1])
    framed = frame(f"Aug  3 10:18:44 srx1 kmd[1]: {tag}Unable to install dynamic SA for tunnel t1", CLOCK)
    assert framed is not None
    counts = []
    for more in (0, 2_000):
        entry = next(e for e in pipeline.entries if e.id == "KMD_PM_DYNAMIC_SA_INSTALL_FAILED")
        index = Index([*pipeline.entries, *_copies(entry, more)])
        tried.clear()
        found = index.look_up(framed)
        assert isinstance(found, Match)
        assert found.entry.id == "KMD_PM_DYNAMIC_SA_INSTALL_FAILED"
        counts.append(len(tried))
    assert counts[0] == counts[1] <= 3


def test_a_miss_has_a_reason(pipeline: Pipeline) -> None:
    """An unknown id and an unknown text are told apart."""
    index = Index(pipeline.entries)
    base = Frame(kind="junos", text="some text", body="some text", process="kmd")
    assert index.look_up(msgspec.structs.replace(base, tag="KMD_NEW")) == Miss("unknown_id")
    assert index.look_up(base) == Miss("unknown_text")


@pytest.mark.parametrize("process", ["rpd", "sshd", "charon", None])
def test_a_text_counts_only_from_its_daemon(process: str | None, pipeline: Pipeline) -> None:
    """The words alone, in the line of another daemon, are not enough."""
    text = "Unable to install dynamic SA for tunnel t1"
    framed = Frame(kind="junos", text=text, body=text, process=process)
    assert Index(pipeline.entries).look_up(framed) == Miss("unknown_text")
    assert isinstance(Index(pipeline.entries).look_up(msgspec.structs.replace(framed, process="kmd")), Match)


def test_structured_data_is_surer_than_text(pipeline: Pipeline) -> None:
    """Where both have a value, that of the structured data counts; further attributes are kept."""
    text = "VPN one from 192.0.2.1 is up."
    framed = Frame(
        kind="junos", text=text, body=text, tag="KMD_VPN_UP_ALARM_USER", data={"vpn-name": "o]ne", "new-name": "x"}
    )
    found = Index(pipeline.entries).look_up(framed)
    assert isinstance(found, Match)
    assert found.values == {"vpn-name": "o]ne", "remote-address": "192.0.2.1", "new-name": "x"}


def test_brief_form_without_all_values_is_id_only(pipeline: Pipeline) -> None:
    """Structured data that lacks a documented variable does not make an exact match."""
    framed = Frame(kind="junos", text="", body="", tag="KMD_VPN_UP_ALARM_USER", data={"vpn-name": "one"})
    found = Index(pipeline.entries).look_up(framed)
    assert isinstance(found, Match)
    assert found.quality is Quality.ID_ONLY


def test_lines_of_others_match_nothing(pipeline: Pipeline) -> None:
    """Lines of other products and of other Junos daemons, shaped like real ones, are unknown."""
    lines = [line for line in NEGATIVES.read_text(encoding="utf-8").splitlines() if line and not line.startswith("#")]
    assert len(lines) >= 60
    index = Index(pipeline.entries)
    for line in lines:
        framed = frame(line, CLOCK)
        assert framed is None or isinstance(index.look_up(framed), Miss), line


def test_a_tail_is_split_at_its_names() -> None:
    """Commas in brackets and names without a value do not confuse; unknown names outside brackets are kept."""
    reader = TailReader(["Local-ip", "Traffic-selector", "Traffic-selector local ID", "Reason"])
    tail = (
        "Local-ip: 192.0.2.1, Traffic-selector: , Traffic-selector local ID: a(any:0,[0..7]=x, y: z), "
        "New one: 5, Reason: b, c"
    )
    assert reader.read(tail) == {
        "Local-ip": "192.0.2.1",
        "Traffic-selector": "",
        "Traffic-selector local ID": "a(any:0,[0..7]=x, y: z)",
        "New one": "5",
        "Reason": "b, c",
    }
