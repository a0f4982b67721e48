"""What each panel asks, asked on a real node over the documents of all golden cases.

No Kibana runs here: that it draws the answer is not shown. The node lacks two field types, which stand in the shipped
templates and are mapped to the nearest that it has.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from elasticsearch_node import Node
from elasticsearch_templates import fitting, golden, leaves
from lexilog.compilers.elasticsearch.templates import templates
from lexilog.compilers.kibana.kuery import kql
from lexilog.compilers.kibana.saved_objects import saved_objects
from lexilog.compilers.kibana.search import condition_query, list_request, panel_rows, search_request
from lexilog.compilers.panels import Condition, Dashboard, Panel, SavedSearch, load_panels
from lexilog.compilers.source import load_source
from lexilog.enrich.document import document
from lexilog.enrich.ecs import error_fields
from lexilog.model import Enriched, Outcome, Record

PANELS = load_panels()
SHOWN = [(dashboard, panel) for dashboard in PANELS.dashboards for panel in dashboard.panels if panel.kind != "lines"]
# Rare or missing in golden cases: a line that may be two messages, one in other words than documented, and one of a
# device whose clock is ahead.
_MORE = (
    '<134>[2025-09-01 13:04:11] EFW: IKE: prio=1 rev=1 message="Released address." ip=192.0.2.7',
    "<30>Aug  3 10:18:44 srx1 kmd[14162]: KMD_VPN_DOWN_ALARM_USER:  VPN  hq  from 198.51.100.7  is down",
    "<30>1 2099-08-03T10:18:44.461+02:00 srx1 kmd 14162 KMD_VPN_UP_ALARM_USER "
    '[junos@2636.1.1.1.2.129 vpn-name="hq" remote-address="198.51.100.7"] VPN hq from 198.51.100.7 is up.',
)


@pytest.fixture(scope="module")
def index(es9: Node, enrich: Callable[..., dict[str, Any]]) -> Iterator[str]:
    """Return an index with the documents of all golden cases and some more, as old as a minute to a day."""
    documents = [*golden().values(), *(enrich(line) for line in _MORE), _failed()]
    with _filled(es9, "panels-of-golden-cases", documents) as name:
        yield name


@pytest.fixture
def story(es9: Node) -> Iterator[Callable[[list[dict[str, Any]]], str]]:
    """Return a function that fills an index, the first document being the newest, and returns its name."""
    with ExitStack() as stack:
        yield lambda documents: stack.enter_context(_filled(es9, "panels-of-a-story", documents))


def _failed() -> dict[str, Any]:
    record = Record(line="a line on which processing failed")
    fields = error_fields(record, datetime.now(UTC), "made up for this test")
    return document(Enriched(record=record, fields=fields, outcome=Outcome.ERROR, reason="error"))


@contextmanager
def _filled(node: Node, name: str, documents: list[dict[str, Any]]) -> Iterator[str]:
    now = datetime.now(UTC)
    step = timedelta(days=1) / (len(documents) + 1)
    moved = [{**one, "@timestamp": (now - step * (position + 1)).isoformat()} for position, one in enumerate(documents)]
    node.request("PUT", f"/{name}", {"mappings": _mappings(), "settings": {"number_of_replicas": 0}})
    try:
        lines = "".join('{"create":{}}\n' + json.dumps(one) + "\n" for one in moved)
        answer = node.request("POST", f"/{name}/_bulk?refresh=true", lines.encode())
        assert not answer["errors"], answer
        yield name
    finally:
        node.request("DELETE", f"/{name}")


def _mappings() -> dict[str, Any]:
    """Return the mappings of the shipped templates, with the types that this node has."""
    whole: dict[str, Any] = {"properties": {}}
    for made in fitting(templates(load_source(), lifecycle=None)):
        mappings = made.body["template"].get("mappings", {}) if made.kind == "component_template" else {}
        whole["properties"] |= mappings.get("properties", {})
        whole |= {name: value for name, value in mappings.items() if name != "properties"}
    return whole


def _search(node: Node, index: str, body: dict[str, Any]) -> dict[str, Any]:
    answer: dict[str, Any] = node.request("POST", f"/{index}/_search", body)
    return answer


def _name(pair: tuple[Dashboard, Panel]) -> str:
    return f"{pair[0].id}/{pair[1].id}"


@pytest.mark.parametrize("pair", SHOWN, ids=_name)
def test_no_panel_and_no_column_is_empty(es9: Node, index: str, pair: tuple[Dashboard, Panel]) -> None:
    """Each panel finds records, makes rows of them, and has a value in each of its columns."""
    panel = pair[1]
    answer = _search(es9, index, search_request(panel))
    rows = panel_rows(panel, answer)
    assert answer["hits"]["total"]["value"] > 0
    assert rows
    for column in rows[0]:
        # A zero tells nothing but for a condition that never holds.
        assert any(row[column] not in (None, 0, "") for row in rows), f"{column} is empty"


@pytest.mark.parametrize("dashboard", PANELS.dashboards, ids=lambda dashboard: dashboard.id)
def test_every_field_can_be_aggregated(es9: Node, index: str, dashboard: Dashboard) -> None:
    """Each field of a panel or a filter is mapped, searchable and aggregatable: Kibana shows an error otherwise."""
    used = {control.field for control in dashboard.controls}
    used |= {field for panel in dashboard.panels for field in panel.fields}
    found = es9.request("GET", f"/{index}/_field_caps?fields={','.join(sorted(used))}")["fields"]
    for field in sorted(used):
        (told,) = found[field].values()
        assert told["aggregatable"], field
        assert told["searchable"], field


def _all_conditions() -> list[tuple[Condition, ...]]:
    found = [search.where for search in PANELS.searches]
    for _, panel in SHOWN:
        found += [panel.where, *(measure.where for measure in panel.measures)]
        found += [group.where for breakdown in panel.breakdowns for group in breakdown.groups]
    return [*dict.fromkeys(where for where in found if where)]


def _lucene(text: str) -> str:
    """Return KQL of the kind that we write as Lucene's language, which the node itself reads."""
    text = re.sub(r"not ([\w@.]+) : \*", r"(NOT _exists_:\1)", text)
    text = re.sub(r"([\w@.]+) : \*", r"_exists_:\1", text)
    text = re.sub(r"not ([\w@.]+) : (\([^)]*\)|\"[^\"]*\")", r"(NOT \1:\2)", text)
    text = re.sub(r" ([<>]) ", r":\1", text).replace(" : ", ":")
    return text.replace(" and ", " AND ").replace(" or ", " OR ")


