"""The dead letters: what no relay takes is on disk, exactly as it came, until a replay has sent it."""

from __future__ import annotations

import asyncio
import base64
import json
import subprocess
import sys
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgpack
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

from lexilog import Enriched, LexilogError, OriginError, Pipeline, Record, RelayError, SettingsError, document
from lexilog.forward.codec import read_entry
from lexilog.model import Place
from lexilog.otlp.as_json import read_json_request
from lexilog.otlp.decode import BODY_KEYS, OtlpOrigin, read_records, read_request
from lexilog.otlp.encode import request_as_it_came
from lexilog.otlp.values import set_any
from lexilog.relay import _append, dead_letters
from lexilog.relay.base import Refusal
from lexilog.relay.dead_letters import BrokenLetter, DeadLetters, Letter, Origin, unpack

LINE = "<30>Aug  3 10:18:44 srx1 kmd[1]: KMD_VPN_DOWN_ALARM_USER: VPN v1 from 198.51.100.7 is down."
PLENTY = 10_000_000


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "dead"


def _open(path: Path, max_bytes: int = PLENTY) -> DeadLetters:
    letters = DeadLetters(path, max_bytes)
    asyncio.run(letters.open())
    return letters


def _add(
    letters: DeadLetters, pipeline: Pipeline, *records: Record, reason: str = "too old", relay: str = "es"
) -> None:
    asyncio.run(letters.add(relay, [Refusal(pipeline.process(record), reason) for record in records]))


def _all(letters: DeadLetters, files: Iterable[Path]) -> list[Letter | BrokenLetter]:
    return [letter for file in files for letter in letters.read(file)]


def _sent(letters: DeadLetters) -> list[str | None]:
    """Take every letter, as a replay does that succeeds; return their lines."""
    lines = []
    with letters.take() as files:
        for file in files:
            for letter in letters.read(file):
                assert isinstance(letter, Letter)
                lines.append(unpack(letter).line)
            letters.keep(file, [])
    return lines


def _there_and_back(letters: DeadLetters, pipeline: Pipeline, record: Record) -> Record:
    _add(letters, pipeline, record)
    with letters.take() as files:
        (letter,) = _all(letters, files)
        letters.keep(files[0], [])
    assert isinstance(letter, Letter)
    return unpack(letter)


def _request() -> ExportLogsServiceRequest:
    request = ExportLogsServiceRequest()
    for number in range(2):
        resource = request.resource_logs.add(schema_url=f"https://schema.example/{number}")
        set_any(resource.resource.attributes.add(key="host.name").value, f"agent{number}")
        resource.resource.dropped_attributes_count = number
        for scope_number in range(2):
            scope = resource.scope_logs.add(schema_url="https://schema.example/scope")
            scope.scope.name = f"scope{scope_number}"
            scope.scope.version = "1"
            for body in (LINE, LINE.encode() + b"\xff\xfe", {"log": LINE, "n": {"a": [1, True, 2.5, None]}}, None, 7):
                record = scope.log_records.add(
                    time_unix_nano=1_700_000_000_123_456_789,
                    observed_time_unix_nano=1_700_000_001_000_000_001,
                    trace_id=bytes(range(16)),
                    span_id=b"\xff" * 8,
                    flags=1,
                    severity_text="odd",
                )
                if isinstance(body, bytes):
                    record.body.bytes_value = body
                elif body is not None:
                    set_any(record.body, body)
                set_any(record.attributes.add(key="a").value, {"b": {"c": [{"d": "é"}, [], {}]}, "big": 2**60})
                # Twice the same key, and a value that is not set, as some agents send them.
                record.attributes.add(key="a").value.string_value = "second"
                record.attributes.add(key="empty")
    return request


