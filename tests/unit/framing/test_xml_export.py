"""Entries of the SMC log as XML: where columns stand, what is refused, and lines that are cut."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lexilog.framing.timestamp import Context
from lexilog.framing.xml_export import parse_xml_export
from lexilog.model import Frame

CONTEXT = Context(datetime(2026, 1, 15, 12, 0, tzinfo=UTC))
DATA = {
    "TIMESTAMP": "2024-05-01 16:25:56",
    "NODE_ID": "192.0.2.2",
    "FACILITY": "IPsec",
    "ALERT_SEVERITY": "High",
    "INFO_MSG": "IKE SA: delete, peer 198.51.100.1 [...]",
    "SRC": "192.0.2.1",
}
ELEMENTS = "".join(f"<{name}>{value}</{name}>" for name, value in DATA.items())
BARE = f"<LOG_ENTRY>{ELEMENTS}</LOG_ENTRY>"
FIELDS = "".join(f'<FIELD NAME="{name}">{value}</FIELD>' for name, value in DATA.items())
VALUES = "".join(f'<field name="{name}" value="{value}"/>' for name, value in DATA.items())
ATTRIBUTES = "".join(f' {name}="{value}"' for name, value in DATA.items())
FACILITY = "<FACILITY>IPsec</FACILITY>"
TAG = f"<entry{ATTRIBUTES}/>"


def _frame(line: str) -> Frame:
    found = parse_xml_export(line, CONTEXT)
    assert found is not None
    return found


def _of(message: str) -> Frame:
    return _frame(f"<e><NODE_ID>192.0.2.2</NODE_ID><LOG_ID>7</LOG_ID><INFO_MSG>{message}</INFO_MSG>{FACILITY}</e>")


@pytest.mark.parametrize(
    "line",
    [
        BARE,
        BARE.replace("><", ">\n  <"),
        f'<?xml version="1.0" encoding="UTF-8"?><LOGS>{BARE}</LOGS>',
        f'<?xml version="1.0" encoding="UTF-16"?>{BARE}',
        f"<!-- export -->{BARE}",
        f"<LOG_ENTRY>{FIELDS}</LOG_ENTRY>",
        f"<entry>{VALUES}</entry>",
        TAG,
        TAG.replace('"', "'"),
        f"<entry{ATTRIBUTES}></entry>",
    ],
)
def test_what_an_entry_says(line: str) -> None:
    """Columns may be elements, attributes or named fields; text, facility, severity and time are among them."""
    found = _frame(line)
    assert (found.kind, found.vendor, found.product, found.tag) == ("xml", "Forcepoint", "Firewall", None)
    assert (found.text, found.component, found.level) == (DATA["INFO_MSG"], "IPsec", "High")
    assert found.time == datetime(2024, 5, 1, 16, 25, 56, tzinfo=UTC)
    assert (found.data, found.body, found.truncated) == (DATA, line, False)


@pytest.mark.parametrize(
    ("start", "host"),
    [
        ("", None),
        ("\ufeff", None),
        ("<6>", None),
        ("<6>May  1 16:25:57 192.0.2.9 ", "192.0.2.9"),
        ("May  1 16:25:57 log1 smc: ", "log1"),
        ('<34>1 2024-05-01T16:25:57Z log1 smc 12 - [x@1 a="b"] ', "log1"),
        ("<34>1 2024-05-01T16:25:57Z log1 smc 12 - - \ufeff", "log1"),
    ],
)
def test_headers(start: str, host: str | None) -> None:
    """Whatever stands before it, the payload is the same; the host is the header's."""
    found = _frame(start + BARE + "\r\n")
    assert (found.body, found.data, found.hostname) == (BARE, DATA, host)


