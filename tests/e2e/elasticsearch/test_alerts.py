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
# How many minutes ago it came in, the line, and by how many minutes the device's clock is ahead, if it is.
Story = list[tuple[float, str] | tuple[float, str, float]]

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
UP_ELSEWHERE = UP.replace("198.51.100.7", "203.0.113.200")
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
NO_NAME = REFUSED.replace(
    "AUTH_INVALID: user vpnuser1 is invalid", "AUTH_FAIL: Username/password and token are invalid"
)
POLICY = _line("bluecedar/policy-reject/documented", **{'"username":"no route to host"': '"username":"alice"'})
NO_AUTHD = _line("junos/DYNAMIC_VPN_AUTH_CONNECT_FAIL/documented")


def _guessed(line: str, user: str, number: int) -> list[str]:
    """Return a line once for each of so many other users."""
    assert user in line
    return [line.replace(user, f"{user}{n}") for n in range(number)]


@pytest.fixture
def index(esql8: Node) -> Iterator[str]:
    """Return an empty index with the fields of the field table."""
    properties = {name: _type(field.type) for name, field in fields().items()}
    esql8.request("PUT", f"/{_INDEX}", {"mappings": {"dynamic": False, "properties": properties}})
    yield _INDEX
    esql8.request("DELETE", f"/{_INDEX}")


@pytest.fixture
def raised(esql8: Node, index: str, enrich: Callable[..., dict[str, Any]]) -> Callable[..., Rows]:
    """Return a function from an alert's id and a story, and what to exchange in its query, to the rows of that."""

    def run(alert: str, story: Story, *exchanged: str) -> Rows:
        now = datetime.now(UTC)
        told = [_moved(enrich(line), now - timedelta(minutes=minutes), *ahead) for minutes, line, *ahead in story]
        _write(esql8, index, told)
        return _ask(esql8, alert, now, *exchanged)

    return run


def _type(name: str) -> dict[str, str]:
    return {"type": _INSTEAD.get(name, name)}


def _moved(document: dict[str, Any], created: datetime, ahead: float = 0) -> dict[str, Any]:
    """Return a document as it is when it comes in at some time from a device whose clock is so many minutes ahead."""
    return {
        **document,
        "@timestamp": (created + timedelta(minutes=ahead)).isoformat(),
        "event": {**document["event"], "created": created.isoformat()},
        "lexilog": {**document["lexilog"], "lag": int(-ahead * 60e9)},
    }


def _write(node: Node, index: str, documents: Rows) -> None:
    if documents:
        body = "".join(f'{{"create":{{}}}}\n{json.dumps(one)}\n' for one in documents)
        assert not node.request("POST", f"/{index}/_bulk?refresh=true", body.encode())["errors"]


