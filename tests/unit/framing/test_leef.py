"""LEEF lines: both versions, what stands between the pairs, times in Java's letters, and lines that are cut."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lexilog.framing.leef import parse_leef
from lexilog.framing.timestamp import Context
from lexilog.model import Frame

CONTEXT = Context(datetime(2026, 1, 15, 12, 0, tzinfo=UTC))
PAIRS = (
    "devTimeFormat=MMM dd yyyy HH:mm:ss",
    "src=192.0.2.1",
    "srcPort=500",
    "devTime=Aug 06 2025 14:13:16",
    "sev=3",
    "Facility=IPsec",
    "msg=VPN trigger ipv4(192.0.2.1) -> ipv4(198.51.100.1), tunnel 7",
    "sender=fw1 node 1",
)
START = "LEEF:1.0|Forcepoint|Firewall|7.1.5|Generic|"
BARE = START + "\t".join(PAIRS)
TEXT = "VPN trigger ipv4(192.0.2.1) -> ipv4(198.51.100.1), tunnel 7"
DATA = dict(pair.split("=", 1) for pair in PAIRS)


def _frame(line: str, context: Context = CONTEXT) -> Frame:
    found = parse_leef(line, context)
    assert found is not None
    return found


def test_what_a_line_says() -> None:
    """Vendor, product, severity, facility, text and time come from the payload; Generic is no id."""
    found = _frame(f"<6>{BARE}")
    assert (found.kind, found.vendor, found.product, found.tag) == ("leef", "Forcepoint", "Firewall", None)
    assert (found.text, found.level, found.component) == (TEXT, "3", "IPsec")
    assert (found.pri, found.hostname, found.body, found.truncated) == (6, None, BARE, False)
    assert found.time == datetime(2025, 8, 6, 14, 13, 16, tzinfo=UTC)
    assert found.data == DATA


@pytest.mark.parametrize(
    "start",
    [
        "",
        "<6>",
        "\ufeff",
        "<6>Sep 14 14:12:51 192.0.2.9 ",
        "<34>1 2024-09-01T00:00:00Z log1 ",
        '<34>1 2024-09-01T00:00:00Z log1 smc 123 MSG [x@1 a="b"] ',
        "Nov 13 16:59:59 log1 TAG: ",
    ],
)
def test_headers(start: str) -> None:
    """Whatever stands before it, the payload is the same."""
    found = _frame(start + BARE + "\r\n")
    assert (found.body, found.data, found.tag) == (BARE, DATA, None)


def test_the_header_stands_in() -> None:
    """Host and time are the header's where the payload has none that can be read; identHostName goes before it."""
    start = f"<34>1 2024-09-01T10:00:00Z log1 smc 123 - - {START}"
    found = _frame(f"{start}devTime=yesterday\tmsg=x")
    assert (found.hostname, found.time) == ("log1", datetime(2024, 9, 1, 10, tzinfo=UTC))
    assert (found.process, found.pid, found.version) == ("smc", 123, 1)
    assert _frame(f"{start}identHostName=fw1\tmsg=x").hostname == "fw1"


@pytest.mark.parametrize(
    ("event", "tag"),
    [("", None), ("0", None), ("Generic", None), ("Connection_Allowed", "Connection_Allowed"), ("7", "7")],
)
def test_event_id(event: str, tag: str | None) -> None:
    """An event id that says nothing is none."""
    assert _frame(f"LEEF:1.0|Forcepoint|Firewall|7.1.5|{event}|msg=x").tag == tag


@pytest.mark.parametrize(
    ("attributes", "text", "component"),
    [
        ("msg=a\tmessage=b\tcat=c", "a", "c"),
        ("message=b\tfacility=IPsec\tcat=c", "b", "IPsec"),
        ("Message=b", "b", None),
        ("usrName=b", "", None),
        ("msg=\tmessage=b", "b", None),
    ],
)
def test_names_that_vendors_use(attributes: str, text: str, component: str | None) -> None:
    """The text and the component go by several names; there may be none."""
    found = _frame(START + attributes)
    assert (found.text, found.component) == (text, component)


@pytest.mark.parametrize("between", ["\t", "\t\t", "^", "#011", "\\t", "   ", " "])
def test_what_collectors_put_for_a_tab(between: str) -> None:
    """LEEF 1.0 is read with whatever stands in the place of the TAB."""
    assert _frame(START + between.join(PAIRS)).data == DATA