def test_names_count_in_any_case() -> None:
    """Case, blanks and underscores in a column's name do not count."""
    found = _frame('<e><Timestamp>2024-05-01 16:25:56</Timestamp><f Name="Information Message">x</f></e>')
    assert (found.text, found.time) == ("x", datetime(2024, 5, 1, 16, 25, 56, tzinfo=UTC))


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("a &amp; b &lt;c&gt; &#233; &#x2019;", "a & b <c> é \u2019"),
        ("<![CDATA[a & b <c>]]>", "a & b <c>"),
        (" a\n b ", "a\n b"),
        ("a<!-- no -->b", "ab"),
        ("a\0b\x1b\udcff\ud800é\U0001f600", "a\0b\x1b\udcff\ud800é\U0001f600"),
        ("", ""),
    ],
)
def test_values_are_what_was_written(message: str, expected: str) -> None:
    """References and CDATA are resolved; characters that XML does not know pass as they are."""
    found = _of(message)
    assert (found.text, found.component, found.truncated) == (expected, "IPsec", False)


def test_an_empty_column_says_nothing() -> None:
    """Columns without a value are left out."""
    found = _frame(BARE.replace(DATA["SRC"], ""))
    assert "SRC" not in (found.data or {})


def test_the_first_entry_of_a_line_counts() -> None:
    """What follows a whole entry is not read, and does not make it a cut one."""
    other = BARE.replace("IPsec", "Other")
    for line in (f"{BARE}{other}", f"{BARE} and more <", f"<LOGS>{BARE}{other}</LOGS>"):
        found = _frame(line)
        assert (found.component, found.data, found.truncated) == ("IPsec", DATA, False)


@pytest.mark.parametrize("line", [BARE, f"<LOG_ENTRY>{FIELDS}</LOG_ENTRY>", f"<entry>{VALUES}</entry>", TAG])
def test_any_cut_keeps_what_is_whole(line: str) -> None:
    """Every value but the last is as in the whole entry, and the last one is its beginning."""
    for cut in range(line.index("INFO_MSG"), len(line)):
        found = _frame(line[:cut])
        *sure, last = (found.data or {}).items()
        assert all(DATA[name] == value for name, value in sure), cut
        assert DATA[last[0]].startswith(last[1]), cut
        assert {"TIMESTAMP", "NODE_ID", "FACILITY", "ALERT_SEVERITY"} <= set(found.data or {}), cut
        assert found.truncated, cut


@pytest.mark.parametrize(
    "end",
    [
        "<INFO_MSG>IKE SA fa",
        "<INFO_MSG>IKE SA fa&am",
        "<INFO_MSG>IKE SA fa<",
        "<INFO_MSG>IKE SA fa</INFO",
        "<INFO_MSG>IKE SA fa & b",
        "<INFO_MSG>IKE SA fa&nbsp;b",
        "<INFO_MSG>IKE SA fa</OTHER>",
        '<f INFO_MSG="IKE SA fa',
        '<f INFO_MSG="IKE SA fa&am',
        "<f INFO_MSG='IKE SA fa",
        '<f a="b" INFO_MSG="IKE SA fa',
        '<f NAME="INFO_MSG" VALUE="IKE SA fa',
    ],
)
def test_the_value_at_the_cut_is_kept(end: str) -> None:
    """A value in which the line is cut, or is no longer XML, is kept up to there."""
    found = _frame(f"<e><TIMESTAMP>2024-05-01 16:25:56</TIMESTAMP>{end}")
    assert (found.text, found.truncated) == ("IKE SA fa", True)


@pytest.mark.parametrize(
    "declaration",
    [
        '<!DOCTYPE e [<!ENTITY a "IKE SA">]>',
        '<!DOCTYPE e [<!ENTITY a "x"><!ENTITY b "&a;&a;&a;&a;">]>',
        '<!DOCTYPE e [<!ENTITY a SYSTEM "file:///etc/hostname">]>',
        '<!DOCTYPE e [<!ATTLIST e INFO_MSG CDATA "x">]>',
        '<!DOCTYPE e SYSTEM "e.dtd">',
    ],
)
def test_declarations_are_refused(declaration: str) -> None:
    """No entity is ever declared or opened."""
    assert parse_xml_export(f"{declaration}<e>{ELEMENTS}<EVENT>&a;</EVENT></e>", CONTEXT) is None
    assert parse_xml_export(f"{declaration}{BARE}", CONTEXT) is None


