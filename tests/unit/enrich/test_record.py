"""The record contract, rule by rule."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lexilog import Outcome, Pipeline, Quality, Record, document, encode_json
from lexilog.catalog.fields import fields
from lexilog.enrich.escape import unescape

Enrich = Callable[..., dict[str, Any]]
PIPELINE = Pipeline()
DOWN = "KMD_VPN_DOWN_ALARM_USER: VPN v1 from 198.51.100.7 is down."
P2 = (
    "<43>Aug  3 10:18:44 srx1 kmd[1]: KMD_PM_P2_POLICY_LOOKUP_FAILURE: Policy lookup for Phase-2 [{}] failed for "
    "p1_local=ipv4(udp:500,[0..3]=192.0.2.1) p1_remote=ipv4(udp:4500,[0..3]=198.51.100.7) p2_local=a p2_remote=b"
)


def _leaves(value: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    out: dict[str, Any] = {}
    for key, item in value.items():
        name = f"{prefix}{key}"
        known = fields().get(name)
        if isinstance(item, dict) and not (known and known.type == "flattened"):
            out |= _leaves(item, f"{name}.")
        else:
            out[name] = item
    return out


@pytest.mark.parametrize("line", ["", " ", "nothing known", "\udcff\0", "KMD_NEW_ONE: text", "x" * 100_000])
def test_an_unknown_line_leaves_as_it_came(line: str, pipeline: Pipeline) -> None:
    """Rule 1: the line is in the record unchanged, with quality none, and nothing is claimed about it."""
    enriched = pipeline.process(Record(line=line, fields={"host": "a", "n": {"m": 1}}))
    assert enriched.outcome is Outcome.UNKNOWN
    assert enriched.quality is Quality.NONE
    found = document(enriched)
    assert set(found) == {"@timestamp", "message", "event", "lexilog", "host", "n"}
    assert found["lexilog"]["match"] == {"quality": "none"}
    assert found["host"] == "a"
    assert found["n"] == {"m": 1}
    # The id that the line itself states is not a claim.
    assert found["event"] == {"original": found["event"]["original"], "created": "2026-01-15T12:00:00.000Z"} | (
        {"code": "KMD_NEW_ONE"} if "KMD_NEW_ONE" in line else {}
    )


def test_names_of_variables_fit_a_flattened_field(pipeline: Pipeline) -> None:
    """A NUL or thousands of characters in a name that a device or client writes do not cost the document."""
    line = "Nov 11 2021 22:24:37 gw1 Mocana: [AAA], Sev:Minor, Session START "
    names = {"a\0b": "1", "k" * 9000: "2", "sessionId": "7"}
    found = document(pipeline.process(Record(line=line + json.dumps(names))))
    assert found["lexilog"]["variables"] == {"a\ufffdb": "1", "k" * 1024: "2", "sessionId": "7", "Sev": "Minor"}
    junos = '<30>1 2025-05-04T15:27:26Z srx1 kmd 1 KMD_VPN_UP_ALARM_USER [junos@1 a\0="b"]'
    found = document(pipeline.process(Record(line=junos)))
    assert found["log"]["syslog"]["structured_data"] == {"junos@1": {"a\ufffd": "b"}}


STARTS = [
    b"",
    b"<30>Aug  3 10:18:44 srx1 kmd[1]: ",
    DOWN.encode(),
    b"<30>1 2025-05-04T15:27:26Z srx1 kmd 1 KMD_VPN_UP_ALARM_USER ",
    b'<30>1 2025-05-04T15:27:26Z srx1 kmd 1 KMD_VPN_UP_ALARM_USER [junos@1 a\xff="b\xff" ',
    b"KMD_VPN_UP_ALARM_USER: VPN a from b is up. Reason: x, \xff\xfe: y, A\xff: z",
]


@given(st.sampled_from(STARTS), st.binary(max_size=200))
def test_no_line_fails_or_is_altered(start: bytes, rest: bytes) -> None:
    """Whatever bytes a line has, it is processed, and event.original is the line to the byte."""
    enriched = PIPELINE.process(Record(line=(start + rest).decode("utf-8", "surrogateescape")))
    assert enriched.outcome is not Outcome.ERROR
    found = json.loads(encode_json(enriched))
    original = found["event"]["original"]
    if "event.original" in found["lexilog"].get("escaped", ()):
        assert unescape(original) == start + rest
    else:
        assert original.encode() == start + rest


def test_the_agents_fields_are_kept(enrich: Enrich) -> None:
    """Rule 2: on a clash the agent's value wins, in nested and in dotted form, except under event and lexilog."""
    line = f"Aug  3 10:18:44 srx1 kmd[1]: {DOWN}"
    agent = {
        "source": "tail",
        "destination.ip": "203.0.113.1",
        "observer": {"vendor": "mine"},
        "event": {"code": "mine", "sequence": 7},
        "lexilog": "mine",
        "process": {"pid": 2},
    }
    found = enrich(line, **agent)
    assert found["source"] == "tail"
    assert found["destination.ip"] == "203.0.113.1"
    assert "ip" not in found["destination"]
    assert found["observer"]["vendor"] == "mine"
    assert found["observer"]["product"] == "Junos"
    assert found["process"] == {"pid": 2, "name": "kmd"}
    assert found["event"]["code"] == "KMD_VPN_DOWN_ALARM_USER"
    assert found["event"]["sequence"] == 7
    assert found["lexilog"]["impact"] == "down"


