"""What a Junos device prints for ``help syslog``.

For one tag it is a block: ``Name:``, ``Message:`` with ``<variables>``, ``Help:``, ``Description:``, ``Type:``,
``Severity:`` and others, each wrapped over lines that are indented. For ``help syslog ?`` it is a table of tags and
short help. Several answers of a session may follow one another, with the prompts and the pager between them.
"""

from __future__ import annotations

import re

from lexilog.errors import ImportFormatError
from lexilog.importers._text import Block, Line, add_block

__all__ = ["is_help", "read_help"]

_LABEL = re.compile(r"([A-Z][A-Za-z ]{2,30}):(?: (.*))?")
_ASKED = re.compile(r"Name: [A-Z]|[\w.@:/-]*[>#%] ?(?:run )?help syslog\b|Possible completions:")
_ROW = re.compile(r"([A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+)(?: (.+))?")
_PAGER = re.compile(r"-{3}\(more[^)]*\)-{3} ?")
# Prompts, the mode of the command line above them, and what stands above and below a table.
_NOISE = re.compile(r"[\w.@:/-]*[>#%](?: .*)?|\{[\w:-]+\}|\[edit.*\]|Possible completions:|<[^>]+>.*|[. ]+")


def is_help(lines: list[Line]) -> bool:
    """Tell whether a text is the output of ``help syslog``."""
    row = _ROW.fullmatch(lines[0].text)
    return (row is not None and row[2] is not None) or any(_ASKED.match(line.text) for line in lines)


def read_help(lines: list[Line]) -> tuple[dict[str, Block], dict[str, str]]:
    """Read blocks by their tag, and the short help of each tag of a table.

    Raises:
        ImportFormatError: a line is part of neither a block nor a table; or there is no message at all.
    """
    blocks: dict[str, Block] = {}
    table: dict[str, str] = {}
    place: Block | str | None = None
    for number, raw, indented in lines:
        text = _PAGER.sub("", raw)
        if not text:
            continue
        line, label, row = Line(number, text, indented), _LABEL.fullmatch(text), _ROW.fullmatch(text)
        if label and label[1] == "Name" and label[2]:
            place = add_block(blocks, label[2], number)
        elif isinstance(place, Block) and label and not indented:
            place.open(line, label[1])
            if label[2]:
                place.add(line, label[2])
        elif _NOISE.fullmatch(text) and not (isinstance(place, Block) and (indented or text != raw)):
            place = None
        elif isinstance(place, Block):
            place.add(line)
        elif row:
            place = row[1]
            table[place] = row[2] or ""
        elif place is not None and indented:
            table[place] = f"{table[place]} {text}".lstrip()
        else:
            # What else a session prints: banners, settings of the terminal, complaints about a tag that is not there.
            place = None
    if not blocks and not table:
        raise ImportFormatError(lines[0].number, "Name:", "the output of 'help syslog' names no message")
    return blocks, {tag: text or tag for tag, text in table.items()}
