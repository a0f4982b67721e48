"""Messages of the Forward protocol to records and back: what came stays, and hostile bytes are an error of ours."""

from __future__ import annotations

import gzip
import hashlib
import json
import struct
import tracemalloc
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lexilog import OriginError, Pipeline, Record
from lexilog.forward import codec, handshake, wire
from lexilog.forward.codec import Entries, ForwardOrigin, pack_entry, pack_origin, read_entry, unpack_origin
from lexilog.forward.handshake import HandshakeError
from lexilog.forward.wire import ANSWERS, MessageReader, pack_message, read_message
from lexilog.model import Enriched

LINE = "<30>Aug  3 10:18:44 srx1 kmd[1]: KMD_VPN_DOWN_ALARM_USER: VPN v1 from 198.51.100.7 is down."
KEYS = ("log", "message", "MESSAGE")
MISMATCH = r"^shared key mismatch$"
LIMIT = 1 << 20
SECONDS = 1_700_000_000
EVENT_TIME = msgpack.ExtType(0, struct.pack(">II", SECONDS, 123_456_789))
WHEN = datetime(2023, 11, 14, 22, 13, 20, 123_456, UTC)


def _pack(value: Any, **options: Any) -> bytes:
    packed: bytes = msgpack.packb(value, unicode_errors="surrogateescape", **options)
    return packed


def _records(data: bytes) -> list[Record]:
    message = read_message(data, LIMIT)
    return [read_entry(message.tag, message.entry(n), KEYS, str(n)) for n in range(message.size)]


def _record(entry: Any) -> Record:
    return read_entry("t", entry if isinstance(entry, bytes) else _pack(entry), KEYS, "id")


def _unpacked(entry: bytes | None) -> Any:
    assert entry is not None
    return msgpack.unpackb(
        entry,
        unicode_errors="surrogateescape",
        strict_map_key=False,
        object_pairs_hook=lambda pairs: {key if isinstance(key, str | bytes) else repr(key): one for key, one in pairs},
    )


def _sent_on(pipeline: Pipeline, entry: Any, max_bytes: int = LIMIT) -> Any:
    return _unpacked(pack_entry(pipeline.process(_record(entry)), max_bytes))


ENTRIES = [[EVENT_TIME, {"log": "one"}], [[EVENT_TIME, {"m": b"\xff"}], {"log": "two"}], [SECONDS, {"log": "three"}]]
PACKED = b"".join(map(_pack, ENTRIES))


@pytest.mark.parametrize(
    "data",
    [
        _pack(["a.b", ENTRIES]),
        _pack(["a.b", ENTRIES, {"size": 3, "fluent_signal": 0}]),
        _pack(["a.b", ENTRIES, None]),
        _pack(["a.b", PACKED]),
        _pack(["a.b", PACKED, {"compressed": "text"}]),
        _pack(["a.b", PACKED], use_bin_type=False),
        _pack([b"a.b", PACKED.decode("utf-8", "surrogateescape")]),
        _pack(["a.b", gzip.compress(PACKED), {"compressed": "gzip"}]),
        _pack(["a.b", gzip.compress(PACKED[:30]) + gzip.compress(PACKED[30:]), {"compressed": "gzip"}]),
    ],
    ids=["forward", "options", "nil", "packed", "text", "old", "str", "gzip", "members"],
)
def test_every_mode_of_many_records_is_read(data: bytes) -> None:
    """Whatever the mode, the same entries are the same records, in order, with their tag."""
    records = _records(data)
    assert [record.line for record in records] == ["one", "two", "three"]
    assert [record.time for record in records] == [WHEN, WHEN, WHEN.replace(microsecond=0)]
    assert [record.id for record in records] == ["0", "1", "2"]
    assert {record.line_key for record in records} == {"log"}
    origins = [record.origin for record in records]
    assert all(isinstance(origin, ForwardOrigin) and origin.tag == "a.b" for origin in origins)
    assert [origin.metadata for origin in origins if isinstance(origin, ForwardOrigin)] == [
        b"",
        _pack({"m": b"\xff"}),
        b"",
    ]


