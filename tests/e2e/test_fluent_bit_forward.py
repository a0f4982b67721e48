"""The loop with the real Fluent Bit over its own protocol: tail → forward → lexilog → forward → the same Fluent Bit."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from doors import OpenDoor, hall
from lexilog import Pipeline
from lexilog.enrich.escape import unescape
from lexilog.relay.forward import ForwardRelay
from lexilog.relay.settings import ForwardSettings
from lexilog.service.forward import ForwardDoor
from lexilog.service.intake import Intake
from lexilog.service.metrics import Counts
from lexilog.service.settings import ForwardDoorSettings
from processes import Process, free_port

FLUENT_BIT = shutil.which("fluent-bit")
pytestmark = pytest.mark.skipif(FLUENT_BIT is None, reason="no fluent-bit on PATH; it is not in the package registries")

# The tag of what comes back has to differ, or it would go round for ever: tag_prefix sees to that.
CONFIG = """\
service:
  flush: 1
  storage.path: {folder}/store
  scheduler.base: 1
  scheduler.cap: 3
parsers:
  - name: exact
    format: json
    time_key: when
    time_format: '%Y-%m-%dT%H:%M:%S.%L%z'
pipeline:
  inputs:
    - name: tail
      tag: vpn.lines
      path: {folder}/in.log
      read_from_head: true
      db: {folder}/tail.db
      storage.type: filesystem
      path_key: file
    - name: tail
      tag: vpn.json
      path: {folder}/in.json
      read_from_head: true
      parser: exact
      storage.type: filesystem
    - name: forward
      listen: 127.0.0.1
      port: {back}
      tag_prefix: enriched.
      storage.type: filesystem
      {receive}
  outputs:
    - name: forward
      match: vpn.*
      host: 127.0.0.1
      port: {port}
      require_ack_response: true
      retry_limit: no_limits
      {send}
    - name: file
      match: enriched.*
      path: {folder}
      file: out.txt
"""
ID = "KMD_PM_DYNAMIC_SA_INSTALL_FAILED"
KNOWN = b"<35>Aug  3 10:18:44 srx1 kmd[1]: " + ID.encode() + b": Unable to install dynamic SA for tunnel t%d"
# How the plugin file writes a record: tag, seconds with nine digits, JSON.
OUT = re.compile(rb"(?P<tag>\S+): \[(?P<time>[\d.]+), (?P<record>\{.*\})\]\Z")
COUNT = 20_000
NESTED = {"a": [1, 2.5, None, {"b": "c"}], "big": 18446744073709551615, "low": -9223372036854775808}


def _lines() -> list[bytes]:
    kinds = (KNOWN, b"<14>Aug  3 10:18:44 web1 app[1]: request %d", b"not \xff\xfe UTF-8 %d", b"\x01 control \x7f %d")
    return [kinds[number % 4] % number for number in range(COUNT)]


def _out(path: Path) -> list[tuple[str, str, dict[str, Any]]]:
    if not path.exists():
        return []
    found = [OUT.match(line) for line in path.read_bytes().split(b"\n")[:-1]]
    return [(one["tag"].decode(), one["time"].decode(), json.loads(one["record"])) for one in found if one]


def _original(record: dict[str, Any]) -> bytes:
    text = record["event"]["original"]
    if "event.original" in record["lexilog"].get("escaped", ()):
        return unescape(text)
    return str(text).encode()


@pytest.mark.parametrize("stops", [0, 2])
@pytest.mark.parametrize("key", [None, "the-key-of-the-test"])
def test_every_line_comes_round(
    stops: int, key: str | None, pipeline: Pipeline, processes: list[Process], tmp_path: Path
) -> None:
    """Every line arrives with tag, time and fields; at least once, and under one id, if lexilog goes in between."""
    lines = _lines()
    (tmp_path / "in.log").write_bytes(b"\n".join(lines) + b"\n")
    event = {"log": "exact", "when": "2024-05-01T10:00:00.123456789+0000", "nested": NESTED, "zero": "a\0b"}
    (tmp_path / "in.json").write_text(json.dumps(event) + "\n")
    port, back = free_port(), free_port()
    config = CONFIG.format(
        folder=tmp_path,
        port=port,
        back=back,
        receive=f"shared_key: {key}" if key else "buffer_max_size: 6M",
        send=f"shared_key: {key}\n      compress: gzip" if key else "retain_metadata_in_forward_mode: false",
    )
    path, out = tmp_path / "fluent-bit.yaml", tmp_path / "out.txt"
    path.write_text(config)
    settings = ForwardSettings(endpoint=f"127.0.0.1:{back}", shared_key=key, compression="gzip" if key else "none")

    async def run() -> None:
        relay = ForwardRelay("back", settings)
        await relay.open()
        counts = Counts()

        async def open_door() -> tuple[OpenDoor, Intake]:
            behind = hall(pipeline, relay, counts, ("log",))
            assert behind.intake
            door = OpenDoor(ForwardDoor(ForwardDoorSettings(shared_key=key), behind, behind.intake), port)
            await door.start()
            return door, behind.intake

        door, intake = await open_door()
        for _ in range(stops):
            await asyncio.sleep(0.3)
            await door.stop(0)
            await intake.close()
            await asyncio.sleep(0.3)
            door, intake = await open_door()
        async with asyncio.timeout(120):
            while len({_original(record) for _, _, record in _out(out)}) < COUNT + 1:
                await asyncio.sleep(0.5)
        await door.stop(5)
        await intake.close()
        await relay.close()

    assert FLUENT_BIT
    processes.append(Process([FLUENT_BIT, "-c", path], "listening on", tmp_path / "fluent-bit.log"))
    asyncio.run(run())
    found = _out(out)
    arrived = Counter(_original(record) for _, _, record in found)
    assert set(arrived) == {*lines, b"exact"}
    assert stops or max(arrived.values()) == 1
    assert len({record["event"]["id"] for _, _, record in found}) == COUNT + 1
    for tag, when, record in found:
        if record["event"]["original"] == "exact":
            assert (tag, when) == ("enriched.vpn.json", "1714557600.123456789")
            assert (record["nested"], record["zero"]) == (NESTED, "a\0b")
            continue
        assert tag == "enriched.vpn.lines"
        assert record["file"] == f"{tmp_path}/in.log"
        assert record["event"].get("code") == (ID if b"kmd[1]" in _original(record) else None)
