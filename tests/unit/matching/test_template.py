"""Texts against formats."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lexilog.matching.template import Template, parse_format
from lexilog.matching.types import TYPES
from lines import fill, names

PEERS = "local peer {local}:{lport} and remote peer {remote}:{rport}"
KINDS = {"local": "address", "remote": "address", "lport": "port", "rport": "port"}


def _template(text: str, kind: str = "name") -> Template:
    return Template(text, lambda name: KINDS.get(name, kind))


@pytest.mark.parametrize("address", ["192.0.2.1", "2001:db8::1", "::", "[2001:db8::1]", "fe80::1%ge-0"])
def test_an_address_ends_before_its_port(address: str) -> None:
    """In address:port the last colon counts, whatever colons the address has."""
    values = {"local": address, "lport": "500", "remote": "2001:db8:0:7::9", "rport": "4500"}
    found = _template(PEERS).full(fill(PEERS, values)) or _template(PEERS).between(fill(PEERS, values))
    assert found is not None
    assert found.values == values


def test_a_value_may_hold_the_words_around_it() -> None:
    """The type of a later value tells where an earlier one ends."""
    text = "VPN {name} from {remote} is up."
    found = _template(text).full("VPN away from home from 192.0.2.1 is up.")
    found = found or _template(text).between("VPN away from home from 192.0.2.1 is up.")
    assert found is not None
    assert _template(text, "text").full("VPN away from home from 192.0.2.1 is up.") == (
        {"name": "away from home", "remote": "192.0.2.1"}, ""
    )  # fmt: skip


def test_values_of_another_type_are_found_all_the_same() -> None:
    """Where an address is expected and a name stands, the name is the value."""
    found = _template(PEERS).between("local peer here:any and remote peer :")
    assert found is not None
    assert found.values == {"local": "here", "lport": "any", "remote": "", "rport": ""}


def test_a_tail_begins_where_the_value_ends() -> None:
    """A name at the end is followed by punctuation or a list of names; other words belong to it."""
    template = _template("SA {name}")
    assert template.prefix("SA a-1, reason: b") == ({"name": "a-1"}, ", reason: b")
    assert template.prefix("SA a-1 Reason: b") == ({"name": "a-1"}, " Reason: b")
    assert template.prefix("SA a 1") is None
    assert template.between("SA a 1") == ({"name": "a 1"}, "")


def test_loose_reading() -> None:
    """Case, spacing and punctuation may differ; the values are the same."""
    template = _template("lookup for Phase-1 [{role}] failed (size {size} bytes)")
    found = template.loosely("Lookup  for phase 1 responder failed: size 16bytes")
    assert found is not None
    assert found.values == {"role": "responder", "size": "16"}
    assert template.loosely("something else") is None


def test_a_text_that_breaks_off() -> None:
    """Values before the last documented word are kept, the cut one is not."""
    template = _template("VPN {name} from {remote} is up.")
    assert template.begun("VPN a from 192.0") == ({"name": "a"}, "")
    assert template.begun("VPN a") is None


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a {b", "'{' at character 3 has no partner"),
        ("a b}", "'}' at character 4 has no partner"),
        ("a {}", "the variable at character 3 has no name"),
        ("a {b} {b}", "variable 'b' is used twice"),
        ("a {b}{c}", "no text stands before variable 'c'"),
    ],
)
def test_a_format_that_cannot_be_read(text: str, problem: str) -> None:
    """The error says what is wrong and where."""
    with pytest.raises(ValueError, match=r"character|variable") as caught:
        parse_format(text)
    assert problem in str(caught.value)


def test_braces_can_be_text() -> None:
    """A doubled brace is a brace."""
    assert _template("a {{b}} {name}").full("a {b} c") == ({"name": "c"}, "")


words = st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=12).filter(
    lambda text: not set(text) & set("{}") and text.strip()
)
formats = st.lists(words, min_size=1, max_size=5).map(
    lambda parts: "".join(f"{word} {{v{number}}} " for number, word in enumerate(parts)) + "end"
)


@given(formats, st.text(max_size=200), st.sampled_from(sorted(TYPES)))
def test_no_text_makes_a_template_raise(format_: str, text: str, kind: str) -> None:
    """Every reading of any text gives values that stand in the text, or nothing."""
    template = Template(format_, lambda _: kind)
    for read in (template.full, template.prefix, template.between, template.begun, template.loosely):
        for candidate in (text, fill(format_, dict.fromkeys(names(format_), text))):
            found = read(candidate)
            assert found is None or all(value in candidate for value in found.values.values())


@given(formats, st.data())
def test_what_is_written_is_read(format_: str, data: st.DataObject) -> None:
    """Values without blanks that are put into a format come out again, unless they hold its words."""
    values = {name: data.draw(st.text("abcxyz0189:./[]()=%-_", min_size=1, max_size=20)) for name in names(format_)}
    literals = [part.text.strip() for part in parse_format(format_) if part.name is None]
    if any(literal in value for literal in literals for value in values.values()):
        return
    found = Template(format_, lambda _: "name").full(fill(format_, values))
    assert found is not None
    assert found.values == values
