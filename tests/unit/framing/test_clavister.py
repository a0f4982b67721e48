"""Clavister lines: cOS Core with and without its header, cOS Stream, and what is no Clavister line."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lexilog.framing import Context
from lexilog.framing.clavister import parse_clavister
from lexilog.model import Frame

CONTEXT = Context(datetime(2026, 1, 15, 12, 0, tzinfo=UTC), ZoneInfo("Europe/Stockholm"))
CORE = "EFW: IPSEC: prio=1 id=01800906 rev=1 event=ike_sa_deleted local_ip=192.0.2.1"
HEADERLESS = (
    "id=1800906 event=ike_sa_deleted action=none [message=IKE SA deleted, Local IKE peer: 192.0.2.1:500 192.0.2.1. "
    'local_ip=192.0.2.1 remote_ip=198.51.100.1 ipsec_if=VPN1 reason="" ][rules rule=Default ][conn [conn '
    "connsrcip=192.0.2.5 origsent=7.62 K termsent=75.0   connrecvif=lan ]]algmod=http"
)


def _frame(line: str) -> Frame:
    found = parse_clavister(line, CONTEXT)
    assert found is not None
    return found


def test_line_of_core() -> None:
    """PRI, the device's time, category, id, priority and pairs are read; an event is data and no text."""
    found = _frame(f"<134>[2024-09-01 13:04:11] {CORE}\r\n")
    assert (found.kind, found.pri, found.component, found.tag, found.level, found.text, found.body) == (
        "clavister", 134, "IPSEC", "01800906", "1", "", CORE,
    )  # fmt: skip
    assert found.data == {
        "prio": "1", "id": "01800906", "rev": "1", "event": "ike_sa_deleted", "local_ip": "192.0.2.1",
    }  # fmt: skip
    assert (found.process, found.vendor, found.hostname, found.truncated) == (None, None, None, False)


@pytest.mark.parametrize(
    "header",
    [
        "[2024-09-01 13:04:11] ",
        "<134>[2024-09-01 13:04:11] ",
        "2024-09-01 13:04:13\tLocal0.Warning\t192.0.2.9\t[2024-09-01 13:04:11] ",
        "Sep  1 15:04:13 192.0.2.9 [2024-09-01 13:04:11] ",
        "<134>1 2024-09-01T15:04:13+02:00 192.0.2.9 - - - - [2024-09-01 13:04:11] ",
        '<134>1 2024-09-01T15:04:13+02:00 192.0.2.9 EFW 7 - [origin ip="192.0.2.1"] [2024-09-01 13:04:11] ',
    ],
)
def test_the_devices_own_time_is_utc_and_counts_more_than_a_collectors(header: str) -> None:
    """Wherever the time in brackets stands, it is the one that counts, and the zone of other times is not its own."""
    found = _frame(header + CORE)
    assert found.time == datetime(2024, 9, 1, 13, 4, 11, tzinfo=UTC)
    assert found.hostname in (None, "192.0.2.9")
    assert (found.tag, found.component, found.body) == ("01800906", "IPSEC", CORE)


@pytest.mark.parametrize(
    ("header", "hostname", "time"),
    [
        ("", None, None),
        ("<134>", None, None),
        ("Feb  5 09:45:23 192.0.2.1 ", "192.0.2.1", "2025-02-05T08:45:23+00:00"),
        ("Feb 5 2000 09:45:23 gateway.example.com ", "gateway.example.com", "2000-02-05T08:45:23+00:00"),
        ("123 <134>Feb  5 09:45:23 fw1 ", "fw1", "2025-02-05T08:45:23+00:00"),
        ("Sep  1 15:04:13 192.0.2.9 [2024-02-31 13:04:11] ", "192.0.2.9", "2025-09-01T13:04:13+00:00"),
        ("<134>1 2024-09-01T13:04:11Z fw1 - - - - ", "fw1", "2024-09-01T13:04:11+00:00"),
        ("<134>1 2024-09-01T13:04:11Z fw1 - - - - \ufeff", "fw1", "2024-09-01T13:04:11+00:00"),
    ],
)
def test_headers_of_collectors(header: str, hostname: str | None, time: str | None) -> None:
    """Without a time of the device's own, or with one that is no date, host and time are the collector's."""
    found = _frame(header + CORE)
    assert (found.hostname, found.time and found.time.isoformat()) == (hostname, time)
    assert (found.tag, found.component) == ("01800906", "IPSEC")