def test_a_record_of_otlp_comes_back_as_it_was_received(path: Path, pipeline: Pipeline) -> None:
    """Body, attributes, times, trace ids, resource and scope are those of the request, and it is alone."""
    letters = _open(path)
    for number, record in enumerate(read_records(read_request(_request().SerializeToString()))):
        came = msgspec.structs.replace(record, id=f"id-{number}")
        back = _there_and_back(letters, pipeline, came)
        assert isinstance(came.origin, OtlpOrigin)
        assert isinstance(back.origin, OtlpOrigin)
        assert msgspec.structs.replace(back, origin=None) == msgspec.structs.replace(came, origin=None)
        assert back.origin.record == came.origin.record
        assert back.origin.resource.resource == came.origin.resource.resource
        assert back.origin.resource.schema_url == came.origin.resource.schema_url
        assert back.origin.scope.scope == came.origin.scope.scope
        assert back.origin.scope.schema_url == came.origin.scope.schema_url
        assert (len(back.origin.resource.scope_logs), len(back.origin.scope.log_records)) == (1, 1)
        assert document(pipeline.process(back)) == document(pipeline.process(came))


def test_a_request_that_was_not_utf_8_comes_back(path: Path, pipeline: Pipeline) -> None:
    """An agent that sends bytes as text loses none of them here either."""
    request = ExportLogsServiceRequest()
    request.resource_logs.add().scope_logs.add().log_records.add().body.string_value = "caf? closed"
    data = request.SerializeToString().replace(b"caf?", b"caf\xe9")
    (came,) = read_records(read_request(data))
    assert _there_and_back(_open(path), pipeline, came).line == "caf\udce9 closed"


@pytest.mark.parametrize(
    "record",
    [
        Record(line="a line", id="7-0", time=datetime(2026, 1, 15, 12, 0, 0, 123456, tzinfo=UTC)),
        Record(line="caf\udce9"),
        Record(line=""),
        Record(line=None, fields={"a": {"b": [1, -1, 1.5, True, None, "é"]}, "c.d": {}}),
        Record(line="x", fields={"log": "other", "raw": "\udcff", "in": {"\N{GREEK SMALL LETTER ALPHA}": "\udc80b"}}),
        Record.from_map({"log": LINE, "pid": 7}, ["log"]),
        Record.from_map({"message": "\udce9", "tags": ["a", "\udcfe"]}, ["message"]),
    ],
    ids=repr,
)
def test_a_record_that_came_by_no_protocol_comes_back(record: Record, path: Path, pipeline: Pipeline) -> None:
    """Line, bytes, fields, time, id and where the line stood are kept."""
    back = _there_and_back(_open(path), pipeline, record)
    assert msgspec.structs.replace(back, origin=None) == record


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


@given(st.binary(), st.dictionaries(st.text(), _VALUES, max_size=4))
def test_any_line_and_fields_can_be_read_back(line: bytes, fields: dict[str, Any]) -> None:
    """Whatever bytes a line has, and whatever an agent has set."""
    record = Record(line=line.decode("utf-8", "surrogateescape"), fields=fields)
    (back,) = read_records(read_request(request_as_it_came(_plain(record))))
    assert (back.line, back.fields) == (record.line, record.fields)


@pytest.mark.parametrize("came_by", ["otlp", "otlp json", "forward", "none"])
def test_what_a_door_could_not_read_is_kept(came_by: str, path: Path, pipeline: Pipeline) -> None:
    """A record with a problem has it still when it is sent again, so that it leaves as it would have before."""
    request = ExportLogsServiceRequest()
    request.resource_logs.add().scope_logs.add().log_records.add().body.string_value = "@@"
    records = {
        "otlp": lambda: read_records(
            read_request(request.SerializeToString().replace(b"*\x04\n\x02@@", b"*\x04\n\x09@@"))
        ),
        "otlp json": lambda: read_records(
            read_json_request(b'{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"traceId":"zz"}]}]}]}')
        ),
        "forward": lambda: [read_entry("t", msgpack.packb([1, "no map"]), BODY_KEYS, None)],
        "none": lambda: [Record(line="x", problem="no record: \udcff")],
    }
    (came,) = records[came_by]()
    assert came.problem is not None
    back = _there_and_back(_open(path), pipeline, came)
    assert back.problem == came.problem.replace("\udcff", "\\xff")
    assert (back.line, back.fields) == (came.line, came.fields)
    assert document(pipeline.process(back))["error"] == document(pipeline.process(came))["error"]


