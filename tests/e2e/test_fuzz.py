"""Whatever bytes come in at a door of a real `lexilog serve`: it lives on, answers properly, and does not grow.

Inputs worth keeping stand in tests/corpus/DOOR/*.bin, byte for byte as a client sends them, and are sent first.
"""

from __future__ import annotations

import gzip
import json
import re
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import msgpack
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

import http2
from house import ENRICH, ENRICH_STREAM, EXPORT, HEALTH, LINE, PROTOBUF, REFLECTION, chunk_of, enrich_of, export_of
from lexilog.service.http2 import HEALTH_BYTES
from processes import LEXILOG, Process
from real_server import RealServer

CORPUS = Path(__file__).parent.parent / "corpus"
DOORS = ("grpc", "http", "forward")
MEBIBYTE = 1 << 20
LIMIT = 4 * MEBIBYTE
# Of memory, from one run to another that sends the same: what allocators keep or give back as they like.
SLACK = 30 * MEBIBYTE
# Seconds that the door has for what it says, before the client hangs up on it.
GLANCE = 0.03
# What a client may be told of its mistakes; never 500, and never UNKNOWN or INTERNAL, which are for ours.
CODES = {"OK", "INVALID_ARGUMENT", "RESOURCE_EXHAUSTED", "NOT_FOUND", "UNIMPLEMENTED"}
STATUSES = {200, 400, 404, 405, 408, 411, 413, 414, 415, 417, 431, 503, 505}
METHODS = (
    EXPORT, ENRICH, ENRICH_STREAM, "/lexilog.v1.EnrichService/Search", "/lexilog.v1.EnrichService/Describe",
    HEALTH, REFLECTION, "/no.such.Service/Method",
)  # fmt: skip

pytestmark = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs /proc to see a process's memory")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealServer]:
    folder = tmp_path_factory.mktemp("fuzz")
    told = {
        "doors": {key: {"listen": "127.0.0.1:0", "max_receive_bytes": LIMIT, "max_records": 1000} for key in DOORS},
        "relays": {
            "file": {"type": "file", "path": str(folder / "taken.ndjson"), "rotate_bytes": 10_000_000, "keep": 1}
        },
    }
    path = folder / "lexilog.yaml"
    path.write_text(json.dumps(told))
    process = Process([LEXILOG, "serve", "--config", path], "relays: ", folder / "serve.log")
    try:
        server = RealServer(process)
        assert server.is_well()
        yield server
        assert server.is_well(), "after all of it each door takes a good request, in the same process"
        _, found, rest = process.log.read_text(errors="replace").partition("Traceback")
        assert not found, rest[:4000]
        assert process.terminate() == 0
    finally:
        process.kill()


# Valid requests, as bytes on the wire, to begin with.


def _http(body: bytes, path: str = "/v1/enrich", kind: str = "application/json", **headers: str) -> bytes:
    told = {"Host": "x", "Content-Type": kind, "Content-Length": str(len(body))} | headers
    lines = [f"POST {path} HTTP/1.1", *(f"{name.replace('_', '-')}: {value}" for name, value in told.items())]
    return "\r\n".join([*lines, "", ""]).encode() + body


OTLP_JSON = json.dumps(
    {"resourceLogs": [{"scopeLogs": [{"logRecords": [{"timeUnixNano": "1", "body": {"stringValue": LINE}}]}]}]}
).encode()
ENTRY = msgpack.packb([1_700_000_000, {"log": LINE}])
VALID: dict[str, tuple[bytes, ...]] = {
    "grpc": (
        http2.greeting() + http2.call_of(EXPORT, export_of(LINE)),
        http2.greeting() + http2.call_of(ENRICH, enrich_of(LINE)) + http2.call_of(HEALTH, b"", 3),
        http2.greeting() + http2.frame(http2.PING, 0, 0, bytes(8)) + http2.call_of(REFLECTION, b"\x3a\0"),
    ),
    "http": (
        _http(json.dumps({"log": LINE}).encode()),
        _http(json.dumps([LINE, {"message": LINE}]).encode()),
        _http(b'{"log": "a"}\n"b"\n', kind="application/x-ndjson"),
        _http(export_of(LINE), "/v1/logs", "application/x-protobuf"),
        _http(OTLP_JSON, "/v1/logs"),
        _http(gzip.compress(OTLP_JSON, mtime=0), "/v1/logs", Content_Encoding="gzip"),
        b'POST /v1/enrich HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n"x"\r\n0\r\n\r\n',
        _http(b'"x"') + _http(b'"y"', Connection="close"),
    ),
    "forward": (
        chunk_of("1", LINE, LINE),
        chunk_of(None, LINE),
        msgpack.packb(["vpn", ENTRY * 2, {"chunk": "2", "size": 2}]),
        msgpack.packb(["vpn", gzip.compress(ENTRY * 3, mtime=0), {"chunk": "3", "compressed": "gzip"}]),
        msgpack.packb(["vpn", 1_700_000_000, {"log": LINE}, {"chunk": "4", "metadata": {"a": 1}}]),
        msgpack.packb(["vpn", msgpack.ExtType(0, bytes(8)), {"log": LINE}]),
        msgpack.packb(None) + chunk_of("5", LINE),
    ),
}


