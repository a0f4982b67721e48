"""CEF lines: header variants, escapes, custom fields, and lines that are cut."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lexilog.framing.cef import parse_cef
from lexilog.framing.timestamp import Context
from lexilog.model import Frame

CONTEXT = Context(datetime(2026, 1, 15, 12, 0, tzinfo=UTC))
BARE = (
    "CEF:0|FORCEPOINT|Firewall|6.8.6|70018|Connection_Allowed|0|deviceExternalId=NGFW1 node 1 dvchost=192.0.2.1 "
    "dvc=192.0.2.1 src=192.0.2.3 spt=500 msg=IKE SA: delete [...] deviceFacility=IPsec rt=Sep 14 2021 14:12:51 "
    "cs1Label=RuleID cs1=2100123.2"
)


def _frame(line: str) -> Frame:
    found = parse_cef(line, CONTEXT)
    assert found is not None
    return found


def _of(extension: str) -> Frame:
    return _frame(f"CEF:0|FORCEPOINT|Firewall|6.8.6|0|Generic|0|{extension}")


def test_what_a_line_says() -> None:
    """Vendor, product, id, severity, facility, text, time and host come from the payload."""
    found = _frame(f"<6>{BARE}")
    assert (found.kind, found.vendor, found.product, found.tag) == ("cef", "FORCEPOINT", "Firewall", "70018")
    assert (found.level, found.component, found.text) == ("0", "IPsec", "IKE SA: delete [...]")
    assert (found.pri, found.hostname, found.body) == (6, "192.0.2.1", BARE)
    assert found.time == datetime(2021, 9, 14, 14, 12, 51, tzinfo=UTC)
    assert not found.truncated


def test_values_have_no_quotes_and_end_at_the_next_key() -> None:
    """Blanks belong to a value up to the next key; keys may have dots, dashes and an index."""
    found = _of("a=one two  three b.c-d= x=y z ad.x[0]=7 deviceFacility=IPsec ")
    assert found.data == {"a": "one two  three", "b.c-d": "", "x": "y z", "ad.x[0]": "7", "deviceFacility": "IPsec"}


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (BARE, (None, None, None, None)),
        (f"<6>{BARE}", (6, None, None, None)),
        (f"123 <6>{BARE}", (6, None, None, None)),
        (f"\ufeff<6>{BARE}", (6, None, None, None)),
        (f"<6>Sep 14 14:12:51 192.0.2.9 {BARE}", (6, None, None, None)),
        (f"<34>1 2024-09-01T00:00:00Z log1 {BARE}", (34, 1, None, None)),
        (f'<34>1 2024-09-01T00:00:00Z log1 smc 123 MSG [x@1 a="b"] {BARE}', (34, 1, "smc", 123)),
        (f"<34>1 2024-09-01T00:00:00Z log1 smc 123 - - {BARE}", (34, 1, "smc", 123)),
        (f"<34>1 2024-09-01T00:00:00Z log1 smc 123 - - \ufeff{BARE}", (34, 1, "smc", 123)),
        (f"Nov 13 16:59:59 log1 TAG: {BARE}", (None, None, "TAG", None)),
        (f"Nov 13 16:59:59 log1 {BARE.replace('CEF:0', 'CEF: 0')}", (None, None, None, None)),
        (f"<6>{BARE.replace('CEF:0', 'CEF:1')}", (6, None, None, None)),
        (f"{BARE}\r\n", (None, None, None, None)),
    ],
)
def test_headers(line: str, expected: tuple[int | None, int | None, str | None, int | None]) -> None:
    """Whatever stands before it, the payload is the same; the header gives PRI, version, process and PID."""
    found = _frame(line)
    assert (found.pri, found.version, found.process, found.pid) == expected
    bare = _frame(BARE)
    assert (found.data, found.text, found.tag, found.time) == (bare.data, bare.text, bare.tag, bare.time)
    assert found.body == BARE.replace("CEF:0", line[line.index("CEF:") :].partition("|")[0])


def test_the_header_stands_in() -> None:
    """Host and time are the header's where the payload has none that can be read; its elements are kept."""
    line = '<34>1 2024-09-01T10:00:00Z log1 smc - - [x@1 a="b"] CEF:0|v|p|1|7|n|3|rt=yesterday dvchost='
    found = _frame(line)
    assert (found.hostname, found.time) == ("log1", datetime(2024, 9, 1, 10, tzinfo=UTC))
    assert found.elements == {"x@1": {"a": "b"}}


