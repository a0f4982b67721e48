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
    found = _template(text).typed("VPN away from home from 192.0.2.1 is up.")
    assert found == ({"name": "away from home", "remote": "192.0.2.1"}, "")
    assert _template(text, "text").full("VPN away from home from 192.0.2.1 is up.") == (
        {"name": "away from home", "remote": "192.0.2.1"}, ""
    )  # fmt: skip


def test_values_of_another_type_are_found_all_the_same() -> None:
    """Where an address is expected and a name stands, the name is the value."""
    start = Template("{type} {user} is invalid", lambda name: "credential" if name == "type" else "name")
    assert start.between("device one is invalid") == ({"type": "device", "user": "one"}, "")
    found = _template(PEERS).between("local peer here:any and remote peer :")
    assert found is not None
    assert found.values == {"local": "here", "lport": "any", "remote": "", "rport": ""}


@pytest.mark.parametrize("other", ["my set", "", "x" * 300, "gw.example"])
def test_an_odd_value_does_not_spoil_the_others(other: str) -> None:
    """An address and its port are told apart whatever another value looks like."""
    text = "no context for {remote}:{rport} in instance {name}, local {local}:{lport}"
    values = {"remote": "2001:db8::1", "rport": "500", "name": other, "local": "gw.example", "lport": "500"}
    found = _template(text).between(fill(text, values))
    assert found is not None
    assert found.values == values
    values["local"] = "fe80::1%a-zone-that-is-longer-than-any-real-one-is"
    found = _template(text).between(fill(text, values))
    assert found is not None
    assert found.values == values


def test_a_tail_begins_where_the_value_ends() -> None:
    """Behind a name at the end only a "Name: value" list is a tail; other words and brackets belong to the name."""
    template = _template("SA {name}")
    assert template.prefix("SA a-1, reason: b") == ({"name": "a-1"}, ", reason: b")
    assert template.prefix("SA a-1 Reason: b") == ({"name": "a-1"}, " Reason: b")
    for name in ("a 1", "HQ (main)", "C=US, O=Example, CN=x y", "der_asn1_dn(any:0,[0..9]=O=Ex (Corp), CN=x)", "b, c"):
        assert template.prefix(f"SA {name}") is None
        assert template.between(f"SA {name}") == ({"name": name}, "")
    assert template.between("SA") == ({"name": ""}, "")


@pytest.mark.parametrize("value", ["192.0.2.7.dyn.example.net", "192.0.2.7-gw", "192.0.2.0/24", "192.0.2.7:500"])
def test_a_value_is_not_cut_inside_a_word(value: str) -> None:
    """What begins like an address and goes on is not one."""
    template = _template("changed to {remote}")
    assert template.prefix(f"changed to {value}") is None
    assert template.between(f"changed to {value}") == ({"remote": value}, "")
    assert template.prefix("changed to 198.51.100.7. More") == ({"remote": "198.51.100.7"}, ". More")


def test_a_tail_that_ends_like_the_text() -> None:
    """Where a list is known to follow, the first place that fits ends the text; else the last one does."""
    text = "VPN {name} from {remote} is down."
    line = "VPN a b from gw.example is down. Reason: peer is down."
    values = {"name": "a b", "remote": "gw.example"}
    assert Template(text, lambda _: "name", has_tail=True).between(line) == (values, " Reason: peer is down.")
    found = Template(text, lambda _: "name").between(line)
    assert found is not None
    assert found.values["remote"] == "gw.example is down. Reason: peer"


def test_loose_reading() -> None:
    """Case, spacing and punctuation may differ; the values are the same."""
    template = _template("lookup for Phase-1 [{role}] failed (size {size} bytes)")
    found = template.loosely("Lookup  for phase 1 responder failed: size 16bytes")
    assert found is not None
    assert found.values == {"role": "responder", "size": "16"}
    assert template.loosely("something else") is None
    pair = _template("{kind} {user} with {client} {id} authenticated successfully.")
    found = pair.loosely("User bob with laptop 4711 authenticated successfully")
    assert found is not None
    assert found.values == {"kind": "User", "user": "bob", "client": "laptop", "id": "4711"}


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