@pytest.mark.parametrize(
    ("field", "between"),
    [
        ("^|", "^"),
        ("x5E|", "^"),
        ("0x5E|", "^"),
        ("x09|", "\t"),
        ("0x9|", "\t"),
        ("\\t|", "\t"),
        ("\t|", "\t"),
        ("|", "\t"),
        ("", "\t"),
        ("||", "|"),
        ("x7c|", "|"),
        ("[|", "["),
        ("###|", "###"),
        ("x2603|", "\u2603"),
        # A collector may have changed the TABs and left the header.
        ("x09|", "#011"),
        ("x09|", "  "),
        # A letter cannot stand between keys that are made of letters.
        ("x61|", "\t"),
    ],
)
def test_delimiters_of_version_2(field: str, between: str) -> None:
    """LEEF 2.0 names its delimiter as it is or by its code; empty or left out it is TAB."""
    found = _frame(f"LEEF:2.0|Forcepoint|Firewall|7.1.5|7|{field}{between.join(PAIRS)}")
    assert (found.data, found.tag, found.truncated) == (DATA, "7", False)


def test_a_delimiter_that_no_key_follows_is_part_of_the_value() -> None:
    """A value keeps a TAB or an equals sign of its own as long as nothing behind it looks like a pair."""
    assert _frame(f"{START}msg=a\tb c=d\tsrc=e").data == {"msg": "a\tb c=d", "src": "e"}
    assert _frame("LEEF:2.0|v|p|1|7|^|msg=a x=4^src=e").data == {"msg": "a x=4", "src": "e"}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (r"HISTORY: PID\=18072 USER\=root", "HISTORY: PID=18072 USER=root"),
        (r"C:\\temp\x", r"C:\temp\x"),
        ('grep ""192.0.2."" x', 'grep "192.0.2." x'),
        ('say "it"', 'say "it"'),
        ('""', ""),
        (r"a\nb", r"a\nb"),
    ],
)
def test_values_are_unescaped(value: str, expected: str) -> None:
    r"""In values \= and \\ are unescaped, and doubled quotes are single; any other backslash stays."""
    found = _frame(f"{START}msg={value}\tsrc=192.0.2.1")
    assert (found.text, found.data) == (expected, {"msg": expected, "src": "192.0.2.1"})


@pytest.mark.parametrize(
    ("form", "value", "expected"),
    [
        ("MMM dd yyyy HH:mm:ss", "Aug 06 2025 14:13:16", "2025-08-06T14:13:16+00:00"),
        ("MMM dd yyyy HH:mm:ss.SSS", "Aug  6 2025 14:13:16.250", "2025-08-06T14:13:16.250000+00:00"),
        ("yyyy-MM-dd'T'HH:mm:ss.SSSZ", "2025-08-06T14:13:16.250+0200", "2025-08-06T12:13:16.250000+00:00"),
        ("yyyy-MM-dd'T'HH:mm:ssXXX", "2025-08-06T14:13:16-05:30", "2025-08-06T19:43:16+00:00"),
        ("yyyy-MM-dd'T'HH:mm:ssX", "2025-08-06T14:13:16Z", "2025-08-06T14:13:16+00:00"),
        ("yyyy-MM-dd'T'HH:mm:ssX", "2025-08-06T14:13:16+02", "2025-08-06T12:13:16+00:00"),
        ("dd.MM.yyyy HH:mm", "06.08.2025 14:13", "2025-08-06T14:13:00+00:00"),
        ("MM/dd/yy hh:mm:ss a", "08/06/25 02:13:16 PM", "2025-08-06T14:13:16+00:00"),
        ("MM/dd/yy hh:mm:ss a", "08/06/25 12:13:16 am", "2025-08-06T00:13:16+00:00"),
        ("EEE, d MMMM yyyy HH:mm:ss z", "Wed, 6 August 2025 14:13:16 GMT+01:00", "2025-08-06T13:13:16+00:00"),
        ("yyyyMMddHHmmss", "20250806141316", "2025-08-06T14:13:16+00:00"),
        ("hh 'o''clock' a, dd MMM yyyy", "02 o'clock PM, 06 aug 2025", "2025-08-06T14:00:00+00:00"),
        # Without a year it is the last time that this day was.
        ("MMM dd HH:mm:ss", "Aug 06 14:13:16", "2025-08-06T14:13:16+00:00"),
        # A format that is not known, does not fit or is missing leaves what can be read without it.
        ("DDD yyyy", "2025-08-06 14:13:16", "2025-08-06T14:13:16+00:00"),
        ("dd.MM.yyyy", "2025-08-06 14:13:16", "2025-08-06T14:13:16+00:00"),
        ("MMM MMM", "2025-08-06 14:13:16", "2025-08-06T14:13:16+00:00"),
        ("", "1754489596", "2025-08-06T14:13:16+00:00"),
        ("epoch", "1754489596000", "2025-08-06T14:13:16+00:00"),
    ],
)
def test_the_time_has_the_format_that_the_line_names(form: str, value: str, expected: str) -> None:
    """The usual letters of SimpleDateFormat are read, with zones where they are offsets, UTC or GMT."""
    found = _frame(f"{START}devTimeFormat={form}\tdevTime={value}\tmsg=x")
    assert found.time is not None
    assert found.time.isoformat() == expected