@pytest.mark.parametrize("options", [[], [None], [{}], [{"size": 1, "chunk": "c"}]])
def test_the_mode_of_one_record_is_read(options: list[Any]) -> None:
    """A message with a time holds one record; options may be there, or nil as Docker sends them."""
    message = read_message(_pack(["a.b", EVENT_TIME, {"log": "one"}, *options]), LIMIT)
    record = read_entry(message.tag, message.entry(0), KEYS, None)
    assert (message.size, record.line, record.time) == (1, "one", WHEN)
    assert message.chunk == ("c" if options and options[0] and "chunk" in options[0] else None)


def test_metadata_among_the_options_are_those_of_the_record() -> None:
    """Fluent Bit puts them there when a message holds one record."""
    message = read_message(_pack(["t", EVENT_TIME, {"log": "x"}, {"chunk": b"c", "metadata": {"a": b"\xff"}}]), LIMIT)
    record = read_entry(message.tag, message.entry(0), KEYS, None)
    assert isinstance(record.origin, ForwardOrigin)
    assert (message.chunk, record.origin.metadata, record.time) == (b"c", _pack({"a": b"\xff"}), WHEN)


@pytest.mark.parametrize(
    ("time", "expected"),
    [
        (SECONDS, WHEN.replace(microsecond=0)),
        (SECONDS + 0.25, WHEN.replace(microsecond=250_000)),
        (EVENT_TIME, WHEN),
        (msgpack.Timestamp(SECONDS, 123_456_789), WHEN),
        (0, None),
        (None, None),
        (float("nan"), None),
        (float("inf"), None),
        (1e303, None),
        (-1e308, None),
        (253_402_300_799.5, datetime(9999, 12, 31, 23, 59, 59, 500_000, UTC)),
        (2**64 - 1, None),
        (-5, datetime(1969, 12, 31, 23, 59, 55, tzinfo=UTC)),
    ],
)
def test_a_time_of_any_type_is_read(time: Any, expected: datetime | None) -> None:
    """What no calendar holds is no time, and neither is 0; the record passes all the same."""
    record = _record([time, {"log": "x"}])
    assert (record.time, record.problem, record.line) == (expected, None, "x")


