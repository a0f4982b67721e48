r"""Lines in a JSON object, which an agent or a container runtime has written around them.

{"log":"<30>Aug  3 10:18:44 srx1 kmd[1]: …\n","stream":"stdout","time":"…"}       Docker json-file
{"@timestamp":"…","message":"…"}    {"event":{"original":"…"}}                      Beats, Logstash
{"MESSAGE":"…","_PID":"1"}                                                          journalctl -o json
<30>Aug  3 10:18:44 srx1 app: @cee: {"msg":"…"}                                     CEE over syslog
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

import msgspec

from lexilog.framing.payload import START, find_payload
from lexilog.framing.timestamp import Context
from lexilog.framing.unfit import hide, show

__all__ = ["unwrap_json"]

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
# Whether a header stands before the object does not depend on when the line came.
_ANY_TIME = Context(now=datetime(2000, 1, 1, tzinfo=UTC))


def unwrap_json(line: str) -> str | None:
    """Return the line that a JSON object holds, without its line ending; None where it holds none or is no object."""
    start = _start(line)
    if start is None:
        return None
    hidden = hide(line[start:])
    try:
        content = msgspec.json.decode(hidden)
    except (msgspec.DecodeError, RecursionError):
        return None
    text = next((found for path in _PLACES if (found := _text(content, path))), None)
    return text if text is None or hidden == line[start:] else show(text)


def _start(line: str) -> int | None:
    """Return where the object begins."""
    if line.startswith("{"):
        return 0
    found = find_payload(line, _CEE, _ANY_TIME) if "@cee:" in line else None
    return found[1].end() if found else None


def _text(content: Any, path: tuple[str, ...]) -> str | None:
    for name in path:
        content = content.get(name) if isinstance(content, dict) else None
    return content.rstrip("\r\n") if isinstance(content, str) else None
