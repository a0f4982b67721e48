"""The plug-in of Redpanda Connect.

The command runs as a process of its own, started as Redpanda Connect starts it, and is spoken to with the stubs that
Redpanda generated for its SDK. The peer is this test, not Redpanda Connect itself: that Connect batches, marks and
delivers as documented is not shown here.
"""

from __future__ import annotations

import asyncio
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import grpc
import msgspec
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from lexilog import Pipeline
from lexilog.service.metrics import Counts
from lexilog.service.redpanda import RedpandaProcessor

DOWN = "<30>Aug  3 10:18:44 srx1 kmd[1]: KMD_VPN_DOWN_ALARM_USER: VPN v1 from 198.51.100.7 is down."
CODE = "KMD_VPN_DOWN_ALARM_USER"
KEYS = ("log", "message")
LEXILOG = Path(sys.executable).with_name("lexilog")
ADDRESS = "REDPANDA_CONNECT_PLUGIN_ADDRESS"
PROTO = "redpanda_connect._proto.redpanda.runtime.v1alpha1"


@dataclass
class MessageDouble:
    """Stands for the SDK's Message: it has the two attributes that are used, and no error."""

    payload: Any
    metadata: dict[str, Any] = field(default_factory=dict)


def _process(pipeline: Pipeline, *batches: list[MessageDouble]) -> tuple[list[list[dict[str, Any]]], Counts]:
    """Return the documents of each batch."""
    counts = Counts()
    processor = RedpandaProcessor(pipeline, KEYS, counts)

    async def run() -> list[list[dict[str, Any]]]:
        answers = []
        for batch in batches:
            before = list(batch)
            (answer,) = await processor.process(batch)
            assert [id(message) for message in answer] == [id(message) for message in before]
            answers.append([msgspec.json.decode(message.payload) for message in answer])
        await processor.close()
        return answers

    return asyncio.run(run()), counts


@pytest.mark.parametrize(
    "payload",
    [
        DOWN.encode(),
        DOWN,
        msgspec.json.encode(DOWN),
        msgspec.json.encode({"host": "a", "message": DOWN}),
        b" \n" + msgspec.json.encode({"log": DOWN, "message": "other"}),
        {"log": DOWN.encode(), "message": "other"},
        {"log": None, "message": DOWN},
    ],
)
def test_a_line_is_found_in_every_form_of_payload(pipeline: Pipeline, payload: Any) -> None:
    """A line is known as bytes, as text, as JSON text, and in a map, whether Connect has parsed that or not."""
    ((found,),), _ = _process(pipeline, [MessageDouble(payload)])
    assert found["event"]["code"] == CODE
    assert found["event"]["original"] == DOWN


@pytest.mark.parametrize(
    ("payload", "line"),
    [
        (b"", ""),
        (b"junk \xff\x00", "junk \\xff\x00"),
        (b'{"log": "cut', '{"log": "cut'),
        (b'{"log": "a"}{"log": "b"}', '{"log": "a"}{"log": "b"}'),
        (b"[1, 2]", "[1, 2]"),
        (b'"one","two"', '"one","two"'),
        (b'{"a":' * 100_000, '{"a":' * 100_000),
        (b"null", "null"),
    ],
)
def test_bytes_that_are_no_record_are_a_line(pipeline: Pipeline, payload: bytes, line: str) -> None:
    """Whatever the bytes are, they are all there afterwards."""
    ((found,),), _ = _process(pipeline, [MessageDouble(payload)])
    assert found["event"]["original"] == line
    assert found["lexilog"]["match"]["quality"] == "none"


