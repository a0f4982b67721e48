"""Rules that hold for all content; the name of the test that fails names the entry."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from lexilog import Entry, shipped_catalogs
from lexilog.catalog.fields import ecs, fields
from lexilog.enrich.plan import Plan
from lexilog.matching.template import Template
from lexilog.matching.types import TYPES
from lines import BRIEF, ENVELOPES, SAMPLES, UNTAGGED, fill, names

ENTRIES = [entry for catalog in shipped_catalogs() for entry in catalog.entries]
each_entry = pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.id)


def _values(entry: Entry, text: str) -> dict[str, str]:
    return {name: SAMPLES[entry.variables[name].type] for name in names(text)}


def test_all_documented_messages_are_there() -> None:
    """The two Junos chapters have 91 and 24 messages, and an id stands for one of them alone."""
    assert Counter(entry.catalog for entry in ENTRIES) == {"juniper_kmd": 91, "juniper_dynamic_vpn": 24}
    assert [code for code, count in Counter(entry.id for entry in ENTRIES).items() if count > 1] == []


@each_entry
def test_every_variable_is_typed(entry: Entry) -> None:
    """Each variable of each format has a type that is known, and goes into fields that are known."""
    for text in entry.formats:
        for name in names(text):
            assert entry.variables[name].type in TYPES
            assert all(field in fields() for field in entry.variables[name].fields)


@each_entry
@pytest.mark.parametrize("envelope", [*ENVELOPES, *UNTAGGED])
def test_a_line_of_each_format_is_its_own_entry(
    entry: Entry, envelope: str, enrich: Callable[..., dict[str, Any]]
) -> None:
    """A line written from a format, in any wrapping, with tag or without, is that entry, with those values."""
    write = (ENVELOPES | UNTAGGED)[envelope]
    for text in entry.formats:
        values = _values(entry, text)
        found = enrich(write(entry.id, fill(text, values), values, entry.facility_code * 8 + entry.severity_code))
        assert found["event"]["code"] == entry.id
        assert found["lexilog"]["match"] == {"quality": "exact"}
        assert found["lexilog"].get("variables", {}) == values
        assert found["lexilog"]["catalog"]["severity"] == entry.severity
        assert found["event"]["severity"] == entry.severity_code


@each_entry
@pytest.mark.parametrize("envelope", BRIEF)
def test_structured_data_alone_is_enough(entry: Entry, envelope: str, enrich: Callable[..., dict[str, Any]]) -> None:
    """The brief form, which has no text, gives the same entry and values."""
    values = _values(entry, entry.template)
    found = enrich(BRIEF[envelope](entry.id, "", values, 30))
    assert found["event"]["code"] == entry.id
    assert found["lexilog"]["match"] == {"quality": "exact"}
    assert found["lexilog"].get("variables", {}) == values


@each_entry
def test_more_text_is_a_tail(entry: Entry, enrich: Callable[..., dict[str, Any]]) -> None:
    """What a newer release adds after the text is kept as the tail, and costs no value."""
    if entry.formats[0].endswith("{error-message}"):
        pytest.skip("the last value is free text, which has no end before the line has")
    values = _values(entry, entry.template)
    found = enrich(f"Aug  3 10:18:44 srx1 kmd[1]: {entry.id}: {fill(entry.template, values)}, added: in 99.9")
    assert found["lexilog"]["match"] == {"quality": "prefix", "tail": ", added: in 99.9"}
    assert {name: found["lexilog"]["variables"][name] for name in values} == values


@each_entry
def test_every_ecs_field_and_value_is_allowed(entry: Entry) -> None:
    """What an entry can put into a record is a known field of that type, and a value that ECS allows there."""
    plan = Plan(entry)
    for name, value in plan.constant.items():
        field = fields()[name]
        assert field.array == isinstance(value, list), name
        items = value if isinstance(value, list) else [value]
        assert all(isinstance(item, int if field.type == "long" else str) for item in items), name
        allowed = ecs()[name].allowed if name in ecs() else None
        assert allowed is None or set(items) <= set(allowed), name
    expected = ecs()["event.category"].expected_types or {}
    for category in entry.event.category:
        assert set(entry.event.type) <= set(expected[category]), category


@each_entry
def test_outcome_follows_the_contract(entry: Entry) -> None:
    """A refusal or a failed start is a failure; a tunnel that came up is a success; an end has no outcome."""
    event = entry.event
    if "denied" in event.type:
        assert event.outcome == "failure"
    if event.category == ("network", "session"):
        assert event.outcome == ("success" if event.type == ("start",) else None)
    if event.outcome == "failure":
        assert entry.impact != "none" or event.type == ("info",)
    if entry.type == "error":
        assert event.outcome == "failure"


@each_entry
def test_texts_are_worth_reading(entry: Entry) -> None:
    """Each text says something, in whole sentences, short enough for a screen."""
    for text in (entry.explanation, entry.cause, entry.action):
        assert 40 <= len(text) <= 700
        assert text[0].isupper() or not text[0].isalpha() or text.startswith("kmd ")
        assert text.endswith(".")
        assert text.isascii()
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)+", entry.event.action)


def test_no_text_is_pasted() -> None:
    """No sentence of ten words or more stands in two entries."""
    seen: dict[str, str] = {}
    for entry in ENTRIES:
        for text in (entry.explanation, entry.cause, entry.action):
            for sentence in re.split(r"(?<=[.;:])\s+", text):
                if len(sentence.split()) >= 10:
                    assert seen.setdefault(sentence, entry.id) == entry.id, f"{sentence!r} is in {seen[sentence]} too"


@each_entry
def test_formats_can_be_told_apart(entry: Entry) -> None:
    """No other entry reads a line of this one better by text alone: the longer documented text wins."""
    values = _values(entry, entry.template)
    text = fill(entry.template, values)
    for other in ENTRIES:
        if other is entry:
            continue
        for format_ in other.formats:
            template = Template(format_, lambda name, other=other: other.variables[name].type)
            assert template.full(text) is None, other.id