@st.composite
def mutated(draw: st.DrawFn, *valid: bytes) -> bytes:
    """Some bytes with a few mistakes: others in their place, some put in, taken away or repeated."""
    data = draw(st.sampled_from(valid))
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(data)))
        end = min(len(data), start + draw(st.sampled_from([0, 1, 1, 2, 4, 30, 1000])))
        what = draw(st.sampled_from(["replace", "replace", "repeat", "cut"]))
        middle = (
            draw(st.binary(max_size=8)) if what == "replace" else data[start:end] * draw(st.sampled_from([2, 3, 500]))
        )
        data = data[:start] + (b"" if what == "cut" else middle + data[end:])
    return data


FRAMES = st.builds(
    http2.frame,
    st.integers(0, 12),
    st.integers(0, 255),
    st.sampled_from([0, 1, 2, 3, 5, 2**31 - 1, 2**32 - 1]),
    st.binary(max_size=60) | st.just(http2.fields((":path", EXPORT), ("te", "trailers"))),
)
SPOKEN: dict[str, st.SearchStrategy[bytes]] = {
    "grpc": st.one_of(
        mutated(*VALID["grpc"]),
        st.builds(lambda frames: http2.greeting() + b"".join(frames), st.lists(FRAMES, max_size=20)),
        st.binary(max_size=300),
    ),
    "http": st.one_of(mutated(*VALID["http"]), st.binary(max_size=300)),
    "forward": st.one_of(
        mutated(*VALID["forward"]),
        mutated(*VALID["forward"]).map(lambda data: b"\x93\xa3vpn" + data),
        st.binary(max_size=300),
    ),
}
TEXT = st.text(max_size=20) | st.sampled_from([LINE, "log", "message", "stringValue", "body", "logRecords", "1" * 25])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | TEXT,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(TEXT, inner, max_size=5),
    max_leaves=15,
)


def say(server: RealServer, door: str, data: bytes) -> bytes:
    """Send bytes, see what the door says within a glance, and hang up."""
    said = b""
    with socket.create_connection(("127.0.0.1", server.process.ports[door]), 20) as client:
        client.settimeout(GLANCE)
        try:
            client.sendall(data)
            while found := client.recv(1 << 16):
                said += found
        except OSError:
            pass
    if door == "http":
        statuses = {int(found) for found in re.findall(rb"^HTTP/1\.[01] (\d{3}) ", said, re.MULTILINE)}
        assert statuses <= STATUSES, said[:500]
    return said


def call(to: grpc.Channel, method: str, message: bytes) -> str:
    """Return the code of a call."""
    try:
        for _ in to.unary_stream(method)(message, timeout=20):
            continue
    except grpc.RpcError as error:
        return str(error.code().name)
    return "OK"


# How each kind of input is sent. Hypothesis draws the input.

Attack = Callable[[RealServer, Any], None]


def bytes_to(door: str) -> Attack:
    def attack(server: RealServer, data: Any) -> None:
        say(server, door, data)

    return attack


def grpc_messages(server: RealServer, data: Any) -> None:
    method, message = data
    with grpc.insecure_channel(f"127.0.0.1:{server.process.ports['grpc']}") as to:
        code = call(to, method, message)
    # Who says much to health, which needs no token, is sent away.
    assert code in CODES or (code == "UNAVAILABLE" and method == HEALTH and len(message) + 5 > HEALTH_BYTES)


