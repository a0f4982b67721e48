"""Entries of the SMC log as key="value" pairs: which lines are some, quotes in values, and lines that are cut."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lexilog.framing.key_value import parse_key_value
from lexilog.framing.timestamp import Context
from lexilog.model import Frame

CONTEXT = Context(datetime(2026, 1, 15, 12, 0, tzinfo=UTC))
DATA = {
    "Timestamp": "2024-05-01 16:25:56",
    "NodeId": "192.0.2.2",
    "CompId": "fw1 node 1",
    "InfoMsg": "IKE SA: delete, peer 198.51.100.1 [...]",
    "SenderType": "Firewall",
    "SituationId": "512",
    "Situation": "IPsec: IKE SA",
    "AlertSeverity": "Critical",
    "EventId": "1558547879977",
    "Facility": "IPsec",
}
BARE = ",".join(f'{name}="{value}"' for name, value in DATA.items())


def _frame(line: str) -> Frame:
    found = parse_key_value(line, CONTEXT)
    assert found is not None
    return found


def _of(message: str) -> Frame:
    return _frame(f'Timestamp="2024-05-01 16:25:56",NodeId="192.0.2.2",InfoMsg="{message}",Facility="IPsec"')


def test_what_a_line_says() -> None:
    """Text, facility, severity and time are values; the product is the one whose log has these columns."""
    found = _frame(f"<6>{BARE}")
    assert (found.kind, found.vendor, found.product, found.tag) == ("key_value", "Forcepoint", "Firewall", None)
    assert (found.text, found.component, found.level) == (DATA["InfoMsg"], "IPsec", "Critical")
    assert (found.pri, found.hostname, found.body, found.truncated) == (6, None, BARE, False)
    assert found.time == datetime(2024, 5, 1, 16, 25, 56, tzinfo=UTC)
    assert found.data == DATA


@pytest.mark.parametrize(
    ("start", "host"),
    [
        ("", None),
        ("<6>", None),
        ("\ufeff", None),
        ("123 <6>", None),
        ("<6>May  1 16:25:57 192.0.2.9 ", "192.0.2.9"),
        ("May  1 16:25:57 log1 smc: ", "log1"),
        ("<34>1 2024-05-01T16:25:57Z log1 smc 12 - - ", "log1"),
        ("<34>1 2024-05-01T16:25:57Z log1 smc 12 - - \ufeff", "log1"),
        ('<34>1 2024-05-01T16:25:57Z log1 smc 12 - [x@1 a="b" c="d"] ', "log1"),
    ],
)
def test_headers(start: str, host: str | None) -> None:
    """Whatever stands before it, the payload is the same; the host is the header's, structured data is no pair."""
    found = _frame(start + BARE + "\r\n")
    assert (found.body, found.data, found.hostname) == (BARE, DATA, host)


def test_blanks_after_commas() -> None:
    """Blanks may follow the comma between pairs."""
    assert _frame(BARE.replace('",', '", ')).data == DATA


def test_keys_count_in_any_case() -> None:
    """Three of the keys make an entry, however they are written, and whatever the first key is."""
    found = _frame('ruleid="7.2",TIMESTAMP="2024-05-01 16:25:56",node_id="192.0.2.2",infomsg="x"')
    assert (found.text, found.time) == ("x", datetime(2024, 5, 1, 16, 25, 56, tzinfo=UTC))


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("", ""),
        ('said ""no""', 'said "no"'),
        ('""no"" it said', '"no" it said'),
        (r"said \"no\"", 'said "no"'),
        ('said "no" to it', 'said "no" to it'),
        ('"b" a, "c" d "e"', '"b" a, "c" d "e"'),
        ("C:\\dir\\", "C:\\dir\\"),
        ("C:\\\\dir", "C:\\\\dir"),
        ("a=b,c='d',e=", "a=b,c='d',e="),
        ("one\ntwo\0\udcff", "one\ntwo\0\udcff"),
    ],
)
def test_quotes_in_values(message: str, expected: str) -> None:
    """A quote in a value is doubled, has a backslash or is bare; a backslash at the end escapes nothing."""
    found = _of(message)
    assert (found.text, found.component, found.truncated) == (expected, "IPsec", False)


@pytest.mark.parametrize("forged", [r"x\",Facility=\"Forged", 'x"",Facility=""Forged'])
def test_an_escaped_quote_ends_no_value(forged: str) -> None:
    """A value in which the sender has escaped quotes cannot pass for further pairs."""
    assert _of(forged).data == {
        "Timestamp": "2024-05-01 16:25:56",
        "NodeId": "192.0.2.2",
        "InfoMsg": 'x",Facility="Forged',
        "Facility": "IPsec",
    }


def test_the_first_value_of_a_key_counts() -> None:
    """A key that comes again does not change what was said first."""
    assert _frame(BARE + ',Facility="Other"').component == "IPsec"


