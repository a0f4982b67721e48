"""What is read again while the server runs: when, how often, and what stays when something is wrong."""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import ssl
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from lexilog import LexilogError
from lexilog.service import reload as reload_module
from lexilog.service.auth import Tokens
from lexilog.service.logs import OncePerMinute
from lexilog.service.metrics import Metrics
from lexilog.service.reload import Reloader, fingerprint
from lexilog.service.settings import HttpDoorSettings
from lexilog.service.status import Status

# Seconds that a test waits for something before it fails.
_PATIENCE = 5.0


class TextDouble:
    """A double of what can be read anew: the text of one file.

    Like the real ones it reads in `load` and changes nothing until it is put to use. Text that begins with ``bad`` is
    refused, ``defect`` raises what nobody expects. It shares no code with them, and nothing serves from it.
    """

    def __init__(self, path: Path, what: str = "catalogs") -> None:
        self.what = what
        self.name = f"{what} of {path.name}"
        self.path = path
        self.seen = fingerprint(self.files())
        self.in_use = path.read_text()
        self.loads = 0
        self.while_loading: Callable[[], None] = lambda: None
        self.out_of_reach = Exception()

    def files(self) -> Iterable[Path]:
        return [self.path]

    def load(self) -> Callable[[], None]:
        self.loads += 1
        try:
            text = self.path.read_text()
        except OSError as error:
            raise LexilogError(f"{self.path}: cannot be read: {error.strerror}") from error
        self.while_loading()
        if text.startswith("bad"):
            raise LexilogError(f"{self.path}:1:1: {text}")
        if text.startswith("defect"):
            raise KeyError("defect")
        if text.startswith("unread"):
            raise self.out_of_reach

        def use() -> None:
            self.in_use = text

        return use


class Watched:
    """A double with its file, and a reloader that watches it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.write_text("first")
        _rest()
        self.thing = TextDouble(path)
        self.status = Status()
        self.metrics = Metrics()
        self.reloader = Reloader([self.thing], 0, self.status, self.metrics)

    def look(self, *, everything: bool = False) -> None:
        asyncio.run(self.reloader.look(everything=everything))

    async def until_in_use(self, text: str) -> None:
        await _until(lambda: self.thing.in_use == text)

    def value(self, name: str, **labels: str) -> Any:
        return self.metrics.registry.get_sample_value(f"lexilog_{name}", {"what": "catalogs", **labels})

    @property
    def results(self) -> tuple[float, float]:
        return self.value("reload_total", result="ok"), self.value("reload_total", result="failed")


def _rest() -> None:
    """Let a file become old enough to be told by its times."""
    time.sleep(2 * reload_module._YOUNG / 1e9)


async def _until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(_PATIENCE):
        while not holds():
            await asyncio.sleep(0.01)


@pytest.fixture
def watched(tmp_path: Path) -> Watched:
    return Watched(tmp_path / "file")


def test_what_has_not_changed_is_not_read_again(watched: Watched) -> None:
    """To look costs a stat of each file and no more."""
    watched.look()
    watched.look()
    assert watched.thing.loads == 0
    assert watched.results == (0, 0)
    assert watched.value("reload_ok") == 1
    assert watched.value("reload_timestamp_seconds") > 0


def test_several_changes_are_one_load(watched: Watched, caplog: pytest.LogCaptureFixture) -> None:
    """What is in use afterwards is the last of them."""
    caplog.set_level(logging.INFO)
    watched.metrics["reload_timestamp_seconds"].labels("catalogs").set(1)
    for text in ("second", "third", "fourth"):
        watched.path.write_text(text)
    watched.look()
    watched.look()
    assert (watched.thing.in_use, watched.thing.loads) == ("fourth", 1)
    assert watched.results == (1, 0)
    assert watched.value("reload_timestamp_seconds") > 1
    assert caplog.messages == ["catalogs of file: read anew"]


def _rewrite(path: Path) -> None:
    """Write a text of the same length, and set the time of the last write back, as some copying programs do."""
    before = path.stat()
    path.write_text("later")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def _rename(path: Path) -> None:
    path.with_suffix(".new").write_text("later")
    path.with_suffix(".new").rename(path)


@pytest.mark.parametrize("change", [_rewrite, _rename])
def test_each_way_to_change_a_file_is_seen(watched: Watched, change: Callable[[Path], None]) -> None:
    """A file written in place with equal size and time, and one that took its place at once."""
    change(watched.path)
    watched.look()
    assert watched.thing.in_use == "later"


def test_a_swapped_link_is_seen(tmp_path: Path) -> None:
    """Kubernetes puts a new folder beside the old one and turns a link over; the file's own link never changes."""
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    (tmp_path / "..data").symlink_to("one")
    (tmp_path / "file").symlink_to("..data/file")
    watched = Watched(tmp_path / "file")
    (tmp_path / "two" / "file").write_text("other")
    (tmp_path / "..next").symlink_to("two")
    (tmp_path / "..next").rename(tmp_path / "..data")
    watched.look()
    assert watched.thing.in_use == "other"


