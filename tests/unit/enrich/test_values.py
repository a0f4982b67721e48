"""Text to typed value; what does not fit is left out."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lexilog.enrich.values import address_family, as_address, as_long, as_port, converter


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("2001:db8::1", "2001:db8::1"),
        ("[2001:db8::1]", "2001:db8::1"),
        ("ipv4(udp:500,[0..3]=192.0.2.1)", "192.0.2.1"),
        ("ipv6(any:0,[0..15]=2001:db8::1)", "2001:db8::1"),
        ("192.0.2.1/500", "192.0.2.1"),
        ("192.0.2.256", None),
        ("192.0.2", None),
        ("fe80::1%ge-0", None),
        ("fqdn(udp:500,[0..9]=gw.example)", None),
        ("ipv4_subnet(any:0,[0..7]=10.0.0.0/8)", None),
        ("192.0.2.0/24", None),
        ("2001:db8::/32", None),
        ("der_asn1_dn(any:0,[0..70]=C=US, O=x, CN=192.0.2.99)", None),
        ("gw.example", None),
        ("", None),
        ("192.0.2.1\0", None),
    ],
)
def test_addresses(text: str, expected: str | None) -> None:
    """An address stands by itself or in an IKE identity."""
    assert as_address(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("500", 500),
        ("65535", 65535),
        ("0", None),
        ("65536", None),
        ("-1", None),
        ("x", None),
        ("", None),
        ("\u0665\u0660", 50),
        ("ipv4(udp:4500,[0..3]=192.0.2.1)", 4500),
        ("ipv4(any:0,[0..3]=192.0.2.1)", None),
        ("192.0.2.1/500", 500),
    ],
)
def test_ports(text: str, expected: int | None) -> None:
    """A port is 1 to 65535, by itself or in an IKE identity."""
    assert as_port(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("42", 42),
        ("-1", -1),
        ("9223372036854775807", 2**63 - 1),
        ("9223372036854775808", None),
        ("1.5", None),
        ("1_000", None),
        (" 42\n", None),
        ("", None),
    ],
)
def test_numbers(text: str, expected: int | None) -> None:
    """A whole number is what 64 bits hold."""
    assert as_long(text) == expected


@given(
    st.text(), st.sampled_from([("a", "boolean", bool), ("a", "ip", str), ("a", "keyword", str), ("a", "long", int)])
)
def test_no_text_raises(text: str, field: tuple[str, str, type]) -> None:
    """Any text is a value of the type or nothing."""
    name, kind, expected = field
    value: Any = converter(name, kind, "name")(text)
    assert value is None or type(value) is expected
    assert as_port(text) is None or 0 < (as_port(text) or 0) < 65536
    assert address_family(text) in (None, "ipv4", "ipv6")


@pytest.mark.parametrize(
    ("field", "field_type", "variable_type", "text", "expected"),
    [
        ("event.duration", "long", "seconds", "437", 437_000_000_000),
        ("event.duration", "long", "seconds", "-1", None),
        ("event.duration", "long", "integer", "437", 437),
        ("lexilog.device.jailbroken", "boolean", "boolean", "True", True),
        ("lexilog.device.jailbroken", "boolean", "boolean", "no", False),
        ("lexilog.device.jailbroken", "boolean", "boolean", "maybe", None),
        ("lexilog.ike.role", "keyword", "role", "Responder", "responder"),
        ("lexilog.ike.role", "keyword", "name", "R", "responder"),
        ("lexilog.ike.role", "keyword", "boolean", "yes", "initiator"),
        ("lexilog.ike.role", "keyword", "boolean", "false", "responder"),
        ("lexilog.ike.role", "keyword", "name", "192.0.2.1", None),
        ("host.os.type", "keyword", "name", "iOS", "ios"),
        ("host.os.type", "keyword", "name", "BlackBerry", None),
    ],
)
def test_what_a_field_needs(field: str, field_type: str, variable_type: str, text: str, expected: object) -> None:
    """Durations are nanoseconds, booleans are booleans, a role is one of two words, what does not fit is left out."""
    assert converter(field, field_type, variable_type)(text) == expected
