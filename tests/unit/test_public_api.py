"""What the package offers."""

from __future__ import annotations

import importlib.metadata
from pathlib import Path

import pytest

import lexilog
from lexilog import LexilogError, errors
from lexilog.assets import asset


def test_the_list_is_fixed() -> None:
    """Whoever takes a name away from the public API, or adds one, does so here too."""
    assert lexilog.__all__ == [
        "Catalog", "CatalogError", "Enriched", "Entry", "Frame", "ImportFormatError", "LexilogError", "Match",
        "OriginError", "Outcome", "Pipeline", "Quality", "Record", "RelayError", "SettingsError", "document",
        "encode_json", "load_catalog", "load_catalogs", "shipped_catalogs",
    ]  # fmt: skip
    assert all(hasattr(lexilog, name) for name in lexilog.__all__)


def test_every_error_is_in_the_tree() -> None:
    """One except clause catches whatever lexilog raises on purpose."""
    for name in errors.__all__:
        assert issubclass(getattr(errors, name), LexilogError)
        assert name in (errors.__doc__ or "")


def test_shipped_files_are_found_in_a_wheel(checkout: Path) -> None:
    """The samples of an installed package are those of the checkout, byte for byte."""
    found = asset("examples/lines/junos.log")
    assert found.read_bytes() == (checkout / "examples" / "lines" / "junos.log").read_bytes()
    if "site-packages" in lexilog.__file__:
        assert "site-packages" in str(found)


def test_shipped_files_are_found_in_a_checkout(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a wheel the same name leads into the source tree."""
    monkeypatch.setattr("lexilog.assets._PACKAGE", checkout / "processor" / "lexilog")
    assert asset("examples/lines/junos.log") == checkout / "examples" / "lines" / "junos.log"


def test_a_file_that_is_not_shipped_is_named() -> None:
    """The error says which one is missing."""
    with pytest.raises(LexilogError, match=r"nowhere\.txt: not part of this installation"):
        asset("nowhere.txt")


def test_version_and_typing_are_shipped() -> None:
    """The wheel has a version, and a marker that its types may be used."""
    assert importlib.metadata.version("lexilog")
    assert (Path(lexilog.__file__).parent / "py.typed").is_file()
