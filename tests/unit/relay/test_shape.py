"""What an agent has set and an index of ours would refuse; tests/e2e/elasticsearch writes such documents to nodes."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest

from agent_fields import deep
from lexilog import Pipeline, Record, document
from lexilog.catalog.fields import fields, shape
from lexilog.relay._shape import fit


def fitted(document: dict[str, Any]) -> dict[str, Any]:
    """Return a document after it is made to fit."""
    out = deepcopy(document)
    fit(out, "line")
    return out


@pytest.mark.parametrize(
    ("document", "wanted"),
    [
        # A map where the field table has a value, and the other way round.
        ({"host": "web1"}, {"labels": {"host": "web1"}}),
        ({"process": {"name": {"a": 1}, "pid": 5}}, {"process": {"pid": 5}, "labels": {"process.name": {"a": 1}}}),
        ({"host": ["a", {"name": "b"}]}, {"labels": {"host": ["a", {"name": "b"}]}}),
        ({"user": {"name": ["a", {"b": 1}]}}, {"user": {}, "labels": {"user.name": ["a", {"b": 1}]}}),
        ({"user": {"name": [["a"]]}}, {"user": {}, "labels": {"user.name": [["a"]]}}),
        # Dotted names count like nested ones.
        ({"host.os": "linux"}, {"labels": {"host.os": "linux"}}),
        ({"host": {"os.type": {}}}, {"host": {}, "labels": {"host.os.type": {}}}),
        ({"message.x": 1}, {"labels": {"message.x": 1}}),
        ({"lexilog.variables.a": 1}, {"labels": {"lexilog.variables.a": 1}}),
        # Of several, all are kept.
        (
            {"source": [{"ip": {"a": 1}}, {"ip": {"b": 2}}, {"port": 5}], "labels": {"mine": 1}},
            {"source": [{}, {}, {"port": 5}], "labels": {"mine": 1, "source.ip": [{"a": 1}, {"b": 2}]}},
        ),
        # A map whose names are not ours, and labels that are none.
        ({"lexilog": {"variables": "x"}}, {"lexilog": {}, "labels": {"lexilog.variables": "x"}}),
        ({"host": "web1", "labels": "x"}, {"labels": {"labels": "x", "host": "web1"}}),
        # No name at all.
        ({"": 1, ".a": 2, "host": {" ": 3}}, {"host": {}, "labels": {"": 1, ".a": 2, "host. ": 3}}),
        # The line is in event.original already.
        ({"log": "line", "event": {"original": "line"}}, {"event": {"original": "line"}}),
        ({"log": "other", "event": {"original": "line"}}, {"event": {"original": "line"}, "labels": {"log": "other"}}),
        # Blanks of any kind are no name, and a time is a date of an index.
        ({"\u3000": 1, "a.\u2028": 2}, {"labels": {"\u3000": 1, "a.\u2028": 2}}),
        ({"@timestamp": "yesterday"}, {"labels": {"@timestamp": "yesterday"}}),
        ({"@timestamp": ["2026-01-15"]}, {"labels": {"@timestamp": ["2026-01-15"]}}),
        ({"@timestamp": {"a": 1}, "labels": {"@timestamp": 1}}, {"labels": {"@timestamp": [1, {"a": 1}]}}),
        ({"@timestamp": "2026-02-31T00:00:00Z"}, {"labels": {"@timestamp": "2026-02-31T00:00:00Z"}}),
        ({"@timestamp": 1.5}, {"labels": {"@timestamp": 1.5}}),
    ],
)
def test_what_does_not_fit_moves_to_labels(document: dict[str, Any], wanted: dict[str, Any]) -> None:
    """A value at a name where an index has something else is kept under labels, by the name that it had."""
    assert fitted(document) == wanted
    assert fitted(wanted) == wanted


@pytest.mark.parametrize(
    "document",
    [
        {"host": None, "process": {"name": None}, "user": [None, {"name": "a"}], "log": {"level": ["a", 1]}},
        {"host": {"name": "web1", "arch": {"a": [{"b": 1}]}}, "agent": {"id": 5}, "agent.name": "x", "tags": ["a"]},
        {"labels": "x", "mine": deep(200), "event": {"mine": deep(200)}},
        {"@timestamp": "2026-01-15T12:00:00,5+0100"},
        {"@timestamp": "2026-01-15"},
        {"@timestamp": 1768478400123},
        {"@timestamp": "1768478400123"},
        {"lexilog": {"variables": {"a.b": "c", "d": ["e", 1], "f": deep(19), "k" * 2048: "v"}}},
    ],
)
def test_what_fits_stays(document: dict[str, Any]) -> None:
    """What an index takes or passes over is where it was, however deep it is."""
    assert fitted(document) == document


@pytest.mark.parametrize("value", [deep(21), {"a\0b": 1}, {"k" * 2050: 1}, {"a": [{"b": 1}]}, {"a": [["b"]]}, ["a"]])
def test_a_flattened_field_is_bounded(value: Any) -> None:
    """Names that are too deep, too long or not fit for a flattened field cost the field its place, not the document."""
    assert fitted({"log": {"syslog": {"structured_data": value}}}) == {
        "log": {"syslog": {}},
        "labels": {"log.syslog.structured_data": value},
    }


def test_the_shape_is_the_field_table() -> None:
    """Each field of the table has its place in the tree, and nothing else has."""

    def flat(tree: Any, prefix: str = "") -> dict[str, str]:
        found: dict[str, str] = {}
        for name, below in tree.items():
            found |= {prefix + name: below} if isinstance(below, str) else flat(below, f"{prefix}{name}.")
        return found

    wanted = {field.name: "flattened" if field.type == "flattened" else "value" for field in fields().values()}
    assert flat(shape()) == wanted


def test_a_name_that_gets_free_is_ours() -> None:
    """Where an agent's value has to move, what the line says stands at its place."""
    line = "<30>1 2025-08-03T10:18:44Z srx1 kmd 7 KMD_VPN_UP_ALARM_USER - VPN a from 192.0.2.1 is up."
    agent = {"process": "kmd", "observer": "x", "@timestamp": "yesterday", "event": "text", "labels": {"event": "mine"}}
    made = document(Pipeline().process(Record(line=line, fields=agent)), fit)
    assert made["process"]["pid"] == 7
    assert made["observer"]["hostname"] == "srx1"
    assert made["@timestamp"] == "2025-08-03T10:18:44.000Z"
    moved = {"process": "kmd", "observer": "x", "@timestamp": "yesterday", "event": ["mine", "text"]}
    assert made["labels"] == moved
