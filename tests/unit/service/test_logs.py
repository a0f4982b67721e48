"""The server's own log: each line is one event, as text or as JSON."""

from __future__ import annotations

import io
import json
import logging
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from lexilog.service.logs import JsonFormatter, OncePerMinute, TextFormatter, set_up_logging
from lexilog.service.settings import LogSettings

HOSTILE = "tag\n2026-01-15 12:00:00,000 INFO lexilog forged\r\x1b[2J\u2028\x85\udcff end"


@pytest.fixture
def root() -> Iterator[logging.Logger]:
    """Return the root logger, and put it back as it was."""
    logger = logging.getLogger()
    handlers = logger.handlers[:]
    levels = {name: logging.getLogger(name).level for name in ("", "lexilog", "hpack")}
    yield logger
    logger.handlers[:] = handlers
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)


def _record(message: str, *args: object, level: int = logging.WARNING, line: int = 1, **more: Any) -> logging.LogRecord:
    return logging.LogRecord("lexilog.x", level, str(Path(__file__)), line, message, args, more.get("exc_info"))


def _error(raise_it: Callable[[], None]) -> Any:
    try:
        raise_it()
    except Exception as error:
        return type(error), error, error.__traceback__
    raise AssertionError


def _fail() -> None:
    try:
        raise KeyError(HOSTILE)
    except KeyError as cause:
        error = ValueError(f"first\nsecond {HOSTILE}")
        error.add_note("a note\nof two lines")
        raise ExceptionGroup(HOSTILE, [error, OSError("other\nline")]) from cause


def test_text_is_one_line_each() -> None:
    """Whatever a sender has said, it does not begin a line, and moves no cursor."""
    said = TextFormatter().format(_record("a request is refused: %s", HOSTILE))
    assert said.isprintable()
    assert r"tag\n2026-01-15 12:00:00,000 INFO lexilog forged\r\x1b[2J\u2028\x85\udcff end" in said
    assert " WARNING lexilog.x a request is refused: tag" in said


def test_text_that_can_be_read_stays_as_it_is() -> None:
    """Only what cannot be seen is escaped; a backslash is what it was."""
    said = TextFormatter().format(_record("%s", "Zürich 東京 C:\\temp"))
    assert said.endswith(" Zürich 東京 C:\\temp")


def test_a_traceback_cannot_be_taken_for_lines_of_the_log() -> None:
    """All of its lines are indented, and what an error says is one of them, in groups and causes too."""
    said = TextFormatter().format(_record("failed", exc_info=_error(_fail)))
    first, *rest = said.split("\n")
    assert first.endswith(" failed")
    assert rest
    for line in rest:
        assert line.startswith("    ")
        assert line.isprintable()
    assert not [line for line in rest if line.strip(" |").startswith(("2026", "second", "line"))]
    assert sum("forged" in line for line in rest) >= 3
    assert any("in _fail" in line for line in rest)


def test_a_line_of_a_worker_says_which() -> None:
    """Where several processes write into one log each line tells whose it is; else nothing is said of it."""
    assert " WARNING [worker 3] lexilog.x text" in TextFormatter(3).format(_record("text"))
    assert json.loads(JsonFormatter(3).format(_record("text")))["worker"] == 3
    assert "worker" not in TextFormatter().format(_record("text"))
    assert "worker" not in json.loads(JsonFormatter().format(_record("text")))


def test_json_says_what_when_and_where() -> None:
    """Time is UTC as RFC 3339 has it, with milliseconds."""
    record = _record("records: %d", 3, level=logging.INFO)
    record.created = datetime(2026, 1, 15, 12, 0, 0, 7_000, tzinfo=UTC).timestamp()
    assert json.loads(JsonFormatter().format(record)) == {
        "time": "2026-01-15T12:00:00.007Z",
        "level": "info",
        "logger": "lexilog.x",
        "message": "records: 3",
    }
    record.created = datetime(2026, 1, 15, 12, 0, tzinfo=UTC).timestamp()
    assert json.loads(JsonFormatter().format(record))["time"] == "2026-01-15T12:00:00.000Z"


def test_json_is_one_line_of_ascii_each() -> None:
    """Any terminal and any locale can write it, and every reader of JSON takes it: no lone surrogate is in it."""
    said = JsonFormatter().format(_record("%s", HOSTILE, exc_info=_error(_fail)))
    assert said.isascii()
    assert said.isprintable()
    found = json.loads(said)
    assert found["message"] == HOSTILE.replace("\udcff", r"\udcff")
    for text in (found["message"], found["error"]["message"], found["error"]["stack"]):
        text.encode()


def test_json_tells_an_error_in_parts() -> None:
    """Type, message and stack can be searched for by themselves."""
    error = json.loads(JsonFormatter().format(_record("failed", exc_info=_error(lambda: int("x")))))["error"]
    assert (error["type"], error["message"]) == ("ValueError", "invalid literal for int() with base 10: 'x'")
    assert error["stack"].startswith("Traceback (most recent call last):\n")
    assert error["stack"].endswith("ValueError: invalid literal for int() with base 10: 'x'")
    assert "error" not in json.loads(JsonFormatter().format(_record("fine", exc_info=(None, None, None))))