@pytest.mark.parametrize("signature", ["", "0", "Generic"])
def test_an_id_that_says_nothing_is_none(signature: str) -> None:
    """A log server that has no id for an entry writes 0, Generic or nothing; the header's message id is no stand-in."""
    line = f"<34>1 2024-09-01T00:00:00Z log1 smc 1 MSG - CEF:0|FORCEPOINT|Firewall|6.8.6|{signature}|Generic|0|msg=x"
    assert _frame(line).tag is None


def test_the_name_is_the_text_where_there_is_no_message() -> None:
    """Without msg the Name speaks; cat is the component where there is no facility."""
    found = _frame("CEF:0|v|p|1|7|Tunnel went down|3|cat=VPN")
    assert (found.text, found.component, found.tag) == ("Tunnel went down", "VPN", "7")


def test_an_extension_is_not_needed() -> None:
    """A header alone is a whole line, with its last pipe or without."""
    for end in ("", "|", "|free text"):
        found = _frame(f"CEF:0|v|p|1|7|name|3{end}")
        assert (found.text, found.level, found.data, found.truncated) == ("name", "3", None, False)


def test_header_fields_are_unescaped() -> None:
    r"""In the header \| and \\ stand for the bare character, and an escaped pipe ends no field."""
    found = _frame(r"CEF:0|a\|b|c\\|1|7|x \| y|3|msg=z")
    assert (found.vendor, found.product, found.tag) == ("a|b", "c\\", "7")


@pytest.mark.parametrize(
    ("extension", "expected"),
    [
        (r"msg=a\=b x=1", "a=b"),
        (r"msg=CORP\\nina", r"CORP\nina"),
        (r"msg=one\ntwo\rthree", "one\ntwo\rthree"),
        (r"msg=a\|b", "a|b"),
        (r"msg=a\tb", r"a\tb"),
        # An equals sign behind two backslashes shows that a collector has escaped the line once more.
        (r"msg=a\\=b x=c\\\\d", "a=b"),
        (r"x=\\= msg=one\\ntwo", "one\ntwo"),
        (r"x=\\= msg=c\\\\d", r"c\d"),
        # With an equals sign that is escaped once, two backslashes are one backslash.
        (r"x=\= msg=CORP\\nina", r"CORP\nina"),
    ],
)
def test_values_are_unescaped(extension: str, expected: str) -> None:
    r"""In values \=, \\, \n and \r are unescaped, also where each backslash has been doubled."""
    assert _of(extension).text == expected


def test_custom_fields_have_their_label_as_a_name() -> None:
    """The value of a custom field of any kind stands under its label, too."""
    found = _of(
        "cs1Label=RuleID cs1=7.2 cn2Label=Hits in a row cn2=5 c6a1Label=Peer c6a1=2001:db8::1 cfp1=0.5 cfp1Label=Load "
        "deviceCustomDate1Label=Since deviceCustomDate1=1 flexString1Label=Why flexString1=a b"
    )
    assert found.data is not None
    named = {name: found.data.get(name) for name in ("RuleID", "Hits in a row", "Peer", "Load", "Since", "Why")}
    assert named == {
        "RuleID": "7.2", "Hits in a row": "5", "Peer": "2001:db8::1", "Load": "0.5", "Since": "1", "Why": "a b",
    }  # fmt: skip
    assert (found.data["cs1"], found.data["cs1Label"]) == ("7.2", "RuleID")


def test_a_label_takes_no_name_away() -> None:
    """A label does not change a value that the device wrote under that name, nor text, time or host."""
    found = _of("src=192.0.2.1 cs1Label=src cs1=x cs2Label=msg cs2=y cs3Label= cs3=z cs4Label=lonely")
    assert found.data is not None
    assert (found.data["src"], found.data["msg"], found.text) == ("192.0.2.1", "y", "Generic")
    assert "" not in found.data
    assert "lonely" not in found.data


def test_the_first_value_of_a_name_counts() -> None:
    """A key that comes again, perhaps in a text that was not escaped, does not change what the device said first."""
    assert _of("src=192.0.2.1 msg=forged src=192.0.2.2").data == {"src": "192.0.2.1", "msg": "forged"}


