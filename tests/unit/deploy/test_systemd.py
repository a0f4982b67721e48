"""The systemd unit, as `systemd-analyze` sees it, and the settings beside it."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from lexilog.service.settings import Settings
from lexilog.service.settings.file import load_settings

# 1.5 of 10, where 10 is a service without any hardening.
MOST_EXPOSED = 15


@pytest.fixture
def unit(checkout: Path) -> str:
    return (checkout / "examples/deploy/systemd/lexilog.service").read_text()


@pytest.fixture
def analyze(unit: str, tmp_path: Path) -> list[str | Path]:
    """Return the program and a copy of the unit, in which the program to start is one that is on this machine."""
    program = shutil.which("systemd-analyze")
    if program is None:
        pytest.skip("needs systemd-analyze on PATH (package systemd)")
    copy = tmp_path / "lexilog.service"
    assert "ExecStart=/opt/lexilog/bin/lexilog serve " in unit
    copy.write_text(unit.replace("/opt/lexilog/bin/lexilog", sys.executable))
    return [program, copy]


def _settings(checkout: Path, tmp_path: Path) -> Settings:
    """Return the settings beside the unit; a folder of the test's stands for what systemd makes of secrets."""
    text = (checkout / "examples/deploy/systemd/lexilog.yaml").read_text()
    file = tmp_path / "lexilog.yaml"
    file.write_text(text.replace("/run/credentials/lexilog.service", str(tmp_path)))
    (tmp_path / "secrets_es_api_key").write_text("abc\n")
    return load_settings(file)


def _value(unit: str, key: str) -> str:
    return next(line.partition("=")[2] for line in unit.splitlines() if line.startswith(f"{key}="))


def test_the_unit_is_sound(analyze: list[str | Path]) -> None:
    """Systemd knows every key and value."""
    program, copy = analyze
    done = subprocess.run([program, "verify", copy], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_unit_is_hardened(analyze: list[str | Path]) -> None:
    """By systemd's own measure the service is exposed to little."""
    program, copy = analyze
    command = [program, "security", "--offline=true", "--no-pager", f"--threshold={MOST_EXPOSED}", copy]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr


def test_the_settings_are_accepted(checkout: Path, tmp_path: Path) -> None:
    """The settings beside the unit are ones that lexilog takes; a secret of systemd gets in by its file."""
    settings = _settings(checkout, tmp_path)
    assert getattr(settings.relays["siem"], "api_key", None) == "abc"
    assert all(door.has_secret and door.tls for door in settings.doors.open().values())


def test_what_is_written_may_be_written(unit: str, checkout: Path, tmp_path: Path) -> None:
    """Of a file system that is read-only the service gets the folders that its settings write to."""
    settings = _settings(checkout, tmp_path)
    assert _value(unit, "ProtectSystem") == "strict"
    assert settings.dead_letters
    assert settings.dead_letters.path.is_relative_to(f"/var/lib/{_value(unit, 'StateDirectory')}")
    path: Path = getattr(settings.relays["archive"], "path")  # noqa: B009 (a relay has many types)
    assert path.is_relative_to(f"/var/log/{_value(unit, 'LogsDirectory')}")


def test_there_is_time_to_stop(unit: str, checkout: Path, tmp_path: Path) -> None:
    """Systemd kills later than the server's own grace ends; only the parent is told to stop."""
    assert float(_value(unit, "TimeoutStopSec")) > _settings(checkout, tmp_path).grace
    assert _value(unit, "KillMode") == "mixed"
