"""Junos lines: what the header says, and what is no Junos line."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lexilog.framing import Context, frame
from lexilog.framing.junos import parse_junos
from lexilog.framing.syslog import read_priority, read_structured_data
from lexilog.framing.timestamp import read_time
from lexilog.model import Frame

CONTEXT = Context(datetime(2026, 1, 15, 12, 0, tzinfo=UTC))


def _frame(line: str) -> Frame:
    found = frame(line, CONTEXT)
    assert found is not None
    return found


def test_header_of_the_standard_format() -> None:
    """PRI, time, host, process, PID, tag and text are read."""
    found = _frame("<30>Aug  3 10:18:44 srx1 kmd[14162]: KMD_X: some text")
    assert (found.pri, found.hostname, found.process, found.pid, found.tag, found.text) == (
        30, "srx1", "kmd", 14162, "KMD_X", "some text",
    )  # fmt: skip
    assert found.time == datetime(2025, 8, 3, 10, 18, 44, tzinfo=UTC)


def test_explicit_priority_is_read() -> None:
    """Facility and severity that the text names are kept apart from the PRI."""
    found = _frame("Aug  3 10:18:44 srx1 kmd[1]: %AUTH-3-KMD_X: some text")
    assert (found.facility, found.severity, found.tag, found.pri) == ("auth", 3, "KMD_X", None)
    assert _frame("Aug  3 10:18:44 srx1 kmd[1]: %AUTH-3: some text").tag is None


def test_structured_data_is_unescaped() -> None:
    r"""In values \", \\ and \] lose their backslash, any other backslash stays, and a bare ] does not end them."""
    line = r'<30>1 2025-05-04T15:27:26Z srx1 kmd 1 KMD_X [junos@1 a="x\"y" b="x\\y" c="[0..7\]=1" d="[0]" e="\n"] text'
    found = _frame(line)
    assert found.data == {"a": 'x"y', "b": r"x\y", "c": "[0..7]=1", "d": "[0]", "e": r"\n"}
    assert found.text == "text"
    assert not found.truncated


@pytest.mark.parametrize("end", ['junos@1 a="b" c="d', 'junos@1 a="b" c=', 'junos@1 a="b" ', 'junos@1 a="b"'])
def test_structured_data_that_breaks_off(end: str) -> None:
    """Whole parameters are kept, a cut one is not, and the frame says that it is cut."""
    found = _frame(f"<30>1 2025-05-04T15:27:26Z srx1 kmd 1 KMD_X [{end}")
    assert (found.data, found.truncated, found.text) == ({"a": "b"}, True, "")


def test_what_a_relay_adds_is_not_the_devices() -> None:
    """Of several elements the device's own one has the values; all are kept by their SD-ID."""
    line = (
        '<30>1 2025-05-04T15:27:26Z srx1 kmd 1 KMD_X [origin name="relay"][junos@1 name="x"][timeQuality tz="1"] text'
    )
    found = _frame(line)
    assert found.data == {"name": "x"}
    assert found.elements == {"origin": {"name": "relay"}, "junos@1": {"name": "x"}, "timeQuality": {"tz": "1"}}
    assert found.text == "text"
    only = _frame('<30>1 2025-05-04T15:27:26Z srx1 kmd 1 KMD_X [origin name="relay"] text')
    assert (only.data, only.text) == (None, "text")
    assert read_structured_data("[not data] text", 0) is None


@pytest.mark.parametrize(
    "line",
    [
        "<30>1 2025-05-04T15:27:26Z srx1 - - - - node1.fpc0 KMD_X: text",
        "<30>1 2025-05-04T15:27:26Z srx1 - - - - node1.fpc0 kmd[12]: KMD_X: text",
        "<30>1 2025-05-04T15:27:26Z srx1 - - - - (FPC Slot 5, PIC Slot 0) SPC5_PIC0 kmd[12]: KMD_X: text",
        "<30>1 2025-05-04T15:27:26Z srx1 kmd - - - srx1 kmd: KMD_X: text",
        "<30>1 2025-05-04T15:27:26Z srx1 kmd 77 - - kmd[77]: KMD_X: text",
        "<30>1 2025-05-04T15:27:26Z srx1 node1.fpc0 kmd 12 KMD_X [junos@1] text",
        "<30>1 2025-05-04T15:27:26Z srx1 kmd 12 KMD_X - text",
        "1 2025-05-04T15:27:26Z srx1 kmd 12 KMD_X [junos@1] text",
        "<13>1 2025-05-04T15:27:26Z relay1 - - - - <30>Aug  3 10:18:44 srx1 kmd[1]: KMD_X: text",
        "<30>Aug  3 10:18:44 srx1 kmd[1]:  KMD_X:  text",
        "<30>Aug  3 10:18:44 srx1 node0.fpc5.pic0 kmd[1]: KMD_X: text",
        "<30>Aug  3 10:18:44 srx1 SPC5_PIC0 kmd[1]: KMD_X: text",
        "<30>Aug  3 10:18:44 srx1 node0: kmd[1]: KMD_X: text",
        "<30>Aug  3 10:18:44 192.0.2.9 srx1 kmd[1]: KMD_X: text",
        "<30>Aug  3 10:18:44 2001:db8::9 srx1 kmd[1]: KMD_X: text",
        "<30>Aug  3 10:18:44 relay1 srx1 kmd[1]: KMD_X: text",
        "\ufeff<30>Aug  3 10:18:44 srx1 kmd[1]: KMD_X: text",
        "<30>Aug  3 10:18:44 srx1 kmd[1]: message repeated 2 times: [ KMD_X: text]",
    ],
)
def test_headers_that_collectors_make(line: str) -> None:
    """Device, tag and text are found in the odd shapes that relays and clusters send, too."""
    found = _frame(line)
    assert (found.hostname, found.tag, found.text) == ("srx1", "KMD_X", "text")


