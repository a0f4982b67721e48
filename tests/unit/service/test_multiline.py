"""Joining the lines of one record: what goes on with what, the bounds, and that nothing is lost."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lexilog.service.multiline import Joiner

HEADER = "Oct  2 13:45:35 gw1 Mocana: [AAA], SubCls:ACCT, EID: 7, Type: Acct, Sev:Informational, "
OTHER = HEADER.replace("gw1", "gw2")
WHOLE = HEADER + 'Session START {"sessionId":{"username":"user1"}}'
PARTS = [
    'Session START {"sessionId":{"username":"user1",',
    '   "device":{"deviceName":"a } phone",',
    '"jailbroken":false},',
    '"app":',
    "{",
    '"appGsid":',
    "25",
    "}",
    "}",
    "}",
]


def _join(lines: list[str], joiner: Joiner | None = None) -> list[str]:
    joiner = joiner or Joiner()
    return [record for line in lines for record in joiner.feed(line, 0.0)] + joiner.flush()


@pytest.mark.parametrize("again", ["", HEADER, "Oct  2 13:45:36 gw1 Mocana: [AAA] ", "Oct  2 13:45:36 gw1 Mocana: "])
def test_an_object_over_many_lines_is_one_record(again: str) -> None:
    """Lines go on with the record whether each has the gateway's header or only the first; the last one ends it."""
    lines = [HEADER + PARTS[0], *(again + part for part in PARTS[1:])]
    joiner = Joiner()
    assert [joiner.feed(line, 0.0) for line in lines] == [*([[]] * (len(lines) - 1)), ["\n".join(lines)]]
    assert joiner.flush() == []


def test_headers_of_relays() -> None:
    """Of two hosts before the name the second one is the device, and RFC 5424 has it in the first column."""
    for header in ("Oct  2 13:45:35 relay1 gw{} Mocana: ", "<134>1 2021-10-02T13:45:35+00:00 gw{} - - - - Mocana: "):
        one, two = [[header.format(device) + "[AAA] " + part for part in PARTS] for device in (1, 2)]
        mixed = [line for pair in zip(one, two, strict=True) for line in pair]
        assert _join(mixed) == ["\n".join(one), "\n".join(two)]


def test_without_the_gateways_name() -> None:
    """Right after a time the component alone tells the gateway."""
    lines = ['Oct 22 2021 07:15:30.401772: [AAA] Policy REJECT {"reason"', ':"x"}']
    assert _join([*lines, "last"]) == ["\n".join(lines), "last"]


def test_a_message_after_its_attributes() -> None:
    """A header with nothing behind it, or that breaks off among its attributes, waits for the message."""
    first = [
        "Nov 11 2021 22:24:37 gw1 Mocana: [INTFMGR], SubCls:999, EID: 1, ",
        "Type: General, Sev:Minor, ",
        "Removing",
    ]
    second = ["Oct 22 2021 07:15:30.401772: [AAA] ", 'Policy REJECT {"a":', '"b"}']
    assert _join([*first, *second, WHOLE]) == ["\n".join(first), "\n".join(second), WHOLE]


def test_every_example_of_the_help_page(shared: Path) -> None:
    """The examples, printed over lines as the page has them, come out whole."""
    page = (shared / "reference" / "004_884610db62637165.txt").read_text()
    records = [found[0] for found in re.finditer(r"^(?:Nov|Oct) .*?(?=\n\n)", page, re.DOTALL | re.MULTILINE)]
    assert len(records) == 7
    assert _join([line for record in records for line in record.split("\n")]) == records


