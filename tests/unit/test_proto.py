"""The generated code is that of the contract."""

from __future__ import annotations

import subprocess
from pathlib import Path


def test_generated_code_is_fresh(checkout: Path, tmp_path: Path) -> None:
    """Generating again changes no byte."""
    subprocess.run([checkout / "script" / "proto", tmp_path], check=True)
    made = sorted(tmp_path.rglob("enrich_pb2*"))
    assert [path.name for path in made] == ["enrich_pb2.py", "enrich_pb2.pyi", "enrich_pb2_grpc.py"]
    for path in made:
        committed = checkout / "processor" / path.relative_to(tmp_path)
        assert committed.read_bytes() == path.read_bytes(), f"{committed.name} is stale: run script/proto"


def test_every_rpc_has_a_comment(checkout: Path) -> None:
    """Each rpc says its promise."""
    lines = (checkout / "proto" / "lexilog" / "v1" / "enrich.proto").read_text(encoding="utf-8").splitlines()
    rpcs = [number for number, line in enumerate(lines) if line.strip().startswith("rpc ")]
    assert len(rpcs) == 4
    assert all(lines[number - 1].strip().startswith("//") for number in rpcs)
