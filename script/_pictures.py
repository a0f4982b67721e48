"""Draws a picture of each dashboard from what Elasticsearch answers to the requests of its panels."""

# ruff: noqa: S310 (the URL is one that the user gave, or our own)

from __future__ import annotations

import io
import json
import sys
import textwrap
import urllib.request
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import accumulate, cycle
from pathlib import Path
from typing import Any

import matplotlib as mpl
import matplotlib.dates as mdates
import matplotlib.pyplot as plt
from _sample_day import sample_day
from PIL import Image, PngImagePlugin

from elasticsearch_node import Node
from elasticsearch_server import ES9
from elasticsearch_templates import mappings
from lexilog.compilers.kibana.search import list_request, panel_rows, search_request
from lexilog.compilers.panels import COLOURS, Breakdown, Dashboard, Measure, Panel, load_panels, unit
from pictures import KEYWORD, digest

Ask = Callable[[dict[str, Any]], dict[str, Any]]
Row = dict[str, Any]

_INDEX = "lexilog-pictures"
_FOLDER = Path(__file__).resolve().parent.parent / "docs" / "images"
_CAPTION = (
    "Made-up records of one day. Drawn with matplotlib from the answers of Elasticsearch {version} to the panels' "
    "queries; Kibana's own look differs."
)
# Of one column and one row of the grid, in inches; 100 dots to the inch.
_COLUMN, _ROW, _DPI = 0.32, 0.2, 100
_HEAD = 0.75
_LINE, _LETTER = 0.155, 0.0605
# Of values that mean nothing good or bad.
_COLOURS = ("#4c78a8", "#8f6bb3", "#72b7b2", "#9d755d", "#b5a642", "#54a24b", "#d08fa8", "#8a8a8a")


def main() -> None:
    """Draw them all."""
    mpl.rcParams.update(
        {"font.family": "DejaVu Sans", "font.size": 7.5, "axes.spines.top": False, "axes.spines.right": False}
    )
    panels = load_panels()
    searches = {search.id: search for search in panels.searches}
    _FOLDER.mkdir(parents=True, exist_ok=True)
    with _node() as url, _filled(url) as ask:
        version = _request("GET", url)["version"]["number"]
        for dashboard in panels.dashboards:
            rows = {
                panel.id: _listed(ask, searches[panel.search])
                if panel.search
                else panel_rows(panel, ask(search_request(panel)))
                for panel in dashboard.panels
            }
            _draw(dashboard, rows, _CAPTION.format(version=version), digest(panels, dashboard))


@contextmanager
def _node() -> Iterator[str]:
    """Return the URL that was given, or that of a node for this run."""
    if len(sys.argv) > 1:
        yield sys.argv[1].rstrip("/")
        return
    node = Node(ES9)
    try:
        yield node.url
    finally:
        node.stop()


@contextmanager
def _filled(url: str) -> Iterator[Ask]:
    """Fill an index with the sample day and return what asks it; take the index away in the end."""
    _request("PUT", f"{url}/{_INDEX}", json.dumps({"mappings": mappings()}).encode())
    try:
        lines = (json.dumps(one, default=str) for one in sample_day(datetime.now(UTC)))
        body = "".join(f'{{"create":{{}}}}\n{line}\n' for line in lines)
        answer = _request("POST", f"{url}/{_INDEX}/_bulk?refresh=true", body.encode())
        if answer["errors"]:
            sys.exit(f"a record was refused: {next(one for one in answer['items'] if 'error' in one['create'])}")
        yield lambda body: _request("POST", f"{url}/{_INDEX}/_search", json.dumps(body).encode())
    finally:
        _request("DELETE", f"{url}/{_INDEX}")


def _request(method: str, url: str, body: bytes | None = None) -> Any:
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"}, method=method)
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)


def _listed(ask: Ask, search: Any) -> list[Row]:
    hits = ask(list_request(search, 15))["hits"]["hits"]
    return [{name: _inside(hit["_source"], name) for name in ("@timestamp", *search.columns)} for hit in hits]


def _inside(found: Any, name: str) -> Any:
    for step in name.split("."):
        found = found.get(step) if isinstance(found, dict) else None
    return found


def _draw(dashboard: Dashboard, rows: dict[str, list[Row]], caption: str, drawn_of: str) -> None:
    width, height = 48 * _COLUMN, max(p.at.y + p.at.h for p in dashboard.panels) * _ROW + _HEAD
    figure = plt.figure(figsize=(width, height), dpi=_DPI, facecolor="#f4f5f7")
    figure.text(0.1 / width, 1 - 0.26 / height, dashboard.title, fontsize=13, weight="bold", va="center")
    figure.text(0.1 / width, 1 - 0.54 / height, caption, fontsize=8, color="#555555", va="center")
    for panel in dashboard.panels:
        at = panel.at
        box = (
            at.x * _COLUMN + 0.06,
            height - _HEAD - (at.y + at.h) * _ROW + 0.05,
            at.w * _COLUMN - 0.12,
            at.h * _ROW - 0.1,
        )
        card = figure.add_axes((box[0] / width, box[1] / height, box[2] / width, box[3] / height), facecolor="white")
        card.set(xticks=[], yticks=[], xlim=(0, box[2]), ylim=(0, box[3]))
        for spine in card.spines.values():
            spine.set(visible=True, color="#d9dce1")
        _DRAWN[panel.kind](card, panel, rows[panel.id])
    path = _FOLDER / f"{dashboard.id}.png"
    _save(figure, path, drawn_of)
    plt.close(figure)
    sys.stdout.write(f"{path.name}: {path.stat().st_size // 1000} kB\n")