@pytest.mark.parametrize("where", _all_conditions(), ids=kql)
def test_kql_says_what_the_request_asks(es9: Node, index: str, where: tuple[Condition, ...]) -> None:
    """The text that Kibana gets finds as many records as the query of the request: some, and not all."""
    asked = es9.request("POST", f"/{index}/_count", {"query": condition_query(where)})["count"]
    lucene = {"query_string": {"query": _lucene(kql(where))}}
    assert es9.request("POST", f"/{index}/_count", {"query": lucene})["count"] == asked
    assert 0 < asked < es9.request("GET", f"/{index}/_count")["count"]


@pytest.mark.parametrize("search", PANELS.searches, ids=lambda search: search.id)
def test_no_saved_search_is_empty(es9: Node, index: str, search: SavedSearch) -> None:
    """Each finds records, and each of its columns has a value in some of them."""
    hits = _search(es9, index, list_request(search, size=1000))["hits"]["hits"]
    assert hits
    filled = {name for hit in hits for name, _ in leaves(hit["_source"])}
    assert {*search.columns} <= filled


def test_no_record_is_lost_by_the_filter_of_a_dashboard(es9: Node, index: str) -> None:
    """The filter that keeps a dashboard to our records lets all of them pass, those without a dataset included."""
    everything = es9.request("GET", f"/{index}/_count")["count"]
    dashboards = [found for found in saved_objects(load_source()) if found["type"] == "dashboard"]
    assert dashboards
    for found in dashboards:
        source = json.loads(found["attributes"]["kibanaSavedObjectMeta"]["searchSourceJSON"])
        for each in source["filter"]:
            assert es9.request("POST", f"/{index}/_count", {"query": each["query"]})["count"] == everything


