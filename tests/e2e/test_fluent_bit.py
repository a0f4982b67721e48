"""The loop with the real Fluent Bit: tail → lexilog → the same Fluent Bit → file."""

from __future__ import annotations

import json
import shutil
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lexilog.enrich.escape import unescape
from processes import Agent, Process, free_port

FLUENT_BIT = shutil.which("fluent-bit")
pytestmark = pytest.mark.skipif(FLUENT_BIT is None, reason="no fluent-bit on PATH; it is not in the package registries")

# What each setting is for stands in docs/serve.md.
CONFIG = """\
service:
  flush: 1
  storage.path: {folder}/store
  scheduler.base: 1
  scheduler.cap: 3
pipeline:
  inputs:
    - name: tail
      tag: junos
      path: {folder}/in.log
      read_from_head: true
      db: {folder}/tail.db
      storage.type: filesystem
      path_key: file
    - name: opentelemetry
      tag: enriched
      listen: 127.0.0.1
      port: {back}
      tag_from_uri: off
      buffer_max_size: 16M
      storage.type: filesystem
  outputs:
    - name: opentelemetry
      match: junos
      host: 127.0.0.1
      port: {port}
      grpc: on
      net.keepalive: off
      batch_size: 1000000
      logs_body_key: $log
      logs_body_key_attributes: true
      retry_limit: no_limits
      log_response_payload: off
    - name: file
      match: enriched
      path: {folder}
      file: out.json
      format: plain
"""
ID = "KMD_PM_DYNAMIC_SA_INSTALL_FAILED"
KNOWN = b"<35>Aug  3 10:18:44 srx1 kmd[1]: " + ID.encode() + b": Unable to install dynamic SA for tunnel t%d"


def _lines(count: int) -> list[bytes]:
    kinds = (KNOWN, b"<14>Aug  3 10:18:44 web1 app[1]: request %d", b"not \xff\xfe UTF-8 %d", KNOWN)
    return [kinds[number % 4] % number for number in range(count)]


def _out(path: Path) -> list[dict[str, Any]]:
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_bytes().split(b"\n")[:-1]]


def _original(record: dict[str, Any]) -> bytes:
    text = record["event"]["original"]
    if "event.original" in record["lexilog"].get("escaped", ()):
        return unescape(text)
    return str(text).encode()


@pytest.mark.parametrize("kills", [0, 2])
def test_every_line_comes_round(
    kills: int, serve: Callable[..., tuple[Process, Agent]], processes: list[Process], tmp_path: Path
) -> None:
    """Every line arrives as a document with the agent's own fields; at least once if lexilog is killed in between."""
    lines = _lines(40_000)
    (tmp_path / "in.log").write_bytes(b"\n".join(lines) + b"\n")
    port, back = free_port(), free_port()
    relay = ("--relay", f"otlp://127.0.0.1:{back}")
    lexilog, _ = serve(*relay, port=port)
    config = tmp_path / "fluent-bit.yaml"
    config.write_text(CONFIG.format(folder=tmp_path, port=port, back=back))
    assert FLUENT_BIT
    processes.append(Process([FLUENT_BIT, "-c", config], "listening on", tmp_path / "fluent-bit.log"))
    for _ in range(kills):
        time.sleep(2)
        lexilog.kill()
        lexilog, _ = serve(*relay, port=port)
    deadline = time.monotonic() + 120
    while len({_original(record) for record in _out(tmp_path / "out.json")}) < len(lines):
        assert time.monotonic() < deadline, "lines are missing"
        time.sleep(1)
    found = _out(tmp_path / "out.json")
    arrived = Counter(map(_original, found))
    assert set(arrived) == set(lines)
    assert kills or max(arrived.values()) == 1
    for record in found:
        known = b"kmd[1]" in _original(record)
        assert record["file"] == f"{tmp_path}/in.log"
        assert record["lexilog"]["match"]["quality"] == ("exact" if known else "none")
        assert record["event"].get("code") == (ID if known else None)
