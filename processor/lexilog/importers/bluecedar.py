"""Blue Cedar (formerly Mocana) gateway: the help page "Gateway log contents", as a browser copies it.

The page has a head "Log header" with sample lines, components and severities, a list of the messages that have JSON
behind their text, and for each of these a section: a sample, then tables of its fields. The cells of tables are glued
together (``osTypeiOS or Android``). Everything is read from the page; the names of fields are told apart from what
follows by the JSON of the samples, and by the change of case.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from lexilog.errors import ImportFormatError
from lexilog.importers._bluecedar_samples import Sample, leaves, mark_values, read_samples
from lexilog.importers._guess import guess_type, severity_code
from lexilog.importers._text import Line, read_lines, slug
from lexilog.importers.draft import Draft, Fact

__all__ = ["read"]

_EXPECTED = "the Blue Cedar help page 'Gateway log contents'"
_SAMPLE = "BASH"
_COMPONENTS, _SEVERITIES, _JSON = "Mocana: [component]", "Sev:level", "include JSON objects:"
_END = "On this page"
_ITEM = re.compile(r"• ?([^:•]+): ?(.+)")
# Syslog has no Major and no Minor: a syslog code and an OpenTelemetry number that keep the page's order.
_OTHER_LEVELS = {"Major": (3, 17), "Minor": (4, 14)}
_TABLE = "NameDescription"
_REASONS = "ReasonNotes"
# A field that the samples lack: its name goes up to the last capital letter of the word that it is glued to.
_GLUED_NAME = re.compile(r"([a-z]+(?:[A-Z][a-z0-9]*)+)([A-Z][a-z]* .+)")
_GLUED_TEXT = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_FURTHER_FIELD = re.compile(r'includes an? "(\w+):?" entry')
# What the header of every line has by name. Its severity is the line's own, so a message has none here.
_HEADER = {"SubCls": "name", "EID": "integer", "Type": "name"}
_FLAG = re.compile(r"(?:Boolean|Whether)\b")


def read(text: str) -> Draft:
    """Read the page.

    Raises:
        ImportFormatError: a part of the page is missing, or a sample breaks off.
    """
    lines = read_lines(text, _EXPECTED)
    components = _items(lines, _COMPONENTS, r"[a-z][\w-]*")
    severities = _items(lines, _SEVERITIES, r"[A-Z]\w*")
    messages = _items(lines, _JSON, r".+")
    sections = _sections(lines, list(messages))
    samples = {name: _samples(section, name)[0] for name, section in sections.items()}
    header_samples = _samples(lines[: _at(lines, _COMPONENTS)], "Log header")
    for sample in (*samples.values(), *header_samples):
        _check_listed(sample, components, severities)
    facts: list[Fact] = []
    for name, section in sections.items():
        same = [samples[name], *(sample for sample in header_samples if sample.text == name)]
        facts += _json_facts(messages[name], section, same, _keys(samples.values()))
    plain = (sample for sample in header_samples if sample.text not in messages)
    facts += (_plain_fact(sample) for sample in plain)
    facts += (_component_fact(name, text) for name, text in components.items())
    _check_ids(facts, lines[0].number)
    title = next((line.text for line in lines if line.text.endswith("log contents")), "Gateway log contents")
    return Draft(
        name="bluecedar_gateway",
        title="Blue Cedar gateway",
        frame=("mocana",),
        document="Blue Cedar gateway help",
        section=title,
        observer={"vendor": "Blue Cedar", "product": "Gateway", "type": "vpn"},
        facts=tuple(facts),
        severities={word: _level(word, lines) for word in severities},
        components=components,
        coded=False,
    )


def _check_listed(sample: Sample, components: Mapping[str, str], severities: Mapping[str, str]) -> None:
    """Check that what a sample's header names is in the lists of the page.

    Raises:
        ImportFormatError: it is not.
    """
    for kind, name, known in (("component", sample.component, components), ("severity", sample.severity, severities)):
        if name is not None and name not in known:
            problem = f"{kind} '{name}' of this sample is not in the page's list: is the text complete?"
            raise ImportFormatError(sample.line, f"a {kind}", problem)


def _check_ids(facts: list[Fact], line: int) -> None:
    """Check that each message has an id of its own.

    Raises:
        ImportFormatError: one has not.
    """
    ids = [fact.id for fact in facts]
    for fact in facts:
        if not fact.id or ids.count(fact.id) > 1:
            problem = f"two messages have the same words, or one has none: '{fact.title}'; take one of them out"
            raise ImportFormatError(line, "messages with words of their own", problem)


def _at(lines: list[Line], marker: str) -> int:
    """Return the place of the line that ends in a marker.

    Raises:
        ImportFormatError: there is none.
    """
    for at, line in enumerate(lines):
        if line.text.endswith(marker):
            return at
    raise ImportFormatError(lines[-1].number, marker, f"there is no '{marker}' up to here; expected is {_EXPECTED}")


def _items(lines: list[Line], marker: str, name: str) -> dict[str, str]:
    """Return the list ``• name: text`` below a marker, up to the next line that is no part of it.

    Raises:
        ImportFormatError: there is no marker, or no list.
    """
    start = _at(lines, marker)
    found: dict[str, str] = {}
    for line in lines[start + 1 :]:
        item = _ITEM.fullmatch(line.text)
        if item and re.fullmatch(name, item[1]):
            found[item[1]] = item[2]
        elif found and not item:
            break
    if not found:
        problem = f"there is no list '• name: description' below '{marker}': is the text complete?"
        raise ImportFormatError(lines[start].number, "a list", problem)
    return found


def _level(word: str, lines: list[Line]) -> int | tuple[int, int]:
    level = severity_code(word)
    if level is not None:
        return level
    if word not in _OTHER_LEVELS:
        number = lines[_at(lines, _SEVERITIES)].number
        raise ImportFormatError(
            number, "a severity", f"severity '{word}' is none of the gateway's and none of syslog's"
        )
    return _OTHER_LEVELS[word]


def _sections(lines: list[Line], names: list[str]) -> dict[str, list[Line]]:
    """Return the lines of each section, its heading included, which is the name of the message.

    Raises:
        ImportFormatError: a section is missing.
    """
    starts = {}
    for name in names:
        at = next((at for at, line in enumerate(lines) if line.text == name), None)
        if at is None:
            problem = f"there is no section '{name}', which the list of messages has: is the text complete?"
            raise ImportFormatError(lines[-1].number, name, problem)
        starts[name] = at
    last = next((at for at, line in enumerate(lines) if line.text == _END), len(lines))
    ends = sorted([*starts.values(), max(last, *starts.values())])
    return {name: lines[at : ends[ends.index(at) + 1]] for name, at in starts.items()}


def _samples(lines: list[Line], name: str) -> list[Sample]:
    """Return the samples that stand between the marker of a sample and the table below.

    Raises:
        ImportFormatError: there is none, or one breaks off.
    """
    start = next((at for at, line in enumerate(lines) if line.text == _SAMPLE), None)
    if start is None:
        number = lines[0].number if lines else 1
        raise ImportFormatError(number, _SAMPLE, f"'{name}' has no sample below a line '{_SAMPLE}'")
    block = []
    for line in lines[start + 1 :]:
        if _ends_sample(line.text):
            break
        block.append(line)
    if not block:
        raise ImportFormatError(lines[start].number, "a sample", f"the sample of '{name}' is empty")
    return read_samples(block)


def _ends_sample(text: str) -> bool:
    return text in (_TABLE, _REASONS, "FieldDescription") or text.startswith(("sessionId: ", "• "))


def _keys(samples: Iterable[Sample]) -> set[str]:
    """Return every name in the JSON of the samples."""
    return {name for sample in samples if sample.data for name in _names(sample.data)}


def _names(data: Mapping[str, Any]) -> set[str]:
    inner = (_names(value) for value in data.values() if isinstance(value, dict))
    return set(data).union(*inner)


def _json_facts(description: str, section: list[Line], samples: list[Sample], keys: set[str]) -> list[Fact]:
    """Return the facts of a section: the message, and one for each reason that the section documents."""
    sample = samples[0]
    if sample.data is None:
        raise ImportFormatError(
            sample.line, "JSON", f"the sample of '{sample.text}' has no JSON: is the text complete?"
        )
    values: dict[str, Any] = {name: value for one in samples if one.data for name, value in leaves(one.data).items()}
    fields = _fields(section, keys, values)
    fields |= {name: "" for line in section for name in _FURTHER_FIELD.findall(line.text)}
    names = dict.fromkeys([*fields, *values])
    types = {name: _type(name, values.get(name), fields.get(name, "")) for name in names}
    texts = {f"Field {name}": text for name, text in fields.items() if text}
    fact = Fact(
        id=slug(sample.text),
        title=sample.text,
        format=sample.text,
        component=sample.component,
        parameters=(*_HEADER, *names),
        variables={**_HEADER, **types},
        vendor_text={"Description": description, **texts},
    )
    return [fact, *_reason_facts(fact, section, values.get("reason"))]


def _fields(section: list[Line], keys: set[str], values: Mapping[str, Any]) -> dict[str, str]:
    """Return the fields of a section's tables and lists, each with its description."""
    fields: dict[str, str] = {}
    current: str | None = None
    in_table = False
    for line in section:
        text = line.text.removeprefix("•").strip()
        if text == _TABLE:
            in_table, current = True, None
        elif text == _REASONS or not (in_table or line.text.startswith("•")):
            current = None
        elif text.rstrip(":") in keys:
            current = text.rstrip(":") if text.rstrip(":") in values else None
            if current is not None:
                fields.setdefault(current, "")
        elif in_table and (cells := _cells(text, keys)):
            current = cells[0]
            fields[current] = cells[1]
        elif current is not None:
            fields[current] = f"{fields[current]} {text}".lstrip()
    return fields


