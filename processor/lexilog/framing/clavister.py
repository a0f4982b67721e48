r"""Clavister lines: cOS Core (NetWall, also D-Link NetDefendOS) and cOS Stream (NetShield).

    <134>[2024-09-01 13:04:11] EFW: IPSEC: prio=1 id=01800906 rev=1 event=ike_sa_deleted local_ip=192.0.2.1
    Feb  5 09:45:23 192.0.2.1 EFW: IPSEC: prio=1 …              a collector's header, or a whole one of RFC 5424
    2024-09-01 13:04:13	Local0.Notice	192.0.2.1	[2024-09-01 13:04:11] EFW: RULE: prio=2 …
    id=1800906 event=ike_sa_deleted [message=IKE SA deleted local_ip=192.0.2.1 ][conn [conn connsrcip=… ]]algmod=http
    <133>[2024-09-01 13:04:11] IKE,IPSEC: Peer is dead. id=803 localip=192.0.2.1 …

The third form is what is left where the header was taken off; there values are not quoted and may have blanks. The wire
form of cOS Stream is not published: the last line is what its log reference lets expect, so any order of its parts is
read, with the text before the pairs, after the id or in a pair of its own.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from itertools import islice
from typing import NamedTuple

import msgspec

from lexilog.framing.payload import build_frame, header_before
from lexilog.framing.syslog import Header
from lexilog.framing.timestamp import Context, read_time
from lexilog.model import Frame

__all__ = ["parse_clavister"]

# How far into a line its header may reach, and how many words there are tried as the first one after it.
_WINDOW = 1024
_TRIES = 4
# How many pairs and groups are read; lines have up to about a hundred.
_PARTS = 4096
_BROKEN_PRI = re.compile(r"\ufeff?(?:\d{1,9} )?<(?!(?:\d|[1-9]\d|1[0-8]\d|19[01])>)")
_CATEGORY = r"[A-Z][A-Z0-9_]{1,31}"
# The device's own time, the product's token and the categories; where the last two are missing, the first pair.
_START = re.compile(
    r"(?<![^\s\]>\ufeff])(?:\[(?P<time>\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d[^\]\s]{0,10})\]\s{0,8})?"
    rf"(?P<product>EFW:\s{{0,8}})?(?:(?P<categories>{_CATEGORY}(?:,\s?{_CATEGORY}){{0,7}}):(?=\s|\Z)\s{{0,8}})?"
    r'(?(categories)|(?(product)|(?=(?:id|prio)="?\d)))'
)
_HEADERLESS = re.compile(r'id="?\d{6,8}"?\s+event="?\w')
# Without the product's token only these categories count: many a word in upper case has a colon behind it.
_CATEGORIES = frozenset(("IKE", "IPSEC"))
# Keys by which other vendors' lines of pairs begin.
_FOREIGN = frozenset(("devid", "devname", "device", "device_name", "fw", "log_id", "logid", "sn", "vd"))
# Parameters as cOS Stream names them; nearly every message has one of these.
_STREAM = frozenset(("destip", "iface", "localikespi", "localip", "recviface", "remoteikespi", "remoteip"))
_NUMBERS = ("id", "prio", "rev")
_TEXTS = ("message", "msg", "text")
_PROOF = re.compile(rf'(?<![\w.-])(?:(?:{"|".join(_NUMBERS)})="?\d|(?:event|{"|".join(sorted(_STREAM))})=)')

# A key, but not an attribute of a distinguished name: "CN=gw1, O=Example" is one value.
_KEY = (
    r'(?:(?<![^\s\[\]])|(?<="[,;]))(?!(?<=, )(?:CN|OU|O|C|L|ST|S|DC|E|T|SN|UID)=)'
    r"(?P<key>[A-Za-z_][\w.-]{0,63})="
)
# A group begins with its name, of up to four words, or with none; a "[" before anything else is part of a value.
_GROUP = (
    r"(?<![^\s\[\]])\[\s{0,8}(?P<group>(?:[A-Za-z][\w-]{0,31}\s{1,8}){0,4}+)"
    r"(?:(?=[A-Za-z_][\w.-]{0,63}=|\[)|[\w.-]{0,64}\Z)"
)
_MARK = re.compile(rf"{_KEY}|{_GROUP}|(?P<bracket>[\[\]])")
# A quote that no blank, bracket or separator follows is part of the value.
_QUOTED = re.compile(r'"((?:[^"\\]|\\.|"(?![\s\[\],;]|\Z))*+)"[,;]?', re.DOTALL)
# An address or a number, and behind it what is left of a key: a value of that kind has no blank.
_CUT_KEY = re.compile(r"((?:0x)?[0-9A-Fa-f.:]+) [A-Za-z_]{1,32}\Z")
_NUMBERED = re.compile(r"(\d{1,20})[:,;]?\s+(?=\S)")


class _Body(NamedTuple):
    """The pairs, the human text and whether a quote or a group is still open at the end."""

    data: dict[str, str]
    text: str
    truncated: bool


def parse_clavister(line: str, context: Context) -> Frame | None:
    """Return the frame of a line in one of Clavister's forms; see the module's text.

    Proof of a Clavister line are the token ``EFW``, a category before pairs of which one is the product's own, or an id
    of cOS Core right before an event.
    """
    if not _may_be(line) or _BROKEN_PRI.match(line):
        return None
    for start in islice(_START.finditer(line, 0, _WINDOW), _TRIES):
        header, before = header_before(line, start.start(), context), line[: start.start()]
        # What stands in the structured data of a header is a relay's.
        if header is None or before.count("[") > before.count("]"):
            continue
        body = _Reader(line.rstrip()).read(start.end())
        if _is_clavisters(start, header, body):
            return _frame(line, start, header, body, context)
    return None


def _may_be(line: str) -> bool:
    """Tell at little cost whether a line has any proof in it at all: every line of every vendor comes by here."""
    if "EFW" in line or "] IKE" in line or "] IPSEC" in line or "] RULE" in line or "IKE," in line:
        return True
    has_hint = (
        "id=" in line
        or "prio=" in line
        or "rev=" in line
        or "event=" in line
        or "ip=" in line
        or "face=" in line
        or "spi=" in line
    )
    return has_hint and _PROOF.search(line) is not None


def _is_clavisters(start: re.Match[str], header: Header, body: _Body) -> bool:
    data, categories = body.data, start["categories"]
    if start["product"] or header.process == "EFW":
        return bool(categories or data)
    # A program with a PID speaks for itself; firewalls of this make name neither.
    if header.pid is not None and header.version is None:
        return False
    if categories is None:
        return bool(_HEADERLESS.match(start.string, start.end()))
    # Its own time, or a list of categories, is as good as half a proof.
    own_form = start["time"] is not None or "," in categories
    known = _CATEGORIES | {"RULE"} if own_form else _CATEGORIES
    is_own = not known.isdisjoint(re.split(r",\s?", categories))
    if not (is_own or own_form) or not _FOREIGN.isdisjoint(data):
        return False
    # An id alone is any number; the product writes something beside it that others do not.
    beside = any(_is_number(data.get(name, "")) for name in ("prio", "rev")) or "event" in data
    if beside or not _STREAM.isdisjoint(data):
        return True
    # Each text of the reference is a sentence with its full stop.
    numbered = _is_number(data.get("id", ""))
    return is_own and ((own_form and data.keys() == {"id"}) or (body.text.endswith(".") and (numbered or own_form)))


def _frame(line: str, start: re.Match[str], header: Header, body: _Body, context: Context) -> Frame:
    begin = start.end("time") + 1 if start["time"] else start.start()
    # In a whole header of RFC 5424 the category may stand in the column of the message id.
    categories = start["categories"] or (header.tag if header.process == "EFW" else None)
    return build_frame(
        # What stands in the place of a program is the product.
        msgspec.structs.replace(header, process=None),
        "clavister",
        line[begin:].strip(),
        text=body.text,
        tag=_tag(body.data.get("id", "")),
        time=_time(start["time"], context),
        component=_first(categories) if categories else None,
        level=body.data.get("prio"),
        data=body.data or None,
        truncated=body.truncated,
    )


def _time(text: str | None, context: Context) -> datetime | None:
    """Read the device's own time, which names no zone because it is always UTC."""
    stamp = read_time(text, 0, msgspec.structs.replace(context, zone=UTC)) if text else None
    return stamp[0] if stamp else None