def test_a_file_that_goes_is_a_problem_until_it_comes_back(watched: Watched) -> None:
    """What it held stays in use; the file itself may come back as it was."""
    aside = watched.path.with_name("aside")
    watched.path.rename(aside)
    watched.look()
    assert watched.thing.in_use == "first"
    assert "cannot be read" in watched.status.problems["catalogs"]
    aside.rename(watched.path)
    watched.look()
    assert watched.status.problems == {}
    assert watched.results == (1, 1)


def test_a_broken_file_changes_nothing_and_is_said_once(watched: Watched, caplog: pytest.LogCaptureFixture) -> None:
    """Status, metrics and one error line say what is wrong and where; it is tried again when it has changed."""
    watched.path.write_text("bad news")
    watched.look()
    watched.look()
    assert (watched.thing.in_use, watched.thing.loads) == ("first", 1)
    assert watched.status.problems == {"catalogs": f"{watched.path}:1:1: bad news"}
    assert (watched.value("reload_ok"), watched.results) == (0, (0, 1))
    (line,) = caplog.records
    assert line.levelno == logging.ERROR
    assert f"{watched.path}:1:1: bad news" in line.getMessage()
    assert line.exc_info is None
    watched.path.write_text("good news")
    watched.look()
    assert watched.thing.in_use == "good news"
    assert watched.status.problems == {}
    assert (watched.value("reload_ok"), watched.results) == (1, (1, 1))


def test_who_may_read_a_file_is_a_change_too(watched: Watched) -> None:
    """Otherwise what could not be read would not be tried again once its mode is right."""
    watched.path.write_text("bad news")
    watched.look()
    watched.path.chmod(0o600)
    watched.look()
    assert watched.thing.loads == 2


def _raised_from(cause: Exception) -> Exception:
    """Return an error as loaders make them: of what the system has said, which the user is not shown."""
    try:
        try:
            raise cause
        except type(cause):
            raise LexilogError("cannot be read") from None
    except LexilogError as error:
        return error


@pytest.mark.parametrize(
    ("error", "loads"),
    [
        (OSError(errno.EMFILE, "Too many open files"), 3),
        (_raised_from(OSError(errno.EMFILE, "Too many open files")), 3),
        (_raised_from(OSError(errno.ESTALE, "Stale file handle")), 3),
        (MemoryError(), 3),
        (_raised_from(FileNotFoundError(errno.ENOENT, "No such file")), 1),
        (_raised_from(ssl.SSLError(1, "no certificate in it")), 1),
        (_raised_from(ValueError("not a number")), 1),
    ],
    ids=["files", "files, told", "file system", "memory", "no file", "no certificate", "content"],
)
def test_what_may_pass_is_tried_again(watched: Watched, error: Exception, loads: int) -> None:
    """At each look, although no file changes; what a file holds is wrong until it changes, and is not read in vain."""
    watched.thing.out_of_reach = error
    watched.path.write_text("unread")
    for _ in range(3):
        watched.look()
    assert watched.thing.loads == loads
    assert watched.value("reload_ok") == 0
    watched.thing.out_of_reach = LexilogError("now it is its content")
    watched.look()
    watched.look()
    assert watched.thing.loads == loads + (loads == 3)


def test_a_reload_that_failed_for_a_passing_reason_comes_true(watched: Watched) -> None:
    """When the files of the process had run out for a while, what a file holds is in use afterwards all the same."""
    watched.path.write_text("second")
    watched.thing.while_loading = lambda: _raise(OSError(errno.EMFILE, "Too many open files"))
    watched.look()
    assert watched.thing.in_use == "first"
    watched.thing.while_loading = lambda: None
    watched.look()
    assert (watched.thing.in_use, watched.status.problems) == ("second", {})


def _raise(error: Exception) -> None:
    raise error


