"""Rows of the SMC log as CSV: told columns and untold ones, headers before rows, and rows that are cut."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from lexilog.framing.csv_export import columns_of, parse_csv_export
from lexilog.framing.timestamp import Context
from lexilog.model import Frame

HEADER = "TIMESTAMP,LOG_ID,NODE_ID,FACILITY,SITUATION,INFO_MSG,SRC,DST,ALERT_SEVERITY"
COLUMNS = tuple(HEADER.split(","))
UNTOLD = Context(datetime(2026, 1, 15, 12, 0, tzinfo=UTC))
CONTEXT = msgspec.structs.replace(UNTOLD, columns=COLUMNS)
BARE = '2024-05-01 16:25:56,77,192.0.2.2,IPsec,,"IKE SA: delete, peer [...]",192.0.2.1,198.51.100.1,High'
DATA = {
    "TIMESTAMP": "2024-05-01 16:25:56",
    "LOG_ID": "77",
    "NODE_ID": "192.0.2.2",
    "FACILITY": "IPsec",
    "INFO_MSG": "IKE SA: delete, peer [...]",
    "SRC": "192.0.2.1",
    "DST": "198.51.100.1",
    "ALERT_SEVERITY": "High",
}
TIME = datetime(2024, 5, 1, 16, 25, 56, tzinfo=UTC)


def _frame(line: str, context: Context = CONTEXT) -> Frame:
    found = parse_csv_export(line, context)
    assert found is not None
    return found


def test_what_a_row_says() -> None:
    """Told columns give the values their names, and text, facility, severity and time; an empty cell says nothing."""
    found = _frame(BARE)
    assert (found.kind, found.vendor, found.product, found.tag) == ("csv", "Forcepoint", "Firewall", None)
    assert (found.text, found.component, found.level, found.time) == (DATA["INFO_MSG"], "IPsec", "High", TIME)
    assert (found.body, found.data, found.truncated) == (BARE, DATA, False)


@pytest.mark.parametrize(
    ("start", "host"),
    [
        ("", None),
        ("\ufeff", None),
        ("<6>", None),
        ("<6>May  1 16:25:57 192.0.2.9 ", "192.0.2.9"),
        ("May  1 16:25:57 log1 smc: ", "log1"),
        ("2024-05-01 16:25:57 log1 ", "log1"),
        ("<34>1 2024-05-01T16:25:57Z log1 smc 12 - - ", "log1"),
        ("<34>1 2024-05-01T16:25:57Z log1 smc 12 - - \ufeff", "log1"),
    ],
)
@pytest.mark.parametrize("context", [CONTEXT, UNTOLD])
def test_headers(start: str, host: str | None, context: Context) -> None:
    """A header ends where the first cell begins, although no comma says so."""
    found = _frame(start + BARE + "\r\n", context)
    assert (found.body, found.hostname, found.time) == (BARE, host, TIME)
    assert (found.text, found.component) == (DATA["INFO_MSG"], "IPsec" if context.columns or len(DATA) >= 8 else None)


@pytest.mark.parametrize("cell", ["77", '"fw1 node 1, engine"', "2001:db8::1", ""])
def test_a_first_cell_that_is_no_time(cell: str) -> None:
    """Behind a header, a first cell is one word, or stands in quotes."""
    context = msgspec.structs.replace(UNTOLD, columns=("SENDER", "TIMESTAMP", "INFO_MSG"))
    for start, host in (("", None), ("<6>May  1 16:25:57 192.0.2.9 ", "192.0.2.9")):
        found = _frame(f"{start}{cell},2024-05-01 16:25:56,IKE SA", context)
        assert (found.hostname, found.text, (found.data or {}).get("SENDER", "")) == (host, "IKE SA", cell.strip('"'))


@pytest.mark.parametrize(
    ("columns", "text", "component"),
    [
        (("Timestamp", "Information Message", "Facility"), "one", "two"),
        (("creation time", "infomsg", "FACILITY"), "one", "two"),
        (("TIMESTAMP", "SITUATION", "INFO_MSG"), "two", None),
        (("TIMESTAMP", "SITUATION", "EVENT"), "one", None),
    ],
)
def test_names_of_columns(columns: tuple[str, ...], text: str, component: str | None) -> None:
    """Case, blanks and underscores in a column's name do not count; the data keeps the name as it was told."""
    found = _frame("2024-05-01 16:25:56,one,two", msgspec.structs.replace(UNTOLD, columns=columns))
    assert (found.text, found.component, found.time) == (text, component, TIME)
    assert found.data == {columns[0]: "2024-05-01 16:25:56", columns[1]: "one", columns[2]: "two"}


