"""Log entries of Forcepoint's Security Management Center (SMC): what their columns are called, and what they mean here.

Source: SMC 6.5.0 online help, "Exportable Firewall … log entry fields", for the names in CSV and XML; samples of
forwarded entries for the names in ``key="value"`` lines. Both are one set: ``INFO_MSG`` and ``InfoMsg`` are one column.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import TypedDict

from lexilog.framing.payload import first_of
from lexilog.framing.timestamp import Context, read_stamp

__all__ = ["PRODUCT", "VENDOR", "Facts", "is_header", "read_facts", "telling"]

# No format but CEF and LEEF names them; in those, the entries of the same log say "FORCEPOINT|Firewall".
VENDOR = "Forcepoint"
PRODUCT = "Firewall"

_TEXT = ("infomsg", "informationmessage")
_SITUATION = ("situation",)
_COMPONENT = ("facility",)
_LEVEL = ("alertseverity",)
_TIME = ("timestamp", "creationtime")
# Names that hardly occur together in the logs of other products.
_TELLING = frozenset({
    *_TEXT, *_SITUATION, *_COMPONENT, *_LEVEL, *_TIME,
    "compid", "eventid", "logid", "nodeid", "sender", "sendertype", "situationid",
})  # fmt: skip


class Facts(TypedDict):
    """What an entry says, by the attributes of `Frame`."""

    text: str
    time: datetime | None
    vendor: str
    product: str
    component: str | None
    level: str | None


def _column(name: str) -> str:
    """Return a column's name as it is compared: case, blanks and underscores do not count."""
    return name.replace("_", "").replace(" ", "").casefold()


def telling(names: Iterable[str]) -> int:
    """Return how many columns there are that speak for an entry of this log."""
    return len({_column(name) for name in names} & _TELLING)


def is_header(names: Iterable[str]) -> bool:
    """Tell whether names are the columns of such a log: a time, and the message or the situation."""
    columns = {_column(name) for name in names}
    return not columns.isdisjoint(_TIME) and not columns.isdisjoint(_TEXT + _SITUATION)


def read_facts(data: Mapping[str, str], context: Context) -> Facts:
    """Return what the columns of an entry mean."""
    columns: dict[str, str] = {}
    for name, value in data.items():
        columns.setdefault(_column(name), value)
    text, situation = first_of(columns, *_TEXT), first_of(columns, *_SITUATION)
    return Facts(
        text=text or situation or "",
        time=read_stamp(first_of(columns, *_TIME) or "", context),
        vendor=VENDOR,
        product=PRODUCT,
        # A situation is named in a few words, too few to be taken for a message that needs its facility.
        component=first_of(columns, *_COMPONENT) if text or not situation else None,
        level=first_of(columns, *_LEVEL),
    )
