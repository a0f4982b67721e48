"""What lint, diff, lock and coverage say of a catalogue."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from catalogs import catalog_head
from lexilog import Catalog, LexilogError, Pipeline, load_catalog, shipped_catalogs
from lexilog.catalog.compare import differences
from lexilog.catalog.coverage import measure
from lexilog.catalog.lint import lint
from lexilog.catalog.lock import check_lock, make_lock, read_lock, write_lock

HEAD = (
    catalog_head("clavister", processes=None, severities="Error: 3, Notice: 5")
    + """\
variables:
  ip: {type: address}
  iface: {type: name}
entries:
"""
)
ENTRY = """\
  - id: '%s'
    format: '%s'
    severity: Error
    impact: down
    event: {category: [network], type: [end], action: peer-gone}
    explanation: The peer of %s does not answer any more.
    cause: The path to %s or the peer itself is down.
    action: Ping the peer of %s.
"""


def _entry(number: str, text: str = "Gone.") -> str:
    return ENTRY % (number, text, number, number, number)


def _catalog(tmp_path: Path, *entries: str) -> Catalog:
    path = tmp_path / "example.yaml"
    path.write_text(HEAD + "".join(entries), encoding="utf-8")
    return load_catalog(path)


def _said(tmp_path: Path, *entries: str) -> list[str]:
    return [
        str(problem).removeprefix(f"{tmp_path / 'example.yaml'}:") for problem in lint([_catalog(tmp_path, *entries)])
    ]


def test_a_complete_catalogue_has_no_problems(tmp_path: Path) -> None:
    """Nothing is said of what is in order."""
    assert _said(tmp_path, _entry("1"), _entry("2", "Back.")) == []


def test_what_is_missing_is_said_with_its_line(tmp_path: Path) -> None:
    """A draft tells what is left to do, one line each."""
    entry = "".join(line for line in _entry("1").splitlines(keepends=True) if "cause:" not in line)
    assert _said(tmp_path, _entry("2", "Back."), entry + "    review: [impact]\n") == [
        "21: 1: has no cause: say it in a sentence or two",
        "21: 1: 'impact' was guessed: look at it, then take it off the entry's review list",
    ]


def test_a_pasted_sentence_is_found(tmp_path: Path) -> None:
    """A long sentence that stands in two entries is named with both."""
    pasted = "The path to the peer or the peer itself is down, as so often at night."
    entries = [_entry("1").replace("The path to 1 or the peer itself is down.", pasted)]
    entries += [_entry("2", "Back.").replace("The path to 2 or the peer itself is down.", pasted)]
    (said,) = _said(tmp_path, *entries)
    assert said.startswith("21: 2: a sentence of its cause stands in 1 too (")


def test_a_text_that_is_cut_or_too_long_is_found(tmp_path: Path) -> None:
    """A text ends in a full stop and fits on a screen."""
    assert _said(tmp_path, _entry("1").replace("Ping the peer of 1.", "Ping the")) == [
        "13: 1: action does not end in a full stop: is it cut off?"
    ]
    (said,) = _said(tmp_path, _entry("1").replace("Ping the peer of 1.", "Ping. " * 200 + "Ping."))
    assert said == "13: 1: action has 1205 characters; more than 700 do not fit on a screen"


def test_two_entries_of_one_text_are_found(tmp_path: Path) -> None:
    """They are no problem where names beside the text, or `where`, tell them apart."""
    (said,) = _said(tmp_path, _entry("1") + "    parameters: [ip]\n", _entry("2") + "    parameters: [ip]\n")
    assert said.startswith("22: 2: has the same text as 1 (")
    assert _said(tmp_path, _entry("1") + "    parameters: [ip]\n", _entry("2") + "    parameters: [iface]\n") == []
    assert _said(tmp_path, _entry("1"), _entry("2") + "    where: {iface: [wan]}\n") == []


def test_differences_are_facts(tmp_path: Path) -> None:
    """Added, removed and changed messages are named; texts that explain are not compared."""
    old = _catalog(tmp_path, _entry("1"), _entry("2", "Back from {ip}."))
    changed = _entry("2", "Back from {iface}.").replace("Ping", "Call").replace("severity: Error", "severity: Notice")
    new = _catalog(tmp_path, changed, _entry("3", "There."))
    assert [str(item) for item in differences(old, new)] == [
        "- 1  Gone.",
        "~ 2 format: Back from {ip}. -> Back from {iface}.",
        "~ 2 severity: Error -> Notice",
        "+ 3  There.",
    ]
    assert differences(old, old) == []


def test_a_lock_knows_a_change_without_a_version(tmp_path: Path) -> None:
    """An entry that changed needs a new version of its catalogue; then the lock is to be made anew."""
    catalog = _catalog(tmp_path, _entry("1"))
    lock = make_lock([catalog])
    path = tmp_path / "lock.json"
    path.write_bytes(write_lock(lock))
    assert read_lock(path) == lock
    assert check_lock(lock, [catalog]) == []
    changed = _catalog(tmp_path, _entry("1").replace("Ping", "Call"))
    assert check_lock(lock, [changed]) == ["example_gateway: 1 changed, but the version is still 1.0.0: raise it"]
    raised = msgspec.structs.replace(changed, version="1.1.0")
    assert check_lock(lock, [raised]) == ["example_gateway: is at 1.1.0, the lock at 1.0.0: lock it again"]
    assert check_lock(lock, []) == ["example_gateway: is in the lock but not there"]
    assert check_lock({}, [catalog]) == ["example_gateway: is not in the lock"]


def test_a_lock_says_nothing_of_where_an_entry_stands(tmp_path: Path) -> None:
    """Another entry before it, or another folder, changes no hash."""
    one = make_lock([_catalog(tmp_path, _entry("1"))])["example_gateway"].entries
    two = make_lock([_catalog(tmp_path, _entry("0", "Back."), _entry("1"))])["example_gateway"].entries
    assert two["1"] == one["1"]


def test_the_shipped_lock_is_fresh(checkout: Path) -> None:
    """Whoever changes an entry raises the version and locks it: lexilog catalog lock -o …/catalog/lock.json."""
    path = checkout / "processor" / "lexilog" / "catalog" / "lock.json"
    assert check_lock(read_lock(path), shipped_catalogs()) == []


def test_a_file_that_is_no_lock(tmp_path: Path) -> None:
    """A missing or another file is named."""
    with pytest.raises(LexilogError, match=r"nowhere\.json: cannot be read: No such file"):
        read_lock(tmp_path / "nowhere.json")
    (tmp_path / "bad.json").write_text('{"a": 1}')
    with pytest.raises(LexilogError, match=r"bad\.json: is no lock file: Expected `object`, got `int`"):
        read_lock(tmp_path / "bad.json")


def test_coverage_counts_what_is_not_recognised(tmp_path: Path) -> None:
    """A pipeline that does not know a catalogue recognises none of it, and each failure says what came instead."""
    catalog = _catalog(tmp_path, _entry("1"), _entry("2", "Back from {ip}.") + "    provenance: observed\n")
    (known,) = measure([catalog], Pipeline([catalog]).process)
    assert (known.documented, known.observed, known.lines, known.failures) == ((1, 1), (1, 1), 2, ())
    (unknown,) = measure([catalog], Pipeline([]).process)
    assert (unknown.documented, unknown.observed) == ((0, 1), (0, 1))
    assert [(failure.id, failure.frame, failure.found) for failure in unknown.failures] == [
        ("1", "clavister", "unknown (unknown_id)"),
        ("2", "clavister", "unknown (unknown_id)"),
    ]
