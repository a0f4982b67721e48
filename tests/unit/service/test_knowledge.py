"""The catalogues in use: they change between two batches, and never for what is wrong."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client import values

from catalogs import PEER_GONE
from lexilog import CatalogError, Enriched, Outcome, Pipeline, Record, SettingsError, load_catalogs
from lexilog.relay.settings import Route, StdoutSettings
from lexilog.service.knowledge import Knowledge
from lexilog.service.metrics import Metrics
from lexilog.service.reload import Reloader
from lexilog.service.settings import Settings
from lexilog.service.status import Status
from lexilog.service.work import process_batch
from lexilog.service.workers.metrics import FOLDER_VARIABLE

NEWER = PEER_GONE.replace("version: 1.0.0", "version: 2.0.0")
BROKEN = NEWER.replace("'Peer {peer} is gone'", "'Peer {pear} is gone'")
OVERLAY = """\
format: 1
overlay: example_gateway
name: site-b
version: '3'
entries:
  EX_PEER_GONE: {impact: degraded}
"""
LINE = "Aug  3 10:18:44 gw1 exd[1]: EX_PEER_GONE: Peer 192.0.2.1 is gone"


class Served:
    """Knowledge of a folder of catalogues, and what reads it anew."""

    def __init__(self, folder: Path, **settings: object) -> None:
        # What is younger is read once more at the first look.
        time.sleep(0.1)
        self.settings = Settings(catalogs=(folder,), **settings)  # type: ignore[arg-type]
        self.metrics = Metrics()
        self.status = Status()
        self.knowledge = Knowledge(self.settings, self.metrics)
        self.reloader = Reloader([self.knowledge], 0, self.status, self.metrics)

    def look(self) -> None:
        asyncio.run(self.reloader.look())

    def entries(self) -> dict[tuple[str, str], float]:
        """The metric of the catalogue, by name and version."""
        samples = self.metrics["catalog_entries"].collect()[0].samples
        found = {(one.labels["catalog"], one.labels["version"]): one.value for one in samples}
        return {labels: value for labels, value in found.items() if labels[0] == "example_gateway"}

    def version(self) -> str:
        return _version(self.knowledge.pipeline.process(Record(line=LINE)))


def _version(done: Enriched) -> str:
    assert done.outcome is Outcome.MATCHED
    assert done.match is not None
    return done.match.entry.catalog_version


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "catalogs"
    path.mkdir()
    (path / "own.yaml").write_text(PEER_GONE)
    return path


@pytest.fixture
def served(folder: Path) -> Served:
    return Served(folder)


def test_what_is_in_use_is_said_at_the_start(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    """One line and one metric name each catalogue, its version and how many entries it has; a clean one no warning."""
    caplog.set_level(logging.INFO)
    served = Served(folder)
    (line,) = caplog.messages
    assert line.startswith("catalogs, with their entries: ")
    assert "example_gateway 1.0.0 (1)" in line
    for catalog in load_catalogs():
        assert f"{catalog.name} {catalog.version} ({len(catalog.entries)})" in line
    assert served.entries() == {("example_gateway", "1.0.0"): 1}


def test_a_newer_catalogue_takes_the_place_of_the_older(
    served: Served, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The next batch gets it; line and metric speak of the new version alone."""
    caplog.set_level(logging.INFO)
    (folder / "own.yaml").write_text(NEWER)
    served.look()
    assert served.version() == "2.0.0"
    assert served.entries() == {("example_gateway", "2.0.0"): 1}
    assert any("example_gateway 2.0.0 (1)" in line and "1.0.0 (1)" not in line for line in caplog.messages)


