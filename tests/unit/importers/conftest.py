"""What the tests of several layouts share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from lexilog import load_catalog
from lexilog.errors import ImportFormatError
from lexilog.importers import LAYOUTS, write_draft


@pytest.fixture
def whole(tmp_path: Path) -> Callable[[str, str], list[str]]:
    """Return a function that cuts a document behind each line, and returns the lines behind which it can be read.

    Any other cut, and any document that lacks one line, has to be refused with an error of ours, or to give a draft
    that loads.
    """
    path = tmp_path / "draft.yaml"

    def is_read(layout: str, text: str) -> bool:
        try:
            draft = LAYOUTS[layout](text)
        except ImportFormatError:
            return False
        path.write_text(write_draft(draft), encoding="utf-8")
        assert load_catalog(path).entries
        return True

    def run(layout: str, document: str) -> list[str]:
        lines = document.split("\n")
        for number in range(len(lines)):
            is_read(layout, "\n".join(lines[:number] + lines[number + 1 :]))
        return [
            line.strip()
            for number, line in enumerate(lines, 1)
            if line.strip() and number < len(lines) and is_read(layout, "\n".join(lines[:number]))
        ]

    return run
