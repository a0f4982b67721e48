"""What payloads behind a syslog header have in common: where they begin, and how their frame is put together."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, NamedTuple

import msgspec

from lexilog.framing.syslog import Header, read_header
from lexilog.framing.timestamp import Context
from lexilog.model import Frame

__all__ = [
    "HEADER_LIMIT",
    "KEY",
    "START",
    "Fields",
    "build_frame",
    "find_payload",
    "header_before",
    "is_cut_escape",
    "read_fields",
    "read_id",
    "read_pairs",
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


class Fields(NamedTuple):
    """Header fields between pipes, whether all of them are there, and the position after them."""

    values: list[str]
    is_whole: bool
    end: int


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


def read_fields(text: str, position: int, count: int) -> Fields:
    r"""Read up to `count` fields that each end with a pipe, where ``\|`` and ``\\`` stand for the bare character."""
    values: list[str] = []
    while len(values) < count and (found := _FIELD.match(text, position)):
        values.append(_ESCAPED_IN_FIELD.sub(r"\1", found[1]).strip())
        position = found.end()
        if not found[2]:
            # The last field may do without its pipe, but then there must be something in it.
            return Fields(values, len(values) == count and values[-1] != "", position)
    return Fields(values, True, position)


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