@pytest.mark.parametrize(
    ("payload", "text"),
    [
        (None, "null"),
        (True, "true"),
        (7, "7"),
        (1.5, "1.5"),
        (datetime(2026, 8, 3, 10, 18), '"2026-08-03T10:18:00"'),
        ([1, b"\xe9", {"t": datetime(2026, 8, 3)}], '[1, "\\xe9", {"t": "2026-08-03T00:00:00"}]'),
    ],
)
def test_what_is_no_record_passes_with_its_problem(pipeline: Pipeline, payload: Any, text: str) -> None:
    """A structured payload that is neither a map nor text costs nothing and nobody: it leaves as its JSON text."""
    ((odd, known),), counts = _process(pipeline, [MessageDouble(payload), MessageDouble(DOWN)])
    assert odd["event"]["original"] == text
    assert odd["error"]["message"] == "no record: neither an object nor text"
    assert known["event"]["code"] == CODE
    assert [(key.door, key.outcome, key.delivery, number) for key, number in counts.items()] == [
        ("redpanda", "error", "answered", 1),
        ("redpanda", "matched", "answered", 1),
    ]


def test_what_a_map_holds_besides_is_kept(pipeline: Pipeline) -> None:
    """Values of every type are in the document; bytes are text, escaped where they are not UTF-8."""
    payload = {
        "log": "unknown",
        "n": 2**63 - 1,
        "f": 1.5,
        "b": False,
        "none": None,
        "t": datetime(2026, 8, 3, 10, 18, 44),
        "raw": [b"caf\xc3\xa9", {"x": b"\xff"}],
    }
    ((found,),), _ = _process(pipeline, [MessageDouble(payload)])
    kept = {key: found[key] for key in payload}
    assert kept == {**payload, "t": "2026-08-03T10:18:44.000Z", "raw": ["café", {"x": "\\xff"}]}


def test_an_id_tells_repeats_from_records_that_only_look_alike(pipeline: Pipeline) -> None:
    """The same batch again has the same ids; another place in it, or another offset, makes another id."""
    fields = {"a": 1, "b": 2}

    def batch(offset: int, keys: tuple[str, ...]) -> list[MessageDouble]:
        structured = {"log": DOWN, **{key: fields[key] for key in keys}}
        payloads: list[Any] = [DOWN.encode(), DOWN.encode(), structured]
        return [MessageDouble(payload, {"kafka_offset": offset}) for payload in payloads]

    # A map comes with its keys in any order.
    answers, _ = _process(pipeline, batch(1, ("a", "b")), batch(1, ("b", "a")), batch(2, ("a", "b")))
    first, again, other = ([found["event"]["id"] for found in answer] for answer in answers)
    assert first == again
    assert len({*first, *other}) == 6


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats()
    | st.text()
    | st.binary()
    | st.datetimes()
    | st.sampled_from([DOWN, DOWN.encode()]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["log", "event", "a.b", ""]), inner),
    max_leaves=10,
)


@given(st.lists(st.tuples(VALUES, st.dictionaries(st.text(), VALUES, max_size=2)), max_size=5))
def test_nothing_raises(pipeline: Pipeline, items: list[tuple[Any, dict[str, Any]]]) -> None:
    """Whatever values a batch and its metadata are made of, a document comes out for each; metadata is untouched."""
    batch = [MessageDouble(payload, dict(metadata)) for payload, metadata in items]
    (found,), counts = _process(pipeline, batch)
    assert len(found) == len(items) == sum(number for _, number in counts.items())
    assert all(message.metadata.keys() == metadata.keys() for message, (_, metadata) in zip(batch, items, strict=True))


