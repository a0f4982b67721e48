"""Headers before a payload, and lines of products that have no wrapping of their own."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lexilog.framing.syslog import parse_syslog, read_header
from lexilog.framing.timestamp import Context, read_stamp

CONTEXT = Context(datetime(2026, 1, 15, 12, 0, tzinfo=UTC))


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("", {}),
        ("<6>", {"pri": 6}),
        ("<6>Sep 14 14:12:51 192.0.2.1 ", {"pri": 6, "hostname": "192.0.2.1"}),
        ("57 <34>1 2024-09-01T00:00:00Z gw1 ", {"pri": 34, "version": 1, "hostname": "gw1"}),
        ("<34>1 2024-09-01T00:00:00Z gw1 app 12 ID - ", {"hostname": "gw1", "process": "app", "pid": 12, "tag": "ID"}),
        ('<34>1 2024-09-01T00:00:00Z gw1 app - - [a@1 b="c]d"] ', {"elements": {"a@1": {"b": "c]d"}}, "pid": None}),
        ("<34>1 2024-09-01T00:00:00Z - - - - - ", {"hostname": None, "process": None}),
        ("Nov 13 16:59:59 gw1 TAG: ", {"hostname": "gw1", "process": "TAG"}),
        ("Nov 13 16:59:59 gw1 app[77]: ", {"process": "app", "pid": 77}),
        ("Oct 22 2021 07:15:30.401772: ", {"time": datetime(2021, 10, 22, 7, 15, 30, 401772, tzinfo=UTC)}),
        ("2024-09-01T10:11:12Z kern.info gw1 ", {"hostname": "gw1", "process": None}),
        ("2024-09-01 10:11:12\tLocal0.Warning\t192.0.2.1\t", {"hostname": "192.0.2.1", "process": None}),
        (
            "Aug 24 04:58:58 192.0.2.9 relay: 2017-08-24T04:58:58.724Z gw1 ",
            {"hostname": "gw1", "time": datetime(2017, 8, 24, 4, 58, 58, 724000, tzinfo=UTC)},
        ),
        ("<5>Aug 24 04:58:58 192.0.2.9 <6>Aug 24 04:58:59 gw1 ", {"pri": 6, "hostname": "gw1"}),
        ("gw1 ", {"hostname": "gw1"}),
    ],
)
def test_what_a_header_says(header: str, expected: dict[str, Any]) -> None:
    """PRI, time, host, program, columns and structured data are read, and an inner header counts more."""
    found = read_header(f"{header}PAYLOAD", len(header), CONTEXT)
    assert found is not None
    assert {name: getattr(found, name) for name in expected} == expected


@pytest.mark.parametrize(
    "text",
    [
        "somebody wrote of a ",
        "Aug  3 10:18:44 log1 rsyslogd: cannot parse ",
        "<30>Aug  3 10:18:44 srx1 kmd[1]: KMD_X: a payload of ",
        "<192>Sep 14 14:12:51 gw1 ",
        "a b c d e f g h ",
        "Sep 14 14:12:51 " + "x" * 300 + " ",
    ],
)
def test_what_is_no_header(text: str) -> None:
    """Prose before a payload makes it a quotation."""
    assert read_header(f"{text}PAYLOAD", len(text), CONTEXT) is None


@given(st.text(alphabet=st.characters(), max_size=200), st.integers(0, 200))
def test_any_text_is_read_or_refused(text: str, end: int) -> None:
    """No text raises, wherever it is cut; what is read is within bounds."""
    header, frame = read_header(text, min(end, len(text)), CONTEXT), parse_syslog(text, CONTEXT)
    assert header is None or header.pri is None or header.pri in range(192)
    assert frame is None or frame.text in text


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("<30>Aug  3 10:18:44 gw1 app[7]: hello", {"hostname": "gw1", "process": "app", "pid": 7, "text": "hello"}),
        ("<30>hello there", {"hostname": None, "process": None, "text": "hello there"}),
        (
            "Aug  3 10:18:44 gw1 : %ASA-3-713902: Group = x",
            {"tag": "713902", "facility": "asa", "severity": 3, "text": "Group = x"},
        ),
        ("Aug  3 10:18:44 gw1: %CRYPTO-4-RECVD: decaps", {"hostname": "gw1", "tag": "RECVD", "text": "decaps"}),
        ("hello there", None),
    ],
)
def test_any_syslog_line(line: str, expected: dict[str, Any] | None) -> None:
    """A PRI or a time makes it one; host, program and Cisco's id are read where they stand."""
    found = parse_syslog(line, CONTEXT)
    assert (found and {name: getattr(found, name) for name in expected or {}}) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Sep 14 2021 14:12:51", datetime(2021, 9, 14, 14, 12, 51, tzinfo=UTC)),
        (" 2024-05-01 16:25:56 ", datetime(2024, 5, 1, 16, 25, 56, tzinfo=UTC)),
        ("1700000000", datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)),
        ("1700000000123", datetime(2023, 11, 14, 22, 13, 20, 123000, tzinfo=UTC)),
        ("170000000012", None),
        ("Sep 14 2021 14:12:51 and more", None),
        ("", None),
        ("\u0661700000000", None),
    ],
)
def test_a_value_that_is_a_time(text: str, expected: datetime | None) -> None:
    """The whole value is a time, or it is none."""
    assert read_stamp(text, CONTEXT) == expected


@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin", "America/New_York"])
def test_a_clock_at_the_end_of_time_costs_no_line(zone: str) -> None:
    """An agent may state the last moment that there is; a time without a year is read all the same."""
    context = Context(datetime.max.replace(tzinfo=UTC), zone=ZoneInfo(zone))
    found = parse_syslog("<30>Aug  3 10:18:44 host program: text", context)
    assert found is not None
    assert found.time is not None
    assert found.time.year == 9999
