"""`lexilog replay`: dead letters go out again, and nothing of them is lost on the way."""

from __future__ import annotations

import asyncio
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from lexilog import Pipeline, Record
from lexilog.relay import Refusal
from lexilog.relay.dead_letters import DeadLetters
from processes import LEXILOG, free_port

KNOWN = "KMD_VPN_DOWN_ALARM_USER: VPN v1 from 198.51.100.7 is down."


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """Return a settings file with a relay that works, and one to an address where nobody listens."""
    settings = {
        "doors": {"grpc": None},
        "relays": {
            "out": {"type": "file", "path": "out.ndjson"},
            "away": {"type": "otlp", "endpoint": f"127.0.0.1:{free_port()}", "timeout": 1},
        },
        "dead_letters": {"path": "dead"},
    }
    path = tmp_path / "lexilog.yaml"
    path.write_text(json.dumps(settings))
    return path


@pytest.fixture
def letters(tmp_path: Path, pipeline: Pipeline) -> Path:
    """Write dead letters: three of `out`, one of them not UTF-8, and one of `away`."""
    lines = [KNOWN, "bad \udcff line", "another"]
    batch = pipeline.process_all(Record(line=line, id=f"b-{number}") for number, line in enumerate(lines))

    async def write() -> None:
        dead = DeadLetters(tmp_path / "dead", 1_000_000)
        await dead.open()
        await dead.add("out", [Refusal(one, f"mapping conflict of '{n}'") for n, one in enumerate(batch)])
        await dead.add("away", [Refusal(batch[0], "too odd")])

    asyncio.run(write())
    return tmp_path / "dead"


def _run(config: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [LEXILOG, "replay", "--config", config, *options]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def _out(config: Path) -> list[dict[str, Any]]:
    path = config.parent / "out.ndjson"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def test_a_dry_run_says_what_there_is_and_changes_nothing(config: Path, letters: Path) -> None:
    """How many letters, of which relay, and why."""
    before = {file: file.read_bytes() for file in letters.rglob("*.ndjson")}
    done = _run(config, "--dry-run")
    assert done.stdout.splitlines()[1:] == ["3\tout\tmapping conflict of '0'", "1\taway\ttoo odd"]
    assert done.returncode == 3
    assert _run(config, "--dry-run", "--relay", "away").stdout.splitlines()[1:] == ["1\taway\ttoo odd"]
    assert {file: file.read_bytes() for file in letters.rglob("*.ndjson")} == before
    assert _out(config) == []


def test_letters_go_to_the_relay_that_refused_them(config: Path, letters: Path) -> None:
    """Each record walks the whole way again under its id; letters of a relay that is away stay: exit code 1."""
    done = _run(config)
    assert "relay away: " in done.stderr
    assert "3 letters taken; left: 0 refused again, 0 damaged, 1 not sent" in done.stderr
    assert done.returncode == 1
    found = _out(config)
    assert [record["event"]["id"] for record in found] == ["b-0", "b-1", "b-2"]
    assert [record["event"]["original"] for record in found] == [KNOWN, "bad \\xff line", "another"]
    assert found[0]["lexilog"]["match"]["quality"] == "exact"
    assert _run(config, "--dry-run").stdout.splitlines()[1:] == ["1\taway\ttoo odd"]


def test_one_relay_alone(config: Path, letters: Path) -> None:
    """--relay leaves the letters of the others where they are, without trying them; that is no error."""
    done = _run(config, "--relay", "out")
    assert "3 letters taken" in done.stderr
    assert done.returncode == 0
    assert _run(config, "--dry-run").stdout.splitlines()[1:] == ["1\taway\ttoo odd"]
    assert len(_out(config)) == 3


def test_a_damaged_letter_costs_no_other(config: Path, letters: Path) -> None:
    """It is named with file and line, stays where it is, and makes the exit code 3."""
    (file,) = letters.glob("*.ndjson")
    lines = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(lines[0] + b"{damaged\n" + lines[1] + lines[2])
    done = _run(config)
    assert ".ndjson:2: a damaged line" in done.stderr
    assert "3 letters taken; left: 0 refused again, 1 damaged, 0 not sent" in done.stderr
    assert done.returncode == 3
    assert b"".join(file.read_bytes() for file in letters.rglob("*.ndjson")) == b"{damaged\n"


def test_nothing_to_do(config: Path, letters: Path) -> None:
    """When everything is taken no file is left."""
    assert _run(config, "--relay", "out").returncode == 0
    for file in letters.rglob("*.ndjson"):
        file.unlink()
    assert _run(config).returncode == 0
    done = _run(config, "--dry-run")
    assert "no dead letters" in done.stderr
    assert done.returncode == 0


@pytest.mark.parametrize(
    ("options", "code", "problem"),
    [
        (["--relay", "nowhere"], 2, "there is no relay 'nowhere'; there are: out, away"),
        ([], 1, "there is no such directory"),
    ],
)
def test_mistakes(config: Path, options: list[str], code: int, problem: str) -> None:
    """What is wrong is said in a sentence."""
    done = _run(config, *options)
    assert problem in done.stderr
    assert "Traceback" not in done.stderr
    assert done.returncode == code


def test_settings_without_dead_letters(tmp_path: Path) -> None:
    """There is nothing to replay, and that is said."""
    path = tmp_path / "x.yaml"
    path.write_text("relays: {a: {type: stdout}}")
    done = _run(path)
    assert "has no dead_letters" in done.stderr
    assert done.returncode == 2
