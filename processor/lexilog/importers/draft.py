"""A draft: the facts that an importer has read, and the two files that are made of them.

What is the vendor's fact goes into a catalogue file that loads as it is; what is only guessed is named in each entry's
``review``. What is the vendor's *text* goes into a file of its own, so that it is at hand while the catalogue's own
texts are written, and never in the catalogue.
"""

from __future__ import annotations

from collections.abc import Mapping
from textwrap import indent
from typing import Any, Literal

import msgspec
import yaml

from lexilog.importers._guess import guess_field, guess_meaning
from lexilog.importers._text import slug
from lexilog.matching.template import parse_format

__all__ = ["Draft", "Fact", "write_draft", "write_vendor_text"]

_DRAFT_HEAD = """\
# A draft, made of the vendor's own text. It loads, but it is not finished:
# 1. `review` of an entry names what is only guessed or still missing. Correct it, and take the name from the list.
# 2. Write explanation, cause and action ("texts") of each entry in your own words, not in the vendor's.
# 3. Run `lexilog catalog lint FILE`: it tells what is left to do.
# How a file is built up is told in docs/catalog-format.md.
"""
_VENDOR_HEAD = """\
# The vendor's own sentences, to be read while texts for the catalogue are written in one's own words.
# They are the vendor's property: this file stays on this machine. Do not publish it, and do not put it under version
# control.
"""


class Fact(msgspec.Struct, frozen=True, kw_only=True):
    """One message, as the vendor's text has it.

    Attributes:
        id: the vendor's id; a slug of the title where there is none.
        title: the vendor's own name of the message.
        format: the text of the message, with ``{variables}``; None where the vendor's text has none.
        severity: the vendor's word.
        facility: the vendor's word.
        type: ``event`` or ``error``.
        categories: the vendor's log categories.
        parameters: names that come with a value each beside the text.
        vendor_action: what the device itself does.
        diagnostics: it is logged only where diagnostics are switched on.
        role: the device's role in the negotiation, where the text itself tells it.
        component: the component that writes it.
        where: of several messages with one format, the values by name that tell this one.
        variables: name of each variable and parameter, and its guessed type.
        vendor_text: the vendor's sentences by their heading.
        review: the keys of an entry that are guessed here, beyond those that every draft guesses.
    """

    id: str
    title: str
    format: str | None = None
    severity: str | None = None
    facility: str | None = None
    type: Literal["event", "error"] | None = None
    categories: tuple[str, ...] = ()
    parameters: tuple[str, ...] = ()
    vendor_action: str | None = None
    diagnostics: bool = False
    role: Literal["initiator", "responder"] | None = None
    component: str | None = None
    where: Mapping[str, tuple[str, ...]] = {}
    variables: Mapping[str, str] = {}
    vendor_text: Mapping[str, str] = {}
    review: tuple[str, ...] = ()


class Draft(msgspec.Struct, frozen=True, kw_only=True):
    """What one document tells.

    Attributes:
        name: of the catalogue.
        title: for people.
        frame: the wrappings that its lines come in.
        document: the document that the facts are from.
        section: its section.
        observer: vendor, product and type of the device.
        facts: the messages, in the order of the document.
        severities: the vendor's words, most severe first; each with its syslog code 0 to 7, or with that and the
            OpenTelemetry number 1 to 24 where syslog has no level of its own for it.
        facilities: the vendor's words and their syslog numbers; None where the number is not known.
        components: the names of components, and the vendor's sentence on each.
        devices: vendor and product as a wrapping such as CEF names them.
        coded: lines carry the ids.
        replaces: catalogues of which entries with the same id give way to this one's.
    """

    name: str
    title: str
    frame: tuple[str, ...]
    document: str
    section: str
    observer: Mapping[str, str]
    facts: tuple[Fact, ...]
    severities: Mapping[str, int | tuple[int, int]] = {}
    facilities: Mapping[str, int | None] = {}
    components: Mapping[str, str] = {}
    devices: tuple[tuple[str, str], ...] = ()
    coded: bool = True
    replaces: tuple[str, ...] = ()


class _Flow(dict[str, Any]):
    """A mapping that is written on one line."""


class _FlowList(list[Any]):
    """A list that is written on one line."""


class _Dumper(yaml.SafeDumper):
    """YAML in the layout of the shipped catalogues."""


_Dumper.add_representer(_Flow, lambda dumper, data: dumper.represent_mapping("tag:yaml.org,2002:map", data, True))
_Dumper.add_representer(_FlowList, lambda dumper, data: dumper.represent_sequence("tag:yaml.org,2002:seq", data, True))


