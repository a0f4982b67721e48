"""Blue Cedar gateway lines; the gateway was Mocana's before, and still says so.

The forms are those of the help page "Gateway log contents". Each part may be missing but the name in brackets:

    Nov 11 2021 22:24:37 gw1 Mocana: [AAA], SubCls:ACCT, EID:       7, Type: Acct, Sev:Informational, Session START {…}
    Oct  2 13:45:35 gw1 Mocana: [AAA] SubCls:999, EID: 0, Type: General, Sev:Warning, text
    Oct 22 2021 07:15:30.401772: [AAA] Policy REJECT {"reason":"…", …}

A record may have several lines: objects are printed over many, and each of them may have got the header again.
"""

from __future__ import annotations

import re
from typing import NamedTuple

import msgspec

from lexilog.framing.json_tail import QUOTES, find_object, read_json_tail
from lexilog.framing.payload import build_frame
from lexilog.framing.syslog import Header, read_header
from lexilog.framing.timestamp import Context
from lexilog.model import Frame

__all__ = ["Lead", "find_again", "parse_mocana", "read_lead"]

_PRODUCT = "Mocana"
# How far into a line its header may reach.
_WINDOW = 1024
_COMPONENTS = frozenset(("aaa", "amf", "cfm", "datapath", "ike", "intfmgr", "ipsec", "reportmgr", "services-logs"))
# The time that stands alone before a component has a colon behind it.
_OWN_TIME = re.compile(r"(?:\A|>|\s)[A-Z][a-z]{2} {1,2}\d{1,2} (?:\d{4} )?\d\d:\d\d:\d\d(?:\.\d{1,6})?: ?\Z")
# The gateway's own objects, by the names that they begin with.
_OBJECTS = ('"sessionId"', '"linkUpdate"')
# What a line cannot be without.
_BRACKETED = re.compile(r"\[[A-Za-z][\w-]{0,31}\]")
_NAMES = {name.lower(): name for name in ("SubCls", "EID", "Type", "Sev")}
# Blanks, commas, and line ends as collectors write them.
_GAP = r"(?-i:[\s,]|#01[125]|\\[nrt])*+"
_SKIP = re.compile(_GAP)
_BRACKETS = re.compile(rf"\[(?P<component>[A-Za-z][\w-]{{0,31}})\]:?{_GAP}")
_PROCESS = re.compile(r"(?<![^\s:>\]\ufeff])Mocana(?:\[(?P<pid>\d{1,10})\])?\s?:\s{0,8}\Z", re.IGNORECASE)
# The same in a line that goes on with a record and does not name the component again.
_AGAIN = re.compile(rf"(?<![^\s:>\]\ufeff])Mocana(?:\[\d{{1,10}}\])?\s?:{_GAP}", re.IGNORECASE)
_ATTRIBUTE = re.compile(
    rf"(?P<name>(?a:SubCls|EID|Type|Sev))\s{{0,16}}:\s{{0,64}}(?P<value>[^\s,]{{0,64}}){_GAP}", re.IGNORECASE
)
_JOINT = re.compile(r"\n|#012")
# How a line begins that has a syslog header: with a PRI, an octet count or a time.
_DATED = re.compile(r"\s{0,8}(?:[<\d]|[A-Z][a-z]{2} )")
_QUOTED = re.compile(rf"[{QUOTES}]([^{QUOTES}]*+)[{QUOTES}]")


class Lead(NamedTuple):
    """What stands between the syslog header and the message.

    Attributes:
        start: where it begins.
        brackets: where the component's brackets begin.
        end: where the message begins.
        component: the name in the brackets, lower case.
        named: ``Mocana:`` stands before the brackets.
        pid: its process id.
        attributes: SubCls, EID, Type and Sev, as far as they are there.
    """

    start: int
    brackets: int
    end: int
    component: str
    named: bool
    pid: int | None
    attributes: dict[str, str]


class _Message(NamedTuple):
    """The text, the leaves of the object in it, and whether that is cut off and whether it is the end."""

    text: str
    values: dict[str, str]
    truncated: bool = False


def read_lead(line: str) -> Lead | None:
    """Find ``Mocana: [COMPONENT], SubCls:…,`` in a line; without ``Mocana:`` the component must be a documented one."""
    for found in _BRACKETS.finditer(line, 0, _WINDOW):
        start, component = found.start(), found["component"].lower()
        process = _PROCESS.search(line, max(start - 32, 0), start)
        if process is None and (component not in _COMPONENTS or not _is_word_start(line, start)):
            continue
        attributes, end = _read_attributes(line, found.end())
        pid = int(process["pid"]) if process and process["pid"] else None
        begin = process.start() if process else start
        return Lead(begin, start, end, component, process is not None, pid, attributes)
    return None


