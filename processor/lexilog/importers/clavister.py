"""Clavister cOS Stream: a section of the Log Reference Guide, which holds the messages of one category.

After the head of the section (``2.23. IKE``) each message has a head (``2.23.1. [ID: 1694] Acquired address``) and
nine headings with a text below: Log Categories, Log Message, Default Log Severity, Parameters, Explanation, Gateway
Action, Action Description, Proposed Action. A head may end in ``[...]``; the message then has the rest.
"""

from __future__ import annotations

import re

from lexilog.errors import ImportFormatError
from lexilog.importers._guess import guess_types, severity_code
from lexilog.importers._text import Block, Line, add_block, read_lines, slug
from lexilog.importers.draft import Draft, Fact

__all__ = ["read"]

_EXPECTED = "a section of the Clavister Log Reference Guide ('2.23.1. [ID: 1694] Title', then 'Log Categories' …)"
_SECTION = re.compile(r"(\d+\.\d+)\.? ([^\[\]]+)")
_ENTRY = re.compile(r"\d+(?:\.\d+)+\.? \[ID: (\w+)\] ?(.*)")
# What a page of the printed guide has above and below its text.
_PAGE = re.compile(r"(?:Chapter|Appendix) \w+[.:] .*|(?:Page )?\d{1,4}")
_CATEGORIES, _MESSAGE, _SEVERITY, _PARAMETERS = "Log Categories", "Log Message", "Default Log Severity", "Parameters"
_ACTION = "Gateway Action"
_VENDOR_TEXT = ("Explanation", "Action Description", "Proposed Action")
_HEADINGS = (_CATEGORIES, _MESSAGE, _SEVERITY, _PARAMETERS, _ACTION, *_VENDOR_TEXT)
_CUT = "[...]"
_SEVERITIES = ("Emergency", "Alert", "Critical", "Error", "Warning", "Notice", "Information", "Debug")


def read(text: str) -> Draft:
    """Read a section of the guide.

    Raises:
        ImportFormatError: it is not one, or an entry is not whole.
    """
    lines = [line for line in read_lines(text, _EXPECTED) if not _PAGE.fullmatch(line.text)]
    section, category, blocks, titles = _sections(lines)
    if not blocks:
        raise ImportFormatError(1, "[ID: …]", f"no message has a head with its id; expected is {_EXPECTED}")
    facts = tuple(_fact(block, titles[name]) for name, block in blocks.items())
    category = category or facts[0].categories[0]
    return Draft(
        name=f"clavister_{slug(category).replace('-', '_')}",
        title=f"Clavister cOS Stream {category}",
        frame=("clavister",),
        document="Clavister cOS Stream Log Reference Guide",
        section=f"{section} {category}".lstrip(),
        observer={"vendor": "Clavister", "product": "cOS Stream", "type": "firewall"},
        severities={word: code for code, word in enumerate(_SEVERITIES)},
        facts=facts,
    )


def _sections(lines: list[Line]) -> tuple[str, str, dict[str, Block], dict[str, str]]:
    """Return number and name of the section, and its entries and their titles by id."""
    section = category = ""
    blocks: dict[str, Block] = {}
    titles: dict[str, str] = {}
    block: Block | None = None
    for line in lines:
        entry, head = _ENTRY.fullmatch(line.text), _SECTION.fullmatch(line.text)
        if entry:
            block = add_block(blocks, entry[1], line.number)
            titles[block.name] = entry[2]
        elif head and (block is None or _is_whole(block)):
            if section:
                problem = f"a second section begins here, '{line.text}': import one section at a time"
                raise ImportFormatError(line.number, "one section", problem)
            section, category = head[1], head[2]
        elif block is not None and line.text in _HEADINGS:
            block.open(line)
        elif block is not None and not block.texts:
            titles[block.name] = f"{titles[block.name]} {line.text}".lstrip()
        elif block is not None:
            block.add(line)
    return section, category, blocks, titles


def _is_whole(block: Block) -> bool:
    """Tell whether an entry has its last heading and a text under it, so that something else may begin."""
    return bool(block.texts.get(_HEADINGS[-1]))


def _fact(block: Block, head: str) -> Fact:
    for heading in _HEADINGS:
        # A message without parameters has the heading, and nothing below it.
        if heading != _PARAMETERS or heading not in block.texts:
            block.need(heading)
    texts = block.texts
    if severity_code(texts[_SEVERITY]) is None:
        raise block.error(_SEVERITY, f"'{_SEVERITY}' of '{block.name}' is no severity: {texts[_SEVERITY]!r}")
    categories, parameters = _names(texts[_CATEGORIES]), _names(texts[_PARAMETERS])
    if not categories:
        raise block.error(_CATEGORIES, f"'{_CATEGORIES}' of '{block.name}' names no category")
    title = _title(head, texts[_MESSAGE])
    return Fact(
        id=block.name,
        title=title,
        format=texts[_MESSAGE].replace("{", "{{").replace("}", "}}"),
        severity=texts[_SEVERITY],
        categories=categories,
        parameters=parameters,
        variables=guess_types(parameters),
        vendor_action=None if texts[_ACTION] == "None" else texts[_ACTION],
        vendor_text={name: texts[name] for name in _VENDOR_TEXT if texts[name] != "None"},
        review=("title",) if title.endswith(_CUT) else (),
    )


def _names(text: str) -> tuple[str, ...]:
    """Split a list of names; an empty one is printed as nothing or as None."""
    return tuple(dict.fromkeys(name.strip() for name in text.split(",") if name.strip() not in ("", "None")))


def _title(head: str, message: str) -> str:
    """Return the title of a head, completed from the message where it breaks off."""
    begun = head.removesuffix(_CUT).rstrip()
    if begun == head or not message.startswith(begun):
        return head
    sentence, _, _ = message[len(begun) :].partition(". ")
    return begun + sentence.removesuffix(".")