def test_a_trace_line_with_a_tag_is_a_junos_line() -> None:
    """Without a tag a traceoptions line could be any program's."""
    assert _frame("[Aug 22 20:40:14]KMD_X: text").tag == "KMD_X"
    assert _frame("[Aug 22 20:40:14]some text").kind == "junos_trace"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("<0>x", (0, None, 3)),
        ("<191>x", (191, None, 5)),
        ("<30>1 2025", (30, 1, 6)),
        ("<30> 2025", (30, None, 5)),
        ("123 <30>1 2025", (30, 1, 10)),
        ("<192>x", None),
        ("<030>x", None),
        ("<134[2025", None),
        ("<>x", None),
        ("30>x", None),
    ],
)
def test_priority(text: str, expected: tuple[int, int | None, int] | None) -> None:
    """A PRI is 0 to 191 without leading zeros; an octet count may stand before it, a version after it."""
    assert read_priority(text, 0) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Aug  3 10:18:44 ", "2025-08-03T10:18:44+00:00"),
        ("Aug 13 10:18:44.5 ", "2025-08-13T10:18:44.500000+00:00"),
        ("Aug 13 2024 10:18:44 ", "2024-08-13T10:18:44+00:00"),
        ("Aug 13 10:18:44 2006 h", "2006-08-13T10:18:44+00:00"),
        ("Aug 13 10:18:44.401+0200 h", "2025-08-13T08:18:44.401000+00:00"),
        ("2024-05-04T15:27:26.461+10:00 ", "2024-05-04T05:27:26.461000+00:00"),
        ("2024-05-04T15:27:26Z ", "2024-05-04T15:27:26+00:00"),
        ("2016-12-31T23:59:60Z ", "2016-12-31T23:59:59+00:00"),
        ("Jan 16 10:00:00 ", "2026-01-16T10:00:00+00:00"),
        ("Jan 18 10:00:00 ", "2025-01-18T10:00:00+00:00"),
        ("Dec 31 23:59:59 ", "2025-12-31T23:59:59+00:00"),
        ("Feb 29 10:00:00 ", "2024-02-29T10:00:00+00:00"),
    ],
)
def test_time(text: str, expected: str) -> None:
    """Each form of time is read; a missing year is the one that puts the time last before now, with two days' grace."""
    found = read_time(text, 0, CONTEXT)
    assert found is not None
    assert found[0] is not None
    assert found[0].isoformat() == expected


@pytest.mark.parametrize(
    "text", ["Feb 31 10:00:00 ", "Aug  3 25:00:00 ", "2024-13-01T00:00:00Z ", "0000-01-01T00:00:00Z "]
)
def test_a_time_that_is_no_date_is_left_out(text: str) -> None:
    """The place of a time is known even where its digits are no date."""
    assert read_time(text, 0, CONTEXT) == (None, len(text) - 1)


@pytest.mark.parametrize(
    "line",
    [
        "",
        " ",
        "<134[2024-09-01 13:04:11] EFW: SYSTEM: prio=2 id=03204001",
        "Aug  3 10:18:44 fw1 /kmd: KMD_VPN_UP_ALARM_USER: VPN v1 from 192.0.2.1 is up.",
        "Aug  3 10:18:44 fw1 RT_FLOW - kmd [14162]: KMD_VPN_UP_ALARM_USER: VPN v1 from 192.0.2.1 is up.",
        "the operator saw KMD_VPN_UP_ALARM_USER: VPN v1 from 192.0.2.1 is up.",
        "<999>Aug  3 10:18:44 srx1 kmd[1]: KMD_X: y",
    ],
)
def test_what_is_no_junos_line(line: str) -> None:
    """A tag in the middle of other text, a broken PRI and a process that is none do not make a frame."""
    assert parse_junos(line, CONTEXT) is None


@given(
    st.text(),
    st.sampled_from(["", "<30>", "<30>1 ", "Aug  3 10:18:44 ", "<30>1 2025-05-04T15:27:26Z ", "[Aug 22 20:40:14]"]),
)
def test_any_text_is_framed_or_not(text: str, start: str) -> None:
    """No text makes framing raise, and what it gives is part of the line."""
    found = frame(start + text, CONTEXT)
    assert found is None or found.text in start + text


HEADER = ["<30>", "1 ", "Aug  3 10:18:44 ", "2025-05-04T15:27:26Z ", "srx1 ", "kmd", "[14162]", ": ", "KMD_X", " "]
BODY = [
    "%DAEMON-6-",
    "[junos@1 ",
    'a="b"',
    "\\]",
    '"',
    "]",
    "- ",
    "node1 ",
    "(FPC Slot 5, PIC Slot 0) ",
    "last message",
]
ODD = ["\0", "\n", "\udcff", "é"]
PIECES = st.lists(st.sampled_from(HEADER + BODY + ODD), max_size=30).map("".join)


@given(PIECES)
def test_any_order_of_pieces_is_framed_or_not(text: str) -> None:
    """Pieces of headers in any order do not make framing raise either."""
    found = frame(text, CONTEXT)
    assert found is None or found.body in text
