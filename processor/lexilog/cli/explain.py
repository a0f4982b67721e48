"""``lexilog explain``: why a line is what it is taken for."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path

import click
from rich.cells import cell_len
from rich.text import Text

from lexilog.catalog.sources import load_catalogs
from lexilog.cli._options import FOUND, catalog_option, csv_columns_option, timezone_option
from lexilog.cli._output import console
from lexilog.framing import Context, frame
from lexilog.matching.explain import Nearest
from lexilog.matching.explain import explain as explain_frame
from lexilog.matching.index import Miss
from lexilog.model import Frame, Match
from lexilog.service.settings import read_zone

__all__ = ["explain"]

# How much of a long line is shown on either side of a place.
_AROUND = 60
_EQUAL = "the entry above has as much of this line, or more"
_HEADER = ("vendor", "product", "component", "level", "hostname", "process", "pid", "tag", "pri", "time", "location")


@click.command()
@catalog_option
@csv_columns_option
@timezone_option
@click.argument("line", required=False)
def explain(catalogs: tuple[Path, ...], csv_columns: tuple[str, ...], timezone: str, line: str | None) -> None:
    """Explain why LINE is recognised, or why not.

    Shows which wrapping the line is in, which entry it is, which of its words are documented, and where the next
    nearest entry stopped and what it wanted there. Without LINE one line is read from standard input.

    Exit code 0 when the line is recognised, 3 when it is not.

    \b
    Example:
      lexilog explain 'Aug  3 10:18:44 srx1 kmd[1]: KMD_VPN_UP_ALARM_USER: VPN v1 from 192.0.2.1 is up.'
    """
    if line is None:
        line = sys.stdin.buffer.readline().rstrip(b"\n").decode("utf-8", "surrogateescape")
    entries = [entry for item in load_catalogs(catalogs) for entry in item.entries]
    framed = frame(line, Context(datetime.now(UTC), read_zone(timezone), csv_columns))
    if framed is None:
        _say("frame", "none: no wrapping that is known fits this line")
        sys.exit(FOUND)
    _say("frame", framed.kind + ": " + _header(framed))
    found = explain_frame(framed, entries)
    if isinstance(found.match, Miss):
        _say("entry", f"none ({found.match.reason})")
    else:
        _print_match(framed, found.match, found.format, found.words)
    if found.nearest is not None:
        _print_nearest(framed, found.nearest)
    sys.exit(FOUND if isinstance(found.match, Miss) else 0)


def _say(what: str, text: Text | str) -> None:
    said = text if isinstance(text, Text) else Text(_clean(text))
    # A line that is broken would part the marks from what they mark.
    console().print(Text(f"{what:<10}", style="cyan") + said, soft_wrap=True)


def _clean(text: str) -> str:
    """Return a text that any terminal can show: control characters and broken bytes are escaped."""
    shown = "".join(c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in text)
    return shown.encode("utf-8", "backslashreplace").decode("utf-8")


def _visible(text: str) -> str:
    """Return a text with one visible character for each of its own, so that marks below it stand where they should."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)


def _header(framed: Frame) -> str:
    known = {name: getattr(framed, name) for name in _HEADER}
    said = ", ".join(f"{name} {value}" for name, value in known.items() if value is not None)
    cut = "; cut off" if framed.truncated else ""
    return (said or "no header") + cut


def _print_match(framed: Frame, match: Match, format_: str | None, words: tuple[tuple[int, int], ...]) -> None:
    entry = match.entry
    among = f" (with equal right one of {', '.join(match.candidates)})" if match.candidates else ""
    name = Text(f"{entry.catalog} ").append(entry.id, style="bold").append(f", match {match.quality.value}{among}")
    _say("entry", name)
    if format_ is not None:
        _say("format", format_)
    if framed.text and words:
        text = framed.text[: 20 * _AROUND]
        known = [any(start <= at < end for start, end in words) for at in range(len(text))]
        shown, marks = Text(), ""
        for character, is_known in zip(_visible(text), known, strict=True):
            shown.append(character, style="bold green" if is_known else "")
            marks += ("~" if is_known else " ") * cell_len(character)
        _say("text", shown)
        _say("", marks.rstrip())
    for key, value in {**match.values, **match.pairs}.items():
        _say("value", f"{key} = {value}")
    if match.tail:
        _say("tail", match.tail)


def _print_nearest(framed: Frame, nearest: Nearest) -> None:
    _say("nearest", Text(f"{nearest.entry.catalog} ").append(nearest.entry.id, style="bold"))
    _say("format", nearest.format)
    if nearest.wanted is not None:
        start = max(nearest.position - _AROUND, 0)
        before, after = framed.text[start : nearest.position], framed.text[nearest.position :][:_AROUND]
        _say("text", _visible(before + after))
        caret = " " * cell_len(_visible(before))
        _say("", Text(caret).append("^ wanted ", style="yellow").append(_clean(nearest.wanted)))
    for reason in nearest.against or (() if nearest.wanted else (_EQUAL,)):
        _say("but", reason)
