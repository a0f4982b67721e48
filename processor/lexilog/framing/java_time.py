"""Times in a format that the line itself names by the letters of Java's SimpleDateFormat (LEEF ``devTimeFormat``)."""

from __future__ import annotations

import re
from datetime import datetime
from functools import lru_cache

from lexilog.framing.timestamp import MONTHS, Context, read_stamp

__all__ = ["read_java_time"]

# Longer formats than this are none that people write.
_LIMIT = 64
# Quoted text, in which a quote is doubled; a letter as often as it stands; blanks; any other character.
_TOKEN = re.compile(r"'((?:[^']|'')*+)'|([A-Za-z])\2*|\s+|.", re.DOTALL)
_NUMBERS = {
    "d": r"(?P<day>\d{1,2})",
    "H": r"(?P<hour>\d{1,2})",
    "h": r"(?P<half>\d{1,2})",
    "m": r"(?P<minute>\d{1,2})",
    "s": r"(?P<second>\d{1,2})",
    "S": r"(?P<fraction>\d{1,9})",
    "a": r"(?P<noon>[AaPp][Mm])",
    # Possessive, like blanks below: a format may hold many of them, and none gives back what another may take.
    "E": r"[A-Za-z]{1,9}+\.?+",
}
_ZONE = r"(?P<zone>Z|(?:UTC|GMT)?[+-]\d\d(?::?\d\d)?|UTC|GMT)"


def read_java_time(text: str, form: str, context: Context) -> datetime | None:
    """Read a value that is a time in a format such as ``MMM dd yyyy HH:mm:ss.SSS z``.

    Args:
        text: the value.
        form: the format. Quoted text stands for itself; a zone is read as UTC, GMT or an offset, because short names
            of other zones mean several.
        context: what a missing year or zone is taken from.

    Returns:
        The time in UTC; None where the value does not fit, or the format has letters that are not known here.
    """
    pattern = _compiled(form) if len(form) <= _LIMIT else None
    found = pattern.fullmatch(text.strip()) if pattern else None
    if found is None:
        return None
    parts = {name: value for name, value in found.groupdict().items() if value is not None}
    month, hour, day = _month(parts), _hour(parts), int(parts.get("day", 0))
    if month is None or hour is None:
        return None
    second = f"{int(parts.get('second', 0)):02}" + (f".{parts['fraction']}" if "fraction" in parts else "")
    clock = f"{hour:02}:{int(parts.get('minute', 0)):02}:{second}{_offset(parts.get('zone', ''))}"
    if "year" not in parts:
        return read_stamp(f"{MONTHS[month - 1]} {day} {clock}", context)
    year = parts["year"] if len(parts["year"]) == 4 else f"20{parts['year']}"
    return read_stamp(f"{year}-{month:02}-{day:02}T{clock}", context)


@lru_cache(maxsize=64)
def _compiled(form: str) -> re.Pattern[str] | None:
    """Return the pattern of a format; None where a letter is not known or comes twice."""
    pieces = [_piece(token) for token in _TOKEN.finditer(form)]
    try:
        return (
            re.compile("".join(piece for piece in pieces if piece is not None), re.ASCII)
            if None not in pieces
            else None
        )
    except re.error:
        return None


def _piece(token: re.Match[str]) -> str | None:
    letter, width = token[2], len(token[0])
    if token[1] is not None:
        return re.escape(token[1].replace("''", "'") or "'")
    if letter is None:
        return r"\s++" if token[0].isspace() else re.escape(token[0])
    if letter in "yu":
        return r"(?P<year>\d\d)" if width == 2 else r"(?P<year>\d{4})"
    if letter in "ML":
        return r"(?P<name>[A-Za-z]{3,9})\.?" if width >= 3 else r"(?P<month>\d{1,2})"
    return _ZONE if letter in "zZX" else _NUMBERS.get(letter)


def _month(parts: dict[str, str]) -> int | None:
    """Return the month from its number or the beginning of its English name."""
    number = int(parts.get("month", 0))
    name = parts.get("name", "")[:3].capitalize()
    if name in MONTHS:
        number = MONTHS.index(name) + 1
    return number if 1 <= number <= 12 else None


def _hour(parts: dict[str, str]) -> int | None:
    """Return the hour of the day; None where an hour of half a day does not say which half."""
    if "half" not in parts:
        return int(parts.get("hour", 0))
    if "noon" not in parts:
        return None
    return int(parts["half"]) % 12 + (12 if parts["noon"] in ("PM", "pm", "Pm", "pM") else 0)


def _offset(zone: str) -> str:
    """Return a zone as ISO 8601 writes it."""
    sign = max(zone.find("+"), zone.find("-"))
    if sign < 0:
        return "Z" if zone else ""
    digits = zone[sign + 1 :].replace(":", "")
    return f"{zone[sign]}{digits:0<4}"