@pytest.mark.parametrize(
    ("line", "truncated"),
    [
        ("CEF:0|FORCEPOINT|Firewall", True),
        ("CEF:0|FORCEPOINT|Firewall|6.8.6|", True),
        ("CEF:0|FORCEPOINT|Firewall|6.8.6|0|Generic|", True),
        ("CEF:0|FORCEPOINT|Firewall|6.8.6|0|Generic|0", False),
        ("CEF:0|FORCEPOINT|Firewall|6.8.6|0|Generic|0|src=192.0.2.1 msg=IKE SA fai", False),
        ("CEF:0|FORCEPOINT|Firewall|6.8.6|0|Generic|0|src=192.0.2.1 msg=", True),
        ("CEF:0|FORCEPOINT|Firewall|6.8.6|0|Generic|0|src=192.0.2.1 msg=a\\", True),
        ("CEF:0|FORCEPOINT|Firewall|6.8.6|0|Generic|0|src=192.0.2.1 msg=a\\\\", False),
    ],
)
def test_what_counts_as_cut(line: str, truncated: bool) -> None:
    """A line is surely cut where a header field, a value or half an escape is missing."""
    found = _frame(line)
    assert (found.vendor, found.product, found.truncated) == ("FORCEPOINT", "Firewall", truncated)


def test_a_key_that_lost_its_value_is_left_out() -> None:
    """Half an escape is no part of a value, and a key without a value is none."""
    assert _of("src=192.0.2.1 msg=").data == {"src": "192.0.2.1"}
    assert _of("src=192.0.2.1 msg=a\\").data == {"src": "192.0.2.1", "msg": "a"}


def test_any_cut_keeps_what_is_whole() -> None:
    """Every value but the last is as in the whole line; the last one goes to the end, with the cut key if any."""
    whole = _frame(BARE).data or {}
    for cut in range(len("CEF:0|FORCEPOINT|F"), len(BARE)):
        found = _frame(BARE[:cut])
        data = {name: value for name, value in (found.data or {}).items() if name != "RuleID"}
        *sure, last = data.items() or [("", "")]
        assert all(whole[name] == value for name, value in sure), cut
        assert BARE[:cut].rstrip().endswith(last[1]) or found.truncated, cut


@pytest.mark.parametrize(
    "line",
    [
        "",
        "CEF:",
        "CEF:0",
        "CEF:0|",
        "CEF:0|FORCEPOINT|",
        "CEF:0||Firewall|1|2|3|4|",
        "CEF:x|FORCEPOINT|Firewall|1|2|3|4|msg=x",
        f"Aug  3 10:18:44 log1 collector: got {BARE}",
        f"the operator saw {BARE} and wondered",
        f"<6>Aug  3 10:18:44 log1 collector: x{BARE}",
        f'{{"message":"{BARE}"}}',
        BARE.replace("CEF:", "LEEF:"),
    ],
)
def test_what_is_no_cef_line(line: str) -> None:
    """A payload that other text quotes, or without vendor and product, makes no frame."""
    assert parse_cef(line, CONTEXT) is None


def test_bytes_that_are_no_utf8_pass() -> None:
    """Lone surrogates, NUL and line breaks are part of the value."""
    assert _of("msg=a\udcffb\0c\nd x=1").text == "a\udcffb\0c\nd"


@pytest.mark.parametrize(
    "piece",
    ["a=", "a= ", " a", "\\", "\\\\=", "|", "\\|", "[", "a[", "CEF:0|", "[x] ", " ", "\udcff", "cs1Label=a cs1="],
)
@pytest.mark.parametrize("start", ["", "CEF:0|v|p|1|2|n|3|", "<34>1 2024-09-01T00:00:00Z log1 "])
def test_very_long_lines_come_back(start: str, piece: str) -> None:
    """A hostile line of a megabyte is framed or not."""
    line = start + piece * (1_000_000 // len(piece))
    found = parse_cef(line, CONTEXT)
    assert found is None or line.endswith(found.body)


PIECES = st.sampled_from(
    ["CEF:0|", "CEF: 1|", "v|", "p|", "|", "\\", "=", " ", "msg=", "cs1Label=", "cs1=", "x", "rt=Sep 14 2021 14:12:51",
     "<6>", "Sep 14 14:12:51 ", "\n", "\0", "\udcff", "é", "]", "["]
)  # fmt: skip


@given(st.lists(PIECES, max_size=30).map("".join) | st.text())
def test_any_text_is_framed_or_not(text: str) -> None:
    """No text makes framing raise, bare or behind a whole beginning."""
    for line in (text, "CEF:0|v|p|1|2|n|3|" + text):
        found = parse_cef(line, CONTEXT)
        assert found is None or found.body in line


@given(st.integers(0, len(BARE) - 1), st.characters())
def test_any_flipped_character_is_framed_or_not(place: int, character: str) -> None:
    """A character that went wrong does not make framing raise, and spoils no more than the fields around it."""
    found = parse_cef(BARE[:place] + character + BARE[place + 1 :], CONTEXT)
    if place > BARE.index("|deviceExternalId"):
        assert found is not None
        assert (found.vendor, found.product, found.tag) == ("FORCEPOINT", "Firewall", "70018")
