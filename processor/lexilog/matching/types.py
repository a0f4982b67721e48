"""The types that a variable of a message can have: what the text of each looks like.

The patterns are for the strict readings of a line. A value that does not look like its type is still found by the
forgiving ones, which look at the words around it; see `lexilog.matching.template`. All are bounded, so that a hostile
line costs no more than a long one.
"""

from __future__ import annotations

__all__ = ["CLOSED", "TYPES", "WORDY"]

# ipv4_subnet(any:0,[0..7]=192.0.2.0/24), fqdn(udp:500,[0..9]=gw.example), user@example.net, O=Example Org, …
# Kind, then brackets that may hold blanks and one more pair of brackets; else a word.
_IDENTITY = r"(?:[A-Za-z0-9_]{1,32}\([^()]{0,200}(?:\([^()]{0,100}\)[^()]{0,100})?\)|\S{1,256}?)"

TYPES: dict[str, str] = {
    "address": r"(?:\d{1,3}(?:\.\d{1,3}){3}|\[?[0-9A-Fa-f]{0,4}:[0-9A-Fa-f:.]{1,45}(?:%[\w./-]{1,32})?\]?)",
    "boolean": r"(?:[Tt]rue|[Ff]alse|TRUE|FALSE|[Yy]es|[Nn]o|YES|NO|[01])",
    "credential": r"(?:[Uu]ser(?:[Nn]ame)?|[Tt]oken|[Pp]assword|USER(?:NAME)?|TOKEN|PASSWORD)",
    "identity": _IDENTITY,
    "integer": r"[+-]?\d{1,19}",
    "name": r"\S{1,256}?",
    "port": r"\d{1,5}",
    "role": r"(?:initiator|responder|Initiator|Responder|INITIATOR|RESPONDER)",
    "seconds": r"\d{1,10}",
    "selector": _IDENTITY,
    "text": r"\S.{0,511}?",
}

# Types that tell by themselves where a value ends.
CLOSED = frozenset({"address", "boolean", "credential", "integer", "port", "role", "seconds"})
# Types whose values may hold blanks, so that the end of the line is the end of the value.
WORDY = frozenset({"text"})
