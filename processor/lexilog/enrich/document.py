"""Fields by dotted name -> one ECS document, with the agent's own fields in it.

What the agent had already set is kept; where both have a value the agent's wins, except under ``event`` and
``lexilog``, which are ours.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from functools import cache
from itertools import islice
from typing import Any, TypeVar

import msgspec

from lexilog.enrich.escape import escape, is_clean
from lexilog.model import Enriched, Outcome

__all__ = [
    "OURS",
    "agent_has",
    "document",
    "encode_finished",
    "encode_json",
    "flat_fields",
    "put",
    "without_agent_fields",
    "without_ours",
]

# What is ours whatever the agent has set.
OURS = ("event", "lexilog")
# Keys under which agents keep the line, and which mean something else in ECS.
_ECS_NAMES = ("log", "message")
# How many names of escaped fields a record lists, and how many characters of each.
_MOST_NAMES = 100
_LONGEST_NAME = 200
_log = logging.getLogger(__name__)
_encoder = msgspec.json.Encoder()

_T = TypeVar("_T")
Shape = Callable[[dict[str, Any], str | None], None]


def document(enriched: Enriched, shape: Shape | None = None) -> dict[str, Any]:
    """Return the record as one nested document, ready for JSON: dates as text, no byte that is not UTF-8.

    Args:
        enriched: the record.
        shape: changes the agent's fields, given with the line, in place before ours stand beside them.
    """
    escaped: dict[str, None] = {}
    agent = _agent_fields(enriched, escaped)
    if shape is not None:
        shape(agent, enriched.record.line)
    ours = flat_fields(enriched, escaped)
    out = without_ours(agent, ours)
    for name, value in ours.items():
        if not (agent and agent_has(agent, name)):
            put(out, name, value)
    return out


def flat_fields(enriched: Enriched, escaped: Iterable[str] = ()) -> dict[str, Any]:
    """Return the new fields by dotted name, ready to leave.

    Args:
        enriched: the record.
        escaped: names of the agent's own fields that are escaped; ``lexilog.escaped`` names them with ours.
    """
    line, names = enriched.record.line, dict[str, None]()
    if enriched.outcome is not Outcome.ERROR and (line is None or is_clean(line)):
        # Whatever was read from a clean line is clean, and so is what the catalogue says.
        out = {name: _written(value) for name, value in enriched.fields.items()}
    else:
        out = {name: _ready(value, name, names) for name, value in enriched.fields.items()}
    names.update(dict.fromkeys(escaped))
    if names:
        out["lexilog.escaped"] = [escape(name) for name in islice(names, _MOST_NAMES)]
    return out


def encode_json(enriched: Enriched) -> bytes:
    """Return the document as one line of JSON, without a line ending.

    Where the agent's fields cannot be written, such as a map nested a thousand deep, the record leaves without them and
    says so in ``error.message``.
    """
    return encode_finished(enriched, lambda _: None)[1]


def encode_finished(
    enriched: Enriched, finish: Callable[[dict[str, Any]], _T], shape: Shape | None = None
) -> tuple[_T, bytes]:
    """Return the document as `encode_json` does, after a last change to it, and what that change returned.

    Args:
        enriched: the record.
        finish: changes the document in place.
        shape: as of `document`.
    """
    try:
        return _finished(enriched, finish, shape)
    except Exception as error:  # one record must not cost another
        return _finished(without_agent_fields(enriched, error), finish, shape)


def without_agent_fields(enriched: Enriched, error: Exception) -> Enriched:
    """Return a record without the agent's fields, which could not be written, and with a note that says so."""
    # Where the nesting is too deep the traceback is as long, and says nothing.
    _log.error("the agent's fields of a record cannot be written", exc_info=not isinstance(error, RecursionError))
    record = msgspec.structs.replace(enriched.record, fields={}, line_key=None)
    problem = f"the agent's fields cannot be written: {type(error).__name__}: {error}"[:500]
    fields = {**enriched.fields, "event.kind": "pipeline_error", "error.message": problem}
    return msgspec.structs.replace(enriched, record=record, fields=fields, outcome=Outcome.ERROR)


