"""AnyValue <-> plain values."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import date
from typing import Any

from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue

from lexilog.enrich.escape import escape, unescape

__all__ = ["add_pair", "from_any", "from_pairs", "set_any"]

_LONG = range(-(2**63), 2**63)
# Messages that a map is nested by (list, pair, value), and a list (list, value).
_MAP, _LIST = 3, 2
# How deep messages may be nested in a value that is set. Parsers of protobuf take 100 by default, five of them around
# an attribute's value; the rest is for whoever puts what we send into something of their own.
_DEEPEST = 25 * _MAP


def from_any(value: AnyValue) -> Any:
    """Return the plain value; bytes become text in which bytes that are not UTF-8 are lone surrogates."""
    kind = value.WhichOneof("value")
    if kind == "kvlist_value":
        return from_pairs(value.kvlist_value.values)
    if kind == "array_value":
        return [from_any(item) for item in value.array_value.values]
    if kind == "bytes_value":
        return value.bytes_value.decode("utf-8", "surrogateescape")
    return getattr(value, kind) if kind else None


def from_pairs(pairs: Iterable[KeyValue]) -> dict[str, Any]:
    """Return a key-value list as a mapping; the first of two equal keys counts."""
    out: dict[str, Any] = {}
    for pair in pairs:
        if pair.key not in out:
            out[pair.key] = from_any(pair.value)
    return out


def set_any(target: AnyValue, value: Any, room: int = _DEEPEST) -> None:
    """Set a value to what a plain value stands for; None leaves it unset.

    Text that is not UTF-8 is kept as its bytes. What OTLP has no place for becomes text: a number beyond 64 bits, a
    date, and a map or list that is nested too deep, which becomes JSON.

    Args:
        target: the value to set; it is not set yet.
        value: the plain value.
        room: how deep messages may be nested in it.
    """
    if isinstance(value, str):
        _set_text(target, value)
    elif isinstance(value, bool):
        target.bool_value = value
    elif isinstance(value, int) and value in _LONG:
        target.int_value = value
    elif isinstance(value, float):
        target.double_value = value
    elif isinstance(value, bytes):
        target.bytes_value = value
    elif isinstance(value, Mapping) and room >= _MAP:
        target.kvlist_value.SetInParent()
        for key, item in value.items():
            set_any(add_pair(target.kvlist_value.values, key), item, room - _MAP)
    elif isinstance(value, list | tuple) and room >= _LIST:
        target.array_value.SetInParent()
        for item in value:
            set_any(target.array_value.values.add(), item, room - _LIST)
    elif isinstance(value, Mapping | list | tuple):
        _set_text(target, json.dumps(value, ensure_ascii=False, default=_plain))
    elif value is not None:
        _set_text(target, str(_plain(value)))


def add_pair(pairs: Any, key: Any) -> AnyValue:
    """Add a pair to a key-value list, and return its value to set; a key that cannot be text as it is is escaped."""
    pair: KeyValue = pairs.add()
    try:
        pair.key = key
    except (TypeError, ValueError):
        pair.key = escape(str(key))
    return pair.value


def _set_text(target: AnyValue, text: str) -> None:
    try:
        target.string_value = text
    except UnicodeEncodeError:
        target.bytes_value = unescape(escape(text))


def _plain(value: Any) -> Any:
    """Return what JSON has for a value that it does not know."""
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, bytes):
        return value.decode("utf-8", "surrogateescape")
    return value.isoformat() if isinstance(value, date) else str(value)
