"""Second room: what wraps the human part of a line.

A framer is a callable `Framer`: it gets a line and the `Context`, and returns a `Frame`, or None where the line is not
in its wrapping. It never raises on any text, and its time grows with the length of the line alone. It refuses lines of
others at once, by one look for a word that its wrapping cannot be without: so the order costs a line of the last framer
next to nothing.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from lexilog.framing.cef import parse_cef
from lexilog.framing.clavister import parse_clavister
from lexilog.framing.csv_export import parse_csv_export
from lexilog.framing.json_wrap import unwrap_json
from lexilog.framing.junos import parse_junos
from lexilog.framing.key_value import parse_key_value
from lexilog.framing.leef import parse_leef
from lexilog.framing.mocana import parse_mocana
from lexilog.framing.syslog import Header, parse_syslog
from lexilog.framing.timestamp import Context
from lexilog.framing.xml_export import parse_xml_export
from lexilog.model import Frame

__all__ = ["FRAMERS", "Context", "Framer", "frame"]

Framer = Callable[[str, Context], Frame | None]

_ENDS = "\r\n\0"

# The sure ones first: many a line in one of these wrappings has a header that reads like one of Junos.
FRAMERS: tuple[Framer, ...] = (
    parse_cef,
    parse_leef,
    parse_mocana,
    parse_clavister,
    parse_key_value,
    parse_xml_export,
    parse_csv_export,
    parse_junos,
    parse_syslog,
)


def frame(line: str, context: Context) -> Frame | None:
    """Return the first frame that fits a line; one that an agent or Docker has put into JSON is taken out of it."""
    # Some senders end a message with NUL; whoever wants the line as it came has it.
    line = line.rstrip(_ENDS)
    inner = unwrap_json(line, context)
    for text in inner.texts if inner else ():
        found = _first(text.rstrip(_ENDS), context)
        if found is not None and inner is not None:
            return _behind(inner.header, found)
    return _first(line, context)


def _first(line: str, context: Context) -> Frame | None:
    for framer in FRAMERS:
        found = framer(line, context)
        if found is not None:
            return found
    return None


def _behind(header: Header, found: Frame) -> Frame:
    """Fill in what the header before the object says and the line inside it does not."""
    outer = {name: value for name, value in msgspec.structs.asdict(header).items() if name != "tag" and value}
    missing = {name: value for name, value in outer.items() if not getattr(found, name)}
    return msgspec.structs.replace(found, **missing) if missing else found
