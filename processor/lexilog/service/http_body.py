"""Receives what comes in a request over HTTP: as it is or gzipped, and never more than there may be."""

from __future__ import annotations

import asyncio
import zlib

from aiohttp import web

from lexilog.gunzip import Inflater
from lexilog.service.work import feed

__all__ = ["Refused", "receive"]

# Seconds that a request's body may take.
_PATIENCE = 60.0


class Refused(Exception):  # noqa: N818 (it never leaves the door)
    """A request is answered with a status and a text, before any record of it was looked at.

    Args:
        status: the status.
        text: the text.
        headers: of the answer.
    """

    def __init__(self, status: int, text: str, **headers: str) -> None:
        super().__init__(text)
        self.status = status
        self.headers = headers


async def receive(request: web.Request, most: int, *, late: int) -> bytes:
    """Return a request's body, decompressed.

    Args:
        request: the request.
        most: how many bytes it may be, before and after.
        late: the status where it does not come in time.

    Raises:
        Refused: it is too large, too slow or broken.
    """
    inflater = _inflater(request)
    if (request.content_length or 0) > most:
        raise _too_large(most)
    body, received = bytearray(), 0
    try:
        async with asyncio.timeout(_PATIENCE):
            async for chunk in request.content.iter_any():
                received += len(chunk)
                body += await feed(inflater, chunk, most + 1 - len(body)) if inflater else chunk
                if max(received, len(body)) > most:
                    raise _too_large(most)
        if inflater:
            inflater.check_end()
    except TimeoutError:
        raise Refused(late, f"the body has not come within {_PATIENCE:.0f} seconds") from None
    except zlib.error as error:
        raise Refused(400, f"the body is no sound gzip stream: {error}") from error
    except web.RequestPayloadError as error:
        raise Refused(400, f"the body is broken: {error}") from error
    return bytes(body)


def _inflater(request: web.Request) -> Inflater | None:
    """Return what inflates a request's body; None where it comes as it is."""
    encoding = request.headers.get("Content-Encoding", "identity").strip().lower()
    if encoding not in ("gzip", "x-gzip", "identity", ""):
        text = f"content encoding {encoding} is not known: send gzip or none"
        raise Refused(415, text, **{"Accept-Encoding": "gzip"})
    return Inflater() if "gzip" in encoding else None


def _too_large(most: int) -> Refused:
    return Refused(413, f"the body is larger than {most} bytes, the max_receive_bytes of this door")
