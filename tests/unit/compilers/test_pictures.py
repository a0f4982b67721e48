"""The pictures of the dashboards, drawn by script/pictures."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec import structs

from lexilog.compilers.panels import Dashboard, load_panels
from pictures import digest, drawn_of

LIMIT = 200_000
PANELS = load_panels()


def test_each_dashboard_has_a_picture(checkout: Path) -> None:
    """There is one picture for each dashboard and no other, and none makes a page slow."""
    pictures = {path.stem: path for path in (checkout / "docs" / "images").glob("*.png")}
    assert set(pictures) == {dashboard.id for dashboard in PANELS.dashboards}
    assert [name for name, path in pictures.items() if path.stat().st_size >= LIMIT] == []


@pytest.mark.parametrize("dashboard", PANELS.dashboards, ids=lambda dashboard: dashboard.id)
def test_each_picture_is_of_the_panels_of_today(checkout: Path, dashboard: Dashboard) -> None:
    """Whoever changes a panel draws the pictures again."""
    found = drawn_of(checkout / "docs" / "images" / f"{dashboard.id}.png")
    assert found == digest(PANELS, dashboard), "run script/pictures"


def test_another_panel_makes_another_digest() -> None:
    """A picture is out of date as soon as one panel, or a search that one shows, is another."""
    dashboard = next(one for one in PANELS.dashboards if any(panel.search for panel in one.panels))
    first = structs.replace(dashboard.panels[0], title="Another")
    changed = structs.replace(dashboard, panels=(first, *dashboard.panels[1:]))
    searches = tuple(structs.replace(search, columns=("message",)) for search in PANELS.searches)
    of = digest(PANELS, dashboard)
    assert len({of, digest(PANELS, changed), digest(PANELS._replace(searches=searches), dashboard)}) == 3