def test_an_entry_that_trips_us_up_costs_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever fails while an entry is read, it passes as bytes, with its time and a problem."""
    monkeypatch.setattr(codec, "_plain", lambda _: 1 / 0)
    record = _record([SECONDS, {"log": "x"}])
    assert record.fields == {"log": _pack([SECONDS, {"log": "x"}]).decode("utf-8", "surrogateescape")}
    assert record.problem == "an entry is passed on as bytes: division by zero"
    assert record.time == WHEN.replace(microsecond=0)


@pytest.mark.parametrize("time", [1e303, -1e303, float("inf"), 2**64 - 1])
def test_a_time_without_measure_does_not_keep_a_record_from_leaving(time: Any, pipeline: Pipeline) -> None:
    """What no calendar holds is replaced by a time that receivers can read."""
    assert isinstance(_sent_on(pipeline, [time, {"log": "x"}])[0], msgpack.ExtType)


@pytest.mark.parametrize(
    "time", ["2024-01-01", True, [], {}, b"", msgpack.ExtType(0, b"short"), msgpack.ExtType(7, b"x" * 8), [SECONDS]]
)
def test_a_time_that_is_none_is_told_and_the_fields_stay(time: Any) -> None:
    """The record passes with what it has, and says what was odd."""
    record = _record([time, {"log": "x", "a": 1}])
    assert record.problem is not None
    assert "the time of an entry" in record.problem
    assert record.fields == {"log": "x", "a": 1}


@pytest.mark.parametrize(
    ("entry", "text"),
    [
        ([SECONDS, "just text"], "just text"),
        ([SECONDS, b"\xffjunk"], "\udcffjunk"),
        ([SECONDS, ["a", {"b": b"\xff"}]], '["a", {"b": "\udcff"}]'),
        ([SECONDS, None], "null"),
        ([SECONDS, 7], "7"),
        ([SECONDS], "\udc91\udcceeS\udcf1\x00"),
        ("no array", "\udca8no array"),
        ({"log": "x"}, "\udc81\udca3log\udca1x"),
        (b"\x92\x01\x81\x91\xc0", "\udc92\x01\udc81\udc91\udcc0"),
        (b"\x92\xc7\x05\xff12345\x80", "\udc92\udcc7\x05\udcff12345\udc80"),
    ],
)
def test_an_entry_that_is_none_passes_with_its_content(entry: Any, text: str) -> None:
    """It refuses neither its message nor itself: its content is text under `log`, and the problem is told."""
    record = _record(entry)
    assert record.fields == {"log": text}
    assert record.problem is not None
    assert record.line == text


def test_values_that_json_does_not_know_become_text() -> None:
    """Bytes, extensions and odd keys pass; what is not UTF-8 keeps its bytes."""
    fields = {
        b"\xff": b"a\x00\xfe",
        7: [b"\x80", {None: True}],
        "ext": msgpack.ExtType(5, b"\xffx"),
        "when": EVENT_TIME,
        "stamp": msgpack.Timestamp(SECONDS, 5000),
        "far": msgpack.Timestamp(2**40, 0),
    }
    record = _record([SECONDS, fields])
    assert record.problem is None
    assert record.fields == {
        "\udcff": "a\x00\udcfe",
        "7": ["\udc80", {"null": True}],
        "ext": "\udcffx",
        "when": WHEN,
        "stamp": WHEN.replace(microsecond=5),
        "far": str(2**40 * 10**9),
    }


def test_a_key_of_any_type_and_a_key_twice_cost_nothing() -> None:
    """A key may be an array, which no mapping can hold; of two equal keys the first counts."""
    entry = b"\x92\x01\x84\xa1a\x01\xa1a\x02\x91\x01\x03\x81\x01\x02\x04"
    assert _record(entry).fields == {"a": 1, "[1]": 3, '{"1": 2}': 4}


def test_the_line_may_be_bytes() -> None:
    """A line that came as binary is the line; bytes that are not UTF-8 are kept."""
    record = _record([SECONDS, {"log": b"kmd \xff\x00"}])
    assert (record.line, record.line_key) == ("kmd \udcff\x00", "log")


@pytest.mark.parametrize("shape", [b"\x91", b"\x81\xa1a"], ids=["arrays", "maps"])
@pytest.mark.parametrize("depth", [49, 50, 500, 900])
def test_deep_nesting_costs_no_other_record(shape: bytes, depth: int) -> None:
    """A record that is nested deeper than anything can handle passes as bytes, and says so."""
    entry = b"\x92\x01\x81\xa1a" + shape * depth + b"\xc0"
    header = b"\x92\x92\x01\x81\xa1a" + shape * depth + b"\xc0\x80"
    assert (_record(header).problem is None) is (depth < 50)
    first, second = _records(_pack(["t", entry + _pack(ENTRIES[0])]))
    assert second.line == "one"
    if depth < 50:
        assert (first.problem, list(first.fields)) == (None, ["a"])
    else:
        assert first.problem is not None
        assert first.fields["log"].encode("utf-8", "surrogateescape") == entry


def test_nesting_that_the_library_gives_up_on_is_an_error_of_ours() -> None:
    """Such a message has no end that can be found."""
    reader = MessageReader(LIMIT)
    reader.feed(b"\x92\xa1t" + b"\x91" * 100_000)
    with pytest.raises(OriginError, match="not msgpack"):
        reader.next_message()


def test_a_record_of_countless_values_takes_no_memory() -> None:
    """A few bytes may stand for a hundred times as many of objects: such a record passes as bytes."""
    bombs = [
        b"\x92\x01\x81\xa1a\xdd\x00\x0f\x42\x40" + b"\x90" * 1_000_000,
        b"\x92\x01\x81\xa1a\xdd\x7f\xff\xff\xff",
        b"\x92\x01\xdf\x7f\xff\xff\xff",
        b"\x92\x01\x81\xa1a\xdd\x00\x01\x80\x00" + b"\x80" * 0x18000,
        b"\x92\x01\x81\xa1a\x9f" + (b"\xdc\xea\x60" + b"\xc0" * 60_000) * 15,
    ]
    for bomb in bombs:
        tracemalloc.start()
        try:
            record = _record(bomb)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert record.problem is not None
        assert peak < 30_000_000


@pytest.mark.parametrize(
    "message",
    [["t", [None] * 5], ["t", b"\xc0" * 5], ["t", gzip.compress(b"\xc0" * 5), {"compressed": "gzip"}]],
    ids=["list", "packed", "compressed"],
)
def test_a_message_of_countless_entries_is_refused(message: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A few bytes may stand for millions of entries, and each costs as much as a record; the error says what to do."""
    monkeypatch.setattr(wire, "_MOST_ENTRIES", 4)
    with pytest.raises(OriginError, match="more than 4 entries: have its sender send smaller ones"):
        read_message(_pack(message), LIMIT)
    monkeypatch.setattr(wire, "_MOST_ENTRIES", 5)
    assert read_message(_pack(message), LIMIT).size == 5


