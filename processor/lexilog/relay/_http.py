"""What the relays over HTTP share: the session, and how answers and failures are read."""

from __future__ import annotations

import asyncio
import gzip
import io
import re
import ssl
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import NamedTuple

import aiohttp
from yarl import URL

from lexilog.errors import RelayError, SettingsError
from lexilog.relay._text import seconds

__all__ = [
    "Answer",
    "HttpClient",
    "check_headers",
    "connection_problem",
    "parse_url",
]

# Two fifths of the time of zlib's default, 6, for a sixth more bytes; measured on documents of this package.
_GZIP_LEVEL = 3
# RFC 9110, section 5.6.2: token.
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_HEADER_VALUE = re.compile(r"[!-~]([ -~]*[!-~])?")
# How OpenSSL says that an answer is not TLS; the latter since its version 3.2.
_NO_TLS = ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE")
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

    async def post(
        self,
        url: URL,
        body: bytes,
        content_type: str,
        *,
        plain: bool = False,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Post a body and return the answer, whatever its status.

        Args:
            url: where to.
            body: the body, as it is before compression.
            content_type: its media type.
            plain: do not compress it.
            headers: of this request alone, beside those of each.

        Raises:
            RelayError: there was no whole answer.
        """
        headers = {**(headers or {}), "Content-Type": content_type}
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
            raise RelayError(f"{where}: {connection_problem(error)}") from error

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


def connection_problem(error: Exception) -> str:
    """Return why there was no answer; where the server does not seem to speak TLS, it says so."""
    if not isinstance(error, aiohttp.ClientConnectorError) or isinstance(error, aiohttp.ClientConnectorDNSError):
        return str(error) or type(error).__name__
    cause = error.os_error
    # A connection that is refused is no reset: this one was there, and ended while TLS was set up.
    is_cut = isinstance(cause, ConnectionResetError)
    hint = "; no TLS there?" if is_cut or (isinstance(cause, ssl.SSLError) and cause.reason in _NO_TLS) else ""
    told = str(cause) or ("the server closed the connection" if is_cut else type(cause).__name__)
    return f"Cannot connect to host {error.host}:{error.port}: {told}{hint}"


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
