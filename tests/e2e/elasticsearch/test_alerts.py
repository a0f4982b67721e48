"""The query of each alert on a real node, asked as Kibana asks it: silent, or raised, by the story that the lines tell.

The lines are those of golden cases, made into documents by the processor; only their times are moved, and names in them
exchanged. No Kibana runs here: what it makes of a row is not shown.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from elasticsearch_node import Node
from lexilog.catalog.fields import fields
from lexilog.compilers.alerts import load_alerts
from lexilog.compilers.kibana.alerts import rules
from lexilog.compilers.source import load_source

Rows = list[dict[str, Any]]
# How many minutes ago, and the line; or that line with names exchanged.
Story = list[tuple[float, str]]

_INDEX = "h-alerts"
# This node lacks them.
_INSTEAD = {"match_only_text": "text", "constant_keyword": "keyword"}


def _line(case: str, **exchanged: str) -> str:
    golden = Path(__file__).resolve().parents[2] / "golden"
    line = (golden / case / "input.log").read_text().splitlines()[0]
    for old, new in exchanged.items():
        assert old in line
        line = line.replace(old, new)
    return line


DOWN = _line("junos/KMD_VPN_DOWN_ALARM_USER/documented")
UP = _line("junos/KMD_VPN_UP_ALARM_USER/documented")
DOWN_OTHER, UP_OTHER = DOWN.replace("branch-12", "hq"), UP.replace("branch-12", "hq")
DEAD = _line("junos/KMD_DPD_PEER_DOWN/observed", **{"gw1.example": "srx1"})
SA = _line("clavister/155/documented")
DEAD_CLAVISTER = _line("clavister/803/documented")
FAILED = _line("junos/KMD_PM_P1_POLICY_LOOKUP_FAILURE/documented")
FAILED_TUNNEL = _line("junos/KMD_PM_AUTH_ALGORITHM_INVALID/documented")
NO_LICENCE = _line("junos/DYNAMIC_VPN_LICENSE_EXHAUSTED/documented")
LICENCE = _line("junos/DYNAMIC_VPN_LICENSE_ASSIGNED/documented")
REFUSED = _line("junos/DYNAMIC_VPN_AUTH_INVALID/documented")
LOGGED_IN = _line("junos/DYNAMIC_VPN_AUTH_OK/documented")
WATCHDOG = _line("clavister/770/documented")
NO_AUTHD = _line("junos/DYNAMIC_VPN_AUTH_CONNECT_FAIL/documented")


@pytest.fixture
def index(esql8: Node) -> Iterator[str]:
    """Return an empty index with the fields of the field table."""
    properties = {name: _type(field.type) for name, field in fields().items()}
    esql8.request("PUT", f"/{_INDEX}", {"mappings": {"dynamic": False, "properties": properties}})
    yield _INDEX
    esql8.request("DELETE", f"/{_INDEX}")


@pytest.fixture
def raised(esql8: Node, index: str, enrich: Callable[..., dict[str, Any]]) -> Callable[[str, Story], Rows]:
    """Return a function from an alert's id and a story to the rows that its query then returns."""

    def run(alert: str, story: Story) -> Rows:
        now = datetime.now(UTC)
        for minutes, line in story:
            moved = {**enrich(line), "@timestamp": (now - timedelta(minutes=minutes)).isoformat()}
            esql8.request("POST", f"/{index}/_doc", moved)
        esql8.request("POST", f"/{index}/_refresh")
        return _ask(esql8, alert, now)

    return run


def _type(name: str) -> dict[str, str]:
    return {"type": _INSTEAD.get(name, name)}