@pytest.mark.parametrize(
    ("form", "value"),
    [
        ("MMM dd yyyy HH:mm:ss", "Mai 06 2025 14:13:16"),
        ("dd.MM.yyyy HH:mm:ss", "31.02.2025 14:13:16"),
        ("dd.MM.yyyy HH:mm:ss", "01.13.2025 14:13:16"),
        ("dd.MM.yyyy HH:mm:ss", "01.01.2025 25:13:16"),
        ("dd.MM.yyyy hh:mm:ss", "01.01.2025 02:13:16"),
        ("dd.MM.yyyy HH:mm:ss z", "01.01.2025 14:13:16 CEST"),
        ("dd.MM.yyyy HH:mm:ssZ", "01.01.2025 14:13:16+9900"),
        ("HH:mm:ss", "14:13:16"),
        ("yyyy MM", "2025 01"),
        ("y" * 100, "2025"),
    ],
)
def test_a_time_that_cannot_be_told_is_left_out(form: str, value: str) -> None:
    """What is no date, half a time, or in a zone whose name means several, is no time."""
    assert _frame(f"{START}devTimeFormat={form}\tdevTime={value}\tmsg=x").time is None


@pytest.mark.parametrize(("letter", "literal", "value"), [("E", "'a'", "a"), (" ", "' '", " ")])
def test_a_format_of_many_parts_that_read_alike_comes_back(letter: str, literal: str, value: str) -> None:
    """A format in which every part could give back what the next one takes is given up at once, not in years."""
    form = (letter + literal) * 14
    line = f"LEEF:1.0|v|p|1|2|devTimeFormat={form}yy\tdevTime={value * 60}!\tmsg=text"
    assert _frame(line).text == "text"
    assert _frame(line).time is None


def test_a_time_without_a_zone_is_in_the_settings_zone() -> None:
    """The zone of the context counts where the format names none."""
    found = _frame(BARE, Context(CONTEXT.now, zone=ZoneInfo("Europe/Berlin")))
    assert found.time == datetime(2025, 8, 6, 12, 13, 16, tzinfo=UTC)


@pytest.mark.parametrize(
    ("line", "data", "truncated"),
    [
        ("LEEF:1.0|Forcepoint|Fire", None, True),
        ("LEEF:1.0|Forcepoint|Firewall|7.1.5|", None, True),
        ("LEEF:1.0|Forcepoint|Firewall|7.1.5|Generic", None, False),
        (f"{START}src=192.0.2.1\tmsg=IKE SA fai", {"src": "192.0.2.1", "msg": "IKE SA fai"}, False),
        (f"{START}src=192.0.2.1\tmsg=", {"src": "192.0.2.1"}, True),
        (f"{START}src=192.0.2.1\tms", {"src": "192.0.2.1"}, True),
        (f"{START}src=192.0.2.1\t", {"src": "192.0.2.1"}, False),
        (f"{START}src=192.0.2.1\tmsg=a\\", {"src": "192.0.2.1", "msg": "a"}, True),
        ("LEEF:2.0|v|p|1|7|^|src=192.0.2.1^ms", {"src": "192.0.2.1"}, True),
        ("LEEF:2.0|v|p|1|7|^|src=192.0.2.1^^", {"src": "192.0.2.1"}, False),
        (f"{START}src=192.0.2.1  msg=a ms", {"src": "192.0.2.1", "msg": "a ms"}, False),
    ],
)
def test_what_counts_as_cut(line: str, data: dict[str, str] | None, truncated: bool) -> None:
    """A line is surely cut where a header field, a value or half an escape is missing; what is whole is kept."""
    found = _frame(line)
    assert (found.data, found.truncated) == (data, truncated)


