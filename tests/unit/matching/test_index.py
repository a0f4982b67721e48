"""Looking entries up."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from catalogs import catalog_head
from lexilog import Frame, Match, Pipeline, Quality, load_catalog
from lexilog.framing import Context, frame
from lexilog.matching.index import Index, Miss
from lexilog.matching.tail import TailReader
from lexilog.matching.template import Template
from lexilog.model import Entry, UnknownId

CONTEXT = Context(datetime(2026, 1, 15, tzinfo=UTC))
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
    framed = frame(f"Aug  3 10:18:44 srx1 kmd[1]: {tag}Unable to install dynamic SA for tunnel t1", CONTEXT)
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
    assert index.look_up(msgspec.structs.replace(base, tag="OTHER_NEW")) == Miss("unknown_id")
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
    assert len(lines) >= 90
    index = Index(pipeline.entries)
    for line in lines:
        framed = frame(line, CONTEXT)
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


def _look_up(pipeline: Pipeline, line: str) -> Match | Miss:
    framed = frame(line, CONTEXT)
    assert framed is not None
    return Index(pipeline.entries).look_up(framed)


@pytest.mark.parametrize(
    ("parameters", "expected", "candidates"),
    [
        ("ip=192.0.2.7 iface=wan1", "1691", ()),
        ("ip=192.0.2.7 name=pool1", "1690", ()),
        ("ip=192.0.2.7", "1690", ("1690", "1691")),
    ],
)
def test_one_text_of_two_entries(
    pipeline: Pipeline, parameters: str, expected: str, candidates: tuple[str, ...]
) -> None:
    """The names beside the text decide; where they do not, both entries are named."""
    found = _look_up(
        pipeline, f'<134>[2025-09-01 13:04:11] EFW: IKE: prio=1 rev=1 message="Released address." {parameters}'
    )
    assert isinstance(found, Match)
    assert (found.entry.id, found.candidates, found.quality) == (expected, candidates, Quality.EXACT)


def test_a_doubtful_record_has_the_code_of_none(enrich: Callable[..., dict[str, Any]]) -> None:
    """Where the line may be two entries, no code is claimed, and both ids are there."""
    found = enrich('<134>[2025-09-01 13:04:11] EFW: IKE: prio=1 rev=1 message="Released address." ip=192.0.2.7')
    assert "code" not in found["event"]
    assert found["lexilog"]["match"]["candidates"] == ["1690", "1691"]


def test_a_text_without_its_id_must_be_whole(pipeline: Pipeline) -> None:
    """A short Clavister text that goes on is not the documented one."""
    line = '<134>[2025-09-01 13:04:11] EFW: IKE: prio=1 rev=1 message="Peer is dead.%s" localip=192.0.2.1'
    assert isinstance(_look_up(pipeline, line % ""), Match)
    assert _look_up(pipeline, line % " Or is it?") == Miss("unknown_text")


def test_an_id_is_never_overruled_by_a_text(pipeline: Pipeline) -> None:
    """A line with the id of an unknown message is unknown, whatever text it has."""
    line = '<134>[2025-09-01 13:04:11] EFW: IKE: prio=1 id=9999 rev=1 message="Peer is dead." localip=192.0.2.1'
    assert _look_up(pipeline, line) == Miss("unknown_id", UnknownId("clavister_stream", "9999"))


@pytest.mark.parametrize(
    ("head", "known"),
    [
        ("CEF:0|FORCEPOINT|Firewall|6.8.6|0|Generic|0|deviceFacility=IPsec msg=", True),
        ("CEF:0|Forcepoint|NGFW|6.8.6|70018|Something|0|deviceFacility=IPsec msg=", True),
        ("CEF:0|FORCEPOINT|Firewall|6.8.6|0|Generic|0|deviceFacility=Packet Filtering msg=", False),
        ("CEF:0|FORCEPOINT|Firewall|6.8.6|0|Generic|0|msg=", False),
        ("CEF:0|Forcepoint|Security|8.5|0|Generic|0|deviceFacility=IPsec msg=", False),
        ("CEF:0|Other|Firewall|6.8.6|0|Generic|0|deviceFacility=IPsec msg=", False),
    ],
)
def test_short_texts_need_device_and_facility(pipeline: Pipeline, head: str, known: bool) -> None:
    """ESP and AH say something in a Forcepoint wrapping with the facility IPsec alone."""
    for text in ("ESP [spi 0x1]", "AH [spi 0x1]"):
        assert isinstance(_look_up(pipeline, f"<6>{head}{text}"), Match) == known


@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        ("Attempting login with jailbroken device", "policy-reject-attempting-login-with-a-jailbroken-device"),
        ("attempting login with a jailbroken device", "policy-reject-attempting-login-with-a-jailbroken-device"),
        ("The administrator of the MDM server says no", "policy-reject"),
    ],
)
def test_a_value_tells_entries_apart(pipeline: Pipeline, reason: str, expected: str) -> None:
    """Of several entries with one text it is the one whose value the line has; case does not count."""
    found = _look_up(pipeline, f'Oct 22 2021 07:15:30.401772: [AAA] Policy REJECT {{"reason":"{reason}"}}')
    assert isinstance(found, Match)
    assert found.entry.id == expected


def test_an_unknown_message_of_a_known_component(pipeline: Pipeline) -> None:
    """It gets what is known of the component and the severity of the line, and says that the text is not known."""
    line = "Nov 11 2021 22:24:37 gw1 Mocana: [CFM], SubCls:102, EID: 7, Type: General, Sev:Major, core file moved"
    found = _look_up(pipeline, line)
    assert isinstance(found, Match)
    assert (found.entry.id, found.quality) == ("component-cfm", Quality.ID_ONLY)
    assert found.level is not None
    assert (found.level.word, found.level.code, found.level.otel) == ("Major", 3, 17)


def test_a_catalogue_for_any_syslog_line(tmp_path: Path) -> None:
    """`frame: syslog` is for products whose lines have no wrapping of their own: by program and text, or Cisco's id."""
    path = tmp_path / "own.yaml"
    path.write_text(SYSLOG, encoding="utf-8")
    pipeline = Pipeline([load_catalog(path)])
    line = "<30>Aug  3 10:18:44 gw1 exd[7]: peer 192.0.2.1 of office has gone away"
    new = line.replace("<30>Aug  3 10:18:44 gw1 exd[7]:", "<30>1 2025-08-03T10:18:44Z gw1 exd 7 ID47 -")
    for shape in (line, line.replace("exd[7]", "exd"), line.replace("<30>Aug  3 10:18:44", "Aug  3 10:18:44"), new):
        assert isinstance(_look_up(pipeline, shape), Match)
    assert isinstance(_look_up(pipeline, line.replace("exd", "other")), Miss)
    for head in (
        "", "<187>", "<187>Aug  3 10:18:44 gw1 : ", "<187>Aug  3 10:18:44 gw1 ", "<187>Aug 03 2025 10:18:44: ",
        "<187>Aug 03 2025 10:18:44 gw1: ", "<187>1 2025-08-03T10:18:44Z gw1 - - - - ",
    ):  # fmt: skip
        coded = _look_up(pipeline, f"{head}%ASA-4-113019: Group = office, gone")
        assert isinstance(coded, Match), head
        assert coded.entry.id == "113019"