def _plain(record: Record) -> Enriched:
    return Pipeline([]).process(record)


def test_fields_that_nothing_can_hold_do_not_cost_the_line(path: Path, pipeline: Pipeline) -> None:
    """A map nested deeper than any parser goes, and text of surrogates, are no reason to keep a batch for ever."""
    deep: dict[str, Any] = {}
    for _ in range(2_000):
        deep = {"a": deep}
    letters = _open(path)
    assert _there_and_back(letters, pipeline, Record(line="x", fields={"deep": deep})).line == "x"
    back = _there_and_back(letters, pipeline, Record(line="\ud800 y", fields={"k\ud800": "\ud800"}))
    assert back.line is not None
    assert back.line.endswith(" y")


def test_a_letter_says_what_when_why_and_by_whom(path: Path, pipeline: Pipeline) -> None:
    """A line is JSON for people and programs: the document that was refused, the reason, and what was received."""
    letters = _open(path)
    before = datetime.now(UTC)
    enriched = pipeline.process(Record(line=LINE, id="3-1"))
    asyncio.run(letters.add("es", [Refusal(enriched, "bad \udcff type"), Refusal(_plain(Record(line="x")), "old")]))
    (file,) = path.glob("dead-*.ndjson")
    first, second = map(json.loads, file.read_text().splitlines())
    assert list(first) == ["time", "relay", "reason", "id", "document", "origin"]
    assert before <= datetime.fromisoformat(first["time"]) <= datetime.now(UTC)
    assert first["time"].endswith("Z")
    assert (first["relay"], first["reason"], first["id"]) == ("es", "bad \\xff type", "3-1")
    assert first["document"] == document(enriched)
    assert first["origin"]["protocol"] == "otlp"
    request = ExportLogsServiceRequest.FromString(base64.b64decode(first["origin"]["data"], validate=True))
    assert request.resource_logs[0].scope_logs[0].log_records[0].body.string_value == LINE
    assert (second["id"], second["reason"]) == (None, "old")


def test_only_the_owner_can_read_them(path: Path, pipeline: Pipeline) -> None:
    """Firewall logs are nobody else's business."""
    _add(_open(path), pipeline, Record(line="x"))
    assert path.stat().st_mode & 0o777 == 0o700
    assert [file.stat().st_mode & 0o077 for file in path.rglob("*")] == [0] * 4


def test_a_folder_that_cannot_be_used_is_a_setting_that_is_wrong(tmp_path: Path) -> None:
    """The server says so when it starts, not when the first record is refused."""
    (tmp_path / "file").write_text("x")
    with pytest.raises(SettingsError, match=r"^dead letters: /.*/file/dead: cannot be used: Not a directory"):
        _open(tmp_path / "file" / "dead")


def test_a_full_folder_takes_none_of_a_batch(path: Path, pipeline: Pipeline) -> None:
    """What would be more than is allowed stays with its sender, until a replay has made room."""
    letters = _open(path, 2_700)
    _add(letters, pipeline, Record(line="first"))
    held = sum(file.stat().st_size for file in path.glob("dead-*"))
    records = [Record(line="x" * 300) for _ in range(2)]
    told = rf"^dead letters: {path} holds {held} of 2700 bytes: mend the cause, then run `lexilog replay`$"
    with letters.take() as files:
        # What is being replayed counts too.
        with pytest.raises(RelayError, match=told) as caught:
            _add(letters, pipeline, *records)
        assert caught.value.retry_after > 1
        assert not list(path.glob("dead-*"))
        letters.keep(files[0], [])
    _add(letters, pipeline, records[0])
    assert _sent(letters) == ["x" * 300]


