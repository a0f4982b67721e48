"""Our facts against the documents that they are from; skipped where those are not at hand."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from lexilog import Entry, Pipeline

CHAPTERS = {"juniper_kmd": "KMD System Log Messages", "juniper_dynamic_vpn": "DYNAMIC System Log Messages"}
# The document's words are wrong here; see the entries' notes.
ORDER_CORRECTED = {"KMD_PM_PHASE1_NO_IDENTITIES"}


def _read(text: str) -> dict[str, dict[str, str]]:
    """Return id -> heading -> the paragraph under it."""
    parts = re.split(r"^((?:KMD|DYNAMIC)_[A-Z0-9_]+)$", text, flags=re.M)[1:]
    found = {}
    for number in range(0, len(parts), 2):
        lines = [line for line in parts[number + 1].splitlines() if line.strip()]
        found[parts[number]] = dict(zip(lines[::2], lines[1::2], strict=True))
    return found


@pytest.fixture(scope="module")
def documents(shared: Path) -> dict[str, dict[str, dict[str, str]]]:
    texts = [path.read_text(encoding="utf-8") for path in sorted((shared / "reference").glob("*.txt"))]
    return {name: _read(next(t for t in texts if t.startswith(title))) for name, title in CHAPTERS.items()}


def test_every_fact_is_the_documents(documents: dict[str, dict[str, dict[str, str]]], pipeline: Pipeline) -> None:
    """Ids, text formats, severities, facilities and types are the document's, its known defects aside."""
    ours: dict[str, dict[str, Entry]] = {name: {} for name in CHAPTERS}
    for entry in pipeline.entries:
        ours[entry.catalog][entry.id] = entry
    for name, chapter in documents.items():
        assert list(ours[name]) == list(chapter)
        for message, facts in chapter.items():
            entry = ours[name][message]
            assert entry.severity == facts["Severity"], message
            assert entry.facility == facts["Facility"], message
            assert facts["Type"].startswith("Error" if entry.type == "error" else "Event"), message
            texts = {re.sub(r"[{}]", "", text) for text in entry.formats}
            if message in ORDER_CORRECTED:
                words = facts["System Log Message"].split()
                assert sorted(words) == sorted(next(iter(texts)).split()), message
            else:
                assert facts["System Log Message"] in texts, message


def test_no_format_carries_over_a_defect(pipeline: Pipeline) -> None:
    """What is shown to people has no glued words and no printf residue."""
    defects = re.compile(r"Phase-1negotiation|initiatenegotiation|managerhandle|\}u|\}d |ubytes")
    assert [entry.id for entry in pipeline.entries if defects.search(entry.template)] == []
