r"""Lines in a JSON object, which an agent or a container runtime has written around them.

{"log":"<30>Aug  3 10:18:44 srx1 kmd[1]: …\n","stream":"stdout","time":"…"}       Docker json-file
{"@timestamp":"…","message":"…"}    {"event":{"original":"…"}}                      Beats, Logstash
{"MESSAGE":"…","_PID":"1"}                                                          journalctl -o json
<30>Aug  3 10:18:44 srx1 app: @cee: {"msg":"…"}                                     CEE over syslog
"""

from __future__ import annotations

import json
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
    ("event", "original"),
    ("log",),
    ("message",),
    ("MESSAGE",),
    ("msg",),
    ("@message",),
    ("body",),
)


class Inner(NamedTuple):
    """The texts in an object that may be the line, the surest first, and the syslog header before the object."""

    texts: tuple[str, ...]
    header: Header


def unwrap_json(line: str, context: Context) -> Inner | None:
    """Return what in a JSON object may be a line, without line endings; None where there is none or it is no object."""
    if line.startswith("{"):
        header, start = Header(), 0
    elif "@cee:" in line and (found := find_payload(line, _CEE, context)):
        header, start = found[0], found[1].end()
    else:
        return None
    hidden = hide(line[start:])
    content = _decoded(hidden)
    texts = [text for path in _PLACES if (text := _text(content, path))]
    if hidden != line[start:]:
        texts = [show(text) for text in texts]
    return Inner(tuple(dict.fromkeys(texts)), header) if texts else None


def _decoded(text: str) -> Any:
    """Return what a JSON text says; a forgiving reader comes second: half a character, a raw TAB in a string."""
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        pass
    try:
        return json.loads(text, strict=False)
    except (ValueError, RecursionError):
        return None


def _text(content: Any, path: tuple[str, ...]) -> str | None:
    for name in path:
        content = content.get(name) if isinstance(content, dict) else None
    return content.rstrip("\r\n") if isinstance(content, str) else None
