"""The pieces of syslog headers: octet count, PRI, version, structured data (RFC 3164, RFC 5424, RFC 6587)."""

from __future__ import annotations

import re
from typing import NamedTuple

__all__ = ["Priority", "StructuredData", "read_priority", "read_structured_data"]

_PRIORITY = re.compile(r"(?:\d{1,9} (?=<))?<(0|[1-9]\d{0,2})>(?:(\d{1,2}) (?=[\d-]))? ?")
_SD_ID = re.compile(r'\[([^\s=\]"\[]{1,128})(?=[\s\]])')
_PARAMETER = re.compile(r'\s*+([^\s=\]"\[]{1,256})="((?:[^"\\]|\\.)*+)"', re.DOTALL)
_ESCAPED = re.compile(r'\\(["\\\]])')


class Priority(NamedTuple):
    """PRI (0 to 191), version (None where there is none) and the position after both."""

    pri: int
    version: int | None
    end: int


class StructuredData(NamedTuple):
    """The parameters by SD-ID ("" where it is missing), whether the text breaks off, and the position after it."""

    elements: dict[str, dict[str, str]]
    truncated: bool
    end: int


def read_priority(text: str, position: int) -> Priority | None:
    """Read ``<PRI>`` and its version (RFC 5424 section 6.2), after an octet count or not (RFC 6587 section 3.4.1)."""
    found = _PRIORITY.match(text, position)
    if not found or int(found[1]) > 191:
        return None
    return Priority(int(found[1]), int(found[2]) if found[2] else None, found.end())


def read_structured_data(text: str, position: int) -> StructuredData | None:
    r"""Read ``[id name="value" …]`` (RFC 5424 section 6.3), as often as it stands there.

    The SD-ID may be missing. In values ``\"``, ``\\`` and ``\]`` lose their backslash; a bare ``]`` is part of the
    value. Where the text breaks off, whole parameters are kept and the one that is cut is not.
    """
    elements: dict[str, dict[str, str]] = {}
    while text.startswith("[", position):
        named = _SD_ID.match(text, position)
        position = named.end() if named else position + 1
        data = elements.setdefault(named[1] if named else "", {})
        while parameter := _PARAMETER.match(text, position):
            data.setdefault(parameter[1], _ESCAPED.sub(r"\1", parameter[2]))
            position = parameter.end()
        rest = text[position : position + 300].lstrip()
        if rest.startswith("]"):
            position = text.index("]", position) + 1
        elif not data and (named is None or "]" in rest):
            return None
        else:
            return StructuredData(elements, True, len(text))
    return StructuredData(elements, False, position) if elements else None
