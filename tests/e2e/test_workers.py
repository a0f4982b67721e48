"""`lexilog serve` with several workers: what kills, signals and mistakes do to it, and what they do not.

The promise is that of one process, and more: the port answers on while a worker is replaced.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import grpc
import pytest
from prometheus_client.parser import text_string_to_metric_families

from catalogs import PEER_GONE
from processes import LEXILOG, Agent, Process, arrivals, free_port, request_of
from worker_processes import KNOWN, PATIENCE, Client, Knocker, runs, until, worker_pids

ServeConfig = Callable[..., Process]


@pytest.fixture(autouse=True)
def temporary(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Give the processes a folder for temporary files: those that are killed leave something there."""
    with TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        monkeypatch.setenv("TMPDIR", folder)
        yield Path(folder)


@pytest.fixture
def clients() -> Iterator[Callable[[int], list[Client]]]:
    """Return a function that starts clients of a port."""
    started: list[Client] = []

    def start(port: int) -> list[Client]:
        started.extend(Client(port, 1_000_000 * place) for place in range(1, 5))
        for client in started:
            client.start()
        return started

    yield start
    for client in started:
        client.enough.set()


@pytest.fixture
def run_serve(tmp_path: Path) -> Callable[..., tuple[int, list[str]]]:
    """Return a function that runs `lexilog serve`, which has to end by itself: its exit code and what it said."""

    def run(settings: dict[str, Any]) -> tuple[int, list[str]]:
        path = tmp_path / "lexilog.yaml"
        path.write_text(json.dumps(settings))
        command = [LEXILOG, "serve", "--config", path]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        return done.returncode, done.stderr.splitlines()

    return run


def _finish(clients: list[Client], folder: Path, *patterns: str) -> None:
    """Have the clients stop; everything that was taken is in the files of each pattern."""
    for client in clients:
        client.enough.set()
    for client in clients:
        client.join(2 * PATIENCE)
        assert not client.is_alive(), f"{client.name} is stuck"
        if client.problem:
            raise AssertionError(client.name) from client.problem
        assert client.batches, f"{client.name} has sent nothing: the test proves nothing"
    expected = set().union(*(client.sent for client in clients))
    for pattern in patterns:
        found = [arrival for file in folder.glob(pattern) for arrival in arrivals(file)]
        assert expected - {number for number, _ in found} == set(), f"lost on the way to {pattern}"
        ids: dict[int, str] = {}
        for number, name in found:
            assert ids.setdefault(number, name) == name, f"record {number} has two ids"


def _settings(tmp_path: Path, **more: Any) -> dict[str, Any]:
    relays = {"file": {"type": "file", "path": str(tmp_path / "file.ndjson"), "rotate_bytes": 200_000}}
    doors = {"grpc": {"listen": "127.0.0.1:0"}, "http": {"listen": "127.0.0.1:0"}}
    metrics = {"listen": "127.0.0.1:0"}
    return {"doors": doors, "relays": relays, "workers": 2, "metrics": metrics, "grace": 2, **more}


