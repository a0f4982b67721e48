"""What every layout needs of a text: its lines without the residue of web pages and page breaks, and slugs."""

from __future__ import annotations

import re
from itertools import count
from typing import NamedTuple

from lexilog.errors import ImportFormatError

__all__ = ["Block", "Line", "add_block", "number_names", "read_lines", "slug"]

_NOT_SLUG = re.compile(r"[^a-z0-9]+")
# A copied page has no-break spaces, bullets and form feeds; a pager of a terminal leaves carriage returns.
_BLANK = re.compile(r"[\u00a0\u2028\u2029\x1c-\x1f\x85\t\f\v\r ]+")


class Line(NamedTuple):
    """A line that is not empty: its number, counted from 1, and its text without the blanks around it."""

    number: int
    text: str
    indented: bool


class Block:
    """One message of a document: its headings, each with the text under it.

    Args:
        name: the id.
        line: number of the line in which it begins.
    """

    def __init__(self, name: str, line: int) -> None:
        self.name = name
        self.line = line
        self.texts: dict[str, str] = {}
        self._lines: dict[str, int] = {}
        self._heading: str | None = None

    @property
    def awaits_text(self) -> bool:
        """The heading opened last has no text yet."""
        return self._heading is not None and not self.texts[self._heading]

    def open(self, line: Line, heading: str | None = None) -> None:
        """Begin the text of a heading: of the whole line, or of the part of it that is given.

        Raises:
            ImportFormatError: the heading is there already.
        """
        heading = heading or line.text
        if heading in self.texts:
            problem = f"'{self.name}' has a second '{heading}': does the next entry lack its id?"
            raise ImportFormatError(line.number, "an id", problem)
        self._heading, self.texts[heading], self._lines[heading] = heading, "", line.number

    def add(self, line: Line, text: str | None = None) -> None:
        """Add a line, or the part of it that is given, to the text of the heading opened last.

        Raises:
            ImportFormatError: no heading is open.
        """
        if self._heading is None:
            problem = f"'{self.name}' goes on with text, and not with a heading: {line.text[:60]!r}"
            raise ImportFormatError(line.number, "a heading", problem)
        self.texts[self._heading] = f"{self.texts[self._heading]} {text or line.text}".lstrip()

    def need(self, heading: str) -> None:
        """Check that a heading is there and has a text.

        Raises:
            ImportFormatError: it is not, or has none.
        """
        if not self.texts.get(heading):
            line = self._lines.get(heading, self.line)
            problem = f"has no '{heading}'" if heading not in self.texts else f"has no text under '{heading}'"
            raise ImportFormatError(line, heading, f"'{self.name}' {problem}: is the text complete?")

    def error(self, heading: str, problem: str) -> ImportFormatError:
        """Return an error that points at a heading."""
        return ImportFormatError(self._lines[heading], heading, problem)


def add_block(blocks: dict[str, Block], name: str, line: int) -> Block:
    """Begin a message.

    Raises:
        ImportFormatError: there is one of this name already.
    """
    if name in blocks:
        problem = f"'{name}' is there already, in line {blocks[name].line}: import each text once"
        raise ImportFormatError(line, "another id", problem)
    blocks[name] = Block(name, line)
    return blocks[name]


def read_lines(text: str, expected: str) -> list[Line]:
    """Split a text into its lines, runs of blanks made one and empty lines left out.

    Raises:
        ImportFormatError: there is no line at all; the error names what was `expected`.
    """
    texts = (_BLANK.sub(" ", line) for line in text.lstrip("\ufeff").split("\n"))
    lines = [Line(number, line.strip(), line[0] == " ") for number, line in enumerate(texts, 1) if line.strip()]
    if not lines:
        raise ImportFormatError(1, expected, f"the text is empty; expected is {expected}")
    return lines


def slug(text: str) -> str:
    """Return the letters and digits of a text in lower case, with single hyphens between."""
    return _NOT_SLUG.sub("-", text.lower()).strip("-")


def number_names(names: list[str]) -> list[str]:
    """Give a number, counted from 1, to each name that stands there more than once."""
    taken = {name for name in names if names.count(name) == 1}
    out: list[str] = []
    for name in names:
        numbers = (f"{name}{number}" for number in count(1))
        out.append(name if name in taken else next(new for new in numbers if new not in {*taken, *out}))
    return out