def _tag(number: str) -> str | None:
    """Return an id as the references write it: of eight digits (Core), or of up to four without leading zeros."""
    if not _is_number(number):
        return None
    return number.zfill(8) if len(number) > 4 else number.lstrip("0") or "0"


def _first(categories: str) -> str:
    return categories.partition(",")[0]


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit()


class _Reader:
    """Reads pairs in nested groups. Of two pairs with one key the second is named ``group.key``."""

    def __init__(self, line: str) -> None:
        self.line = line
        self.data: dict[str, str] = {}
        self.groups: list[str] = []
        # What stands outside of pairs.
        self.texts: list[str] = []

    def read(self, position: int) -> _Body:
        """Read everything from a position on."""
        cut, parts = False, 0
        while position < len(self.line) and not cut:
            parts += 1
            end, mark = self.until_mark(position)
            self.add_text(self.line[position:end])
            position = mark.end() if mark else end
            if parts > _PARTS:
                cut = True
            elif mark and mark["key"]:
                position, cut = self.pair(mark["key"], position)
            elif mark and mark["bracket"]:
                self.groups.pop()
            elif mark:
                self.groups.append(mark["group"].strip())
        return _Body(self.data, self.text(), cut or bool(self.groups))

    def until_mark(self, position: int) -> tuple[int, re.Match[str] | None]:
        """Return where a text ends: before a key, a group or the end of one; brackets of its own are part of it."""
        open_brackets = 0
        for mark in _MARK.finditer(self.line, position):
            if not mark["bracket"]:
                return mark.start(), mark
            if mark["bracket"] == "[":
                open_brackets += 1
            elif open_brackets:
                open_brackets -= 1
            elif self.groups:
                return mark.start(), mark
        return len(self.line), None

    def pair(self, key: str, position: int) -> tuple[int, bool]:
        """Read a value; return the position after it, and whether its closing quote is missing."""
        if self.line.startswith('"', position):
            quoted = _QUOTED.match(self.line, position)
            if quoted is None:
                return len(self.line), True
            self.add(key, quoted[1].replace('\\"', '"'))
            return quoted.end(), False
        end, _ = self.until_mark(position)
        value = self.line[position:end].strip()
        cut = _CUT_KEY.match(value) if end == len(self.line) else None
        value = cut[1] if cut else value
        if key in _NUMBERS and (number := _NUMBERED.match(value)):
            self.add_text(value[number.end() :])
            value = number[1]
        if key not in _TEXTS and end < len(self.line):
            value = value.removesuffix(",").removesuffix(";")
        self.add(key, value)
        return end, cut is not None

    def add(self, key: str, value: str) -> None:
        name = f"{self.groups[-1]}.{key}" if key in self.data and self.groups and self.groups[-1] else key
        self.data.setdefault(name, value)

    def add_text(self, text: str) -> None:
        if said := text.strip().strip(",;:|-").strip():
            self.texts.append(said)

    def text(self) -> str:
        """Return the human text: a pair of its own, else what stands outside of pairs."""
        for name in _TEXTS:
            if self.data.get(name):
                return self.data[name]
        event = self.data.get("event", "")
        if any(map(str.isspace, event)):
            return event
        text = self.texts[0] if self.texts else ""
        return text[1:-1] if len(text) > 1 and text[0] == text[-1] == '"' else text