@pytest.mark.parametrize("key", ["log", "message"])
def test_the_key_of_the_line_makes_room(key: str, pipeline: Pipeline) -> None:
    """Where the line stood under a name that ECS uses, it is in event.original; an unknown record keeps the key."""
    line = f"Aug  3 10:18:44 srx1 kmd[1]: {DOWN}"
    found = document(pipeline.process(Record(line=line, fields={key: line, "a": 1}, line_key=key)))
    assert found["event"]["original"] == line
    assert found["message"] == "VPN v1 from 198.51.100.7 is down."
    assert found["log"] == {"level": "info"}
    assert found["a"] == 1
    unknown = document(pipeline.process(Record(line="x", fields={key: "x"}, line_key=key)))
    assert unknown[key] == "x"


def test_severity_is_the_catalogues_and_syslog_is_the_headers(enrich: Enrich) -> None:
    """Rules 4 and 5: event.severity is never the PRI; log.syslog is there only where the header states a priority."""
    found = enrich(f"<13>Aug  3 10:18:44 srx1 kmd[1]: {DOWN}")
    assert found["event"]["severity"] == 6
    assert found["log"]["level"] == "info"
    assert found["log"]["syslog"]["priority"] == 13
    assert found["log"]["syslog"]["facility"] == {"code": 1, "name": "user"}
    assert found["log"]["syslog"]["severity"] == {"code": 5, "name": "notice"}
    assert found["lexilog"]["catalog"]["facility"] == "LOG_DAEMON"
    assert "syslog" not in enrich(f"Aug  3 10:18:44 srx1 kmd[1]: {DOWN}")["log"]
    explicit = enrich(f"Aug  3 10:18:44 srx1 kmd[1]: %AUTH-3-{DOWN}")["log"]["syslog"]
    assert explicit["facility"] == {"name": "auth", "code": 4}
    assert explicit["severity"] == {"code": 3, "name": "error"}
    assert "priority" not in explicit


@pytest.mark.parametrize(
    ("role", "source", "client"),
    [
        ("responder", "198.51.100.7", "198.51.100.7"),
        ("Initiator", "192.0.2.1", "192.0.2.1"),
        ("other", "192.0.2.1", None),
    ],
)
def test_the_initiator_is_the_source(role: str, source: str, client: str | None, enrich: Enrich) -> None:
    """Where the line tells the role the initiator is source and client; else the near end is the source alone."""
    found = enrich(P2.format(role))
    assert found["source"]["ip"] == found["source"]["address"] == source
    assert found.get("client", {}).get("ip") == client
    assert found["lexilog"]["local"] == {"id": "ipv4(udp:500,[0..3]=192.0.2.1)", "ip": "192.0.2.1", "port": 500}
    assert found["lexilog"]["remote"]["port"] == 4500
    assert found["lexilog"]["ike"] == {"phase": "2", "role": role.lower()} if client else {"phase": "2"}
    assert found["related"]["ip"] == ["192.0.2.1", "198.51.100.7"]
    assert found["network"] == {"protocol": "ike", "transport": "udp", "type": "ipv4"}


def test_a_value_that_does_not_fit_stays_text(enrich: Enrich) -> None:
    """A name where an address should be is among the variables, and not in the typed field."""
    found = enrich(
        "Aug  3 10:18:44 srx1 kmd[1]: KMD_DPD_NO_LOCAL_ADDRESS: Unable to send DPD hello message from local peer "
        "here/99999: address not found in instance ss 1"
    )
    assert found["lexilog"]["variables"] == {"local-address": "here", "local-port": "99999", "service-set": "ss 1"}
    assert "local" not in found["lexilog"]
    assert "source" not in found


def test_what_a_device_prints_for_nothing_is_no_value(enrich: Enrich) -> None:
    """Not-Applicable is no user, and Not-Available no interface; both stay among the variables."""
    found = enrich(f"Aug  3 10:18:44 srx1 kmd[1]: {DOWN} AAA username: Not-Applicable, local tunnel-if: Not-Available")
    assert "user" not in found
    assert "interface" not in found["lexilog"]["tunnel"]
    assert found["lexilog"]["variables"]["AAA username"] == "Not-Applicable"


def test_the_device_is_named_by_name_or_by_address(enrich: Enrich) -> None:
    """A host that is an address is observer.ip, else it is observer.hostname; either is related."""
    named = enrich(f"Aug  3 10:18:44 srx1 kmd[1]: {DOWN}")
    assert named["observer"]["hostname"] == "srx1"
    assert named["related"]["hosts"] == ["srx1"]
    numbered = enrich(f"Aug  3 10:18:44 2001:db8::5 kmd[1]: {DOWN}")
    assert numbered["observer"]["ip"] == ["2001:db8::5"]
    assert "2001:db8::5" in numbered["related"]["ip"]