class Plugin:
    """The command in a process of its own, as Redpanda Connect starts it; `stub` speaks to it."""

    def __init__(self, address: str, stub: Any, pb: Any, message_pb: Any) -> None:
        self.address, self.stub, self.pb, self.message_pb = address, stub, pb, message_pb
        self.log = tempfile.TemporaryFile()  # noqa: SIM115 (close does it)

    def start(self, command: list[str], folder: Path) -> subprocess.Popen[bytes]:
        """Start a command in the folder of plugin.yaml, with Connect's environment and no input."""
        path = f"{LEXILOG.parent}{os.pathsep}{os.environ['PATH']}"
        return subprocess.Popen(
            command,
            cwd=folder,
            env={**os.environ, "PATH": path, ADDRESS: self.address},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=self.log,
        )

    def init(self, **config: str) -> str:
        """Call Init, as soon as the process listens; return its error."""
        request = self.pb.BatchProcessorInitRequest()
        request.config.struct_value.SetInParent()
        for name, value in config.items():
            request.config.struct_value.fields[name].string_value = value
        return str(self.stub.Init(request, timeout=60, wait_for_ready=True).error.message)

    def process(self, *messages: Any) -> list[Any]:
        """Call ProcessBatch; return the messages of the one batch that it answers."""
        request = self.pb.BatchProcessorProcessBatchRequest()
        request.batch.messages.extend(messages)
        answer = self.stub.ProcessBatch(request, timeout=60)
        assert not answer.error.message
        (batch,) = answer.batches
        return list(batch.messages)

    def close(self) -> None:
        """Call Close."""
        assert not self.stub.Close(self.pb.BatchProcessorCloseRequest(), timeout=60).error.message

    def wait_for_log(self, text: bytes) -> None:
        """Wait until the process has written a text to standard error."""
        until = time.monotonic() + 60
        while text not in self.said():
            assert time.monotonic() < until, self.said()
            time.sleep(0.05)

    def said(self) -> bytes:
        """Return what the process has written to standard error."""
        return os.pread(self.log.fileno(), 1 << 20, 0)


@pytest.fixture
def plugin() -> Iterator[Plugin]:
    why = "needs Redpanda's Python SDK: pip install redpanda-connect, on Python 3.12 or newer"
    stubs = pytest.importorskip(f"{PROTO}.processor_pb2_grpc", reason=why)
    pb = pytest.importorskip(f"{PROTO}.processor_pb2", reason=why)
    message_pb = pytest.importorskip(f"{PROTO}.message_pb2", reason=why)
    with tempfile.TemporaryDirectory() as folder:
        address = f"unix:{folder}/plugin.sock"
        with grpc.insecure_channel(address) as channel:
            plugin = Plugin(address, stubs.BatchProcessorServiceStub(channel), pb, message_pb)
            with plugin.log:
                yield plugin


