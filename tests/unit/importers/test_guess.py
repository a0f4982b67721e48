"""What names and words suggest."""

from __future__ import annotations

import pytest

from lexilog.catalog.fields import ecs, fields
from lexilog.importers import _guess
from lexilog.importers._guess import guess_field, guess_meaning, guess_type, severity_code
from lexilog.matching.types import TYPES


@pytest.mark.parametrize(
    ("name", "kind", "field"),
    [
        ("local-address", "address", "lexilog.local.ip"),
        ("localip", "address", "lexilog.local.ip"),
        ("gateway-address", "address", None),
        ("ip", "address", None),
        ("relationship", "name", None),
        ("remote_port", "port", "lexilog.remote.port"),
        ("report", "name", None),
        ("retryCount", "integer", None),
        ("size2", "integer", None),
        ("error-message", "text", "event.reason"),
        ("vpn-name", "name", "lexilog.tunnel.name"),
        ("durationSeconds", "seconds", "event.duration"),
        ("pool-name", "name", None),
        ("7", "name", None),
    ],
)
def test_types_and_fields_by_name(name: str, kind: str, field: str | None) -> None:
    """The last word of a name tells its type; a field is given only where the whole name makes it plain."""
    assert (guess_type(name), guess_field(name, kind)) == (kind, field)


def test_a_field_goes_with_its_type() -> None:
    """Where a layout knows the type better than the name does, the name's field is not for such a value."""
    assert guess_field("username", "boolean") is None


def test_every_guess_is_one_that_loads() -> None:
    """Types and fields are those that a catalogue may name."""
    kinds = {kind for kind, _ in _guess._KNOWN.values()} | set(_guess._BY_LAST_WORD.values())
    assert kinds <= set(TYPES)
    assert {field for _, field in _guess._KNOWN.values()} <= set(fields())


MEANINGS = [
    ("EX_LOGIN_FAILED", "", ("authentication",), "start", "failure", "down"),
    ("EX_LICENSE", "Widget denied", ("network",), "denied", "failure", "down"),
    ("EX_SPOOF", "Spoofed packet rejected", ("network",), "denied", "failure", "security"),
    ("EX_CFG", "Unable to read configuration", ("configuration",), "info", "failure", "degraded"),
    ("EX_SA", "Unable to negotiate an SA", ("network",), "start", "failure", "down"),
    ("EX_X", "Widget {not-found} seen", ("network",), "info", None, "none"),
    ("EX_DOWN", "VPN {name} is down", ("network", "session"), "end", None, "down"),
    ("EX_END", "Session closed", ("network", "session"), "end", None, "none"),
    ("EX_UP", "VPN {name} is up", ("network", "session"), "start", "success", "none"),
    ("EX_AUTH", "User authenticated successfully", ("authentication",), "start", "success", "none"),
    ("EX_WRITE", "Configuration is written", ("configuration",), "info", None, "none"),
    ("EX_HELLO", "Widget seen", ("network",), "info", None, "none"),
]


@pytest.mark.parametrize(("tag", "text", "category", "kind", "outcome", "impact"), MEANINGS)
def test_meaning_by_words(
    tag: str, text: str, category: tuple[str, ...], kind: str, outcome: str | None, impact: str
) -> None:
    """Words of id and text tell failure, end and success; the names of variables do not count."""
    assert guess_meaning(tag.replace("_", " "), text) == (category, kind, outcome, impact)


@pytest.mark.parametrize(("tag", "text"), [(tag, text) for tag, text, *_ in MEANINGS])
def test_every_meaning_is_one_that_ecs_expects(tag: str, text: str) -> None:
    """A draft with it loads."""
    found = guess_meaning(tag.replace("_", " "), text)
    expected = ecs()["event.category"].expected_types or {}
    assert all(found.type in expected[category] for category in found.category)


def test_severity_words() -> None:
    """Words of vendors that syslog knows have its code; others have none."""
    assert [severity_code(word) for word in ("Emergency", "crit", "Information", "notice")] == [0, 2, 6, 5]
    assert severity_code("Major") is None
