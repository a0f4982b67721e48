"""Entries of the SMC log in its XML form, one to a line: an exported file, or entries forwarded one by one.

Source: SMC 6.5.0 online help, "Exportable Firewall … log entry fields", for the names. The columns are read wherever an
XML writer may put them:

    <LOG_ENTRY><TIMESTAMP>2024-05-01 16:25:56</TIMESTAMP><INFO_MSG>…</INFO_MSG></LOG_ENTRY>
    <LOG_ENTRY><FIELD NAME="INFO_MSG">…</FIELD><FIELD NAME="FACILITY" VALUE="IPsec"/></LOG_ENTRY>
    <entry TIMESTAMP="2024-05-01 16:25:56" INFO_MSG="…"/>
"""

from __future__ import annotations

import re
from contextlib import suppress
from typing import NoReturn
from xml.parsers import expat

from lexilog.framing.payload import START, build_frame, find_payload
from lexilog.framing.smc import is_header, read_facts, telling
from lexilog.framing.timestamp import Context
from lexilog.framing.unfit import hide, show
from lexilog.model import Frame

__all__ = ["parse_xml_export"]

_TAG = re.compile("<[A-Za-z_?!]")
_BEGINNING = re.compile(START + _TAG.pattern)
_PAIR = r"\s++[\w:.-]++\s*+=\s*+"
# A tag that breaks off: its whole attributes, then the one that is cut.
_CUT_TAG = re.compile(
    rf"""<[\w:.-]++(?:{_PAIR}(?:"[^"<]*+"|'[^'<]*+'))*+(?:{_PAIR}(["'])[^<&]*+(?:&[#\w]++;[^<&]*+)*+)?"""
)
_BLANKS = " \t\r\n"
# How deep an entry may lie in other elements.
_DEPTH = 16
# How many columns make an entry that has lost its message.
_ENOUGH = 3


def parse_xml_export(line: str, context: Context) -> Frame | None:
    """Return the frame of an entry: its text is INFO_MSG, its component FACILITY, its time TIMESTAMP.

    Where the line is cut or is no longer XML, what stood before is kept. A line that declares a document
    type, and with it entities, is refused, and so is one whose elements lie very deep.
    """
    # A look for any tag costs a line of others far less than one for where a payload begins.
    found = find_payload(line, _BEGINNING, context) if _TAG.search(line) else None
    if found is None:
        return None
    header, beginning = found
    body = line[beginning.start() :].rstrip("\r\n")
    entry = _Entry()
    hidden = hide(body)
    try:
        entry.read(hidden)
    except _RefusedError:
        return None
    data = entry.data if hidden == body else {show(name): show(value) for name, value in entry.data.items()}
    if not is_header(data) and telling(data) < _ENOUGH:
        return None
    return build_frame(header, "xml", body, data=data, truncated=not entry.is_whole, **read_facts(data, context))


class _RefusedError(Exception):
    """The document is none that a log server writes."""


class _Entry:
    """What has been read of an entry.

    Attributes:
        data: the values by column; of several entries in one line, the first one's.
        is_whole: the outermost element has ended.
    """

    def __init__(self) -> None:
        self.data: dict[str, str] = {}
        self.is_whole = False
        self._open: list[tuple[str, list[str]]] = []

    def read(self, text: str) -> None:
        """Read the first element of a text, as far as it goes."""
        content = text.encode()
        parser = self._parser()
        try:
            parser.Parse(content, True)
        except expat.ExpatError as error:
            if not self.is_whole and error.code == expat.errors.codes[expat.errors.XML_ERROR_UNCLOSED_TOKEN]:
                self._read_cut_tag(content[parser.ErrorByteIndex :].decode())
        while self._open:
            self._store(*self._open.pop())

    def _parser(self) -> expat.XMLParserType:
        # The text is UTF-8 by now, whatever its declaration says.
        parser = expat.ParserCreate("utf-8")
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._text
        # Entities and default attributes make much of little; a log entry has no use for a document type.
        parser.StartDoctypeDeclHandler = _refuse
        return parser

    def _start(self, element: str, attributes: dict[str, str]) -> None:
        if len(self._open) == _DEPTH:
            raise _RefusedError
        named = {name.casefold(): value for name, value in attributes.items()}
        if "name" in named:
            self._open.append((named["name"], [named.get("value", "")]))
            return
        self._open.append((element, []))
        for name, value in attributes.items():
            self._store(name, [value])

    def _text(self, text: str) -> None:
        self._open[-1][1].append(text)

    def _end(self, _element: str) -> None:
        self._store(*self._open.pop())
        self.is_whole = not self._open

    def _store(self, name: str, texts: list[str]) -> None:
        value = "".join(texts).strip(_BLANKS)
        if value:
            self.data.setdefault(name, value)

    def _read_cut_tag(self, tag: str) -> None:
        """Read the attributes of a tag that breaks off."""
        found = _CUT_TAG.match(tag)
        if found:
            with suppress(expat.ExpatError):
                self._parser().Parse(f"{found[0]}{found[1] or ''}/>".encode(), True)
            self.is_whole = False


def _refuse(*_declaration: object) -> NoReturn:
    raise _RefusedError