@pytest.fixture
def process(plugin: Plugin, checkout: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run the plug-in with the command of the example."""
    folder = checkout / "examples" / "redpanda-connect"
    manifest = yaml.safe_load((folder / "plugin.yaml").read_text(encoding="utf-8"))
    with plugin.start(manifest["command"], folder) as process:
        try:
            yield process
        finally:
            process.kill()


def test_the_examples_fit_together(checkout: Path) -> None:
    """The pipeline names the processor that the manifest declares, and writes nothing that has failed."""
    folder = checkout / "examples" / "redpanda-connect"
    manifest = yaml.safe_load((folder / "plugin.yaml").read_text(encoding="utf-8"))
    config = yaml.safe_load((folder / "connect.yaml").read_text(encoding="utf-8"))
    assert manifest["type"] == "processor"
    assert config["pipeline"]["processors"] == [{manifest["name"]: {}}]
    assert list(config["output"]) == ["reject_errored"]


def test_the_life_of_a_plug_in(plugin: Plugin, process: subprocess.Popen[bytes]) -> None:
    """Init, ProcessBatch, Close and SIGTERM, as Connect does it: order and metadata are kept, and the process ends."""
    assert plugin.init() == ""
    message = plugin.message_pb.Message
    known = message(bytes=DOWN.encode())
    known.metadata.fields["kafka_offset"].integer_value = 7
    mapped = message()
    mapped.structured.struct_value.fields["log"].bytes_value = DOWN.encode()
    mapped.structured.struct_value.fields["host"].string_value = "a"
    answers = plugin.process(known, message(bytes=b"junk \xff"), mapped, message(bytes=b'{"log": "x", "n": 1}'))
    found = [msgspec.json.decode(answer.bytes) for answer in answers]
    assert [one["event"]["original"] for one in found] == [DOWN, "junk \\xff", DOWN, "x"]
    assert [one["event"].get("code") for one in found] == [CODE, None, CODE, None]
    assert (found[2]["host"], found[3]["n"]) == ("a", 1)
    assert answers[0].metadata == known.metadata
    assert len({one["event"]["id"] for one in found}) == 4
    plugin.close()
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 0
    assert b"redpanda juniper_kmd matched exact answered: 2" in plugin.said()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_to_all_processes_costs_no_batch(
    plugin: Plugin, process: subprocess.Popen[bytes], number: signal.Signals
) -> None:
    """Where Connect and the plug-in are told to stop at once, the plug-in answers until Connect has called Close."""
    assert plugin.init() == ""
    process.send_signal(number)
    plugin.wait_for_log(b"Received ")
    (answer,) = plugin.process(plugin.message_pb.Message(bytes=DOWN.encode()))
    assert msgspec.json.decode(answer.bytes)["event"]["code"] == CODE
    plugin.close()
    assert process.wait(60) == 0


def test_options_in_the_wrong_place_are_refused(plugin: Plugin, process: subprocess.Popen[bytes]) -> None:
    """Connect takes any option of a plug-in without fields; it is not left out in silence."""
    assert "put options into the command of plugin.yaml" in plugin.init(timezone="Europe/Berlin")
    assert plugin.init() == ""


def test_the_process_ends_with_its_parent(plugin: Plugin, checkout: Path) -> None:
    """A Connect that is killed leaves no process behind."""
    # The shell that starts the plug-in becomes `sleep`, and stands for Connect.
    command = ["sh", "-c", f"'{LEXILOG}' redpanda-connect & echo $!; exec sleep 300"]
    with plugin.start(command, checkout) as parent:
        assert parent.stdout
        child = int(parent.stdout.readline())
        try:
            assert plugin.init() == ""
            parent.kill()
            parent.wait(60)
            # Standard output is the child's too: it is at its end when the child is gone.
            until = time.monotonic() + 60
            while select.select([parent.stdout], [], [], max(0, until - time.monotonic()))[0]:
                if not os.read(parent.stdout.fileno(), 65536):
                    return
        finally:
            parent.kill()
        os.kill(child, signal.SIGKILL)
    pytest.fail("the plug-in still runs")


def _run(**environment: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [LEXILOG, "redpanda-connect"],
        env={**os.environ, **environment},
        capture_output=True,
        timeout=60,
        check=False,
    )


def test_started_by_hand_it_says_who_starts_it(plugin: Plugin) -> None:
    """Without the address that Connect gives there is a sentence and exit code 2."""
    done = _run(**{ADDRESS: ""})
    assert done.returncode == 2
    assert b"Redpanda Connect starts this command" in done.stderr
    assert b"rpk connect run --rpc-plugins=plugin.yaml connect.yaml" in done.stderr
    assert b"Traceback" not in done.stderr


def test_an_address_that_cannot_be_bound_is_a_sentence(plugin: Plugin) -> None:
    """It is named, with exit code 1."""
    done = _run(**{ADDRESS: "unix:/nowhere/plugin.sock"})
    assert done.returncode == 1
    assert b"lexilog: redpanda-connect: REDPANDA_CONNECT_PLUGIN_ADDRESS is unix:/nowhere/plugin.sock" in done.stderr
    assert b"Traceback" not in done.stderr


def test_without_the_sdk_it_says_what_to_install() -> None:
    """Where the SDK is not installed, or cannot be on an older Python, there is a sentence and exit code 1."""
    code = (
        "import sys; sys.modules['redpanda_connect'] = None; sys.argv = ['lexilog', 'redpanda-connect']\n"
        "from lexilog.cli import main; main()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=60, check=False)
    problem = (
        b"SDK cannot be loaded" if sys.version_info >= (3, 12) else b"needs Python 3.12 or newer, and this is 3.11"
    )
    assert done.returncode == 1
    assert done.stderr.startswith(b"lexilog: redpanda-connect: Redpanda's Python SDK ")
    assert problem in done.stderr
    assert b"pip install 'lexilog[redpanda]'" in done.stderr
    assert done.stderr.count(b"\n") == 1