def _ask(node: Node, alert: str, now: datetime) -> Rows:
    """Ask as Kibana's rule does: the window as a filter on ``timeField``, a limit behind the query."""
    rule = next(rule for rule in rules(load_source()) if rule["id"] == _uuids()[alert])
    params = rule["params"]
    span = timedelta(**{{"m": "minutes", "h": "hours"}[params["timeWindowUnit"]]: params["timeWindowSize"]})
    window = {"range": {params["timeField"]: {"gt": (now - span).isoformat(), "lte": now.isoformat()}}}
    query = params["esqlQuery"]["esql"].replace("FROM logs-lexilog.*-*", f"FROM {_INDEX}")
    assert f"FROM {_INDEX}\n" in query
    answer = node.request(
        "POST", "/_query", {"query": f"{query} | limit 1000", "filter": {"bool": {"filter": [window]}}}
    )
    names = [column["name"] for column in answer["columns"]]
    return [dict(zip(names, row, strict=True)) for row in answer["values"]]


def _uuids() -> dict[str, str]:
    return {alert.id: alert.uuid for alert in load_alerts()}


# By the alert: stories that raise it, with what of the row tells who it is.
LOUD: dict[str, tuple[str, Story, Rows]] = {
    "it went down": ("tunnel-down", [(30, DOWN)], [{"device": "srx1", "peer": "198.51.100.7", "tunnel": "branch-12"}]),
    "it was up before": ("tunnel-down", [(40, UP), (30, DOWN)], [{"tunnel": "branch-12"}]),
    "another tunnel to the same peer is up": ("tunnel-down", [(30, DOWN), (20, UP_OTHER)], [{"tunnel": "branch-12"}]),
    "it says so each minute": (
        "tunnel-down",
        [(30, DOWN), *((n, DOWN) for n in range(9, 0, -1))],
        [{"tunnel": "branch-12"}],
    ),
    "it came up and went down again": ("tunnel-down", [(30, DOWN), (20, UP), (10, DOWN)], [{"tunnel": "branch-12"}]),
    "the peer is dead": ("tunnel-down", [(30, DEAD)], [{"peer": "198.51.100.7", "tunnel": "any"}]),
    "the peer of a second vendor is dead": ("tunnel-down", [(30, DEAD_CLAVISTER)], [{"peer": "198.51.100.7"}]),
    "ten fail": (
        "negotiations-failing",
        [(5, FAILED)] * 10,
        [{"device": "srx1", "peer": "198.51.100.7", "failures": 10}],
    ),
    "ten fail that name the tunnel alone": (
        "negotiations-failing",
        [(5, FAILED_TUNNEL)] * 10,
        [{"device": "srx1", "peer": "tunnel-branch-12"}],
    ),
    "one has no licence": ("licence-exhausted", [(5, NO_LICENCE)], [{"device": "srx1", "refusals": 1}]),
    "five logins are refused": ("logins-refused", [(5, REFUSED)] * 5, [{"user": "vpnuser1", "refused": 5}]),
    "the name is in capitals once": (
        "logins-refused",
        [(5, REFUSED)] * 4 + [(4, REFUSED.replace("vpnuser1", "VPNUSER1"))],
        [{"user": "vpnuser1"}],
    ),
    "the watchdog restarts the daemon": ("daemon-critical", [(5, WATCHDOG)], [{"messages": 1}]),
    "users cannot be checked": ("daemon-critical", [(5, NO_AUTHD)], [{"device": "srx1", "messages": 1}]),
}

