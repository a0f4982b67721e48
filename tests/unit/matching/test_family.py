"""Ids that no catalogue has: which of them are told by name, and for which catalogue."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import msgspec
import pytest

from catalogs import catalog_head
from lexilog import Entry, Outcome, Pipeline, Record, load_catalog
from lexilog.matching import family as family_module
from lexilog.model import Frame, UnknownId

JUNOS = "Aug  3 10:18:44 srx1 {process}[1]: {tag}: text"
CORE = "<134>[2025-09-01 13:04:11] EFW: {category}: prio=1 id={id} rev=1 event=some_event"
STREAM = '<134>[2025-09-01 13:04:11] EFW: {category}: prio=1 id={id} rev=1 message="Text." localip=192.0.2.1'

ENTRY = """
entries:
  - id: {id}
    format: '{text} {{name}}'
    severity: error
    facility: LOG_AUTH
    type: event
    impact: none
    event: {{category: [network], type: [info], action: x}}
    explanation: Something happened.
    cause: Somebody did it.
    action: Look.
"""


@pytest.fixture
def make_pipeline(tmp_path: Path) -> Callable[..., Pipeline]:
    """Return a function that makes a pipeline of catalogues, each with one id, of one device."""

    def make(*catalogs: tuple[str, str], more: str = "") -> Pipeline:
        loaded = []
        for number, (name, code) in enumerate(catalogs):
            path = tmp_path / f"{name}.yaml"
            head = catalog_head("cef", name=name, processes=None) + "facilities: {LOG_AUTH: 4}\nprotocol: none\n"
            device = "devices: [{vendor: Example, product: Gateway}]\n"
            variables = "variables:\n  name: {type: name}\n"
            path.write_text(
                head + device + more + variables + ENTRY.format(id=code, text=f"Text{number} of"), encoding="utf-8"
            )
            loaded.append(load_catalog(path))
        return Pipeline(loaded)

    return make


def _unknown(pipeline: Pipeline, line: str) -> UnknownId | None:
    found = pipeline.process(Record(line=line))
    assert (found.outcome, found.reason) == (Outcome.UNKNOWN, "unknown_id"), line
    return found.unknown


def _cef(code: str, product: str = "Gateway") -> str:
    return f"CEF:0|Example|{product}|1.0|{code}|Something|5|msg=text"


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (JUNOS.format(process="kmd", tag="KMD_NEW_THING"), ("juniper_kmd", "KMD_NEW_THING")),
        (JUNOS.format(process="iked", tag="IKE_NEW_THING"), ("juniper_kmd", "IKE_NEW_THING")),
        (JUNOS.format(process="kmd", tag="DYNAMIC_VPN_NEW"), ("juniper_dynamic_vpn", "DYNAMIC_VPN_NEW")),
        (CORE.format(category="IPSEC", id="01899999"), ("clavister_core", "01899999")),
        (CORE.format(category="IPSEC", id="1899999"), ("clavister_core", "01899999")),
        (STREAM.format(category="IKE", id="9999"), ("clavister_stream", "9999")),
    ],
)
def test_an_unknown_id_of_a_family_is_told_by_name(pipeline: Pipeline, line: str, expected: tuple[str, str]) -> None:
    """A record says which catalogue lacks which id, as that catalogue would write it."""
    assert _unknown(pipeline, line) == UnknownId(*expected)


@pytest.mark.parametrize(
    "line",
    [
        JUNOS.format(process="RT_FLOW", tag="RT_FLOW_SESSION_CREATE"),
        JUNOS.format(process="sshd", tag="SSHD_LOGIN_FAILED"),
        JUNOS.format(process="kmd", tag="KMDX_NEW"),
        CORE.format(category="CONN", id="00600004"),
        STREAM.format(category="RULE", id="42"),
        "Aug  3 10:18:44 r1 : %ACME-5-FOO: text",
        _cef("KMD_NEW_THING"),
        _cef("01899999"),
    ],
)
def test_ids_of_others_are_not_told(pipeline: Pipeline, line: str) -> None:
    """What another daemon, category, product or kind of line calls its messages is no gap in a catalogue."""
    found = pipeline.process(Record(line=line))
    assert found.outcome is Outcome.UNKNOWN
    assert found.unknown is None


def test_only_unknown_ids_are_unknown(pipeline: Pipeline) -> None:
    """A line that is matched, and one without an id, name none."""
    lines = ("KMD_VPN_DOWN_ALARM_USER: VPN v1 from 198.51.100.7 is down.", "Aug  3 10:18:44 srx1 kmd[1]: text", "text")
    assert [pipeline.process(Record(line=line)).unknown for line in (*lines, None)] == [None] * 4


def test_an_id_that_a_catalogue_has_is_not_unknown(make_pipeline: Callable[..., Pipeline]) -> None:
    """A line of another device with an id that is known is no gap, although it is not recognised."""
    pipeline = make_pipeline(("one", "EX_1"))
    assert pipeline.process(Record(line=_cef("EX_1"))).outcome is Outcome.MATCHED
    assert _unknown(pipeline, _cef("EX_1", "Other")) is None
    assert _unknown(pipeline, _cef("EX_2", "Other")) is None
    assert _unknown(pipeline, _cef("EX_2")) == UnknownId("one", "EX_2")
    pipeline = make_pipeline(("one", "EX_1"), more="components: [vpn]\n")
    assert pipeline.process(Record(line=_cef("EX_1") + " deviceFacility=VPN")).outcome is Outcome.MATCHED
    assert _unknown(pipeline, _cef("EX_1") + " deviceFacility=other") is None


DEVICE = "devices: [{vendor: Example, product: Gateway}]\n"


def test_of_two_catalogues_the_one_with_the_more_similar_id_counts(make_pipeline: Callable[..., Pipeline]) -> None:
    """Where both have ids with the same first word, the longer common start tells."""
    pipeline = make_pipeline(("one", "EX_ALPHA_ONE"), ("two", "EX_BETA_ONE"))
    assert _unknown(pipeline, _cef("EX_ALPHA_TWO")) == UnknownId("one", "EX_ALPHA_TWO")
    assert _unknown(pipeline, _cef("EX_BETA_TWO")) == UnknownId("two", "EX_BETA_TWO")
    assert _unknown(pipeline, _cef("EX_BETA_ONE_MORE")) == UnknownId("two", "EX_BETA_ONE_MORE")


@pytest.mark.parametrize("code", ["EX-1", "ex.2", "EX1"])
def test_ids_of_another_form_have_no_family(make_pipeline: Callable[..., Pipeline], code: str) -> None:
    """Nothing tells whose they are, so they are not named."""
    pipeline = make_pipeline(("one", code))
    assert pipeline.process(Record(line=_cef(code))).outcome is Outcome.MATCHED
    assert _unknown(pipeline, _cef(code + "0")) is None


def test_the_search_costs_no_more_with_more_entries(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    """An id that nobody knows is compared with no more than two of a catalogue's, however many there are."""
    compared: list[str] = []
    in_common = family_module._in_common

    def counted(one: str, other: str) -> int:
        compared.append(other)
        return in_common(one, other)

    monkeypatch.setattr(family_module, "_in_common", counted)
    entry = next(entry for entry in pipeline.entries if entry.id == "KMD_VPN_UP_ALARM_USER")
    families = family_module.Families(_copies(entry, ("one", "two"), 1_000))
    framed = Frame(kind="junos", text="x", body="x", tag="KMD_COPY_500_NEW")
    assert families.find(framed) == UnknownId("one", "KMD_COPY_500_NEW")
    assert 2 <= len(compared) <= 4


def _copies(entry: Entry, catalogs: Iterable[str], count: int) -> Iterable[tuple[Entry, tuple[str, ...]]]:
    for catalog in catalogs:
        for number in range(count):
            yield msgspec.structs.replace(entry, catalog=catalog, code=f"KMD_COPY_{number}"), ("junos",)
