"""OTLP over gRPC, as its specification 1.x says under "OTLP/gRPC"."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

import grpc
import grpc.aio
from google.protobuf.message import DecodeError
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest, ExportLogsServiceResponse

from lexilog.errors import RelayError, SettingsError
from lexilog.otlp import SERVICE
from lexilog.relay._endpoint import read_endpoint
from lexilog.relay._http import check_headers
from lexilog.relay._renewed import Renewed
from lexilog.relay._text import excerpt, seconds, secrets_in
from lexilog.relay._tls import Loaded, TlsFiles, hint, refuse_files, system_certificates
from lexilog.relay.base import Refused
from lexilog.relay.settings import OtlpSettings

__all__ = ["GrpcTransport"]

_OPTIONS = [
    ("grpc.max_send_message_length", -1),
    ("grpc.max_receive_message_length", -1),
    # Come back soon after the next hop does; gRPC's own limit is two minutes.
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.min_reconnect_backoff_ms", 1_000),
    ("grpc.max_reconnect_backoff_ms", 5_000),
]
# gRPC's PROTOCOL-HTTP2.md, "Custom-Metadata"; a key in ``-bin`` would want bytes.
_KEY = re.compile(r"(?!grpc-)[0-9a-z_.-]+(?<!-bin)")
# How the gRPC libraries say that a message is larger than the receiver takes: C core ("Received message larger than
# max", "Decompressed message larger than max"), Go ("received message after decompression larger than max"), Java
# ("gRPC message exceeds maximum size"), .NET ("Received message exceeds the maximum configured message size"), and
# Rust's tonic, which says OUT_OF_RANGE ("decoded message length too large").
_TOO_LARGE = re.compile(
    r"message (after decompression )?larger than max|message exceeds (the )?maximum|message length too large"
    r"|exceeded while decompressing message",
    re.IGNORECASE,
)
# How C core, which this is, says that there is no connection.
_CANNOT_CONNECT = "failed to connect to all addresses"
# And that it ended before gRPC was spoken on it.
_ENDED = re.compile(r"Socket closed|Connection reset|Broken pipe")
_SIZE_CODES = (grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.OUT_OF_RANGE)
_ADVICE = {
    grpc.StatusCode.UNAUTHENTICATED: "check the credentials in headers",
    grpc.StatusCode.PERMISSION_DENIED: "check the credentials in headers",
    grpc.StatusCode.UNIMPLEMENTED: "what listens there takes no logs over OTLP/gRPC, or not this compression",
}


class _Client(NamedTuple):
    """A channel, and the method of the logs service on it."""

    channel: grpc.aio.Channel
    export: Any


class GrpcTransport:
    """Calls the logs service of a receiver.

    INVALID_ARGUMENT refuses the request itself. So does an answer that, in the words of a gRPC library, it is larger
    than the receiver takes: RESOURCE_EXHAUSTED alone says "come again later" too, and a record that is too large would
    come again for ever. Every other status may pass later or can be mended by the operator.

    Args:
        name: name of the relay.
        settings: its settings.
    """

    def __init__(self, name: str, settings: OtlpSettings) -> None:
        self._name = name
        self._settings = settings
        self._where = f"relay {name}: {settings.endpoint}"
        self._secrets = secrets_in(settings.headers.values())
        self._metadata = tuple((key.lower(), value) for key, value in settings.headers.items())
        self._files: TlsFiles | None = None
        self._clients: Renewed[_Client] | None = None
        self._system: bytes | None = None
        self._last_problem = ""

    async def open(self) -> None:
        """Make the channel; it connects when it is first used, and again whenever it is lost.

        Raises:
            SettingsError: endpoint, headers or certificates cannot be used.
        """
        self._check_settings()
        if self._settings.tls:
            self._files = TlsFiles(self._name, self._settings)
            if self._settings.ca_file is None:
                self._system = system_certificates(self._name)
        self._clients = Renewed(self._files, self._make, lambda client: client.channel.close())

    def _make(self, loaded: Loaded | None) -> _Client:
        told = self._settings
        compression = grpc.Compression.Gzip if told.compression == "gzip" else grpc.Compression.NoCompression
        if loaded is None:
            channel = grpc.aio.insecure_channel(told.endpoint, options=_OPTIONS, compression=compression)
        else:
            credentials = grpc.ssl_channel_credentials(loaded.ca or self._system, loaded.key, loaded.cert)
            channel = grpc.aio.secure_channel(told.endpoint, credentials, options=_OPTIONS, compression=compression)
        export: Any = channel.unary_unary(
            f"/{SERVICE}/Export", request_serializer=ExportLogsServiceRequest.SerializeToString
        )
        return _Client(channel, export)

    def _check_settings(self) -> None:
        if read_endpoint(self._settings.endpoint) is None:
            raise SettingsError(f"relay {self._name}: endpoint is not HOST:PORT, which is what the protocol grpc takes")
        if not self._settings.tls:
            refuse_files(self._name, self._settings, "is for TLS: set tls to true, or leave it out")
        check_headers(self._name, self._settings.headers)
        for key, _ in self._metadata:
            if not _KEY.fullmatch(key):
                raise SettingsError(f"relay {self._name}: header {key!r}: gRPC cannot send a header of that name")

    async def check(self) -> None:
        """Look at the channel: after a failed connection it waits for a while before it tries again.

        Raises:
            RelayError: the last connection failed.
        """
        if self._clients is None:
            return
        async with self._clients.use() as client:
            if client.channel.get_state(True) is grpc.ChannelConnectivity.TRANSIENT_FAILURE:
                raise RelayError(f"{self._where}: cannot be reached{self._last_problem}")

    async def send(self, request: ExportLogsServiceRequest) -> ExportLogsServiceResponse:
        """Send a request and return the answer.

        Raises:
            Refused: the receiver will never take it.
            RelayError: the receiver has not taken it.
        """
        if self._clients is None:
            raise RelayError(f"relay {self._name}: is closed")
        try:
            async with self._clients.use() as client:
                answer: bytes = await client.export(request, timeout=self._settings.timeout, metadata=self._metadata)
        except grpc.aio.AioRpcError as error:
            raise self._failure(error) from error
        self._last_problem = ""
        if self._files:
            self._files.proven = True
        try:
            return ExportLogsServiceResponse.FromString(answer)
        except DecodeError:
            # It said OK.
            return ExportLogsServiceResponse()

    def _failure(self, error: grpc.aio.AioRpcError) -> Refused | RelayError:
        code, details = error.code(), error.details() or ""
        told = f"{code.name}: {excerpt(details, self._secrets)}"
        if _CANNOT_CONNECT in details:
            told += self._tls_hint(details)
            self._last_problem = f"; when it was tried last: {told}"
        if code is grpc.StatusCode.INVALID_ARGUMENT or (code in _SIZE_CODES and _TOO_LARGE.search(details)):
            return Refused(told)
        advice = f"; {_ADVICE[code]}" if code in _ADVICE else ""
        return RelayError(f"{self._where}: records not taken: {told}{advice}", _retry_after(error))

    def _tls_hint(self, details: str) -> str:
        """Return what may be wrong with TLS where there is no connection."""
        if not _ENDED.search(details):
            return hint(details)
        return self._files.hint if self._files else "; if it speaks TLS, set tls to true"

    async def close(self) -> None:
        """Close the channel."""
        clients, self._clients = self._clients, None
        if clients is not None:
            await clients.close()


def _retry_after(error: grpc.aio.AioRpcError) -> float:
    """Return when to come again, as the ``RetryInfo`` of an error says, in seconds."""
    for key, value in error.trailing_metadata() or ():
        if key == "grpc-status-details-bin" and isinstance(value, bytes):
            try:
                for detail in Status.FromString(value).details:
                    found = RetryInfo()
                    if detail.Unpack(found):
                        return seconds(found.retry_delay.seconds + found.retry_delay.nanos / 1e9)
            except DecodeError:
                break
    return 1.0