@pytest.mark.parametrize(
    ("end", "text", "truncated"),
    [
        (',InfoMsg="IKE SA"', "IKE SA", False),
        (',InfoMsg="IKE SA', "IKE SA", True),
        (',InfoMsg="IKE SA\r\n', "IKE SA", True),
        (',InfoMsg="IKE "SA""', 'IKE "SA"', False),
        (',InfoMsg="IKE SA",', "IKE SA", True),
        (',InfoMsg="IKE SA",Facil', "IKE SA", True),
        (',InfoMsg="IKE SA",Facility=', "IKE SA", True),
        (',InfoMsg="IKE SA",Facility="', "IKE SA", True),
        (',InfoMsg="', "", True),
        (",InfoMsg=", "", True),
        (",Info", "", True),
        (",", "", True),
        ("", "", False),
    ],
)
def test_what_counts_as_cut(end: str, text: str, truncated: bool) -> None:
    """A line is cut where a quote, a value or a pair is missing; the value that is cut is kept."""
    found = _frame('Timestamp="2024-05-01 16:25:56",NodeId="192.0.2.2",CompId="7"' + end)
    assert (found.text, found.truncated) == (text, truncated)


def test_any_cut_keeps_what_is_whole() -> None:
    """Every value but the last is as in the whole line, and the last one is its beginning."""
    for cut in range(BARE.index("InfoMsg"), len(BARE)):
        found = _frame(BARE[:cut])
        *sure, last = (found.data or {}).items()
        assert all(DATA[name] == value for name, value in sure), cut
        assert DATA[last[0]].startswith(last[1]), cut
        assert found.truncated == (BARE[cut - 1 : cut + 1] != '",'), cut


@pytest.mark.parametrize(
    "line",
    [
        "",
        'Timestamp="2024-05-01 16:25:56"',
        'Timestamp="2024-05-01 16:25:56",NodeId="192.0.2.2"',
        'Timestamp="2024-05-01 16:25:56",a="1",b="2",c="3"',
        'date="2024-05-01",time="16:25:56",devname="fw1",msg="x",level="notice"',
        BARE.replace('",', '" '),
        BARE.replace('"', "'"),
        f"May  1 16:25:57 log1 collector: got {BARE}",
        f"the operator saw {BARE}",
        f"{{{BARE}}}",
        '<30>1 2025-05-04T15:27:26Z srx1 kmd 1 KMD_X [junos@1 Timestamp="a" NodeId="b" InfoMsg="c,"] text',
    ],
)
def test_what_is_no_such_entry(line: str) -> None:
    """Other pairs, fewer than three of the keys, and a quoted payload make no frame."""
    assert parse_key_value(line, CONTEXT) is None


@pytest.mark.parametrize(
    "piece", ['a="b",', 'a="', '"', '""', '\\"', '",', '" ', ",", " ", "\\", 'x="', "[a ", "\udcff", 'Facility="x",']
)
@pytest.mark.parametrize("start", ["", 'a="b",c="d",', 'Timestamp="a",NodeId="b",InfoMsg="'])
def test_very_long_lines_come_back(start: str, piece: str) -> None:
    """A hostile line of a megabyte is framed or not."""
    line = start + piece * (1_000_000 // len(piece))
    found = parse_key_value(line, CONTEXT)
    assert found is None or line.endswith(found.body)


PIECES = st.sampled_from(
    ['Timestamp="', 'NodeId="', 'InfoMsg="', 'a="', '"', '",', '""', "\\", ",", " ", "=", "x", "<6>", "[x@1 ", "]",
     "\n", "\0", "\udcff", "é"]
)  # fmt: skip


@given(st.lists(PIECES, max_size=30).map("".join) | st.text())
def test_any_text_is_framed_or_not(text: str) -> None:
    """No text makes framing raise, bare or behind a whole beginning."""
    for line in (text, 'Timestamp="a",NodeId="b",InfoMsg="' + text):
        found = parse_key_value(line, CONTEXT)
        assert found is None or found.body in line


@given(st.text(), st.sampled_from(['""', '\\"']))
def test_any_escaped_value_comes_back(text: str, quote: str) -> None:
    """A value whose quotes are escaped is read as it was."""
    message = text.replace("\\", "/").replace('"', quote)
    assert _of(message).text == text.replace("\\", "/")


@given(st.integers(0, len(BARE) - 1), st.characters())
def test_any_flipped_character_is_framed_or_not(place: int, character: str) -> None:
    """A character that went wrong does not make framing raise, and leaves the pairs before it as they were."""
    found = parse_key_value(BARE[:place] + character + BARE[place + 1 :], CONTEXT)
    if place > BARE.index("SituationId"):
        assert found is not None
        assert found.text == DATA["InfoMsg"]
