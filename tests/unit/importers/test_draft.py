"""Drafts: they load, name what is guessed, and hold no sentence of the vendor's."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from lexilog import load_catalog
from lexilog.catalog.lint import lint
from lexilog.errors import ImportFormatError
from lexilog.importers import LAYOUTS, Draft, Fact, write_draft, write_vendor_text

FULL = Fact(
    id="7",
    title="Peer: refused",
    format="Peer {address} refused {{x}}: {reason}",
    severity="Warning",
    facility="LOG_AUTH",
    type="error",
    categories=("IKE", "IPSEC"),
    parameters=("srcip",),
    vendor_action="Drop",
    diagnostics=True,
    role="initiator",
    component="core",
    where={"reason": ("no", "'never'")},
    variables={"address": "address", "reason": "text", "srcip": "address"},
    vendor_text={"Explanation": "A sentence: of the vendor's."},
    review=("format",),
)
SHORT = Fact(id="EX_READY", title="EX_READY", variables={"reason": "name"})
DRAFT = Draft(
    name="example_gateway",
    title="Example",
    frame=("mocana", "cef"),
    document="Some manual",
    section="Chapter 1: first",
    observer={"vendor": "Example", "product": "Gateway", "type": "firewall"},
    facts=(FULL, SHORT),
    severities={"Warning": 4, "Major": (3, 17)},
    facilities={"LOG_AUTH": 4, "LOG_X": None},
    components={"core": "Another sentence."},
    devices=(("Example", "Firewall"),),
)
BARE = Draft(
    name="example",
    title="Example",
    frame=("junos",),
    document="Some manual",
    section="Chapter 1",
    observer={"vendor": "Example", "product": "Gateway", "type": "firewall"},
    facts=(SHORT,),
)
# Lines that mean something to one layout or another.
PIECES = [
    "BASH", "EX_A", "EX_A b", "Name: EX_A", "Type", "Type: Event", "System Log Message", "Severity", "Severity: info",
    "2.3. A", "2.3.1. [ID: 1] A", "Log Message", "Information message Description", "A [...]", "• a: b", "Error",
    "Mocana: [component]", "Sev:level", "On this page", "user@host> ", "---(more)---", "A B c.", "{", "é", "",
]  # fmt: skip


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "draft.yaml"
    path.write_text(write_draft(DRAFT), encoding="utf-8")
    return path


def test_a_draft_loads(file: Path) -> None:
    """Everything that a fact says is in the entry that the catalogue has of it."""
    catalog = load_catalog(file)
    full, short = catalog.entries
    assert (full.id, full.title, full.formats) == ("7", "Peer: refused", ("Peer {address} refused {{x}}: {reason}",))
    assert (full.severity, full.facility, full.facility_code, full.type) == ("Warning", "LOG_AUTH", 4, "error")
    assert (full.categories, full.parameters, full.vendor_action) == (("IKE", "IPSEC"), ("srcip",), "Drop")
    assert (full.diagnostics, full.role, full.components) == (True, "initiator", frozenset({"core"}))
    assert full.where == {"reason": frozenset({"no", "'never'"})}
    assert full.variables["srcip"].fields == ("source.ip",)
    assert (full.frames, full.devices) == (("mocana", "cef"), frozenset({("example", "firewall")}))
    assert (short.id, short.title, short.formats) == ("EX_READY", "EX_READY", ())
    assert {level.word: (level.code, level.otel) for level in full.levels.values()}["Major"] == (3, 17)


def test_a_draft_without_anything_optional_loads(tmp_path: Path) -> None:
    """A list of ids and titles is enough for a draft."""
    path = tmp_path / "draft.yaml"
    path.write_text(write_draft(BARE), encoding="utf-8")
    assert [entry.id for entry in load_catalog(path).entries] == ["EX_READY"]


def test_what_is_guessed_or_missing_is_named(file: Path) -> None:
    """Texts, impact and event always; variables where there are any; and what the layout itself has guessed."""
    full, short = load_catalog(file).entries
    assert full.review == ("texts", "impact", "event", "variables", "format")
    assert short.review == ("texts", "impact", "event", "variables")
    assert (full.explanation, full.cause, full.action) == ("", "", "")
    assert {problem.id for problem in lint([load_catalog(file)])} == {"7", "EX_READY"}


def test_a_variable_of_another_type_is_the_entrys_own(file: Path) -> None:
    """The head has the first type that a name is given; an entry that differs says so itself."""
    full, short = load_catalog(file).entries
    assert full.variables["reason"].type == "text"
    assert full.variables["reason"].fields == ("event.reason",)
    assert short.variables["reason"].type == "name"
    assert short.variables["reason"].fields == ()


def test_a_text_of_values_alone_needs_its_component(tmp_path: Path) -> None:
    """Any text could be such a message, so that a line has to name the component."""
    fact = Fact(id="x", title="x", format="{address}", component="core", variables={"address": "address"})
    other = Fact(id="y", title="y", format="At {address}", component="core", variables={"address": "address"})
    path = tmp_path / "draft.yaml"
    draft = Draft(
        name="x",
        title="X",
        frame=("mocana",),
        document="d",
        section="s",
        observer={"vendor": "v", "product": "p", "type": "vpn"},
        facts=(fact, other),
        components={"core": "c"},
        coded=False,
    )
    path.write_text(write_draft(draft), encoding="utf-8")
    entries = load_catalog(path).entries
    assert [entry.needs_component for entry in entries] == [True, False]
    assert [entry.code for entry in entries] == [None, None]


def test_the_head_says_what_to_do_next() -> None:
    """Whoever opens a draft learns that it is one, and how it becomes more."""
    head = write_draft(DRAFT).split("format: 1")[0]
    assert all(line.startswith("#") for line in head.splitlines())
    assert "lexilog catalog lint" in head
    assert "your own words" in head


def test_the_vendors_sentences_are_in_their_own_file() -> None:
    """The draft has none of them; their file says whose they are and stays out of any catalogue."""
    text = write_vendor_text(DRAFT)
    assert "sentence" not in write_draft(DRAFT)
    assert text.startswith("#")
    assert "stays on this machine" in text
    assert yaml.safe_load(text) == {
        "vendor_text_of": "example_gateway",
        "components": {"core": "Another sentence."},
        "entries": {"7": {"Explanation": "A sentence: of the vendor's."}},
    }


@given(st.text(st.characters(exclude_categories=("Cs", "Zl", "Zp"), exclude_characters="\x85"), min_size=1))
def test_any_text_survives_the_file(text: str) -> None:
    """Whatever a title or a sentence holds, it is read back as it was; other line breaks than LF it never holds."""
    fact = Fact(id="x", title=text, vendor_text={"Explanation": text})
    draft = Draft(
        name="x",
        title="X",
        frame=("junos",),
        document=text,
        section="s",
        observer={"vendor": "v", "product": "p", "type": "vpn"},
        facts=(fact,),
    )
    data = yaml.safe_load(write_draft(draft))
    assert (data["source"]["document"], data["entries"][0].get("title", "x")) == (text, text)
    assert yaml.safe_load(write_vendor_text(draft))["entries"] == {"x": {"Explanation": text}}


@pytest.mark.parametrize("layout", sorted(LAYOUTS))
@given(text=st.text() | st.lists(st.sampled_from(PIECES)).map("\n".join))
def test_any_text_is_read_or_refused(layout: str, text: str) -> None:
    """No text makes a layout fail in any other way than by saying what is wrong with it."""
    with suppress(ImportFormatError):
        assert LAYOUTS[layout](text).facts