def _panel(dashboard: str, panel: str) -> Panel:
    return next(found for where, found in SHOWN if (where.id, found.id) == (dashboard, panel))


def test_the_state_of_tunnels(
    es9: Node, story: Callable[[list[dict[str, Any]]], str], enrich: Callable[..., dict[str, Any]]
) -> None:
    """Of each tunnel the last word counts: one that came back is up, one that went down is down, with the reason."""
    line = "Aug  3 10:18:44 srx1 kmd[1]: KMD_VPN_{what}_ALARM_USER: VPN {name} from 198.51.100.7 is {is_}."
    down = [enrich(line.format(what="DOWN", name=name, is_="down")) for name in ("hq", "branch")]
    up = [enrich(line.format(what="UP", name=name, is_="up")) for name in ("hq", "branch")]
    down[0]["event"]["reason"] = "the peer is gone"
    panel = _panel("tunnels", "tunnel-state")
    index = story([down[0], up[1], down[1], up[0]])
    rows = {row["Tunnel"]: row for row in panel_rows(panel, _search(es9, index, search_request(panel)))}
    wanted = ("Device", "Peer", "Last impact", "Last event", "Went down", "Came up", "Newest reason given")
    assert [rows["hq"][name] for name in wanted] == [
        "srx1", "198.51.100.7", "down", "tunnel-down", 1, 1, "the peer is gone",
    ]  # fmt: skip
    assert [rows["branch"][name] for name in wanted] == [
        "srx1", "198.51.100.7", "none", "tunnel-up", 1, 1, None,
    ]  # fmt: skip
    assert rows["hq"]["Check first"] == down[0]["lexilog"]["action"]


def test_top_groups_are_chosen_by_the_measure_that_sorts(
    es9: Node, story: Callable[[list[dict[str, Any]]], str], enrich: Callable[..., dict[str, Any]]
) -> None:
    """Groups come greatest first by the measure that the panel names, not by the number of records."""
    line = "Aug  3 10:18:44 {device} kmd[1]: KMD_VPN_DOWN_ALARM_USER: VPN hq from 198.51.100.7 is down."
    old, new = (enrich(line.format(device=device)) for device in ("srx1", "srx2"))
    panel = _panel("overview", "trouble-now")
    rows = panel_rows(panel, _search(es9, story([new, old, old]), search_request(panel)))
    assert [(row["Device"], row["Times"]) for row in rows] == [("srx2", 1), ("srx1", 2)]


_ALARM = "Aug  3 10:18:44 {device} kmd[1]: KMD_VPN_{what}_ALARM_USER: VPN {name} from {peer} is {is_}."
_DEAD = "Aug  3 10:18:44 {device} kmd[1]: KMD_DPD_PEER_DOWN: DPD detected peer {peer} is dead"
Story = Callable[[list[dict[str, Any]]], str]
Enrich = Callable[..., dict[str, Any]]


def _down(name: str, peer: str = "198.51.100.7", device: str = "srx1") -> str:
    return _ALARM.format(device=device, what="DOWN", name=name, peer=peer, is_="down")


def _up(name: str, peer: str = "198.51.100.7", device: str = "srx1") -> str:
    return _ALARM.format(device=device, what="UP", name=name, peer=peer, is_="up")


def _shown(node: Node, index: str, dashboard: str, panel: str) -> list[dict[str, Any]]:
    """Return the rows of a panel in the last day, by the clock that it goes by."""
    found = _panel(dashboard, panel)
    request = search_request(found)
    day = {"range": {found.clock: {"gte": "now-24h", "lte": "now"}}}
    request["query"] = {"bool": {"filter": [request["query"], day]}}
    return panel_rows(found, _search(node, index, request))


