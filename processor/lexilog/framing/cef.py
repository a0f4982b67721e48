r"""Common Event Format: ``CEF:Version|Vendor|Product|Device Version|Signature ID|Name|Severity|Extension``.

Format: ArcSight Common Event Format (CEF) Implementation Standard. Log servers send it bare, behind a PRI alone, behind
headers of RFC 3164 and RFC 5424 and behind a program's name; some write a blank after ``CEF:``.

    <6>Sep 14 14:12:51 192.0.2.1 CEF:0|FORCEPOINT|Firewall|6.8.6|0|Generic|0|dvchost=… deviceFacility=IPsec msg=…

The standard escapes ``|`` and ``\`` in the header, ``=``, ``\`` and line ends in values.
"""

from __future__ import annotations

import re

from lexilog.framing.payload import KEY, START, build_frame, first_of, is_cut_escape, read_id, read_pairs, read_piped
from lexilog.framing.timestamp import Context, read_stamp
from lexilog.model import Frame

__all__ = ["parse_cef"]

_BEGINNING = re.compile(START + r"CEF: ?\d{1,3}(?:\.\d{1,3})?\|")
_KEY = re.compile(rf"(?<!\S)({KEY})=", re.ASCII)
_ESCAPED = re.compile(r"\\([\\=|nr])")
_MEANT = {"n": "\n", "r": "\r"}
# An equals sign behind two backslashes is none that the standard allows in a value: a collector has escaped it again.
_ESCAPED_TWICE = re.compile(r"(?<!\\)(?:\\\\)++=")
_ESCAPED_ONCE = re.compile(r"(?<!\\)(?:\\\\)*+\\=")
_BLANKS = " \t\r\n"


def parse_cef(line: str, context: Context) -> Frame | None:
    """Return the frame of a CEF line: its text is ``msg``, else the Name; its time is ``rt``, else the header's.

    A value with a label is kept under both names: ``cs1Label=RuleID cs1=7.2`` gives ``cs1`` and ``RuleID``. A line that
    is cut needs vendor and product to count; a value at its end is kept, because nothing tells whether it is whole.
    """
    if "CEF:" not in line or (piped := read_piped(line, _BEGINNING, 6, context)) is None:
        return None
    vendor, product, _, signature, name, severity = piped.fields
    data, is_cut = _read_extension(piped.rest)
    return build_frame(
        piped.header,
        "cef",
        piped.body,
        text=data.get("msg") or name,
        tag=read_id(signature),
        time=read_stamp(data.get("rt", ""), context),
        hostname=data.get("dvchost") or None,
        vendor=vendor,
        product=product,
        component=first_of(data, "deviceFacility", "cat"),
        level=severity or None,
        data=_with_labels(data) or None,
        truncated=is_cut or piped.is_cut,
    )


def _read_extension(text: str) -> tuple[dict[str, str], bool]:
    """Return the values by key, and whether the last key has lost its value."""
    if _ESCAPED_TWICE.search(text) and not _ESCAPED_ONCE.search(text):
        text = text.replace("\\\\", "\\")
    if is_cut_escape(text):
        text = text[:-1]
    pairs = [(key, value.strip(_BLANKS)) for key, value in read_pairs(text, _KEY.finditer(text))]
    is_cut = bool(pairs) and not pairs[-1][1]
    data: dict[str, str] = {}
    for key, value in pairs[:-1] if is_cut else pairs:
        data.setdefault(key, _ESCAPED.sub(_unescape, value))
    return data, is_cut


def _unescape(found: re.Match[str]) -> str:
    return _MEANT.get(found[1], found[1])


def _with_labels(data: dict[str, str]) -> dict[str, str]:
    """Add the values of custom fields under their labels; a name that the device has used itself stays its own."""
    labels = {label: data[key[:-5]] for key, label in data.items() if key.endswith("Label") and key[:-5] in data}
    return {**data, **{label: value for label, value in labels.items() if label and label not in data}}
