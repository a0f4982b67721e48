r"""Lines in a JSON object, which an agent or a container runtime has written around them.

{"log":"<30>Aug  3 10:18:44 srx1 kmd[1]: …\n","stream":"stdout","time":"…"}       Docker json-file
{"@timestamp":"…","message":"…"}    {"event":{"original":"…"}}                      Beats, Logstash
{"MESSAGE":"…","_PID":"1"}                                                          journalctl -o json
<30>Aug  3 10:18:44 srx1 app: @cee: {"msg":"…"}                                     CEE over syslog
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

import msgspec

from lexilog.framing.payload import START, find_payload
from lexilog.framing.syslog import Header
from lexilog.framing.timestamp import Context
from lexilog.framing.unfit import hide, show

__all__ = ["Inner", "unwrap_json"]

_CEE = re.compile(START + r"@cee:\s{0,8}(?=\{)")
# Where the line stands, the surest first; a tuple is a path.
_PLACES = (
    ("log",),
    ("message",),
    ("MESSAGE",),
    ("msg",),
    ("@message",),
    ("event", "original"),
    ("body",),
)


class Inner(NamedTuple):
    """The line that an object holds, without its line ending, and the syslog header before the object."""

    text: str
    header: Header


def unwrap_json(line: str, context: Context) -> Inner | None:
    """Return the line that a JSON object holds; None where it holds none or is no object."""
    if line.startswith("{"):
        header, start = Header(), 0
    elif "@cee:" in line and (found := find_payload(line, _CEE, context)):
        header, start = found[0], found[1].end()
    else:
        return None
    hidden = hide(line[start:])
    try:
        content = msgspec.json.decode(hidden)
    except (msgspec.DecodeError, RecursionError):
        return None
    text = next((inner for path in _PLACES if (inner := _text(content, path))), None)
    return None if text is None else Inner(show(text) if hidden != line[start:] else text, header)


def _text(content: Any, path: tuple[str, ...]) -> str | None:
    for name in path:
        content = content.get(name) if isinstance(content, dict) else None
    return content.rstrip("\r\n") if isinstance(content, str) else None