@pytest.mark.parametrize(
    ("message", "problem"),
    [
        (["t", gzip.compress(b"\x00" * (LIMIT + 1)), {"compressed": "gzip"}], "larger than 1048576 bytes when decomp"),
        (["t", b"no gzip", {"compressed": "gzip"}], "no gzip"),
        (["t", gzip.compress(PACKED)[:-4], {"compressed": "gzip"}], "no gzip"),
        (["t", gzip.compress(PACKED) + b"more", {"compressed": "gzip"}], "no gzip"),
        (["t", b"(\xb5/\xfd", {"compressed": "zstd"}], "'zstd' is not known: set compress to gzip"),
        (["t", b"", {"compressed": 7}], "'7' is not known"),
        (["t", PACKED, {"fluent_signal": 1}], "fluent_signal is 1: only logs"),
        (["t", ENTRIES, {"fluent_signal": 2}], "fluent_signal is 2"),
        (["t", ENTRIES, {"fluent_signal": "x" * 9_000}], r"fluent_signal is 'x{1,50}: only logs"),
        (["t", PACKED[:-1]], "entry 2 is not whole"),
        (["t", PACKED + b"\xc1"], "entry 3 is not whole"),
        (["t", [], {"chunk": 7}], "chunk is no text"),
        (["t", SECONDS, {}, {"metadata": 7}], "metadata is no map"),
        (["t", [], "options"], "options of a message are no map"),
        (["t", [], {"x": "y" * LIMIT}], "options of a message are no map of at most"),
        (["t", SECONDS], "no record"),
        (["t"], "1 parts"),
        (["t", 1, {}, {}, {}], "5 parts"),
        ([None, []], "no tag"),
        (["t" * 70_000, []], "no tag"),
        ([["t"], []], "no tag"),
        ({"t": []}, "no array"),
    ],
)
def test_a_message_that_is_none_is_refused_with_its_reason(message: Any, problem: str) -> None:
    """The error says what is wrong, for whoever looks after the sender."""
    with pytest.raises(OriginError, match=problem):
        read_message(_pack(message), LIMIT)


def test_a_stream_is_cut_into_messages_wherever_it_is_torn() -> None:
    """Messages are found byte by byte and all at once; nil, a sign of life, is none."""
    messages = [_pack(["t", PACKED, {"chunk": "c"}]), _pack(["t", SECONDS, {"log": "x" * 300}]), _pack(["t", ENTRIES])]
    stream = b"\xc0".join([b"", *messages, b""])
    for step in (1, 7, len(stream)):
        reader = MessageReader(LIMIT)
        found = []
        for start in range(0, len(stream), step):
            reader.feed(stream[start : start + step])
            while message := reader.next_message():
                found.append(message)
        assert found == messages
        assert not reader.begun


@pytest.mark.parametrize(
    "start", [b"GET / HTTP/1.1\r\n", b"\x16\x03\x01", b"\xdb\xff\xff\xff\xff", b"\x81\xa1a", b"\xc1"]
)
def test_what_is_no_message_is_told_at_its_first_byte(start: bytes) -> None:
    """Nothing is collected of it."""
    reader = MessageReader(LIMIT)
    reader.feed(start)
    with pytest.raises(OriginError, match="not the Forward protocol"):
        reader.next_message()


@pytest.mark.parametrize("whole", [True, False])
def test_a_message_that_is_too_large_is_refused(whole: bool) -> None:
    """As soon as it is known, whether its end has come or not."""
    reader = MessageReader(1000)
    reader.feed(_pack(["t", b"x" * 1000])[: None if whole else -1])
    with pytest.raises(OriginError, match="larger than 1000 bytes"):
        reader.next_message()


