"""Severity and facility numbers of syslog and OpenTelemetry.

Sources: RFC 5424 tables 1 and 2; OpenTelemetry logs data model, appendix B (syslog to SeverityNumber).
"""

from __future__ import annotations

__all__ = ["FACILITIES", "OTEL_NUMBERS", "SEVERITIES"]

# Syslog severity code -> name.
SEVERITIES = ("emergency", "alert", "critical", "error", "warning", "notice", "informational", "debug")

# Syslog severity code -> SeverityNumber.
OTEL_NUMBERS = (21, 19, 18, 17, 13, 10, 9, 5)

# Syslog facility code -> name.
FACILITIES = (
    "kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp",
    "ntp", "security", "console", "solaris-cron",
    "local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7",
)  # fmt: skip
