"""Settings that are each right, and together make no sense."""

from __future__ import annotations

import re
import socket
from pathlib import Path

import msgspec
import pytest

from lexilog import SettingsError
from lexilog.service.settings import Doors, ForwardDoorSettings, GrpcDoorSettings, HttpDoorSettings, Settings
from lexilog.service.settings.check import check_settings
from lexilog.service.settings.file import load_layers

TOKEN = "t0ken-t0ken-t0ken"
TLS = "tls: {cert_file: cert.pem, key_file: key.pem}"
SINK = "relays: {sink: {type: file, path: out.ndjson}}"


def _load(tmp_path: Path, text: str) -> Settings:
    path = tmp_path / "lexilog.yaml"
    path.write_text(text)
    return load_layers(path, environ={})[0]


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> None:
    """Put a double in the resolver's place: it knows three names, no others, and what is an address already."""
    known = {
        "here.example": ["127.0.0.1", "::1"],
        "both.example": ["127.0.0.1", "192.0.2.1"],
        "away.example": ["192.0.2.1"],
    }
    resolve = socket.getaddrinfo

    def double(name: str, *rest: object) -> object:
        if name in known:
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (one, 0)) for one in known[name]]
        if name.endswith(".example"):
            raise socket.gaierror(socket.EAI_NONAME, "not known")
        return resolve(name, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(socket, "getaddrinfo", double)


@pytest.mark.parametrize(
    "listen",
    [
        "0.0.0.0:1", "[::]:1", "192.0.2.1:1", "[2001:db8::1]:1", "0:1",
        "away.example:1", "both.example:1", "nowhere.example:1",
    ],
)  # fmt: skip
@pytest.mark.usefixtures("names")
def test_an_open_door_for_everybody_is_refused(listen: str, tmp_path: Path) -> None:
    """Without TLS and without a secret a door listens on this machine alone; the error says what to do."""
    for door, secret in (("grpc", "tokens"), ("http", "tokens"), ("forward", "a shared_key")):
        problem = (
            f"has neither tls nor {secret}: give it one of them, or say 'allow_unprotected: true' under doors.{door}"
        )
        with pytest.raises(SettingsError, match=rf"lexilog\.yaml:1:\d+: listen: .*{problem}"):
            _load(tmp_path, f"doors: {{{door}: {{listen: '{listen}'}}}}\n{SINK}")


@pytest.mark.parametrize("listen", ["127.0.0.1:1", "127.9.9.9:1", "[::1]:1", "[::ffff:127.0.0.1]:1", "here.example:1"])
@pytest.mark.usefixtures("names")
def test_loopback_needs_no_protection(listen: str, tmp_path: Path) -> None:
    """A door that only this machine reaches may be plain and open."""
    grpc = _load(tmp_path, f"doors: {{grpc: {{listen: '{listen}'}}}}").doors.grpc
    assert grpc
    assert grpc.listen == listen


@pytest.mark.parametrize("protection", ["", f", {TLS}"])
def test_a_short_key_is_no_protection(protection: str, tmp_path: Path) -> None:
    """It can be guessed, by whoever reaches the door; on this machine alone any key will do."""
    key = "shared_key: s3cr3t-s3cr3t-s"
    problem = r"1:\d+: shared_key: 0\.0\.0\.0:1 can be reached .* take 16 or more characters"
    with pytest.raises(SettingsError, match=problem) as caught:
        _load(tmp_path, f"doors: {{forward: {{listen: '0.0.0.0:1', {key}{protection}}}}}\n{SINK}")
    assert "s3cr3t" not in str(caught.value)
    assert _load(tmp_path, f"doors: {{forward: {{{key}{protection}}}}}\n{SINK}").doors.forward


def test_a_message_that_hardly_ever_fits_is_refused(tmp_path: Path) -> None:
    """A door that takes larger messages than may be pending would take them only while nothing else is."""
    problem = r"1:\d+: max_receive_bytes: 2097152 is more than max_pending_bytes \(1048576\)"
    with pytest.raises(SettingsError, match=problem):
        _load(tmp_path, "doors: {grpc: {max_receive_bytes: 2097152}}\nmax_pending_bytes: 1048576")
    assert _load(tmp_path, "doors: {grpc: {max_receive_bytes: 1048576}}\nmax_pending_bytes: 1048576")


@pytest.mark.parametrize(
    ("door", "protection"),
    [
        ("grpc", TLS),
        ("forward", TLS),
        ("grpc", f"tokens: [{TOKEN}]"),
        ("http", "tokens_file: tokens"),
        ("forward", "shared_key: a-key-of-16-char"),
        ("forward", "tls: {cert_file: c, key_file: k, client_ca_file: a}, shared_key: k"),
        ("forward", "allow_unprotected: true, shared_key: k"),
        ("grpc", "allow_unprotected: true"),
        ("forward", "allow_unprotected: true"),
    ],
)
def test_a_protected_door_may_be_open_to_others(door: str, protection: str, tmp_path: Path) -> None:
    """TLS, a secret, or the word of whoever writes the settings."""
    found = _load(tmp_path, f"doors: {{{door}: {{listen: '0.0.0.0:1', {protection}}}}}\n{SINK}")
    assert list(found.doors.open()) == [door]


def test_settings_without_a_file_are_checked_too() -> None:
    """A program that makes settings itself hears the same."""
    for doors in (
        Doors(grpc=GrpcDoorSettings(listen="0.0.0.0:1")),
        Doors(http=HttpDoorSettings(listen="0.0.0.0:1", tokens=())),
        Doors(grpc=GrpcDoorSettings(), forward=ForwardDoorSettings(listen="0.0.0.0:1")),
    ):
        with pytest.raises(SettingsError, match="can be reached from other machines"):
            check_settings(Settings(doors=doors))


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("metrics: {listen: '127.0.0.1:4317'}", "1:11: listen: 127.0.0.1:4317 is the address of a door"),
        ("metrics: {listen: '0.0.0.0:4317'}", "is the address of a door: metrics need their own"),
        ("metrics: {listen: '9464'}", "1:11: listen: '9464' is no HOST:PORT"),
        ("traces: {endpoint: 'collector.example:4317'}", "1:10: traces: this is no URL"),
        ("traces: {endpoint: 'ftp://x'}", "this is no URL"),
        ("traces: {endpoint: 'http://'}", "this is no URL"),
        ("traces: {endpoint: 'http://[::1'}", "this is no URL"),
        ("traces: {endpoint: 'http://x:port'}", "this is no URL"),
        ("traces: {endpoint: 'http://x:0'}", "port 0 is none to send to"),
        ("traces: {endpoint: 'http://u:p4ssw0rd@collector.example'}", "a URL holds no user and password here"),
        ("workers: 2\nrelays: {a: {type: stdout}}", "2:10: relay a: the lines of 2 workers would mix"),
        ("csv_columns: [a, b]", "1:1: csv_columns: these name no time (TIMESTAMP), or neither INFO_MSG nor SITUATION"),
    ],
)
def test_what_does_not_go_together(text: str, problem: str, tmp_path: Path) -> None:
    """The error names the place and what to do."""
    with pytest.raises(SettingsError) as caught:
        _load(tmp_path, text)
    assert re.search(
        rf"lexilog\.yaml:(1:\d+: (listen: 0.0.0.0:4317 |traces: )?)?{re.escape(problem)}", str(caught.value)
    )
    assert "p4ssw0rd" not in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "metrics: {listen: '0.0.0.0:9464'}",
        "doors: {grpc: {listen: '127.0.0.1:0'}}\nmetrics: {listen: '127.0.0.1:0'}",
        "workers: 1\nrelays: {a: {type: stdout}}",
        "doors: {grpc: {max_connections: 5, max_connections_per_host: 10}}",
        "csv_columns: [TIMESTAMP, NODE_ID, INFO_MSG]",
        "traces: {endpoint: 'https://collector.example:4317'}",
    ],
)
def test_what_goes_together(text: str, tmp_path: Path) -> None:
    """Metrics for everybody, free ports, one worker on a pipe, a limit that a lower one makes useless."""
    assert msgspec.to_builtins(_load(tmp_path, text), enc_hook=str)


