"""Panels as data: what the shipped ones promise, and how a mistake is told."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from lexilog.catalog.fields import fields
from lexilog.compilers.panels import DASHBOARDS, Condition, Dashboard, Panel, load_panels, read_dashboard, read_searches
from lexilog.compilers.source import load_source
from lexilog.errors import CatalogError
from lexilog.yaml_document import Document

PANELS = load_panels()
ALL = [(dashboard, panel) for dashboard in PANELS.dashboards for panel in dashboard.panels]
# What a condition may ask of a field that only some values come into.
_ENTRIES = load_source().entries
EMITTED = {
    "event.action": {entry.event.action for entry in _ENTRIES},
    "event.outcome": {"success", "failure"},
    "event.kind": {"event", "pipeline_error"},
    "lexilog.impact": {"none", "degraded", "down", "security"},
    "lexilog.ike.phase": {"1", "2"},
    "lexilog.match.quality": {"exact", "prefix", "loose", "id_only", "none"},
    "lexilog.catalog.provenance": {"documented", "observed"},
    "network.protocol": {"ike", "ipsec"},
}

GOOD = """\
id: d
title: D
question: Does it work?
panels:
  - id: p
    title: P
    question: How many?
    kind: table
    at: {x: 0, y: 0, w: 24, h: 10}
    rows: [{label: Device, field: observer.hostname}]
    measures: [{label: Records}]
"""


def _read(folder: Path, text: str) -> Dashboard:
    return read_dashboard(Document(folder / "d.yaml", text), searches=frozenset({"some"}))


def _name(pair: tuple[Dashboard, Panel]) -> str:
    return f"{pair[0].id}/{pair[1].id}"


def test_every_file_is_shown(checkout: Path) -> None:
    """Each file of dashboards/panels is a dashboard that is made, or the saved searches."""
    there = {path.stem for path in (checkout / "dashboards" / "panels").iterdir()}
    assert there == {*DASHBOARDS, "searches"}


def test_the_four_dashboards() -> None:
    """There are an overview, tunnels, remote access and pipeline quality, under ids that stay."""
    assert [dashboard.id for dashboard in PANELS.dashboards] == [
        "overview", "tunnels", "remote-access", "pipeline-quality",
    ]  # fmt: skip


@pytest.mark.parametrize("dashboard", PANELS.dashboards, ids=lambda dashboard: dashboard.id)
def test_filters(dashboard: Dashboard) -> None:
    """Each dashboard can be narrowed to a vendor and a device; where tunnels have a last state, to no impact.

    Kept to "down", a tunnel that came back would be shown as down.
    """
    offered = {control.field for control in dashboard.controls}
    assert {"observer.vendor", "lexilog.observer"} <= offered
    assert ("lexilog.impact" in offered) is (dashboard.id != "tunnels")


def test_a_device_is_one_field() -> None:
    """A device counts as one however its lines name it, and a line that no catalogue knows has one too."""
    used = {field for _, panel in ALL for field in panel.fields}
    used |= {column for search in PANELS.searches for column in search.columns}
    used |= {control.field for dashboard in PANELS.dashboards for control in dashboard.controls}
    assert "lexilog.observer" in used
    assert not {"observer.hostname", "observer.name", "observer.ip"} & used


def test_what_is_wrong_with_a_clock_goes_by_our_own() -> None:
    """A device whose clock is wrong is seen where lags and silence are shown: those panels go by our clock."""
    by_ours = {f"{dashboard.id}/{panel.id}" for dashboard, panel in ALL if panel.clock == "event.created"}
    lags = {_name(pair) for pair in ALL if any(measure.field == "lexilog.lag" for measure in pair[1].measures)}
    assert by_ours == lags | {"overview/devices", "overview/silent-devices"}
    assert lags >= {"pipeline-quality/late", "pipeline-quality/lag", "pipeline-quality/lag-by-device"}


def test_no_reason_stands_beside_another_tunnel() -> None:
    """Trouble is told by tunnel: the newest reason is one that was given for the tunnel of its row."""
    (trouble,) = (panel for _, panel in ALL if panel.id == "trouble-now")
    assert "lexilog.tunnel.name" in [row.field for row in trouble.rows]
    assert all("Last reason" not in measure.label for _, panel in ALL for measure in panel.measures)


def test_a_share_of_vendors_is_of_all_records() -> None:
    """What has no vendor, since no catalogue knows it, is a share as well."""
    shares = [row for _, panel in ALL for row in panel.breakdowns if panel.id in ("volume-by-vendor", "products")]
    assert len(shares) == 3
    assert all(row.missing for row in shares)


@pytest.mark.parametrize("pair", ALL, ids=_name)
def test_a_panel_answers_a_question(pair: tuple[Dashboard, Panel]) -> None:
    """Each panel says which question it answers, and a table of trouble what to check first."""
    panel = pair[1]
    assert "?" in panel.question
    if "what to check first" in panel.title:
        assert any(measure.field == "lexilog.action" for measure in panel.measures)


def test_the_runbook_tells_message_meaning_and_first_check() -> None:
    """A table has a row for each message, with what it means, why it comes and what is to be checked first."""
    runbook = next(panel for _, panel in ALL if panel.id == "runbook")
    assert [row.field for row in runbook.rows] == ["lexilog.catalog.title"]
    told = {measure.field for measure in runbook.measures}
    assert {"lexilog.explanation", "lexilog.cause", "lexilog.action"} <= told


def _conditions() -> list[Condition]:
    found = [condition for search in PANELS.searches for condition in search.where]
    return [*dict.fromkeys(found + [condition for _, panel in ALL for condition in panel.conditions])]


@pytest.mark.parametrize("condition", _conditions(), ids=str)
def test_a_condition_asks_for_what_can_come(condition: Condition) -> None:
    """No condition waits for a value that no entry and no stage writes."""
    asked = {*condition.values, *condition.others}
    if fields()[condition.field].type == "boolean":
        assert asked <= {"true", "false"}
    elif asked:
        assert asked <= EMITTED[condition.field]


def test_the_steps_of_a_refused_login_are_all_counted() -> None:
    """Whatever refuses a user is among the actions that Remote access counts as refused."""
    refused = next(panel for dashboard, panel in ALL if (dashboard.id, panel.id) == ("remote-access", "refused"))
    (condition,) = refused.where
    authentication = {
        entry.event.action
        for entry in _ENTRIES
        if "authentication" in entry.event.category and entry.event.outcome == "failure" and "start" in entry.event.type
    }
    assert authentication
    assert authentication <= {*condition.values}


def test_a_good_one(tmp_path: Path) -> None:
    """The text that the mistakes below are made in is without mistakes."""
    (panel,) = _read(tmp_path, GOOD).panels
    assert panel.fields == {"observer.hostname", "@timestamp"}
    assert panel.sorted_by == 0


SECOND = """\
  - id: {id}
    title: Q
    question: How many?
    kind: {kind}
    at: {{x: {x}, y: 9, w: 24, h: 3}}
    measures: [{{label: Records}}]
