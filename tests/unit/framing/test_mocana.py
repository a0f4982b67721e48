"""Blue Cedar gateway lines: the header in all its forms, the object at the end, and what is no such line."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lexilog.framing import Context
from lexilog.framing.mocana import find_again, parse_mocana, read_lead
from lexilog.model import Frame

CONTEXT = Context(datetime(2026, 1, 15, 12, 0, tzinfo=UTC))
ATTRIBUTES = {"SubCls": "ACCT", "EID": "7", "Type": "Acct", "Sev": "Informational"}
HEADER = "Oct  2 13:45:35 gw1 Mocana: [AAA], SubCls:ACCT, EID:          7, Type:    Acct, Sev:Informational, "
LINES = [
    'Session STOP {"sessionId":{"username":"user1",',
    '              "durationSeconds":49,',
    '\u00a0 \u00a0         "device":{"deviceName":"User\u2019s phone",',
    '                        "jailbroken":false},',
    '              "app":{"assignedIp":""',
    "                     }}}",
]
VALUES = {
    "username": "user1",
    "durationSeconds": "49",
    "deviceName": "User\u2019s phone",
    "jailbroken": "false",
    "assignedIp": "",
}


def _frame(line: str) -> Frame:
    found = parse_mocana(line, CONTEXT)
    assert found is not None
    return found


def test_whole_line() -> None:
    """Header, component, attributes and text are read; the severity is the vendor's own word."""
    body = "[INTFMGR], SubCls:999, EID: 658120114, Type: General, Sev:Major, Removing tunnel interface vt1: done, ok"
    found = _frame(f"Nov 11 2021 22:24:37 gw1 Mocana: {body}\r\n")
    assert (found.kind, found.component, found.process, found.level, found.hostname, found.tag, found.vendor) == (
        "mocana", "intfmgr", "Mocana", "Major", "gw1", None, None,
    )  # fmt: skip
    assert found.time == datetime(2021, 11, 11, 22, 24, 37, tzinfo=UTC)
    assert (found.text, found.body) == ("Removing tunnel interface vt1: done, ok", body)
    assert found.data == {"SubCls": "999", "EID": "658120114", "Type": "General", "Sev": "Major"}


@pytest.mark.parametrize(
    ("header", "time"),
    [
        ("Nov 11 2021 22:24:37 gw1 ", "2021-11-11T22:24:37+00:00"),
        ("Nov 11 22:24:37 gw1 ", "2025-11-11T22:24:37+00:00"),
        ("Nov 11 2021 22:24:37.664259 gw1 ", "2021-11-11T22:24:37.664259+00:00"),
        ("<134>Nov 11 22:24:37 gw1 ", "2025-11-11T22:24:37+00:00"),
        ("<134>1 2021-11-11T22:24:37Z gw1 - - - - ", "2021-11-11T22:24:37+00:00"),
        ("<134>1 2021-11-11T22:24:37Z gw1 Mocana 7 - - ", "2021-11-11T22:24:37+00:00"),
        ("<134>Nov 12 01:00:00 192.0.2.9 Nov 11 2021 22:24:37 gw1 ", "2021-11-11T22:24:37+00:00"),
        ("Nov 11 22:24:37 relay1 gw1 ", "2025-11-11T22:24:37+00:00"),
    ],
)
def test_syslog_headers(header: str, time: str) -> None:
    """Time and device are found with and without PRI, year, fraction and relay."""
    found = _frame(f"{header}Mocana: [IKE], SubCls:050, EID: 7, Type: General, Sev:Debug, 192.0.2.20")
    assert (found.time and found.time.isoformat(), found.hostname, found.process) == (time, "gw1", "Mocana")
    assert (found.text, found.component, found.level) == ("192.0.2.20", "ike", "Debug")


def test_the_name_may_be_the_app_name() -> None:
    """In a header of RFC 5424 the gateway's name may stand in its column instead."""
    found = _frame("<134>1 2021-11-11T22:24:37Z gw1 Mocana 7 - - [AAA] some text")
    assert (found.process, found.pid, found.hostname, found.text) == ("Mocana", 7, "gw1", "some text")


def test_without_a_header() -> None:
    """Where the header was taken off, the name alone tells the gateway, of any component."""
    found = _frame("mocana[12]: [new-part] some text")
    assert (found.component, found.pid, found.text, found.data, found.time) == ("new-part", 12, "some text", None, None)


