"""`lexilog catalog` and `lexilog explain`, run as people run them."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

LEXILOG = Path(sys.executable).with_name("lexilog")
HELP_SYSLOG = """\
user@gw1> help syslog EX_PEER_GONE
Name:          EX_PEER_GONE
Message:       Peer <peer-address> of <vpn-name> is gone
Help:          Peer is gone
Description:   A made-up message of an example daemon, wrapped over
               two lines.
Type:          Error: An error occurred
Severity:      error
Facility:      LOG_DAEMON
"""
OVERLAY = """\
format: 1
overlay: juniper_kmd
name: site-b
version: '3'
entries:
  KMD_VPN_DOWN_ALARM_USER: {impact: degraded}
"""


def _run(*arguments: str | Path, code: int = 0, stdin: str = "") -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "COLUMNS": "200"}
    done = subprocess.run(
        [LEXILOG, *arguments], input=stdin, capture_output=True, text=True, timeout=60, check=False, env=environment
    )
    assert "Traceback" not in done.stderr
    assert done.returncode == code, done.stderr
    return done


def test_list() -> None:
    """Each catalogue with its counts; with --ids each entry, for scripts."""
    assert "clavister_stream" in _run("catalog", "list").stdout
    lines = _run("catalog", "list", "--ids").stdout.splitlines()
    assert "juniper_kmd\tKMD_VPN_UP_ALARM_USER\tKMD_VPN_UP_ALARM_USER" in lines
    assert "clavister_stream\t803\tPeer is dead" in lines


def test_show_and_search() -> None:
    """An entry with all that is known of it; a wrong id is helped along."""
    shown = _run("catalog", "show", "803").stdout
    for part in ("Peer is dead", "Notice (syslog 5)", "explanation: ", "cOS Stream"):
        assert part in shown
    assert "juniper_kmd KMD_VPN_DOWN_ALARM_USER" in _run("catalog", "search", "vpn", "alarm", "down").stdout
    said = _run("catalog", "show", "KMD_VPN_DOWN_ALARM", code=1).stderr
    assert said.startswith("lexilog: no catalogue has an entry 'KMD_VPN_DOWN_ALARM'; is it KMD_VPN_DOWN_ALARM_USER")
    assert "no entry has all of these words: zzz" in _run("catalog", "search", "zzz", code=1).stderr


def test_from_a_document_to_records(tmp_path: Path) -> None:
    """What a device prints for `help syslog` becomes a catalogue, which lint, coverage and enrich can use at once."""
    source, draft = tmp_path / "help.txt", tmp_path / "ours.yaml"
    source.write_text(HELP_SYSLOG)
    assert "1 entries written" in _run("catalog", "import", "junos", source, "-o", draft).stderr
    said = _run("catalog", "lint", draft, code=3).stdout
    assert f"{draft}:" in said
    assert "EX_PEER_GONE: has no explanation" in said
    assert "1 of 1" in _run("catalog", "coverage", "--catalog", draft).stdout
    line = "Aug  3 10:18:44 gw1 exd[7]: EX_PEER_GONE: Peer 192.0.2.1 of v1 is gone"
    assert '"code":"EX_PEER_GONE"' in _run("enrich", "--catalog", draft, stdin=line).stdout


def test_an_import_leaves_a_draft_as_it_is(tmp_path: Path) -> None:
    """A second import prints what differs; only --force writes over what may have been edited."""
    source, draft = tmp_path / "help.txt", tmp_path / "ours.yaml"
    source.write_text(HELP_SYSLOG)
    _run("catalog", "import", "junos", source, "-o", draft)
    before = draft.read_text()
    assert "0 differences" in _run("catalog", "import", "junos", source, "-o", draft).stderr
    source.write_text(HELP_SYSLOG.replace("is gone\n", "is dead\n").replace("error\n", "notice\n"))
    done = _run("catalog", "import", "junos", source, "-o", draft, code=3)
    assert "~ EX_PEER_GONE severity: error -> notice" in done.stdout
    assert "~ EX_PEER_GONE format: " in done.stdout
    assert draft.read_text() == before
    newer = tmp_path / "newer.yaml"
    _run("catalog", "import", "junos", source, "-o", newer)
    assert _run("catalog", "diff", draft, newer, code=3).stdout == done.stdout
    _run("catalog", "import", "junos", source, "-o", draft, "--force")
    assert draft.read_text() == newer.read_text()


def test_vendor_text_is_kept_apart(tmp_path: Path) -> None:
    """The vendor's sentences go into a file that only the user can read, and are shown, but never in a record."""
    source, draft = tmp_path / "help.txt", tmp_path / "ours.yaml"
    source.write_text(HELP_SYSLOG)
    _run("catalog", "import", "junos", source, "-o", draft, "--keep-vendor-text")
    kept = tmp_path / "ours.vendor-text.yaml"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert "made-up message" in kept.read_text()
    assert "made-up message" not in draft.read_text()
    assert "made-up message" in _run("catalog", "show", "--catalog", tmp_path, "EX_PEER_GONE").stdout
    line = "Aug  3 10:18:44 gw1 exd[7]: EX_PEER_GONE: Peer 192.0.2.1 of v1 is gone"
    record = _run("enrich", "--catalog", tmp_path, stdin=line).stdout
    assert "EX_PEER_GONE" in record
    assert "made-up message" not in record
    assert "needs --output" in _run("catalog", "import", "junos", source, "--keep-vendor-text", code=2).stderr


