"""AnyValue <-> plain values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue

__all__ = ["from_any", "from_pairs", "set_any"]

_LONG = range(-(2**63), 2**63)


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


def set_any(target: AnyValue, value: Any) -> None:
    """Set a value to what a plain value stands for; None leaves it unset."""
    if isinstance(value, str):
        target.string_value = value
    elif isinstance(value, bool):
        target.bool_value = value
    elif isinstance(value, int):
        if value in _LONG:
            target.int_value = value
        else:
            target.string_value = str(value)
    elif isinstance(value, float):
        target.double_value = value
    elif isinstance(value, Mapping):
        target.kvlist_value.SetInParent()
        for key, item in value.items():
            pair = target.kvlist_value.values.add()
            pair.key = key
            set_any(pair.value, item)
    elif isinstance(value, list):
        target.array_value.SetInParent()
        for item in value:
            set_any(target.array_value.values.add(), item)