@pytest.mark.parametrize(
    "attributes",
    [
        "], SubCls:ACCT, EID: 7, Type: Acct, Sev:Informational, ",
        "] SubCls:ACCT, EID: 7, Type: Acct, Sev:Informational, ",
        "], SubCls: ACCT ,EID:          7,Type:    Acct,Sev: Informational,",
        "],subcls:ACCT,eid:7,TYPE : Acct,SEV:Informational ",
        "], SubCls:ACCT, EID: 7, \nType: Acct, Sev:Informational, \n",
        "], SubCls:ACCT, EID: 7,#012Type: Acct, Sev:Informational,#012",
        "], SubCls:ACCT, EID: 7, \\nType: Acct, Sev:Informational, \\n",
    ],
)
@pytest.mark.parametrize("component", ["AAA", "aaa"])
def test_spacing_of_attributes(attributes: str, component: str) -> None:
    """Blanks, commas, letters in upper or lower case and line ends between attributes do not matter."""
    found = _frame(f"Nov 11 2021 22:24:37 gw1 Mocana: [{component}{attributes}Received a signal")
    assert (found.data, found.level, found.text) == (ATTRIBUTES, "Informational", "Received a signal")


def test_any_attribute_may_be_missing() -> None:
    """What is there is read, and a word that is said twice belongs to the text."""
    found = _frame("Nov 11 2021 22:24:37 gw1 Mocana: [AAA] EID: 5, Sev:Minor, Sev: is a word")
    assert (found.data, found.text) == ({"EID": "5", "Sev": "Minor"}, "Sev: is a word")


@pytest.mark.parametrize("text", ["\\Temp is full", "\\New", "\u017fev:Info"])
def test_what_only_looks_like_a_gap_or_an_attribute_is_text(text: str) -> None:
    r"""A backslash before a capital is no line end that a collector has written, and a long s is no s."""
    assert _frame(f"Nov 11 2021 22:24:37 gw1 Mocana: [AAA], Sev:Minor, {text}").text == text


JOINED = ["\n", "#012", "\\n", " ", ""]


@pytest.mark.parametrize("joint", JOINED)
@pytest.mark.parametrize("gap", JOINED)
def test_an_object_over_many_lines(gap: str, joint: str) -> None:
    """However its lines are joined, the text is what stands before the object and the leaves are values."""
    found = _frame(HEADER + gap + joint.join(LINES))
    assert (found.text, found.truncated) == ("Session STOP", False)
    assert found.data == {**VALUES, **ATTRIBUTES}


@pytest.mark.parametrize(
    "again",
    [
        HEADER,
        "Oct  2 13:45:36 gw1 Mocana: [AAA] ",
        "Oct  2 13:45:36 gw1 Mocana: ",
        "<134>Oct  2 13:45:36 gw1 Mocana: [AAA], EID: 7, ",
        "<134>1 2021-10-02T13:45:36Z gw1 - - - - Mocana: [AAA] ",
    ],
)
def test_headers_that_lines_repeat_are_taken_off(again: str) -> None:
    """Each further line may have a header of its own, which is no part of the object."""
    found = _frame(HEADER + f"\n{again}".join(LINES))
    assert (found.text, found.truncated, found.data) == ("Session STOP", False, {**VALUES, **ATTRIBUTES})


def test_words_in_brackets_in_further_lines_are_kept() -> None:
    """What is no header, though it looks like the gateway's, is part of the object."""
    found = _frame(HEADER + 'Policy REJECT {"a":\n"from Mocana: [AAA] x","b":"one\nSet by Mocana: [AAA] x"}')
    assert found.data is not None
    assert (found.data["a"], found.data["b"]) == ("from Mocana: [AAA] x", "one\nSet by Mocana: [AAA] x")