@pytest.mark.parametrize("layout", ["junos", "clavister", "forcepoint", "bluecedar"])
@pytest.mark.parametrize("content", ["", "Some other text.\n", "\0\n" * 50])
def test_another_document_is_refused(tmp_path: Path, layout: str, content: str) -> None:
    """A file in another layout is an error that says where and what, and nothing is written."""
    source = tmp_path / "text.txt"
    source.write_text(content)
    said = _run("catalog", "import", layout, source, "-o", tmp_path / "out.yaml", code=1).stderr
    assert said.startswith("lexilog: ")
    assert not (tmp_path / "out.yaml").exists()


def test_what_cannot_be_read(tmp_path: Path) -> None:
    """A missing file and bytes that are no text are named."""
    assert (
        "nowhere: cannot be read: No such file"
        in _run("catalog", "import", "junos", tmp_path / "nowhere", code=1).stderr
    )
    (tmp_path / "bytes").write_bytes(b"\xff\xfe\x00")
    assert "is not UTF-8 text (byte 0)" in _run("catalog", "import", "junos", tmp_path / "bytes", code=1).stderr
    assert (
        "no such file, and no catalogue of that name"
        in _run("catalog", "diff", "juniper_kmd", "nothing", code=1).stderr
    )


def test_an_overlay_is_used_everywhere(tmp_path: Path) -> None:
    """`--catalog` takes an overlay; the shipped files are as they were."""
    overlay = tmp_path / "site.yaml"
    overlay.write_text(OVERLAY)
    shown = _run("catalog", "show", "--catalog", overlay, "KMD_VPN_DOWN_ALARM_USER").stdout
    assert "impact degraded" in shown
    assert "+site-b.3" in shown
    assert "impact down" in _run("catalog", "show", "KMD_VPN_DOWN_ALARM_USER").stdout
    overlay.write_text(OVERLAY.replace("KMD_VPN_DOWN_ALARM_USER", "KMD_X"))
    said = _run("enrich", "--catalog", overlay, code=1).stderr
    assert said == f"lexilog: {overlay}:6:3: catalogue juniper_kmd has no entry 'KMD_X'\n"


def test_the_shipped_catalogues_are_in_order(tmp_path: Path) -> None:
    """lint finds nothing, coverage everything, and the lock tells a change."""
    assert "0 problems" in _run("catalog", "lint").stderr
    covered = _run("catalog", "coverage").stdout
    for counts in ("juniper_kmd", "91 of 91", "24 of 24", "28 of 28", "20 of 20", "22 of 22"):
        assert counts in covered
    lock, overlay = tmp_path / "lock.json", tmp_path / "site.yaml"
    _run("catalog", "lock", "-o", lock)
    assert _run("catalog", "lock", "--check", lock).stdout == ""
    overlay.write_text(OVERLAY)
    said = _run("catalog", "lock", "--catalog", overlay, "--check", lock, code=3).stdout
    assert "juniper_kmd: KMD_VPN_DOWN_ALARM_USER changed, but the version is still" in said


def test_explain_a_line_that_is_known() -> None:
    """Wrapping, entry, marked words, values, and the next nearest entry."""
    shown = _run("explain", "Aug  3 10:18:44 srx1 kmd[1]: KMD_VPN_UP_ALARM_USER: VPN v1 from 192.0.2.1 is up.").stdout
    lines = shown.splitlines()
    assert lines[0].startswith("frame     junos: hostname srx1, process kmd, pid 1, tag KMD_VPN_UP_ALARM_USER")
    assert lines[1] == "entry     juniper_kmd KMD_VPN_UP_ALARM_USER, match exact"
    assert lines[3:5] == ["text      VPN v1 from 192.0.2.1 is up.", "          ~~~~  ~~~~~~         ~~~~~~~"]
    assert "value     vpn-name = v1" in lines


def test_explain_a_line_that_is_not_known() -> None:
    """The caret stands under the character where the nearest entry stopped; exit code 3."""
    line = "Aug  3 10:18:44 srx1 kmd[1]: VPN v1 from 192.0.2.1 is off."
    lines = _run("explain", code=3, stdin=line + "\n").stdout.splitlines()
    assert "entry     none (unknown_text)" in lines
    at = next(number for number, text in enumerate(lines) if text.startswith("text "))
    assert lines[at] == "text      VPN v1 from 192.0.2.1 is off."
    assert lines[at + 1].index("^") == lines[at].index("off.")
    assert "^ wanted 'down.'" in lines[at + 1] or "^ wanted 'up.'" in lines[at + 1]


@pytest.mark.parametrize("line", ["", "hello", "\x1b[31mred\x1b[0m", "{", "<"])
def test_explain_shows_nothing_that_a_terminal_would_obey(line: str) -> None:
    """Any line is explained; control characters are shown, not sent."""
    assert "\x1b" not in _run("explain", line, code=3).stdout


def test_every_command_teaches() -> None:
    """Each command's help says what it does."""
    for name in ("list", "show", "search", "lint", "coverage", "diff", "lock", "import"):
        assert len(_run("catalog", name, "--help").stdout) > 200
