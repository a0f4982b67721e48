"""What everything that talks to Elasticsearch has in common: the relay, and the installer."""

from __future__ import annotations

import logging

__all__ = ["media_type", "quieten_client"]


def media_type(form: str) -> str:
    """Return how a body is announced: client 9 asks for the API of 9, which 8.x does not know; 9.x answers as 8 too.

    Args:
        form: of the body, ``json`` or ``x-ndjson``.
    """
    return f"application/vnd.elasticsearch+{form}; compatible-with=8"


def quieten_client() -> None:
    """Leave it to lexilog to tell what the client would: a line for each request, and for each that fails."""
    log = logging.getLogger("elastic_transport")
    if log.level == logging.NOTSET:
        log.setLevel(logging.ERROR)