@pytest.mark.parametrize(
    "line",
    [
        "",
        " ",
        "hello",
        "   indented",
        "}",
        WHOLE,
        HEADER + "text {not JSON",
        HEADER + "a text, with a comma,",
        'Aug  3 10:18:44 gw1 charon: 05[IKE] received {"a":',
        "Aug  3 10:18:44 gw1 charon: 05[IKE]",
        "Aug  3 10:18:44 gw1 app: done with [ipsec]",
        "Aug  3 10:18:44 gw1 app: list a, b,",
        '{"a":{"b":[1,2]}}',
        "<LOG_ENTRY><A>1</A></LOG_ENTRY>",
        '<LOG_ENTRY A="1"/>',
        "<LOG_ENTRIES>",
        "</LOG_ENTRY>",
    ],
)
def test_a_line_that_is_complete_comes_out_at_once(line: str) -> None:
    """Nothing waits that has nothing open."""
    assert Joiner().feed(line, 0.0) == [line]


def test_printed_objects_of_others() -> None:
    """Any line that ends in the middle of an object, at a brace, a bracket or a comma, is gone on with."""
    lines = ["{", '  "a": [', "    1,", "    2", "  ],", '  "b": "x"', "}"]
    flat = ["{", '"a":', "", "[1,", "2,", "{", '"b":"x"', "}", "],", "", '"c":', "3", "}"]
    assert _join([*lines, HEADER + flat[0], *flat[1:]]) == ["\n".join(lines), HEADER + "\n".join(flat)]


def test_typographic_quotes_and_escapes() -> None:
    """Braces in strings do not count, whatever quotes are around them."""
    lines = [HEADER + '"Link Update" {“a”: “}”,', '"b":"\\"}",', '"c":"}}}"', "}"]
    assert _join([*lines, WHOLE]) == ["\n".join(lines), WHOLE]


@pytest.mark.parametrize(
    ("cut", "follower"),
    [
        ('Session STOP {"a":{"b":"c', WHOLE),
        ('Session STOP {"a":{"b":"c', "LEEF:1.0|Vendor|Product|1|2|cat=x"),
        ('Session STOP {"a":{"b":"c', 'site-a "x" and more'),
        ('Session STOP {"a":{"b":"c",', WHOLE),
        ('Session STOP {"a":{"b":"c",', HEADER + '"Link Update" {"linkUpdate":{}}'),
        ('Session STOP {"a":{"b":"c"', HEADER + "Removing tunnel interface vt1"),
        ('Session STOP {"a":{"b":', "Removing tunnel interface vt1"),
        ('Session STOP {"a":[', "id=1800906 event=ike_sa_deleted"),
        ('Session STOP {"a":', "Oct  2 13:45:36 gw1 sshd[7]: [1]"),
    ],
)
def test_a_record_that_is_cut_off_does_not_take_others_in(cut: str, follower: str) -> None:
    """A line that cannot go on with the object ends it, and is a record of its own at once."""
    joiner = Joiner()
    assert joiner.feed(HEADER + cut, 0.0) == []
    assert joiner.feed(follower, 0.0) == [HEADER + cut, follower]


def test_a_string_that_goes_on_in_the_next_line() -> None:
    """A line end may be part of a string, if the rest of the string follows."""
    lines = [HEADER + 'Session START {"deviceName":"one', 'two","b":"three', 'four"}']
    assert _join([*lines, WHOLE]) == ["\n".join(lines), WHOLE]


def test_devices_do_not_mix() -> None:
    """Lines of other devices stand between those of a record and do not end it."""
    one, two = [HEADER + part for part in PARTS], [OTHER + part for part in PARTS]
    plain = "Oct  2 13:45:36 gw3 sshd[7]: hello"
    mixed = [line for pair in zip(one, two, strict=True) for line in (*pair, plain)]
    assert _join(mixed) == [plain] * 9 + ["\n".join(one), "\n".join(two), plain]


def test_a_line_without_header_is_of_the_device_of_the_line_before() -> None:
    """It goes on with that device's record, or with none where a line of another device stands between."""
    lines = [HEADER + PARTS[0], '"x":1', "Oct  2 13:45:36 gw3 hello", '"y":2', HEADER + '"z":3}}']
    assert _join(lines) == [lines[2], lines[3], "\n".join([lines[0], lines[1], lines[4]])]