"""
MISTAKES = {
    "an unknown field": (("observer.hostname", "observer.hostnam"), "10:", "'observer.hostnam' is not in the field"),
    "a field without terms": (("observer.hostname", "message"), "10:", "message cannot be grouped"),
    "a misspelt key": (("title: P", "titel: P"), "6:", "'titel' is not known here; is 'title' meant?"),
    "an unknown kind": (("kind: table", "kind: gauge"), "8:", "kind"),
    "too wide": (("w: 24", "w: 49"), "9:", "within 48 columns"),
    "left of the grid": (("x: 0", "x: -1"), "9:", "within 48 columns"),
    "of no height": (("h: 10", "h: 0"), "9:", "has a width and a height"),
    "a percentile beyond all": (
        ("{label: Records}", "{label: R, of: percentile, field: event.duration, percent: 100}"), "11:", "from 1 to 99",
    ),
    "a group of what is not there": (
        ("field: observer.hostname}", "groups: [{label: G, where: [{field: user.nam, exists: true}]}]}"),
        "10:",
        "'user.nam' is not in the field table; is 'user.name' meant?",
    ),
    "no rows": (("    rows: [{label: Device, field: observer.hostname}]\n", ""), "", "has 1 to 5 of them, not 0"),
    "one label twice": (("label: Device", "label: Records"), "", "two columns have the same label"),
    "a sum of texts": (
        ("{label: Records}", "{label: R, of: sum, field: user.name}"), "11:", "sum is of long, and user.name is none",
    ),
    "a sum of nothing": (("{label: Records}", "{label: R, of: sum}"), "11:", "sum needs a field"),
    "a percentile of no kind": (
        ("{label: Records}", "{label: R, of: percentile, field: event.duration}"), "11:", "percent: a percentile",
    ),
    "sorted by a last value": (
        ("{label: Records}", "{label: R, of: last, field: user.name}"), "", "groups are sorted by count, sum",
    ),
    "sorted by what is not there": (
        ("    rows:", "    sort: Record\n    rows:"), "10:", "no measure 'Record'; is 'Records' meant?",
    ),
    "ordered by what is not there": (("    rows:", "    order: {by: X}\n    rows:"), "", "by one of its columns"),
    "a condition of two minds": (
        ("    rows:", "    where: [{field: user.name, is: [a], exists: true}]\n    rows:"), "10:", "exactly one of is",
    ),
    "a text above a number": (
        ("    rows:", "    where: [{field: user.name, above: 1}]\n    rows:"), "10:", "user.name is no number",
    ),
    "more groups than a node answers": (("hostname}", "hostname, size: 65536}"), "", "up to 65536 groups"),
    "more groups by the groups within": (
        ("hostname}", "hostname, size: 300}, {label: U, field: user.name, size: 300}"), "", "up to 90300 groups",
    ),
    "a clock of nobody": (("kind: table\n", "kind: table\n    time: local\n"), "9:", "time"),
    "an address that is missing": (
        ("field: observer.hostname", "field: client.ip, missing: true"), "10:", "client.ip is no text",
    ),
    "neither field nor groups": (("{label: Device, field: observer.hostname}", "{label: D}"), "10:", "by a field or"),
    "one over another": (("", SECOND.format(id="q", kind="metric", x=23)), "16:", "stands over panel 'p'"),
    "one id twice": (("", SECOND.format(id="p", kind="metric", x=24)), "12:", "'p' is taken by another panel"),
    "lines with rows": (
        ("kind: table\n", "kind: lines\n    search: sme\n"), "", "a panel of kind lines has 0 of them",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("change", "where", "said"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_told(tmp_path: Path, change: tuple[str, str], where: str, said: str) -> None:
    """What cannot be shown is told with file, line and column, and with what would be right."""
    old, new = change
    text = GOOD.replace(old, new) if old else GOOD + new
    assert text != GOOD
    with pytest.raises(CatalogError) as raised:
        _read(tmp_path, text)
    assert str(raised.value).startswith(f"{tmp_path}/d.yaml:{where}")
    assert said in raised.value.problem


@pytest.mark.parametrize(("search", "said"), [("sme", "there is no 'sme'; is 'some' meant?"), ("some", "")])
def test_a_panel_of_lines_names_a_saved_search(tmp_path: Path, search: str, said: str) -> None:
    """A panel that shows a saved search names one that is there."""
    head = GOOD.partition("    kind:")[0]
    text = f"{head}    kind: lines\n    at: {{x: 0, y: 0, w: 48, h: 9}}\n    search: {search}\n"
    if not said:
        assert _read(tmp_path, text).panels[0].search == search
        return
    with pytest.raises(CatalogError, match=said.replace("?", "\\?")):
        _read(tmp_path, text)


def test_the_fields_of_a_panel() -> None:
    """All fields count, wherever they stand in a panel: each is looked up on a real node."""
    phases = next(panel for _, panel in ALL if panel.id == "phases")
    assert phases.fields == {"event.outcome", "lexilog.ike.phase", "@timestamp"}
    state = next(panel for _, panel in ALL if panel.id == "tunnel-state")
    assert {"event.action", "lexilog.observer", "lexilog.remote.ip", "@timestamp"} <= state.fields


def test_lines_go_by_the_time_of_the_device(tmp_path: Path) -> None:
    """A panel that shows a saved search cannot ask for another clock than the search has."""
    head = GOOD.partition("    kind:")[0]
    text = f"{head}    kind: lines\n    time: processing\n    at: {{x: 0, y: 0, w: 48, h: 9}}\n    search: some\n"
    with pytest.raises(CatalogError, match="a saved search goes by the time of the device"):
        _read(tmp_path, text)


def test_a_column_that_no_record_has(tmp_path: Path) -> None:
    """A saved search with a column that is not in the field table is told, with its place."""
    text = "- id: s\n  title: S\n  question: What?\n  where: []\n  columns:\n    - user.nam\n"
    with pytest.raises(CatalogError, match=r"s\.yaml:6:7: columns: 'user\.nam' .* is 'user\.name' meant"):
        read_searches(Document(tmp_path / "s.yaml", text))


def test_the_page_tells_all(checkout: Path) -> None:
    """The page on dashboards names each dashboard with its question, each saved search, and each key of a panel."""
    page = (checkout / "docs" / "dashboards.md").read_text()
    told = [text for dashboard in PANELS.dashboards for text in (dashboard.title, dashboard.question)]
    told += [search.title for search in PANELS.searches]
    told += [f"`{key}`" for key in Panel.__struct_encode_fields__ if key not in ("id", "title", "question")]
    told += [f"`{key}`" for key in Condition.__struct_encode_fields__]
    assert [text for text in told if text not in page] == []
    titles = {panel.title for _, panel in ALL}
    assert {*re.findall(r"\| \*([^*]+)\* \|", page)} <= titles


def test_the_example_of_the_page_is_a_panel(checkout: Path, tmp_path: Path) -> None:
    """The panel that the page shows can be made."""
    page = (checkout / "docs" / "dashboards.md").read_text()
    example = page.partition("```yaml\n")[2].partition("```")[0]
    text = f"id: d\ntitle: D\nquestion: Q?\npanels:\n{example}"
    assert _read(tmp_path, text).panels[0].id == "refused-users"
