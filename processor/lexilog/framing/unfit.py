"""Characters that readers of JSON and XML refuse, and how a line gets past those readers without losing them.

Bytes that are not UTF-8 travel as lone surrogates (see `lexilog.model`), and devices do write control characters.
"""

from __future__ import annotations

import re

__all__ = ["hide", "show"]

# Marks what is hidden; a character of private use, so that it is rare in lines and few have to be hidden for its sake.
_MARK = "\U0010fffd"
# What XML 1.0 section 2.2 leaves out. JSON lets some of it pass, which does no harm.
_CODES = [ord(_MARK), *range(0x09), 0x0B, 0x0C, *range(0x0E, 0x20), *range(0xD800, 0xE000), 0xFFFE, 0xFFFF]
# Behind the mark stands a character for each, in private use as well.
_PRIVATE = 0xE000
_HIDE = {chr(code): _MARK + chr(_PRIVATE + number) for number, code in enumerate(_CODES)}
_SHOW = {hidden: character for character, hidden in _HIDE.items()}
_UNFIT = re.compile(f"[{_MARK}\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
_HIDDEN = re.compile(f"{_MARK}[{chr(_PRIVATE)}-{chr(_PRIVATE + len(_CODES) - 1)}]")


def hide(text: str) -> str:
    """Return a text with two private characters in the place of each that a reader refuses."""
    return _UNFIT.sub(lambda found: _HIDE[found[0]], text)


def show(text: str) -> str:
    """Return a text with the characters that `hide` has replaced."""
    return _HIDDEN.sub(lambda found: _SHOW[found[0]], text)
