"""Our facts against the documents that they are from; skipped where those are not at hand."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from lexilog import Pipeline, load_catalog, shipped_catalogs
from lexilog.catalog.compare import differences
from lexilog.importers import LAYOUTS, write_draft

# Catalogue, layout, and the first words of the document.
DOCUMENTS = [
    ("juniper_dynamic_vpn", "junos", "DYNAMIC System Log Messages"),
    ("juniper_kmd", "junos", "KMD System Log Messages"),
    ("clavister_stream", "clavister", "2.23.\xa0IKE"),
    ("forcepoint_vpn", "forcepoint", "VPN notifications"),
    ("bluecedar_gateway", "bluecedar", "Skip to main content"),
]
# Where ours differs from the document on purpose: entry (or any) and what differs.
ON_PURPOSE = {
    # The document names the variables in an order that its own text contradicts.
    ("KMD_PM_PHASE1_NO_IDENTITIES", "format"),
    # The document has no severity and no facility for these; a line has both, and ours are what it says then.
    ("forcepoint_vpn", "severity"),
    ("forcepoint_vpn", "facility"),
    # One message to the vendor; we tell its two documented states apart.
    ("link-up", "removed"),
    ("link-down", "removed"),
    # The document shows a rejection once, with the fields that this phone happened to have.
    ("policy-reject", "parameters"),
    ("policy-reject-attempting-login-with-a-jailbroken-device", "parameters"),
    ("policy-reject-invalid-or-malformed-mac-address", "parameters"),
    ("policy-reject-device-failed-validation", "parameters"),
    ("policy-reject-disallowed-due-to-post-auth-policy", "parameters"),
    # It has no name in the document.
    ("ike-address", "title"),
}


@pytest.mark.parametrize(("name", "layout", "beginning"), DOCUMENTS)
def test_every_fact_is_the_documents(name: str, layout: str, beginning: str, shared: Path, tmp_path: Path) -> None:
    """What the importer reads from the document is what the shipped catalogue says, defects aside."""
    texts = (path.read_text(encoding="utf-8") for path in sorted((shared / "reference").glob("*.txt")))
    draft = tmp_path / "draft.yaml"
    draft.write_text(write_draft(LAYOUTS[layout](next(t for t in texts if t.startswith(beginning)))), encoding="utf-8")
    ours = next(catalog for catalog in shipped_catalogs() if catalog.name == name)
    observed = {entry.id for entry in ours.entries if entry.provenance == "observed"}
    found = [
        str(item)
        for item in differences(ours, load_catalog(draft))
        if item.id not in observed and not {(item.id, item.what), (name, item.what)} & ON_PURPOSE
    ]
    assert found == []


def test_no_format_carries_over_a_defect(pipeline: Pipeline) -> None:
    """What is shown to people has no glued words and no printf residue."""
    defects = re.compile(r"Phase-1negotiation|initiatenegotiation|managerhandle|\}u|\}d |ubytes")
    assert [entry.id for entry in pipeline.entries if defects.search(entry.template or "")] == []
