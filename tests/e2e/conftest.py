"""Fixtures that start the processes of the end-to-end tests, and kill them in the end."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from processes import FAR_ENDS, LEXILOG, Agent, Process


@pytest.fixture
def processes() -> Iterator[list[Process]]:
    """Return a list; every process in it is killed when the test ends."""
    started: list[Process] = []
    yield started
    for process in started:
        process.kill()


@pytest.fixture
def serve(processes: list[Process], tmp_path: Path) -> Callable[..., tuple[Process, Agent]]:
    """Return a function that starts `lexilog serve` with options, on a free port or a given one."""

    def start(*options: str | Path, port: int = 0) -> tuple[Process, Agent]:
        command = [LEXILOG, "serve", "--listen", f"127.0.0.1:{port}", *options]
        process = Process(command, "relays: ", tmp_path / "serve.log")
        processes.append(process)
        return process, Agent(process.ports["grpc"])

    return start


@pytest.fixture
def serve_config(processes: list[Process], tmp_path: Path) -> Callable[..., Process]:
    """Return a function that starts `lexilog serve` with a settings file; `ports` of the process tells its doors'."""

    def start(settings: dict[str, Any]) -> Process:
        path = tmp_path / "lexilog.yaml"
        path.write_text(json.dumps(settings))  # which is YAML, too
        process = Process([LEXILOG, "serve", "--config", path], "relays: ", tmp_path / "serve.log")
        processes.append(process)
        return process

    return start


@pytest.fixture
def receive(processes: list[Process], tmp_path: Path) -> Callable[..., Process]:
    """Return a function that starts a next hop of a kind on a port, in a mode; it appends to KIND.ndjson."""

    def start(port: int, mode: str = "", kind: str = "otlp") -> Process:
        program, *options = FAR_ENDS[kind]
        command = [sys.executable, program, str(port), tmp_path / f"{kind}.ndjson", mode, *options]
        process = Process(command, "ready", tmp_path / f"{kind}.log")
        processes.append(process)
        return process

    return start
