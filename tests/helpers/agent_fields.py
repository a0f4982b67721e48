"""Fields as agents send them beside a line, the awkward ones among them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["AGENTS", "UNKNOWN", "VPN_UP", "deep"]

VPN_UP = '<28>1 2025-08-03T10:18:44.5Z srx1 kmd 1 KMD_VPN_UP_ALARM_USER [junos@2636.1.1.1.2.129 vpn-name="hq"]'
UNKNOWN = "Aug  3 10:18:44 host program: a line that nobody knows"


def deep(levels: int) -> dict[str, Any]:
    """Return maps in maps."""
    out: dict[str, Any] = {"a": "leaf"}
    for _ in range(levels - 1):
        out = {"a": out}
    return out


# What agents send, beside plain lines.
AGENTS: tuple[Mapping[str, Any], ...] = (
    {"message": VPN_UP, "@timestamp": "2026-01-15T12:00:00.000Z"},
    {"message": UNKNOWN, "@timestamp": "2026-01-15T12:00:00.000Z"},
    {"message": UNKNOWN, "@timestamp": "fifteenth of January"},
    {"log": VPN_UP, "stream": "stdout", "container_name": "srx"},
    {"MESSAGE": VPN_UP, "_PID": "1"},
    {"message": VPN_UP, "log": {"file": {"path": "/var/log/srx"}, "level": "info"}, "agent": {"type": "filebeat"}},
    {
        "message": VPN_UP,
        "event": {"original": "x", "dataset": "system", "category": ["a"], "mine": 1, "deep": {"a": 1}},
    },
    {"message": VPN_UP, "event.dataset": "system", "event.mine": 2, "lexilog.impact": "x", "lexilog.variables.a": 1},
    {"message": VPN_UP, "event": "text", "lexilog": [1]},
    {"message": VPN_UP, "event": "text", "labels": "x"},
    {"message": VPN_UP, "event": "text", "labels": {"a": 1}},
    {"message": VPN_UP, "source": "text", "observer.hostname": "mine", "log.level": "mine", "process": {"pid": "7"}},
    {"message": VPN_UP, "ecs": "8.0", "ecs.version": "1", "observer": None, "network": {}, "host": {"name": "web1"}},
    {"message": VPN_UP, "data_stream": {"type": "logs", "dataset": "lexilog.raw", "namespace": "prod"}},
    {"message": VPN_UP, "data_stream.namespace": "Pr-od", "data_stream.dataset": "lexilog.raw"},
    {"message": VPN_UP + "\r\n", "_lexilog_now": "x", "_lexilog": {"match": 1}},
    {"message": UNKNOWN, "event": {"kind": "metric", "module": "x"}, "lexilog": {"match": {"tail": "x"}}},
    {"message": "x" * 65_537},
    {"message": ""},
    {"message": {"a": 1}},
    {"message": None, "event": 5},
    {"elsewhere": VPN_UP},
    {"message": UNKNOWN, "event": {"original": UNKNOWN}, "lexilog": {"match": {"quality": "none"}}},
    # What no index of ours takes where it is.
    {"log": UNKNOWN},
    {"log": UNKNOWN, "message": VPN_UP, "labels": None},
    {"message": VPN_UP, "host": ["a", "b"], "labels": "x"},
    {
        "message": VPN_UP,
        "process": [{"name": "a"}, {"name": {"b": 1}, "pid": [[1]]}, {"name": {"b": 2}}],
        "user": [None],
    },
    {"message": UNKNOWN, "process": "kmd", "process.pid": {"a": 1}, "event.reason.text": "x", "message.x": 1},
    {"message": UNKNOWN, "lexilog": {"variables": "x", "impact": {"a": [1]}}, "log": {"syslog": [{"version": {}}]}},
    {"message": UNKNOWN, "lexilog.variables": {"a": 1, "b": ["x", "y"], "c": {"d": {"e": "f"}}}},
    {"message": VPN_UP, "lexilog.variables": ["a"], "lexilog.variables.a": 1, "error": "x", "related": 7},
    {"message": UNKNOWN, "lexilog": {"variables": deep(21)}, "log": {"syslog": {"structured_data": deep(20)}}},
    {
        "message": UNKNOWN,
        "log": {"syslog": {"structured_data": {"a\0b": "c"}}},
        "lexilog": {"variables": {"k" * 2050: 1}},
    },
    {"message": UNKNOWN, "log": {"syslog": {"structured_data": {"é日🎉" * 341: {"日" * 1024: "v"}}}}},
    {
        "message": UNKNOWN,
        "lexilog": {"variables": {"a": [{"b": 1}]}},
        "log": {"syslog": {"structured_data": {"": {".": 1}}}},
    },
    {"message": UNKNOWN, ".": 1, "a..b": {"c": 2}, "host.": 3, " ": 4, "event": {"": 5, "a. .b": 6}, "x": {"": 7}},
    {"message": VPN_UP, "data_stream": "text", "ecs": {"version": {"a": 1}}},
)
