"""How a server is reached: its address, certificates and login, and what a failure on the way means."""

from __future__ import annotations

import base64
import dataclasses
import ipaddress
import re
import ssl
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self
from urllib.parse import urlsplit

from elastic_transport import ConnectionTimeout, NodeConfig, SerializationError, TransportError
from elastic_transport.client_utils import parse_cloud_id, url_to_node_config
from elasticsearch import UnsupportedProductError

from lexilog.errors import LexilogError

__all__ = [
    "TIMEOUT",
    "Access",
    "Closing",
    "RefusedError",
    "address_of_cloud",
    "check_version",
    "node",
    "refusal_of_login",
    "unreachable",
]

# Seconds that a server may take for one request: large pipelines are compiled within it.
TIMEOUT = 60.0
_LONGEST = 1_000
# The oldest release that templates and dashboards are made for.
_OLDEST = (8, 15)
# How a cluster says that it has no such API: without security, without ILM, serverless.
_ABSENT = re.compile(r"no handler found|Incorrect HTTP method|not available|api_not_available")
# What the words of a failed connection mean, and what to do; the first that fits counts.
_HINTS = {
    r"WRONG_VERSION_NUMBER|RECORD_LAYER_FAILURE": "it does not speak TLS there: is it http:// instead of https://?",
    r"not valid for|Hostname mismatch|IP address mismatch": "its certificate is for another name than the URL has",
    r"certificate has expired": "its certificate has expired: renew it",
    r"CERTIFICATE_VERIFY_FAILED": "give the certificate of its authority with --ca FILE; "
    "where Elasticsearch has set up TLS itself that is config/certs/http_ca.crt",
    r"Failed to resolve|Name or service not known": "there is no such name: check the URL, or the DNS of this machine",
    r"Connection refused": "nothing listens there: check host and port, 9200 as a rule (5601 for Kibana)",
    r"No route to host|Network is unreachable": "no way to it from this machine: check host, routes and firewalls",
    r"reset by peer|RemoteDisconnected|closed connection": "it hung up: is it https://, or another port?",
    r"BadStatusLine|not HTTP": "it does not speak HTTP there: is it the port of something else, such as 9300?",
}


class RefusedError(LexilogError):
    """A server has answered a request with an error.

    Args:
        problem: what was asked, and what it says.
        status: of HTTP.
        body: the answer.
    """

    def __init__(self, problem: str, status: int, body: object = None) -> None:
        super().__init__(problem)
        self.status = status
        self.body = body

    @property
    def is_absent(self) -> bool:
        """Whether the cluster has no such API."""
        return self.status in (400, 404, 405, 410) and _ABSENT.search(str(self)) is not None

    @property
    def is_general(self) -> bool:
        """Whether other requests will fare no better: it is not about the object that was asked for."""
        return self.status in (401, 403, 429) or self.status >= 500


class Closing:
    """A connection that is closed at the end of a context."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close it."""
        raise NotImplementedError


class Access(NamedTuple):
    """Who asks, and whom to trust.

    Attributes:
        api_key: as Elasticsearch gives it out, encoded (Base64); None to log in otherwise.
        login: user and password; None for none.
        ca: file of certificates of authorities, in PEM; None for those of the system.
        allow_http: whether the login may leave this machine without TLS.
    """

    api_key: str | None = None
    login: tuple[str, str] | None = None
    ca: Path | None = None
    allow_http: bool = False

    @property
    def headers(self) -> dict[str, str]:
        """The header that says who asks; empty for nobody."""
        if self.api_key is not None:
            return {"authorization": f"ApiKey {self.api_key}"}
        return {"authorization": f"Basic {self._basic}"} if self._basic else {}

    @property
    def _basic(self) -> str:
        return base64.b64encode(":".join(self.login).encode()).decode() if self.login is not None else ""

    def _secrets(self) -> Iterator[str]:
        """Yield what no message may hold, as it is sent and as it was given."""
        if self.api_key:
            yield self.api_key
            with suppress(ValueError):
                yield from filter(None, base64.b64decode(self.api_key, validate=True).decode().split(":")[1:])
        if self.login and self.login[1]:
            yield from (self._basic, self.login[1])

    def hide(self, text: str) -> str:
        """Return a server's words, cut to size, without any secret that they repeat and what a terminal would do."""
        for secret in self._secrets():
            text = text.replace(secret, "***")
        text = "".join(one if one.isprintable() or one == "\n" else " " for one in text)
        return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


