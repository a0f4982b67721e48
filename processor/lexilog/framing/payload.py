"""What payloads behind a syslog header have in common: where they begin, and how their frame is put together."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import msgspec

from lexilog.framing.syslog import Header, read_header
from lexilog.framing.timestamp import Context
from lexilog.model import Frame

__all__ = [
    "HEADER_LIMIT",
    "KEY",
    "START",
    "Piped",
    "build_frame",
    "find_payload",
    "first_of",
    "header_before",
    "is_cut_escape",
    "read_id",
    "read_pairs",
    "read_piped",
]

# How many characters may stand before a payload: four times what RFC 5424 section 6.1 asks of a receiver.
HEADER_LIMIT = 8192
# What a payload's beginning may follow: nothing, a blank, a program's name, a PRI.
START = r"(?<![^\s:>\ufeff])"
# The name of a pair in CEF and LEEF, which custom fields extend with an index: ad.x[0].
KEY = r"[\w.-]{1,256}+(?:\[[\w.-]{0,64}\]){0,4}"
_FIELD = re.compile(r"((?:[^\\|]++|\\.|\\\Z)*+)(\||\Z)", re.DOTALL)
_ESCAPED_IN_FIELD = re.compile(r"\\([\\|])")
# Ids that say nothing: what a Forcepoint log server writes for an entry without a situation of its own.
_NO_ID = frozenset({"", "0", "Generic"})


class _Fields(NamedTuple):
    """Header fields between pipes, whether all of them are there, and the position after them."""

    values: list[str]
    is_whole: bool
    end: int


class Piped(NamedTuple):
    """A payload that begins with fields between pipes.

    Attributes:
        header: the syslog header before it.
        beginning: what names format and version.
        body: the payload.
        fields: the fields, unescaped; empty where the line ends before them.
        rest: what follows the fields.
        is_cut: a field is missing, or the payload ends in the middle of an escape.
    """

    header: Header
    beginning: re.Match[str]
    body: str
    fields: list[str]
    rest: str
    is_cut: bool


def header_before(line: str, start: int, context: Context) -> Header | None:
    """Return the syslog header before a payload that begins at `start`; None where something else stands there."""
    # RFC 5424 section 6.4 puts a byte order mark between header and text.
    while start and line[start - 1] == "\ufeff":
        start -= 1
    return read_header(line, start, context)


def find_payload(line: str, beginning: re.Pattern[str], context: Context) -> tuple[Header, re.Match[str]] | None:
    """Find the first place where a payload's beginning stands, and the header before it.

    Returns:
        The header and the match of `beginning`; None where there is no beginning, or no header before it.
    """
    found = beginning.search(line, 0, HEADER_LIMIT)
    header = header_before(line, found.start(), context) if found else None
    return (header, found) if found and header else None


def read_piped(line: str, beginning: re.Pattern[str], count: int, context: Context) -> Piped | None:
    """Read the header between pipes with which CEF and LEEF begin.

    Args:
        line: the line.
        beginning: the format's name and version.
        count: how many fields follow it; vendor and product come first, and without them it is no such header.
        context: what the syslog header before it is read with.
    """
    payload = find_payload(line, beginning, context)
    if payload is None:
        return None
    header, found = payload
    body = line[found.start() :].rstrip("\r\n")
    fields = _read_fields(body, len(found[0]), count)
    values = fields.values + [""] * (count - len(fields.values))
    if not values[0] or not values[1]:
        return None
    is_cut = not fields.is_whole or is_cut_escape(body)
    return Piped(header, found, body, values, body[fields.end :], is_cut)


def first_of(data: Mapping[str, str], *names: str) -> str | None:
    """Return the first value of those names that is there and not empty."""
    return next((data[name] for name in names if data.get(name)), None)


def _read_fields(text: str, position: int, count: int) -> _Fields:
    r"""Read up to `count` fields that each end with a pipe, where ``\|`` and ``\\`` stand for the bare character."""
    values: list[str] = []
    while len(values) < count and (found := _FIELD.match(text, position)):
        values.append(_ESCAPED_IN_FIELD.sub(r"\1", found[1]).strip())
        position = found.end()
        if not found[2]:
            # The last field may do without its pipe, but then there must be something in it.
            return _Fields(values, len(values) == count and values[-1] != "", position)
    return _Fields(values, True, position)


def read_id(field: str) -> str | None:
    """Return the vendor's message id; None where the field does not tell one message from another."""
    return None if field in _NO_ID else field


def read_pairs(text: str, keys: Iterable[re.Match[str]]) -> list[tuple[str, str]]:
    """Return each key, which is group 1 of its match, and the text from there to the next match."""
    found = list(keys)
    ends = [following.start() for following in found[1:]] + [len(text)]
    return [(key[1], text[key.end() : end]) for key, end in zip(found, ends, strict=False)]


def is_cut_escape(text: str) -> bool:
    """Tell whether a text ends in a backslash whose character is missing."""
    return (len(text) - len(text.rstrip("\\"))) % 2 == 1


def build_frame(header: Header, kind: str, body: str, **facts: Any) -> Frame:
    """Put header and payload together; what the payload says counts more than the header, unless it is None.

    Args:
        header: what stood before the payload. Its message id is the relay's, not the vendor's, and is left out.
        kind: which wrapping it is.
        body: the payload.
        **facts: further attributes of `Frame`.
    """
    known = {name: value for name, value in facts.items() if value is not None}
    return Frame(**{**msgspec.structs.asdict(header), "tag": None, "kind": kind, "body": body, **known})
