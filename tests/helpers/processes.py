"""Processes that the end-to-end tests start, and a client that behaves as an agent does."""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import grpc
import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest, ExportLogsServiceResponse
from opentelemetry.proto.collector.logs.v1.logs_service_pb2_grpc import LogsServiceStub

LEXILOG = Path(sys.executable).with_name("lexilog")
# Next hops: the program, and what it is told behind port, file and mode.
FAR_ENDS = {
    "otlp": (Path(__file__).with_name("receiver.py"),),
    "otlp_http": (Path(__file__).with_name("receiver.py"), "http"),
    "forward": (Path(__file__).with_name("forward_double.py"),),
    "hec": (Path(__file__).with_name("hec_double.py"),),
}
# Codes on which an OTLP client keeps its batch and comes again (OTLP specification, OTLP/gRPC response).
RETRIED = {
    grpc.StatusCode.CANCELLED,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.ABORTED,
    grpc.StatusCode.OUT_OF_RANGE,
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.DATA_LOSS,
}


class Process:
    """A process that says when it is ready."""

    def __init__(self, command: list[str | Path], ready: str, log: Path) -> None:
        self.log = log
        with log.open("ab") as out:
            start = out.tell()
            self.process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT)
        deadline = time.monotonic() + 60
        while not re.search(ready, said := log.read_bytes()[start:].decode(errors="replace")):
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                pytest.fail(f"{command} did not get ready: {log.read_text(errors='replace')[-2000:]}")
            time.sleep(0.02)
        self.said = said

    @property
    def ports(self) -> dict[str, int]:
        """The port of each door of `lexilog serve`."""
        return {door: int(port) for door, port in re.findall(r"(\w+): listening on \S*:(\d+)", self.said)}

    def kill(self) -> None:
        """Kill -9."""
        self.process.kill()
        self.process.wait(30)

    def terminate(self) -> int:
        """Ask it to stop, and return its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(30)


class Agent:
    """An OTLP client that keeps a batch until it is taken, as agents do."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.tries = 0

    def once(self, request: ExportLogsServiceRequest, timeout: float = 30) -> ExportLogsServiceResponse:
        """Send a request once."""
        self.tries += 1
        options = [("grpc.max_send_message_length", -1)]
        with grpc.insecure_channel(f"127.0.0.1:{self.port}", options=options) as channel:
            answer: ExportLogsServiceResponse = LogsServiceStub(channel).Export(request, timeout=timeout)  # type: ignore[no-untyped-call]
            return answer

    def send(self, request: ExportLogsServiceRequest, patience: float = 60) -> ExportLogsServiceResponse:
        """Send a request until it is taken, or drop it as agents do."""
        deadline = time.monotonic() + patience
        while True:
            try:
                return self.once(request)
            except grpc.RpcError as error:
                if error.code() not in RETRIED or time.monotonic() > deadline:
                    raise
                time.sleep(0.1)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def request_of(lines: list[str]) -> ExportLogsServiceRequest:
    request = ExportLogsServiceRequest()
    scope = request.resource_logs.add().scope_logs.add()
    for line in lines:
        scope.log_records.add().body.string_value = line
    return request


def arrivals(path: Path) -> list[tuple[int, str]]:
    """Return number and id of each record that a far end has written as a line of JSON, in order.

    The number is the last word of the message. A half line at the end is one that was never acknowledged.
    """
    found = []
    for line in path.read_bytes().split(b"\n")[:-1] if path.exists() else ():
        record = json.loads(line)
        record = record if "message" in record else record["event"]
        number = record["event"]["id"] if "event" in record else record["event.id"]
        found.append((int(record["message"].rsplit(maxsplit=1)[-1].lstrip("t")), number))
    return found