@given(
    data=st.one_of(
        st.binary(max_size=200),
        st.builds(
            lambda message, place, byte: message[: place % len(message)] + byte + message[place % len(message) + 1 :],
            st.sampled_from(
                [
                    _pack(["t", ENTRIES, {"chunk": "c"}]),
                    _pack(["t", PACKED, {"size": 3}]),
                    _pack(["t", gzip.compress(PACKED, mtime=0), {"compressed": "gzip", "chunk": "c"}]),
                    _pack(["t", EVENT_TIME, {"log": "x"}, {"metadata": {"a": 1}}]),
                ]
            ),
            st.integers(0, 500),
            st.binary(max_size=2),
        ),
    ),
    cut=st.integers(0, 400),
)
def test_any_bytes_are_records_or_an_error_of_ours(data: bytes, cut: int) -> None:
    """No bytes, however cut or flipped, raise anything else, and what comes out can be written as JSON."""
    pipeline = Pipeline([])
    reader = MessageReader(LIMIT)
    for part in (data[:cut], data[cut:]):
        reader.feed(part)
        with suppress(OriginError):
            while message := reader.next_message():
                for record in _records(message):
                    entry = pack_entry(pipeline.process(record), LIMIT)
                    time, document = _unpacked(entry)
                    assert isinstance(document, dict)
                    assert time is not None
                    assert json.dumps(document, ensure_ascii=False).encode()
    for read in (lambda: _records(data), lambda: unpack_origin(data, KEYS, None)):
        with suppress(OriginError):
            read()


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.text() | st.binary(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text() | st.binary(), inner, max_size=3),
        max_leaves=10,
    )
)
def test_any_record_is_read_and_kept_as_it_came(value: Any) -> None:
    """Whatever a record holds it is read without a problem, and can be stored and read again with each of its bytes."""
    entry = _pack([EVENT_TIME, {"value": value}])
    record = read_entry("tag \udcff", entry, KEYS, "number")
    assert record.problem is None
    assert isinstance(record.origin, ForwardOrigin)
    again = unpack_origin(pack_origin(record.origin), KEYS, "number")
    assert (again.origin, again.id, again.time) == (record.origin, record.id, record.time)
    assert record.origin.entry == entry


@pytest.mark.parametrize("count", [0, 2])
def test_a_stored_record_is_one(count: int) -> None:
    """What holds none or several is no stored record."""
    with pytest.raises(OriginError, match="should hold 1"):
        unpack_origin(_pack(["t", ENTRIES[:count]]), KEYS, None)


@pytest.mark.parametrize("time", [SECONDS, SECONDS + 0.125, EVENT_TIME])
def test_the_time_that_came_leaves_with_its_type_and_all_its_digits(time: Any, pipeline: Pipeline) -> None:
    """Nanoseconds, which no date of ours holds, are not lost."""
    sent = _sent_on(pipeline, [time, {"log": LINE, "host": "a"}])
    assert sent[0] == time
    assert type(sent[0]) is type(time)
    assert sent[1]["event"]["code"] == "KMD_VPN_DOWN_ALARM_USER"
    assert sent[1]["host"] == "a"


def test_metadata_leave_as_they_came(pipeline: Pipeline) -> None:
    """With each byte; a record whose metadata were empty leaves in the form that every receiver knows."""
    assert _sent_on(pipeline, [[EVENT_TIME, {"a": b"\xff"}], {"log": "x"}])[0] == [EVENT_TIME, {"a": b"\xff"}]
    assert _sent_on(pipeline, [[EVENT_TIME, {}], {"log": "x"}])[0] == EVENT_TIME


@pytest.mark.parametrize(
    "time", [None, 0, -5, "text", True, float("nan"), -1.5, msgpack.ExtType(0, struct.pack(">II", 5, 10**9)), 2**64 - 1]
)
def test_a_time_that_receivers_refuse_is_replaced(time: Any, pipeline: Pipeline) -> None:
    """Fluent Bit refuses a whole message for one time: such a record leaves with its `@timestamp`."""
    entry = pipeline.process(_record([time, {"log": "x"}]))
    when, document = _unpacked(pack_entry(entry, LIMIT))
    assert when.code == 0
    seconds, nanoseconds = struct.unpack(">II", when.data)
    assert nanoseconds < 10**9
    stamp = datetime.fromisoformat(document["@timestamp"])
    assert max(0.0, stamp.timestamp()) == pytest.approx(seconds + nanoseconds / 1e9, abs=1e-3)


def test_a_timestamp_of_msgpack_leaves_as_event_time(pipeline: Pipeline) -> None:
    """Fluent Bit does not know msgpack's own type; nanoseconds are kept, and a time beyond 2106 is an integer."""
    assert _sent_on(pipeline, [msgpack.Timestamp(SECONDS, 123_456_789), {}])[0] == EVENT_TIME
    assert _sent_on(pipeline, [msgpack.Timestamp(2**32 + 1, 5), {}])[0] == 2**32 + 1