def address_of_cloud(cloud_id: str) -> str:
    """Return the URL of the Elasticsearch that a Cloud ID names.

    Raises:
        LexilogError: it is none.
    """
    try:
        found = parse_cloud_id(cloud_id).es_address
    except ValueError:
        found = None
    if found is None:
        raise LexilogError("--cloud-id: is none; copy it from the page of the deployment, NAME:BASE64")
    return f"https://{found[0]}:{found[1]}"


def node(option: str, url: str, access: Access) -> NodeConfig:
    """Return how a server is connected to.

    Args:
        option: that has named it, for messages.
        url: of the server, with http or https.
        access: who asks, and whom to trust.

    Raises:
        LexilogError: the URL or the certificates cannot be used.
    """
    if "@" in url:
        raise LexilogError(f"{option}: holds a user name or password; give these with --user or --api-key")
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable or parts.query or parts.fragment:
        raise LexilogError(f"{option}: '{url}' is no URL of a server, such as https://es1.example:9200")
    if parts.scheme == "http" and access.headers and not access.allow_http and not _is_here(parts.hostname or ""):
        told = "would send the login where others can read it: use https://, or --allow-http in a network of your own"
        raise LexilogError(f"{option}: {url} {told}")
    found = url_to_node_config(url, use_default_ports_for_scheme=True)
    if found.scheme == "http":
        return found
    try:
        context = ssl.create_default_context(cafile=access.ca)
    except OSError as error:
        words = getattr(error, "strerror", None) or str(error)
        raise LexilogError(f"--ca {access.ca}: cannot be read as PEM certificates: {words}") from error
    return dataclasses.replace(found, ssl_context=context)


def _is_here(host: str) -> bool:
    """Tell whether a host is this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def check_version(product: str, number: str, url: str) -> None:
    """See that a server is new enough.

    Raises:
        LexilogError: it is too old.
    """
    if tuple(int(part) for part in re.findall(r"\d+", number)[:2]) < _OLDEST:
        oldest = ".".join(map(str, _OLDEST))
        raise LexilogError(f"{url}: is {product} {number}, which is too old: upgrade it to {oldest} or newer")


def refusal_of_login(error: RefusedError, url: str, privilege: str) -> LexilogError:
    """Return what it means that the first request, which tells whether we are let in, was refused.

    Args:
        error: the refusal.
        url: of the server.
        privilege: that the request needs.
    """
    if error.status == 401:
        told = "wrong user, password or API key, or none given: --user, --api-key"
        return LexilogError(f"{url}: does not let us in (HTTP 401): {told}")
    if error.status == 403:
        return LexilogError(f"{url}: these credentials lack {privilege}: docs/elasticsearch.md has the whole role")
    return LexilogError(f"{error}; check host and port, and whether it is ready")


def unreachable(error: Exception, url: str, access: Access) -> LexilogError:
    """Return what a failure of the client means where no answer came, or none that makes sense.

    Args:
        error: of `elastic_transport` or `elasticsearch`.
        url: of the server.
        access: whose secrets no message may hold.
    """
    if isinstance(error, UnsupportedProductError):
        return LexilogError(f"{url}: {_product(error.body)}")
    if isinstance(error, ConnectionTimeout):
        return LexilogError(f"{url}: no answer within {TIMEOUT:g} s: check host, port and firewalls")
    if isinstance(error, SerializationError):
        return LexilogError(f"{url}: what answers there does not speak as expected; check host, port and path")
    told = access.hide(str(error.message if isinstance(error, TransportError) else error))
    advice = next((meaning for words, meaning in _HINTS.items() if re.search(words, told)), "")
    return LexilogError(f"{url}: cannot be reached: {told}" + (f"; {advice}" if advice else ""))


def _product(body: object) -> str:
    version = body.get("version") if isinstance(body, dict) else None
    if isinstance(version, dict) and version.get("distribution") == "opensearch":
        return (
            "this is OpenSearch, to which nothing can be installed from here: its templates are in "
            "mappings/elasticsearch/opensearch, docs/elasticsearch.md says how to load them"
        )
    return "this is not Elasticsearch (no header X-Elastic-Product in the answer); check host and port"
