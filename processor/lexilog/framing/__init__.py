"""Second room: what wraps the human part of a line.

A framer is a callable `Framer`: it gets a line and the `Context`, and returns a `Frame`, or None where the line is not
in its wrapping. It never raises on any text, and its time grows with the length of the line alone. It refuses lines of
others at once, by one look for a word that its wrapping cannot be without: so the order costs a line of the last framer
next to nothing.
"""

from __future__ import annotations

from collections.abc import Callable

from lexilog.framing.cef import parse_cef
from lexilog.framing.clavister import parse_clavister
from lexilog.framing.csv_export import parse_csv_export
from lexilog.framing.json_wrap import unwrap_json
from lexilog.framing.junos import parse_junos
from lexilog.framing.key_value import parse_key_value
from lexilog.framing.leef import parse_leef
from lexilog.framing.mocana import parse_mocana
from lexilog.framing.syslog import parse_syslog
from lexilog.framing.timestamp import Context
from lexilog.framing.xml_export import parse_xml_export
from lexilog.model import Frame

__all__ = ["Context", "Framer", "frame"]

Framer = Callable[[str, Context], Frame | None]

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
    inner = unwrap_json(line)
    for framer in FRAMERS:
        found = framer(line if inner is None else inner, context)
        if found is not None:
            return found
    return None
