"""Alerts as data, and the rules of Kibana made of them."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from lexilog import errors
from lexilog.catalog.fields import fields
from lexilog.compilers import alert_page
from lexilog.compilers.alerts import Alert, load_alerts
from lexilog.compilers.kibana import alerts as kibana
from lexilog.compilers.source import Source, load_source

ALERTS = load_alerts()
NAMED = pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert.id)

GOOD = """\
id: good
title: Good
question: Is it good?
why: Because.
first: Look.
threshold: 3
counts: things
window: 10m
interval: 1m
group: [device, peer]
tags: []
esql: |
  FROM logs-lexilog.*-*
  | STATS things = COUNT(*) BY device, peer
  | WHERE things >= $threshold
"""


@pytest.fixture(scope="module")
def source() -> Source:
    return load_source()


def _written(folder: Path, text: str) -> Path:
    (folder / "good.yaml").write_text(text)
    return folder


def test_all_that_are_asked_for_are_there() -> None:
    """The shipped alerts are those that an admin of gateways wants to be woken by."""
    assert [alert.id for alert in ALERTS] == [
        "clock-off",
        "daemon-critical",
        "licence-exhausted",
        "logins-refused",
        "logins-refused-widely",
        "negotiations-failing",
        "tunnel-down",
        "tunnel-flapping",
    ]


@NAMED
def test_asks_for_fields_and_actions_that_exist(alert: Alert, source: Source) -> None:
    """Each field of a query is in the field table, and each event.action that it names is one of the catalogue's."""
    used = set(re.findall(r"(?<![\w\"])[a-z_@]+(?:\.[a-z_]+)+", alert.query.partition("\n")[2]))
    assert used
    assert used <= set(fields())
    actions = set(re.findall(r'"([a-z]+(?:-[a-z]+)+)"', alert.query))
    assert actions <= {entry.event.action for entry in source.entries}


@NAMED
def test_reads_the_shipped_data_streams(alert: Alert) -> None:
    """Each query reads all of lexilog's data streams and nothing else."""
    assert alert.query.startswith("FROM logs-lexilog.*-*\n")
    assert alert.query.count("FROM ") == 1


@NAMED
def test_fills_in_the_threshold(alert: Alert) -> None:
    """The query that is run holds the threshold as a number, and no place that is left to fill in."""
    assert "$" not in alert.query
    assert re.search(rf"\b{alert.threshold}\b", alert.query)


@NAMED
def test_looks_more_often_than_its_window_is_long(alert: Alert) -> None:
    """No record falls between two windows."""
    assert _seconds(alert.interval) < _seconds(alert.window)


def _seconds(span: str) -> int:
    return int(span[:-1]) * {"s": 1, "m": 60, "h": 3600, "d": 86400}[span[-1]]


def test_the_ids_stay() -> None:
    """An alert has the same id in every version: an upgrade finds the rule that the last one made."""
    assert {alert.id: alert.uuid for alert in ALERTS}["tunnel-down"] == "eaf5b2c5-79ec-59f3-8775-252fd3543f4b"
    assert len({alert.uuid for alert in ALERTS}) == len(ALERTS)


def test_a_rule_has_what_kibana_asks_for(source: Source) -> None:
    """A rule is an ES query rule with ES|QL: threshold more than 0 rows, time field, window, one alert for each row."""
    rule = next(rule for rule in kibana.rules(source) if rule["name"].startswith("lexilog: Tunnel down"))
    params = rule["params"]
    assert (rule["rule_type_id"], rule["consumer"], rule["schedule"]) == (
        ".es-query",
        "stackAlerts",
        {"interval": "1m"},
    )
    assert rule["actions"] == []
    assert (params["searchType"], params["timeField"], params["groupBy"]) == ("esqlQuery", "event.created", "row")
    assert (params["timeWindowSize"], params["timeWindowUnit"]) == (7, "d")
    assert (params["thresholdComparator"], params["threshold"]) == (">", [0])
    assert set(rule) == {
        "id", "name", "rule_type_id", "consumer", "enabled", "schedule", "tags", "params", "actions",
    }  # fmt: skip


def test_a_wrong_clock_hides_nothing(source: Source) -> None:
    """Every rule cuts its window out by the time of processing, never by the device's own."""
    assert {rule["params"]["timeField"] for rule in kibana.rules(source)} == {"event.created"}


def test_a_rule_is_known_as_ours(source: Source) -> None:
    """Each rule carries the tags by which the installer knows whose it is, and of which version."""
    assert [rule["tags"][:2] for rule in kibana.rules(source)] == [["lexilog", f"lexilog {source.version}"]] * len(
        ALERTS
    )


def test_an_older_kibana_gets_one_alert_for_all_rows(source: Source) -> None:
    """Without alerts for each row the rules are the same but for the way they group."""
    plain = kibana.rules(source, per_row=False)
    assert {rule["params"].pop("groupBy") for rule in plain} == {"all"}
    by_row = kibana.rules(source)
    assert {rule["params"].pop("groupBy") for rule in by_row} == {"row"}
    assert plain == by_row


def test_a_rule_explains_itself(source: Source) -> None:
    """Above the query stand question, reason and what to do first, as comments; Kibana may put a limit behind it."""
    for alert, rule in zip(ALERTS, kibana.rules(source), strict=True):
        text = rule["params"]["esqlQuery"]["esql"]
        comments, query = text[: text.index("FROM ")], text[text.index("FROM ") :]
        words = " ".join(line.removeprefix("// ") for line in comments.splitlines())
        assert words == f"{alert.question} Why: {alert.why} First: {alert.first}"
        assert query == alert.query
        assert not query.endswith("\n")


def test_files_hold_the_rules(source: Source) -> None:
    """Each rule is a file of its own, named by the alert."""
    found = kibana.files(source)
    assert [json.loads(content) for content in found.values()] == kibana.rules(source)
    assert list(found) == [f"dashboards/kibana/alerts/{alert.id}.json" for alert in ALERTS]


def test_the_page_tells_each(source: Source) -> None:
    """The page names each alert with its question, reason, first step and query."""
    page = alert_page.files(source)["docs/alerts.md"].decode()
    for alert in ALERTS:
        assert all(text in page for text in (alert.uuid, alert.question, alert.why, alert.first, alert.query))


def test_a_good_file_is_read(tmp_path: Path) -> None:
    """An alert of one's own is read from a folder."""
    (alert,) = load_alerts(_written(tmp_path, GOOD))
    assert alert.group == ("device", "peer")
    assert alert.query.endswith(">= 3")


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("threshold: 3", "treshold: 3", "good.yaml:6:1: key 'treshold' is not known here; is 'threshold' meant?"),
        ("threshold: 3", "threshold: 0", "good.yaml:6:1: threshold"),
        ("window: 10m", "window: ten", "good.yaml:8:1: window"),
        ("id: good", "id: better", "good.yaml:1:1: id 'better' is not the name of the file"),
        ("group: [device, peer]", "group: [device]", "its last STATS is not BY device, as group says"),
        (">= $threshold", ">= $treshold", "esql: $threshold is all that may be filled in"),
        (">= $threshold", ">= 3$", "esql: $threshold is all that may be filled in"),
    ],
)
def test_a_mistake_is_told(tmp_path: Path, old: str, new: str, said: str) -> None:
    """A mistake in an alert is told with the file, where in it, and what is wrong."""
    with pytest.raises(errors.CatalogError, match=re.escape(said)):
        load_alerts(_written(tmp_path, GOOD.replace(old, new)))