def write_draft(draft: Draft) -> str:
    """Return the text of a catalogue file: facts filled in, guesses named in ``review``, no texts."""
    shared = _shared_variables(draft)
    head: dict[str, Any] = {
        "format": 1,
        "name": draft.name,
        "title": draft.title,
        "version": "0.1.0",
        "frame": draft.frame[0] if len(draft.frame) == 1 else _FlowList(draft.frame),
        "source": {"document": draft.document, "section": draft.section},
        "observer": _Flow(draft.observer),
    }
    if draft.replaces:
        head["replaces"] = _FlowList(draft.replaces)
    if draft.devices:
        head["devices"] = [_Flow(vendor=vendor, product=product) for vendor, product in draft.devices]
    if not draft.coded:
        head["coded"] = False
    head["severities"] = _Flow({word: _level(value) for word, value in draft.severities.items()})
    head["facilities"] = _Flow(draft.facilities)
    if draft.components:
        head["components"] = _FlowList(draft.components)
    if shared:
        head["variables"] = {name: _variable(name, kind) for name, kind in sorted(shared.items())}
    entries = (indent(_dump([_entry(fact, shared)]), "  ") for fact in draft.facts)
    return f"{_DRAFT_HEAD}{_dump(head)}\nentries:\n" + "\n".join(entries)


def write_vendor_text(draft: Draft) -> str:
    """Return the text of the file with the vendor's sentences, by id and heading."""
    data: dict[str, Any] = {"vendor_text_of": draft.name}
    if draft.components:
        data["components"] = dict(draft.components)
    data["entries"] = {fact.id: dict(fact.vendor_text) for fact in draft.facts if fact.vendor_text}
    return _VENDOR_HEAD + _dump(data, width=110)


def _entry(fact: Fact, shared: Mapping[str, str]) -> dict[str, Any]:
    meaning = guess_meaning(fact.id.replace("_", " "), fact.format or fact.title, *_texts(fact.where))
    event = _Flow(category=_FlowList(meaning.category), type=_FlowList([meaning.type]))
    if meaning.outcome is not None:
        event["outcome"] = meaning.outcome
    event["action"] = _action(fact)
    own = {name: kind for name, kind in fact.variables.items() if shared[name] != kind}
    keys = {
        "id": fact.id,
        "title": fact.title if fact.title != fact.id else None,
        "format": fact.format,
        "severity": fact.severity,
        "facility": fact.facility,
        "categories": _FlowList(fact.categories),
        "type": fact.type,
        "component": fact.component,
        "needs_component": _has_no_words(fact) and fact.component is not None,
        "where": {name: _FlowList(texts) for name, texts in fact.where.items()},
        "impact": meaning.impact,
        "event": event,
        "role": fact.role,
        "diagnostics": fact.diagnostics,
        "vendor_action": fact.vendor_action,
        "parameters": _FlowList(fact.parameters),
        "variables": {name: _variable(name, kind) for name, kind in own.items()},
        "review": _FlowList(_review(fact)),
    }
    return {key: value for key, value in keys.items() if value}


def _review(fact: Fact) -> list[str]:
    """Return the names of the keys that a person has to look at; "texts" are explanation, cause and action."""
    return ["texts", "impact", "event", *(["variables"] if fact.variables else []), *fact.review]


def _action(fact: Fact) -> str:
    """Return a slug of the id, or of the title where the id is a mere number."""
    words = slug(fact.id)
    return slug(fact.title) or words if words.isdecimal() else words


def _texts(where: Mapping[str, tuple[str, ...]]) -> list[str]:
    return [text for texts in where.values() for text in texts]


def _has_no_words(fact: Fact) -> bool:
    """Tell whether a format is nothing but values, so that any text could be this message."""
    return fact.format is not None and all(part.name is not None for part in parse_format(fact.format))


def _shared_variables(draft: Draft) -> dict[str, str]:
    """Return each variable of the draft with the type that its first message gives it."""
    shared: dict[str, str] = {}
    for fact in draft.facts:
        for name, kind in fact.variables.items():
            shared.setdefault(name, kind)
    return shared


def _variable(name: str, kind: str) -> _Flow:
    field = guess_field(name, kind)
    return _Flow(type=kind, fields=_FlowList([field])) if field else _Flow(type=kind)


def _level(value: int | tuple[int, int]) -> int | _Flow:
    return value if isinstance(value, int) else _Flow(code=value[0], otel=value[1])


def _dump(data: Any, width: float = float("inf")) -> str:
    return yaml.dump(data, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=width)