@pytest.mark.parametrize("format_", ["text", "json"])
def test_what_is_set_is_what_is_logged(format_: Any, root: logging.Logger, monkeypatch: pytest.MonkeyPatch) -> None:
    """Level and format are those of the settings; lines go to standard error; what repeats is held back."""
    out = io.StringIO()
    monkeypatch.setattr("sys.stderr", out)
    set_up_logging(LogSettings(level="warning", format=format_), worker=1)
    log = logging.getLogger("lexilog.test")
    for _ in range(3):
        log.info("quiet")
        log.warning("loud")
    (line,) = out.getvalue().splitlines()
    assert line.startswith("{") is (format_ == "json")
    assert "loud" in line


@pytest.mark.parametrize(
    ("level", "said"),
    [
        ("debug", ["lexilog debug", "lexilog info", "h2 info", "hpack warning"]),
        ("info", ["lexilog info", "h2 info", "hpack warning"]),
        ("warning", ["hpack warning"]),
        ("error", []),
    ],
)
def test_the_level_is_that_of_lexilog(
    level: Any, said: list[str], root: logging.Logger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Libraries are never asked for more than information, and hpack not for that: it repeats headers."""
    out = io.StringIO()
    monkeypatch.setattr("sys.stderr", out)
    set_up_logging(LogSettings(level=level))
    for name in ("lexilog", "h2", "hpack"):
        logging.getLogger(f"{name}.x").debug("%s debug", name)
        logging.getLogger(f"{name}.x").info("%s info", name)
    logging.getLogger("hpack.x").warning("hpack warning")
    assert [" ".join(line.split()[-2:]) for line in out.getvalue().splitlines()] == said


def test_a_place_says_what_makes_its_line_another_one() -> None:
    """Each text has its own minute, whatever the first argument is, and they are bounded as names are."""
    once = OncePerMinute(lambda: 0.0)

    def passes(text: str) -> bool:
        record = _record("%s: %s", "catalogs", text)
        record.once = text
        return once.filter(record)

    assert [passes(text) for text in ("a.yaml is broken", "b.yaml is broken", "a.yaml is broken")] == [
        True,
        True,
        False,
    ]
    assert sum(passes(f"text {number}") for number in range(1_000)) <= 31


def test_another_thread_may_log_in_the_middle_of_a_line() -> None:
    """What a place has said is looked through by one thread at a time: a handler filters outside its own lock."""
    others: list[threading.Thread] = []

    class Moment(float):
        """A time at which, when it is compared while names are looked through, another thread logs."""

        def __sub__(self, other: float) -> float:
            if not others:
                others.append(threading.Thread(target=once.filter, args=(_record("from %s", "another"),)))
                others[0].start()
                others[0].join(0.2)
            return float(self) - other

    now = 0.0
    once = OncePerMinute(lambda: now)
    for number in range(32):
        once.filter(_record("from %s", f"name {number}"))
    now = Moment(61.0)
    assert once.filter(_record("from %s", "new"))
    others[0].join(10)
    assert not others[0].is_alive()
    assert not once.filter(_record("from %s", "another"))


def test_relays_do_not_hide_each_other() -> None:
    """One place in the code speaks once a minute of each name that it begins with."""
    now = [0.0]
    once = OncePerMinute(lambda: now[0])

    def passes(name: object, text: str = "away") -> str | None:
        record = _record("relay %s: %s", name, text)
        return record.getMessage() if once.filter(record) else None

    assert passes("siem") == "relay siem: away"
    assert passes("archive") == "relay archive: away"
    assert passes("siem", "still away") is None
    assert passes("siem") is None
    assert passes("archive") is None
    now[0] = 60.0
    assert passes("siem") == "relay siem: away (and 2 more like this in the meantime)"
    assert passes("archive") == "relay archive: away (and 1 more like this in the meantime)"


@pytest.mark.parametrize("names", [[f"name {n}" for n in range(5_000)], ["x" * 65 + str(n) for n in range(99)]])
def test_names_without_end_are_held_back(names: list[str]) -> None:
    """Whoever can choose the name fills neither the log nor the memory: after some, all others are one."""
    once = OncePerMinute(lambda: 0.0)
    assert sum(once.filter(_record("from %s", name)) for name in names) <= 33


def test_old_names_make_room() -> None:
    """Names of which nothing was said for a minute are forgotten when there is no room."""
    now = [0.0]
    once = OncePerMinute(lambda: now[0])
    for number in range(1_000):
        once.filter(_record("from %s", f"old {number}"))
    now[0] = 61.0
    assert [once.filter(_record("from %s", name)) for name in ("a", "b", "a", "b")] == [True, True, False, False]


@pytest.mark.parametrize("args", [(1,), (ValueError("x"),), (), ({"a": 1},)])
def test_what_is_no_name_is_told_apart_by_place_alone(args: tuple[Any, ...]) -> None:
    """Numbers and errors differ each time; they do not make a line another one."""
    once = OncePerMinute(lambda: 0.0)
    assert once.filter(_record("text %s" if args else "text", *args))
    assert not once.filter(_record("text %s" if args else "text", *args))
    assert once.filter(_record("text", line=2))


def test_long_texts_are_told_apart_by_their_beginning() -> None:
    """What a place says of a line can be an error of any length; the memory holds 200 characters of it."""
    once, passed = OncePerMinute(lambda: 0.0), []
    for text in ("a" * 200 + "b", "a" * 200 + "c", "a" * 199 + "b"):
        record = _record("text")
        record.once = text
        passed.append(once.filter(record))
    assert passed == [True, False, True]