@pytest.mark.parametrize("rest", ["- - IPSEC: prio=1 id=01800906", "- IPSEC - prio=1 id=01800906"])
def test_the_product_may_be_the_app_name(rest: str) -> None:
    """In a header of RFC 5424 the token is the APP-NAME, and the category may be the MSGID."""
    found = _frame(f"<134>1 2024-09-01T13:04:11Z fw1 EFW 12 {rest}")
    assert (found.component, found.tag, found.level, found.hostname, found.pid) == ("IPSEC", "01800906", "1", "fw1", 12)
    assert found.process is None


def test_structured_data_of_a_relay_is_not_the_devices() -> None:
    """Pairs in the header's structured data are kept apart."""
    found = _frame('<134>1 2024-09-01T13:04:11Z fw1 EFW - - [relay@1 id="5" IKE: prio="1"] IKE: prio=2 id=803')
    assert (found.tag, found.level, found.data) == ("803", "2", {"prio": "2", "id": "803"})


def test_line_without_header() -> None:
    """The id gets its zeros back, the message ends at the first key, values may have blanks, groups are flattened."""
    found = _frame(HEADERLESS)
    assert found.tag == "01800906"
    assert found.text == "IKE SA deleted, Local IKE peer: 192.0.2.1:500 192.0.2.1."
    assert found.data == {
        "id": "1800906",
        "event": "ike_sa_deleted",
        "action": "none",
        "message": found.text,
        "local_ip": "192.0.2.1",
        "remote_ip": "198.51.100.1",
        "ipsec_if": "VPN1",
        "reason": "",
        "rule": "Default",
        "connsrcip": "192.0.2.5",
        "origsent": "7.62 K",
        "termsent": "75.0",
        "connrecvif": "lan",
        "algmod": "http",
    }
    assert (found.truncated, found.component, found.level) == (False, None, None)


def test_line_without_header_behind_one() -> None:
    """The same form is read behind a header."""
    found = _frame(f"<134>1 2024-09-01T13:04:11Z fw1 - - - - {HEADERLESS}")
    assert (found.tag, found.hostname, found.body) == ("01800906", "fw1", HEADERLESS)


def test_message_without_group() -> None:
    """A message that stands in no group ends where one begins."""
    found = _frame("id=3700110 event=user_logout message=User logged out [userauth authrule=R1 srcip=192.0.2.5 ]")
    assert (found.text, found.tag) == ("User logged out", "03700110")
    assert found.data is not None
    assert found.data["srcip"] == "192.0.2.5"


def test_quotes_and_brackets_in_a_message() -> None:
    """Quotes that do not begin a value and brackets that name no group are part of it."""
    message = 'IKE SA negotiation failed: "Timed out" "",Local IKE peer: "[2001:db8::1]:500 ID (null)" [retry].'
    found = _frame(f'id=1802022 event=ike_sa_failed [message={message} statusmsg="Timed out" spi_r=0x0 ]')
    assert (found.text, found.truncated) == (message, False)
    assert found.data is not None
    assert (found.data["statusmsg"], found.data["spi_r"]) == ("Timed out", "0x0")


def test_a_key_that_occurs_twice() -> None:
    """The second one is named after its group."""
    found = _frame("id=7000014 event=ttl_low [message=Dropping ttl=1 ][ippacket ttl=2 ][ARP Packet Data ttl=3 ]")
    assert found.data is not None
    assert [found.data[name] for name in ("ttl", "ippacket.ttl", "ARP Packet Data.ttl")] == ["1", "2", "3"]


