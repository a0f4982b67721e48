"""Elastic's own validator of packages on ours.

It is a library in Go, ``github.com/elastic/package-spec/v3``, that is in no registry as a program. Either its user
``elastic-package`` is on PATH, or ``package-spec-validate DIR``, which everybody builds: `RECIPE`.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from lexilog.compilers.elasticsearch import package
from lexilog.compilers.source import load_source

RECIPE = (
    "a Go program `package-spec-validate` of one file, which calls validator.ValidateFromPath(os.Args[1]) of "
    "github.com/elastic/package-spec/v3/code/go/pkg/validator, prints the error and ends with 1 where there is one; "
    "with `require github.com/elastic/package-spec/v3 v3.6.6` in go.mod: GOTOOLCHAIN=local GOFLAGS=-mod=mod go build"
)
Validate = Callable[[Path], "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="module")
def validate() -> Validate:
    if (program := shutil.which("package-spec-validate")) is not None:
        return lambda folder: _run([program, str(folder)], folder)
    if (program := shutil.which("elastic-package")) is not None:
        return lambda folder: _run([program, "lint"], folder)
    pytest.skip(f"needs Elastic's validator on PATH, with --nodes too: elastic-package, or {RECIPE}")


def _run(command: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300, check=False)


@pytest.fixture
def written(tmp_path: Path) -> Path:
    """Return the folder with the package in it."""
    for path, content in package.files(load_source()).items():
        target = tmp_path / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
    return tmp_path / package.ROOT


def test_is_accepted(validate: Validate, written: Path) -> None:
    """The validator finds nothing wrong in the package."""
    done = validate(written)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_validator_looks(validate: Validate, written: Path) -> None:
    """A field of a type that there is not is found: what is accepted was looked at."""
    fields = written / "data_stream" / "log" / "fields" / "lexilog.yml"
    fields.write_text(fields.read_text().replace("type: flattened", "type: flat", 1))
    done = validate(written)
    assert done.returncode != 0
    assert "lexilog.yml" in done.stdout + done.stderr
