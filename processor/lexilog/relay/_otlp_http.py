"""OTLP over HTTP, as its specification 1.x says under "OTLP/HTTP"; messages are protobuf."""

from __future__ import annotations

from google.protobuf.message import DecodeError
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest, ExportLogsServiceResponse
from yarl import URL

from lexilog.errors import RelayError, SettingsError
from lexilog.relay._http import Answer, HttpClient, parse_url
from lexilog.relay._text import excerpt, secrets_in
from lexilog.relay.base import Refused
from lexilog.relay.settings import OtlpSettings

__all__ = ["HttpTransport"]

_PROTOBUF = "application/x-protobuf"
_REFUSED = (400, 413)
_ADVICE = {
    401: "check the credentials in headers",
    403: "check the credentials in headers",
    404: "check the path of endpoint, which is /v1/logs as a rule",
    405: "check the path of endpoint, which is /v1/logs as a rule",
    415: "the receiver does not take protobuf, or does not take this compression",
}


class HttpTransport:
    """Posts requests.

    Any 2xx is a yes; Fluent Bit says 201. 400 and 413 refuse the request itself; every other answer may pass later or
    can be mended by the operator.

    Args:
        name: name of the relay.
        settings: its settings.
    """

    def __init__(self, name: str, settings: OtlpSettings) -> None:
        self._name = name
        self._settings = settings
        self._url = URL()
        self._secrets = secrets_in(settings.headers.values())
        self._client = HttpClient(
            name,
            headers=settings.headers,
            compression=settings.compression,
            timeout=settings.timeout,
            tls=settings,
        )

    async def open(self) -> None:
        """Make the session.

        Raises:
            SettingsError: URL, headers or certificates cannot be used.
        """
        url = parse_url(self._name, "endpoint", self._settings.endpoint)
        if self._settings.tls and url.scheme != "https":
            raise SettingsError(f"relay {self._name}: tls is true, and endpoint is {url.scheme}: make it https")
        self._url = url.with_path("/v1/logs").with_query(url.query) if url.path in ("", "/") else url
        await self._client.open(self._url)

    async def check(self) -> None:
        """Nothing is known before a request is sent."""

    async def send(self, request: ExportLogsServiceRequest) -> ExportLogsServiceResponse:
        """Post a request and return the answer.

        Raises:
            Refused: the receiver will never take it.
            RelayError: the receiver has not taken it.
        """
        answer = await self._client.post(self._url, request.SerializeToString(), _PROTOBUF)
        if 200 <= answer.status < 300:
            return _response(answer)
        said = excerpt(_reason(answer), self._secrets)
        told = f"HTTP {answer.status}" + (f": {said}" if said else "")
        if answer.status in _REFUSED:
            raise Refused(told)
        advice = "give the address that it redirects to" if answer.status < 400 else _ADVICE.get(answer.status)
        where = f"relay {self._name}: {self._url.host_port_subcomponent}"
        problem = f"{where}: records not taken: {told}" + (f"; {advice}" if advice else "")
        raise RelayError(problem, 1.0 if answer.retry_after is None else answer.retry_after)

    async def close(self) -> None:
        """Close the session."""
        await self._client.close()


def _response(answer: Answer) -> ExportLogsServiceResponse:
    """Return what a yes says; receivers that are not quite to the letter say it in other types, or not at all."""
    try:
        return ExportLogsServiceResponse.FromString(answer.body if answer.content_type == _PROTOBUF else b"")
    except DecodeError:
        return ExportLogsServiceResponse()


def _reason(answer: Answer) -> str:
    """Return the reason for a no: the message of a ``google.rpc.Status``, or the text that stands in its place."""
    if answer.content_type == _PROTOBUF:
        try:
            status: Status = Status.FromString(answer.body)
            return str(status.message)
        except DecodeError:
            return ""
    return answer.body.decode("utf-8", "replace")