@pytest.mark.parametrize(
    ("line", "columns"),
    [
        (HEADER, COLUMNS),
        (f"\ufeff{HEADER}\r\n", COLUMNS),
        ('"Timestamp", "Information Message"', ("Timestamp", "Information Message")),
        ("LOG_ID,SITUATION,TIMESTAMP", ("LOG_ID", "SITUATION", "TIMESTAMP")),
        ("TIMESTAMP,LOG_ID,FACILITY", None),
        ("INFO_MSG,SITUATION", None),
        ("TIMESTAMP", None),
        ("TIMESTAMP INFO_MSG", None),
        ("the TIMESTAMP, and the INFO_MSG", None),
        (BARE, None),
        ("", None),
    ],
)
def test_the_first_row_names_the_columns(line: str, columns: tuple[str, ...] | None) -> None:
    """A row that names a time, and a message or a situation, is the first row of an export."""
    assert columns_of(line) == columns


def test_the_first_row_is_no_entry() -> None:
    """The names of the columns are not taken for values, whether they are told or not."""
    assert parse_csv_export(HEADER, CONTEXT) is None
    assert parse_csv_export(HEADER, UNTOLD) is None


@pytest.mark.parametrize(
    ("line", "data", "truncated"),
    [
        ("2024-05-01 16:25:56,77,192.0.2.2", dict(list(DATA.items())[:3]), True),
        ("2024-05-01 16:25:56,77,", dict(list(DATA.items())[:2]), True),
        (BARE + ",one,two", DATA, False),
        (BARE.removesuffix('High') + '"Hi', {**DATA, "ALERT_SEVERITY": "Hi"}, True),
        (BARE[: BARE.index(", peer") + 6], {**dict(list(DATA.items())[:4]), "INFO_MSG": "IKE SA: delete, peer"}, True),
    ],
)  # fmt: skip
def test_rows_of_another_length(line: str, data: dict[str, str], truncated: bool) -> None:
    """A row is read as far as it goes; it is cut if cells or a closing quote are missing."""
    found = _frame(line)
    assert (found.data, found.truncated) == (data, truncated)


def test_a_line_that_is_no_row() -> None:
    """Told columns do not make a row of prose: it has no time in its place, and not a cell for each column."""
    assert parse_csv_export("Aug  3 10:18:44 srx1 kmd[1]: up, down, or neither", CONTEXT) is None
    assert parse_csv_export("up, down, or neither", CONTEXT) is None
    assert parse_csv_export("2024-05-01 16:25:56", CONTEXT) is None
    assert parse_csv_export(f"<6>{'x' * 10_000} {BARE}", CONTEXT) is None
    assert parse_csv_export(f"May  1 16:25:57 log1 collector: got {BARE}", CONTEXT) is None


def test_a_time_in_another_form_does_no_harm() -> None:
    """A row with all of its cells is one even if its time cannot be read."""
    found = _frame(BARE.replace("2024-05-01 16:25:56", "1.5.2024"))
    assert (found.text, found.time) == (DATA["INFO_MSG"], None)


@pytest.mark.parametrize("facility", ["IPsec", "IPSEC", "ipsec", '"IPsec"', " IPsec "])
def test_without_columns(facility: str) -> None:
    """A cell that is IPsec and one that is a time make a row; its text is the cell with the most words."""
    found = _frame(f'7,2024-05-01 16:25:56,{facility},High,"IKE SA: delete, ""peer""",192.0.2.1', UNTOLD)
    assert (found.text, found.time, found.data) == ('IKE SA: delete, "peer"', TIME, None)
    assert (found.component, found.vendor, found.product) == (None, "Forcepoint", "Firewall")
    assert found.level is None


