"""The JSON object at the end of a text: strict where it can be read so, forgiving where it cannot."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lexilog.framing.json_tail import JsonTail, find_object, read_json_tail

SESSION = (
    '{"sessionId":{"username":"user1","duration":"7 minutes 17 seconds","durationSeconds":437,'
    '"device":{"deviceName":"User\u2019s phone","jailbroken":false,"version":"9.1"},'
    '"app":{"appName":"","bytesRx":648674,"version":"2"}}}'
)
VALUES = {
    "username": "user1",
    "duration": "7 minutes 17 seconds",
    "durationSeconds": "437",
    "deviceName": "User\u2019s phone",
    "jailbroken": "false",
    "version": "9.1",
    "appName": "",
    "bytesRx": "648674",
    "sessionId.app.version": "2",
}


def test_leaves_are_named_by_their_keys() -> None:
    """A key that occurs again is named by its path; strings and numbers are as written, U+2019 included."""
    assert read_json_tail(SESSION, 0) == JsonTail(VALUES, False, len(SESSION))
    assert read_json_tail(f"Session STOP {SESSION}", 13).values == VALUES


@pytest.mark.parametrize("rest", ["", " rest"])
def test_values_of_every_kind(rest: str) -> None:
    """Numbers keep their digits, null is left out, plain items of an array are joined, in both ways to read."""
    text = '{"a":1.50,"b":-3e5,"c":true,"d":null,"e":[1,"x",null,false],"f":[],"g":{},"h":"\\u00e9\\n\\ud83d\\ude00"}'
    found = read_json_tail(text + rest, 0)
    assert found.values == {"a": "1.50", "b": "-3e5", "c": "true", "e": "1, x, false", "h": "é\n😀"}
    assert (found.truncated, found.end) == (False, len(text))


@pytest.mark.parametrize("rest", ["", " rest"])
def test_objects_in_arrays(rest: str) -> None:
    """Each leaf of each object is kept, the later ones by their place."""
    found = read_json_tail('{"apps":[{"id":1},{"id":2},[3,4],5],"id":6}' + rest, 0)
    assert found.values == {"id": "1", "apps.1.id": "2", "apps": "3, 4", "apps.3": "5", "id.4": "6"}


@pytest.mark.parametrize(
    "blank",
    [" ", "\u00a0 \u00a0", "\n    ", "\r\n", "\t", "#012", "#011#012   ", "\\n", "\\r\\n\\t", "\udca0", "\u3000", "\0"],
)
def test_blanks_between_tokens(blank: str) -> None:
    """No-break spaces, line ends and what collectors write for them may stand between any two tokens."""
    tokens = [
        "{",
        '"linkUpdate"',
        ":",
        "{",
        '"name"',
        ":",
        '"ethernet0"',
        ",",
        '"up"',
        ":",
        "true",
        ",",
        '"n"',
        ":",
        "0",
        "}",
        "}",
    ]
    text = blank.join(tokens)
    found = read_json_tail(text, 0)
    assert found == JsonTail({"name": "ethernet0", "up": "true", "n": "0"}, False, len(text))


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("{“name”: “ethernet0”, „status“ : ”up“}", {"name": "ethernet0", "status": "up"}),
        ("{“name”: “a \\” b\", “n”: 1}", {"name": "a \\” b", "n": "1"}),
        ('{"name": "the “big” phone"}', {"name": "the “big” phone"}),
    ],
)  # fmt: skip
def test_typographic_quotes(text: str, values: dict[str, str]) -> None:
    """They may stand around a string; in a string between plain quotes they are part of it."""
    assert read_json_tail(text, 0).values == values
    assert read_json_tail(f"{text} rest", 0).values == values


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('{"a":"x\ny\tz\x01"}', "x\ny\tz\x01"),
        ('{"a":"x\udcffy"}', "x\udcffy"),
        ('{"a":"x\\udc80y"}', "x\\udc80y"),
        ('{"a":"C:\\x"}', "C:\\x"),
        ('{"a":"x#012y"}', "x#012y"),
        ('{"a":"q\\"q"} rest', 'q"q'),
    ],
)
def test_strings_are_kept_as_they_are(text: str, value: str) -> None:
    """Control characters and odd bytes stay; an escape that is none, or that would make an odd byte, is not undone."""
    assert read_json_tail(text, 0).values == {"a": value}


def test_objects_with_small_faults() -> None:
    """Missing and doubled commas and words that are no JSON do not keep the rest from being read."""
    text = '{"a":1,,"b" "c" "d":False,}'
    assert read_json_tail(text, 0) == JsonTail({"a": "1", "b": "c", "d": "False"}, False, len(text))


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ('{"a":"b","c":"d', {"a": "b"}),
        ('{"a":"b","c":"d\\', {"a": "b"}),
        ('{"a":"b","c":43', {"a": "b"}),
        ('{"a":"b","c":tru', {"a": "b"}),
        ('{"a":"b","c":true', {"a": "b", "c": "true"}),
        ('{"a":"b","c', {"a": "b"}),
        ('{"a":"b","c":', {"a": "b"}),
        ('{"x":{"a":"b"}', {"a": "b"}),
        ('{"a":"b","c":[1,2', {"a": "b"}),
        ('{"a":"b","c":2 seconds,"d":1}', {"a": "b", "c": "2"}),
        ('{"a":"b"]', {"a": "b"}),
        ("{", {}),
    ],
)
def test_object_that_breaks_off(text: str, values: dict[str, str]) -> None:
    """What is whole is kept; a string, a number or a word that may go on is not."""
    found = read_json_tail(text, 0)
    assert (found.values, found.truncated) == (values, True)


@pytest.mark.parametrize("text", ["", "x", "{not JSON", "{0x1 - 0x2} / 00000000", "{ {", '"a"', "[1]"])
def test_what_is_no_object(text: str) -> None:
    """Where no object begins nothing is read, and the position stays."""
    assert read_json_tail(text, 0) == JsonTail({}, False, 0)


def test_the_first_object_of_a_text() -> None:
    """A brace before anything but a string, its end or the text's end does not begin one."""
    assert find_object('phase {0x1} of {x} {"a":1}') == 19
    assert find_object("Link Update {\u00a0\n “a”: 1}") == 12
    assert find_object("Session START {") == 14
    assert find_object("{}") == 0
    assert find_object("nothing {here}") is None


