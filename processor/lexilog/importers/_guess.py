"""What names and words suggest: types and fields of variables, and what a message means. A person confirms it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

from lexilog.importers._text import slug

__all__ = ["Meaning", "guess_field", "guess_meaning", "guess_type", "guess_types", "severity_code"]

_SEVERITIES = (
    ("emergency", "emerg", "panic"),
    ("alert",),
    ("critical", "crit"),
    ("error", "err"),
    ("warning", "warn"),
    ("notice",),
    ("information", "informational", "info"),
    ("debug",),
)

# Names by their letters and digits alone, so that local-address, local_address and localAddress are one.
_KNOWN = {
    "acceptedeula": ("boolean", "lexilog.app.accepted_eula"),
    "algorithms": ("text", "lexilog.ike.proposal"),
    "appgsid": ("integer", "lexilog.app.gsid"),
    "appname": ("text", "lexilog.app.name"),
    "apppackageid": ("name", "package.name"),
    "appuuid": ("name", "lexilog.app.uuid"),
    "appversion": ("text", "package.version"),
    "assignedip": ("address", "lexilog.session.assigned_ip"),
    "bytesrx": ("integer", "source.bytes"),
    "bytestx": ("integer", "destination.bytes"),
    "carriername": ("text", "lexilog.device.carrier.name"),
    "destinationaddress": ("address", "destination.ip"),
    "destinationport": ("port", "destination.port"),
    "destip": ("address", "destination.ip"),
    "destport": ("port", "destination.port"),
    "devicename": ("text", "host.name"),
    "durationseconds": ("seconds", "event.duration"),
    "errormessage": ("text", "event.reason"),
    "federation": ("name", "lexilog.session.federation"),
    "gatewayname": ("name", "lexilog.tunnel.gateway"),
    "ikeversion": ("name", "lexilog.ike.version"),
    "inboundspi": ("name", "lexilog.tunnel.spi.inbound"),
    "jailbroken": ("boolean", "lexilog.device.jailbroken"),
    "localaddress": ("address", "lexilog.local.ip"),
    "localid": ("identity", "lexilog.local.id"),
    "localikespi": ("name", "lexilog.ike.spi.local"),
    "localip": ("address", "lexilog.local.ip"),
    "localpeer": ("identity", "lexilog.local.id"),
    "localport": ("port", "lexilog.local.port"),
    "localprefix": ("selector", "lexilog.tunnel.traffic_selector.local"),
    "localts": ("selector", "lexilog.tunnel.traffic_selector.local"),
    "mobilecountrycode": ("name", "lexilog.device.carrier.mcc"),
    "mobilenetworkcode": ("name", "lexilog.device.carrier.mnc"),
    "negotiationrole": ("role", "lexilog.ike.role"),
    "ostype": ("name", "host.os.type"),
    "outboundspi": ("name", "lexilog.tunnel.spi.outbound"),
    "packetsrx": ("integer", "source.packets"),
    "packetstx": ("integer", "destination.packets"),
    "peeraddress": ("address", "lexilog.remote.ip"),
    "publicsrcip": ("address", "source.ip"),
    "reason": ("text", "event.reason"),
    "remediation": ("text", "lexilog.remediation"),
    "remoteaddress": ("address", "lexilog.remote.ip"),
    "remoteid": ("identity", "lexilog.remote.id"),
    "remoteikespi": ("name", "lexilog.ike.spi.remote"),
    "remoteip": ("address", "lexilog.remote.ip"),
    "remotepeer": ("identity", "lexilog.remote.id"),
    "remoteport": ("port", "lexilog.remote.port"),
    "remoteprefix": ("selector", "lexilog.tunnel.traffic_selector.remote"),
    "remotets": ("selector", "lexilog.tunnel.traffic_selector.remote"),
    "securitypatchversion": ("name", "lexilog.device.security_patch"),
    "serviceset": ("name", "lexilog.tunnel.service_set"),
    "sourceaddress": ("address", "source.ip"),
    "sourceport": ("port", "source.port"),
    "srcip": ("address", "source.ip"),
    "srcport": ("port", "source.port"),
    "tunnelname": ("name", "lexilog.tunnel.name"),
    "uniqueid": ("name", "device.id"),
    "userid": ("name", "user.name"),
    "username": ("name", "user.name"),
    "vpnname": ("name", "lexilog.tunnel.name"),
}
# The last word of a name that is not known as a whole.
_LAST_WORDS = {
    "address": ("address", "addr", "ip"),
    "integer": (
        "bytes",
        "code",
        "count",
        "index",
        "length",
        "limit",
        "max",
        "min",
        "number",
        "packets",
        "size",
        "unit",
    ),
    "port": ("port",),
    "role": ("role",),
    "seconds": ("seconds",),
    "text": ("error", "message", "reason"),
}
_BY_LAST_WORD = {word: kind for kind, words in _LAST_WORDS.items() for word in words}
_WORDS = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")
_NUMBERED = re.compile(r"\d+$")


class Meaning(NamedTuple):
    """What a message seems to tell, in the words of ECS, and our own opinion of it."""

    category: tuple[str, ...]
    type: str
    outcome: str | None
    impact: str


_FAILED = re.compile(
    r"\b(fail\w*|unable|can ?not|could not|errors?|invalid|denied|den(?:y|ies)|disallowed|reject\w*|refus\w*|not"
    r"|no|unsupported|missing|exceeded|exhausted|dead|abort\w*|inconsistent|mismatch\w*|timed out|timeout|unknown"
    r"|unexpected|malformed|jailbroken|duplicate)\b"
)
_DENIED = re.compile(r"\b(denied|den(?:y|ies)|disallowed|reject\w*|refus\w*)\b")
_SUCCEEDED = re.compile(r"\b(success\w*|succe\w+|established|completed|done|granted|ok|up|acquired|session start)\b")
_ENDED = re.compile(r"\b(delet\w+|down|dead|logged out|logout|closed|stop|stopped|terminated|removed|torn|freed)\b")
_BEGINS = re.compile(
    r"\b(start\w*|initiat(?:e|ed|ing|ion)|negotiat\w*|establish\w*|creat\w*|rekey\w*|connect\w*|phase|sa|up)\b"
)
_LOGIN = re.compile(r"\b(authenticat(?:ed|e|or)|authentication (?:failed|done)|log ?in|logged|password|credentials?)\b")
_SETTINGS = re.compile(r"\b(config\w*|commit\w*)\b")
_ATTACK = re.compile(r"\b(attack\w*|spoof\w*|replay\w*|jailbroken|malformed|tamper\w*|intrusion\w*)\b")
_VARIABLE = re.compile(r"\{[^{}]*\}")


def severity_code(word: str) -> int | None:
    """Return the syslog code, 0 to 7, of a severity word; None for a word that syslog does not have."""
    return next((code for code, words in enumerate(_SEVERITIES) if word.lower() in words), None)


def guess_type(name: str) -> str:
    """Return the type of a variable that its name suggests; ``name`` where it suggests none."""
    if known := _KNOWN.get(_squashed(name)):
        return known[0]
    words = _WORDS.findall(_NUMBERED.sub("", name))
    return _BY_LAST_WORD.get(words[-1].lower(), "name") if words else "name"


def guess_types(names: Iterable[str]) -> dict[str, str]:
    """Return the type that each name suggests."""
    return {name: guess_type(name) for name in names}


def guess_field(name: str, kind: str) -> str | None:
    """Return the field that a variable's name makes plain, if it is one for values of the type `kind`."""
    known = _KNOWN.get(_squashed(name))
    return known[1] if known and known[0] == kind else None


