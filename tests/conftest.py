"""What tests of every room share."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from lexilog import Pipeline, Record, document

# How long a case takes says nothing here: a busy machine is no defect.
settings.register_profile("lexilog", deadline=None)
settings.load_profile("lexilog")

# Every golden record is made at this moment.
NOW = datetime(2026, 1, 15, 12, 0, tzinfo=UTC)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="write expected.json of every golden case anew")
    parser.addoption("--nodes", action="store_true", help="run the tests on real nodes of Elasticsearch, too")


@pytest.fixture(scope="session")
def pipeline() -> Pipeline:
    return Pipeline(now=lambda: NOW)


@pytest.fixture(scope="session")
def enrich(pipeline: Pipeline) -> Callable[..., dict[str, Any]]:
    """Return a function from a line, and the agent's own fields, to its document."""

    def run(line: str | bytes, **fields: Any) -> dict[str, Any]:
        text = line.decode("utf-8", "surrogateescape") if isinstance(line, bytes) else line
        return document(pipeline.process(Record(line=text, fields=fields)))

    return run


@pytest.fixture(scope="session")
def checkout() -> Path:
    """Return the source tree; what is not part of the wheel is read from there."""
    return Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def shared(checkout: Path) -> Path:
    """Return the folder with the vendor references; skip where it is not there."""
    folder = checkout.parent / "shared"
    if not (folder / "reference").is_dir():
        pytest.skip("needs the vendor references in ../shared/reference, which are not part of the project")
    return folder
