"""What the server can be told, where that comes from, and what makes no sense."""

from __future__ import annotations

from lexilog.service.settings.types import (
    LEVELS,
    SHAPES,
    Doors,
    DoorSettings,
    ForwardDoorSettings,
    GrpcDoorSettings,
    HttpDoorSettings,
    LogLevel,
    LogSettings,
    MetricsSettings,
    RequestDoorSettings,
    Settings,
    TlsSettings,
    TracesSettings,
    read_address,
    read_relay,
    read_zone,
)

__all__ = [
    "LEVELS",
    "SHAPES",
    "DoorSettings",
    "Doors",
    "ForwardDoorSettings",
    "GrpcDoorSettings",
    "HttpDoorSettings",
    "LogLevel",
    "LogSettings",
    "MetricsSettings",
    "RequestDoorSettings",
    "Settings",
    "TlsSettings",
    "TracesSettings",
    "read_address",
    "read_relay",
    "read_zone",
]