OTLP = "type: otlp, endpoint: 'h.example:1'"
OTLP_HTTP = "type: otlp, protocol: http, endpoint"
FORWARD = "type: forward, endpoint: 'h.example:1'"
ES = "type: elasticsearch, urls"
HEC = "type: splunk_hec, token: t, url"


@pytest.mark.parametrize(
    ("relay", "problem"),
    [
        (f"{OTLP}, tls: true, cert_file: c", "2:55: cert_file and key_file are needed together"),
        (f"{ES}: ['https://h.example'], key_file: k", "cert_file and key_file are needed together"),
        (f"{OTLP}, ca_file: c", "ca_file is for TLS, and tls is not switched on: mend one of them"),
        (f"{FORWARD}, cert_file: c, key_file: k", "cert_file is for TLS, and tls is not switched on"),
        (f"{OTLP_HTTP}: 'http://h.example:1', ca_file: c", "ca_file is for TLS, and the URL is not https"),
        (f"{OTLP_HTTP}: 'https://h.example:1', tls: true", "tls is for the protocol grpc; with http the URL says it"),
        (f"{ES}: ['http://h.example:1'], ca_file: c", "ca_file is for TLS, and the URL is not https: mend one of them"),
        (f"{HEC}: 'http://h.example:1', cert_file: c, key_file: k", "cert_file is for TLS, and the URL is not https"),
    ],
)  # fmt: skip
def test_tls_of_a_relay_that_makes_no_sense(relay: str, problem: str, tmp_path: Path) -> None:
    """Certificates without TLS would be ignored, and the records be sent in plain text."""
    with pytest.raises(SettingsError) as caught:
        _load(tmp_path, f"relays:\n  r: {{{relay}}}\ndead_letters: {{path: dead}}")
    assert re.search(rf"lexilog\.yaml:(2:\d+: )?{re.escape(problem)}", str(caught.value).replace("relay r: ", "", 1))


@pytest.mark.parametrize(
    "relay",
    [
        f"{OTLP}, tls: true, ca_file: a, cert_file: c, key_file: k",
        f"{OTLP}, tls: true",
        f"{FORWARD}, tls: true, ca_file: a",
        f"{OTLP_HTTP}: 'https://h.example:1', cert_file: c, key_file: k",
        f"{ES}: ['HTTPS://h.example:1'], ca_file: a",
        f"{HEC}: 'https://h.example:1', ca_file: a, cert_file: c, key_file: k",
    ],
)
def test_tls_of_a_relay(relay: str, tmp_path: Path) -> None:
    """Each relay that has a next hop may speak TLS to it, and show a certificate."""
    assert list(_load(tmp_path, f"relays: {{r: {{{relay}}}}}\ndead_letters: {{path: dead}}").relays) == ["r"]
