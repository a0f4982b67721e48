"""Writes lines as Junos devices and relays do: a format with values, in every wrapping."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

_SPECIAL = re.compile(r'(["\\\]])')
_VARIABLE = re.compile(r"\{([^{}]+)\}")


def fill(text: str, values: Mapping[str, str]) -> str:
    """Put values in the place of a format's variables."""
    return _VARIABLE.sub(lambda found: values[found[1]], text)


def names(text: str) -> list[str]:
    """Return the variables of a format."""
    return _VARIABLE.findall(text)


def structured(values: Mapping[str, str], sd_id: str = "junos@2636.1.1.1.2.129") -> str:
    """Write values as structured data, escaped as RFC 5424 section 6.3.3 says."""
    escaped = (name + '="' + _SPECIAL.sub(r"\\\1", value) + '"' for name, value in values.items())
    return "[" + " ".join(filter(None, [sd_id, *escaped])) + "]"


Envelope = Callable[[str, str, Mapping[str, str], int], str]

_ISO = "2025-05-04T15:27:26.461+10:00"

# What carries a tag and the text; the letters are those of the golden cases.
ENVELOPES: dict[str, Envelope] = {
    "a": lambda tag, text, values, pri: f"Aug  3 10:18:44  srx1 kmd[14162]: {tag}: {text}",
    "b": lambda tag, text, values, pri: f"<{pri}>Aug  3 10:18:44 srx1 kmd[14162]: {tag}: {text}",
    "b-blank": lambda tag, text, values, pri: f"<{pri}> Aug  3 10:18:44 srx1 kmd[14162]: {tag}: {text}",
    "b-year": lambda tag, text, values, pri: f"<{pri}>Aug  3 2025 10:18:44.123 srx1 kmd[14162]: {tag}: {text}",
    "c": lambda tag, text, values, pri: f"<{pri}>2025-03-31T08:41:59+00:00 srx1 kmd[13037]: {tag}: {text}",
    "d": lambda tag, text, values, pri: f"Aug  3 10:18:44 srx1 kmd[14162]: %DAEMON-{pri % 8}-{tag}: {text}",
    "e": lambda tag, text, values, pri: f"<{pri}>1 {_ISO} srx1 kmd 13862 {tag} {structured(values)} {text}",
    "h": lambda tag, text, values, pri: f"<{pri}>1 {_ISO} srx1 kmd 13862 {tag} {structured(values, '')} {text}",
    "i": lambda tag, text, values, pri: f"<{pri}> {_ISO} srx1 - - - - srx1 {tag}: {text}",
    "j": lambda tag, text, values, pri: f"<{pri}>1 {_ISO} srx1 kmd {tag} {structured(values)} {text}",
    "k": lambda tag, text, values, pri: (
        f"Aug 24 04:58:58 192.0.2.9 relay: 2025-08-24T04:58:58.724Z srx1 kmd - {tag} {structured(values)} {text}"
    ),
    "l": lambda tag, text, values, pri: (
        f"Aug  3 10:18:44  srx1 (FPC Slot 5, PIC Slot 0) SPC5_PIC0 kmd[177]: {tag}: {text}"
    ),
    "l-node": lambda tag, text, values, pri: f"Aug  3 10:18:44  srx1 node1.fpc0 kmd[177]: {tag}: {text}",
    "m": lambda tag, text, values, pri: f"Dec 27 05:58:05 {tag}: {text}",
    "bare": lambda tag, text, values, pri: f"{tag}: {text}",
}
# What carries the values as structured data alone.
BRIEF: dict[str, Envelope] = {
    "f": lambda tag, text, values, pri: f"<{pri}>1 {_ISO} srx1 kmd 13862 {tag} {structured(values)}",
    "f-blank": lambda tag, text, values, pri: f"<{pri}>1 {_ISO} srx1 kmd 13862 {tag} {structured(values)} ",
}
# What carries the text without its tag.
UNTAGGED: dict[str, Envelope] = {
    "g": lambda tag, text, values, pri: f"<{pri}>1 {_ISO} srx1 kmd 9159 - - {text}",
    "g-bsd": lambda tag, text, values, pri: f"Aug  3 10:18:44 srx1 kmd[9159]: {text}",
    "i-untagged": lambda tag, text, values, pri: f"<{pri}> {_ISO} srx1 - - - - srx1 {text}",
}
