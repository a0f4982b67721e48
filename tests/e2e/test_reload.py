"""Catalogues change while a real server is busy: nobody notices, and health and metrics tell."""

from __future__ import annotations

import json
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import pytest

from catalogs import PEER_GONE
from lexilog._proto.v1 import enrich_pb2 as pb
from lexilog._proto.v1.enrich_pb2_grpc import EnrichServiceStub
from processes import Process

NEWER = PEER_GONE.replace("version: 1.0.0", "version: 2.0.0")
LINE = b"Aug  3 10:18:44 gw1 exd[1]: EX_PEER_GONE: Peer 192.0.2.1 is gone"


class _Busy:
    """Asks all the time, and never twice for the same: what fails has failed."""

    def __init__(self, port: int) -> None:
        self.versions: list[str] = []
        self.problems: list[str] = []
        self._port = port
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._work) for _ in range(3)]

    def _work(self) -> None:
        request = pb.EnrichRequest(records=[pb.Record(line=LINE)] * 50)
        while not self._stop.is_set():
            try:
                with grpc.insecure_channel(f"127.0.0.1:{self._port}") as channel:
                    for _ in range(10):
                        answer = EnrichServiceStub(channel).Enrich(request, timeout=20)
                        found = {_version(result) for result in answer.results}
                        self.versions.append(found.pop() if len(found) == 1 else f"mixed: {found}")
            except grpc.RpcError as error:
                self.problems.append(str(error))

    def __enter__(self) -> _Busy:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(30)


def _version(result: Any) -> str:
    document = json.loads(result.document)
    return str(document["lexilog"].get("catalog", {}).get("version", result.reason))


def _get(port: int, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=20) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def _until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, f"not in time: {what}"
        time.sleep(0.05)


def _metric(port: int, name: str) -> float:
    found = [line for line in _get(port, "/metrics")[1].splitlines() if line.startswith(name + " ")]
    assert len(found) == 1, (name, found)
    return float(found[0].split()[-1])


@pytest.mark.parametrize("workers", [1, 2])
def test_a_broken_catalogue_hurts_nobody(workers: int, serve_config: Callable[..., Process], tmp_path: Path) -> None:
    """No request fails; the old one answers as a whole, health and metrics say why; the mended one takes over."""
    folder = tmp_path / "catalogs"
    folder.mkdir()
    file = folder / "own.yaml"
    file.write_text(PEER_GONE)
    process = serve_config(
        {
            "doors": {"grpc": {"listen": "127.0.0.1:0"}},
            "metrics": {"listen": "127.0.0.1:0"},
            "catalogs": [str(folder)],
            "reload_seconds": 0.1,
            "workers": workers,
        }
    )
    admin = process.ports["metrics"]
    ok = 'lexilog_reload_ok{what="catalogs"}'
    with _Busy(process.ports["grpc"]) as busy:
        _until(lambda: len(busy.versions) > 20, "requests")
        assert _metric(admin, ok) == 1
        file.write_text(NEWER.replace("impact: down", "impact: sideways"))
        _until(lambda: _metric(admin, ok) == 0, "the metric says that it is broken")
        status, said = _get(admin, "/readyz")
        assert status == 200
        assert "own.yaml:" in json.loads(said)["problems"]["catalogs"]
        assert _metric(admin, 'lexilog_reload_total{result="failed",what="catalogs"}') >= 1
        so_far = len(busy.versions)
        _until(lambda: len(busy.versions) > so_far + 20, "more requests")
        assert set(busy.versions) == {"1.0.0"}
        file.write_text(NEWER)
        _until(lambda: _metric(admin, ok) == 1, "the metric says that it is mended")
        _until(lambda: json.loads(_get(admin, "/readyz")[1])["problems"] == {}, "health says so too")
        so_far = len(busy.versions)
        _until(lambda: len(busy.versions) > so_far + 20, "requests to the new one")
    assert busy.problems == []
    # Those that were asked while it was swapped have one or the other, and none has both.
    assert set(busy.versions) == {"1.0.0", "2.0.0"}
    assert busy.versions[-1] == "2.0.0"
    assert process.terminate() == 0