def test_what_was_asked_for_is_done_later_where_no_thread_can_be_started(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A call to read everything is not forgotten, nor is the problem left standing, when the reason has passed."""
    with monkeypatch.context() as patch:
        patch.setattr(asyncio, "to_thread", _no_thread)
        with suppress(RuntimeError):
            watched.look(everything=True)
    assert watched.thing.loads == 0
    assert "catalogs" in watched.status.problems
    watched.look()
    assert (watched.thing.loads, watched.status.problems) == (1, {})


async def _no_thread(*arguments: object) -> None:
    raise RuntimeError("can't start new thread")


def test_nothing_ends_the_watch(
    watched: Watched, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever a look cannot do is said, and the next look does it."""

    async def run() -> None:
        reloader = Reloader([watched.thing], 0.02, watched.status, watched.metrics)
        with monkeypatch.context() as patch:
            patch.setattr(asyncio, "to_thread", _no_thread)
            reloader.start()
            await _until(lambda: "files cannot be looked at" in caplog.text)
        watched.path.write_text("later")
        await watched.until_in_use("later")
        await reloader.stop()

    asyncio.run(run())


def test_each_of_several_mistakes_is_said(watched: Watched) -> None:
    """The log holds back what repeats: a second mistake within the minute is not the first one again."""
    said = []
    handler = logging.StreamHandler()
    handler.addFilter(OncePerMinute())
    handler.emit = lambda record: said.append(record.getMessage())  # type: ignore[method-assign]
    log = logging.getLogger(reload_module.__name__)
    log.addHandler(handler)
    try:
        for text in ("bad: one", "bad: two", "bad: one"):
            watched.path.write_text(text)
            watched.look()
    finally:
        log.removeHandler(handler)
    assert [line.rpartition(" ")[2] for line in said] == ["one", "two"]


def test_what_has_not_changed_is_not_said_to_be_new(watched: Watched, caplog: pytest.LogCaptureFixture) -> None:
    """Who asks for all to be read hears of each thing by its name, and of what has no files nothing."""
    caplog.set_level(logging.INFO)
    watched.look(everything=True)
    watched.path.write_text("second")
    watched.look(everything=True)
    tokens = Tokens(HttpDoorSettings(), "http")
    asyncio.run(Reloader([tokens], 0, Status(), Metrics()).look(everything=True))
    assert caplog.messages == ["catalogs of file: unchanged", "catalogs of file: read anew"]


def test_a_defect_is_logged_with_its_stack(watched: Watched, caplog: pytest.LogCaptureFixture) -> None:
    """Nothing that a file makes lexilog do ends the watch, or what serves."""
    watched.path.write_text("defect")
    watched.look()
    assert watched.thing.in_use == "first"
    assert watched.status.problems == {"catalogs": "a defect (KeyError); the log says more"}
    (line,) = caplog.records
    assert line.exc_info
    watched.path.write_text("good")
    watched.look()
    assert watched.thing.in_use == "good"


@pytest.mark.parametrize("half", ["bad: only half of it", "half"])
def test_a_file_that_is_half_written_is_read_again(watched: Watched, half: str) -> None:
    """Neither a half text nor the error that it makes is told, when the file changes while it is read."""
    watched.path.write_text(half)

    def write_the_rest() -> None:
        watched.thing.while_loading = lambda: None
        watched.path.write_text("the whole text")

    watched.thing.while_loading = write_the_rest
    watched.look()
    assert (watched.thing.in_use, watched.thing.loads) == ("the whole text", 2)
    assert watched.results == (1, 0)


def test_a_file_that_never_rests_is_given_up_for_now(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    """Attempts are bounded; the next look tries again."""
    monkeypatch.setattr(reload_module, "_ATTEMPTS", 3)
    watched.path.write_text("x")
    watched.thing.while_loading = lambda: _append(watched.path)
    watched.look()
    assert watched.thing.in_use == "first"
    assert watched.thing.loads <= 3
    assert "its files changed" in watched.status.problems["catalogs"]
    watched.thing.while_loading = lambda: None
    watched.look()
    assert watched.thing.in_use == watched.path.read_text()
    assert watched.status.problems == {}


def _append(path: Path) -> None:
    with path.open("a") as file:
        file.write("x")


def test_a_file_that_is_just_written_equals_nothing(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two writes within a tick of the clock leave the same times: that they are the same is not believed yet."""
    monkeypatch.setattr(reload_module, "_YOUNG", 0)
    assert fingerprint([watched.path]) == fingerprint([watched.path])
    monkeypatch.setattr(reload_module, "_YOUNG", 10**18)
    assert fingerprint([watched.path]) != fingerprint([watched.path])


def test_a_change_before_the_watch_begins_is_seen(watched: Watched) -> None:
    """Between the first reading at the start and the first look nothing gets lost."""
    watched.path.write_text("in between")
    _rest()
    reloader = Reloader([watched.thing], 0, Status(), Metrics())
    asyncio.run(reloader.look())
    assert watched.thing.in_use == "in between"


def test_things_of_one_kind_do_not_hide_each_other(tmp_path: Path) -> None:
    """A door's new certificate does not make another door's problem good."""
    paths = [tmp_path / "a", tmp_path / "b"]
    for path in paths:
        path.write_text("first")
    _rest()
    status, metrics = Status(), Metrics()
    things = [TextDouble(path, "tls") for path in paths]
    reloader = Reloader(things, 0, status, metrics)
    paths[0].write_text("bad news")
    paths[1].write_text("good news")
    asyncio.run(reloader.look())
    assert status.problems == {"tls": f"{paths[0]}:1:1: bad news"}
    assert metrics.registry.get_sample_value("lexilog_reload_ok", {"what": "tls"}) == 0
    assert [thing.in_use for thing in things] == ["first", "good news"]


def test_a_changed_settings_file_is_said_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Once for each change of what it holds; written anew with the same text it has not changed."""
    path = tmp_path / "lexilog.yaml"
    path.write_text("one")
    reloader = Reloader([], 0, Status(), Metrics(), settings_file=path)
    said = []
    for text in ("one", "two", "two", "three", "one", "two"):
        caplog.clear()
        path.write_text(text)
        asyncio.run(reloader.look())
        said.append(caplog.messages)
    warning = [f"{path} has changed: settings count from the next start"]
    assert said == [[], warning, [], warning, [], warning]


def test_files_are_looked_at_again_and_again(watched: Watched) -> None:
    """With a time between looks nobody has to call."""

    async def run() -> None:
        reloader = Reloader([watched.thing], 0.02, watched.status, watched.metrics)
        reloader.start()
        for text in ("second one", "third"):
            watched.path.write_text(text)
            await watched.until_in_use(text)
        await reloader.stop()

    asyncio.run(run())


def test_without_a_time_only_a_call_counts(watched: Watched) -> None:
    """`now` reads anew what has not changed as well."""

    async def run() -> None:
        watched.reloader.start()
        watched.path.write_text("second")
        await asyncio.sleep(0.2)
        assert watched.thing.loads == 0
        watched.reloader.now()
        await _until(lambda: watched.results == (1, 0))
        watched.reloader.now()
        await _until(lambda: watched.results == (2, 0))
        await watched.reloader.stop()

    asyncio.run(run())


class _Gate:
    """Holds a load until it is opened."""

    def __init__(self, thing: TextDouble) -> None:
        self.opened = threading.Event()
        self.reached = threading.Event()
        self.was_opened = False
        thing.while_loading = self._wait

    def _wait(self) -> None:
        self.reached.set()
        self.was_opened = self.opened.wait(_PATIENCE)


def test_calls_during_a_load_are_one_more_load(watched: Watched) -> None:
    """What was written after a load had begun is read for certain; and the event loop runs on during a load."""
    gate = _Gate(watched.thing)

    async def run() -> None:
        watched.reloader.start()
        watched.reloader.now()
        await _until(gate.reached.is_set)
        for _ in range(3):
            watched.reloader.now()
        gate.opened.set()
        await _until(lambda: watched.results == (2, 0))
        await asyncio.sleep(0.1)
        await watched.reloader.stop()

    asyncio.run(run())
    assert gate.was_opened
    assert watched.thing.loads == 2


def test_nothing_is_put_to_use_after_a_stop(watched: Watched) -> None:
    """A stop does not wait for what is being read."""
    gate = _Gate(watched.thing)

    async def run() -> None:
        watched.reloader.start()
        watched.path.write_text("too late")
        watched.reloader.now()
        await _until(gate.reached.is_set)
        async with asyncio.timeout(_PATIENCE):
            await watched.reloader.stop()
        gate.opened.set()
        await asyncio.sleep(0.05)

    asyncio.run(run())
    assert gate.was_opened
    assert watched.thing.in_use == "first"


def test_a_reloader_that_never_began_stops_too() -> None:
    """A server that fails in its start is stopped like any other."""

    async def run() -> None:
        reloader = Reloader([], 0, Status(), Metrics())
        await reloader.stop()
        reloader.start()
        await reloader.stop()
        await reloader.stop()
        assert len(asyncio.all_tasks()) == 1

    asyncio.run(run())