def test_how_much_there_is_can_be_watched(path: Path, pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the start on, with each letter, and after a replay, which is a process of its own: before they are full."""
    _add(_open(path), pipeline, Record(line=LINE))
    one = _held(path)
    told: list[int] = []
    letters = DeadLetters(path, 2 * one + 100, on_held=told.append)
    refusal = Refusal(pipeline.process(Record(line=LINE)), "too old")

    async def last_told(held: int) -> None:
        async with asyncio.timeout(20):
            while told[-1:] != [held]:
                await asyncio.sleep(0.01)

    async def run() -> None:
        await letters.open()
        await last_told(one)
        await letters.add("es", [refusal])
        assert told[-1] == _held(path) > one
        with pytest.raises(RelayError):
            await letters.add("es", [refusal])
        assert told[-1] == _held(path)
        await letters.close()
        monkeypatch.setattr(dead_letters, "_LOOK", 0.01)
        await letters.open()
        path.rename(path.with_name("aside"))
        await asyncio.sleep(0.05)
        path.with_name("aside").rename(path)
        for file in letters.files():
            file.unlink()
        await last_told(0)
        await letters.close()
        assert len(asyncio.all_tasks()) == 1

    asyncio.run(run())


def _held(path: Path) -> int:
    return sum(file.stat().st_size for file in path.glob("dead-*"))


def test_a_batch_that_never_fits_asks_for_more_room(path: Path, pipeline: Pipeline) -> None:
    """A replay would not help there, so the advice is another one."""
    letters = _open(path, 1_024)
    with pytest.raises(RelayError, match=r"holds 0 of 1024 bytes, and \d{4} are to be added: allow more"):
        _add(letters, pipeline, Record(line="x" * 1_000))


def test_a_disk_that_is_full_takes_none_of_a_batch(
    path: Path, pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half a batch is taken back; the sender keeps it, and it goes on when there is room."""
    letters = _open(path)
    _add(letters, pipeline, Record(line="before"))
    (file,) = path.glob("dead-*")
    before, write_all = file.read_bytes(), _append._write_all

    def full(out: Any, data: bytes) -> None:
        write_all(out, data[: len(data) // 2])
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(_append, "_write_all", full)
        with pytest.raises(RelayError, match=r"^dead letters: /.*/dead: cannot be written: No space left on device"):
            _add(letters, pipeline, Record(line="a"), Record(line="b"))
    assert file.read_bytes() == before
    _add(letters, pipeline, Record(line="a"), Record(line="b"))
    assert _sent(letters) == ["before", "a", "b"]


def test_it_is_on_disk_before_it_counts(path: Path, pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    """File and directory are synced, so that a power cut takes nothing that was acknowledged."""
    letters = _open(path)
    synced: list[str] = []

    def fsync(number: int) -> None:
        synced.append(Path(f"/proc/self/fd/{number}").readlink().name)

    monkeypatch.setattr("os.fsync", fsync)
    _add(letters, pipeline, Record(line="x"))
    (file,) = path.glob("dead-*")
    assert synced == ["dead", file.name]


def test_a_file_does_not_grow_without_end(path: Path, pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    """A new one is begun, and their names are their order, also after the clock was set back."""
    monkeypatch.setattr("lexilog.relay.dead_letters._FILE_BYTES", 1)
    letters = _open(path)
    (path / "dead-29990101T000000.000000Z.ndjson").write_bytes(b"")
    for number in range(3):
        _add(letters, pipeline, Record(line=str(number)))
    names = sorted(file.name for file in path.glob("dead-*"))
    assert names == [f"dead-29990101T000000.00000{number}Z.ndjson" for number in range(3)]
    assert _sent(letters) == ["0", "1", "2"]


@pytest.mark.parametrize("half", [b'{"time":"2026-01-15T12:00:00Z","rel', b"\x00\x00"], ids=["half", "zeros"])
def test_a_half_line_is_not_glued_to_the_next(half: bytes, path: Path, pipeline: Pipeline) -> None:
    """After a kill in mid-line the next letter is whole, and the half one is reported where it is."""
    letters = _open(path)
    _add(letters, pipeline, Record(line="before"))
    (first,) = path.glob("dead-*")
    with first.open("ab") as file:
        file.write(half)
    _add(letters, pipeline, Record(line="after"))
    with letters.take() as files:
        one, broken, other = _all(letters, files)
        assert isinstance(one, Letter)
        assert isinstance(broken, BrokenLetter)
        assert isinstance(other, Letter)
        assert (unpack(one).line, unpack(other).line) == ("before", "after")
        assert (broken.place, broken.data) == (Place(files[0], 2), half)
        assert broken.problem.startswith("a half line: ")


@pytest.mark.parametrize(
    "damaged",
    [b"\x00" * 40, b"[]", b'{"time":1}', b'{"a":"\xff"}', b"[" * 100_000, b'{"origin":{"data":"?"}}'],
    ids=["zeros", "list", "fields", "bytes", "deep", "base64"],
)
def test_a_damaged_line_costs_no_other_and_is_not_lost(damaged: bytes, path: Path, pipeline: Pipeline) -> None:
    """It is reported with file and line, and stays in the file until a person has looked at it."""
    letters = _open(path)
    _add(letters, pipeline, Record(line="a"), Record(line="b"))
    (file,) = path.glob("dead-*")
    first, second = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(first + damaged + b"\n" + second)
    for _ in range(2):
        with letters.take() as files:
            broken = [letter for letter in _all(letters, files) if isinstance(letter, BrokenLetter)]
            letters.keep(files[0], broken)
    assert [(one.place, one.data) for one in broken] == [(Place(path / "replaying" / file.name, 1), damaged)]
    assert broken[0].problem.startswith("a damaged line: ")


def test_what_is_left_keeps_its_order_and_may_have_a_new_reason(path: Path, pipeline: Pipeline) -> None:
    """What a replay could not send is there for the next one, unchanged but for what the replay says."""
    letters = _open(path)
    _add(letters, pipeline, *(Record(line=str(number)) for number in range(4)))
    with letters.take() as files:
        came = [letter for letter in _all(letters, files) if isinstance(letter, Letter)]
        letters.keep(files[0], [came[1], msgspec.structs.replace(came[3], reason="still too old")])
    with letters.take() as files:
        left = [letter for letter in _all(letters, files) if isinstance(letter, Letter)]
    assert left == [came[1], msgspec.structs.replace(came[3], reason="still too old")]
    assert [unpack(letter).line for letter in left] == ["1", "3"]


def test_a_file_that_cannot_be_rewritten_is_as_it_was(
    path: Path, pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A replay that cannot say what it has sent sends it again; it loses nothing."""
    letters = _open(path)
    _add(letters, pipeline, Record(line="a"), Record(line="b"))
    write_all = _append._write_all

    def full(out: Any, data: bytes) -> None:
        write_all(out, data[:10])
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch, letters.take() as files:
        patch.setattr(_append, "_write_all", full)
        with pytest.raises(LexilogError, match="cannot be written: No space left on device"):
            letters.keep(files[0], _all(letters, files)[:1])
    assert _sent(letters) == ["a", "b"]
    assert list((path / "replaying").iterdir()) == []


def test_a_replay_that_was_killed_leaves_its_files_to_the_next(path: Path, pipeline: Pipeline) -> None:
    """The end of a process ends its replay, whatever it was about, and what it had taken is offered again."""
    letters = _open(path)
    _add(letters, pipeline, Record(line="a"))
    script = (
        "import os, pathlib, sys\n"
        "from lexilog.relay.dead_letters import DeadLetters\n"
        "with DeadLetters(pathlib.Path(sys.argv[1]), 10_000_000).take() as files:\n"
        "    files[0].with_name(files[0].name + '.part').write_bytes(b'half')\n"
        "    os.kill(os.getpid(), 9)\n"
    )
    killed = subprocess.run([sys.executable, "-c", script, str(path)], timeout=60, check=False)
    assert killed.returncode == -9
    _add(letters, pipeline, Record(line="b"))
    assert len(list(path.glob("replaying/dead-*.part"))) == 1
    assert _sent(letters) == ["a", "b"]
    assert list((path / "replaying").iterdir()) == []


def test_there_is_one_replay_at_a_time(path: Path, pipeline: Pipeline) -> None:
    """A second one is told so, and takes nothing; letters can be added all the while, and the server can start."""
    letters = _open(path)
    _add(letters, pipeline, Record(line="a"))
    with letters.take():
        other = _open(path)
        _add(other, pipeline, Record(line="b"))
        with (
            pytest.raises(LexilogError, match=r"^dead letters: /.*/dead: another replay is under way: wait"),
            other.take(),
        ):
            pass
        assert len(list(path.glob("dead-*"))) == 1
    assert _sent(other) == ["a", "b"]


def test_a_folder_that_is_not_there_has_nothing_to_replay(path: Path) -> None:
    """A path that is mistyped is an error, and makes no folder."""
    with (
        pytest.raises(LexilogError, match=r"^dead letters: /.*/dead: there is no such directory"),
        DeadLetters(path, 9).take(),
    ):
        pass
    assert not path.exists()


def test_letters_can_be_looked_at_without_taking_them(path: Path, pipeline: Pipeline) -> None:
    """Those that a replay has left come first, because they are older; nothing is moved, and nothing made."""
    letters = _open(path)
    _add(letters, pipeline, Record(line="a"))
    with letters.take():
        pass
    _add(letters, pipeline, Record(line="b"))
    before = sorted(path.rglob("*"))
    files = letters.files()
    assert [unpack(letter).line for letter in _all(letters, files) if isinstance(letter, Letter)] == ["a", "b"]
    assert [file.parent for file in files] == [path / "replaying", path]
    assert sorted(path.rglob("*")) == before
    with pytest.raises(LexilogError, match=r"^dead letters: /.*/no: there is no such directory"):
        DeadLetters(path / "no", PLENTY).files()


def test_what_others_put_there_is_left_alone(path: Path, pipeline: Pipeline) -> None:
    """A note, a link or a folder is no letter, and a name that a replay has already is given to no second file."""
    letters = _open(path)
    (path / "README").write_text("x")
    (path / "dead-20200101T000000.000000Z.ndjson").symlink_to("/etc/passwd")
    (path / "dead-20200101T000000.000001Z.ndjson").mkdir()
    _add(letters, pipeline, Record(line="a"))
    with letters.take() as files:
        name = files[0].name
    (path / name).write_bytes(files[0].read_bytes())
    assert _sent(letters) == ["a", "a"]
    assert (path / "README").exists()
    assert (path / "dead-20200101T000000.000000Z.ndjson").is_symlink()


def test_a_folder_that_was_removed_is_made_again(path: Path, pipeline: Pipeline) -> None:
    """Whoever clears it away while the server runs does not stop it."""
    letters = _open(path)
    _add(letters, pipeline, Record(line="a"))
    path.rename(path.with_name("away"))
    _add(letters, pipeline, Record(line="b"))
    assert _sent(letters) == ["b"]


def test_adding_and_replaying_at_once_lose_nothing(path: Path, pipeline: Pipeline) -> None:
    """Every letter is sent once, whichever file it was in when a replay came by."""
    letters, found = _open(path), []
    batch = [[Refusal(pipeline.process(Record(line=f"{n}-{number}")), "r") for number in range(3)] for n in range(40)]

    async def run() -> None:
        tasks = [asyncio.create_task(letters.add("es", refusals)) for refusals in batch]
        while not all(task.done() for task in tasks):
            found.extend(await asyncio.to_thread(_sent, letters))
        await asyncio.gather(*tasks)

    asyncio.run(run())
    found += _sent(letters)
    assert sorted(map(str, found)) == sorted(f"{n}-{number}" for n in range(40) for number in range(3))


ADD = """
import asyncio, pathlib, sys
from datetime import UTC, datetime
from lexilog.model import Enriched, Outcome, Record
from lexilog.relay.base import Refusal
from lexilog.relay.dead_letters import DeadLetters

async def run(path, name):
    letters = DeadLetters(pathlib.Path(path), 10_000_000)
    await letters.open()
    print("ready", flush=True)
    sys.stdin.readline()
    for number in range(50):
        records = [Record(line=f"{name}-{number}-{part} " + "x" * 500) for part in range(4)]
        fields = {"@timestamp": datetime.now(UTC)}
        made = [Enriched(record=record, fields=fields, outcome=Outcome.UNKNOWN, reason="r") for record in records]
        await letters.add(name, [Refusal(one, "r") for one in made])

asyncio.run(run(*sys.argv[1:]))
"""


def test_two_processes_that_add_at_once_lose_nothing(path: Path) -> None:
    """A server and a replay, or two servers, may share the folder: batches stay whole, and each is there once."""
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", ADD, str(path), name], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for name in ("one", "two")
    ]
    try:
        for process in processes:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        for process in processes:
            process.communicate("go\n", timeout=60)
    finally:
        for process in processes:
            process.kill()
            process.communicate(timeout=60)
    assert [process.returncode for process in processes] == [0, 0]
    lines = [str(line).split()[0] for line in _sent(DeadLetters(path, PLENTY))]
    batches = [lines[start : start + 4] for start in range(0, len(lines), 4)]
    for name in ("one", "two"):
        mine = [batch for batch in batches if batch[0].startswith(f"{name}-")]
        assert mine == [[f"{name}-{number}-{part}" for part in range(4)] for number in range(50)]
    assert len(batches) == 100


@pytest.mark.parametrize(
    ("origin", "problem"),
    [
        (Origin("carrier pigeon", b""), "protocol is 'carrier pigeon': known are otlp, forward"),
        (Origin("otlp", b"\xff\xff"), "is no OTLP"),
        (Origin("otlp", b""), "holds 0 OTLP records"),
    ],
    ids=["protocol", "damaged", "empty"],
)
def test_what_cannot_be_read_back_says_so(origin: Origin, problem: str) -> None:
    """A letter of a newer version, or one that was edited, is an error that names what is wrong."""
    letter = Letter(time=datetime.now(UTC), relay="es", reason="r", id=None, document=msgspec.Raw(b"{}"), origin=origin)
    with pytest.raises(OriginError, match=problem):
        unpack(letter)


def test_body_keys_tell_where_the_line_is(path: Path, pipeline: Pipeline) -> None:
    """A replay reads a record with the keys that the door would use."""
    letters = _open(path)
    _add(letters, pipeline, Record.from_map({"raw": LINE, "log": "x"}, ["raw"]))
    with letters.take() as files:
        (letter,) = _all(letters, files)
    assert isinstance(letter, Letter)
    assert unpack(letter, ["raw"]).line_key == "raw"
    assert unpack(letter, ["log"]).line == "x"


def test_no_refusals_are_no_letters(path: Path) -> None:
    """Nothing is written for nothing."""
    letters = _open(path)
    asyncio.run(letters.add("es", []))
    assert list(path.glob("dead-*")) == []


def test_a_record_that_came_by_forward(tmp_path: Path) -> None:
    """Tag, time to the nanosecond and the map as it was packed are what they were, odd bytes included."""
    entry = msgpack.packb([msgpack.ExtType(0, b"\x5e\x0c\x00\x00\x00\x00\x00\x2a"), {"log": b"a \xff", "n": 2**63}])
    received = read_entry("vpn.srx1", entry, BODY_KEYS, "f-0")
    enriched = Pipeline().process(received)

    async def write() -> None:
        dead = DeadLetters(tmp_path, 100_000)
        await dead.open()
        await dead.add("siem", [Refusal(enriched, "odd")])

    asyncio.run(write())
    dead = DeadLetters(tmp_path, 100_000)
    (letter,) = (one for file in dead.files() for one in dead.read(file))
    assert isinstance(letter, Letter)
    assert letter.origin.protocol == "forward"
    assert unpack(letter) == received