def _get(process: Process, path: str) -> str:
    """Return what the port of metrics and health says."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{process.ports['metrics']}{path}", timeout=30) as answer:
            return str(answer.read().decode())
    except urllib.error.HTTPError as error:
        with error:
            return str(error.read().decode())


def _metric(process: Process, name: str, **labels: str) -> float:
    """Return the sum of a metric over all label sets that have these labels."""
    families = text_string_to_metric_families(_get(process, "/metrics"))
    samples = (sample for family in families for sample in family.samples if sample.name == name)
    return sum(one.value for one in samples if labels.items() <= one.labels.items())


def _all_ready(process: Process, count: int = 2) -> dict[int, int]:
    """Wait until so many workers serve; return their processes."""
    until(lambda: _metric(process, "lexilog_workers") == count, f"{count} workers serve")
    return worker_pids(process)


def _replaced(process: Process, number: int, old: int) -> None:
    until(lambda: worker_pids(process)[number] != old, f"worker {number} is replaced")


def test_kill_of_a_worker_in_mid_batch(
    serve_config: ServeConfig, receive: Callable[..., Process], clients: Callable[..., list[Client]], tmp_path: Path
) -> None:
    """Kill -9 of workers, again and again: nothing is lost, each is replaced, and the port never refuses."""
    far = free_port()
    receive(far)
    settings = _settings(tmp_path)
    settings["relays"]["otlp"] = {"type": "otlp", "endpoint": f"127.0.0.1:{far}"}
    process = serve_config(settings)
    _all_ready(process)
    sending = clients(process.ports["grpc"])
    knocker = Knocker(process.ports["grpc"])
    knocker.start()
    kills = 0
    while kills < 4 or (kills < 30 and not any(client.has_repeated for client in sending)):
        number = 1 + kills % 2
        time.sleep(0.2)
        pid = worker_pids(process)[number]
        os.kill(pid, signal.SIGKILL)
        kills += 1
        _replaced(process, number, pid)
    knocker.enough.set()
    knocker.join(60)
    _finish(sending, tmp_path, "file.ndjson*", "otlp.ndjson")
    assert any(client.has_repeated for client in sending), "nobody noticed: the kills were not in mid-batch"
    assert knocker.answered
    assert knocker.refused == 0
    assert _metric(process, "lexilog_worker_exits_total") == kills
    assert process.terminate() == 0


def test_kill_of_the_parent(serve_config: ServeConfig, clients: Callable[..., list[Client]], tmp_path: Path) -> None:
    """After kill -9 of the parent its workers end, the port is there for a new one, and nothing is lost."""
    settings = _settings(tmp_path)
    settings["doors"]["grpc"]["listen"] = f"127.0.0.1:{free_port()}"
    process = serve_config(settings)
    orphans = set(_all_ready(process).values())
    sending = clients(process.ports["grpc"])
    for _ in range(3):
        before = sum(client.batches for client in sending)
        until(lambda before=before: sum(client.batches for client in sending) > before + 4, "clients send")  # type: ignore[misc]
        process.kill()
        process = serve_config(settings)
        orphans |= set(_all_ready(process).values())
    orphans -= set(worker_pids(process).values())
    assert len(orphans) == 6
    until(lambda: not any(runs(pid) for pid in orphans), "workers without a parent end")
    _finish(sending, tmp_path, "file.ndjson*")
    assert process.terminate() == 0


def test_a_stop_ends_all(serve_config: ServeConfig, temporary: Path, tmp_path: Path) -> None:
    """SIGTERM: exit code 0, the log says what became of all records, and neither process nor file stays behind."""
    process = serve_config(_settings(tmp_path))
    pids = _all_ready(process)
    os.kill(pids[1], signal.SIGKILL)
    _replaced(process, 1, pids[1])
    pids = _all_ready(process)
    for number in range(4):
        Agent(process.ports["grpc"]).send(request_of([KNOWN.format(number)]))
    assert list(temporary.iterdir())
    assert process.terminate() == 0
    assert not any(runs(pid) for pid in pids.values())
    assert not list(temporary.iterdir())
    assert "stopped; records: otlp juniper_kmd matched exact relayed: 4\n" in process.log.read_text()


def test_what_is_in_flight_when_it_stops_is_finished(
    serve_config: ServeConfig, receive: Callable[..., Process], tmp_path: Path
) -> None:
    """A request that a worker has in work is answered OK, although the server stops."""
    far = free_port()
    receive(far, "slow")
    relays = {"otlp": {"type": "otlp", "endpoint": f"127.0.0.1:{far}"}}
    process = serve_config(_settings(tmp_path, relays=relays, grace=20))
    _all_ready(process)
    answers: list[Any] = []
    agent = Agent(process.ports["grpc"])
    sending = threading.Thread(target=lambda: answers.append(agent.once(request_of([KNOWN.format(1)]))))
    sending.start()
    until(lambda: _metric(process, "lexilog_pending_bytes") > 0, "the request is in work")
    assert process.terminate() == 0
    sending.join(60)
    assert len(answers) == 1
    assert [number for number, _ in arrivals(tmp_path / "otlp.ndjson")] == [1]


def test_signals_of_a_terminal_and_early_ones(processes: list[Process], tmp_path: Path) -> None:
    """Signals that reach all processes at once: a hang-up ends nobody, however early, and ^C ends all, with code 0."""
    settings = tmp_path / "lexilog.yaml"
    settings.write_text("{workers: 3, doors: {http: {listen: '127.0.0.1:0'}}, metrics: {listen: '127.0.0.1:0'}}")
    # A process group of its own, as a shell makes it.
    command: list[str | Path] = ["setsid", LEXILOG, "serve", "--config", settings]
    process = Process(command, "metrics: listening on", tmp_path / "serve.log")
    processes.append(process)
    group = process.process.pid
    until(lambda: os.killpg(group, signal.SIGHUP) or "relays: " in process.log.read_text(), "it serves")
    until(lambda: os.killpg(group, signal.SIGHUP) or _metric(process, "lexilog_workers") == 3, "three workers serve")
    assert _metric(process, "lexilog_worker_exits_total") == 0
    os.killpg(group, signal.SIGINT)
    assert process.process.wait(30) == 0
    assert "stopped; records: no records" in process.log.read_text()


def test_a_hang_up_reaches_every_worker(serve_config: ServeConfig, tmp_path: Path) -> None:
    """SIGHUP: all of them read catalogues anew; a broken one stays out, and health says which workers found it so."""
    catalog = tmp_path / "own.yaml"
    catalog.write_text(PEER_GONE)
    process = serve_config(_settings(tmp_path, catalogs=[str(catalog)], reload_seconds=0))
    _all_ready(process)
    process.process.send_signal(signal.SIGHUP)
    told = {"what": "catalogs", "result": "ok"}
    until(lambda: _metric(process, "lexilog_reload_total", **told) == 2, "both have read it anew")
    catalog.write_text("format: 1\nname: broken\n")
    process.process.send_signal(signal.SIGHUP)
    until(lambda: "worker 1, 2: " in _get(process, "/readyz"), "both say what is wrong")
    assert '"status": "ready", "problems": {"catalogs": ' in _get(process, "/readyz")
    Agent(process.ports["grpc"]).send(request_of([KNOWN.format(1)]))
    assert _metric(process, "lexilog_reload_ok", what="catalogs") == 0
    assert process.terminate() == 0


def test_a_worker_that_is_told_to_end(serve_config: ServeConfig, tmp_path: Path) -> None:
    """SIGTERM to one worker: it ends by itself, the others answer meanwhile, and another one takes its place."""
    process = serve_config(_settings(tmp_path))
    pids = _all_ready(process)
    agent = Agent(process.ports["grpc"])
    os.kill(pids[2], signal.SIGTERM)
    for number in range(10):
        agent.send(request_of([KNOWN.format(number)]))
    _replaced(process, 2, pids[2])
    assert f"worker 2: its process {pids[2]} has ended with exit code 0" in process.log.read_text()
    assert process.terminate() == 0


def test_metrics_of_two_workers(serve_config: ServeConfig, tmp_path: Path) -> None:
    """They add up, each family once; what was counted outlives a worker, what is true only while it runs does not."""
    process = serve_config(_settings(tmp_path))
    pids = _all_ready(process)
    for number in range(10):
        Agent(process.ports["grpc"]).send(request_of([KNOWN.format(number)]))
    held = [_keep_open(process.ports["http"]) for _ in range(4)]
    assert _metric(process, "lexilog_records_total", delivery="relayed") == 10
    assert _metric(process, "lexilog_relay_duration_seconds_count") == 10
    assert _metric(process, "lexilog_connections", door="http") == 4
    os.kill(pids[1], signal.SIGKILL)
    until(lambda: _metric(process, "lexilog_connections", door="http") == 2, "its connections no longer count")
    # Half of the connections were with each worker.
    assert sorted(_is_cut_off(connection) for connection in held) == [False, False, True, True]
    _all_ready(process)
    for number in range(10, 20):
        Agent(process.ports["grpc"]).send(request_of([KNOWN.format(number)]))
    assert _metric(process, "lexilog_records_total", delivery="relayed") == 20
    assert _metric(process, "lexilog_worker_exits_total") == 1
    types = [line for line in _get(process, "/metrics").splitlines() if line.startswith("# TYPE")]
    assert len({line.split()[2] for line in types}) == len(types)
    assert process.terminate() == 0


def _keep_open(port: int) -> socket.socket:
    """Return a connection on which a request was answered."""
    connection = socket.create_connection(("127.0.0.1", port), 30)
    body = b'{"message": "x"}'
    head = f"POST /v1/enrich HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
    connection.sendall(head.encode() + body)
    assert connection.recv(65_536).startswith(b"HTTP/1.1 200 ")
    return connection


def _is_cut_off(connection: socket.socket) -> bool:
    with connection:
        connection.setblocking(False)
        try:
            while connection.recv(65_536):
                pass
            return True
        except BlockingIOError:
            return False
        except ConnectionError:
            return True


def test_a_worker_that_keeps_dying_is_held_back(serve_config: ServeConfig, tmp_path: Path) -> None:
    """The log says that it ends again and again, health says which one, and the others serve meanwhile."""
    process = serve_config(_settings(tmp_path))
    for _ in range(2):
        pid = _all_ready(process)[1]
        os.kill(pid, signal.SIGKILL)
        _replaced(process, 1, pid)
    pid = _all_ready(process)[1]
    os.kill(pid, signal.SIGKILL)
    until(
        lambda: f"worker 1: its process {pid} has ended with signal SIGKILL" in _get(process, "/readyz"), "it is told"
    )
    until(lambda: "worker 1 keeps ending quickly: its process " in process.log.read_text(), "the log says so")
    Agent(process.ports["grpc"]).once(request_of([KNOWN.format(1)]))
    assert "has ended with signal SIGKILL" in process.log.read_text()
    assert process.terminate() == 0


def test_a_catalogue_that_breaks_later_keeps_a_worker_from_coming_back(
    serve_config: ServeConfig, tmp_path: Path
) -> None:
    """A mistake that was made since the start is no reason to end: the log names it, and the others serve on."""
    catalog = tmp_path / "own.yaml"
    catalog.write_text(PEER_GONE)
    process = serve_config(_settings(tmp_path, catalogs=[str(catalog)], reload_seconds=0))
    pids = _all_ready(process)
    catalog.write_text("format: 1\nname: broken\n")
    os.kill(pids[2], signal.SIGKILL)
    until(lambda: f"worker 2: cannot start: {catalog}:" in _get(process, "/readyz"), "health names the file")
    assert f"worker 2 cannot start: {catalog}:" in process.log.read_text()
    Agent(process.ports["grpc"]).once(request_of([KNOWN.format(1)]))
    assert process.terminate() == 0


@pytest.mark.parametrize(
    ("more", "problem"),
    [
        ({"catalogs": ["/nowhere/own.yaml"]}, "lexilog: /nowhere/own.yaml"),
        ({"routes": [{"to": ["file"], "catalog": ["nobody"]}, {"to": ["file"]}]}, "there is no catalogue 'nobody'"),
        ({"relays": {"file": {"type": "file", "path": "/nowhere/x"}}}, "lexilog: relay file: /nowhere/x: cannot be"),
        ({"doors": {"http": {"listen": "192.0.2.1:1", "allow_unprotected": True}}}, "192.0.2.1:1: cannot be bound"),
        ({"metrics": {"listen": "192.0.2.1:1"}}, "lexilog: metrics.listen: 192.0.2.1:1: cannot be bound"),
    ],
    ids=["catalogue", "route", "relay", "door", "metrics"],
)
def test_a_mistake_is_one_line_as_without_workers(
    more: dict[str, Any], problem: str, tmp_path: Path, run_serve: Callable[..., tuple[int, list[str]]]
) -> None:
    """What is wrong at the start is said once, with the exit code that one process has, and nothing runs on."""
    said = [run_serve(_settings(tmp_path, **more) | {"workers": workers}) for workers in (1, 2)]
    for code, lines in said:
        assert code == 1
        assert problem in lines[-1]
        assert not any(" ERROR " in line or "Traceback" in line for line in lines)
    assert said[0][1][-1] == said[1][1][-1]


@pytest.mark.parametrize("workers", [1, 2])
def test_a_folder_of_metrics_of_others_is_left_alone(
    workers: int, serve_config: ServeConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the environment tells other programs that use prometheus_client neither stops nor mixes up anything."""
    (tmp_path / "theirs").mkdir()
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path / "theirs"))
    process = serve_config(_settings(tmp_path, workers=workers))
    _all_ready(process, workers)
    Agent(process.ports["grpc"]).send(request_of([KNOWN.format(1)]))
    until(lambda: _metric(process, "lexilog_records_total", delivery="relayed") == 1, "the record is counted")
    assert process.terminate() == 0
    assert not list((tmp_path / "theirs").iterdir())


def test_one_process_has_the_same_metrics_and_health(serve_config: ServeConfig, tmp_path: Path) -> None:
    """Without workers the process itself answers; a limit of open files that is too low is said."""
    settings = _settings(tmp_path, workers=1)
    settings["doors"]["http"]["max_connections"] = 10_000_000
    process = serve_config(settings)
    assert _metric(process, "lexilog_workers") == 1
    assert _metric(process, "lexilog_info") == 1
    assert _get(process, "/readyz") == '{"status": "ready", "problems": {}}\n'
    process.process.send_signal(signal.SIGHUP)
    until(lambda: _metric(process, "lexilog_reload_total", what="catalogs", result="ok") == 1, "it reads them anew")
    assert "may take 30003000 open files, and this process may have" in process.log.read_text()
    with pytest.raises(grpc.RpcError):
        Agent(process.ports["http"]).once(request_of(["x"]), timeout=5)
    assert process.terminate() == 0