def http_bodies(server: RealServer, data: Any) -> None:
    path, kind, body, packed = data
    headers = {"Content_Encoding": "gzip"} if packed else {}
    assert server.http(gzip.compress(body) if packed else body, path, Content_Type=kind, **headers) in STATUSES


def forward_messages(server: RealServer, data: Any) -> None:
    say(server, "forward", data)


def _json(value: Any) -> bytes:
    return json.dumps(value).encode("utf-8", "surrogatepass")


def _forward(value: Any) -> bytes:
    packed: bytes = msgpack.packb(value, unicode_errors="surrogatepass")
    return packed


MESSAGES = st.one_of(mutated(export_of(LINE), enrich_of(LINE, LINE)), st.binary(max_size=300))
BODIES = st.one_of(VALUES.map(_json), mutated(OTLP_JSON, b'[{"log": "x"}]', export_of(LINE)), st.binary(max_size=300))
ATTACKS: dict[str, tuple[Attack, st.SearchStrategy[Any]]] = {
    "bytes to grpc": (bytes_to("grpc"), SPOKEN["grpc"]),
    "bytes to http": (bytes_to("http"), SPOKEN["http"]),
    "bytes to forward": (bytes_to("forward"), SPOKEN["forward"]),
    "messages to grpc": (grpc_messages, st.tuples(st.sampled_from(METHODS), MESSAGES)),
    "bodies to http": (
        http_bodies,
        st.tuples(
            st.sampled_from(["/v1/logs", "/v1/enrich"]),
            st.sampled_from([*PROTOBUF.values(), "application/json", "application/x-ndjson", "text/plain"]),
            BODIES,
            st.booleans(),
        ),
    ),
    "messages to forward": (
        forward_messages,
        st.builds(lambda *parts: _forward(list(parts)), st.just("vpn"), VALUES, VALUES)
        | st.builds(
            lambda entries, told: _forward(["vpn", entries, told]),
            st.lists(st.tuples(VALUES, VALUES), max_size=4),
            st.dictionaries(st.sampled_from(["chunk", "size", "compressed", "metadata", "fluent_signal"]), VALUES),
        ),
    ),
}


def run(name: str, server: RealServer, examples: int, *, same: bool = False) -> None:
    """Attack a door.

    Args:
        name: how.
        server: whom.
        examples: how often.
        same: with the same inputs each time that this is called.
    """
    attack, inputs = ATTACKS[name]

    @settings(
        max_examples=examples,
        deadline=None,
        derandomize=same,
        database=None,
        # A server that has got into a bad state makes every smaller input fail as well.
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(inputs)
    def strike(data: Any) -> None:
        attack(server, data)

    strike()


@pytest.mark.parametrize("path", sorted(CORPUS.glob("*/*.bin")), ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_inputs_that_were_kept(server: RealServer, path: Path) -> None:
    """Each is what once was a trouble, or could be; afterwards each door takes a good request."""
    assert path.parent.name in DOORS
    say(server, path.parent.name, path.read_bytes())
    assert server.is_well()


def test_valid_bytes_are_what_they_are_taken_for(server: RealServer) -> None:
    """What the mutations begin with is understood; else they would prove little."""
    for data in VALID["grpc"]:
        assert b"grpc-status" in say(server, "grpc", data) or b"\0\0\0" in say(server, "grpc", data)
    for data in VALID["http"]:
        assert b" 200 OK" in say(server, "http", data)
    for data in VALID["forward"]:
        assert (b"ack" in say(server, "forward", data)) == (b"chunk" in data)


@pytest.mark.parametrize("name", ATTACKS)
def test_a_door_lives_on(server: RealServer, name: str) -> None:
    """Random bytes and damaged messages get a proper status or a closed connection, and nothing breaks."""
    run(name, server, 120)
    assert server.is_well()


def test_memory_does_not_grow(server: RealServer) -> None:
    """The third time that the same inputs come takes no more memory than the second."""
    sizes = []
    for _ in range(3):
        for name in ATTACKS:
            run(name, server, 40, same=True)
        for path in sorted(CORPUS.glob("*/*.bin")):
            say(server, path.parent.name, path.read_bytes())
        assert server.is_well()
        sizes.append(server.memory())
    assert sizes[2] - sizes[1] < SLACK, sizes
