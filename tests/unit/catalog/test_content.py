"""Rules that hold for all content; the name of the test that fails names the entry."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from lexilog import Entry, Pipeline, shipped_catalogs
from lexilog.catalog.coverage import measure
from lexilog.catalog.fields import ecs, fields
from lexilog.catalog.lint import lint
from lexilog.catalog.samples import SAMPLE_VALUES
from lexilog.enrich.plan import Plan
from lines import BRIEF, ENVELOPES, UNTAGGED, fill, names

CATALOGS = shipped_catalogs()
ENTRIES = [entry for catalog in CATALOGS for entry in catalog.entries]
JUNOS = [entry for entry in ENTRIES if entry.frames == ("junos",)]
TAGGED = [entry for entry in JUNOS if entry.code]
each_entry = pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.id)
each_tagged = pytest.mark.parametrize("entry", TAGGED, ids=lambda entry: entry.id)

# What the documents have; the five of Blue Cedar that stand for a reason or a status share two names.
DOCUMENTED = {
    "bluecedar_gateway": 22,
    "clavister_stream": 28,
    "forcepoint_vpn": 20,
    "juniper_dynamic_vpn": 24,
    "juniper_kmd": 91,
}


def _values(entry: Entry, text: str) -> dict[str, str]:
    return {name: SAMPLE_VALUES[entry.variables[name].type] for name in names(text)}


def _pri(entry: Entry) -> int:
    level = entry.level()
    return 8 * (entry.facility_code or 3) + (level.code if level else 6)


def test_all_documented_messages_are_there() -> None:
    """Every message of the documents has an entry, and an id stands for one of them alone."""
    assert Counter(entry.catalog for entry in ENTRIES if entry.provenance == "documented") == DOCUMENTED
    assert [key for key, count in Counter((e.catalog, e.id) for e in ENTRIES).items() if count > 1] == []


def test_every_message_is_recognised(pipeline: Pipeline) -> None:
    """A line of every entry, in every wrapping that it may come in, is that entry, with those values."""
    for result in measure(CATALOGS, pipeline.process):
        assert result.failures == ()
        assert result.documented[1] == DOCUMENTED.get(result.catalog, 0)
        assert result.lines >= len(next(c for c in CATALOGS if c.name == result.catalog).entries)


def test_nothing_is_left_to_do() -> None:
    """Every entry is complete, no sentence of ten words or more stands in two, and no two have one text."""
    assert lint(CATALOGS) == []


@each_tagged
@pytest.mark.parametrize("envelope", [*ENVELOPES, *UNTAGGED])
def test_a_line_of_each_format_is_its_own_entry(
    entry: Entry, envelope: str, enrich: Callable[..., dict[str, Any]]
) -> None:
    """A line written from a format, in any wrapping, with tag or without, is that entry, with those values."""
    write = (ENVELOPES | UNTAGGED)[envelope]
    for text in entry.formats:
        values = _values(entry, text)
        line = write(entry.id, fill(text, values), values, _pri(entry))
        found = enrich(line.replace(" kmd", f" {entry.processes[0]}", 1))
        assert found["event"]["code"] == entry.id
        assert found["lexilog"]["match"] == {"quality": "exact"}
        assert found["lexilog"].get("variables", {}) == values
        assert found["lexilog"]["catalog"].get("severity") == entry.severity
        level = entry.level()
        assert found["event"].get("severity") == (level.code if level else None)


@each_tagged
@pytest.mark.parametrize("envelope", BRIEF)
def test_structured_data_alone_is_enough(entry: Entry, envelope: str, enrich: Callable[..., dict[str, Any]]) -> None:
    """The brief form, which has no text, gives the same entry and values."""
    values = _values(entry, entry.template)
    found = enrich(BRIEF[envelope](entry.id, "", values, 30))
    assert found["event"]["code"] == entry.id
    assert found["lexilog"]["match"] == {"quality": "exact"}
    assert found["lexilog"].get("variables", {}) == values


@each_tagged
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
    # Loading allows a type that one of the categories expects; ours fit all of them.
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