@pytest.mark.parametrize("text", ["Unknown IKE cookie", "IKE SA proposal [...]", "VPN trigger a -> b, tunnel 7"])
def test_the_message_among_the_cells(text: str) -> None:
    """Neither an engine's name nor a protocol with its meaning, nor a second time, is taken for the message."""
    found = _frame(
        'Oct 24 10:24:41 192.0.2.9 "2024-05-01 16:25:56","77","192.0.2.2","IPsec","Notification",,,"UDP (User '
        f'Datagram Protocol)","192.0.2.1","198.51.100.1",,"NIC  #1",,"fw1 node 1","{text}","2024-05-01 16:25:57",',
        UNTOLD,
    )
    assert (found.text, found.component, found.time, found.hostname) == (text, "IPsec", TIME, "192.0.2.9")


@pytest.mark.parametrize(
    "line",
    [
        "",
        ",",
        "IPsec",
        "2024-05-01 16:25:56,IPsec VPN,IKE SA",
        "2024-05-01 16:25:56,VPN,IKE SA",
        "2024/05/01 16:25:56,IPsec,IKE SA",
        "the time is 2024-05-01 16:25:56,IPsec,IKE SA",
        "over TLS, IPsec, or SSH",
        f"May  1 16:25:57 log1 collector: got {BARE}",
        f"the operator saw {BARE}",
        f"{{{BARE}}}",
    ],
)
def test_what_is_no_row_without_columns(line: str) -> None:
    """Without a cell that is IPsec and nothing else, or one that is a time and nothing else, there is no row."""
    assert parse_csv_export(line, UNTOLD) is None


def test_what_the_csv_module_refuses_is_read() -> None:
    """Neither a very long cell, nor a line break outside quotes, nor NUL is too much."""
    text = "x y " * 50_000
    assert _frame(f"2024-05-01 16:25:56,IPsec,{text}", UNTOLD).text == text.strip()
    assert _frame("2024-05-01 16:25:56,IPsec,one\ntwo \r three", UNTOLD).text == "one\ntwo \r three"
    assert _frame("2024-05-01 16:25:56,IPsec,one\0 \udcff", UNTOLD).text == "one\0 \udcff"


def test_any_cut_keeps_what_is_whole() -> None:
    """Every value but the last is as in the whole row, and the last one is its beginning."""
    for cut in range(len("2024-05-01 16:25:56,"), len(BARE) - len("High")):
        found = _frame(BARE[:cut])
        *sure, last = (found.data or {}).items()
        assert all(DATA[name] == value for name, value in sure), cut
        assert DATA[last[0]].startswith(last[1]), cut
        assert found.truncated, cut


@pytest.mark.parametrize("piece", [",", '"', '",', "a,", " ", ", ", "IPsec,", "\n", "\0", "\udcff", '"a"b",', "<6>"])
@pytest.mark.parametrize("start", ["", "2024-05-01 16:25:56,IPsec,", "<6>May  1 16:25:57 log1 "])
@pytest.mark.parametrize("context", [CONTEXT, UNTOLD])
def test_very_long_lines_come_back(start: str, piece: str, context: Context) -> None:
    """A hostile line of a megabyte is framed or not."""
    line = start + piece * (1_000_000 // len(piece))
    found = parse_csv_export(line, context)
    assert found is None or found.body in line
    assert columns_of(line) is None


PIECES = st.sampled_from(
    ["2024-05-01 16:25:56", "IPsec", ",", '"', '""', "x", " ", "<6>", "May  1 16:25:57 ", "log1 ", "\n", "\r", "\0",
     "\udcff", "TIMESTAMP", "INFO_MSG", "é"]
)  # fmt: skip


@given(st.lists(PIECES, max_size=30).map("".join) | st.text())
def test_any_text_is_framed_or_not(text: str) -> None:
    """No text makes framing raise, bare or behind a whole beginning."""
    for line in (text, "2024-05-01 16:25:56,IPsec," + text):
        for context in (CONTEXT, UNTOLD):
            found = parse_csv_export(line, context)
            assert found is None or found.body in line
        assert columns_of(line) is None or "," in line


@given(st.integers(0, len(BARE) - 1), st.characters())
@example(70, "\n")
def test_any_flipped_character_is_framed_or_not(place: int, character: str) -> None:
    """A character that went wrong does not make framing raise, and leaves the cells before it as they were."""
    found = parse_csv_export(BARE[:place] + character + BARE[place + 1 :], CONTEXT)
    if place > BARE.index("192.0.2.1,"):
        assert found is not None
        assert (found.text, found.component) == (DATA["INFO_MSG"], "IPsec")