@pytest.mark.parametrize(
    "line",
    [
        "",
        "<",
        "<6>",
        "<a/>",
        "<6>May  1 16:25:57 192.0.2.9 up < down > up",
        "<e><TIMESTAMP>2024-05-01 16:25:56</TIMESTAMP><MESSAGE>x</MESSAGE></e>",
        "<Event><System><EventID>4624</EventID></System><EventData><Data Name='Sender'>x</Data></EventData></Event>",
        f"May  1 16:25:57 log1 collector: got {BARE}",
        f"the operator saw {BARE}",
        f'{{"message":"{BARE}"}}',
        "<a>" * 100 + BARE,
    ],
)
def test_what_is_no_such_entry(line: str) -> None:
    """Other documents, a quoted payload, and elements in very deep ones make no frame."""
    assert parse_xml_export(line, CONTEXT) is None


@pytest.mark.parametrize(
    "piece",
    [
        "<a>",
        "<a/>",
        "</a>",
        "a",
        "<",
        '<a b="c">',
        'b="c" ',
        " b=",
        '"',
        "&amp;",
        "&",
        "<![CDATA[",
        "<!--",
        "\0",
        "\udcff",
    ],
)
@pytest.mark.parametrize("start", ["", "<a>", "<a ", "<6>May  1 16:25:57 192.0.2.9 <e>", f"<e>{ELEMENTS}"])
def test_very_long_lines_come_back(start: str, piece: str) -> None:
    """A hostile line of a megabyte is framed or not."""
    line = start + piece * (1_000_000 // len(piece))
    found = parse_xml_export(line, CONTEXT)
    assert found is None or line.endswith(found.body)


PIECES = st.sampled_from(
    ["<e>", "</e>", "<TIMESTAMP>", "</TIMESTAMP>", "<INFO_MSG>", "</INFO_MSG>", "<f ", 'NAME="INFO_MSG"', ' a="', '"',
     "/>", ">", "<", "&", "&amp;", "&#0;", "<![CDATA[", "]]>", "<!--", "<?xml ?>", "<!DOCTYPE e [", "x", "<6>", "\n",
     "\0", "\udcff"]
)  # fmt: skip


@given(st.lists(PIECES, max_size=30).map("".join) | st.text())
def test_any_text_is_framed_or_not(text: str) -> None:
    """No text makes framing raise, bare or behind a whole beginning."""
    for line in (text, f"<e>{ELEMENTS}{text}", f"<e{ATTRIBUTES} {text}"):
        found = parse_xml_export(line, CONTEXT)
        assert found is None or found.body in line


@given(st.text(st.characters(exclude_characters="<&\r") | st.sampled_from("\0\U0010fffd\ue000")))
def test_any_value_comes_back(text: str) -> None:
    """A value with nothing to escape is read as it was written, whatever characters it has."""
    value = text.replace("]]>", "")
    assert _of(value).text == value.strip(" \t\n")


def test_characters_that_xml_leaves_out_come_back() -> None:
    """None of the characters that XML has no place for ends the entry."""
    text = "".join(map(chr, [*range(0x09), 0x0B, 0x0C, *range(0x0E, 0x20), *range(0xD800, 0xE000), 0xFFFE, 0xFFFF]))
    assert _of(text).text == text


@given(st.integers(0, len(BARE) - 1), st.characters())
def test_any_flipped_character_is_framed_or_not(place: int, character: str) -> None:
    """A character that went wrong does not make framing raise, and leaves the values before it as they were."""
    found = parse_xml_export(BARE[:place] + character + BARE[place + 1 :], CONTEXT)
    if place > BARE.index("<SRC>"):
        assert found is not None
        assert (found.text, found.component) == (DATA["INFO_MSG"], "IPsec")
