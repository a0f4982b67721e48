"""A plain OTLP/gRPC receiver, apart from lexilog's own code: the next hop that the tests kill and bring back.

Usage: receiver.py PORT FILE [MODE]

Each record's body is appended to FILE as one line (the ``message`` of a document, else the text) and is on disk before
the answer is OK. MODE ``refuse`` answers RESOURCE_EXHAUSTED; ``partial`` rejects the first record of each request for
good; ``slow`` takes a moment.
"""

from __future__ import annotations

import os
import sys
import time
from concurrent import futures
from typing import Any

import grpc
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest, ExportLogsServiceResponse
from opentelemetry.proto.collector.logs.v1.logs_service_pb2_grpc import (
    LogsServiceServicer,
    add_LogsServiceServicer_to_server,
)
from opentelemetry.proto.common.v1.common_pb2 import AnyValue


def _text(body: AnyValue) -> str:
    if body.WhichOneof("value") == "kvlist_value":
        return next(pair.value.string_value for pair in body.kvlist_value.values if pair.key == "message")
    return str(body.string_value)


class Receiver(LogsServiceServicer):  # type: ignore[misc]
    def __init__(self, path: str, mode: str) -> None:
        self.file = open(path, "a", encoding="utf-8")  # noqa: PTH123, SIM115
        self.mode = mode

    def Export(self, request: ExportLogsServiceRequest, context: Any) -> ExportLogsServiceResponse:  # noqa: N802
        if self.mode == "refuse":
            context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "not now")
        if self.mode == "slow":
            time.sleep(0.2)
        records = [record for r in request.resource_logs for s in r.scope_logs for record in s.log_records]
        answer = ExportLogsServiceResponse()
        if self.mode == "partial":
            records = records[1:]
            answer.partial_success.rejected_log_records = 1
            answer.partial_success.error_message = "the first one is odd"
        self.file.write("".join(f"{_text(record.body)}\n" for record in records))
        self.file.flush()
        os.fsync(self.file.fileno())
        return answer


def main(port: str, path: str, mode: str = "") -> None:
    server = grpc.server(futures.ThreadPoolExecutor(4), options=[("grpc.so_reuseport", 0)])
    add_LogsServiceServicer_to_server(Receiver(path, mode), server)  # type: ignore[no-untyped-call]
    server.add_insecure_port(f"127.0.0.1:{port}")
    server.start()
    print("ready", flush=True)
    server.wait_for_termination()


if __name__ == "__main__":
    main(*sys.argv[1:])
