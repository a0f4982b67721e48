"""Junos: a chapter of the System Log Messages reference, or what a device prints for ``help syslog``.

A chapter has a title, then for each message its tag and, each in a paragraph of its own, headings and their text:
System Log Message, Description, Type, Severity, Facility, Cause, Action. The variables of a message are plain words
there, so its format is a guess. ``help syslog`` is read by `lexilog.importers._junos_help`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from itertools import takewhile
from typing import Literal

from lexilog.errors import ImportFormatError
from lexilog.importers._guess import guess_types, severity_code
from lexilog.importers._junos_help import is_help, read_help
from lexilog.importers._junos_words import mark_variables, mark_words
from lexilog.importers._text import Block, Line, add_block, read_lines
from lexilog.importers.draft import Draft, Fact
from lexilog.matching.template import parse_format

__all__ = ["read"]

_EXPECTED = "a chapter of the Junos System Log Messages reference, or the output of 'help syslog'"
_MESSAGE = "System Log Message"
_HEADINGS = frozenset({_MESSAGE, "Description", "Type", "Severity", "Facility", "Cause", "Action"})
_TAG = re.compile(r"[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+")
# A severity that the vendor has left open.
_OPEN = frozenset({"unknown", "any", "none"})
# The numbers of FreeBSD's syslog.h; behind them the facilities that Junos itself has, as they leave the device.
_FACILITIES = {
    "KERN": 0, "USER": 1, "MAIL": 2, "DAEMON": 3, "AUTH": 4, "SYSLOG": 5, "LPR": 6, "NEWS": 7, "UUCP": 8, "CRON": 9,
    "AUTHPRIV": 10, "FTP": 11, "NTP": 12, "LOCAL0": 16, "LOCAL1": 17, "LOCAL2": 18, "LOCAL3": 19, "LOCAL4": 20,
    "LOCAL5": 21, "LOCAL6": 22, "LOCAL7": 23,
    "DFC": 17, "FIREWALL": 19, "PFE": 20, "CONFLICT": 21, "CHANGE": 22, "INTERACT": 23,
}  # fmt: skip


def read(text: str) -> Draft:
    """Read a chapter, or the output of ``help syslog``.

    Raises:
        ImportFormatError: it is neither, or an entry is not whole.
    """
    lines = read_lines(text, _EXPECTED)
    if is_help(lines):
        blocks, titles = read_help(lines)
        facts = [_fact(block, "Message", mark_variables) for block in blocks.values()]
        # The short help is a sentence of the vendor's, and the tag is the message's name.
        listed = [Fact(id=t, title=t, vendor_text={"Help": text}) for t, text in titles.items() if t not in blocks]
        return _draft([*facts, *listed], "Junos command-line help", "help syslog")
    title, blocks = _chapter(lines)
    facts = [_fact(block, _MESSAGE, mark_words) for block in blocks.values()]
    # Old chapters have no facility at all; where one entry has it, one that lacks it is cut off.
    everywhere = {heading for block in blocks.values() for heading in block.texts if heading == "Facility"}
    for block in blocks.values():
        for heading in (*everywhere, *block.texts):
            block.need(heading)
    return _draft(facts, "Junos System Log Messages Reference", title)


def _chapter(lines: list[Line]) -> tuple[str, dict[str, Block]]:
    """Return the title of a chapter, and its entries by their tag."""
    blocks: dict[str, Block] = {}
    block: Block | None = None
    for line, after in zip(lines, [*lines[1:], None], strict=True):
        if block is not None and line.text in _HEADINGS:
            block.open(line)
        elif _TAG.fullmatch(line.text) and (_starts(block, after) or _is_cut(block, after)):
            block = add_block(blocks, line.text, line.number)
        elif block is not None:
            block.add(line)
    if not blocks:
        problem = f"no message begins here (a tag, then '{_MESSAGE}'); expected is {_EXPECTED}"
        raise ImportFormatError(lines[0].number, _MESSAGE, problem)
    first = lines[0].text
    return (first if not _TAG.fullmatch(first) else "System Log Messages"), blocks


def _starts(block: Block | None, after: Line | None) -> bool:
    """Tell whether a tag begins an entry: its heading follows; and the facility LOG_X looks like a tag, too."""
    return after is not None and after.text in _HEADINGS and (block is None or not block.awaits_text)


def _is_cut(block: Block | None, after: Line | None) -> bool:
    """Tell whether a tag is the last line there is, so that its entry has been cut off."""
    return after is None and block is not None and not block.awaits_text


def _fact(block: Block, message: str, mark: Callable[[str], str]) -> Fact:
    """Make a fact of an entry's headings.

    Args:
        block: the entry.
        message: the heading of the message's text.
        mark: puts variables in braces.
    """
    for heading in (message, "Type", "Severity"):
        block.need(heading)
    form, names = _format(mark(block.texts[message]))
    said = {heading: text for heading, text in block.texts.items() if text != "None"}
    guessed = form is None or (mark is mark_words and names)
    data = {"Type", "Severity", "Facility", *([message] if form is not None else [])}
    return Fact(
        id=block.name,
        title=block.name,
        format=form,
        severity=_severity(block),
        facility=block.texts.get("Facility"),
        type=_type(block),
        variables=guess_types(names),
        vendor_text={heading: text for heading, text in said.items() if heading not in data},
        review=("format",) if guessed else (),
    )


def _format(text: str) -> tuple[str | None, list[str]]:
    """Return a format and its variables; None where two variables touch, so that none could say where one ends."""
    try:
        return text, [part.name for part in parse_format(text) if part.name is not None]
    except ValueError:
        return None, []


def _type(block: Block) -> Literal["event", "error"]:
    word = block.texts["Type"].partition(":")[0].lower()
    if word not in ("event", "error"):
        raise block.error("Type", f"'Type' of '{block.name}' begins with neither 'Event' nor 'Error': {word!r}")
    return "event" if word == "event" else "error"


def _severity(block: Block) -> str | None:
    word = block.texts["Severity"]
    if word.lower() in _OPEN:
        return None
    if severity_code(word) is None:
        raise block.error("Severity", f"'Severity' of '{block.name}' is no word of syslog: {word!r}")
    return word


def _draft(facts: list[Fact], document: str, section: str) -> Draft:
    prefix = _prefix([fact.id for fact in facts])
    words = {fact.severity for fact in facts if fact.severity is not None}
    facilities = {fact.facility for fact in facts if fact.facility is not None}
    return Draft(
        name=f"juniper_{prefix}".lower().rstrip("_"),
        title=f"Junos {prefix}".rstrip(),
        frame=("junos",),
        document=document,
        section=section,
        observer={"vendor": "Juniper", "product": "Junos", "type": "firewall"},
        severities=_by_code({word: code for word in words if (code := severity_code(word)) is not None}),
        facilities={word: _FACILITIES.get(word.removeprefix("LOG_")) for word in sorted(facilities)},
        facts=tuple(facts),
    )


def _by_code(words: dict[str, int]) -> dict[str, int]:
    return dict(sorted(words.items(), key=lambda item: (item[1], item[0])))


def _prefix(tags: Iterable[str]) -> str:
    """Return what all tags begin with, up to a whole word; of a single tag its first word."""
    first, *others = (tag.split("_")[:-1] for tag in tags)
    if not others:
        return first[0]
    same = takewhile(lambda word: len(set(word)) == 1, zip(first, *others, strict=False))
    return "_".join(word[0] for word in same)
