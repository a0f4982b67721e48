"""Catalogues from several places go together, or the error names both places."""

from __future__ import annotations

import errno
import sys
from pathlib import Path
from unittest import mock

import pytest

from catalogs import catalog_head
from lexilog import Catalog, CatalogError, Pipeline, Record, document, load_catalogs
from lexilog.catalog import sources
from lexilog.catalog.sources import shipped_catalogs, vendor_texts

OWN = (
    catalog_head("junos")
    + """\
variables:
  peer: {type: address, fields: [lexilog.remote.ip]}
entries:
  - id: EX_PEER_GONE
    format: 'Peer {peer} is gone'
    severity: error
    impact: down
    event: {category: [network], type: [end], action: peer-gone}
"""
)
OVERLAY = """\
format: 1
overlay: juniper_kmd
name: site-b
version: '3'
entries:
  KMD_VPN_DOWN_ALARM_USER: {severity: error, impact: degraded, action: Call the site.}
"""
LINE = "Aug  3 10:18:44 srx1 kmd[1]: KMD_VPN_DOWN_ALARM_USER: VPN v1 from 192.0.2.1 is down."


def _write(folder: Path, **texts: str) -> Path:
    for name, text in texts.items():
        (folder / f"{name}.yaml").write_text(text, encoding="utf-8")
    return folder


def _error(folder: Path) -> str:
    with pytest.raises(CatalogError) as caught:
        load_catalogs([folder])
    return str(caught.value)


def _named(catalogs: tuple[Catalog, ...], name: str) -> Catalog:
    return next(catalog for catalog in catalogs if catalog.name == name)


def test_shipped_catalogues_that_cannot_be_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """It is an error: a reload that finds no file open to it must not forget what the server knows."""
    monkeypatch.setattr(sources, "_ENTRIES", tmp_path)
    no_room = mock.patch.object(Path, "iterdir", side_effect=OSError(errno.EMFILE, "Too many open files"))
    with no_room, pytest.raises(CatalogError, match="holds no catalogue"):
        shipped_catalogs()


def test_a_directory_of_catalogues(tmp_path: Path) -> None:
    """Every YAML file of a directory is read; other files are not."""
    (tmp_path / "README.txt").write_text("not a catalogue")
    pipeline = Pipeline(load_catalogs([_write(tmp_path, own=OWN)]))
    found = pipeline.process(Record(line="Aug  3 10:18:44 gw1 exd[1]: EX_PEER_GONE: Peer 192.0.2.1 is gone"))
    assert found.match is not None
    assert found.match.entry.catalog == "example_gateway"