def test_quoted_values() -> None:
    r"""Quotes are taken off, \" is a quote, and pairs in quotes may be separated by commas."""
    found = _frame(
        r'id="1800906" event="ike_sa_deleted" user="a \"b\" c=d",path="x\\" peer="a"b" message="IKE SA gone"'
    )
    assert found.data == {
        "id": "1800906", "event": "ike_sa_deleted", "user": 'a "b" c=d', "path": r"x\\", "peer": 'a"b',
        "message": "IKE SA gone",
    }  # fmt: skip
    assert found.text == "IKE SA gone"


def test_a_distinguished_name_is_one_value() -> None:
    """What looks like a key after a comma is part of a certificate's name."""
    found = _frame("EFW: IKE: id=530 remoteid=CN=gw1, O=Example, C=SE iface=vpn1, localip=192.0.2.1")
    assert found.data == {
        "id": "530", "remoteid": "CN=gw1, O=Example, C=SE", "iface": "vpn1", "localip": "192.0.2.1",
    }  # fmt: skip


STREAM = "localip=192.0.2.1 localport=500 remoteip=198.51.100.1 iface=vpn1"


@pytest.mark.parametrize(
    "rest",
    [
        f"IKE: Successfully established IKE SA. id=530 {STREAM}",
        f"IKE: id=530 Successfully established IKE SA. {STREAM}",
        f'IKE: id="530" Successfully established IKE SA. {STREAM}',
        f'IKE: {STREAM} id=530 message="Successfully established IKE SA."',
        f"IKE: id=530 msg=Successfully established IKE SA. {STREAM}",
        f'IKE,IPSEC: prio=2 id=0530 {STREAM} text="Successfully established IKE SA."',
        f'IKE, IPSEC: rev=1 {STREAM} id=530 event="Successfully established IKE SA."',
        f'EFW: IKE: "Successfully established IKE SA." {STREAM} id=530',
    ],
)
@pytest.mark.parametrize("header", ["", "<133>", "<133>[2024-09-01 13:04:11] ", "<133>Sep  1 13:04:11 fw1 "])
def test_line_of_stream(header: str, rest: str) -> None:
    """Id, text and pairs are found in any order; of several categories the first one counts."""
    found = _frame(header + rest)
    assert (found.tag, found.component, found.text) == ("530", "IKE", "Successfully established IKE SA.")
    assert found.data is not None
    assert (found.data["localip"], found.data["localport"], found.data["iface"]) == ("192.0.2.1", "500", "vpn1")


def test_line_of_stream_without_id_or_pairs() -> None:
    """Without an id the text is all there is; with the product's token it needs no pairs."""
    found = _frame(f"<133>Sep  1 13:04:11 fw1 IKE: Peer is dead. {STREAM}")
    assert (found.tag, found.text) == (None, "Peer is dead.")
    alone = _frame("<133>[2024-09-01 13:04:11] EFW: IKE: IKE Max SA Warning.")
    assert (alone.tag, alone.text, alone.component, alone.data) == (None, "IKE Max SA Warning.", "IKE", None)


@pytest.mark.parametrize(
    ("number", "tag"),
    [
        ("03204001", "03204001"),
        ("200002", "00200002"),
        ("12345", "00012345"),
        ("0530", "530"),
        ("7", "7"),
        ("0000", "0"),
        ("abc", None),
        ("\u0663", None),
        ("", None),
    ],
)
def test_ids(number: str, tag: str | None) -> None:
    """An id of cOS Core has eight digits, one of cOS Stream up to four without leading zeros; all else is none."""
    assert _frame(f"EFW: IKE: prio=1 id={number} rev=1").tag == tag


