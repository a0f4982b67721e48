"""`lexilog catalog` and `lexilog explain`, run as people run them."""

from __future__ import annotations

import json
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from catalogs import catalog_head

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
SHIPPED = """\
Name:          KMD_VPN_DOWN_ALARM_USER
Message:       VPN <vpn-name> from <remote-address> is down.
Type:          Event: This message reports an event, not an error
Severity:      info
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


OWN = (
    catalog_head("syslog", name="example", title="'Example [/b]'")
    + """\
variables:
  peer: {type: address}
entries:
  - id: peer-gone
    coded: false
    format: 'peer {peer} has gone away'
    impact: down
    event: {category: [network], type: [end], action: peer-gone}
    explanation: The peer does not answer any more.
    cause: The path to it or the peer itself is down.
    action: Ping it.
"""
)


def _run(
    *arguments: str | Path, code: int = 0, stdin: str = "", cwd: Path | None = None
) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [LEXILOG, *arguments], input=stdin, capture_output=True, text=True, timeout=60, check=False, cwd=cwd
    )
    assert "Traceback" not in done.stderr
    assert done.returncode == code, done.stderr
    return done


def test_list() -> None:
    """Each catalogue with its counts; with --ids each entry, for scripts."""
    rows = [line.split("\t") for line in _run("catalog", "list").stdout.splitlines()]
    assert [cell for row in rows if row[0] == "clavister_stream" for cell in (row[0], *row[2:5])] == [
        "clavister_stream",
        "28",
        "0",
        "clavister",
    ]
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
    assert _run("catalog", "lint", draft.name, code=3, cwd=tmp_path).stdout == said.replace(f"{tmp_path}/", "")
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
    for where in (tmp_path, draft):
        assert "made-up message" in _run("catalog", "show", "--catalog", where, "EX_PEER_GONE").stdout
    (tmp_path / "ours.vendor-text.yaml").unlink()
    _run("catalog", "import", "junos", source, "-o", draft, "--keep-vendor-text")
    assert kept.exists()
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
    lock = tmp_path / "lock.json"
    _run("catalog", "lock", "-o", lock)
    assert _run("catalog", "lock", "--check", lock).stdout == ""
    own = tmp_path / "own.yaml"
    own.write_text(OWN)
    _run("catalog", "lock", own, "-o", lock)
    own.write_text(OWN.replace("impact: down", "impact: degraded"))
    said = _run("catalog", "lock", own, "--check", lock, code=3).stdout
    assert said == "example: peer-gone changed, but the version is still 1.0.0: raise it\n"
    assert "one at a time" in _run("catalog", "lock", "--check", lock, "-o", lock, code=2).stderr


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


RED = "\x1b[31mred\x1b[0m"


@pytest.mark.parametrize(
    "line",
    [
        "",
        "hello",
        RED,
        f"Aug  3 10:18:44 srx1 kmd[1]: VPN {RED} from 192.0.2.1 is off.",
        f"CEF:0|Forcepoint|Firewall|1|0|Generic|0|deviceFacility={RED} msg=ESP {RED}",
        f"<30>1 2025-08-03T10:18:44Z gw1 {RED} 7 - - VPN v1 from 192.0.2.1 is off.",
    ],
)
def test_explain_shows_nothing_that_a_terminal_would_obey(line: str) -> None:
    """Any line is explained; control characters are shown, not sent."""
    assert "\x1b" not in _run("explain", line, code=3).stdout


def test_a_draft_of_a_shipped_chapter_stands_in_for_it(tmp_path: Path) -> None:
    """With the shipped text it recognises what the shipped entry does, and as well."""
    source, draft = tmp_path / "help.txt", tmp_path / "ours.yaml"
    source.write_text(SHIPPED)
    _run("catalog", "import", "junos", source, "-o", draft)
    tagged = "Aug  3 10:18:44 srx1 kmd[1]: KMD_VPN_DOWN_ALARM_USER: VPN v1 from 192.0.2.1 is down. AAA username: N/A"
    for line in (tagged, "Aug  3 10:18:44 srx1 kmd[1]: VPN v1 from 192.0.2.1 is down."):
        shipped = json.loads(_run("enrich", "-q", stdin=line).stdout)
        ours = json.loads(_run("enrich", "-q", "--catalog", draft, stdin=line).stdout)
        assert ours["lexilog"]["catalog"]["name"] == "juniper_kmd_local"
        for record in (shipped, ours):
            for name in ("data_stream", "event", "lexilog"):
                for key in ("dataset", "created", "id", "catalog", "lag"):
                    record[name].pop(key, None)
        assert ours == shipped


def test_a_file_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    """An output that is no ordinary file, or lies nowhere, is refused, and nothing is left behind."""
    source = tmp_path / "help.txt"
    source.write_text(HELP_SYSLOG)
    assert (
        "is no ordinary file" in _run("catalog", "import", "junos", source, "-o", "/dev/null", "--force", code=1).stderr
    )
    nowhere = tmp_path / "nowhere" / "ours.yaml"
    assert "cannot be written: No such file" in _run("catalog", "import", "junos", source, "-o", nowhere, code=1).stderr
    (tmp_path / "real.yaml").write_text("old")
    (tmp_path / "link.yaml").symlink_to(tmp_path / "real.yaml")
    _run("catalog", "import", "junos", source, "-o", tmp_path / "link.yaml", "--force")
    assert (tmp_path / "link.yaml").is_symlink()
    assert "EX_PEER_GONE" in (tmp_path / "real.yaml").read_text()
    bad = _run("catalog", "import", "junos", source, "-o", tmp_path / "bad.yaml", "--name", "Bad Name", code=1).stderr
    assert "bad.yaml: not written, because it would not load: name: Expected" in bad
    assert sorted(path.name for path in tmp_path.iterdir()) == ["help.txt", "link.yaml", "real.yaml"]


def test_a_directory_without_catalogues_is_no_catalogue(tmp_path: Path) -> None:
    """A path that adds nothing is a mistake, and said so."""
    (tmp_path / "notes.txt").write_text("x")
    for arguments in (["enrich", "--catalog", tmp_path], ["catalog", "lint", tmp_path]):
        assert "this directory holds no catalogue" in _run(*arguments, code=1).stderr
    assert "cannot be read: No such file" in _run("enrich", "--catalog", tmp_path / "nowhere", code=1).stderr


def test_lint_tries_every_entry(tmp_path: Path) -> None:
    """An entry that no line can ever match is found, although it loads."""
    own = tmp_path / "own.yaml"
    own.write_text(OWN.replace("processes: [exd]\n", ""))
    (said,) = _run("catalog", "lint", own, code=3).stdout.splitlines()
    assert said.startswith(f"{own}:12: peer-gone: a line of its own in syslog is unknown")
    own.write_text(OWN)
    assert _run("catalog", "lint", own).stdout == ""
    assert "Example [/b]" in _run("catalog", "list", "--catalog", own).stdout


@pytest.mark.parametrize("command", [["catalog", "list"], ["catalog", "search", "vpn"], ["--help"], ["explain", "x"]])
def test_a_full_disk_is_one_line(command: list[str]) -> None:
    """Output that cannot be written is no traceback."""
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [LEXILOG, *command], stdout=full, stderr=subprocess.PIPE, text=True, timeout=60, check=False
        )
    assert done.stderr == "lexilog: standard output: No space left on device\n"
    assert done.returncode == 1


def test_every_command_is_in_the_documents(checkout: Path) -> None:
    """A command that docs/making-catalogues.md does not name is undocumented."""
    document = (checkout / "docs" / "making-catalogues.md").read_text(encoding="utf-8")
    listed = _run("catalog", "--help").stdout.partition("Commands:")[2].split("\n")
    names = [line.split()[0] for line in listed if line.strip()]
    assert names == ["coverage", "diff", "import", "lint", "list", "lock", "search", "show"]
    assert [name for name in names if f"catalog {name}" not in document] == []
