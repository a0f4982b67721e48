"""What the relays over HTTP share: the session, and how answers and failures are read."""

from __future__ import annotations

import asyncio
import gzip
import io
import math
import re
import ssl
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import NamedTuple

import aiohttp
from yarl import URL

from lexilog.errors import RelayError, SettingsError

__all__ = ["Answer", "HttpClient", "check_headers", "excerpt", "parse_url", "seconds", "secrets_in"]

# Two fifths of the time of zlib's default, 6, for a sixth more bytes; measured on documents of this package.
_GZIP_LEVEL = 3
# The longest wait that a next hop can ask for, in seconds.
_LONGEST_WAIT = 3600.0
_LONGEST_EXCERPT = 300
# A word of a header that is shorter than this is no secret, and may stand in any text.
_SHORTEST_SECRET = 8
# RFC 9110, section 5.6.2: token.
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_HEADER_VALUE = re.compile(r"[!-~]([ -~]*[!-~])?")
_OWN_HEADERS = frozenset({"content-encoding", "content-length", "content-type", "transfer-encoding"})


class Answer(NamedTuple):
    """What a server answered.

    Attributes:
        status: the HTTP status.
        body: the body, decompressed.
        content_type: its media type, lower case.
        retry_after: when to come again, in seconds, where the server says so.
    """

    status: int
    body: bytes
    content_type: str
    retry_after: float | None


class HttpClient:
    """Posts to one server for a relay, and never follows a redirect: credentials stay with the server they are for.

    Cookies are kept, so that a load balancer can send every request to the same server.

    Args:
        name: name of the relay.
        headers: of each request.
        compression: of bodies, ``none`` or ``gzip``.
        timeout: how long the server may take for a request, connecting included, in seconds.
        ca_file: certificates to trust for an https URL, in PEM; by default those of the system.
    """

    def __init__(
        self, name: str, *, headers: Mapping[str, str], compression: str, timeout: float, ca_file: Path | None
    ) -> None:
        self._name = name
        self._headers = headers
        self._gzip = compression == "gzip"
        self._timeout = timeout
        self._ca_file = ca_file
        self._session: aiohttp.ClientSession | None = None

    async def open(self, url: URL) -> None:
        """Make the session; it connects when it is first used.

        Raises:
            SettingsError: a header cannot be sent, or the certificates cannot be used.
        """
        check_headers(self._name, self._headers)
        context = self._tls_context(url)
        self._session = aiohttp.ClientSession(
            headers=self._headers,
            timeout=aiohttp.ClientTimeout(total=self._timeout),
            connector=aiohttp.TCPConnector(ssl=context),
            cookie_jar=aiohttp.CookieJar(unsafe=True),
        )

    def _tls_context(self, url: URL) -> ssl.SSLContext | bool:
        if self._ca_file is None:
            return True
        if url.scheme != "https":
            raise SettingsError(
                f"relay {self._name}: ca_file is for https, and the URL is {url.scheme}: mend one of them"
            )
        try:
            return ssl.create_default_context(cafile=self._ca_file)
        except OSError as error:  # which ssl.SSLError is
            raise SettingsError(
                f"relay {self._name}: ca_file {self._ca_file}: cannot be read as PEM certificates: {error}"
            ) from error

    async def post(self, url: URL, body: bytes, content_type: str, *, plain: bool = False) -> Answer:
        """Post a body and return the answer, whatever its status.

        Args:
            url: where to.
            body: the body, as it is before compression.
            content_type: its media type.
            plain: do not compress it.

        Raises:
            RelayError: there was no whole answer.
        """
        headers = {"Content-Type": content_type}
        if self._gzip and not plain:
            body = await asyncio.to_thread(gzip.compress, body, _GZIP_LEVEL)
            headers["Content-Encoding"] = "gzip"
        if self._session is None:
            raise RelayError(f"relay {self._name}: is closed")
        where = f"relay {self._name}: {url.host_port_subcomponent}"
        try:
            request = self._session.post(url, data=io.BytesIO(body), headers=headers, allow_redirects=False)
            async with request as response:
                wait = _retry_after(response.headers.get("Retry-After"))
                return Answer(response.status, await response.read(), response.content_type.lower(), wait)
        except TimeoutError as error:
            raise RelayError(f"{where}: no answer within {self._timeout:g} s") from error
        except (aiohttp.ClientError, OSError, UnicodeError) as error:  # the last: a host name that DNS cannot hold
            raise RelayError(f"{where}: {error or type(error).__name__}") from error

    async def close(self) -> None:
        """Close the session and its connections."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()


def parse_url(name: str, setting: str, text: str) -> URL:
    """Return a setting of a relay as a URL. What is wrong is not repeated in the error: it may hold a password.

    Raises:
        SettingsError: it is no http or https URL, or holds a user.
    """
    try:
        url = URL(text)
        sound = url.scheme in ("http", "https") and bool(url.host) and url.port is not None
    except (ValueError, IndexError):  # the latter: brackets around a line break
        sound = False
    if not sound:
        raise SettingsError(f"relay {name}: {setting} is no URL: give one such as https://receiver.example:4318")
    if url.user is not None or url.password is not None:
        raise SettingsError(
            f"relay {name}: {setting} holds a user or a password: take them out, there are settings for that"
        )
    return url


def check_headers(name: str, headers: Mapping[str, str]) -> None:
    """See that headers can be sent.

    Raises:
        SettingsError: one of them cannot; its value is not told.
    """
    for key, value in headers.items():
        if not _HEADER_NAME.fullmatch(key):
            raise SettingsError(f"relay {name}: header {key!r}: is no name of a header")
        if key.lower() in _OWN_HEADERS:
            raise SettingsError(f"relay {name}: header {key!r}: the relay sets it itself; leave it out")
        if not _HEADER_VALUE.fullmatch(value):
            raise SettingsError(
                f"relay {name}: header {key!r}: its value is empty, or has a line break, a blank at an end or a "
                "character that is not ASCII"
            )


def excerpt(text: str, secrets: Iterable[str] = ()) -> str:
    """Return a server's words on one line, cut to size, without the secrets that it may have repeated."""
    for secret in secrets:
        text = text.replace(secret, "***")
    words = " ".join("".join(char if char.isprintable() else " " for char in text[: 2 * _LONGEST_EXCERPT]).split())
    return words if len(words) <= _LONGEST_EXCERPT else f"{words[:_LONGEST_EXCERPT]}…"


def secrets_in(values: Iterable[str]) -> list[str]:
    """Return the words of header values that no message may hold."""
    return [word for value in values for word in value.split() if len(word) >= _SHORTEST_SECRET]


def seconds(value: float) -> float:
    """Return a wait that a server asks for, kept within bounds."""
    return 0.0 if math.isnan(value) else min(max(value, 0.0), _LONGEST_WAIT)


def _retry_after(text: str | None) -> float | None:
    """Return what a Retry-After header asks for (RFC 9110, section 10.2.3), in seconds; None where it says nothing."""
    text = (text or "").strip()
    if text.isascii() and text.isdigit():
        return seconds(float(text))
    try:
        when = parsedate_to_datetime(text)
    except ValueError:
        return None
    when = when if when.tzinfo else when.replace(tzinfo=UTC)
    return seconds((when - datetime.now(UTC)).total_seconds())