def test_a_line_that_could_be_of_two_devices_is_of_none() -> None:
    """Where two records are open, a line without a header is not guessed to be of one of them."""
    lines = [HEADER + PARTS[0], OTHER + PARTS[0], '"device":"phone of the first"}}', HEADER + "}}", OTHER + "}}"]
    assert _join(lines) == [lines[1], lines[2], "\n".join([lines[0], lines[3]]), lines[4]]


def test_another_line_of_the_device_ends_its_record() -> None:
    """So that the order within a device is kept."""
    other = "Oct  2 13:45:36 gw1 sshd[7]: hello"
    assert _join([HEADER + PARTS[0], other]) == [HEADER + PARTS[0], other]


def test_entries_of_an_export() -> None:
    """An entry goes from its tag to the end of it, behind a header or not; a new tag begins another one."""
    entry = [
        "<LOG_ENTRY>",
        "  <TIMESTAMP>2024-05-01 16:25:56</TIMESTAMP>",
        "<INFO_MSG>IKE",
        "",
        "x</INFO_MSG>",
        "</LOG_ENTRY>",
    ]
    assert _join(["<LOG>", *entry, *entry, "</LOG>"]) == ["<LOG>", "\n".join(entry), "\n".join(entry), "</LOG>"]
    assert _join(["<134>Oct  2 13:45:35 smc1 <LOG_ENTRY>", "</LOG_ENTRY>"]) == [
        "<134>Oct  2 13:45:35 smc1 <LOG_ENTRY>\n</LOG_ENTRY>"
    ]
    assert _join(["<LOG_ENTRY>", "<A>", "<LOG_ENTRY>", "</LOG_ENTRY>"]) == [
        "<LOG_ENTRY>\n<A>",
        "<LOG_ENTRY>\n</LOG_ENTRY>",
    ]


def test_the_bound_on_lines() -> None:
    """A record leaves when it has as many lines as it may have; what follows is on its own."""
    lines = [HEADER + "START {", *(f'"a{number}":1,' for number in range(5))]
    assert _join(lines, Joiner(max_lines=3)) == ["\n".join(lines[:3]), *lines[3:]]
    assert _join(lines, Joiner(max_lines=1)) == lines


def test_the_bound_on_bytes() -> None:
    """A record leaves before the line that it has no room for; bytes are counted, not characters."""
    first = HEADER + "START {"
    lines = [first, '"a":"é",', '"b":1']
    size = len(first) + 1 + len('"a":"é",'.encode())
    assert _join(lines, Joiner(max_bytes=size)) == ["\n".join(lines[:2]), lines[2]]
    assert _join(lines, Joiner(max_bytes=size - 1)) == lines
    assert Joiner(max_bytes=len(first)).feed(first, 0.0) == [first]


def test_the_bound_on_time() -> None:
    """A record leaves when its first line has waited too long, at the next line or flush, and only then."""
    joiner = Joiner(max_seconds=2.0)
    assert joiner.feed(HEADER + "START {", 10.0) == []
    assert joiner.feed('"a":1,', 11.5) == []
    assert joiner.flush(11.9) == []
    assert joiner.feed(OTHER + "START {", 12.0) == [HEADER + 'START {\n"a":1,']
    assert joiner.flush(13.9) == []
    assert joiner.flush(14.0) == [OTHER + "START {"]
    assert joiner.flush() == []


def test_the_bound_on_devices() -> None:
    """Of more than 64 records that are open the oldest one leaves."""
    joiner = Joiner()
    lines = [HEADER.replace("gw1", f"gw{number}") + "START {" for number in range(70)]
    finished = [record for line in lines for record in joiner.feed(line, 0.0)]
    assert finished == lines[:6]
    assert joiner.flush() == lines[6:]


