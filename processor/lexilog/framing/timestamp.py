"""The times that syslog headers carry, and what they leave out: year and zone."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, timezone, tzinfo

import msgspec

__all__ = ["MONTHS", "Context", "read_stamp", "read_time"]

MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_MONTHS = {name: number for number, name in enumerate(MONTHS, start=1)}
_ZONE = r"Z|UTC|GMT|[+-]\d\d:?\d\d"
_ISO = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[T ](\d\d):(\d\d):(\d\d)(?:[.,](\d{1,9}))? ?(" + _ZONE + r")?(?=[\s:\]]|\Z)",
)
# The year may stand before the time of day, as Junos documents it, or after it, as rsyslog knows it.
_BSD = re.compile(
    r"([A-Z][a-z]{2}) {1,2}(\d{1,2})(?: ((?:19|20)\d\d))? (\d\d):(\d\d):(\d\d)(?:[.,](\d{1,9}))?"
    r"(?: ?(" + _ZONE + r"))?(?: ((?:19|20)\d\d)(?=\s))?(?=[\s:\]]|\Z)"
)
# Seconds, or milliseconds, since 1970, from 2001 to 2286.
_EPOCH = re.compile(r"([0-9]{10})([0-9]{3})?\Z")
# A time without a year that lies further ahead than this is taken for last year's.
_AHEAD = timedelta(days=2)


class Context(msgspec.Struct, frozen=True):
    """What reading a line needs to know and the line does not say.

    Attributes:
        now: when the line arrived, with a zone.
        zone: zone of the times that name none.
        columns: names of the columns of comma-separated lines, if anybody has told them.
    """

    now: datetime
    zone: tzinfo = UTC
    columns: tuple[str, ...] = ()


def read_time(text: str, position: int, context: Context) -> tuple[datetime | None, int] | None:
    """Read the time that stands at `position`.

    Returns:
        The time in UTC and the position after it; None where no time stands there. The time itself is None when its
        digits are no date, such as the 31st of February.
    """
    found = _ISO.match(text, position)
    if found:
        year, number, *clocktime = found.groups()
        return _utc(int(year), int(number), clocktime, context), found.end()
    found = _BSD.match(text, position)
    if found and found[1] in _MONTHS:
        name, day, before, *rest, after = found.groups()
        month, clocktime = _MONTHS[name], [day, *rest]
        if before or after:
            return _utc(int(before or after), month, clocktime, context), found.end()
        return _without_year(month, clocktime, context), found.end()
    return None


def read_stamp(text: str, context: Context) -> datetime | None:
    """Read a value that is a time and nothing else: like a header's, or seconds or milliseconds since 1970 (CEF, LEEF).

    Returns:
        The time in UTC; None where the value is no time.
    """
    text = text.strip()
    if epoch := _EPOCH.match(text):
        return datetime.fromtimestamp(int(epoch[1]), UTC).replace(microsecond=int(epoch[2] or 0) * 1000)
    stamp = read_time(text, 0, context)
    return stamp[0] if stamp and not text[stamp[1] :].strip() else None


def _without_year(month: int, clocktime: Sequence[str | None], context: Context) -> datetime | None:
    """Choose the year that puts the time closest before now, with two days of grace for a clock that runs ahead."""
    try:
        latest, year = context.now + _AHEAD, context.now.astimezone(context.zone).year
    except OverflowError:
        # The agent's clock stands at the end of time.
        latest, year = context.now, context.now.year
    # Some years back, because the 29th of February is not in each of them.
    for candidate in range(year + 1, year - 9, -1):
        when = _utc(candidate, month, clocktime, context)
        if when is not None and when <= latest:
            return when
    return None


def _utc(year: int, month: int, clocktime: Sequence[str | None], context: Context) -> datetime | None:
    """Return a time from year, month and the texts of day, hour, minute, second, fraction and zone."""
    day, hour, minute, second = (int(text or 0) for text in clocktime[:4])
    fraction, zone = clocktime[4:]
    micro = int((fraction or "")[:6].ljust(6, "0"))
    try:
        # A leap second has no place in datetime: it is taken for the second before.
        when = datetime(year, month, day, hour, minute, min(second, 59), micro, _zone(zone) or context.zone)
        return when.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _zone(text: str | None) -> tzinfo | None:
    if text is None:
        return None
    if text[0] not in "+-":
        return UTC
    offset = timedelta(hours=int(text[1:3]), minutes=int(text[-2:]))
    return timezone(-offset if text[0] == "-" else offset)
