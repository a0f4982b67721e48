"""Why a line is an entry, and where the next nearest one stopped."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from lexilog import Match, Pipeline
from lexilog.framing import Context, frame
from lexilog.matching.explain import Explanation, explain
from lexilog.matching.index import Miss

CONTEXT = Context(datetime(2026, 1, 15, 12, 0, tzinfo=UTC))


def _explain(pipeline: Pipeline, line: str) -> tuple[str, Explanation]:
    framed = frame(line, CONTEXT)
    assert framed is not None
    return framed.text, explain(framed, pipeline.entries)


def test_documented_words_are_marked(pipeline: Pipeline) -> None:
    """Of a line that is recognised the words of its format are told apart from its values."""
    line = "Aug  3 10:18:44 srx1 kmd[1]: KMD_VPN_UP_ALARM_USER: VPN v1 from 192.0.2.1 is up."
    text, found = _explain(pipeline, line)
    assert isinstance(found.match, Match)
    assert found.format == "VPN {vpn-name} from {remote-address} is up."
    assert [text[start:end] for start, end in found.words] == ["VPN ", " from ", " is up."]


@pytest.mark.parametrize(
    ("text", "before", "wanted"),
    [
        ("VPN v1 from 192.0.2.1 is ip.", "VPN v1 from 192.0.2.1 is ", "'down.'"),
        ("VPN v1 from nowhere is up.", "VPN v1 from ", "an IP address for {remote-address}"),
        ("VPN v1 frm 192.0.2.1 is up.", "VPN ", "'from' after {vpn-name}"),
        ("Unable to find active pear for SA sa-1", "Unable to find active pe", "'er for SA '"),
    ],
)
def test_the_nearest_entry_says_where_it_stopped(pipeline: Pipeline, text: str, before: str, wanted: str) -> None:
    """The caret stands under the character where line and format part."""
    _, found = _explain(pipeline, f"Aug  3 10:18:44 srx1 kmd[1]: {text}")
    assert isinstance(found.match, Miss)
    assert found.nearest is not None
    assert text[: found.nearest.position].startswith(before)
    assert (found.nearest.wanted or "").startswith(wanted)


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        (
            "Aug  3 10:18:44 srx1 sshd[1]: Unable to find active peer for SA sa-1",
            "its process is kmd or iked, not sshd",
        ),
        (
            "CEF:0|Other|Thing|1|0|Generic|0|deviceFacility=IPsec msg=Starting Hybrid Authentication",
            "its device is forcepoint|firewall",
        ),
        (
            "CEF:0|Forcepoint|Firewall|1|0|Generic|0|deviceFacility=Packet filtering msg=ESP [x]",
            "its component is ipsec or vpn, not Packet filtering",
        ),
        (
            "Aug  3 10:18:44 srx1 kmd[1]: KMD_OTHER: VPN v1 from 192.0.2.1 is up.",
            "the line's own id is KMD_OTHER",
        ),
    ],
)
def test_what_else_is_against_an_entry_is_said(pipeline: Pipeline, line: str, wanted: str) -> None:
    """A text that fits does not make the line an entry's: process, device, component or id may say otherwise."""
    _, found = _explain(pipeline, line)
    assert isinstance(found.match, Miss)
    assert found.nearest is not None
    assert any(wanted in reason for reason in found.nearest.against)


def test_a_line_that_has_nothing_in_common(pipeline: Pipeline) -> None:
    """There is no nearest entry then."""
    _, found = _explain(pipeline, "Aug  3 10:18:44 srx1 other[1]: ~~~~")
    assert (found.match, found.nearest, found.words) == (Miss("unknown_text"), None, ())
