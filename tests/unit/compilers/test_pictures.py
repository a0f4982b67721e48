"""The pictures of the dashboards, drawn by script/pictures."""

from __future__ import annotations

from pathlib import Path

from lexilog.compilers.panels import load_panels

LIMIT = 200_000


def test_each_dashboard_has_a_picture(checkout: Path) -> None:
    """There is one picture for each dashboard and no other, and none makes a page slow."""
    pictures = {path.stem: path for path in (checkout / "docs" / "images").glob("*.png")}
    assert set(pictures) == {dashboard.id for dashboard in load_panels().dashboards}
    assert [name for name, path in pictures.items() if path.stat().st_size >= LIMIT] == []
