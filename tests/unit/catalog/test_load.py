"""A catalogue file that is wrong is refused with file, line, column and what would be right."""

from __future__ import annotations

from pathlib import Path

import pytest

from catalogs import catalog_head
from lexilog import CatalogError, Pipeline, Record, document, load_catalog

GOOD = (
    catalog_head("junos", processes=None)
    + """\
facilities: {LOG_AUTH: 4}
variables:
  peer: {type: address, fields: [lexilog.remote.ip]}
entries:
  - id: EX_PEER_GONE
    format: 'Peer {peer} is gone'
    severity: error
    facility: LOG_AUTH
    type: error
    impact: down
    event: {category: [network], type: [end], action: peer-gone}
    explanation: The peer does not answer any more.
    cause: The path to it or the peer itself is down.
    action: Ping it.
"""
)


def _load(tmp_path: Path, text: str) -> str:
    path = tmp_path / "example.yaml"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(CatalogError) as caught:
        load_catalog(path)
    return str(caught.value).removeprefix(f"{path}:")


def test_a_catalogue_needs_no_code(tmp_path: Path) -> None:
    """A file of one's own is enough to have a message recognised and explained."""
    path = tmp_path / "example.yaml"
    path.write_text(GOOD)
    pipeline = Pipeline([load_catalog(path)])
    line = "<35>Aug  3 10:18:44 gw1 exd[1]: EX_PEER_GONE: Peer 192.0.2.1 is gone"
    found = document(pipeline.process(Record(line=line)))
    assert found["event"]["dataset"] == "lexilog.example_gateway"
    assert found["lexilog"]["remote"] == {"ip": "192.0.2.1"}


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("format: 1", "format: 2", "1:1: format: Invalid enum value 2; it is one of 1"),
        ("name: example_gateway", "name: Example Gateway", "2:1: name: Expected `str` matching regex"),
        ("title: Example", "titel: Example", "3:1: key 'titel' is not known here; is 'title' meant?"),
        ("severities: {error: 3}", "severities: {error: 9}", "8:1: severities: Expected `int` <= 7"),
        ("type: address", "type: adress", "11:10: type 'adress' is not one of address, boolean"),
        ("lexilog.remote.ip", "lexilog.remote.adr", "11:34: field 'lexilog.remote.adr' is not in the field table"),
        ("lexilog.remote.ip", "'@timestamp'", "11:34: field '@timestamp' takes no value of a line: its type is date"),
        (
            "frame: junos",
            "frame: junoss",
            "5:1: frame: Invalid enum value 'junoss'; it is one of cef, clavister, csv",
        ),
        ("version: 1.0.0", "version: &a [*a]", "1:1: is nested too deep, or an alias"),
        ("{peer} is gone", "{peeer} is gone", "14:5: variable 'peeer' is used in the text but not declared"),
        ("{peer} is gone", "{peer is gone", "14:5: '{' at character 6 has no partner"),
        ("{peer} is gone", "{peer}{peer}", "14:5: variable 'peer' is used twice"),
        ("severity: error", "severity: fatal", "15:5: severity 'fatal' is not among the file's severities"),
        ("facility: LOG_AUTH", "facility: LOG_X", "16:5: facility 'LOG_X' is not among the file's facilities"),
        (
            "impact: down",
            "impact: bad",
            "18:5: impact: Invalid enum value 'bad'; it is one of degraded, down",
        ),
        ("[network]", "[networks]", "19:24: ECS has no event.category 'networks'"),
        ("[end]", "[error]", "19:41: ECS does not expect event.type 'error' with network"),
        ("action: peer-gone", "action: Peer Gone", "19:47: action: Expected `str` matching regex"),
        ("action: peer-gone", "action: a, outcome: bad", "19:58: event.outcome 'bad' is not one of"),
        ("    impact: down\n", "", "13:5: key 'impact' is missing"),
        ("    format: 'Peer {peer} is gone'\n", "    coded: false\n", "13:5: has neither a format nor a component"),
        (
            "    impact: down\n",
            "    impact: down\n    component: x\n",
            "19:5: component 'x' is not among the file's comp",
        ),
        ("    impact: down\n", "    impact: down\n    parameters: [x]\n", "19:18: parameter 'x' is not declared"),
        (
            "facilities: {LOG",
            "levels: {'0': bad}\nfacilities: {LOG",
            "9:10: severity 'bad' is not among the file's severities",
        ),
        ("    impact: down\n", "    impact: down\n    impact: none\n", "19:5: key 'impact' stands here a second time"),
        ("    type: error\n", "    type: error\n    tail: x\n", "18:5: tail 'x' is not among the file's tails"),
        ("version: 1.0.0", "version: 1.0", "4:1: version: Expected `str`, got `float`; put it in quotes"),
        ("impact: down", "imapct: down", "18:5: key 'imapct' is not known here; is 'impact' meant?"),
        ("impact: down", "impact: down\n    where: {raeson: [x]}", "19:13: where: variable 'raeson' is not declared"),
        ("frame: junos", "frame: [junos, cef]", "5:1: lines in cef are told apart by vendor and product; name them as"),
        ("version: 1.0.0", "version: [", "6:7: is not valid YAML"),
        ("title: Example", "title: \udcff", "is not UTF-8"),
        (GOOD, "", "1:1: is empty"),
    ],
)
def test_an_error_says_where(tmp_path: Path, old: str, new: str, expected: str) -> None:
    """The error points at the value that is wrong and says what is wrong with it."""
    assert GOOD.replace(old, new) != GOOD
    assert expected in _load(tmp_path, GOOD.replace(old, new))


def test_an_id_is_given_once(tmp_path: Path) -> None:
    """A second entry with the same id is refused, and the error names the first."""
    entry = GOOD[GOOD.index("  - id:") :]
    assert "23:5: id 'EX_PEER_GONE' is already taken in line 13" in _load(tmp_path, GOOD + entry)


def test_a_missing_file_is_an_error_not_a_traceback(tmp_path: Path) -> None:
    """A file that is not there is named."""
    with pytest.raises(CatalogError, match="cannot be read: No such file"):
        load_catalog(tmp_path / "nowhere.yaml")
