"""Clients on all doors at once, while far ends are slow, refuse, are killed and come back, and lexilog is killed.

The promise: every record that a client was told OK for is at every required far end, a client that was told otherwise
still has it, and repeats carry the same ``event.id``. The far ends are doubles that put a record on disk before they
say OK; the file relay is the real one.
"""

from __future__ import annotations

import gzip
import http.client
import json
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import msgpack
import pytest

from processes import Agent, Process, arrivals, free_port, request_of

KNOWN = "<35>Aug  3 10:18:44 srx1 kmd[1]: KMD_PM_DYNAMIC_SA_INSTALL_FAILED: Unable to install dynamic SA for tunnel t{}"
UNKNOWN = "<14>Aug  3 10:18:44 web1 app[1]: request {}"
# Seconds for which clients send new batches; then each goes on until its last one is taken.
SENDING = 10.0
PATIENCE = 90.0
BATCH = 50

Ports = dict[str, int]
Send = Callable[[Ports, list[str]], None]


class NotTakenError(Exception):
    """The batch has not been taken: its sender keeps it and comes again."""


def send_otlp(ports: Ports, lines: list[str]) -> None:
    """OTLP/gRPC."""
    try:
        answer = Agent(ports["grpc"]).once(request_of(lines), timeout=15)
    except grpc.RpcError as error:
        if error.code() not in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED):
            raise
        raise NotTakenError from error
    assert not answer.partial_success.rejected_log_records


def send_otlp_http(ports: Ports, lines: list[str]) -> None:
    """OTLP/HTTP, protobuf, gzip."""
    headers = {"Content-Type": "application/x-protobuf", "Content-Encoding": "gzip"}
    _post(ports, "/v1/logs", gzip.compress(request_of(lines).SerializeToString(), mtime=0), headers)


def send_otlp_json(ports: Ports, lines: list[str]) -> None:
    """OTLP/HTTP, JSON."""
    records = [{"timeUnixNano": "1577880000000000000", "body": {"stringValue": line}} for line in lines]
    body = {"resourceLogs": [{"scopeLogs": [{"logRecords": records}]}]}
    _post(ports, "/v1/logs", json.dumps(body).encode(), {"Content-Type": "application/json"})


def _post(ports: Ports, path: str, body: bytes, headers: dict[str, str]) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", ports["http"], timeout=15)
    try:
        connection.request("POST", path, body, headers)
        answer = connection.getresponse()
        answer.read()
    except (OSError, http.client.HTTPException) as error:
        raise NotTakenError from error
    finally:
        connection.close()
    if answer.status != 200:
        assert answer.status == 503, answer.status
        raise NotTakenError


def send_forward(ports: Ports, lines: list[str]) -> None:
    """Fluent Forward, PackedForward with a chunk to acknowledge."""
    entries = b"".join(msgpack.packb([1_577_880_000 + place, {"log": line}]) for place, line in enumerate(lines))
    chunk = lines[0]
    try:
        with socket.create_connection(("127.0.0.1", ports["forward"]), timeout=15) as connection:
            connection.sendall(msgpack.packb(["vpn", entries, {"chunk": chunk}]))
            unpacker = msgpack.Unpacker()
            while data := connection.recv(65_536):
                unpacker.feed(data)
                for answer in unpacker:
                    assert answer == {"ack": chunk}
                    return
    except OSError as error:
        raise NotTakenError from error
    raise NotTakenError


SENDERS: tuple[Send, ...] = (send_otlp, send_otlp_http, send_otlp_json, send_forward)


class Client(threading.Thread):
    """Sends numbered lines batch by batch, and keeps a batch until it is taken."""

    def __init__(self, send: Send, ports: Ports, first: int) -> None:
        super().__init__(name=f"{send.__name__} from {first}")
        self.send, self.ports, self.first = send, ports, first
        self.taken = self.tries = 0
        self.problem: BaseException | None = None

    def run(self) -> None:
        try:
            end = time.monotonic() + SENDING
            while time.monotonic() < end:
                self._send_until_taken(range(self.first + self.taken, self.first + self.taken + BATCH))
                self.taken += BATCH
        except BaseException as error:
            self.problem = error

    def _send_until_taken(self, numbers: range) -> None:
        lines = [(KNOWN if number % 3 else UNKNOWN).format(number) for number in numbers]
        deadline = time.monotonic() + PATIENCE
        while True:
            self.tries += 1
            try:
                self.send(self.ports, lines)
            except NotTakenError:
                assert time.monotonic() < deadline, "a batch was never taken"
                time.sleep(0.1)
            else:
                return

    @property
    def sent(self) -> set[int]:
        """The numbers that were taken, by the word of the server."""
        return set(range(self.first, self.first + self.taken))


