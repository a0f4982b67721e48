"""Brings an object as it was sent and as the cluster gives it back into one form, so that both can be compared."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["meta_of", "normal"]

# What a cluster adds of its own.
_STAMPS = frozenset({"created_date", "created_date_millis", "modified_date", "modified_date_millis"})


def meta_of(kind: str, body: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the ``_meta`` of an object; empty where it has none."""
    holder = body.get("policy", {}) if kind == "lifecycle_policy" else body
    meta = holder.get("_meta")
    return meta if isinstance(meta, Mapping) else {}


def normal(kind: str, body: Mapping[str, Any]) -> dict[str, Any]:
    """Return an object without what a cluster adds, and with its settings written as a cluster writes them.

    Args:
        kind: as in `lexilog.compilers.elasticsearch.objects.ClusterObject`.
        body: what is sent, or what the cluster has given back.
    """
    if kind == "lifecycle_policy":
        return {"policy": _policy(body["policy"])}
    found = {name: value for name, value in body.items() if name not in _STAMPS}
    if "template" in found and (template := _template(found.pop("template"))):
        found["template"] = template
    if "data_stream" in found:
        found["data_stream"] = {name: value for name, value in found["data_stream"].items() if value is not False}
    return found


def _template(template: Mapping[str, Any]) -> dict[str, Any]:
    found = dict(template)
    if "settings" in found:
        found["settings"] = _settings(found["settings"])
    if "mappings" in found:
        found["mappings"] = _as_text(found["mappings"])
    if "lifecycle" in found:
        found["lifecycle"] = {name: value for name, value in found["lifecycle"].items() if (name, value) != _ENABLED}
    return {name: value for name, value in found.items() if value != {} or name == "lifecycle"}


# The default of a data stream lifecycle.
_ENABLED = ("enabled", True)


def _settings(settings: Mapping[str, Any], above: str = "") -> dict[str, Any]:
    """Return settings flat, in full and as text, which is how a cluster keeps them."""
    found: dict[str, Any] = {}
    for name, value in settings.items():
        path = f"{above}{name}"
        if isinstance(value, Mapping):
            found |= _settings(value, f"{path}.")
        else:
            found[path if path.startswith("index.") else f"index.{path}"] = _as_text(value)
    return dict(sorted(found.items()))


def _as_text(value: Any) -> Any:
    """Return a value with text for numbers and booleans, as which a cluster gives back some of them."""
    if isinstance(value, Mapping):
        return {name: _as_text(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_as_text(one) for one in value]
    if isinstance(value, bool):
        return str(value).lower()
    return value if value is None else str(value)


def _policy(policy: Mapping[str, Any]) -> dict[str, Any]:
    """Return a lifecycle policy without the defaults that a cluster fills in."""
    found = dict(policy)
    found["phases"] = {name: _phase(phase) for name, phase in policy.get("phases", {}).items()}
    return found


def _phase(phase: Mapping[str, Any]) -> dict[str, Any]:
    found = {
        name: value for name, value in phase.items() if (name, value) not in (("min_age", "0ms"), ("min_age", "0s"))
    }
    actions = {name: dict(action) for name, action in phase.get("actions", {}).items()}
    if actions.get("delete", {}).get("delete_searchable_snapshot") is True:
        del actions["delete"]["delete_searchable_snapshot"]
    return {**found, "actions": actions}
