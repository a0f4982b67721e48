"""What each way out can be told: one class per type; and which records take which."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, get_args

from msgspec import Meta, Struct

from lexilog.model import Quality
from lexilog.otlp.encode import AttributeStyle, Shape

__all__ = [
    "RELAYS",
    "DeadLettersSettings",
    "ElasticsearchSettings",
    "FileSettings",
    "ForwardSettings",
    "OtlpSettings",
    "RelaySettings",
    "Route",
    "SecretText",
    "SplunkHecSettings",
    "StdoutSettings",
]

_Bytes = Annotated[int, Meta(ge=1024, le=2**31 - 1)]
_Seconds = Annotated[float, Meta(ge=0.1, le=3600)]
_Attempts = Annotated[int, Meta(ge=1, le=100)]
_Text = Annotated[str, Meta(min_length=1)]
# What is marked so is shown as ``***``.
_SECRET = {"secret": True}
SecretText = Annotated[str, Meta(min_length=1, extra=_SECRET)]
_Compression = Literal["none", "gzip"]


class _Relay(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="type"):
    """Attributes of every relay.

    Attributes:
        required: the sender hears OK only when this relay has the record. What a relay that is not required fails to
            take is counted and gone.
    """

    required: bool = True


class _TlsClient(_Relay, frozen=True, kw_only=True):
    """Attributes of every relay that can speak TLS.

    Attributes:
        ca_file: certificates to trust, in PEM; by default those of the system.
        cert_file: a certificate to show to the next hop, in PEM.
        key_file: its private key, in PEM, not encrypted.
    """

    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None


class OtlpSettings(_TlsClient, frozen=True, kw_only=True, tag="otlp"):
    """An OTLP receiver.

    Attributes:
        endpoint: ``HOST:PORT`` for grpc; for http a URL, to which ``/v1/logs`` is added where it has no path.
        protocol: the transport; over http with protobuf messages.
        tls: encrypt; for the protocol grpc. For http the URL says it.
        shape: record shape, see `lexilog.otlp.encode`.
        attributes: how attributes are named in the shape ``attributes``.
        compression: of requests.
        headers: metadata or headers of each request, such as ``Authorization``; as metadata their names are lower case.
        max_bytes: the largest request, in bytes before compression; most receivers take 4 MiB.
        timeout: how long the next hop may take for a request, in seconds.
    """

    endpoint: _Text
    protocol: Literal["grpc", "http"] = "grpc"
    tls: bool = False
    shape: Shape = "document"
    attributes: AttributeStyle = "dotted"
    compression: _Compression = "none"
    headers: Annotated[dict[str, str], Meta(extra=_SECRET)] = {}
    max_bytes: _Bytes = 4_000_000
    timeout: _Seconds = 10.0


class ForwardSettings(_TlsClient, frozen=True, kw_only=True, tag="forward"):
    """A receiver of the Fluent Forward protocol, such as Fluent Bit or Fluentd.

    Attributes:
        endpoint: ``HOST:PORT``.
        tls: encrypt.
        tag: tag of records that came without one.
        shared_key: the secret that both sides know.
        compression: of messages.
        max_bytes: the largest message, in bytes before compression; Fluent Bit takes 6 MB by default.
        timeout: how long the next hop may take to connect or to acknowledge a message, in seconds.
    """

    endpoint: _Text
    tls: bool = False
    tag: _Text = "lexilog"
    shared_key: SecretText | None = None
    compression: _Compression = "none"
    max_bytes: _Bytes = 4_000_000
    timeout: _Seconds = 10.0


class ElasticsearchSettings(_TlsClient, frozen=True, kw_only=True, tag="elasticsearch"):
    """Data streams of an Elasticsearch cluster.

    Attributes:
        urls: nodes of the cluster, such as ``https://es1.example:9200``; without a port, that of the scheme.
        api_key: an API key, as Elasticsearch encodes it.
        username: a user; needs `password`.
        password: the user's.
        max_bytes: the largest bulk request, in bytes.
        attempts: how often the documents that the cluster was too busy for are sent before the sender hears so.
        timeout: how long the cluster may take for a request, in seconds.
    """

    urls: Annotated[tuple[_Text, ...], Meta(min_length=1)]
    api_key: SecretText | None = None
    username: _Text | None = None
    password: SecretText | None = None
    max_bytes: _Bytes = 5_000_000
    attempts: _Attempts = 4
    timeout: _Seconds = 30.0


class SplunkHecSettings(_TlsClient, frozen=True, kw_only=True, tag="splunk_hec"):
    """An HTTP Event Collector of Splunk.

    Attributes:
        url: of the collector, such as ``https://splunk.example:8088``; ``/services/collector/event`` is added.
        token: the collector's token.
        index: the index; by default the token's.
        sourcetype: of every event.
        acknowledge: wait until the indexers have the events, which the token must allow (``useACK``); without it OK
            means that the collector has received them.
        compression: of requests.
        max_bytes: the largest request, in bytes before compression.
        timeout: how long the collector may take for a request, and the indexers to acknowledge it, in seconds.
    """

    url: _Text
    token: SecretText
    index: _Text | None = None
    sourcetype: _Text = "lexilog:json"
    acknowledge: bool = False
    compression: _Compression = "gzip"
    max_bytes: _Bytes = 1_000_000
    timeout: _Seconds = 30.0


class FileSettings(_Relay, frozen=True, kw_only=True, tag="file"):
    """A file of NDJSON.

    Attributes:
        path: the file; made if it is not there, opened again if it is moved away.
        rotate_bytes: the size from which on the file gets its time as a suffix, and a new one is begun; else it grows.
        keep: how many of those are kept; 0 for all.
    """

    path: Path
    rotate_bytes: _Bytes | None = None
    keep: Annotated[int, Meta(ge=0)] = 0


class StdoutSettings(_Relay, frozen=True, kw_only=True, tag="stdout"):
    """Standard output, as NDJSON."""


RelaySettings = (
    OtlpSettings | ForwardSettings | ElasticsearchSettings | SplunkHecSettings | FileSettings | StdoutSettings
)
RELAYS: dict[str, type[RelaySettings]] = {str(one.__struct_config__.tag): one for one in get_args(RelaySettings)}


class Route(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where some of the records go; a record takes the first route that it fits.

    Attributes:
        to: names of the relays that are to have it.
        catalog: names of catalogues one of which knows it; empty where that does not matter.
        quality: match qualities one of which it has; empty where that does not matter.
    """

    to: Annotated[tuple[str, ...], Meta(min_length=1)]
    catalog: tuple[str, ...] = ()
    quality: tuple[Quality, ...] = ()

    @property
    def takes_all(self) -> bool:
        """Tell whether every record fits."""
        return not self.catalog and not self.quality


class DeadLettersSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where records are kept that a relay will never take.

    Attributes:
        path: a directory.
        max_bytes: how much it may hold, in bytes; when it is full senders keep their records.
    """

    path: Path
    max_bytes: Annotated[int, Meta(ge=1024)] = 1024**3