@pytest.mark.parametrize(
    ("line", "data"),
    [
        ('EFW: IKE: id=530 reason="Timed ou', {"id": "530"}),
        ('EFW: IKE: id=530 reason="Timed out\\', {"id": "530"}),
        ("id=1800906 event=x [message=gone local_ip=192.0.2.1 ][conn [conn connsrcip=192.0.2.5 ]", {
            "id": "1800906", "event": "x", "message": "gone", "local_ip": "192.0.2.1", "connsrcip": "192.0.2.5",
        }),
        ("id=1800906 event=x [message=gone ][con", {"id": "1800906", "event": "x", "message": "gone"}),
    ],
)  # fmt: skip
def test_line_that_breaks_off(line: str, data: dict[str, str]) -> None:
    """An open quote or group tells that the line is cut; what is whole is kept, the value in the open quote is not."""
    found = _frame(line)
    assert (found.data, found.truncated) == (data, True)


@pytest.mark.parametrize(
    "line",
    [
        "",
        "EFW",
        "EFW: hello",
        f"<134[2024-09-01 13:04:11] {CORE}",
        f"<134 Feb  5 09:45:23 192.0.2.1 {CORE}",
        f"<192>[2024-09-01 13:04:11] {CORE}",
        f"Aug  3 10:18:44 log1 rsyslogd: could not forward {CORE}",
        f"the operator saw {CORE}",
        "Aug  3 10:18:44 fw1 -EFW: prio=1 id=01800906",
        'Aug  3 10:18:44 sw1 id=firewall sn=0017C5 time="2024-08-03 10:18:44" fw=192.0.2.1 pri=4 c=16 m=353 msg="IKE"',
        "<134>Aug  3 10:18:44 sw1 VPN: id=353 sn=0017C5 fw=192.0.2.1 m=353",
        'date=2024-08-03 time=10:18:44 devname="fg1" logid="0101037124" type="event" msg="negotiate IPsec phase 1"',
        '<30>device="SFW" date=2024-08-03 device_name="X" log_id=062910617704 log_type="Event" iface="xfrm1"',
        'Aug  3 10:18:44 fw1 id=firewall time="2024-08-03 10:18:44" fw="fw1" logtype="vpn" msg="IKE SA established"',
        "Aug  3 10:18:44 web1 ERROR: login failed id=530 event=login",
        "Aug  3 10:18:44 web1 app[3]: id=530 event=login",
        "Aug  3 10:18:44 web1 app[3]: AUDIT: id=530 event=login",
        "Aug  3 10:18:44 srx1 kmd[14162]: KMD_X: some text id=530",
        "Aug  3 10:18:44 mail1 postfix/smtp[9]: 4F2A1B2C: to=<a@example.com>, relay=192.0.2.25, status=sent",
        "Aug  3 10:18:44 gw1 kernel: FW: IN=eth0 OUT= SRC=192.0.2.1 ID=530 PROTO=UDP",
        "CEF: 0|FORCEPOINT|Firewall|6.8.6|0|Generic|0|deviceFacility=IPsec id=530 event=x",
    ],
)
def test_what_is_no_clavister_line(line: str) -> None:
    """Other vendors' pairs, other programs' words in upper case, prose and a broken PRI do not make a frame."""
    assert parse_clavister(line, CONTEXT) is None


@given(
    st.text(),
    st.sampled_from(["", "EFW: ", "IKE: id=1 ", "id=1800906 event=x [", "<134>[2024-09-01 13:04:11] EFW: A: "]),
)
def test_any_text_is_framed_or_not(text: str, start: str) -> None:
    """No text makes framing raise, and what it gives is part of the line."""
    found = parse_clavister(start + text, CONTEXT)
    assert found is None or found.body in start + text


PIECES = [
    "EFW: ",
    "IKE,IPSEC: ",
    "id=530 ",
    "x=",
    '"',
    "\\",
    "[",
    "]",
    "[conn ",
    ", O=",
    "<134>",
    "[2024-09-01 13:04:11] ",
]


@given(
    st.lists(st.sampled_from([*PIECES, "message=", "word ", "\0", "\n", "\udcff", "é", ","]), max_size=30).map("".join)
)
def test_any_order_of_pieces_is_framed_or_not(text: str) -> None:
    """Pieces of lines in any order do not make framing raise either; values are parts of the line."""
    found = parse_clavister(text, CONTEXT)
    assert found is None or all(value in text or '"' in value for value in (found.data or {}).values())