@pytest.mark.parametrize("seconds", [0xFFFFFFFF, 0xFFFFFFFE])
def test_what_is_no_record_to_fluent_bit_leaves_as_it_came(seconds: int, pipeline: Pipeline) -> None:
    """A group of records begins and ends with an entry whose time is a mark; other ways out see no time in it."""
    entry = [[msgpack.ExtType(0, struct.pack(">II", seconds, 0)), {"schema": "otlp"}], {"resource": {"a": b"\xff"}}]
    assert _record(entry).time is None
    assert _sent_on(pipeline, entry) == entry


def test_integers_that_msgpack_has_no_place_for_leave_as_text(pipeline: Pipeline) -> None:
    """Other doors take integers of any size."""
    fields = {"log": "x", "big": 2**64 - 1, "bigger": 2**64, "low": [-(2**63), -(2**63) - 1]}
    entry = pack_entry(pipeline.process(Record.from_map(fields, KEYS)), LIMIT)
    document = _unpacked(entry)[1]
    assert document["big"] == 2**64 - 1
    assert document["bigger"] == str(2**64)
    assert document["low"] == [-(2**63), str(-(2**63) - 1)]


def _nested(depth: int) -> Any:
    value: Any = "end"
    for _ in range(depth):
        value = {"a": value}
    return value


def test_what_is_nested_deeper_than_receivers_read_leaves_as_text(pipeline: Pipeline) -> None:
    """Fluent Bit would take such a message, and then drop all that follows the record."""
    fields = {"log": LINE, "flat": [1], "fits": _nested(49), "deep": _nested(50)}
    document = _unpacked(pack_entry(pipeline.process(Record.from_map(fields, KEYS)), LIMIT))[1]
    assert (document["flat"], document["fits"]) == ([1], _nested(49))
    assert json.loads(document["deep"]) == _nested(50)


def test_fields_that_cannot_be_written_cost_the_fields_alone(pipeline: Pipeline) -> None:
    """A map that is nested beyond all sense, from another door, leaves its record behind without fields."""
    fields = {"log": LINE, "deep": _nested(100_000)}
    document = _unpacked(pack_entry(pipeline.process(Record.from_map(fields, KEYS)), LIMIT))[1]
    assert document["event"]["original"] == LINE
    assert "deep" not in document
    assert "cannot be written" in document["error"]["message"]


def test_a_record_that_is_too_large_leaves_without_what_is_known_of_it(pipeline: Pipeline) -> None:
    """Else with its own fields and a note; and if even they are too large it is told."""
    entry = _pack([SECONDS, {"log": LINE, "pad": "x" * 1000}])
    time, document = _sent_on(pipeline, entry, 1500)
    assert (time, document["log"], document["pad"]) == (SECONDS, LINE, "x" * 1000)
    assert "too large to be enriched" in document["error"]["message"]
    assert document["event"] == {"kind": "pipeline_error", "id": "id"}
    assert pack_entry(pipeline.process(_record(entry)), 1000) is None


def test_a_large_line_of_another_door_is_kept_as_the_message(pipeline: Pipeline) -> None:
    """Its line stands in no field of the agent's."""
    enriched = pipeline.process(Record(line=LINE + "x" * 1000))
    assert _unpacked(pack_entry(enriched, 1500))[1]["message"] == LINE + "x" * 1000


def _double_digest(*parts: str) -> str:
    return hashlib.sha512("".join(parts).encode()).hexdigest()


@pytest.mark.parametrize("compress", [False, True])
def test_a_message_is_what_the_specification_says(compress: bool) -> None:
    """[tag, entries as bin, options]; the chunk is 16 random bytes in base64."""
    entries = list(map(_pack, ENTRIES))
    data, chunk = pack_message("a.\udcff", entries, compress=compress)
    tag, packed, options = msgpack.unpackb(data, unicode_errors="surrogateescape")
    assert (tag, len(chunk), options["size"], options["chunk"]) == ("a.\udcff", 24, 3, chunk)
    assert options.get("compressed") == ("gzip" if compress else None)
    assert (gzip.decompress(packed) if compress else packed) == PACKED
    assert pack_message("t", entries, compress=compress)[1] != chunk


