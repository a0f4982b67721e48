"""What the relays over HTTP share: the session, and how answers and failures are read."""

from __future__ import annotations

import asyncio
import gzip
import io
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import NamedTuple

import aiohttp
from yarl import URL

from lexilog.errors import RelayError, SettingsError
from lexilog.relay._text import seconds
from lexilog.relay._tls import TlsFiles, TlsSettings, hint, refuse_files

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
# How aiohttp says that a connection has ended.
_ENDED = (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError)
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
        tls: names the certificates for an https URL; a request is sent with what their files hold then.
    """

    def __init__(
        self, name: str, *, headers: Mapping[str, str], compression: str, timeout: float, tls: TlsSettings
    ) -> None:
        self._name = name
        self._headers = headers
        self._gzip = compression == "gzip"
        self._timeout = timeout
        self._tls = tls
        self._files: TlsFiles | None = None
        self._session: aiohttp.ClientSession | None = None

    async def open(self, url: URL) -> None:
        """Make the session; it connects when it is first used.

        Raises:
            SettingsError: a header cannot be sent, or the certificates cannot be used.
        """
        check_headers(self._name, self._headers)
        if url.scheme == "https":
            self._files = TlsFiles(self._name, self._tls, alpn=["http/1.1"])
        else:
            refuse_files(self._name, self._tls, f"is for https, and the URL is {url.scheme}: mend one of them")
        self._session = aiohttp.ClientSession(
            headers=self._headers,
            timeout=aiohttp.ClientTimeout(total=self._timeout),
            cookie_jar=aiohttp.CookieJar(unsafe=True),
        )

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
        # The session keeps the connections of each context apart.
        context = self._files.current().context if self._files else True
        try:
            request = self._session.post(
                url, data=io.BytesIO(body), headers=headers, allow_redirects=False, ssl=context
            )
            async with request as response:
                wait = _retry_after(response.headers.get("Retry-After"))
                answer = Answer(response.status, await response.read(), response.content_type.lower(), wait)
        except TimeoutError as error:
            raise RelayError(f"{where}: no answer within {self._timeout:g} s") from error
        except (aiohttp.ClientError, OSError, UnicodeError) as error:  # the last: a host name that DNS cannot hold
            raise RelayError(f"{where}: {connection_problem(error, self._files)}") from error
        if self._files:
            self._files.proven = True
        return answer

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


def connection_problem(error: Exception, files: TlsFiles | None) -> str:
    """Return why there was no answer; where that has to do with TLS, what may be done.

    Args:
        error: what the HTTP client has raised.
        files: the certificates that were used; None without TLS.
    """
    if not isinstance(error, aiohttp.ClientConnectorError) or isinstance(error, aiohttp.ClientConnectorDNSError):
        told = str(error) or type(error).__name__
        has_ended = isinstance(error, _ENDED) and not isinstance(error, aiohttp.ClientConnectorDNSError)
        return told + (hint(told) or (files.hint if files and has_ended else ""))
    cause = error.os_error
    # A connection that is refused is no reset: this one was there, and ended while TLS was set up.
    is_cut = isinstance(cause, ConnectionResetError)
    told = str(cause) or ("the server closed the connection" if is_cut else type(cause).__name__)
    return f"Cannot connect to host {error.host}:{error.port}: {told}" + ("; no TLS there?" if is_cut else hint(told))


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