def _save(figure: Any, path: Path, drawn_of: str) -> None:
    """Write the picture with 128 colours: nobody sees the difference, and it is far smaller."""
    drawn = io.BytesIO()
    figure.savefig(drawn, format="png", dpi=_DPI, facecolor=figure.get_facecolor())
    text = PngImagePlugin.PngInfo()
    text.add_text(KEYWORD, drawn_of)
    fewer = Image.open(drawn).convert("RGB").quantize(128, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    fewer.save(path, optimize=True, pnginfo=text)


def _title(card: Any, panel: Panel) -> None:
    card.text(0.1, card.get_ylim()[1] - 0.15, panel.title, fontsize=8.5, weight="bold", va="center")


def _metric(card: Any, panel: Panel, rows: list[Row]) -> None:
    (measure,) = panel.measures
    width, height = card.get_xlim()[1], card.get_ylim()[1]
    value = _shown(rows[0][measure.label], _field(measure))
    card.text(width / 2, height * 0.58, value, fontsize=20, weight="bold", ha="center", va="center", color="#1a4f86")
    card.text(width / 2, height * 0.2, measure.label, fontsize=8, ha="center", va="center", color="#555555")


def _table(card: Any, panel: Panel, rows: list[Row]) -> None:
    _title(card, panel)
    if panel.order:
        by = panel.order.by
        rows = sorted(rows, key=lambda row: (row[by] is not None, row[by] or 0), reverse=not panel.order.ascending)
    units = {measure.label: _field(measure) for measure in panel.measures}
    shown = [{name: _shown(value, units.get(name)) for name, value in row.items()} for row in rows]
    _grid(card, shown)


def _lines(card: Any, panel: Panel, rows: list[Row]) -> None:
    _title(card, panel)
    _grid(card, [{name: _shown(value, name) for name, value in row.items()} for row in rows])


def _grid(card: Any, rows: list[Row]) -> None:
    """Draw rows: columns as wide as their texts ask for, and long texts on as many lines as there is room for."""
    width, height = card.get_xlim()[1], card.get_ylim()[1]
    if not rows:
        return
    wanted = {name: max(_letters(name), *(_letters(row[name]) for row in rows)) for name in rows[0]}
    room, most = _room(wanted, int(width / _LETTER)), min(3, max(1, int((height - 0.5) / _LINE / len(rows))))
    starts = dict(zip(room, accumulate((count + 2 for count in room.values()), initial=0), strict=False))
    y = height - 0.38
    for name, start in starts.items():
        card.text(0.1 + start * _LETTER, y, name, fontsize=7, weight="bold", color="#555555", va="center")
    y -= _LINE * 0.7
    for row in rows:
        texts = {name: _wrapped(row[name], count, most) for name, count in room.items()}
        lines = max(len(text) for text in texts.values())
        if y - lines * _LINE < 0:
            break
        for name, text in texts.items():
            at = 0.1 + starts[name] * _LETTER
            card.text(at, y, "\n".join(text), fontsize=7, va="top", linespacing=1.25)
        y -= (lines + (0.35 if most > 1 else 0)) * _LINE


def _letters(text: str) -> int:
    """Return how many letters of common width a text is as wide as."""
    return len(text) + sum(letter.isupper() for letter in text) // 4


def _room(wanted: dict[str, int], whole: int) -> dict[str, int]:
    """Return how many letters each column has: what it wants, but for the longest, which share what is left."""
    limit = max(wanted.values())
    while limit > 8 and sum(min(one, limit) + 2 for one in wanted.values()) > whole:
        limit -= 1
    return {name: min(one, limit) for name, one in wanted.items()}


def _wrapped(text: str, letters: int, lines: int) -> list[str]:
    return textwrap.wrap(text, letters, max_lines=lines, placeholder="…")


def _time_series(card: Any, panel: Panel, rows: list[Row]) -> None:
    _title(card, panel)
    axes = _inner(card)
    counted = all(measure.of in ("count", "sum") for measure in panel.measures)
    series: dict[str, dict[datetime, float]] = {}
    for row in rows:
        then = datetime.fromisoformat(str(row["time"]))
        # Each colour has steps of its own; whole hours can be put on top of each other.
        then = then.replace(minute=0, second=0, microsecond=0) if counted else then
        for measure in panel.measures:
            if row[measure.label] is not None:
                one = series.setdefault(str(row[panel.split.label]) if panel.split else measure.label, {})
                one[then] = one.get(then, 0.0) + row[measure.label] * _scale(_field(measure))
    (_stacked if counted else _lined)(axes, series, _colours(series, panel.split))
    axes.xaxis.set_major_formatter(mdates.DateFormatter("%H:%M"))
    axes.set_ylim(bottom=0)
    axes.legend(loc="upper left", fontsize=6.5, frameon=False, ncols=4, bbox_to_anchor=(0, 1.12))


def _stacked(axes: Any, series: dict[str, dict[datetime, float]], colours: list[str]) -> None:
    bottom: dict[datetime, float] = {}
    for (name, one), colour in zip(series.items(), colours, strict=True):
        below = [bottom.get(then, 0.0) for then in one]
        axes.bar(list(one), list(one.values()), 0.85 / 24, below, label=name, color=colour, align="edge")
        bottom |= {then: bottom.get(then, 0.0) + value for then, value in one.items()}


def _lined(axes: Any, series: dict[str, dict[datetime, float]], colours: list[str]) -> None:
    for (name, one), colour in zip(series.items(), colours, strict=True):
        axes.plot(list(one), list(one.values()), label=name, color=colour, linewidth=1.2)


def _colours(names: Iterable[str], breakdown: Breakdown | None = None) -> list[str]:
    """Return the colours of values: those that Kibana is told to give to them, and others."""
    meant, left = COLOURS.get((breakdown and breakdown.field) or "", {}), cycle(_COLOURS)
    return [meant.get(name) or next(left) for name in names]


def _bar(card: Any, panel: Panel, rows: list[Row]) -> None:
    _title(card, panel)
    axes = _inner(card, left=1.9)
    (label, measure) = panel.rows[0].label, panel.measures[0].label
    names = list(dict.fromkeys(str(row[label]) for row in rows))
    left = dict.fromkeys(names, 0.0)
    kinds = list(dict.fromkeys(str(row[panel.split.label]) if panel.split else measure for row in rows))
    colours = dict(zip(kinds, _colours(kinds, panel.split), strict=True))
    for row in rows:
        name, colour = str(row[label]), colours[str(row[panel.split.label]) if panel.split else measure]
        axes.barh(names.index(name), row[measure], left=left[name], color=colour, height=0.65)
        left[name] += row[measure]
    axes.set_yticks(range(len(names)), [_shown(name, None)[:30] for name in names], fontsize=7)
    axes.invert_yaxis()
    handles = [plt.Rectangle((0, 0), 1, 1, color=colour) for colour in colours.values()]
    axes.legend(handles, list(colours), loc="lower right", fontsize=6.5, frameon=False)


def _pie(card: Any, panel: Panel, rows: list[Row]) -> None:
    _title(card, panel)
    axes = _inner(card, left=0.1, bottom=0.5)
    labels = [" / ".join(_shown(row[one.label], None) for one in panel.rows) for row in rows]
    values = [row[panel.measures[0].label] for row in rows]
    colours = _colours(labels, panel.rows[0] if len(panel.rows) == 1 else None)
    slices = axes.pie(values, colors=colours, startangle=90, counterclock=False, wedgeprops={"width": 0.45})[0]
    axes.legend(slices, labels, loc="upper center", fontsize=6.5, frameon=False, bbox_to_anchor=(0.5, 0.06), ncols=2)


def _inner(card: Any, left: float = 0.45, bottom: float = 0.3) -> Any:
    width, height = card.get_xlim()[1], card.get_ylim()[1]
    box = (left / width, bottom / height, (width - left - 0.15) / width, (height - bottom - 0.5) / height)
    return card.inset_axes(box)


def _field(measure: Measure) -> str | None:
    """Return the field whose unit the value of a measure has."""
    return measure.field if measure.of not in ("count", "unique") else None


def _scale(field: str | None) -> float:
    kind = unit(field) if field else None
    return 1e-9 if kind in ("nanoseconds", "lag") else 1e-6 if kind == "bytes" else 1.0


def _shown(value: Any, field: str | None) -> str:
    """Return a value as people read it: durations in seconds, bytes in MB, times without the date."""
    if value is None:
        return "-"
    kind = unit(field) if field else None
    if kind in ("nanoseconds", "lag"):
        return f"{value * 1e-9:.1f} s"
    if kind == "bytes":
        return f"{value * 1e-6:,.1f} MB"
    if field in ("@timestamp", "event.created"):
        return str(value)[11:19]
    if isinstance(value, float):
        return f"{value:,.0f}"
    return " ".join(str(value).split()) if value != "__missing__" else "(none)"


_DRAWN = {
    "metric": _metric,
    "time_series": _time_series,
    "bar": _bar,
    "pie": _pie,
    "table": _table,
    "lines": _lines,
}

if __name__ == "__main__":
    main()
