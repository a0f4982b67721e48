r"""Log Event Extended Format: ``LEEF:1.0|Vendor|Product|Version|EventID|key=value<TAB>key=value``.

Format: IBM QRadar LEEF guide. LEEF 2.0 has one more field, which names the character between the pairs as it is or by
its code: ``^``, ``x09``, ``0x5E``. Empty or left out, it means TAB, as in LEEF 1.0.

    LEEF:1.0|Forcepoint|Firewall|7.1.5|Generic|devTimeFormat=MMM dd yyyy HH:mm:ss<TAB>devTime=…<TAB>msg=…<TAB>sender=…

Collectors put ``#011``, ``\t`` or blanks in the place of a TAB. Values escape ``=`` and ``\``; Forcepoint doubles
quotes.
"""

from __future__ import annotations

import re
from datetime import datetime
from functools import lru_cache

from lexilog.framing.java_time import read_java_time
from lexilog.framing.payload import KEY, START, build_frame, first_of, is_cut_escape, read_id, read_pairs, read_piped
from lexilog.framing.timestamp import Context, read_stamp
from lexilog.model import Frame

__all__ = ["parse_leef"]

_BEGINNING = re.compile(START + r"LEEF: ?(\d)(?:\.\d{1,3})?\|")
# The field of LEEF 2.0 that names the delimiter; the delimiter may be a pipe itself.
_DELIMITER = re.compile(r"(\|(?=\|)|\t|[^|=\s]{0,6})\|")
_CODE = re.compile(r"0?[xX]([0-9A-Fa-f]{1,4})")
_NAMED_TAB = frozenset({"", "\\t", "#011", "tab", "TAB"})
# What may stand between pairs, the surest first; blanks only where nothing else does.
_DELIMITERS = ("\t", "#011", "\\t", "^", "  ", " ")
_CUT_KEY = re.compile(rf" {{0,8}}{KEY}", re.ASCII)
# How many delimiters with nothing between them are taken for one.
_EMPTY_PAIRS = 8
_ESCAPED = re.compile(r'\\([\\=])|"(")')
_BLANKS = " \t\r\n"


def parse_leef(line: str, context: Context) -> Frame | None:
    """Return the frame of a LEEF line: its text is ``msg``, its time ``devTime``, else the header's.

    A line that is cut needs vendor and product to count; a value at its end is kept, because nothing tells whether it
    is whole.
    """
    if "LEEF:" not in line or (piped := read_piped(line, _BEGINNING, 4, context)) is None:
        return None
    vendor, product, _, event = piped.fields
    data, is_cut = _read_attributes(piped.rest, has_delimiter=piped.beginning[1] != "1")
    return build_frame(
        piped.header,
        "leef",
        piped.body,
        text=first_of(data, "msg", "message", "Message") or "",
        tag=read_id(event),
        time=_time(data, context),
        hostname=first_of(data, "identHostName"),
        vendor=vendor,
        product=product,
        component=first_of(data, "Facility", "facility", "cat"),
        level=first_of(data, "sev"),
        data=data or None,
        truncated=is_cut or piped.is_cut,
    )


def _time(data: dict[str, str], context: Context) -> datetime | None:
    value = data.get("devTime", "")
    return read_java_time(value, data.get("devTimeFormat", ""), context) or read_stamp(value, context)


def _read_attributes(text: str, *, has_delimiter: bool) -> tuple[dict[str, str], bool]:
    """Return the values by key, and whether the last pair has lost its value."""
    delimiters: tuple[str, ...] = _DELIMITERS
    if has_delimiter and (named := _DELIMITER.match(text)):
        delimiters = (_named(named[1]), *_DELIMITERS)
        text = text[named.end() :]
    if is_cut_escape(text):
        text = text[:-1]
    text = text.lstrip(_BLANKS)
    delimiter = next((known for known in delimiters if _key(known).search(text)), delimiters[0])
    text, is_cut = _without_cut_key(_trimmed(text, delimiter), delimiter)
    keys = [*filter(None, [_key("").match(text)]), *_key(delimiter).finditer(text)]
    pairs = [(key, _trimmed(value, delimiter)) for key, value in read_pairs(text, keys)]
    if pairs and not pairs[-1][1]:
        pairs, is_cut = pairs[:-1], True
    data: dict[str, str] = {}
    for key, value in pairs:
        data.setdefault(key, _unescaped(value))
    return data, is_cut


@lru_cache(maxsize=64)
def _key(delimiter: str) -> re.Pattern[str]:
    """Return the pattern of a key behind a delimiter."""
    return re.compile(rf"{re.escape(delimiter)} {{0,8}}({KEY})=", re.ASCII)


def _named(field: str) -> str:
    """Return the delimiter that the header names."""
    code = _CODE.fullmatch(field)
    delimiter = chr(int(code[1], 16)) if code else field
    # A letter or digit cannot part the pairs, whose keys are made of them.
    return "\t" if field in _NAMED_TAB or delimiter[0].isalnum() or delimiter[0] in "_.-" else delimiter


def _trimmed(value: str, delimiter: str) -> str:
    """Take blanks, and delimiters that nothing follows, off the ends."""
    value = value.strip(_BLANKS)
    for _ in range(_EMPTY_PAIRS):
        if not value.endswith(delimiter):
            break
        value = value.removesuffix(delimiter).rstrip(_BLANKS)
    return value


def _without_cut_key(text: str, delimiter: str) -> tuple[str, bool]:
    """Take a key whose equals sign is cut off from the end, and tell whether there was one."""
    # A word after a mere blank belongs to the value.
    kept, parted, rest = text.rpartition(delimiter) if delimiter.strip(" ") else (text, "", "")
    return (kept, True) if parted and _CUT_KEY.fullmatch(rest) else (text, False)


def _unescaped(value: str) -> str:
    return "" if value == '""' else _ESCAPED.sub(lambda found: found[1] or found[2], value)
