"""The walk of a record: what is looked at, and what passes as it came."""

from __future__ import annotations

from lexilog import Outcome, Pipeline, Record, document

KNOWN = "KMD_VPN_DOWN_ALARM_USER: VPN v1 from 198.51.100.7 is down."


def test_a_line_that_is_too_long_passes_as_it_came() -> None:
    """It is not looked at and not cut; the record says how long it is and what the limit is."""
    line = KNOWN + "x" * (100 - len(KNOWN))
    pipeline = Pipeline(max_line=99)
    found = pipeline.process(Record(line=line, fields={"log": line, "host": "h"}, line_key="log", id="a"))
    assert (found.outcome, found.reason, found.match) == (Outcome.ERROR, "line_too_long", None)
    said = document(found)
    assert said["event"]["original"] == line
    assert said["host"] == "h"
    assert said["event"]["id"] == "a"
    assert said["error"]["message"] == "the line has 100 characters; only lines of up to 99 are looked at"


def test_a_line_at_the_limit_is_looked_at() -> None:
    """The limit itself is allowed, and so is anything where there is none."""
    assert Pipeline(max_line=len(KNOWN)).process(Record(line=KNOWN)).outcome is Outcome.MATCHED
    assert Pipeline(max_line=len(KNOWN) - 1).process(Record(line=KNOWN)).reason == "line_too_long"
    assert Pipeline().process(Record(line=KNOWN + " " * 300_000)).outcome is Outcome.MATCHED


def test_what_the_door_could_not_read_says_so_first() -> None:
    """A record that came broken keeps its own reason, however long it is; one without a line has no length."""
    pipeline = Pipeline(max_line=3)
    assert pipeline.process(Record(line="long", problem="odd")).reason == "invalid_record"
    assert pipeline.process(Record(line=None)).reason == "no_line"