@given(st.integers(0, len(HEADERLESS)), st.integers(0, len(HEADERLESS) - 1), st.characters())
def test_any_cut_and_any_changed_character(end: int, place: int, other: str) -> None:
    """A line that is cut is framed as soon as its id and the beginning of its event are there."""
    cut = parse_clavister(HEADERLESS[:end], CONTEXT)
    assert (cut is None) == (end < len("id=1800906 event=i"))
    assert cut is None or cut.tag == "01800906"
    changed = parse_clavister(HEADERLESS[:place] + other + HEADERLESS[place + 1 :], CONTEXT)
    assert changed is None or changed.kind == "clavister"


@pytest.mark.parametrize(
    "part",
    ["[", "]", "a=", "a=[", 'a="b ', "a ", " ", "\\", '"a', ", O=", "[a b c d ", "A: ", "1", "[2024-09-01 ", "id="],
)
@pytest.mark.parametrize("start", ["EFW: IKE: ", 'EFW: x="', "IKE: id=530 x=", "id=1800906 event=", ""])
def test_hostile_lines_come_back(start: str, part: str) -> None:
    """A line of a mebibyte is read in one pass whatever it repeats."""
    found = parse_clavister(start + part * ((1 << 20) // len(part)), CONTEXT)
    assert found is None or found.kind == "clavister"


@pytest.mark.parametrize(
    "line",
    [
        "Sep  1 10:00:00 host DHCPD: id=803 lease expired",
        "Sep  1 10:00:00 host TASK: id=770 done",
        "Sep  1 10:00:00 host IKE: id=803",
        "2024-05-04 15:27:26 DEBUG IKE: request id=803 took 3 ms",
        "2024-05-04 15:27:26 IPSEC: rule id=642 matched",
        "[2024-05-04 15:27:26] IKE: session id=530 user=joe",
        "Dec 27 05:58:05 KMD_VPN_DOWN_ALARM_USER: VPN id=530 from 192.0.2.1 is down.",
        "Dec 27 05:58:05 KMD_PM_NO_ACTIVE_PEER: no peer for SA iface=st0",
    ],
)
def test_a_number_alone_is_no_proof(line: str) -> None:
    """Without the product's token it takes a category of its own, and more than an id that any program may write."""
    assert parse_clavister(line, CONTEXT) is None


def test_a_line_that_is_cut_inside_a_key() -> None:
    """What is left of the key is no part of an address or number before it, and the frame says that it is cut."""
    found = parse_clavister("<134>[2024-09-01 13:04:11] EFW: IKE: id=803 localip=192.0.2.1 localp", CONTEXT)
    assert found is not None
    assert (found.data or {})["localip"] == "192.0.2.1"
    assert found.truncated


@pytest.mark.parametrize(
    "body",
    [
        'IKE: message="IKE Max SA Warning."',
        "IKE: IKE Max SA Warning.",
        "IKE: id=0770",
        'RULE: id="1655"',
        "RULE: prio=2 id=1655 rev=1",
        "IKE,IPSEC: id=1694 ip=192.0.2.7 iface=vpn1",
    ],
)
def test_the_products_own_time_is_half_a_proof(body: str) -> None:
    """Behind it a category of the IKE chapter with an id, a sentence or the product's own pairs is enough."""
    found = parse_clavister(f"<134>[2024-09-01 13:04:11] {body}", CONTEXT)
    assert found is not None
    assert found.component in ("IKE", "RULE")


def test_a_list_of_categories_is_half_a_proof() -> None:
    """Nobody else writes one before a colon."""
    found = parse_clavister('<134>IKE,RULE: message="Failed to re-initialize dynamic rules."', CONTEXT)
    assert found is not None
    assert (found.component, found.text) == ("IKE", "Failed to re-initialize dynamic rules.")