def _ask(node: Node, alert: str, now: datetime, old: str = "", new: str = "") -> Rows:
    """Ask as Kibana's rule does: the window as a filter on ``timeField``, a limit behind the query."""
    rule = next(rule for rule in rules(load_source()) if rule["id"] == _uuids()[alert])
    params = rule["params"]
    span = timedelta(
        **{{"m": "minutes", "h": "hours", "d": "days"}[params["timeWindowUnit"]]: params["timeWindowSize"]}
    )
    window = {"range": {params["timeField"]: {"gt": (now - span).isoformat(), "lte": now.isoformat()}}}
    query = params["esqlQuery"]["esql"].replace("FROM logs-lexilog.*-*", f"FROM {_INDEX}").replace(old, new)
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
    "it went down": ("tunnel-down", [(30, DOWN)], [{"device": "srx1", "tunnel": "branch-12", "peers": "198.51.100.7"}]),
    "it was up before": ("tunnel-down", [(40, UP), (30, DOWN)], [{"tunnel": "branch-12"}]),
    "another tunnel to the same peer is up": ("tunnel-down", [(30, DOWN), (20, UP_OTHER)], [{"tunnel": "branch-12"}]),
    "it says so each minute": (
        "tunnel-down",
        [(30, DOWN), *((n, DOWN) for n in range(9, 0, -1))],
        [{"tunnel": "branch-12"}],
    ),
    "it came up and went down again": ("tunnel-down", [(30, DOWN), (20, UP), (10, DOWN)], [{"tunnel": "branch-12"}]),
    "it goes down again at the address that it came back from": (
        "tunnel-down",
        [(30, DOWN), (20, UP_ELSEWHERE), (10, DOWN.replace("198.51.100.7", "203.0.113.200"))],
        [{"tunnel": "branch-12", "peers": "203.0.113.200"}],
    ),
    "it went down six days ago": ("tunnel-down", [(6 * 1440, DOWN)], [{"tunnel": "branch-12"}]),
    "its device's clock is ahead": ("tunnel-down", [(20, UP, 120), (10, DOWN, 120)], [{"tunnel": "branch-12"}]),
    "its device's clock stands in the year 2000": ("tunnel-down", [(10, DOWN, -14_000_000)], [{"tunnel": "branch-12"}]),
    "both the tunnel and its peer say so": (
        "tunnel-down",
        [(30, DEAD), (30, DOWN), (20, DEAD)],
        [{"device": "srx1", "tunnel": "branch-12"}],
    ),
    "the peer is dead, and its tunnel went down before": (
        "tunnel-down",
        [(90, DOWN), (80, UP), (30, DEAD)],
        [{"tunnel": "any to 198.51.100.7"}],
    ),
    "the peer is dead": (
        "tunnel-down",
        [(30, DEAD)],
        [{"device": "srx1", "tunnel": "any to 198.51.100.7", "peers": "198.51.100.7"}],
    ),
    "the peer of a second vendor is dead": ("tunnel-down", [(30, DEAD_CLAVISTER)], [{"tunnel": "any to 198.51.100.7"}]),
    "ten fail": (
        "negotiations-failing",
        [(5, FAILED)] * 10,
        [{"device": "srx1", "peer": "198.51.100.7", "failures": 10}],
    ),
    "one fails every three minutes": (
        "negotiations-failing",
        [(3 * n + 1, FAILED) for n in range(10)],
        [{"failures": 10}],
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
    "five without a user's name are refused": (
        "logins-refused",
        [(5, NO_NAME)] * 5,
        [{"user": "not named, on srx1", "refused": 5}],
    ),
    "many names are tried": (
        "logins-refused-widely",
        [(5, line) for line in _guessed(REFUSED, "vpnuser1", 20)],
        [{"origin": "device srx1", "refused": 20, "different_users": 20}],
    ),
    "many names are tried from one address": (
        "logins-refused-widely",
        [(5, line) for line in _guessed(POLICY, "alice", 20)],
        [{"origin": "address 198.51.100.7", "devices": "gw1"}],
    ),
    "many names are tried from one address on two devices": (
        "logins-refused-widely",
        [(5, line.replace(" gw1 ", f" gw{n % 2} ")) for n, line in enumerate(_guessed(POLICY, "alice", 20))],
        [{"origin": "address 198.51.100.7", "devices": ["gw0", "gw1"]}],
    ),
    "many names are tried from two addresses": (
        "logins-refused-widely",
        [
            (5, line.replace("198.51.100.7", f"198.51.100.{n % 2}"))
            for n, line in enumerate(_guessed(POLICY, "alice", 20))
        ],
        [{"origin": "device gw1", "refused": 20}],
    ),
    "it flaps": (
        "tunnel-flapping",
        [(minutes, line) for n in range(5) for minutes, line in ((50 - 9 * n, DOWN), (48 - 9 * n, UP))],
        [{"device": "srx1", "tunnel": "branch-12", "downs": 5}],
    ),
    "it flaps, and its peer is told to be dead each time": (
        "tunnel-flapping",
        [
            (minutes, line)
            for n in range(5)
            for minutes, line in ((50 - 9 * n, DOWN), (50 - 9 * n, DEAD), (48 - 9 * n, UP))
        ],
        [{"tunnel": "branch-12"}],
    ),
    "a peer that names no tunnel flaps": (
        "tunnel-flapping",
        [(minutes, line) for n in range(5) for minutes, line in ((50 - 9 * n, DEAD_CLAVISTER), (48 - 9 * n, SA))],
        [{"tunnel": "any to 198.51.100.7"}],
    ),
    "the clock is two hours ahead": (
        "clock-off",
        [(minutes, UP, 120) for minutes in (600, 300, 5)],
        [{"device": "srx1", "messages": 3, "lag_in_minutes": -120}],
    ),
    "the clock is a year behind": (
        "clock-off",
        [(minutes, UP, -525_600) for minutes in (600, 300, 5)],
        [{"messages": 3}],
    ),
    "the clock was put wrong an hour ago": (
        "clock-off",
        [*((minutes, UP) for minutes in (600, 300, 90)), *((minutes, UP, 120) for minutes in (60, 30, 5))],
        [{"messages": 3}],
    ),
    "the watchdog restarts the daemon": ("daemon-critical", [(5, WATCHDOG)], [{"messages": 1}]),
    "users cannot be checked": ("daemon-critical", [(5, NO_AUTHD)], [{"device": "srx1", "messages": 1}]),
}

