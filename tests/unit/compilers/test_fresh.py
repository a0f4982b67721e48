"""What is made from the catalogue is committed, and is what would be made today."""

from __future__ import annotations

from pathlib import Path

import pytest

from lexilog.compilers.build import GENERATED, MAKERS, build
from lexilog.compilers.source import Files, load_source


@pytest.fixture(scope="module")
def made() -> Files:
    """Return all that is made."""
    return build(load_source())


@pytest.fixture
def tree(checkout: Path) -> Path:
    """Return the source tree; skip where the tests run without one."""
    if not (checkout / "processor" / "lexilog" / "catalog").is_dir():
        pytest.skip("needs a checkout: what is made lies beside the code")
    return checkout


def test_building_again_changes_no_byte(tree: Path, made: Files) -> None:
    """Whoever changes a catalogue, the field table or a panel runs `lexilog build`."""
    differing = [path for path, content in made.items() if not _is(tree / path, content)]
    assert differing == [], "run lexilog build"


def _is(path: Path, content: bytes) -> bool:
    return path.is_file() and path.read_bytes() == content


@pytest.mark.parametrize("folder", GENERATED)
def test_no_stale_file(tree: Path, made: Files, folder: str) -> None:
    """The folders of what is made hold nothing else."""
    there = {path.relative_to(tree).as_posix() for path in (tree / folder).rglob("*") if path.is_file()}
    assert there, f"{folder}: holds nothing"
    assert sorted(there - made.keys()) == [], "run lexilog build"


def test_the_same_twice(made: Files) -> None:
    """What is made depends on no clock, no order of a set and no state."""
    assert build(load_source()) == made


def test_no_two_makers_make_one_file() -> None:
    """Each file has one maker: none overwrites what another has made."""
    source = load_source()
    paths = [path for maker in MAKERS for path in maker(source)]
    assert len(paths) == len(set(paths))


def test_paths_stay_below_the_tree(made: Files) -> None:
    """Each path is plain, and from the top of the tree."""
    odd = [path for path in made if path.startswith("/") or ".." in path.split("/") or "\\" in path]
    assert odd == []