def test_a_silent_tunnel_that_is_down_is_shown(es9: Node, story: Story, enrich: Enrich) -> None:
    """Tunnels that are down and say nothing more stand beside however many went down since and came back."""
    busy = []
    for number in range(120):
        site = f"site-{number}", f"198.18.0.{number + 1}"
        busy += [enrich(_up(*site)), enrich(_down(*site))]
    silent = [enrich(_down(f"silent-{number}", f"198.18.1.{number + 1}")) for number in range(4)]
    rows = _shown(es9, story([*busy, *silent]), "tunnels", "tunnel-state")
    assert len(rows) == 124
    assert {row["Tunnel"] for row in rows if row["Last impact"] == "down"} == {f"silent-{n}" for n in range(4)}


def test_tunnels_that_are_down_come_before_those_that_talk(es9: Node, story: Story, enrich: Enrich) -> None:
    """Where there are more peers than rows, those that never went down or name no tunnel are left out, not the down."""
    others = [enrich(_up(f"site-{number}", f"198.18.0.{number + 1}")) for number in range(210)]
    others += [enrich(_DEAD.format(device="srx1", peer=f"198.18.2.{number + 1}")) for number in range(210)]
    rows = _shown(es9, story([*others, enrich(_down("gone", "198.18.1.1"))]), "tunnels", "tunnel-state")
    assert len(rows) == 200
    assert rows[0]["Tunnel"] == "gone"


def test_a_tunnel_that_came_back_leaves_no_ghost(es9: Node, story: Story, enrich: Enrich) -> None:
    """A dead peer without the name of a tunnel is told among the peers, not as a tunnel that is down for good."""
    dead = enrich(_DEAD.format(device="srx1", peer="198.51.100.7"))
    index = story([enrich(_up("hq")), enrich(_down("hq")), dead])
    rows = _shown(es9, index, "tunnels", "tunnel-state")
    assert [(row["Tunnel"], row["Last impact"]) for row in rows] == [("hq", "none")]
    (peer,) = _shown(es9, index, "tunnels", "dpd")
    assert (peer["Peer"], peer["Declared dead"]) == ("198.51.100.7", 1)
    assert peer["Last seen alive"] > peer["Last declared dead"]


def test_a_peer_without_a_tunnel_that_stays_dead(es9: Node, story: Story, enrich: Enrich) -> None:
    """A vendor that names no tunnel has its dead peers shown first, and they were not seen alive since."""
    line = '<134>[2025-09-01 13:04:11] EFW: IKE: prio=2 id={id} rev=1 message="{text}" remoteip={peer}'
    alive = [
        enrich(line.format(id=155, text="Successfully created IPsec SA.", peer=f"198.18.0.{number}"))
        for number in range(1, 13)
    ]
    dead = enrich(line.format(id=803, text="Peer is dead.", peer="203.0.113.9"))
    first, *others = _shown(es9, story([*alive, dead]), "tunnels", "dpd")
    assert (first["Peer"], first["Declared dead"], first["Last seen alive"]) == ("203.0.113.9", 1, None)
    assert {row["Last declared dead"] for row in others} == {None}


def test_a_wrong_clock_is_seen(es9: Node, story: Story, enrich: Enrich) -> None:
    """Devices whose clock is years behind or ahead are counted, listed with their lag, and told to be ahead."""
    documents = []
    for device, moved in (("right", 0), ("behind", -26 * 365), ("ahead", 365)):
        one = enrich(_down("hq", device=device))
        one["event"]["created"] = datetime.now(UTC).isoformat()
        one["lexilog"]["lag"] = -moved * 86_400 * 10**9
        documents.append((one, moved))
    index = story([one for one, _ in documents])
    for one, moved in documents:
        then = datetime.now(UTC) + timedelta(days=moved)
        change = {"script": {"source": f"ctx._source['@timestamp'] = '{then.isoformat()}'"}}
        query = {"query": {"term": {"lexilog.observer": one["lexilog"]["observer"]}}}
        es9.request("POST", f"/{index}/_update_by_query?refresh=true", {**change, **query})
    assert _shown(es9, index, "overview", "devices") == [{"Devices heard": 3}]
    assert {row["Device"] for row in _shown(es9, index, "overview", "silent-devices")} == {"right", "behind", "ahead"}
    rows = {row["Device"]: row for row in _shown(es9, index, "pipeline-quality", "lag-by-device")}
    assert [rows[name]["Clock ahead"] for name in ("right", "behind", "ahead")] == [0, 0, 1]


