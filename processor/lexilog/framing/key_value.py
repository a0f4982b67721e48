r"""Entries of the SMC log as ``key="value",key="value"``, which the SMC calls the McAfee ESM format.

    <6>May  1 16:25:56 192.0.2.9 Timestamp="2024-05-01 16:25:56",NodeId="192.0.2.2",InfoMsg="…",Facility="IPsec"

Source: SMC API, formats of log forwarding (``esm``), and samples of forwarded entries. A quote in a value is doubled or
has a backslash; senders that leave it bare are read too. The wrapping names no product; it is taken to be the
Forcepoint firewall, because these keys are the columns of the SMC's log, which in CEF and LEEF says
"FORCEPOINT|Firewall".
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice

from lexilog.framing.payload import HEADER_LIMIT, START, build_frame, header_before
from lexilog.framing.smc import read_facts, telling
from lexilog.framing.timestamp import Context
from lexilog.model import Frame

__all__ = ["parse_key_value"]

_KEY = r"[A-Za-z][\w.-]{0,63}"
_BEGINNING = re.compile(rf'{START}{_KEY}="', re.ASCII)
# What follows a closing quote: the next pair, whole or cut, or the end.
_AFTER = rf'\s*+(?:,\s*+(?:{_KEY}(?:="|=?\Z)|\Z)|\Z)'
# Two quotes are one that is escaped, unless the second one closes the value after a bare one.
_TWO_QUOTES = rf'""(?!\s*+(?:,\s*+{_KEY}="(?!")|\Z))'
_VALUE = rf'(?:[^"\\]++|{_TWO_QUOTES}|\\"(?!{_AFTER})|\\|"(?!{_AFTER}))*+'
_PAIR = re.compile(rf'({_KEY})="({_VALUE})("|\Z)\s*+(,?)\s*+', re.ASCII)
_ESCAPED = re.compile(r'""|\\"')
# How many of the keys must be there, and at how many places the first of them is looked for.
_ENOUGH = 3
_PLACES = 4


def parse_key_value(line: str, context: Context) -> Frame | None:
    """Return the frame of a key="value" line: its text is InfoMsg, its time Timestamp, its host the header's.

    Where the line is cut, the value that it is cut in is kept.
    """
    if '",' not in line or '="' not in line:
        return None
    for start in islice(_starts(line), _PLACES):
        header = header_before(line, start, context)
        if header is None:
            continue
        data, is_cut = _read_pairs(line, start)
        if telling(data) >= _ENOUGH:
            body = line[start:].rstrip("\r\n")
            return build_frame(header, "key_value", body, data=data, truncated=is_cut, **read_facts(data, context))
    return None


def _starts(line: str) -> Iterator[int]:
    """Yield where a first pair may stand: not within structured data, whose parameters look alike."""
    for found in _BEGINNING.finditer(line, 0, HEADER_LIMIT):
        if line.rfind("[", 0, found.start()) <= line.rfind("]", 0, found.start()):
            yield found.start()


def _read_pairs(line: str, position: int) -> tuple[dict[str, str], bool]:
    """Return the values by key, and whether the line breaks off."""
    data: dict[str, str] = {}
    is_cut = True
    while found := _PAIR.match(line, position):
        name, value, closed, comma = found.groups()
        data.setdefault(name, _ESCAPED.sub('"', value if closed else value.rstrip("\r\n")))
        position, is_cut = found.end(), not closed or comma != ""
    return data, is_cut or position < len(line)