# Stories that raise nothing.
QUIET: dict[str, tuple[str, Story]] = {
    "it came up again": ("tunnel-down", [(30, DOWN), (29, UP)]),
    "it came up in the same second": ("tunnel-down", [(30, DOWN), (30, UP)]),
    "it came up from another address": ("tunnel-down", [(30, DOWN), (20, UP_ELSEWHERE)]),
    "it came up from another address than its dead peer's": (
        "tunnel-down",
        [(30, DEAD), (30, DOWN), (20, UP_ELSEWHERE)],
    ),
    "it came up, by a clock that is behind": ("tunnel-down", [(30, DOWN, -3000), (29, UP, -3000)]),
    "that it came up came in first": ("tunnel-down", [(30, DOWN, -1), (31, UP)]),
    "it went down only now, by a clock that is behind": ("tunnel-down", [(2, DOWN, -3000)]),
    "it went down eight days ago": ("tunnel-down", [(8 * 1440, DOWN)]),
    "it went down only now": ("tunnel-down", [(2, DOWN)]),
    "it is up": ("tunnel-down", [(30, UP)]),
    "the dead peer has an SA again": ("tunnel-down", [(30, DEAD_CLAVISTER), (20, SA)]),
    "the dead peer's tunnel is up": ("tunnel-down", [(30, DEAD), (20, UP)]),
    "nine fail": ("negotiations-failing", [(5, FAILED)] * 9),
    "five each of two peers fail": (
        "negotiations-failing",
        [(5, FAILED)] * 5 + [(5, FAILED.replace("198.51.100.7", "198.51.100.8"))] * 5,
    ),
    "some failed long ago": ("negotiations-failing", [(5, FAILED)] * 5 + [(40, FAILED)] * 5),
    "licences are given": ("licence-exhausted", [(5, LICENCE)]),
    "a user mistypes twice, then is in": ("logins-refused", [(5, REFUSED)] * 2 + [(4, LOGGED_IN)]),
    "logins succeed": ("logins-refused", [(5, LOGGED_IN)] * 9),
    "four without a user's name are refused on each of two devices": (
        "logins-refused",
        [(5, NO_NAME)] * 4 + [(5, NO_NAME.replace("srx1", "srx2"))] * 4,
    ),
    "one user is refused twenty times": ("logins-refused-widely", [(5, REFUSED)] * 20),
    "nineteen names are tried": ("logins-refused-widely", [(5, line) for line in _guessed(REFUSED, "vpnuser1", 19)]),
    "many have no licence": ("logins-refused-widely", [(5, NO_LICENCE)] * 30),
    "it went down and up four times": (
        "tunnel-flapping",
        [(minutes, line) for n in range(4) for minutes, line in ((50 - 9 * n, DOWN), (48 - 9 * n, UP))],
    ),
    "it says each minute that it is down": ("tunnel-flapping", [*((n, DOWN) for n in range(30, 5, -1)), (4, UP)]),
    "a peer that is told to be dead each minute is back with many SAs": (
        "tunnel-flapping",
        [*((n, DEAD_CLAVISTER) for n in range(30, 5, -1)), *((4 - n / 100, SA) for n in range(20))],
    ),
    "one dead peer is back with many SAs": (
        "tunnel-flapping",
        [(30, DEAD_CLAVISTER), *((n, SA) for n in range(29, 1, -1))],
    ),
    "an old file is read in": ("clock-off", [(20 - n, UP, -100_000 + 30 * n) for n in range(15)]),
    "a short old file is read in at once": ("clock-off", [(5, UP, -100_000)] * 15),
    "an old file of a device that is right": (
        "clock-off",
        [*((minutes, UP, -100_000) for minutes in (40, 30, 20)), (5, UP)],
    ),
    "what was held back comes late": ("clock-off", [(20 - n, UP, n - 300) for n in range(15)]),
    "the clock is right again": ("clock-off", [*((minutes, UP, 120) for minutes in (60, 30, 15)), (5, UP)]),
    "the clock is a minute ahead": ("clock-off", [(minutes, UP, 1) for minutes in (60, 30, 15)]),
    "one tunnel is down": ("daemon-critical", [(5, DOWN)]),
}


