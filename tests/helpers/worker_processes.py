"""Looks at the worker processes of `lexilog serve`, and clients that go on while they are killed."""

from __future__ import annotations

import re
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from processes import Agent, Process, request_of

KNOWN = "<35>Aug  3 10:18:44 srx1 kmd[1]: KMD_PM_DYNAMIC_SA_INSTALL_FAILED: Unable to install dynamic SA for tunnel t{}"
BATCH = 40
# Seconds that a test waits for what has to happen.
PATIENCE = 60.0


def worker_pids(process: Process) -> dict[int, int]:
    """Return the process of each worker that was ready, as the log has it: the newest of each number."""
    said = process.log.read_text()
    said = said[said.rindex(process.said) :]
    return {int(number): int(pid) for number, pid in re.findall(r"worker (\d+): its process (\d+) is ready", said)}


def runs(pid: int) -> bool:
    """Tell whether a process runs; one that has ended, and that nobody has asked for, does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def until(condition: Callable[[], object], what: str) -> None:
    """Wait until something is so; fail where it does not get so."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail(f"not within {PATIENCE:g} seconds: {what}")
        time.sleep(0.05)


class Client(threading.Thread):
    """An agent that sends numbered lines until it is told to stop, and keeps a batch until it is taken."""

    def __init__(self, port: int, first: int) -> None:
        super().__init__(name=f"from {first}", daemon=True)
        self.agent = Agent(port)
        self.first = first
        self.batches = 0
        self.enough = threading.Event()
        self.problem: BaseException | None = None

    def run(self) -> None:
        try:
            while not self.enough.is_set():
                first = self.first + self.batches * BATCH
                request = request_of([KNOWN.format(number) for number in range(first, first + BATCH)])
                assert not self.agent.send(request, PATIENCE).partial_success.rejected_log_records
                self.batches += 1
        except BaseException as error:
            self.problem = error

    @property
    def has_repeated(self) -> bool:
        """Whether a batch had to be sent again."""
        return self.agent.tries > self.batches + 1

    @property
    def sent(self) -> set[int]:
        return set(range(self.first, self.first + self.batches * BATCH))


class Knocker(threading.Thread):
    """Connects to a port again and again, and keeps how often it was refused."""

    def __init__(self, port: int) -> None:
        super().__init__(name="knocker", daemon=True)
        self.port = port
        self.answered = self.refused = 0
        self.enough = threading.Event()

    def run(self) -> None:
        while not self.enough.is_set():
            try:
                socket.create_connection(("127.0.0.1", self.port), 30).close()
                self.answered += 1
            except ConnectionRefusedError:
                self.refused += 1
            time.sleep(0.01)
