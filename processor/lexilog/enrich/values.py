"""Text of a variable -> value of a field's type. What does not fit is None, and stays text in the variables."""

from __future__ import annotations

import re
import socket
from collections.abc import Callable
from typing import Any

__all__ = ["LONG", "address_family", "as_address", "as_long", "as_port", "converter"]

Converter = Callable[[str], Any]

# The address inside ipv4(udp:500,[0..3]=192.0.2.1) and the like, or before a port as in 192.0.2.1/500.
_INNER = re.compile(r"(?:ipv[46]\([^=]{0,64}=)?\[?([0-9A-Fa-f:.]{2,45})\]?(?:/(\d{1,5}))?\)?\Z")
# The port in ipv4(udp:500,…) or in 192.0.2.1/500; 0 and "any" say nothing.
_PORT = re.compile(r"\w+\(\w+:(\d{1,5}),|([0-9A-Fa-f:.\]]{2,47})/(\d{1,5})\Z")
_NUMBER = re.compile(r"[+-]?[0-9]{1,19}")
# What 64 bits hold.
LONG = range(-(2**63), 2**63)


def address_family(text: str) -> str | None:
    """Return ``ipv4`` or ``ipv6``, or None where the text is no address."""
    if ":" in text:
        return "ipv6" if _is_address(socket.AF_INET6, text) else None
    return "ipv4" if _is_address(socket.AF_INET, text) else None


def as_address(text: str) -> str | None:
    """Return the address that a text is, or that an IKE identity holds."""
    if address_family(text):
        return text
    found = _INNER.match(text)
    family = address_family(found[1]) if found else None
    return found[1] if found and family and not _is_prefix(found[2], family) else None


def _is_prefix(text: str | None, family: str) -> bool:
    """Tell whether what stands behind the slash is the length of a prefix: then it is a network, and no end point."""
    return text is not None and int(text) <= (32 if family == "ipv4" else 128)


def as_port(text: str) -> int | None:
    """Return the port number, 1 to 65535, that a text is or that an IKE identity holds."""
    if not text.isdecimal():
        found = _PORT.match(text)
        if not found or (found[3] and _is_prefix(found[3], "ipv6" if ":" in found[2] else "ipv4")):
            return None
        text = found[1] or found[3]
    port = int(text) if len(text) <= 5 else 0
    return port if 0 < port < 65536 else None


def as_long(text: str) -> int | None:
    """Return the whole number that a text is, if 64 bits hold it."""
    number = int(text) if _NUMBER.fullmatch(text) else None
    return number if number is not None and number in LONG else None


def _is_address(family: socket.AddressFamily, text: str) -> bool:
    try:
        socket.inet_pton(family, text)
    except (OSError, ValueError):
        return False
    return True


def _as_keyword(text: str) -> str | None:
    return text or None


def _as_boolean(text: str) -> bool | None:
    return _BOOLEANS.get(text.lower())


def _as_role(text: str) -> str | None:
    """Return the role that a text is, or that the answer to "is it the initiator" means."""
    lower = text.lower()
    if lower in _ROLES:
        return _ROLES[lower]
    answer = _as_boolean(lower)
    return None if answer is None else ("initiator" if answer else "responder")


def _as_os_type(text: str) -> str | None:
    """Return one of the values that ECS expects in ``host.os.type``."""
    lower = text.lower()
    return lower if lower in _OS_TYPES else None


def _as_nanoseconds(text: str) -> int | None:
    seconds = as_long(text)
    return seconds * 10**9 if seconds is not None and 0 <= seconds < 2**33 else None


_OS_TYPES = frozenset({"android", "ios", "linux", "macos", "unix", "windows"})
_ROLES = {"initiator": "initiator", "i": "initiator", "responder": "responder", "r": "responder"}
_BOOLEANS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
_BY_FIELD_TYPE: dict[str, Converter] = {
    "boolean": _as_boolean,
    "ip": as_address,
    "keyword": _as_keyword,
    "long": as_long,
}
_BY_FIELD: dict[str, Converter] = {"lexilog.ike.role": _as_role, "host.os.type": _as_os_type}


def converter(field: str, field_type: str, variable_type: str) -> Converter:
    """Return what makes a value of a field out of a variable's text; it returns None for what does not fit.

    Args:
        field: name of the field.
        field_type: its type in the field table.
        variable_type: type of the variable; one of `lexilog.matching.types.TYPES`.
    """
    if field.endswith(".port"):
        return as_port
    if variable_type == "seconds" and field == "event.duration":
        return _as_nanoseconds
    return _BY_FIELD.get(field) or _BY_FIELD_TYPE[field_type]
