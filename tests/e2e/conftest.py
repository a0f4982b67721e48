"""Fixtures that start the processes of the end-to-end tests, and kill them in the end."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from processes import LEXILOG, RECEIVER, Agent, Process


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
        process = Process(command, r"listening on [^ ]*:(\d+)", tmp_path / "serve.log")
        processes.append(process)
        return process, Agent(int(process.found[1]))

    return start


@pytest.fixture
def receive(processes: list[Process], tmp_path: Path) -> Callable[..., Process]:
    """Return a function that starts the next hop on a port, in a mode; it appends to received.txt."""

    def start(port: int, mode: str = "") -> Process:
        command = [sys.executable, RECEIVER, str(port), tmp_path / "received.txt", mode]
        process = Process(command, "ready", tmp_path / "receiver.log")
        processes.append(process)
        return process

    return start