@pytest.mark.parametrize("name", LOUD)
def test_is_raised(raised: Callable[..., Rows], name: str) -> None:
    """A bad story raises its alert, for the device, peer, tunnel or user that it is about and no other."""
    alert, story, expected = LOUD[name]
    found = raised(alert, story)
    assert [{key: row[key] for key in wanted} for row, wanted in zip(found, expected, strict=True)] == expected


@pytest.mark.parametrize("name", QUIET)
def test_is_silent(raised: Callable[..., Rows], name: str) -> None:
    """A good story, or one that is not yet bad, raises nothing."""
    assert raised(*QUIET[name]) == []


@pytest.mark.parametrize("alert", _uuids())
def test_is_silent_on_nothing(raised: Callable[..., Rows], alert: str) -> None:
    """An alert that has no records to look at raises nothing, and its query uses no field that is not mapped."""
    assert raised(alert, []) == []


@pytest.mark.parametrize("alert", _uuids())
def test_each_has_stories(alert: str) -> None:
    """No alert goes without a story that raises it and one that does not."""
    assert alert in {one for one, *_ in LOUD.values()}
    assert alert in {one for one, _ in QUIET.values()}


def test_finds_its_records_among_all(esql8: Node, index: str) -> None:
    """Among the records of all golden cases, five times over, each query runs to its end and finds some to tell of."""
    now = datetime.now(UTC)
    golden = Path(__file__).resolve().parents[2] / "golden"
    records = [one for path in sorted(golden.rglob("expected.json")) for one in json.loads(path.read_text())]
    for minutes in (6, 9, 12, 15, 18):
        _write(esql8, index, [_moved(one, now - timedelta(minutes=minutes), 120) for one in records])
    assert [alert for alert in _uuids() if not _ask(esql8, alert, now)] == []


def test_tells_since_when_and_what_it_means(raised: Callable[..., Rows]) -> None:
    """A tunnel is told to be down since the first message of that, with the explanation of the catalogue."""
    (row,) = raised("tunnel-down", [(50, DOWN), (40, UP), (30, DOWN), (20, DOWN)])
    down, up = (datetime.fromisoformat(row[name]) for name in ("down_since", "last_up"))
    assert down - up == timedelta(minutes=10)
    entry = next(entry for entry in load_source().entries if entry.id == "KMD_VPN_DOWN_ALARM_USER")
    assert row["meaning"] == entry.explanation


def test_rows_tell_the_alerts_apart(raised: Callable[..., Rows]) -> None:
    """Two tunnels that are down are two rows that differ in the columns of `group`: alerts of their own."""
    found = raised("tunnel-down", [(30, DOWN), (30, DOWN_OTHER)])
    (alert,) = (alert for alert in load_alerts() if alert.id == "tunnel-down")
    assert sorted(tuple(row[key] for key in alert.group) for row in found) == [
        ("srx1", "branch-12"),
        ("srx1", "hq"),
    ]


def test_the_page_helps_nodes_of_a_cluster(raised: Callable[..., Rows], checkout: Path) -> None:
    """With the copy that the page tells to make, an up of the second node takes back the down of the first."""
    story = [(30, DOWN.replace("srx1", "srx-node0")), (20, UP.replace("srx1", "srx-node1"))]
    copy = 'device = REPLACE(lexilog.observer, "[-_.]?node[01]$", "")'
    assert copy in (checkout / "docs/alerts.md").read_text()
    assert [row["device"] for row in raised("tunnel-down", story)] == ["srx-node0"]
    assert raised("tunnel-down", [], 'device = COALESCE(lexilog.observer, "not named")', copy) == []


def test_the_page_helps_where_many_peers_share_a_name(raised: Callable[..., Rows], checkout: Path) -> None:
    """With the copy that the page tells to make, each peer of a shared tunnel is down for itself."""
    copy = 'name = CONCAT(lexilog.tunnel.name, " to ", peer)'
    assert copy in (checkout / "docs/alerts.md").read_text()
    assert raised("tunnel-down", [(30, DOWN), (20, UP_ELSEWHERE)]) == []
    (row,) = raised("tunnel-down", [], "name = lexilog.tunnel.name", copy)
    assert row["tunnel"] == "branch-12 to 198.51.100.7"
