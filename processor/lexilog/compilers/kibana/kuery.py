"""Conditions as KQL, the language of Kibana's search bar."""

from __future__ import annotations

from collections.abc import Iterable

from lexilog.compilers.panels import Condition

__all__ = ["kql"]


def kql(conditions: Iterable[Condition]) -> str:
    """Return the query for which all conditions hold; empty where there are none."""
    return " and ".join(_one(condition) for condition in conditions)


def _one(condition: Condition) -> str:
    field = condition.field
    if condition.values:
        return f"{field} : {_any(condition.values)}"
    if condition.others:
        return f"not {field} : {_any(condition.others)}"
    if condition.exists is not None:
        return f"{field} : *" if condition.exists else f"not {field} : *"
    if condition.above is not None:
        return f"{field} > {condition.above}"
    return f"{field} < {condition.below}"


def _any(values: tuple[str, ...]) -> str:
    quoted = ['"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"' for value in values]
    return quoted[0] if len(quoted) == 1 else f"({' or '.join(quoted)})"
