"""How an agent gets at the lines: the inputs of the package, and the templates of their settings."""

from __future__ import annotations

from typing import Any, NamedTuple

__all__ = ["input_files", "policy_inputs", "streams"]


class _Input(NamedTuple):
    """One way in.

    Attributes:
        name: the agent's input.
        title: for people.
        does: what it does, as a sentence.
        settings: names of `_SETTINGS` that it has.
        template: how the agent's own settings are made of these.
    """

    name: str
    title: str
    does: str
    settings: tuple[str, ...]
    template: str


def _setting(kind: str, title: str, *, default: Any = None, **more: Any) -> dict[str, Any]:
    found = {"type": kind, "title": title, **{"multi": False, "required": True, "show_user": True, **more}}
    return found if default is None else {**found, "default": default}


_SETTINGS: dict[str, dict[str, Any]] = {
    "paths": _setting("text", "Paths", default=["/var/log/vpn/*.log"], multi=True),
    # Nothing that listens is open to other machines unless somebody says so.
    "listen_address": _setting("text", "Address to listen on", default="localhost"),
    "listen_port": _setting("integer", "Port to listen on", default=9514),
    "ssl": _setting("yaml", "TLS settings", required=False, show_user=False),
    "tags": _setting("text", "Tags", default=["forwarded", "lexilog"], multi=True, show_user=False),
    "processors": _setting(
        "yaml",
        "Processors",
        required=False,
        show_user=False,
        description="Processors of the agent, run before the line is sent. They are to leave the field message alone.",
    ),
}

_COMMON = """\
tags:
{{#each tags as |tag|}}
  - {{tag}}
{{/each}}
{{#contains "forwarded" tags}}
publisher_pipeline.disable_host: true
{{/contains}}
{{#if processors}}
processors:
{{processors}}
{{/if}}
"""
_LISTEN = 'host: "{{listen_address}}:{{listen_port}}"\n'
_TLS = "{{#if ssl}}\nssl:\n{{ssl}}\n{{/if}}\n"
_PATHS = "paths:\n{{#each paths as |path|}}\n  - {{path}}\n{{/each}}\n"

_INPUTS = (
    _Input(
        "udp", "Syslog over UDP", "Listens for lines over UDP.",
        ("listen_address", "listen_port", "tags", "processors"), _LISTEN + _COMMON,
    ),
    _Input(
        "tcp", "Syslog over TCP", "Listens for lines over TCP, with TLS where it is set.",
        ("listen_address", "listen_port", "ssl", "tags", "processors"), _LISTEN + _TLS + _COMMON,
    ),
    _Input(
        "filestream", "Files", "Reads lines from files, as syslog daemons write them.",
        ("paths", "tags", "processors"), _PATHS + _COMMON,
    ),
)  # fmt: skip


def policy_inputs() -> list[dict[str, Any]]:
    """Return the inputs for the manifest of the package."""
    return [{"type": one.name, "title": one.title, "description": one.does} for one in _INPUTS]


def streams() -> list[dict[str, Any]]:
    """Return the inputs with their settings for the manifest of the data stream."""
    return [
        {
            "input": one.name,
            "title": one.title,
            "description": one.does,
            "template_path": f"{one.name}.yml.hbs",
            # One way in is on by default: two would listen on the same port.
            "enabled": one is _INPUTS[0],
            "vars": [{"name": name, **_SETTINGS[name]} for name in one.settings],
        }
        for one in _INPUTS
    ]


def input_files() -> dict[str, bytes]:
    """Return the templates by the name of their file."""
    return {f"{one.name}.yml.hbs": one.template.encode() for one in _INPUTS}