DEVICES = ["gw1", "gw2", "gw3"]
MESSAGES = [
    "START {",
    '"a":{',
    '"a":1,',
    '"a',
    'b",',
    "}",
    "}}",
    "[",
    "]",
    "text",
    '"Link Update" {',
    "{}",
    "<LOG_ENTRY>",
    "",
]
HEADERS = ["{} Mocana: [AAA], Sev:Debug, ", "{} Mocana: ", "{} Mocana: [IKE], SubCls:1, ", "{} sshd: "]
LINES = st.builds(
    lambda header, device, message: header.format(device) + message,
    st.sampled_from(["", "", "  ", *(f"Oct  2 13:45:35 {header}" for header in HEADERS)]),
    st.sampled_from(DEVICES),
    st.sampled_from([*MESSAGES, "</LOG_ENTRY>", "\udcff", "é"]),
)


def _by_device(lines: list[tuple[str, str]]) -> dict[str, list[str]]:
    devices: dict[str, list[str]] = {}
    for device, line in lines:
        devices.setdefault(device, []).append(line)
    return devices


@given(
    st.lists(st.tuples(LINES, st.floats(0, 1.5)), max_size=40),
    st.integers(1, 5),
    st.integers(1, 200),
    st.sampled_from([0.0, 2.0]),
)
def test_every_line_comes_out_once_and_in_order(
    feed: list[tuple[str, float]], max_lines: int, max_bytes: int, max_seconds: float
) -> None:
    """Each line is in exactly one record, in order within its device, and no record breaks a bound or mixes devices."""
    joiner, now, records = Joiner(max_lines, max_bytes, max_seconds), 0.0, []
    device, marked, names = "", [], {}
    for number, (text, pause) in enumerate(feed):
        found = re.match(r"Oct  2 13:45:35 (\S+)", text)
        device = found[1] if found else device
        # Every line is its own: blanks at its end tell its number, and joining does not look at them.
        line = text + " " + f"{number:b}".translate({ord("0"): " ", ord("1"): "\t"})
        marked.append((device, line))
        names[line] = device
        now += pause
        records += joiner.feed(line, now)
        records += joiner.flush(now)
    records += joiner.flush()
    parts = [record.split("\n") for record in records]
    out = [(names[line], line) for lines in parts for line in lines]
    assert sorted(out) == sorted(marked)
    assert _by_device(out) == _by_device(marked)
    for lines in parts:
        assert len({names[line] for line in lines}) == 1
        assert len(lines) <= max_lines
        size = len("\n".join(lines).encode("utf-8", "surrogatepass"))
        assert len(lines) == 1 or size <= max_bytes


@given(st.lists(st.text(st.characters(exclude_characters="\n")), max_size=20))
def test_any_text_comes_out_unchanged(lines: list[str]) -> None:
    """No text makes joining raise or changes a line."""
    assert "\n".join(_join(lines)) == "\n".join(lines)


@pytest.mark.parametrize("part", ["{", '"', "[", "\\", "<LOG_ENTRY ", "[AAA]", " ", "Mocana: ", '"a":{'])
@pytest.mark.parametrize("start", ["", HEADER, HEADER + "{"])
def test_hostile_lines_come_back(start: str, part: str) -> None:
    """A line of a mebibyte is over the bound and passes; one just below it is looked at in one pass."""
    for size in (1 << 20, 60_000):
        line = start + part * (size // len(part))
        assert _join([line, "x"]) in ([line, "x"], [line + "\nx"])


def test_a_record_that_broke_off_does_not_wait_for_ever() -> None:
    """After as many lines of others as a record may have it leaves, whatever the clock says."""
    cut = HEADER + PARTS[0]
    others = [f"Oct  2 13:45:36 gw3 hello {number}" for number in range(5)]
    joiner = Joiner(max_lines=3)
    found = [joiner.feed(line, 0.0) for line in [cut, *others]]
    assert found == [[], *([line] for line in others[:3]), [cut, others[3]], [others[4]]]