def test_an_installed_package_offers_catalogues(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A package that names itself under the entry point lexilog.catalogs needs no code: its YAML files are read."""
    package = tmp_path / "example_messages"
    package.mkdir()
    _write(package, own=OWN)
    info = tmp_path / "example_messages-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: example-messages\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[lexilog.catalogs]\nexample = example_messages\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert _named(load_catalogs(), "example_gateway").place.path == package / "own.yaml"
    assert "example_messages" not in sys.modules
    (info / "entry_points.txt").write_text("[lexilog.catalogs]\nexample = nowhere.at_all\n")
    with pytest.raises(
        CatalogError, match=r"entry point lexilog\.catalogs: 'example' of example-messages names no package with files"
    ):
        load_catalogs()


def test_a_clash_of_ids_names_both_places(tmp_path: Path) -> None:
    """The error says where the second entry stands, where the first, and what to do."""
    other = OWN.replace("example_gateway", "other_gateway")
    said = _error(_write(tmp_path, a=OWN, b=other))
    assert said.startswith(
        f"{tmp_path / 'b.yaml'}:13:1: id 'EX_PEER_GONE' is already taken by catalogue example_gateway"
    )
    assert f"{tmp_path / 'a.yaml'}:13" in said
    assert "replaces: [example_gateway]" in said


def test_a_clash_with_a_shipped_id(tmp_path: Path) -> None:
    """An id of a shipped catalogue is taken as well."""
    said = _error(_write(tmp_path, own=OWN.replace("EX_PEER_GONE", "KMD_VPN_UP_ALARM_USER")))
    assert "is already taken by catalogue juniper_kmd" in said
    assert "juniper_kmd.yaml:" in said


def test_the_same_id_of_two_devices_is_no_clash(tmp_path: Path) -> None:
    """CEF ids belong to the vendor and product that the line names."""
    cef = OWN.replace("frame: junos", "frame: cef").replace("EX_PEER_GONE", "'100'")
    one = cef.replace("severities", "devices: [{vendor: A, product: B}]\nseverities")
    two = one.replace("vendor: A", "vendor: C").replace("example_gateway", "other_gateway")
    assert len(load_catalogs([_write(tmp_path, a=one, b=two)])) == len(load_catalogs()) + 2
    assert "id '100' is already taken" in _error(_write(tmp_path, b=one.replace("example_gateway", "other_gateway")))


def test_a_name_is_given_once(tmp_path: Path) -> None:
    """Two catalogues of one name would share a dataset."""
    said = _error(_write(tmp_path, a=OWN, b=OWN.replace("EX_", "EY_")))
    assert f"catalogue 'example_gateway' is already there: {tmp_path / 'a.yaml'}:2" in said


def test_an_overlay_changes_single_fields(tmp_path: Path) -> None:
    """What it names is changed, the rest stays, and the version of that entry alone says so."""
    pipeline = Pipeline(load_catalogs([_write(tmp_path, site=OVERLAY)]))
    found = document(pipeline.process(Record(line=LINE)))
    assert found["lexilog"]["impact"] == "degraded"
    assert found["lexilog"]["action"] == "Call the site."
    assert found["event"]["severity"] == 3
    shipped = _named(load_catalogs(), "juniper_kmd")
    assert found["lexilog"]["catalog"]["version"] == f"{shipped.version}+site-b.3"
    assert found["lexilog"]["explanation"] == next(e for e in shipped.entries if e.id in LINE).explanation
    other = document(pipeline.process(Record(line=LINE.replace("DOWN", "UP").replace("down", "up"))))
    assert other["lexilog"]["catalog"]["version"] == shipped.version


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("overlay: juniper_kmd", "overlay: juniper_kmdd", "2:1: there is no catalogue 'juniper_kmdd' to change"),
        ("KMD_VPN_DOWN_ALARM_USER:", "KMD_X:", "6:3: catalogue juniper_kmd has no entry 'KMD_X'"),
        ("severity: error", "severity: fatal", "6:29: severity 'fatal' is not one of error, info, notice"),
        ("impact: degraded", "impact: bad", "6:46: impact: Invalid enum value 'bad'"),
        (
            "impact: degraded",
            "format: x",
            "6:46: key 'format' is not known here; known are severity, facility",
        ),
    ],
)
def test_an_overlay_that_is_wrong(tmp_path: Path, old: str, new: str, expected: str) -> None:
    """The error says file, line, column and what would be right."""
    assert expected in _error(_write(tmp_path, site=OVERLAY.replace(old, new)))


def test_a_catalogue_replaces_entries_of_another(tmp_path: Path) -> None:
    """A draft of another release takes over texts and what it only guesses; the other entries stay."""
    own = (
        OWN.replace("EX_PEER_GONE", "KMD_VPN_DOWN_ALARM_USER")
        .replace("'Peer {peer} is gone'", "'VPN {vpn-name} from {remote-address} went away.'")
        .replace(
            "peer: {type: address, fields: [lexilog.remote.ip]}",
            "vpn-name: {type: name}\n  remote-address: {type: name}",
        )
        .replace("severities", "replaces: [juniper_kmd]\nseverities")
        .replace("    impact: down", "    review: [impact, event, variables, texts]\n    impact: none")
    )
    catalogs = load_catalogs([_write(tmp_path, own=own)])
    shipped = {entry.id: entry for entry in _named(load_catalogs(), "juniper_kmd").entries}
    assert {entry.id for entry in _named(catalogs, "juniper_kmd").entries} == set(shipped) - {"KMD_VPN_DOWN_ALARM_USER"}
    (entry,) = _named(catalogs, "example_gateway").entries
    old = shipped["KMD_VPN_DOWN_ALARM_USER"]
    assert (entry.explanation, entry.impact, entry.event) == (old.explanation, "down", old.event)
    assert entry.review == ()
    found = document(Pipeline(catalogs).process(Record(line=LINE.replace("is down", "went away"))))
    assert found["event"]["severity"] == 3
    assert found["lexilog"]["remote"] == {"ip": "192.0.2.1"}
    said = _error(_write(tmp_path, own=own.replace("[juniper_kmd]", "[juniper]")))
    assert "replaces: there is no catalogue 'juniper'" in said


def test_vendor_text_never_gets_into_a_record(tmp_path: Path) -> None:
    """A file of the vendor's own sentences is read for `catalog show` alone."""
    text = "vendor_text_of: juniper_kmd\nentries:\n  KMD_VPN_DOWN_ALARM_USER: {Description: Sentences of the vendor.}\n"
    folder = _write(tmp_path, **{"own.vendor-text": text, "site": OVERLAY})
    assert len(load_catalogs([folder])) == len(load_catalogs())
    assert vendor_texts([folder]) == {
        ("juniper_kmd", "KMD_VPN_DOWN_ALARM_USER"): {"Description": "Sentences of the vendor."}
    }
