"""The sample lines on the Blue Cedar page: header, text, and the JSON behind it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from lexilog.errors import ImportFormatError
from lexilog.importers._text import Line, number_names, slug

__all__ = ["Sample", "leaves", "mark_values", "read_samples"]

# Month, day, a year or none, time, fractions or none; then host and "Mocana:", or none of the two.
_TIME = re.compile(r"[A-Z][a-z]{2} {1,2}\d{1,2} (?:\d{4} )?\d{2}:\d{2}:\d{2}(?:\.\d+)?")
_HEADER = re.compile(
    rf"{_TIME.pattern}(?: \S+ Mocana)?: \[(?P<component>[\w-]+)\],?"
    r"(?: SubCls: ?\S+, EID: ?\d+, Type: ?\w+, Sev: ?(?P<severity>\w+),)? ?"
)
# A word with a digit in it is a value.
_VALUE = re.compile(r"\S*\d\S*")


class Sample(NamedTuple):
    """A sample line.

    Attributes:
        line: number of the line of the document in which it begins.
        component: the component that wrote it, lower case.
        severity: the severity word of its header.
        text: the text of the message, without JSON.
        data: the JSON behind the text.
    """

    line: int
    component: str | None
    severity: str | None
    text: str
    data: Mapping[str, Any] | None


def read_samples(lines: list[Line]) -> list[Sample]:
    """Read the sample lines of a block; a sample begins with a time, or is the only one.

    Raises:
        ImportFormatError: the header or the JSON of a sample breaks off.
    """
    groups: list[list[Line]] = []
    for line in lines:
        if not groups or _TIME.match(line.text):
            groups.append([])
        groups[-1].append(line)
    return [_sample(group) for group in groups]


def leaves(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of JSON by the last part of their name."""
    return dict(_leaves(data))


def mark_values(text: str) -> tuple[str, dict[str, str]]:
    """Return the format of a sample's text, and the values of its variables.

    A word with a digit is a value; it has the name of the word in front of it. An address alone is ``address``.
    """
    words = text.split(" ")
    at = [number for number, word in enumerate(words) if _VALUE.fullmatch(word)]
    names = number_names([(slug(words[number - 1]) or "value") if number else "address" for number in at])
    values = {name: words[number] for name, number in zip(names, at, strict=True)}
    out = [word.replace("{", "{{").replace("}", "}}") for word in words]
    for name, number in zip(names, at, strict=True):
        out[number] = f"{{{name}}}"
    return " ".join(out), values


def _sample(lines: list[Line]) -> Sample:
    first = lines[0].number
    text = " ".join(line.text for line in lines)
    header = _HEADER.match(text)
    body = text[header.end() :] if header else text
    if (header is None and _TIME.match(text)) or body.startswith("SubCls"):
        problem = f"the header of this sample breaks off: {lines[0].text[:60]!r}"
        raise ImportFormatError(first, "a header 'time host Mocana: [component], SubCls:…, Sev:…,'", problem)
    start = body.find("{")
    message = body[: start if start >= 0 else None].strip().strip('"')
    if not message:
        problem = "this sample has a header, and no message: is the text complete?"
        raise ImportFormatError(first, "a message", problem)
    return Sample(
        line=first,
        component=header["component"].lower() if header else None,
        severity=header["severity"] if header else None,
        text=message,
        data=_json(body[start:], first, message) if start >= 0 else None,
    )


def _json(text: str, line: int, message: str) -> Mapping[str, Any]:
    try:
        data, _ = json.JSONDecoder().raw_decode(text)
    except json.JSONDecodeError as error:
        problem = f"the JSON of '{message}' breaks off or is damaged ({error.msg}): is the text complete?"
        raise ImportFormatError(line, "JSON", problem) from error
    return data if isinstance(data, dict) else {}


def _leaves(data: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, value in data.items():
        if isinstance(value, dict):
            yield from _leaves(value)
        else:
            yield name, value
