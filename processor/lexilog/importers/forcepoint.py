"""Forcepoint NGFW: a help page with a table of messages and descriptions, whose cells the text has lost.

What is left are paragraphs. A message is one that does not end like a sentence, or that ends in ``[...]``; several in
a row share the description below them. A short description may stand behind its message on the same line.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from lexilog.errors import ImportFormatError
from lexilog.importers._text import Line, read_lines, slug
from lexilog.importers.draft import Draft, Fact

__all__ = ["read"]

_EXPECTED = "a Forcepoint NGFW help page with a table 'Information message Description'"
_HEAD = re.compile(r"[A-Z][a-z]+ messages? Description")
_TAIL = re.compile(r" ?\[(?:\.{3}|…)\]$")
_SENTENCE_END = (".", "!", "?", ":", ".)")
_DIAGNOSTICS = re.compile(r"This message is visible only when \w+ diagnostics are enabled\.")
_ROLE = re.compile(r"\b(initiator|responder)\b")
# A word that can begin a description behind its message: a capital letter, then small ones; after it a small letter.
_SENTENCE_START = re.compile(r"(?<=[\w)]) (?=[A-Z][a-z]* [a-z])")
# What stands in front of it is no message, but the beginning of a sentence, if it has the end of another one in it or a
# verb, or ends in a word that leads on.
_SENTENCE = re.compile(
    r"[.!?] |\b(?:is|are|was|were|has|have|had|can|cannot|could|will|might|must|should|does|do)\b"
    r"|\b(?:a|an|and|as|at|because|between|but|by|each|for|from|if|in|into|of|on|only|or|since|than|that|the|their|these"
    r"|this|to|until|when|where|which|while|with|your)$",
    re.IGNORECASE,
)


class _Row(NamedTuple):
    """Messages that share a description, the line of the first one, and the paragraphs of the description."""

    line: int
    messages: list[str]
    description: list[str]


def read(text: str) -> Draft:
    """Read a page.

    Raises:
        ImportFormatError: it has no such table, or the last message has no description.
    """
    lines = read_lines(text, _EXPECTED)
    head = next((at for at, line in enumerate(lines) if _HEAD.fullmatch(line.text)), None)
    if head is None:
        problem = f"there is no line 'Information message Description'; expected is {_EXPECTED}"
        raise ImportFormatError(lines[0].number, "Information message Description", problem)
    facts: dict[str, Fact] = {}
    for row in _rows(lines[head + 1 :], lines[head].number):
        for message in row.messages:
            fact = _fact(message, row.description)
            if not fact.id or fact.id in facts:
                problem = "is there already: take one of the two out" if fact.id else "has no letter to make an id of"
                raise ImportFormatError(row.line, "another message", f"'{message}' {problem}")
            facts[fact.id] = fact
    section = lines[0].text
    return Draft(
        name=f"forcepoint_{slug(section).replace('-', '_')}",
        title=f"Forcepoint NGFW {section}",
        frame=("cef", "leef", "key_value", "csv", "xml"),
        document="Forcepoint NGFW online help",
        section=section,
        observer={"vendor": "Forcepoint", "product": "NGFW", "type": "firewall"},
        facts=tuple(facts.values()),
        devices=(("Forcepoint", "Firewall"),),
        coded=False,
    )


def _rows(lines: list[Line], head: int) -> list[_Row]:
    rows: list[_Row] = []
    for line in _whole(lines):
        message, description = _split(line.text)
        if message:
            if not rows or rows[-1].description:
                rows.append(_Row(line.number, [], []))
            rows[-1].messages.append(message)
        elif not rows:
            problem = f"a description stands before the first message: {description[:60]!r}"
            raise ImportFormatError(line.number, "a message", problem)
        if description:
            rows[-1].description.append(description)
    if not rows:
        raise ImportFormatError(head, "a message", "the table has no rows: is the text complete?")
    if not _sentences(rows[-1].description):
        problem = f"'{rows[-1].messages[-1]}' has no description: is the text complete?"
        raise ImportFormatError(rows[-1].line, "a description", problem)
    return rows


def _whole(lines: list[Line]) -> list[Line]:
    """Join lines that begin with a small letter to the one that they continue."""
    out: list[Line] = []
    for line in lines:
        if out and line.text[0].islower():
            out[-1] = out[-1]._replace(text=f"{out[-1].text} {line.text}")
        else:
            out.append(line)
    return out


def _split(text: str) -> tuple[str, str]:
    """Return the message and the description of a paragraph; one of them is mostly empty."""
    if _TAIL.search(text) or not text.endswith(_SENTENCE_END):
        return text, ""
    for start in _SENTENCE_START.finditer(text):
        if not _SENTENCE.search(text[: start.start()]):
            return text[: start.start()], text[start.end() :]
    return "", text


def _fact(message: str, description: list[str]) -> Fact:
    title = _TAIL.sub("", message)
    role = _ROLE.search(title)
    return Fact(
        id=slug(title),
        title=title,
        format=title.replace("{", "{{").replace("}", "}}"),
        role=None if role is None else "initiator" if role[1] == "initiator" else "responder",
        diagnostics=any(_DIAGNOSTICS.search(paragraph) for paragraph in description),
        vendor_text={"Description": " ".join(_sentences(description))},
        # What the document leaves out of the text is not known.
        review=("format",) if title != message else (),
    )


def _sentences(description: list[str]) -> list[str]:
    """Return the paragraphs of a description without the sentence that is data."""
    return [text for paragraph in description if (text := _DIAGNOSTICS.sub("", paragraph).strip())]