def test_depth_is_bounded() -> None:
    """Deeper nesting than 64 is not read, however deep it is."""
    for depth in (65, 100_000):
        found = read_json_tail('{"b":1,"a":' + '{"a":' * depth + "1" + "}" * depth + "}", 0)
        assert (found.values, found.truncated) == ({"b": "1"}, True)
    assert read_json_tail('{"a":' * 64 + "1" + "}" * 64, 0) == JsonTail({"a": "1"}, False, 64 * 6 + 1)


PLAIN = (
    st.none() | st.booleans() | st.integers(1, 1 << 70) | st.text(st.characters(exclude_categories=["Cs"]), max_size=5)
)
OBJECTS: st.SearchStrategy[dict[str, Any]] = st.dictionaries(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=3),
    st.recursive(
        PLAIN, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3)
    ),
    max_size=4,
)


@given(OBJECTS, st.booleans())
def test_both_ways_to_read_agree(value: dict[str, Any], ascii_only: bool) -> None:
    """An object that is valid reads the same whether anything follows it or not."""
    text = json.dumps(value, ensure_ascii=ascii_only)
    strict, tolerant = read_json_tail(text, 0), read_json_tail(f"{text} rest", 0)
    assert (strict.values, strict.truncated) == (tolerant.values, tolerant.truncated)
    assert (tolerant.end, strict.end) == (len(text), len(text))


@given(st.integers(0, len(SESSION)))
def test_any_cut(end: int) -> None:
    """However much is missing, each value that is read is whole, in the order of the text, and the cut is known."""
    found = read_json_tail(SESSION[:end], 0)
    assert list(found.values.items()) == list(VALUES.items())[: len(found.values)]
    assert found.truncated == (0 < end < len(SESSION))


PIECES = [
    "{",
    "}",
    "[",
    "]",
    '"',
    "“",
    "”",
    "a",
    ",",
    ":",
    "1",
    "true",
    "null",
    "\\",
    "#012",
    "\u00a0",
    "\n",
    "\0",
    "\udcff",
    "é",
]


@given(st.text() | st.lists(st.sampled_from(PIECES), max_size=30).map("".join))
def test_any_text_is_read_or_not(text: str) -> None:
    """No text makes reading raise, and the end is never before the beginning or after the text."""
    found = read_json_tail("{" + text, 0)
    assert 0 <= found.end <= len(text) + 1
    assert all(isinstance(value, str) for value in found.values.values())


@pytest.mark.parametrize(
    "part", ["{", '{"a":', "[", "1,", '"a":1,', '"a', "“a", ",", " ", "\\", "#01", "#012", "\\n", "{},", "1"]
)
@pytest.mark.parametrize("start", ["{", '{"a":', '{"a":[', '{"a":"'])
@pytest.mark.parametrize("end", ["", "]}", '"b":1}'])
def test_hostile_texts_come_back(start: str, part: str, end: str) -> None:
    """A text of a mebibyte is read in one pass whatever it repeats, and gives a bounded number of values."""
    found = read_json_tail(start + part * ((1 << 20) // len(part)) + end, 0)
    assert len(found.values) <= 4096


def test_names_do_not_outgrow_the_object() -> None:
    """Leaves of one name, deep inside, get names of a few steps, however long their path is."""
    deep = '{"z":' * 50 + "[" + ",".join('{"a":1}' for _ in range(500)) + "]" + "}" * 50
    found = read_json_tail(deep, 0)
    assert found is not None
    assert len(found.values) == 500
    assert max(map(len, found.values)) < 300
