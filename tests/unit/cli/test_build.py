"""`lexilog build`: what it writes, removes and tells."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from lexilog.cli import cli
from lexilog.compilers.source import Files, Source
from lexilog.errors import LexilogError

Run = Callable[..., Result]

MADE: Files = {
    "mappings/elasticsearch/a.json": b"{}\n",
    "dashboards/kibana/b.ndjson": b"{}\n",
    "docs/fields.md": b"# Fields\n",
}


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Run:
    """Return a function that runs the command; a double of the compilers makes `MADE` from any catalogues."""
    monkeypatch.setattr("lexilog.cli.build.load_source", lambda _paths: Source((), "1.2.0"))
    monkeypatch.setattr("lexilog.cli.build.make", lambda _source: MADE)

    def run(*options: str | Path) -> Result:
        return CliRunner().invoke(cli, ["build", *map(str, options)])

    return run


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Return a folder that looks like a checkout."""
    (tmp_path / "processor" / "lexilog" / "catalog").mkdir(parents=True)
    return tmp_path


def _files(top: Path) -> dict[str, bytes]:
    return {path.relative_to(top).as_posix(): path.read_bytes() for path in top.rglob("*") if path.is_file()}


def test_everything_is_written(run: Run, tmp_path: Path) -> None:
    """Each file lies where its path says, below the folder that was named."""
    done = run("--output", tmp_path / "new")
    assert done.exit_code == 0
    assert "3 files, 3 written, 0 removed" in done.stderr
    assert _files(tmp_path / "new") == MADE


def test_what_is_right_is_not_touched(run: Run, tmp_path: Path) -> None:
    """A second run writes nothing; what was changed by hand is written again."""
    run("--output", tmp_path)
    before = (tmp_path / "docs/fields.md").stat().st_ino
    (tmp_path / "mappings/elasticsearch/a.json").write_text("mine")
    assert "1 written" in run("--output", tmp_path).stderr
    assert (tmp_path / "docs/fields.md").stat().st_ino == before
    assert _files(tmp_path) == MADE


def test_check_tells_and_changes_nothing(run: Run, tree: Path) -> None:
    """Exit code 3 says that something differs: what is missing, what is wrong, and what nothing makes any more."""
    run("--output", tree)
    assert run("--output", tree, "--check").exit_code == 0
    (tree / "mappings/elasticsearch/a.json").write_text("mine")
    (tree / "dashboards/kibana/b.ndjson").unlink()
    (tree / "dashboards/kibana/old.ndjson").write_text("old")
    before = _files(tree)
    done = run("--output", tree, "--check")
    assert done.exit_code == 3
    assert done.stdout.splitlines() == [
        "mappings/elasticsearch/a.json: differs",
        "dashboards/kibana/b.ndjson: missing",
        "dashboards/kibana/old.ndjson: nothing makes it any more",
    ]
    assert _files(tree) == before


def test_stale_files_go_in_a_checkout_alone(run: Run, tree: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """In a checkout the folders of what is made hold nothing else; elsewhere nothing of anybody's is removed."""
    other = tmp_path_factory.mktemp("other")
    for top in (tree, other):
        (top / "dashboards/kibana").mkdir(parents=True)
        (top / "dashboards/kibana/old.ndjson").write_text("old")
        (top / "docs").mkdir()
        (top / "docs/mine.md").write_text("mine")
        assert run("--output", top).exit_code == 0
    assert _files(tree).keys() == {*MADE, "docs/mine.md"}
    assert _files(other).keys() == {*MADE, "docs/mine.md", "dashboards/kibana/old.ndjson"}


def test_a_folder_that_a_stale_file_leaves_empty_goes_too(run: Run, tree: Path) -> None:
    """Nothing is left of what nothing makes any more, and the folders of what is made stay."""
    (tree / "dashboards/kibana/old/deep").mkdir(parents=True)
    (tree / "dashboards/kibana/old/deep/file.json").write_text("old")
    assert "1 removed" in run("--output", tree).stderr
    assert [path.name for path in (tree / "dashboards/kibana").iterdir()] == ["b.ndjson"]


def test_nothing_is_removed_behind_a_link(run: Run, tree: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """A folder that is a link to another place may hold other files there: they stay."""
    other = tmp_path_factory.mktemp("other")
    (other / "mine.json").write_text("mine")
    (tree / "dashboards").mkdir()
    (tree / "dashboards/kibana").symlink_to(other)
    assert run("--output", tree).exit_code == 0
    assert (other / "mine.json").read_text() == "mine"


def test_here_is_a_checkout_or_it_is_asked_where(run: Run, tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without --output a checkout is written to, and no other directory."""
    monkeypatch.chdir(tree / "processor")
    refused = run()
    assert refused.exit_code == 2
    assert "say with --output where to" in refused.stderr
    monkeypatch.chdir(tree)
    assert run().exit_code == 0
    assert _files(tree) == MADE


def test_what_cannot_be_written_is_told(run: Run, tmp_path: Path) -> None:
    """A file where a folder should be is an error with its path."""
    (tmp_path / "docs").write_text("no folder")
    done = run("--output", tmp_path)
    assert done.exit_code == 1
    assert isinstance(done.exception, LexilogError)
    assert str(tmp_path / "docs") in str(done.exception)
