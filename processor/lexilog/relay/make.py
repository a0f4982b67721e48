"""Makes relays of settings. A relay's client library is loaded when the relay is, not before."""

from __future__ import annotations

from importlib import import_module

from lexilog.relay.base import Relay
from lexilog.relay.settings import (
    ElasticsearchSettings,
    FileSettings,
    ForwardSettings,
    OtlpSettings,
    RelaySettings,
    SplunkHecSettings,
    StdoutSettings,
)

__all__ = ["make_relay"]

_CLASSES: dict[type[RelaySettings], tuple[str, str]] = {
    OtlpSettings: ("otlp", "OtlpRelay"),
    ForwardSettings: ("forward", "ForwardRelay"),
    ElasticsearchSettings: ("elasticsearch", "ElasticsearchRelay"),
    SplunkHecSettings: ("splunk_hec", "SplunkHecRelay"),
    FileSettings: ("file", "FileRelay"),
    StdoutSettings: ("file", "StdoutRelay"),
}


def make_relay(name: str, settings: RelaySettings) -> Relay:
    """Return the relay that settings describe.

    Args:
        name: what errors and counters call it.
        settings: which type, and what it is told.
    """
    module, kind = _CLASSES[type(settings)]
    relay: Relay = getattr(import_module(f"lexilog.relay.{module}"), kind)(name, settings)
    return relay
