"""Addresses of next hops that are no URLs."""

from __future__ import annotations

from urllib.parse import urlsplit

__all__ = ["read_endpoint"]


def read_endpoint(text: str) -> tuple[str, int] | None:
    """Return host and port of ``HOST:PORT``; None where a text is something else, such as one that holds a password."""
    try:
        parts = urlsplit(f"//{text}")
        if parts.hostname and parts.port and parts.netloc == text and "@" not in text:
            return parts.hostname, parts.port
    except ValueError:
        pass
    return None