def test_entries_are_put_together_by_tag_and_size() -> None:
    """No message is larger than it may be, and within a tag the order stays."""
    entries = Entries(400)
    sent: list[tuple[str, list[bytes]]] = []
    for number in range(100):
        tag = "ab"[number % 3 == 0]
        entry = b"%03d" % number * (1 + number % 20)
        if full := entries.add(tag, entry):
            sent.append((tag, full))
    sent += entries.rest()
    assert entries.rest() == []
    assert all(len(pack_message(tag, part, compress=False)[0]) <= 400 for tag, part in sent)
    for tag in "ab":
        numbers = [int(entry[:3]) for name, part in sent if name == tag for entry in part]
        assert numbers == [number for number in range(100) if "ab"[number % 3 == 0] == tag]
    assert len(sent) < 25


def test_both_sides_prove_that_they_have_the_key() -> None:
    """Digests are SHA-512 of salt, host name, nonce and key, in hexadecimal."""
    nonce, salt = handshake.make_nonce(), handshake.make_nonce()
    helo = handshake.read_helo(handshake.make_helo(nonce))
    ping = handshake.make_ping(helo, salt, "client", "key")
    assert msgpack.unpackb(ping) == ["PING", "client", salt, _double_digest(salt, "client", nonce, "key"), "", ""]
    assert handshake.check_ping(ping, nonce, "key") == salt.encode()
    pong = handshake.make_pong(salt.encode(), nonce, "server", "key")
    assert msgpack.unpackb(pong) == ["PONG", True, "", "server", _double_digest(salt, "server", nonce, "key")]
    handshake.check_pong(pong, helo, salt, "key")


def test_a_side_without_the_key_is_found_out() -> None:
    """Whichever side it is; neither says more than that the keys differ."""
    nonce, salt = handshake.make_nonce(), handshake.make_nonce()
    helo = handshake.read_helo(handshake.make_helo(nonce))
    with pytest.raises(HandshakeError, match=MISMATCH):
        handshake.check_ping(handshake.make_ping(helo, salt, "client", "other"), nonce, "key")
    with pytest.raises(HandshakeError, match=MISMATCH):
        handshake.check_pong(handshake.make_pong(None, nonce, "server", "key"), helo, salt, "key")
    for pong in (
        handshake.make_pong(salt.encode(), nonce, "server", "other"),
        handshake.make_pong(salt.encode(), "another nonce", "server", "key"),
        handshake.make_pong(b"another salt", nonce, "server", "key"),
    ):
        with pytest.raises(HandshakeError, match=MISMATCH):
            handshake.check_pong(pong, helo, salt, "key")


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"\xc1",
        _pack(7),
        _pack(["HELO"]),
        _pack(["HELO", None]),
        _pack(["HELO", {}]),
        _pack(["HELO", {"nonce": 1}]),
        _pack(["PING", 1, 2, 3, 4, 5]),
        _pack(["PONG", True, "", 1, 2]),
        _pack(["PONG", False, None, "", ""]),
    ],
)
def test_what_is_no_handshake_is_told(message: bytes) -> None:
    """Each part refuses what it is not."""
    helo = handshake.Helo(b"n", True)
    for check in (
        lambda: handshake.read_helo(message),
        lambda: handshake.check_ping(message, "n", "key"),
        lambda: handshake.check_pong(message, helo, "s", "key"),
    ):
        with pytest.raises(HandshakeError):
            check()


def test_an_answer_may_be_a_map() -> None:
    """Acknowledgements are maps, and nothing else that a server sends is longer."""
    reader = MessageReader(1000, ANSWERS)
    reader.feed(_pack({"ack": "c"}))
    assert reader.next_message() == _pack({"ack": "c"})
    reader.feed(b"\xc0")
    with pytest.raises(OriginError):
        reader.next_message()


def test_what_is_sent_is_what_is_read(pipeline: Pipeline) -> None:
    """The two halves of this package understand each other, and what other doors took passes as well."""
    batch: list[Enriched] = pipeline.process_all([_record([EVENT_TIME, {"log": LINE}]), Record(line="a \udcff line")])
    entries = [entry for enriched in batch if (entry := pack_entry(enriched, LIMIT))]
    first, second = _records(pack_message("t", entries, compress=True)[0])
    assert first.fields["event"]["original"] == LINE
    assert first.time == WHEN
    assert second.fields["message"] == r"a \xff line"