def _run(clients: list[Client], disturb: Callable[[], None]) -> None:
    for client in clients:
        client.start()
    disturb()
    for client in clients:
        client.join(SENDING + 2 * PATIENCE)
        assert not client.is_alive(), f"{client.name} is stuck"
        if client.problem:
            raise AssertionError(client.name) from client.problem
        assert client.taken, f"{client.name} has sent nothing: the test proves nothing"


def _check(clients: list[Client], files: list[Path]) -> None:
    """Everything that was taken has arrived everywhere, and each number has one id wherever it is."""
    expected = set().union(*(client.sent for client in clients))
    ids: dict[int, str] = {}
    for file in files:
        found = arrivals(file)
        assert expected - {number for number, _ in found} == set(), f"lost on the way to {file.name}"
        for number, name in found:
            assert ids.setdefault(number, name) == name, f"record {number} has two ids"
    assert len(set(ids.values())) == len(ids), "two records share an id"


def _settings(tmp_path: Path, ports: Ports, relays: dict[str, Any]) -> dict[str, Any]:
    doors = {name: {"listen": f"127.0.0.1:{port}"} for name, port in ports.items()}
    return {"doors": doors, "relays": relays, "dead_letters": {"path": str(tmp_path / "dead")}, "grace": 2}


@pytest.fixture
def ports() -> Ports:
    return {name: free_port() for name in ("grpc", "http", "forward")}


def test_far_ends_that_are_slow_refuse_and_die(
    serve_config: Callable[..., Process], receive: Callable[..., Process], ports: Ports, tmp_path: Path
) -> None:
    """Several clients on every door; four far ends are disturbed in turn; every record arrives at all of them."""
    far = {kind: free_port() for kind in ("otlp", "otlp_http", "forward", "hec")}
    relays = {
        "otlp": {"type": "otlp", "endpoint": f"127.0.0.1:{far['otlp']}", "timeout": 2},
        "otlp_http": {
            "type": "otlp", "protocol": "http", "endpoint": f"http://127.0.0.1:{far['otlp_http']}", "timeout": 2,
            "shape": "attributes", "compression": "gzip",
        },
        "forward": {"type": "forward", "endpoint": f"127.0.0.1:{far['forward']}", "timeout": 2},
        "hec": {
            "type": "splunk_hec", "url": f"http://127.0.0.1:{far['hec']}", "token": "token-of-the-double", "timeout": 2,
        },
        "file": {"type": "file", "path": str(tmp_path / "file.ndjson")},
    }  # fmt: skip
    ends = {kind: receive(port, kind=kind) for kind, port in far.items()}
    serve_config(_settings(tmp_path, ports, relays))
    clients = [Client(send, ports, 10_000_000 * place) for place, send in enumerate(SENDERS * 2, 1)]

    def disturb() -> None:
        modes = {"otlp": "refuse", "otlp_http": "slow", "forward": "refuse", "hec": "busy"}
        for kind, mode in modes.items():
            time.sleep(0.5)
            ends[kind].kill()
            time.sleep(0.3)
            odd = receive(far[kind], mode, kind)
            time.sleep(0.7)
            odd.kill()
            receive(far[kind], kind=kind)

    _run(clients, disturb)
    assert sum(client.tries for client in clients) > sum(client.taken for client in clients) / BATCH, "nobody noticed"
    _check(clients, [tmp_path / f"{kind}.ndjson" for kind in relays])


def test_kill_of_lexilog_at_any_moment(
    serve_config: Callable[..., Process], receive: Callable[..., Process], ports: Ports, tmp_path: Path
) -> None:
    """Kill -9 of lexilog again and again, in mid-batch: nothing is lost, and repeats carry the same id."""
    far = {kind: free_port() for kind in ("otlp", "forward")}
    relays = {
        "otlp": {"type": "otlp", "endpoint": f"127.0.0.1:{far['otlp']}"},
        "forward": {"type": "forward", "endpoint": f"127.0.0.1:{far['forward']}"},
        "file": {"type": "file", "path": str(tmp_path / "file.ndjson"), "rotate_bytes": 1_000_000},
    }
    for kind, port in far.items():
        receive(port, kind=kind)
    settings = _settings(tmp_path, ports, relays)
    process = serve_config(settings)
    clients = [Client(send, ports, 10_000_000 * place) for place, send in enumerate(SENDERS, 1)]

    def disturb() -> None:
        nonlocal process
        for _ in range(4):
            time.sleep(1.1)
            process.kill()
            process = serve_config(settings)

    _run(clients, disturb)
    assert sum(client.tries for client in clients) > sum(client.taken for client in clients) / BATCH, "nobody noticed"
    merged = tmp_path / "all-files.ndjson"
    merged.write_bytes(b"".join(file.read_bytes() for file in sorted(tmp_path.glob("file.ndjson*"))))
    _check(clients, [tmp_path / "otlp.ndjson", tmp_path / "forward.ndjson", merged])
    seen = [number for number, _ in arrivals(tmp_path / "otlp.ndjson")]
    assert len(seen) > len(set(seen)), "no record came twice: the kills were not in mid-batch"