def test_of_several_processes_the_older_version_has_no_entries(
    served: Served, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their metrics are in files from which a version cannot be taken away; 0 says that it is not in use."""
    monkeypatch.setenv(FOLDER_VARIABLE, str(folder))
    monkeypatch.setattr(values, "ValueClass", values.MultiProcessValue(lambda: 1))  # type: ignore[no-untyped-call]
    (folder / "own.yaml").write_text(NEWER)
    served.look()
    assert served.entries() == {("example_gateway", "1.0.0"): 0, ("example_gateway", "2.0.0"): 1}


def test_an_overlay_that_comes_and_goes_is_seen(served: Served, folder: Path) -> None:
    """A directory is watched for files that are new and files that are gone; the version of what changed says so."""
    (folder / "site.yaml").write_text(OVERLAY)
    served.look()
    assert served.version() == "1.0.0+site-b.3"
    assert served.entries() == {("example_gateway", "1.0.0+site-b.3"): 1}
    (folder / "site.yaml").unlink()
    served.look()
    assert served.version() == "1.0.0"


def test_other_files_beside_a_catalogue_do_not_count(served: Served, folder: Path) -> None:
    """An editor's copy, a text and the vendor's own sentences make nothing be read anew."""
    before = served.knowledge.pipeline
    for name in ("own.yaml.swp", "README.txt", "own.vendor-text.yaml"):
        (folder / name).write_text("x: y")
    served.look()
    assert served.knowledge.pipeline is before


def test_a_folder_that_is_swapped_as_a_whole(tmp_path: Path) -> None:
    """So does Kubernetes with a ConfigMap: links to files in a folder that is itself a link, turned over at once."""
    mount = tmp_path / "mount"
    for name, text in (("..1", PEER_GONE), ("..2", NEWER)):
        (mount / name).mkdir(parents=True)
        (mount / name / "own.yaml").write_text(text)
    (mount / "..data").symlink_to("..1")
    (mount / "own.yaml").symlink_to("..data/own.yaml")
    served = Served(mount)
    (mount / "..data_tmp").symlink_to("..2")
    (mount / "..data_tmp").rename(mount / "..data")
    served.look()
    assert served.version() == "2.0.0"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (BROKEN, "own.yaml:14:5: variable 'pear' is used in the text but not declared"),
        ("entries: [", "own.yaml:2:1: is not valid YAML"),
        (NEWER.replace("EX_PEER_GONE", "KMD_VPN_DOWN_ALARM_USER"), "is already taken by catalogue juniper_kmd"),
        ("", "own.yaml:1:1: is empty"),
        (None, "this directory holds no catalogue: no file *.yaml"),
    ],
)
def test_what_a_start_refuses_a_reload_refuses(served: Served, folder: Path, text: str | None, problem: str) -> None:
    """The status says what is wrong, and where; what was in use answers on."""
    file = folder / "own.yaml"
    if text is None:
        file.unlink()
    else:
        file.write_text(text)
    before = served.knowledge.pipeline
    served.look()
    assert served.knowledge.pipeline is before
    assert problem in served.status.problems["catalogs"]
    with pytest.raises(CatalogError) as caught:
        Knowledge(served.settings)
    assert str(caught.value) == served.status.problems["catalogs"]


def test_a_catalogue_that_a_route_needs_cannot_go(folder: Path) -> None:
    """Records would take another route without a word."""
    served = Served(
        folder,
        relays={"out": StdoutSettings()},
        routes=(Route(to=("out",), catalog=("example_gateway",)), Route(to=("out",))),
    )
    (folder / "own.yaml").write_text(NEWER.replace("example_gateway", "other_gateway"))
    served.look()
    assert "there is no catalogue 'example_gateway'" in served.status.problems["catalogs"]
    assert served.version() == "1.0.0"
    with pytest.raises(SettingsError, match="there is no catalogue 'example_gateway'"):
        Knowledge(served.settings)


def test_a_draft_is_used_with_a_warning(served: Served, folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    """What `lexilog catalog lint` finds in a catalogue that loads is said in one line."""
    draft = PEER_GONE.replace("    cause: It is off.\n", "").replace("version: 1.0.0", "version: 0.1.0")
    (folder / "own.yaml").write_text(draft)
    served.look()
    assert served.version() == "0.1.0"
    (line,) = caplog.messages
    assert "have 1 problems (lexilog catalog lint), the first: " in line
    assert f"{folder / 'own.yaml'}:13: EX_PEER_GONE: has no cause" in line


def test_a_directory_that_may_not_be_read_is_an_error(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is no traceback, and does not look like an empty directory."""

    def refuse(_: Path) -> Iterator[Path]:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "iterdir", refuse)
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(CatalogError, match="this directory holds no catalogue: it cannot be read"):
        Knowledge(Settings(catalogs=(folder,)))


def test_a_pipeline_may_be_given(pipeline: Pipeline) -> None:
    """Then nothing is read at the start."""
    assert Knowledge(Settings(catalogs=(Path("nowhere"),)), pipeline=pipeline).pipeline is pipeline


def test_reloads_under_load(served: Served, folder: Path) -> None:
    """While batch after batch is processed: broken ones change nothing, good ones from the next batch on; none fails.

    Each batch is done by one pipeline as a whole, although others run between its records.
    """
    done: list[set[str]] = []
    stopped = asyncio.Event()

    async def batches() -> None:
        while not stopped.is_set():
            records = await process_batch(served.knowledge.pipeline, [Record(line=LINE)] * 250)
            done.append({_version(record) for record in records})

    async def reload(text: str) -> set[str]:
        """Return the versions of the batches that were processed during and after a reload."""
        first = len(done)
        (folder / "own.yaml").write_text(text)
        await served.reloader.look()
        last = len(done)
        async with asyncio.timeout(10):
            while len(done) < last + 4:
                await asyncio.sleep(0)
        assert last > first, "batches went on while catalogues were read"
        return set().union(*done[last + 2 :])

    async def run() -> None:
        workers = [asyncio.create_task(batches()) for _ in range(2)]
        assert await reload(BROKEN) == {"1.0.0"}
        assert "pear" in served.status.problems["catalogs"]
        assert _reload_metrics(served) == (0, 0, 1)
        assert await reload(NEWER) == {"2.0.0"}
        assert served.status.problems == {}
        assert _reload_metrics(served) == (1, 1, 1)
        stopped.set()
        await asyncio.gather(*workers)

    asyncio.run(run())
    assert all(len(versions) == 1 for versions in done)


def _reload_metrics(served: Served) -> tuple[float | None, ...]:
    get = served.metrics.registry.get_sample_value
    return (
        get("lexilog_reload_ok", {"what": "catalogs"}),
        get("lexilog_reload_total", {"what": "catalogs", "result": "ok"}),
        get("lexilog_reload_total", {"what": "catalogs", "result": "failed"}),
    )