def _finished(enriched: Enriched, finish: Callable[[dict[str, Any]], _T], shape: Shape | None) -> tuple[_T, bytes]:
    out = document(enriched, shape)
    result = finish(out)
    return result, _encoder.encode(out)


def _agent_fields(enriched: Enriched, escaped: dict[str, None]) -> dict[str, Any]:
    """Return a copy of what the agent had set.

    Once the line is known it stands in ``event.original``, so the key that held it makes room for the ECS field of that
    name. An unknown record leaves with the key as it came.
    """
    record = enriched.record
    out = {escape(str(key)): _ready(value, _name("", key), escaped) for key, value in record.fields.items()}
    if record.line_key in _ECS_NAMES and enriched.outcome is Outcome.MATCHED:
        del out[record.line_key]
    return out


def agent_has(agent: Mapping[str, Any], name: str) -> bool:
    """Tell whether a dotted name is the agent's: it has a value there, or above it, however the dots are nested.

    Names under ``event`` and ``lexilog`` never are.
    """
    path = name.split(".")
    if path[0] in OURS:
        return False
    if name in agent:
        return True
    place: Any = agent
    for depth, step in enumerate(path):
        if depth and ".".join(path[depth:]) in place:
            return True
        if step not in place:
            return False
        place = place[step]
        if not isinstance(place, Mapping):
            return True
    return True


def without_ours(agent: Mapping[str, Any], names: Mapping[str, Any]) -> dict[str, Any]:
    """Return the agent's fields without those under ``event`` and ``lexilog`` that we set, dotted or nested."""
    out = {key: value for key, value in agent.items() if not (_is_ours(key) and _is_set(key, names))}
    for top in OURS:
        if isinstance(agent.get(top), dict):
            out[top] = _without(agent[top], f"{top}.", names)
        elif top in agent and isinstance(out.setdefault("labels", {}), dict):
            # No map, so not one of our fields: it makes room for them.
            out["labels"] = {**out["labels"], top: agent[top]}
    return out


def _is_set(name: str, names: Mapping[str, Any]) -> bool:
    """Tell whether a name, or any below it, is among ours."""
    return name in names or any(ours.startswith(f"{name}.") for ours in names)


def _without(nested: Mapping[str, Any], prefix: str, names: Mapping[str, Any]) -> dict[str, Any]:
    out = {}
    for key, value in nested.items():
        name = f"{prefix}{key}"
        if name not in names:
            out[key] = _without(value, f"{name}.", names) if isinstance(value, dict) else value
    return out


def _is_ours(name: str) -> bool:
    return name.partition(".")[0] in OURS


def put(out: dict[str, Any], name: str, value: Any) -> None:
    """Set a value at its dotted name."""
    path, last = _path(name)
    place = out
    for step in path:
        inner = place.get(step)
        if not isinstance(inner, dict):
            inner = place[step] = {}
        place = inner
    place[last] = value


@cache
def _path(name: str) -> tuple[tuple[str, ...], str]:
    *path, last = name.split(".")
    return tuple(path), last


def _written(value: Any) -> Any:
    """Return a clean value as it leaves; what a caller may change is a copy."""
    if isinstance(value, str):
        return value
    if isinstance(value, datetime):
        return _iso(value)
    if isinstance(value, dict | list):
        return value.copy()
    return value


def _ready(value: Any, name: str, escaped: dict[str, None]) -> Any:
    """Return a value that JSON and protobuf can hold; note the names of escaped texts, each once."""
    if isinstance(value, str):
        if is_clean(value):
            return value
        if len(escaped) < _MOST_NAMES:
            escaped[name] = None
        return escape(value)
    if isinstance(value, datetime):
        return _iso(value)
    if isinstance(value, Mapping):
        return {escape(str(key)): _ready(item, _name(f"{name}.", key), escaped) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_ready(item, name, escaped) for item in value]
    return value


def _name(above: str, key: object) -> str:
    """Return the name of what stands under a key: of a long one its beginning, however deep it stands."""
    return (above + str(key)[:_LONGEST_NAME])[:_LONGEST_NAME]


def _iso(when: datetime) -> str:
    """Return a UTC time with milliseconds, or microseconds where there are any."""
    spec = "microseconds" if when.microsecond % 1000 else "milliseconds"
    return when.replace(tzinfo=None).isoformat(timespec=spec) + "Z"