def find_again(line: str) -> tuple[int, int] | None:
    """Find what a line that goes on with a record repeats: all that `read_lead` finds, or ``Mocana:`` alone.

    Returns:
        Where it begins and where it ends.
    """
    if lead := read_lead(line):
        return lead.start, lead.end
    again = _AGAIN.search(line, 0, _WINDOW)
    return again.span() if again else None


def parse_mocana(line: str, context: Context) -> Frame | None:
    """Return the frame of a line, or of a record of several lines, in one of the forms that the module's text shows.

    Proof are ``Mocana:`` before the component; before a documented one the gateway's own time, or after it its
    attributes or an object of its own.
    """
    if "[" not in line or not (_BRACKETED.search(line, 0, _WINDOW) or "\n" in line):
        return None
    first, *others = line.strip().split("\n")
    lead = read_lead(first)
    header = read_header(first, lead.start, context) if lead else None
    if lead is None or header is None:
        return None
    header = _without_relay(header, first[: lead.start])
    whole = "\n".join([first[lead.end :], *(_without_header(other, context) for other in others)])
    # Where the lines are wrapped among the attributes, the rest of them follows.
    more, position = _read_attributes(whole, 0) if others else ({}, 0)
    attributes = {**more, **lead.attributes}
    message = _read_message(whole[position:])
    named = lead.named or header.process == _PRODUCT
    own = _OWN_TIME.search(first, 0, lead.start) is not None
    if not named and not own and not _is_proof(header, attributes, whole):
        return None
    return build_frame(
        msgspec.structs.replace(header, process=_PRODUCT if named else None),
        "mocana",
        line.strip()[lead.brackets :],
        text=message.text,
        component=lead.component,
        level=attributes.get("Sev"),
        pid=lead.pid or None,
        data={**message.values, **attributes} or None,
        truncated=message.truncated,
    )


def _is_word_start(line: str, position: int) -> bool:
    return position == 0 or line[position - 1].isspace() or line[position - 1] in ":>]\ufeff"


def _read_attributes(text: str, position: int) -> tuple[dict[str, str], int]:
    """Read SubCls, EID, Type and Sev, each at most once; return them and the position after them."""
    attributes: dict[str, str] = {}
    if gap := _SKIP.match(text, position):
        position = gap.end()
    while found := _ATTRIBUTE.match(text, position):
        name = _NAMES[found["name"].lower()]
        if name in attributes:
            break
        attributes[name] = found["value"]
        position = found.end()
    return attributes, position


def _is_proof(header: Header, attributes: dict[str, str], text: str) -> bool:
    """Tell whether a line that does not say ``Mocana:`` is the gateway's; other daemons have an ``[IKE]``, too."""
    if header.time is None:
        return False
    if "SubCls" in attributes:
        return True
    return header.process is None and ("Sev" in attributes or any(name in text for name in _OBJECTS))


def _without_relay(header: Header, text: str) -> Header:
    """Take the second of two hosts for the device: the first one is a relay's. A program's name has a colon."""
    if header.process in (None, _PRODUCT) or header.version is not None or text.rstrip().endswith(":"):
        return header
    return msgspec.structs.replace(header, hostname=header.process, process=None)


def _without_header(line: str, context: Context) -> str:
    """Take the header off a line that goes on with a record."""
    again = find_again(line) if _DATED.match(line) else None
    if again is None:
        return line
    header = read_header(line, again[0], context)
    is_header = header is not None and (header.time is not None or header.pri is not None)
    return line[again[1] :] if is_header else line


def _read_message(text: str) -> _Message:
    """Split a message into its text and the object at its end."""
    start = find_object(text)
    tail = read_json_tail(text, start) if start is not None else None
    if start is None or tail is None:
        return _Message(_clean(text), {})
    after = "" if tail.truncated else text[tail.end :].strip("}] \t\r\n\0")
    if after:
        # The text goes on behind the object: both parts of it are kept.
        return _Message(f"{_clean(text[:start])} {_clean(after)}", tail.values)
    return _Message(_clean(text[:start]), tail.values, tail.truncated)


def _clean(text: str) -> str:
    """Return a text on one line, without the quotes around it and what leads over to an object."""
    parts = (part.strip() for part in _JOINT.split(text))
    text = " ".join(part for part in parts if part).removesuffix("\\n").rstrip(" ,:=")
    quoted = _QUOTED.fullmatch(text)
    return quoted[1] if quoted else text
