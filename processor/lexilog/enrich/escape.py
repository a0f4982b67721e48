r"""How bytes that are not UTF-8 leave: as ``\xNN``, in a way that can be undone.

Inside lexilog such a byte is a lone surrogate (PEP 383). JSON and protobuf text cannot hold one. So in a text that has
such bytes each of them is written as ``\xNN``, and a ``\xNN`` that the line itself had is written as ``\x5cxNN``. The
record names the fields where this was done in ``lexilog.escaped``, up to 100 of them; all other texts are exactly what
was received.
"""

from __future__ import annotations

import re

__all__ = ["escape", "is_clean", "unescape"]

_SURROGATES = re.compile("[\udc80-\udcff]+|[\ud800-\udfff]")
_ESCAPE = re.compile(r"\\x([0-9a-f]{2})")


def is_clean(text: str) -> bool:
    """Tell whether a text can leave as it is."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def escape(text: str) -> str:
    r"""Return a text in which each byte that is not UTF-8 is written as ``\xNN``; a clean text is returned as it is."""
    if is_clean(text):
        return text
    guarded = _ESCAPE.sub(r"\\x5cx\1", text)
    return _SURROGATES.sub(_written, guarded)


def unescape(text: str) -> bytes:
    """Return the bytes that an escaped text stands for; only for fields that ``lexilog.escaped`` names."""
    out, end = b"", 0
    for found in _ESCAPE.finditer(text):
        out += text[end : found.start()].encode("utf-8") + bytes.fromhex(found[1])
        end = found.end()
    return out + text[end:].encode("utf-8")


def _written(found: re.Match[str]) -> str:
    try:
        data = found[0].encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        # A surrogate that no byte stands for can only come from a JSON escape; its own three bytes are kept.
        data = found[0].encode("utf-8", "surrogatepass")
    return ("-" + data.hex("-")).replace("-", "\\x")