def test_every_field_of_every_golden_record_is_in_the_table(checkout: Any) -> None:
    """No record has a field that is not in the field table, or a value of another type."""
    types = {
        "long": int,
        "boolean": bool,
        "keyword": str,
        "constant_keyword": str,
        "ip": str,
        "date": str,
        "match_only_text": str,
    }
    count = 0
    for path in (checkout / "tests" / "golden").glob("*/*/*/expected.json"):
        for record in json.loads(path.read_text(encoding="utf-8")):
            for name, value in _leaves(record).items():
                field = fields()[name]
                items = value if field.array else [value]
                assert all(isinstance(item, types.get(field.type, dict)) for item in items), (path, name)
                count += 1
    assert count > 10_000


def test_a_crash_in_one_record_costs_no_other(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    """A record that makes processing fail comes out as it came, says why, and the next one is as good as ever."""
    line = f"Aug  3 10:18:44 srx1 kmd[1]: {DOWN}"
    with monkeypatch.context() as patch:
        patch.setattr("lexilog.pipeline.matched_fields", lambda *_: 1 / 0)
        broken = pipeline.process(Record(line=line, fields={"a": 1}))
    assert broken.outcome is Outcome.ERROR
    found = document(broken)
    assert found["event"] == {"original": line, "kind": "pipeline_error", "created": "2026-01-15T12:00:00.000Z"}
    assert found["error"] == {"message": "ZeroDivisionError: division by zero"}
    assert found["a"] == 1
    assert pipeline.process(Record(line=line)).outcome is Outcome.MATCHED


def test_fields_that_cannot_be_written_cost_no_record(pipeline: Pipeline) -> None:
    """Where the agent's fields do not fit into JSON the line leaves without them, and says so."""
    record = Record(line=f"Aug  3 10:18:44 srx1 kmd[1]: {DOWN}", fields={"a": object()})
    found = json.loads(encode_json(pipeline.process(record)))
    assert found["event"]["code"] == "KMD_VPN_DOWN_ALARM_USER"
    assert found["event"]["kind"] == "pipeline_error"
    assert found["error"]["message"].startswith("the agent's fields cannot be written: TypeError")
    assert "a" not in found


def test_a_record_that_is_nested_too_deep_fills_no_log(pipeline: Pipeline, caplog: pytest.LogCaptureFixture) -> None:
    """Its traceback would be thousands of lines; other failures have theirs."""
    deep: Any = "x"
    for _ in range(5000):
        deep = [deep]
    found = json.loads(encode_json(pipeline.process(Record(line=DOWN, fields={"a": deep}))))
    assert found["error"]["message"].startswith("the agent's fields cannot be written: RecursionError")
    assert "Traceback" not in caplog.text
    encode_json(pipeline.process(Record(line=DOWN, fields={"a": object()})))
    assert "Traceback" in caplog.text


def test_an_escaped_field_is_named_once(pipeline: Pipeline) -> None:
    """However often it is met: as an element of a list, or as the agent's and ours."""
    fields = {"message": "\udcff", "tags": ["\udcff"] * 5, "o": [{"k": "\udcff"}, {"k": "\udcff"}], "clean": "a"}
    found = document(pipeline.process(Record.from_map(fields, ("message",))))
    assert sorted(found["lexilog"]["escaped"]) == ["event.original", "message", "o.k", "tags"]


def test_names_of_escaped_fields_do_not_outgrow_the_record(pipeline: Pipeline) -> None:
    """At most 100 are listed, ours first, each with no more than its first 200 characters."""
    fields: dict[str, Any] = {f"{number}{'k' * 1000}": "\udcff" for number in range(150)}
    found = document(pipeline.process(Record(line="\udcff", fields=fields)))["lexilog"]["escaped"]
    assert (len(found), set(found[:2])) == (100, {"message", "event.original"})
    assert found[2:] == [name[:200] for name in list(fields)[:98]]
    deep: Any = "\udcff"
    for _ in range(50):
        deep = {"k" * 150: deep}
    found = document(pipeline.process(Record(line="a", fields={"a": deep, "b\udcff": "\udcff"})))["lexilog"]["escaped"]
    assert found == [f"a.{'k' * 150}.{'k' * 47}", "b\\xff"]


def test_json_is_the_document(pipeline: Pipeline) -> None:
    """The JSON line is the same document, in one line of UTF-8."""
    enriched = pipeline.process(Record(line=f"Aug  3 10:18:44 srx1 kmd[1]: {DOWN} é\x00\n\u2028"))
    data = encode_json(enriched)
    assert b"\n" not in data
    assert json.loads(data) == document(enriched)


def test_a_lag_that_64_bits_do_not_hold_is_left_out(enrich: Callable[..., dict[str, Any]]) -> None:
    """A device that says it is the year 1 costs no document: nanoseconds of 2,000 years are no long."""
    line = "<30>1 {}-08-03T10:18:44Z srx1 kmd 1 KMD_VPN_UP_ALARM_USER - VPN a from 192.0.2.1 is up."
    assert "lag" not in enrich(line.format("0001"))["lexilog"]
    assert enrich(line.format("2025"))["lexilog"]["lag"] > 0
