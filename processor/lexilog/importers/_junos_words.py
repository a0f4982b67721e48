"""Which words of a text in a Junos chapter are variables: the chapter prints them like any other word."""

from __future__ import annotations

import re

from lexilog.importers._text import number_names

__all__ = ["mark_variables", "mark_words"]

# Words with a hyphen that are words of the text, and no variables.
_LITERAL = {
    "auto-negotiation", "built-in", "end-of-file", "in-use", "ike-access-profile", "ike-id", "ike-policy", "keep-alive",
    "key-length", "log-in", "multi-protocol", "no-op", "non-existent", "non-zero", "null-terminated", "out-of-band",
    "out-of-order", "out-of-sequence", "per-packet", "pre-shared", "re-authentication", "re-established",
    "re-initialize", "re-negotiation", "read-only", "round-robin", "run-time", "shut-down", "site-to-site",
    "time-out", "traffic-selector", "up-to-date", "user-defined", "well-known",
}  # fmt: skip
# Words without a hyphen that are hardly ever words of the text.
_ALWAYS = {"argument", "count", "errno", "filename", "hostname", "pathname", "username"}
# Words that are a variable where they stand alone in brackets, or in front of a unit.
_MEASURES = {"count", "data", "length", "limit", "number", "size", "status", "type"}
# Words that are a variable beside these others.
_AFTER = re.compile(r"\blicense $")
_AFTER_WORDS = {"limit", "name"}
_BEFORE = re.compile(r" username\b")
_BEFORE_WORDS = {"type"}
_UNIT = re.compile(r" (?:bytes|bits|packets|seconds|minutes|milliseconds|bps|kbps)\b")
# printf residue: sizeu and lengthubytes were %u, protocol-idd was %d.
_RESIDUE_U = r"(?P<stem>count|length|number|size)(?P<u>u)(?=bytes\b|\W|\Z)"
_RESIDUE_D = "idd"

_WORD = re.compile(
    rf"(?<![\w-])(?:{_RESIDUE_U}|(?P<word>[a-z][a-z0-9]*(?:-[a-z][a-z0-9]*)*)(?![\w-]))|(?<==)(?P<value>[a-z]+)"
)
_MARKED = re.compile(r"<([A-Za-z][\w-]*)>")

# Text, the variable after it, and what is left of the word behind the variable.
_Piece = tuple[str, str | None, str]


def mark_variables(text: str) -> str:
    """Return the format of a text whose variables stand in angle brackets, as a device prints it."""
    pieces: list[_Piece] = []
    end = 0
    for found in _MARKED.finditer(text):
        pieces.append((text[end : found.start()], found[1], ""))
        end = found.end()
    return _joined([*pieces, (text[end:], None, "")])


def mark_words(text: str) -> str:
    """Return the format of a text whose variables are plain words; which ones is a guess.

    A variable is a word in lower case with a hyphen, a word that repeats the one before it (``status status``), one of
    a few known words, and a word in a place where a value must be (``spi(size)=data``).
    """
    pieces: list[_Piece] = []
    end = 0
    for found in _WORD.finditer(text):
        name, rest = _name(found, text)
        if name is not None:
            pieces.append((text[end : found.start()], name, rest))
            end = found.end()
    return _joined([*pieces, (text[end:], None, "")])


def _name(found: re.Match[str], text: str) -> tuple[str | None, str]:
    """Return the variable that a word is, None if it is none, and the printf residue behind it."""
    if found["stem"]:
        return found["stem"], found["u"]
    word = found["word"] or found["value"]
    if "-" in word:
        if word in _LITERAL:
            return None, ""
        return (word[:-1], "d") if word.endswith(_RESIDUE_D) else (word, "")
    return (word if _is_value(word, text[: found.start()], text[found.end() :]) else None), ""


def _is_value(word: str, before: str, after: str) -> bool:
    """Tell whether a word without a hyphen stands where a value must be."""
    if word in _ALWAYS or before.endswith("="):
        return True
    if re.search(rf"\b{word}(?: =)?[ (:]{{1,2}}$", before, re.IGNORECASE):
        return True
    if word in _MEASURES and (_UNIT.match(after) or (before.endswith("(") and after.startswith(")"))):
        return True
    return bool((word in _AFTER_WORDS and _AFTER.search(before)) or (word in _BEFORE_WORDS and _BEFORE.match(after)))


def _joined(pieces: list[_Piece]) -> str:
    names = iter(number_names([name for _, name, _ in pieces if name is not None]))
    out = ""
    for literal, name, rest in pieces:
        out += literal.replace("{", "{{").replace("}", "}}")
        if name is not None:
            out += f"{{{next(names)}}}{rest}"
    return out