@pytest.mark.parametrize(
    ("message", "text", "data"),
    [
        ('"Link Update" {\n"linkUpdate" : {"name": "ethernet0"}\n}', "Link Update", {"name": "ethernet0"}),
        ("“Link Update” {“name”: “ethernet0”}", "Link Update", {"name": "ethernet0"}),
        ('Link Update: {"name":"ethernet0"}', "Link Update", {"name": "ethernet0"}),
        ('Session START   {"a":1}  ', "Session START", {"a": "1"}),
        ('one\n   two #012 three {"a":1}', "one two three", {"a": "1"}),
        ('text {"a":1} goes on', "text goes on", {"a": "1"}),
        ("text {not JSON", "text {not JSON", {}),
        ('text {x} {"a":1}', "text {x}", {"a": "1"}),
        ("user CORP\\nina: denied", "user CORP\\nina: denied", {}),
        ("", "", {}),
        ('{"a":1,"Sev":"x"}', "", {"a": "1"}),
    ],
)
def test_text_and_object(message: str, text: str, data: dict[str, str]) -> None:
    """The text is on one line and has no quotes around it; an attribute of the header counts more than a leaf."""
    found = _frame(HEADER + message)
    assert (found.text, found.data) == (text, {**data, **ATTRIBUTES})


@pytest.mark.parametrize(
    ("message", "data"),
    [
        ('Session STOP {"sessionId":{"username":"user1","duration":"7 min', {"username": "user1"}),
        ('Session STOP {"sessionId":{"username":"user1","durationSeconds":43', {"username": "user1"}),
        ("Session STOP {", {}),
    ],
)
def test_object_that_breaks_off(message: str, data: dict[str, str]) -> None:
    """What is whole is kept, and the frame says that the line is cut."""
    found = _frame(HEADER + message)
    assert (found.text, found.truncated, found.data) == ("Session STOP", True, {**data, **ATTRIBUTES})


@pytest.mark.parametrize(
    ("line", "hostname"),
    [
        ('Oct 22 2021 07:15:30.401772: [AAA] Policy REJECT {"reason":"x"}', None),
        ('Oct 22 2021 07:15:30.401772: [AAA] \nPolicy REJECT {"reason":"x"}', None),
        ('Oct 22 13:31:13: [AAA] Policy REJECT {"reason":"x"}', None),
        ('Oct 22 13:31:13 gw1 [aaa], Policy REJECT {"reason":"x","sessionId":{"', "gw1"),
        ('<134>1 2021-10-22T13:31:13Z gw1 - - - - [AAA] Policy REJECT {"reason":"x","sessionId":{}}', "gw1"),
    ],
)
def test_without_the_gateways_name_an_object_tells_it(line: str, hostname: str | None) -> None:
    """A documented component right after the gateway's own time, or with an object of its own, is enough."""
    found = _frame(line)
    assert (found.process, found.component, found.text, found.hostname) == (None, "aaa", "Policy REJECT", hostname)
    assert found.data == {"reason": "x"}


def test_without_the_gateways_name_attributes_tell_it() -> None:
    """So are its own attributes."""
    found = _frame("Oct 22 13:31:13 gw1 [IKE], SubCls:050, EID: 7, Type: General, Sev:Debug, 192.0.2.20")
    assert (found.process, found.component, found.text) == (None, "ike", "192.0.2.20")


@pytest.mark.parametrize(
    "line",
    [
        "",
        "[",
        "Mocana: hello",
        "[AAA]",
        "Aug  3 10:18:44 gw1 charon: 05[IKE] initiating IKE_SA site-a[3] to 198.51.100.7",
        "Aug  3 10:18:44 05[IKE], SubCls:050, text",
        "Aug  3 10:18:44 gw1 charon: [IKE] initiating IKE_SA site-a[3] to 198.51.100.7",
        'Aug  3 10:18:44 gw1 charon: [IKE] Type: x {"a":1}',
        "Aug  3 10:18:44 gw1 [IKE] initiating IKE_SA site-a[3] to 198.51.100.7",
        'Aug  3 10:18:44 gw1 [IKE] text {"a":1} goes on',
        'Aug  3 10:18:44 gw1 [other] Policy REJECT {"a":1}',
        '[AAA] Policy REJECT {"a":1}',
        'hello [AAA], SubCls:1, {"a":1}',
        "Aug  3 10:18:44 log1 rsyslogd: could not forward Mocana: [AAA], SubCls:1, text",
        "the operator saw Mocana: [AAA], SubCls:1, text",
        "Aug  3 10:18:44 gw1 xMocana: [new] text",
    ],
)
def test_what_is_no_gateway_line(line: str) -> None:
    """Other daemons' brackets, prose and lines without a time do not make a frame."""
    assert parse_mocana(line, CONTEXT) is None