# Stories that raise nothing.
QUIET: dict[str, tuple[str, Story]] = {
    "it came up again": ("tunnel-down", [(30, DOWN), (29, UP)]),
    "it came up in the same second": ("tunnel-down", [(30, DOWN), (30, UP)]),
    "it went down only now": ("tunnel-down", [(2, DOWN)]),
    "it is up": ("tunnel-down", [(30, UP)]),
    "the dead peer has an SA again": ("tunnel-down", [(30, DEAD_CLAVISTER), (20, SA)]),
    "the dead peer's tunnel is up": ("tunnel-down", [(30, DEAD), (20, UP)]),
    "nine fail": ("negotiations-failing", [(5, FAILED)] * 9),
    "five each of two peers fail": (
        "negotiations-failing",
        [(5, FAILED)] * 5 + [(5, FAILED.replace("198.51.100.7", "198.51.100.8"))] * 5,
    ),
    "some failed long ago": ("negotiations-failing", [(5, FAILED)] * 5 + [(30, FAILED)] * 5),
    "licences are given": ("licence-exhausted", [(5, LICENCE)]),
    "a user mistypes twice, then is in": ("logins-refused", [(5, REFUSED)] * 2 + [(4, LOGGED_IN)]),
    "logins succeed": ("logins-refused", [(5, LOGGED_IN)] * 9),
    "one tunnel is down": ("daemon-critical", [(5, DOWN)]),
}


@pytest.mark.parametrize("name", LOUD)
def test_is_raised(raised: Callable[[str, Story], Rows], name: str) -> None:
    """A bad story raises its alert, for the device, peer, tunnel or user that it is about and no other."""
    alert, story, expected = LOUD[name]
    found = raised(alert, story)
    assert [{key: row[key] for key in wanted} for row, wanted in zip(found, expected, strict=True)] == expected


@pytest.mark.parametrize("name", QUIET)
def test_is_silent(raised: Callable[[str, Story], Rows], name: str) -> None:
    """A good story, or one that is not yet bad, raises nothing."""
    assert raised(*QUIET[name]) == []


@pytest.mark.parametrize("alert", _uuids())
def test_is_silent_on_nothing(raised: Callable[[str, Story], Rows], alert: str) -> None:
    """An alert that has no records to look at raises nothing, and its query uses no field that is not mapped."""
    assert raised(alert, []) == []


@pytest.mark.parametrize("alert", _uuids())
def test_each_has_stories(alert: str) -> None:
    """No alert goes without a story that raises it and one that does not."""
    assert alert in {one for one, *_ in LOUD.values()}
    assert alert in {one for one, _ in QUIET.values()}


def test_finds_its_records_among_all(esql8: Node, index: str) -> None:
    """Among the records of all golden cases each query runs to its end and finds some to tell of."""
    now = datetime.now(UTC)
    golden = Path(__file__).resolve().parents[2] / "golden"
    records = [one for path in sorted(golden.rglob("expected.json")) for one in json.loads(path.read_text())]
    moved = ({**one, "@timestamp": (now - timedelta(minutes=6)).isoformat()} for one in records)
    body = "".join(f'{{"create":{{}}}}\n{json.dumps(one)}\n' for one in moved)
    assert not esql8.request("POST", f"/{index}/_bulk?refresh=true", body.encode())["errors"]
    assert [alert for alert in _uuids() if not _ask(esql8, alert, now)] == []


def test_tells_since_when_and_what_it_means(raised: Callable[[str, Story], Rows]) -> None:
    """A tunnel is told to be down since the first message of that, with the explanation of the catalogue."""
    (row,) = raised("tunnel-down", [(50, DOWN), (40, UP), (30, DOWN), (20, DOWN)])
    down, up = (datetime.fromisoformat(row[name]) for name in ("down_since", "last_up"))
    assert down - up == timedelta(minutes=10)
    entry = next(entry for entry in load_source().entries if entry.id == "KMD_VPN_DOWN_ALARM_USER")
    assert row["meaning"] == entry.explanation


def test_rows_tell_the_alerts_apart(raised: Callable[[str, Story], Rows]) -> None:
    """Two tunnels that are down are two rows that differ in the columns of `group`: alerts of their own."""
    found = raised("tunnel-down", [(30, DOWN), (30, DOWN_OTHER)])
    (alert,) = (alert for alert in load_alerts() if alert.id == "tunnel-down")
    assert sorted(tuple(row[key] for key in alert.group) for row in found) == [
        ("srx1", "198.51.100.7", "branch-12"),
        ("srx1", "198.51.100.7", "hq"),
    ]