def test_any_cut_keeps_what_is_whole() -> None:
    """Every value but the last is as in the whole line, and the last one is its beginning."""
    for cut in range(len("LEEF:1.0|Forcepoint|F"), len(BARE)):
        *sure, last = (_frame(BARE[:cut]).data or {"msg": ""}).items()
        assert all(DATA[name] == value for name, value in sure), cut
        assert DATA[last[0]].startswith(last[1]), cut


@pytest.mark.parametrize(
    "line",
    [
        "",
        "LEEF:",
        "LEEF:1.0",
        "LEEF:1.0|Forcepoint|",
        "LEEF:1.0||Firewall|1|2|msg=x",
        "LEEF:x|Forcepoint|Firewall|1|2|msg=x",
        f"Aug  3 10:18:44 log1 collector: got {BARE}",
        f"the operator saw {BARE} and wondered",
        f"<6>Aug  3 10:18:44 log1 collector: x{BARE}",
        f'{{"message":"{BARE}"}}',
        BARE.replace("LEEF:", "CEF:"),
    ],
)
def test_what_is_no_leef_line(line: str) -> None:
    """A payload that other text quotes, or without vendor and product, makes no frame."""
    assert parse_leef(line, CONTEXT) is None


def test_bytes_that_are_no_utf8_pass() -> None:
    """Lone surrogates, NUL and line breaks are part of the value."""
    assert _frame(f"{START}msg=a\udcffb\0c\nd\tx=1").text == "a\udcffb\0c\nd"


@pytest.mark.parametrize(
    "piece", ["a=", "\ta=", "\ta", "^a=", "^", " ", " a=", "\\", "\\ta=", "#011", "#01", "[a", "a[", "|", '"', "\udcff"]
)
@pytest.mark.parametrize("start", ["LEEF:1.0|v|p|1|2|", "LEEF:2.0|v|p|1|2|x5B|", "LEEF:2.0|v|p|1|2|#01|", "<34>1 "])
def test_very_long_lines_come_back(start: str, piece: str) -> None:
    """A hostile line of a megabyte is framed or not."""
    line = start + piece * (1_000_000 // len(piece))
    found = parse_leef(line, CONTEXT)
    assert found is None or line.endswith(found.body)


PIECES = st.sampled_from(
    ["LEEF:1.0|", "LEEF:2.0|", "v|", "p|", "|", "\\", "=", " ", "\t", "^|", "x09|", "#011", "msg=", "devTime=", "x",
     '""', "devTimeFormat=", "MMM dd yyyy", "Aug 06 2025", "'", "(", "<6>", "\n", "\0", "\udcff", "é", "]", "["]
)  # fmt: skip


@given(st.lists(PIECES, max_size=30).map("".join) | st.text())
def test_any_text_is_framed_or_not(text: str) -> None:
    """No text makes framing raise, bare or behind a whole beginning."""
    for line in (text, "LEEF:1.0|v|p|1|2|" + text, "LEEF:2.0|v|p|1|2|" + text):
        found = parse_leef(line, CONTEXT)
        assert found is None or found.body in line


@given(st.text(max_size=70), st.text())
def test_any_format_and_time_is_read_or_not(form: str, value: str) -> None:
    """No format, and no time in it, makes framing raise; what is read is in UTC."""
    time = _frame(f"{START}devTimeFormat={form}\tdevTime={value}\tmsg=x").time
    assert time is None or time.tzinfo is UTC


@given(st.integers(0, len(BARE) - 1), st.characters())
def test_any_flipped_character_is_framed_or_not(place: int, character: str) -> None:
    """A character that went wrong does not make framing raise, and spoils no more than the fields around it."""
    found = parse_leef(BARE[:place] + character + BARE[place + 1 :], CONTEXT)
    if place > BARE.index("|devTimeFormat"):
        assert found is not None
        assert (found.vendor, found.product, found.tag) == ("Forcepoint", "Firewall", None)
