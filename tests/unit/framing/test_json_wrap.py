"""Lines that agents have put into JSON: where they stand in the object, and what is no such object."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lexilog.framing import Context, frame
from lexilog.framing.json_wrap import unwrap_json

CONTEXT = Context(datetime(2026, 1, 15, 12, 0, tzinfo=UTC))
LINE = "<30>Aug  3 10:18:44 srx1 kmd[1]: KMD_X: text"


def _text(line: str) -> str | None:
    found = unwrap_json(line, CONTEXT)
    return None if found is None else found.texts[0]


@pytest.mark.parametrize(
    "content",
    [
        {"log": f"{LINE}\n", "stream": "stdout", "time": "2025-08-03T10:18:44Z"},
        {"log": f"{LINE}\r\n"},
        {"@timestamp": "2025-08-03T10:18:44Z", "message": LINE, "log": {"file": {"path": "/var/log/x"}}},
        {"MESSAGE": LINE, "_PID": "1", "PRIORITY": 6},
        {"msg": LINE},
        {"@message": LINE},
        {"event": {"original": LINE, "code": 7}},
        {"body": LINE},
        {"message": "", "body": LINE},
        {"message": None, "event": "x", "msg": LINE},
        {"event": {"original": 7}, "body": LINE},
    ],
)
def test_where_agents_put_a_line(content: dict[str, object]) -> None:
    """The line stands under one of the usual names, as text, and comes without its line ending."""
    assert _text(json.dumps(content)) == LINE
    assert _text(json.dumps(content, indent=1) + "\n") == LINE


def test_of_several_texts_the_surest_counts() -> None:
    """What the runtime calls the log goes before a message, whatever the order in the object."""
    assert _text('{"body":"c","message":"b","log":"a"}') == "a"
    assert _text('{"body":"c","event":{"original":"d"}}') == "d"


@pytest.mark.parametrize(
    "start",
    [
        "@cee:",
        "@cee: ",
        "<30>Aug  3 10:18:44 srx1 app: @cee: ",
        "<30>Aug  3 10:18:44 srx1 app[12]: @cee:",
        "<30>1 2025-08-03T10:18:44Z srx1 app 12 - - @cee: ",
        '<30>1 2025-08-03T10:18:44Z srx1 app 12 - [x@1 a="b"] @cee: ',
    ],
)
def test_cee(start: str) -> None:
    """CEE marks the object, so that a syslog header may stand before it."""
    assert _text(f'{start}{{"msg":"{LINE}"}}') == LINE


@pytest.mark.parametrize(
    "line",
    [
        "",
        "{",
        "{}",
        "[]",
        '{"message":"x"',
        '{"message":"x"} and more',
        '{"message":7}',
        '{"message":["x"]}',
        '{"message":{"log":"x"}}',
        '{"message":"\\n"}',
        '{"text":"x"}',
        '{"event":"x"}',
        '{"event":["original"]}',
        '["log","x"]',
        '"log"',
        '{log:"x"}',
        "{'log':'x'}",
        ' {"log":"x"}',
        '<30>Aug  3 10:18:44 srx1 app: {"log":"x"}',
        'Mocana: [DEVICE] {"log":"x"}',
        '<30>Aug  3 10:18:44 srx1 app: he wrote @cee: {"log":"x"}',
        "@cee: text",
        '@cee: ["x"]',
        "<30>Aug  3 10:18:44 srx1 kmd[1]: KMD_X: text",
    ],
)
def test_what_holds_no_line(line: str) -> None:
    """What is no JSON object, holds no text, or stands in other text, holds no line."""
    assert _text(line) is None


def test_bytes_that_are_no_utf8_pass() -> None:
    """Lone surrogates and escaped characters of any kind come out as they went in."""
    assert _text('{"log":"a\udcffb \udc80\\u0000\\u00e9 \\ud83d\\ude00\\n"}') == "a\udcffb \udc80\0é \U0001f600"


@pytest.mark.parametrize("piece", ["{", '{"log":', '{"a":', "[", '"', "\\", '"a":"b",', "a", " ", "\udcff", "1,"])
@pytest.mark.parametrize("start", ["{", '{"a":[', '{"log":"', '{"log":"x","a":', "@cee: {", "<30>1 "])
def test_very_long_lines_come_back(start: str, piece: str) -> None:
    """A hostile line of a megabyte holds nothing: none of these is an object that ends."""
    assert _text(start + piece * (1_000_000 // len(piece))) is None


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_any_text_comes_back(text: str) -> None:
    """Whatever was put into an object comes out of it, but for line endings."""
    assert _text(json.dumps({"log": text})) == (text.rstrip("\r\n") or None)
    assert _text(json.dumps({"log": text}, ensure_ascii=False)) == (text.rstrip("\r\n") or None)


PIECES = st.sampled_from(
    ["{", "}", '"', ":", ",", "[", "]", "log", "message", "event", "original", "\\", "\\u", "d83d", "1", "null",
     "@cee:", "<30>", " ", "\n", "\0", "\udcff", "é"]
)  # fmt: skip


@given(st.lists(PIECES, max_size=30).map("".join) | st.text())
def test_any_line_holds_one_or_not(text: str) -> None:
    """No text makes it raise, and what comes out does not end in a line ending."""
    for line in (text, "{" + text, '{"log":"' + text + '"}', "@cee:" + text):
        found = _text(line)
        assert found is None or (found and found == found.rstrip("\r\n"))


def test_any_cut_holds_no_line() -> None:
    """An object that is cut is none."""
    line = json.dumps({"log": f"{LINE}\n", "stream": "stdout"})
    assert [cut for cut in range(len(line)) if _text(line[:cut]) is not None] == []


def test_the_header_before_an_object_fills_what_the_line_lacks() -> None:
    """Host, time and PRI of the outer header count where the line inside has none of its own."""
    found = frame('<30>1 2025-08-03T10:18:44Z srx1 app 12 - - @cee: {"msg":"KMD_X: text"}', CONTEXT)
    assert found is not None
    assert (found.hostname, found.pri, found.tag, found.text) == ("srx1", 30, "KMD_X", "text")
    assert found.time == datetime(2025, 8, 3, 10, 18, 44, tzinfo=UTC)
    inner = frame(f'<13>1 2025-01-01T00:00:00Z relay app 12 - - @cee: {{"msg":"{LINE}"}}', CONTEXT)
    assert inner is not None
    assert (inner.hostname, inner.pri, inner.process) == ("srx1", 30, "kmd")


@pytest.mark.parametrize(
    "content",
    [
        {"message": "text", "event": {"original": LINE}},
        {"log": "stdout", "message": LINE},
        {"log": LINE, "other": "\ud83d"},
    ],
)
def test_the_line_is_found_wherever_it_stands(content: dict[str, object]) -> None:
    """A text that is no line does not hide the one that is."""
    found = frame(json.dumps(content), CONTEXT)
    assert found is not None
    assert (found.hostname, found.tag) == ("srx1", "KMD_X")
