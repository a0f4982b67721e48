"""A slow reader, or a next hop that hangs, never makes memory grow: the sender is held up instead."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import grpc
import msgpack
import pytest

from lexilog._proto.v1 import enrich_pb2 as pb
from lexilog._proto.v1 import enrich_pb2_grpc
from processes import Process, arrivals, free_port

LINE = b"<14>Aug  3 10:18:44 web1 app[1]: %s request %d"
SIZE = 200_000
COUNT = 400
# Of what is sent, this much may be in memory: what gRPC, TCP and one batch hold. Sent are 80 MB.
ALLOWED = 24 * 1024 * 1024

pytestmark = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs /proc to see a process's memory")


def _memory(process: Process) -> int:
    """Return what a process has in memory, in bytes."""
    status = Path(f"/proc/{process.process.pid}/status").read_text()
    return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmRSS"))


def _until_steady(count: Callable[[], int]) -> int:
    """Wait until a number has not changed for a second."""
    while True:
        before = count()
        time.sleep(1)
        if count() == before:
            return before


def test_a_slow_reader_of_a_stream(serve_config: Callable[..., Process]) -> None:
    """EnrichStream reads no further than its answers are read; when they are, every one is there, in order."""
    process = serve_config({"doors": {"grpc": {"listen": "127.0.0.1:0"}}})
    written = 0

    def requests() -> Iterator[pb.EnrichRequest]:
        nonlocal written
        for number in range(COUNT):
            yield pb.EnrichRequest(records=[pb.Record(line=LINE % (b"x" * SIZE, number))])
            written += 1

    options = [("grpc.max_receive_message_length", -1)]
    with grpc.insecure_channel(f"127.0.0.1:{process.ports['grpc']}", options=options) as channel:
        stub = enrich_pb2_grpc.EnrichServiceStub(channel)
        stub.Enrich(pb.EnrichRequest(records=[pb.Record(line=b"x")]))
        before = _memory(process)
        answers = stub.EnrichStream(requests(), timeout=120)
        assert _until_steady(lambda: written) < COUNT, "all of it was taken although nobody reads the answers"
        assert _memory(process) - before < ALLOWED
        numbers = [int(answer.results[0].document.partition(b" request ")[2].split(b'"')[0]) for answer in answers]
    assert numbers == list(range(COUNT))
    assert _memory(process) - before < ALLOWED


def test_a_forward_sender_before_a_next_hop_that_is_away(
    serve_config: Callable[..., Process], receive: Callable[..., Process], tmp_path: Path
) -> None:
    """A sender that asks for no acknowledgement is held up by TCP, and its records are there when the next hop is."""
    port = free_port()
    settings = {
        "doors": {"forward": {"listen": "127.0.0.1:0"}},
        "relays": {"far": {"type": "otlp", "endpoint": f"127.0.0.1:{port}", "timeout": 5}},
        "dead_letters": {"path": str(tmp_path / "dead")},
    }
    process = serve_config(settings)
    sent = 0
    before = _memory(process)

    def send() -> None:
        nonlocal sent
        with socket.create_connection(("127.0.0.1", process.ports["forward"])) as connection:
            for number in range(COUNT):
                line = LINE % (b"x" * SIZE, number)
                connection.sendall(msgpack.packb(["vpn", 1_577_880_000, {"log": line}]))
                sent += 1

    thread = threading.Thread(target=send)
    thread.start()
    assert _until_steady(lambda: sent) < COUNT, "all of it was taken although there is nowhere to put it"
    assert _memory(process) - before < ALLOWED
    receive(port)
    thread.join(60)
    deadline = time.monotonic() + 60
    while len(found := arrivals(tmp_path / "otlp.ndjson")) < COUNT:
        assert time.monotonic() < deadline, f"{len(found)} of {COUNT} have arrived"
        time.sleep(0.1)
    assert sorted({number for number, _ in found}) == list(range(COUNT))