def test_a_device_that_fell_silent(es9: Node, story: Story, enrich: Enrich) -> None:
    """Each device has a row with when it was last heard, those that only send what no catalogue knows included."""
    lines = (
        _up("hq", device="loud"),
        "<27>Aug  3 10:18:44 strange xyzd[1]: nobody knows this",
        _up("hq", device="quiet"),
    )
    documents = [enrich(line) for line in lines]
    for hours, one in enumerate(documents):
        assert "created" in one["event"]
        one["event"]["created"] = (datetime.now(UTC) - timedelta(hours=6 * hours, seconds=5)).isoformat()
    rows = {row["Device"]: row for row in _shown(es9, story(documents), "overview", "silent-devices")}
    assert sorted(rows, key=lambda name: str(rows[name]["Last heard"])) == ["quiet", "strange", "loud"]


def test_trouble_of_two_tunnels_is_told_apart(es9: Node, story: Story, enrich: Enrich) -> None:
    """Beside a tunnel stand its own peer and reason; a newer message without a reason does not take another's."""
    old, new = enrich(_down("aaa", "198.51.100.1")), enrich(_down("bbb", "198.51.100.2"))
    old["event"]["reason"] = "Lifetime expired"
    rows = _shown(es9, story([new, old]), "overview", "trouble-now")
    assert [(row["Tunnel"], row["Last peer"], row["Newest reason given"]) for row in rows] == [
        ("bbb", "198.51.100.2", None),
        ("aaa", "198.51.100.1", "Lifetime expired"),
    ]


def test_trouble_of_many_devices(es9: Node, story: Story, enrich: Enrich) -> None:
    """When thirty branches lose the same tunnel, each has its row, and each loss is counted."""
    index = story([enrich(_down("to-hq", device=f"branch-{number}")) for number in range(30)])
    assert len(_shown(es9, index, "overview", "trouble-now")) == 30
    (counted,) = _shown(es9, index, "overview", "tunnels-down")
    assert [*counted.values()] == [30]


def test_what_flaps(es9: Node, story: Story, enrich: Enrich) -> None:
    """Tunnels of one name on two devices are two, and a peer without a tunnel flaps in a table of its own."""
    line = '<134>[2025-09-01 13:04:11] EFW: IKE: prio=2 id={id} rev=1 message="{text}" remoteip=203.0.113.9'
    lines = [_down("hq"), _up("hq")] * 3 + [_down("hq", device="srx2"), _up("hq", device="srx2")]
    lines += [
        line.format(id=803, text="Peer is dead."),
        line.format(id=155, text="Successfully created IPsec SA."),
    ] * 4
    index = story([enrich(one) for one in lines])
    tunnels = _shown(es9, index, "tunnels", "flapping")
    assert [tuple(row.values()) for row in tunnels] == [("srx1", "hq", 3, 3), ("srx2", "hq", 1, 1)]
    (peer,) = _shown(es9, index, "tunnels", "flapping-peers")
    assert (peer["Peer"], peer["Declared dead"], peer["Came up"]) == ("203.0.113.9", 4, 4)


def test_a_login_is_counted_by_user(es9: Node, story: Story, enrich: Enrich) -> None:
    """A user who logged in is listed, also where no message tells of the session after it."""
    text = "User user01 with laptop 7A4F authenticated successfully."
    data = '[junos@2636.1.1.1.2.129 type="User" username="user01" client-name="laptop" client-id="7A4F"]'
    line = f"<37>1 2025-05-04T15:27:26.461Z srx2 kmd 1 DYNAMIC_VPN_AUTH_OK {data} {text}"
    (row,) = _shown(es9, story([enrich(line)]), "remote-access", "sessions")
    assert (row["User"], row["Logins"], row["Begun"]) == ("user01", 1, 0)