def guess_meaning(*texts: str) -> Meaning:
    """Return what the words of a message's id and text suggest. Values do not count."""
    words = " ".join(slug(_VARIABLE.sub(" ", text)).replace("-", " ") for text in texts)
    if _FAILED.search(words):
        return _failure(words)
    if _ENDED.search(words):
        return Meaning(("network", "session"), "end", None, "down" if "down" in words.split() else "none")
    outcome = "success" if _SUCCEEDED.search(words) else None
    if _LOGIN.search(words):
        return Meaning(("authentication",), "start" if outcome else "info", outcome, "none")
    if outcome and _BEGINS.search(words):
        return Meaning(("network", "session"), "start", outcome, "none")
    if _SETTINGS.search(words):
        return Meaning(("configuration",), "info", None, "none")
    return Meaning(("network",), "info", None, "none")


def _failure(words: str) -> Meaning:
    impact = "security" if _ATTACK.search(words) else "down"
    if _DENIED.search(words):
        return Meaning(("network",), "denied", "failure", impact)
    if _LOGIN.search(words):
        return Meaning(("authentication",), "start", "failure", impact)
    if _BEGINS.search(words):
        return Meaning(("network",), "start", "failure", impact)
    category = "configuration" if _SETTINGS.search(words) else "network"
    return Meaning((category,), "info", "failure", "security" if impact == "security" else "degraded")


def _squashed(name: str) -> str:
    return re.sub(r"[^a-z]", "", name.lower())