SYSLOG = (
    catalog_head("syslog", name="example")
    + """\
variables:
  peer: {type: address}
  name: {type: name}
entries:
  - id: peer-gone
    coded: false
    format: 'peer {peer} of {name} has gone away'
    impact: down
    event: {category: [network], type: [end], action: peer-gone}
  - id: '113019'
    format: 'Group = {name}, gone'
    impact: down
    event: {category: [network], type: [end], action: peer-gone}
"""
)


@pytest.mark.parametrize("end", ["", ", spi 1", ": spi 1", "; spi 1", "(spi 1)", " [spi 1]", "."])
def test_what_touches_the_last_word_is_no_part_of_it(pipeline: Pipeline, end: str) -> None:
    """A message is found by its words, whatever punctuation follows them."""
    head = "CEF:0|FORCEPOINT|Firewall|6.8.6|0|Generic|0|deviceFacility=IPsec msg=IKE Phase-1 initiator done"
    found = _look_up(pipeline, head + end)
    assert isinstance(found, Match)
    assert found.quality is (Quality.PREFIX if end else Quality.EXACT)


@pytest.mark.parametrize(
    "line",
    [
        "CEF:0|FORCEPOINT|Firewall|6.8.6|0|Generic|0|msg=Unknown IKE cookie deviceFacility=IPsec\0",
        'Timestamp="2024-09-09 14:12:51",CompId="7",InfoMsg="Unknown IKE cookie",Facility="IPsec"\0',
        'Timestamp="2024-09-09 14:12:51",CompId="7",Situation="Unknown IKE cookie",SituationId="9",Facility="IPsec"',
        '<134>[2024-09-01 13:04:11] EFW: IKE: localip="192.0.2.1" id="803"\0\r\n',
        '{"log":"<134>[2024-09-01 13:04:11] EFW: IKE: localip=192.0.2.1 id=803\\u0000\\n"}',
    ],
)
def test_what_senders_leave_at_the_ends(pipeline: Pipeline, line: str) -> None:
    """NUL and line ends at the end of a message are no part of it; a text may stand in the situation alone."""
    found = _look_up(pipeline, line)
    assert isinstance(found, Match)


def test_a_user_name_does_not_relabel_a_record(enrich: Callable[..., dict[str, Any]]) -> None:
    """What a user types cannot make a Junos line look like another product's."""
    for name in ("CEF:0|a|b|", "LEEF:1.0|a|b|", "EFW: IKE: id=530", "Mocana: [AAA]"):
        line = (
            "<37>1 2024-05-04T15:27:26Z srx1 kmd 13862 DYNAMIC_VPN_AUTH_INVALID "
            f'[junos@2636.1.1.1.2.129 type="user" username="{name}"] user {name} is invalid'
        )
        assert enrich(line)["event"]["code"] == "DYNAMIC_VPN_AUTH_INVALID"
