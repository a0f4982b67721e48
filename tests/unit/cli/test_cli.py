"""The command line, run as scripts run it."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

LEXILOG = Path(sys.executable).with_name("lexilog")
DOWN = b"<30>Aug  3 10:18:44 srx1 kmd[1]: KMD_VPN_DOWN_ALARM_USER: VPN v1 from 198.51.100.7 is down."


def _run(*arguments: str | Path, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    return subprocess.run([LEXILOG, *arguments], input=stdin, capture_output=True, timeout=60, check=False)


@pytest.mark.parametrize("end", [b"", b"\n"])
def test_one_document_for_each_line(end: bytes) -> None:
    r"""Only \n ends a line; event.original is the line, and order is kept."""
    lines = [DOWN, b"", b"unknown", b"a\rb\x0bc\x1cd\xc2\x85e\xe2\x80\xa8f", b"cr\r", "é".encode(), b"\x00", b" "]
    done = _run("enrich", stdin=b"\n".join([*lines, b"last"]) + end)
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert [record["event"]["original"].encode() for record in found] == [*lines, b"last"]
    assert [record["lexilog"]["match"]["quality"] for record in found] == ["exact"] + ["none"] * 8
    assert done.returncode == 0
    assert re.fullmatch(
        rb"9 lines: 1 matched \(1 exact, 0 prefix, 0 loose, 0 id_only\), 8 unknown; \d+\.\d\d s\n", done.stderr
    )


def test_bytes_that_are_not_utf8_can_be_had_back() -> None:
    """They are escaped, and the record says where."""
    (line,) = _run("enrich", "-", stdin=b"a\xff\\x41\xc3\n").stdout.splitlines()
    record = json.loads(line)
    assert record["event"]["original"] == "a\\xff\\x5cx41\\xc3"
    assert record["lexilog"]["escaped"] == ["message", "event.original"]


def test_files_one_after_the_other(tmp_path: Path) -> None:
    """Several files are read in order, standard input among them; one that is missing costs the exit code alone."""
    (tmp_path / "a").write_bytes(b"one\n")
    (tmp_path / "b").write_bytes(b"three")
    done = _run("enrich", tmp_path / "a", "-", tmp_path / "nowhere", tmp_path, tmp_path / "b", stdin=b"two\n")
    assert [json.loads(line)["message"] for line in done.stdout.splitlines()] == ["one", "two", "three"]
    assert done.returncode == 1
    assert b"nowhere: cannot be read: No such file or directory\n" in done.stderr
    assert b": cannot be read: Is a directory\n" in done.stderr
    assert b"Traceback" not in done.stderr


def test_nothing_in_nothing_out() -> None:
    """No input is no error."""
    done = _run("enrich", "--quiet")
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def test_a_line_comes_out_as_soon_as_it_is_in() -> None:
    """Behind tail -F each line is answered at once, not when a buffer is full."""
    with subprocess.Popen([LEXILOG, "enrich", "-"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin
        assert process.stdout
        for number in range(3):
            process.stdin.write(b"line %d\n" % number)
            process.stdin.flush()
            ready, _, _ = select.select([process.stdout], [], [], 30)
            assert ready
            assert json.loads(process.stdout.readline())["message"] == f"line {number}"
        process.stdin.close()
        assert process.wait(30) == 0


def test_a_reader_that_leaves_is_no_traceback(tmp_path: Path) -> None:
    """`lexilog enrich FILE | head -1` ends without a word."""
    (tmp_path / "many").write_bytes(b"a line\n" * 100_000)
    command = f"{shlex.quote(str(LEXILOG))} enrich --quiet {shlex.quote(str(tmp_path / 'many'))} | head -1"
    done = subprocess.run(["bash", "-c", command], capture_output=True, timeout=60, check=False)
    assert json.loads(done.stdout)["message"] == "a line"
    assert done.stderr == b""


def test_a_full_disk_is_an_error_that_says_so() -> None:
    """Output that cannot be written is exit code 1."""
    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full to stand for a full disk")
    with Path("/dev/full").open("wb") as full:
        command = [LEXILOG, "enrich"]
        done = subprocess.run(command, input=DOWN, stdout=full, stderr=subprocess.PIPE, timeout=60, check=False)
    assert done.returncode == 1
    assert done.stderr == b"lexilog: standard output: No space left on device\n"


def test_memory_does_not_grow_with_the_input() -> None:
    """The peak of a hundred times the lines is that of the lines, but for a few megabytes."""
    code = (
        "import resource, sys; sys.argv = ['lexilog', 'enrich', '--quiet', '-']\n"
        "from lexilog.cli import cli\n"
        "try: cli()\n"
        "except SystemExit: print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, file=sys.stderr)\n"
    )
    peaks = []
    for count in (500, 50_000):
        data = (DOWN + b"\n") * count
        done = subprocess.run([sys.executable, "-c", code], input=data, capture_output=True, timeout=120, check=True)
        assert done.stdout.count(b"\n") == count
        peaks.append(int(done.stderr))
    assert peaks[1] - peaks[0] < 8_192, f"peak in KiB: {peaks}"


def test_progress_is_for_terminals() -> None:
    """On a terminal there is a progress display on standard error; in a file there is only the summary."""
    main, other = pty.openpty()
    command = [LEXILOG, "enrich", "-"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=other) as process:
        os.close(other)
        process.communicate(DOWN, timeout=60)
    seen = b""
    while select.select([main], [], [], 5)[0]:
        try:
            seen += os.read(main, 65536)
        except OSError:
            break
    os.close(main)
    assert b"1 lines" in seen
    assert b"1 matched" in seen


@pytest.mark.parametrize(
    ("arguments", "code", "problem"),
    [
        (["enrich", "--timezone", "Nowhere/Town"], 2, b"timezone: 'Nowhere/Town' is no IANA time zone"),
        (["enrich", "--nonsense"], 2, b"No such option"),
        (["nonsense"], 2, b"No such command"),
        (["serve", "--relay", "kafka://x"], 2, b"relay: 'kafka://x' is none of otlp://HOST:PORT, file:PATH, stdout"),
        (["serve", "--listen", "nowhere"], 2, b"listen: 'nowhere' is no HOST:PORT"),
        (["serve", "--timezone", "Nowhere/Town"], 2, b"timezone: 'Nowhere/Town' is no IANA time zone"),
        (["serve", "--set", "workers"], 2, b"--set: NAME=VALUE is expected"),
        (["config", "check", "--config", "/nowhere/x.yaml"], 2, b"/nowhere/x.yaml:1:1: cannot be read: No such file"),
        (["serve", "--relay", "file:/nowhere/x"], 1, b"/nowhere/x: cannot be written"),
        (
            ["serve", "--listen", "192.0.2.1:4317", "--set", "doors.grpc.allow_unprotected=true"],
            1,
            b"listen: 192.0.2.1:4317: cannot be bound: Cannot assign requested address",
        ),
        (["serve", "--config", "/nowhere/x.yaml"], 2, b"/nowhere/x.yaml:1:1: cannot be read: No such file"),
    ],
)
def test_a_users_mistake_is_a_sentence(arguments: list[str], code: int, problem: bytes) -> None:
    """What is wrong is said in words, with an exit code that scripts can use."""
    done = _run(*arguments)
    assert problem in done.stderr
    assert b"Traceback" not in done.stderr
    assert done.returncode == code


@pytest.mark.parametrize("closed", ["<&-", ">&-"])
def test_a_closed_stream_is_a_sentence(closed: str) -> None:
    """Without standard input or output there is nothing to do, and no traceback."""
    command = f"{shlex.quote(str(LEXILOG))} enrich {closed}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, timeout=60, check=False)
    assert done.returncode == 1
    assert b"standard input or standard output is closed" in done.stderr
    assert b"Traceback" not in done.stderr


@pytest.mark.parametrize(
    "command",
    [
        [], ["catalog"], ["config"], ["config", "check"], ["enrich"], ["explain"], ["serve"], ["redpanda-connect"],
        ["replay"], ["demo"], ["build"], ["install"], ["install", "elasticsearch"],
    ],
)  # fmt: skip
def test_help_teaches(command: list[str]) -> None:
    """Each command tells what it does; those that take something give examples."""
    done = _run(*command, "--help")
    assert done.returncode == 0
    text = done.stdout.decode()
    assert text.startswith("Usage: lexilog")
    assert command not in (
        ["config", "check"], ["enrich"], ["serve"], ["redpanda-connect"], ["replay"], ["build"],
        ["install", "elasticsearch"],
    ) or "Examples:" in text  # fmt: skip


def test_every_command_is_in_the_readme(checkout: Path) -> None:
    """An undocumented command fails here."""
    readme = (checkout / "README.md").read_text(encoding="utf-8")
    listed = _run("--help").stdout.decode().partition("Commands:")[2].split("\n")
    commands = [line.split()[0] for line in listed if line.strip()]
    assert commands == [
        "build", "catalog", "config", "demo", "enrich", "explain", "install", "redpanda-connect", "replay", "serve",
    ]  # fmt: skip
    assert [command for command in commands if f"lexilog {command}" not in readme] == []


def test_demo_shows_before_and_after() -> None:
    """The demonstration runs the real server and leaves nothing behind; without a terminal it has no colour."""
    done = _run("demo")
    assert done.returncode == 0, done.stderr
    text = done.stdout.decode()
    assert "KMD_VPN_DOWN_ALARM_USER" in text
    assert "14 of 15 lines recognised" in text
    assert "\x1b[" not in text


CUT = [
    b'Nov 12 2021 08:20:01 gw1 Mocana: [INTFMGR], SubCls:102, EID: 7, Type: General, Sev:Major, "Link Update" {',
    b'    "linkUpdate" : {',
    b'        "name": "ethernet0",',
    b'        "status": "up"',
    b"    }",
    b"}",
]


def test_lines_of_one_record_are_joined_on_request() -> None:
    """With --multiline there is one document for each record, and its lines are all in event.original."""
    done = _run("enrich", "--multiline", "-q", stdin=b"\n".join([DOWN, *CUT, DOWN]))
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert [record["lexilog"]["catalog"]["id"] for record in found] == [
        "KMD_VPN_DOWN_ALARM_USER", "link-up", "KMD_VPN_DOWN_ALARM_USER",
    ]  # fmt: skip
    assert found[1]["event"]["original"].encode() == b"\n".join(CUT)
    assert len(_run("enrich", "-q", stdin=b"\n".join(CUT)).stdout.splitlines()) == len(CUT)


def test_a_record_that_is_never_finished_is_not_held_back() -> None:
    """An open record leaves after a while although the input stays open and silent."""
    with subprocess.Popen(
        [LEXILOG, "enrich", "--multiline", "-"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as running:
        assert running.stdin is not None
        assert running.stdout is not None
        running.stdin.write(b"\n".join(CUT[:3]) + b"\n")
        running.stdin.flush()
        record = json.loads(running.stdout.readline())
        assert record["event"]["original"].encode() == b"\n".join(CUT[:3])
        assert record["lexilog"]["match"]["truncated"] is True
        running.stdin.close()
        assert running.wait(30) == 0


def test_half_a_line_does_not_hold_back_an_open_record() -> None:
    """While the next line is still on its way the record before it leaves when its time is up."""
    command = [LEXILOG, "enrich", "--multiline", "-"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as running:
        assert running.stdin is not None
        assert running.stdout is not None
        running.stdin.write(CUT[0] + b"\n  half")
        running.stdin.flush()
        assert json.loads(running.stdout.readline())["event"]["original"].encode() == CUT[0]
        running.stdin.close()
        assert json.loads(running.stdout.readline())["event"]["original"] == "  half"
        assert running.wait(30) == 0


def test_messages_with_their_length_before_them() -> None:
    """With --framing octet-counted a line feed inside a message is part of it."""
    lines = [DOWN, b"<3>" + b"\n".join(CUT)]
    done = _run("enrich", "-q", "--framing", "octet-counted", stdin=b"".join(b"%d %s" % (len(x), x) for x in lines))
    assert [json.loads(line)["event"]["original"].encode() for line in done.stdout.splitlines()] == lines


def test_columns_of_a_table_are_read_from_its_head(tmp_path: Path) -> None:
    """The first row of an export names the columns of the others; --csv-columns does so where there is none."""
    rows = b'"2025-08-03 10:18:44","gw1 node 1","IPsec","ESP [spi 0x1]"\n'
    head = b"TIMESTAMP,NODE_ID,FACILITY,INFO_MSG\n"
    (tmp_path / "export.csv").write_bytes(head + rows)
    found = [json.loads(line) for line in _run("enrich", "-q", tmp_path / "export.csv").stdout.splitlines()]
    assert [record["lexilog"]["match"]["quality"] for record in found] == ["none", "prefix"]
    assert found[1]["lexilog"]["variables"]["NODE_ID"] == "gw1 node 1"
    done = _run("enrich", "-q", "--csv-columns", "TIMESTAMP,NODE_ID,FACILITY,INFO_MSG", stdin=rows)
    assert json.loads(done.stdout)["lexilog"]["catalog"]["id"] == "esp"
    planted = b"Aug  3 10:18:44 gw1 sshd[1]: Invalid user x,TIMESTAMP,SITUATION\n"
    done = _run("enrich", "-q", stdin=DOWN + b"\n" + planted + head + rows + DOWN)
    assert json.loads(done.stdout.splitlines()[-1])["lexilog"]["match"]["quality"] == "exact"
    assert "names no time" in _run("enrich", "--csv-columns", "a,b").stderr.decode()
