"""A plain OTLP receiver, apart from lexilog's own code: the next hop that the tests kill and bring back.

Usage: receiver.py PORT FILE [MODE [TRANSPORT]]

Each record is appended to FILE as one line of JSON (the body, where that is a document; else ``message`` is the body's
text, and the attributes stand beside it) and is on disk before the answer is OK. MODE ``refuse`` answers
RESOURCE_EXHAUSTED or 503; ``partial`` rejects the first record of each request for good; ``slow`` takes a moment.
TRANSPORT is ``grpc``, or ``http`` for protobuf over HTTP.
"""

from __future__ import annotations

import gzip
import json
import os
import sys
import time
from concurrent import futures
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import grpc
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest, ExportLogsServiceResponse
from opentelemetry.proto.collector.logs.v1.logs_service_pb2_grpc import (
    LogsServiceServicer,
    add_LogsServiceServicer_to_server,
)
from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord


def _plain(value: AnyValue) -> Any:
    kind = value.WhichOneof("value")
    if kind == "kvlist_value":
        return {pair.key: _plain(pair.value) for pair in value.kvlist_value.values}
    if kind == "array_value":
        return [_plain(item) for item in value.array_value.values]
    return getattr(value, kind) if kind else None


def _written(record: LogRecord) -> str:
    body = _plain(record.body)
    if not isinstance(body, dict):
        body = {"message": body}
    attributes = {pair.key: _plain(pair.value) for pair in record.attributes}
    # In the shape `attributes` a body that came as a map stays one, with the line where it was.
    written = {"message": body.get("log"), **attributes, **body}
    return json.dumps(written, default=repr) + "\n"


class Receiver(LogsServiceServicer):  # type: ignore[misc]
    def __init__(self, path: str, mode: str) -> None:
        self.file = open(path, "a", encoding="utf-8")  # noqa: PTH123, SIM115
        self.mode = mode

    def Export(self, request: ExportLogsServiceRequest, context: Any) -> ExportLogsServiceResponse:  # noqa: N802
        if self.mode == "refuse":
            context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "not now")
        return self.take(request)

    def take(self, request: ExportLogsServiceRequest) -> ExportLogsServiceResponse:
        if self.mode == "slow":
            time.sleep(0.2)
        records = [record for r in request.resource_logs for s in r.scope_logs for record in s.log_records]
        answer = ExportLogsServiceResponse()
        if self.mode == "partial":
            records = records[1:]
            answer.partial_success.rejected_log_records = 1
            answer.partial_success.error_message = "the first one is odd"
        self.file.write("".join(map(_written, records)))
        self.file.flush()
        os.fsync(self.file.fileno())
        return answer


def serve_grpc(port: int, receiver: Receiver) -> None:
    server = grpc.server(futures.ThreadPoolExecutor(4), options=[("grpc.so_reuseport", 0)])
    add_LogsServiceServicer_to_server(receiver, server)  # type: ignore[no-untyped-call]
    server.add_insecure_port(f"127.0.0.1:{port}")
    server.start()
    print("ready", flush=True)
    server.wait_for_termination()


def serve_http(port: int, receiver: Receiver) -> None:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.path != "/v1/logs" or receiver.mode == "refuse":
                self.reply(404 if self.path != "/v1/logs" else 503, b"")
                return
            plain = gzip.decompress(body) if self.headers["Content-Encoding"] == "gzip" else body
            self.reply(200, receiver.take(ExportLogsServiceRequest.FromString(plain)).SerializeToString())

        def reply(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", "application/x-protobuf")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: Any) -> None:
            """Say nothing: what is printed is "ready"."""

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    print("ready", flush=True)
    server.serve_forever()


def main(port: str, path: str, mode: str = "", transport: str = "grpc") -> None:
    (serve_http if transport == "http" else serve_grpc)(int(port), Receiver(path, mode))


if __name__ == "__main__":
    main(*sys.argv[1:])
