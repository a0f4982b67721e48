"""The vendors' own documents; skipped where those are not at hand."""

from __future__ import annotations

from pathlib import Path

import pytest

from lexilog import load_catalog
from lexilog.importers import LAYOUTS, Draft, Fact, write_draft, write_vendor_text


def _read(shared: Path, layout: str, beginning: str) -> Draft:
    """Read the one document that begins like this."""
    texts = [path.read_text(encoding="utf-8") for path in sorted((shared / "reference").glob("*.txt"))]
    (text,) = [text for text in texts if text.lstrip().startswith(beginning)]
    return LAYOUTS[layout](text)


def _facts(draft: Draft) -> dict[str, Fact]:
    return {fact.id: fact for fact in draft.facts}


def _loaded(draft: Draft, folder: Path) -> set[str]:
    """Return the ids of a draft's entries, as the catalogue has them that is written of it."""
    path = folder / "draft.yaml"
    path.write_text(write_draft(draft), encoding="utf-8")
    return {entry.id for entry in load_catalog(path).entries}


@pytest.mark.parametrize(
    ("beginning", "name", "count"),
    [("DYNAMIC System", "juniper_dynamic_vpn", 24), ("KMD System", "juniper_kmd", 91)],
)
def test_junos(shared: Path, checkout: Path, tmp_path: Path, beginning: str, name: str, count: int) -> None:
    """Facts are those of the shipped catalogue; the guess finds the variables of every text that it documents."""
    draft = _read(shared, "junos", beginning)
    assert (draft.name, len(draft.facts)) == (name, count)
    assert len(_loaded(draft, tmp_path)) == count
    entries = load_catalog(checkout / "processor" / "lexilog" / "catalog" / "entries" / f"{name}.yaml").entries
    shipped = [entry for entry in entries if entry.provenance == "documented"]
    assert [fact.id for fact in draft.facts] == [entry.id for entry in shipped]
    for fact, entry in zip(draft.facts, shipped, strict=True):
        assert (fact.severity, fact.facility, fact.type) == (entry.severity, entry.facility, entry.type), fact.id
    found = [fact.format in entry.formats for fact, entry in zip(draft.facts, shipped, strict=True)]
    # The document has the variables of one message in an order that cannot be; the catalogue has them right.
    assert [fact.id for fact, same in zip(draft.facts, found, strict=True) if not same] == (
        ["KMD_PM_PHASE1_NO_IDENTITIES"] if name == "juniper_kmd" else []
    )


def test_junos_cause(shared: Path) -> None:
    """Headings that few entries have are read, too."""
    facts = _facts(_read(shared, "junos", "KMD System"))
    assert [fact.id for fact in facts.values() if "Cause" in fact.vendor_text] == ["KMD_DPD_FAILOVER_MAX_ATTEMPTS"]


def test_clavister(shared: Path, tmp_path: Path) -> None:
    """28 entries; one title is completed, three have no parameters, three say that the gateway drops."""
    draft = _read(shared, "clavister", "2.23.")
    facts = _facts(draft)
    assert (draft.name, len(facts)) == ("clavister_ike", 28)
    assert _loaded(draft, tmp_path) == set(facts)
    assert facts["1700"].title == "Failed to schedule auto-establishment of IPsec tunnels"
    assert [fact.id for fact in draft.facts if not fact.parameters] == ["813", "1655", "770"]
    assert [fact.id for fact in draft.facts if fact.vendor_action == "Drop"] == ["1061", "1060", "1059"]
    assert (facts["1655"].severity, facts["1655"].categories) == ("Critical", ("IKE", "RULE"))
    assert len(facts["616"].parameters) == 17
    assert facts["1690"].format == facts["1691"].format == "Released address."


def test_forcepoint(shared: Path, tmp_path: Path) -> None:
    """20 messages, of which nine need diagnostics and six name the role."""
    draft = _read(shared, "forcepoint", "VPN notifications")
    facts = _facts(draft)
    assert len(facts) == 20
    assert _loaded(draft, tmp_path) == set(facts)
    assert not any("[" in fact.title for fact in draft.facts)
    assert sum(fact.diagnostics for fact in draft.facts) == 9
    assert [fact.role for fact in draft.facts if fact.role] == ["initiator", "responder"] * 3
    assert [facts[name].title for name in ("starting-hybrid-authentication", "hybrid-authentication-done")] == [
        "Starting Hybrid Authentication",
        "Hybrid Authentication Done",
    ]
    assert facts["esp"].vendor_text == facts["ah"].vendor_text
    assert facts["initial-contact-notification-received"].vendor_text["Description"].startswith("The gateway at")


def test_bluecedar(shared: Path, tmp_path: Path) -> None:
    """Nine components, six severities, four messages with JSON, four reasons, and the three samples of the header."""
    draft = _read(shared, "bluecedar", "Skip to main content")
    facts = _facts(draft)
    assert list(draft.components) == [
        "aaa", "amf", "cfm", "datapath", "ike", "intfmgr", "ipsec", "reportmgr", "services-logs",
    ]  # fmt: skip
    assert list(draft.severities) == ["Critical", "Major", "Minor", "Warning", "Informational", "Debug"]
    assert _loaded(draft, tmp_path) == set(facts)
    assert [fact.title for fact in draft.facts if not fact.where][:4] == [
        "Link Update", "Policy REJECT", "Session START", "Session STOP",
    ]  # fmt: skip
    assert facts["link-update"].parameters == ("SubCls", "EID", "Type", "name", "status")
    assert [fact.where["reason"][0] for fact in draft.facts if fact.where] == [
        "Attempting login with a jailbroken device",
        "Invalid or malformed MAC address",
        "Device failed validation",
        "Disallowed due to post-auth policy",
    ]
    start, stop = facts["session-start"], facts["session-stop"]
    assert (len(start.parameters), len(stop.parameters)) == (22, 29)
    assert set(stop.parameters) - set(start.parameters) == {
        "duration", "durationSeconds", "packetsRx", "bytesRx", "packetsTx", "bytesTx", "acceptedEula",
    }  # fmt: skip
    assert (stop.variables["acceptedEula"], stop.variables["durationSeconds"]) == ("boolean", "seconds")
    assert "remediation" in facts["policy-reject"].parameters
    assert [(fact.component, fact.format) for fact in draft.facts[-12:-9]] == [
        ("intfmgr", "Removing tunnel interface {interface} with address {address}"),
        ("ike", "{address}"),
        ("aaa", "Received unexpected accounting STOP signal for handle {handle}"),
    ]


@pytest.mark.parametrize("layout", sorted(LAYOUTS))
def test_no_sentence_of_the_vendor_is_in_a_draft(shared: Path, layout: str) -> None:
    """Each document's sentences are all in the file that stays where it is made."""
    beginnings = {"junos": "KMD", "clavister": "2.23.", "forcepoint": "VPN", "bluecedar": "Skip"}
    draft = _read(shared, layout, beginnings[layout])
    written, kept = write_draft(draft), " ".join(write_vendor_text(draft).split())
    sentences = [text for fact in draft.facts for text in fact.vendor_text.values() if len(text.split()) > 7]
    assert len(sentences) > 10
    assert [text for text in sentences if text in written] == []
    assert sentences[0] in kept
