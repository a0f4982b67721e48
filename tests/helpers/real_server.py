"""A real `lexilog serve` in a process of its own: what its doors say, and what memory it takes."""

from __future__ import annotations

import http.client
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import grpc
import msgpack
import pytest

from house import EXPORT, LINE, PATIENCE, PROTOBUF, chunk_of, export_of
from processes import Process


class RealServer:
    """A real `lexilog serve`, in a process of its own, and what each door says to what is sent to it."""

    def __init__(self, process: Process) -> None:
        self.process = process

    def grpc(self, message: bytes, method: str = EXPORT, compression: Any = None) -> str:
        """Return the code of the answer to a call."""
        options = [("grpc.max_send_message_length", -1)]
        with grpc.insecure_channel(f"127.0.0.1:{self.process.ports['grpc']}", options=options) as to:
            try:
                to.unary_unary(method)(message, timeout=PATIENCE, compression=compression)
            except grpc.RpcError as error:
                return str(error.code().name)
            return "OK"

    def http(self, body: Any, path: str = "/v1/logs", **headers: str) -> int:
        """Return the status of the answer to a request."""
        connection = http.client.HTTPConnection("127.0.0.1", self.process.ports["http"], timeout=PATIENCE)
        told = PROTOBUF | {name.replace("_", "-"): value for name, value in headers.items()}
        try:
            # The door may close the connection without reading all; the answer comes before.
            with suppress(BrokenPipeError, ConnectionResetError):
                connection.request("POST", path, body, told, encode_chunked="Transfer-Encoding" in told)
            return connection.getresponse().status
        finally:
            connection.close()

    def forward(self, *pieces: bytes) -> Any:
        """Return what is acknowledged; None where the door closes the connection instead."""
        unpacker = msgpack.Unpacker()
        with socket.create_connection(("127.0.0.1", self.process.ports["forward"]), PATIENCE) as client:
            try:
                for piece in pieces:
                    client.sendall(piece)
                while data := client.recv(65_536):
                    unpacker.feed(data)
                    for one in unpacker:
                        return one
            except ConnectionError:
                return None
        return None

    def is_well(self) -> bool:
        """Return whether each door takes a good request, in the process that there was."""
        assert self.process.process.poll() is None
        forward = self.forward(chunk_of("c", LINE))
        return (self.grpc(export_of(LINE)), self.http(export_of(LINE)), forward) == ("OK", 200, {"ack": "c"})

    def memory(self, name: str = "VmRSS") -> int:
        """Return what the process has in memory, or a number of /proc of another name, in bytes."""
        lines = Path(f"/proc/{self.process.process.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(name))

    @contextmanager
    def stays_small(self, most: int) -> Iterator[None]:
        """Make sure that memory grows meanwhile by less than some bytes, even for a moment."""
        try:
            # 5 sets the peak back to what is in use now (proc(5)).
            Path(f"/proc/{self.process.process.pid}/clear_refs").write_text("5")
        except OSError:
            pytest.skip("needs Linux's /proc to see a process's peak of memory")
        before = self.memory()
        yield
        assert self.memory("VmHWM") - before < most

    @contextmanager
    def busy_with_others(self) -> Iterator[list[bool]]:
        """Have another client ask all doors again and again meanwhile; yield whether each time was answered well."""
        found: list[bool] = []
        stopping = threading.Event()

        def ask() -> None:
            while not stopping.is_set():
                found.append(self.is_well())

        thread = threading.Thread(target=ask)
        thread.start()
        try:
            yield found
        finally:
            stopping.set()
            thread.join(4 * PATIENCE)