def _cells(text: str, keys: set[str]) -> tuple[str, str] | None:
    """Split a row of glued cells into the name of a field and its description."""
    for name in sorted(keys, key=len, reverse=True):
        rest = text.removeprefix(name)
        # A word that only begins like a name has small letters after it.
        if rest != text and not rest.split(" ")[0].islower() and rest[:1].isalpha():
            return name, rest
    glued = _GLUED_NAME.fullmatch(text)
    return (glued[1], glued[2]) if glued else None


def _reason_facts(fact: Fact, section: list[Line], example: Any) -> list[Fact]:
    """Return a fact for each row of the table of reasons."""
    facts = []
    for reason, notes in _reasons(section).items():
        # The sample may word a reason differently from the table.
        similar = isinstance(example, str) and set(example.lower().split()) <= set(reason.lower().split())
        texts = tuple(dict.fromkeys([reason, example])) if similar else (reason,)
        own = {"id": f"{fact.id}-{slug(reason)}", "where": {"reason": texts}, "vendor_text": {"Notes": notes}}
        variables = {**fact.variables, "reason": "text"}
        facts.append(msgspec.structs.replace(fact, **own, variables=variables))
    return facts


def _reasons(section: list[Line]) -> dict[str, str]:
    """Return each documented reason with the notes on it.

    Raises:
        ImportFormatError: the table breaks off behind its head or behind a reason.
    """
    start = next((at for at, line in enumerate(section) if line.text == _REASONS), len(section))
    reasons: dict[str, str] = {}
    current: str | None = None
    for line in section[start + 1 :]:
        if not line.text.endswith("."):
            current = line.text
            reasons[current] = ""
        elif len(cells := _GLUED_TEXT.split(line.text, maxsplit=1)) == 2:
            current = cells[0]
            reasons[current] = cells[1]
        elif current is not None:
            reasons[current] = f"{reasons[current]} {line.text}".lstrip()
    if start < len(section) and not (current and reasons[current]):
        problem = f"reason '{current}' has no notes" if current else f"there is no row below '{_REASONS}'"
        problem += ": is the text complete?"
        raise ImportFormatError(section[-1].number, "notes", problem)
    return reasons


def _type(name: str, value: object, description: str) -> str:
    """Return the type of a field by its name, its value in the sample, and what the table says of it."""
    guessed = guess_type(name)
    if guessed != "name":
        return guessed
    if isinstance(value, bool) or _FLAG.match(description):
        return "boolean"
    if isinstance(value, int):
        return "integer"
    return "text" if isinstance(value, str) and " " in value else "name"


def _plain_fact(sample: Sample) -> Fact:
    form, values = mark_values(sample.text)
    words = slug(re.sub(r"\{[^{}]*\}", " ", form))
    return Fact(
        id=words or slug(f"{sample.component} {' '.join(values)}"),
        title=re.sub(r" ?\{[^{}]*\}", "", form).strip() or form.strip("{}").capitalize(),
        format=form,
        component=sample.component,
        parameters=tuple(_HEADER),
        variables={**_HEADER, **{name: guess_type(name) for name in values}},
        review=("format", "title"),
    )


def _component_fact(name: str, description: str) -> Fact:
    """Return the fact that stands for the messages of a component that the page does not name."""
    return Fact(
        id=f"component-{name}",
        title=name,
        component=name,
        parameters=tuple(_HEADER),
        variables=_HEADER,
        vendor_text={"Description": description},
    )