def test_lead() -> None:
    """The lead ends where the message begins; a line that goes on with a record may repeat the name alone."""
    line = "Nov 11 22:24:37 gw1 Mocana: [AAA], SubCls:1, text"
    lead = read_lead(line)
    assert lead is not None
    assert (line[lead.start : lead.brackets], line[lead.end :], lead.attributes) == (
        "Mocana: ",
        "text",
        {"SubCls": "1"},
    )
    assert find_again(line) == (lead.start, lead.end)
    assert find_again("Nov 11 22:24:37 gw1 Mocana: text") == (20, 28)
    assert find_again("Nov 11 22:24:37 gw1 other: text") is None


def test_every_example_of_the_help_page(shared: Path) -> None:
    """The examples are wrapped for the page; each of them is read whole."""
    page = (shared / "reference" / "004_884610db62637165.txt").read_text()
    examples = [text.strip().removeprefix("BASH\n") for text in page.split("\n\n")]
    found = [_frame(text) for text in examples if text.startswith(("Nov ", "Oct "))]
    assert [(frame.component, frame.text[:23], len(frame.data or {})) for frame in found] == [
        ("intfmgr", "Removing tunnel interfa", 4),
        ("ike", "10.42.18.20", 4),
        ("aaa", "Session STOP", 28),
        ("aaa", "Received unexpected acc", 4),
        ("aaa", "Policy REJECT", 18),
        ("aaa", "Session START", 22),
        ("aaa", "Session STOP", 28),
    ]
    assert not any(frame.truncated for frame in found)


WHOLE = HEADER + "\n".join(LINES)


@given(st.integers(0, len(WHOLE)), st.integers(0, len(WHOLE) - 1), st.characters())
def test_any_cut_and_any_changed_character(end: int, place: int, other: str) -> None:
    """A line that is cut is framed as soon as the component is there, and its values are whole ones."""
    cut = parse_mocana(WHOLE[:end], CONTEXT)
    assert (cut is None) == (end < WHOLE.index("]") + 1)
    values = {name: value for name, value in ((cut and cut.data) or {}).items() if name not in ATTRIBUTES}
    assert values.items() <= VALUES.items()
    changed = parse_mocana(WHOLE[:place] + other + WHOLE[place + 1 :], CONTEXT)
    assert changed is None or changed.kind == "mocana"


PIECES = [
    "Nov 11 22:24:37 ",
    "gw1 ",
    "Mocana: ",
    "[AAA]",
    ", SubCls:1",
    "Sev:",
    "{",
    "}",
    '"a":',
    '"',
    "\n",
    "#012",
    "<134>",
]


@given(st.text() | st.lists(st.sampled_from([*PIECES, " ", "word", "\0", "\udcff", "é"]), max_size=30).map("".join))
def test_any_text_is_framed_or_not(text: str) -> None:
    """Neither any text nor pieces in any order make framing raise."""
    for start in ("", HEADER):
        found = parse_mocana(start + text, CONTEXT)
        assert found is None or found.body in start + text


@pytest.mark.parametrize(
    "part",
    [
        "{",
        "{ ",
        "[",
        "[AAA]",
        "Mocana: ",
        "Type:",
        "\n",
        "\n[AAA]",
        f"\n{HEADER}x",
        "#012 ",
        " ",
        '"',
        "\\n",
        '{"a":',
        ",",
        "a#",
    ],
)
@pytest.mark.parametrize("start", ["", HEADER, HEADER + '{"a":"', HEADER + "x"])
@pytest.mark.parametrize("end", ["", "x"])
def test_hostile_lines_come_back(start: str, part: str, end: str) -> None:
    """A line of a mebibyte is read in one pass whatever it repeats."""
    found = parse_mocana(start + part * ((1 << 20) // len(part)) + end, CONTEXT)
    assert found is None or found.kind == "mocana"


@pytest.mark.parametrize(
    "line",
    [
        '2020-04-17T01:03:52Z [INFO][AMF][Comm] N1N2 message transfer {"pduSessionId":1}',
        '2024-05-04 15:27:26 INFO [datapath] endpoint regenerated {"endpointID":12}',
        '2024-05-04T15:27:26Z auth1 [aaa] Session START {"user":"x"}',
        "2024-05-04 15:27:26 [ike] done {}",
        "May  4 15:27:26 host1 [ike] type: main, peer 192.0.2.1",
    ],
)
def test_an_object_of_others_is_no_proof(line: str) -> None:
    """Programs that write a name in brackets and an object are many."""
    assert parse_mocana(line, CONTEXT) is None
