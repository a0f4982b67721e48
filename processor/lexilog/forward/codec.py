"""Entries -> records, and enriched records -> entries.

An entry is ``[time, record]``, or ``[[time, metadata], record]`` as Fluent Bit writes it. Time is an integer, a float,
or EventTime: seconds and nanoseconds as an extension of type 0.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from struct import pack as pack_struct
from struct import unpack as unpack_struct
from typing import Any, NamedTuple

import msgpack
from msgspec import structs

from lexilog.enrich.document import document, without_agent_fields
from lexilog.enrich.escape import escape
from lexilog.errors import OriginError
from lexilog.forward.wire import Pairs, read_message, unpack
from lexilog.model import Enriched, Outcome, Record
from lexilog.otlp.decode import to_time

__all__ = ["Entries", "ForwardOrigin", "pack_entry", "pack_origin", "read_entry", "unpack_origin"]

# Fluent Bit reads 64 levels, the entry's own among them, and drops what follows one that is deeper.
_DEEPEST = 50
_EVENT_TIME = 0
_NANO = 1_000_000_000
_END_OF_SECONDS = 1 << 32
# The year 10000.
_END_OF_CALENDAR = 253_402_300_800
# Fluent Bit writes these in place of seconds where a group of records begins and ends; such an entry is no record.
_MARKS = (0xFFFFFFFF, 0xFFFFFFFE)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# What a message costs beside its entries and its tag: headers, and options.
_OVERHEAD = 128

_log = logging.getLogger(__name__)


class ForwardOrigin(NamedTuple):
    """What a record came as; a relay of the protocol builds on it.

    Attributes:
        tag: the tag.
        time: as it came: an integer, a float, EventTime as a `msgpack.ExtType`, or what else stood in its place.
        metadata: Fluent Bit's metadata, packed as they came; empty where there were none.
        entry: the whole entry, as it came.
    """

    tag: str
    time: object
    metadata: bytes
    entry: bytes


class _Unreadable(Exception):  # noqa: N818 (it never leaves this module)
    """Part of an entry cannot be read; its text says what."""


def read_entry(tag: str, entry: bytes, body_keys: Sequence[str], number: str | None) -> Record:
    """Return the record that an entry is; one that is none becomes a record with its content as text, and a problem.

    Args:
        tag: the tag of its message.
        entry: the entry.
        body_keys: where the line may stand in it; the first that holds text counts.
        number: its id.
    """
    origin = ForwardOrigin(tag, None, b"", entry)
    fields: dict[str, Any]
    time = problem = None
    try:
        header, body = _halves(entry)
        origin = origin._replace(time=header)
        if isinstance(header, list) and len(header) == 2 and isinstance(header[1], Pairs):
            _plain(header[1])
            origin = origin._replace(time=header[0], metadata=_metadata(entry) if header[1] else b"")
        time = to_time(_nanoseconds(origin.time))
        if isinstance(body, Pairs):
            fields = _plain(body)
        else:
            fields = {"log": _text(body)}
            problem = f"the record of an entry is no map but {_kind(body)}"
    except Exception as error:  # one entry must not cost another
        if not isinstance(error, OriginError | _Unreadable):
            _log.exception("an entry cannot be read")
        fields = {"log": entry.decode("utf-8", "surrogateescape")}
        problem = f"an entry is passed on as bytes: {error}"
    if problem is None and not (origin.time is None or _is_time(origin.time)):
        problem = f"the time of an entry is no time but {_kind(origin.time)}"
    return Record.from_map(fields, body_keys, time=time, origin=origin, id=number, problem=problem)


def pack_origin(origin: ForwardOrigin) -> bytes:
    """Return a record exactly as it was received, as a message of its own; `unpack_origin` reads it."""
    tag: bytes = msgpack.packb(origin.tag, unicode_errors="surrogateescape")
    return b"\x92" + tag + b"\x91" + origin.entry


def unpack_origin(data: bytes, body_keys: Sequence[str], id: str | None) -> Record:  # noqa: A002 (the model's name)
    """Return the record that `pack_origin` has written.

    Args:
        data: the message.
        body_keys: where the line may stand in the record; the first that holds text counts.
        id: the record's id.

    Raises:
        OriginError: it is no such message.
    """
    message = read_message(data, len(data))
    if message.size != 1:
        raise OriginError(f"a Forward message holds {message.size} records: it should hold 1")
    return read_entry(message.tag, message.entry(0), body_keys, id)


def pack_entry(enriched: Enriched, max_bytes: int) -> bytes | None:
    """Return an enriched record as an entry.

    Its time is the one that it came with, to the nanosecond and of the same type, and so are Fluent Bit's metadata. A
    record that is too large when it is enriched leaves with its own fields and a note.

    Args:
        enriched: the record.
        max_bytes: size of the entry.

    Returns:
        The entry; None where even the record itself is too large.
    """
    origin = enriched.record.origin
    if isinstance(origin, ForwardOrigin) and _is_mark(origin.time):
        return origin.entry if len(origin.entry) <= max_bytes else None
    entry = _pack(enriched)
    if len(entry) > max_bytes:
        entry = _pack(_as_it_came(enriched, f"too large to be enriched: {len(entry)} bytes"))
    return entry if len(entry) <= max_bytes else None


class Entries:
    """Puts entries together that go in one message: those of a tag, in order.

    Args:
        max_bytes: size of a message.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._open: dict[str, list[bytes]] = {}
        self._sizes: dict[str, int] = {}

    def room(self, tag: str) -> int:
        """Return how large an entry of a tag may be, in bytes."""
        return self._max_bytes - _OVERHEAD - len(tag.encode("utf-8", "surrogateescape"))

    def add(self, tag: str, entry: bytes) -> list[bytes]:
        """Add an entry; return the entries before it, of the same tag, if it did not fit in with them."""
        full: list[bytes] = []
        if self._sizes.get(tag, 0) + len(entry) > self.room(tag):
            full = self._open.pop(tag, [])
            self._sizes[tag] = 0
        self._open.setdefault(tag, []).append(entry)
        self._sizes[tag] = self._sizes.get(tag, 0) + len(entry)
        return full

    def rest(self) -> list[tuple[str, list[bytes]]]:
        """Return what is left, by tag, and start anew."""
        rest, self._open, self._sizes = list(self._open.items()), {}, {}
        return rest


def _halves(entry: bytes) -> tuple[Any, Any]:
    value = unpack(entry)
    if not isinstance(value, list) or isinstance(value, Pairs) or len(value) != 2:
        raise _Unreadable(f"it is no [time, record] but {_kind(value)}")
    return value[0], value[1]


def _metadata(entry: bytes) -> bytes:
    scanner = msgpack.Unpacker(max_buffer_size=0)
    scanner.feed(entry)
    scanner.read_array_header()
    scanner.read_array_header()
    scanner.skip()
    start = scanner.tell()
    scanner.skip()
    return entry[start : scanner.tell()]


def _plain(value: Any, depth: int = 0) -> Any:
    """Return a value as JSON has it: bytes are text, keys are text, and times are times."""
    kind = type(value)
    if kind is bytes:
        return value.decode("utf-8", "surrogateescape")
    if kind is Pairs or kind is list:
        if depth == _DEEPEST:
            raise _Unreadable(f"it is nested more than {_DEEPEST} deep")
        if kind is list:
            return [_plain(item, depth + 1) for item in value]
        fields: dict[str, Any] = {}
        for key, item in value:
            # The first of two equal keys counts.
            fields.setdefault(key if type(key) is str else _text(key), _plain(item, depth + 1))
        return fields
    if kind is msgpack.ExtType or kind is msgpack.Timestamp:
        return to_time(_nanoseconds(value)) or _extension(value)
    return value


def _extension(value: msgpack.ExtType | msgpack.Timestamp) -> str:
    if isinstance(value, msgpack.Timestamp):
        return str(value.to_unix_nano())
    data: bytes = value.data
    return data.decode("utf-8", "surrogateescape")


def _text(value: Any) -> str:
    plain = _plain(value)
    return plain if isinstance(plain, str) else json.dumps(plain, ensure_ascii=False, default=str)


def _kind(value: object) -> str:
    if isinstance(value, Pairs):
        return "a map"
    if isinstance(value, list):
        return f"an array of {len(value)}"
    return "nil" if value is None else type(value).__name__


def _is_time(value: object) -> bool:
    if isinstance(value, msgpack.ExtType):
        return bool(value.code == _EVENT_TIME and len(value.data) == 8)
    return isinstance(value, int | float | msgpack.Timestamp) and not isinstance(value, bool)


def _is_mark(value: object) -> bool:
    if not (isinstance(value, msgpack.ExtType) and _is_time(value)):
        return False
    seconds, nanoseconds = unpack_struct(">II", value.data)
    return seconds in _MARKS and nanoseconds == 0


def _nanoseconds(value: Any) -> int:
    """Return a time in nanoseconds since 1970; 0 for what is none. Fluentd too takes 0 for no time."""
    if not _is_time(value) or _is_mark(value):
        return 0
    if isinstance(value, msgpack.ExtType):
        seconds, nanoseconds = unpack_struct(">II", value.data)
        return int(seconds * _NANO + nanoseconds)
    if isinstance(value, msgpack.Timestamp):
        return value.to_unix_nano()
    if isinstance(value, float):
        # Neither what is no number is a time, nor what cannot be multiplied.
        return int(value * 1_000_000) * 1_000 if abs(value) < _END_OF_CALENDAR else 0
    return int(value) * _NANO


def _pack(enriched: Enriched) -> bytes:
    """Return a record as an entry, whatever its size. A failure costs the agent's fields, never the record."""
    head, record = _pack_header(enriched), enriched.record
    try:
        if not _is_shallow(record.fields, _DEEPEST):
            fields = {name: _shallow(value) for name, value in record.fields.items()}
            enriched = structs.replace(enriched, record=structs.replace(record, fields=fields))
        return head + _packer().pack(document(enriched))
    except Exception as error:  # see the docstring
        return head + _packer().pack(document(without_agent_fields(enriched, error)))


def _is_shallow(value: object, room: int) -> bool:
    """Tell whether a value is nested no deeper than there is room."""
    if isinstance(value, Mapping):
        return room > 0 and all(_is_shallow(item, room - 1) for item in value.values())
    if isinstance(value, list | tuple):
        return room > 0 and all(_is_shallow(item, room - 1) for item in value)
    return True


def _shallow(value: object) -> object:
    """Return a value that is nested too deep as text."""
    return value if _is_shallow(value, _DEEPEST - 1) else json.dumps(value, ensure_ascii=False, default=str)


def _packer() -> msgpack.Packer:
    return msgpack.Packer(unicode_errors="surrogateescape", default=_large)


def _large(value: object) -> str:
    """Return an integer that msgpack has no place for as text."""
    if isinstance(value, int):
        return str(value)
    raise TypeError(f"{type(value).__name__} cannot be packed")


def _pack_header(enriched: Enriched) -> bytes:
    """Return the beginning of an entry, up to its record."""
    origin = enriched.record.origin
    metadata, time = b"", None
    if isinstance(origin, ForwardOrigin):
        metadata, time = origin.metadata, origin.time
    packed: bytes = msgpack.packb(time if _is_sound(time) else _event_time(enriched))
    # Fluentd does not know metadata, so where there are none they are left away.
    return b"\x92" + (b"\x92" + packed + metadata if metadata else packed)


def _is_sound(time: Any) -> bool:
    """Tell whether receivers can read a time: Fluent Bit refuses what is negative, or has a billion nanoseconds."""
    if to_time(_nanoseconds(time)) is None or isinstance(time, msgpack.Timestamp):
        return False
    if isinstance(time, msgpack.ExtType):
        return bool(unpack_struct(">II", time.data)[1] < _NANO)
    return bool(time > 0)


def _event_time(enriched: Enriched) -> msgpack.ExtType | int:
    """Return the time that a record came with, else its ``@timestamp``, as EventTime."""
    origin = enriched.record.origin
    if isinstance(origin, ForwardOrigin) and isinstance(origin.time, msgpack.Timestamp):
        seconds, nanoseconds = divmod(origin.time.to_unix_nano(), _NANO)
    else:
        when = enriched.fields.get("@timestamp")
        since = (when if isinstance(when, datetime) else _EPOCH) - _EPOCH
        seconds, nanoseconds = since.days * 86_400 + since.seconds, since.microseconds * 1_000
    if seconds >= _END_OF_SECONDS:
        return seconds
    if seconds < 0:
        seconds = nanoseconds = 0
    return msgpack.ExtType(_EVENT_TIME, pack_struct(">II", seconds, nanoseconds))


def _as_it_came(enriched: Enriched, problem: str) -> Enriched:
    """Return a record with the fields that it came with, and a note."""
    record = enriched.record
    fields: dict[str, Any] = {"event.kind": "pipeline_error", "error.message": escape(problem)}
    fields |= {name: enriched.fields[name] for name in ("@timestamp", "event.id") if name in enriched.fields}
    if record.line is not None and record.line_key is None:
        fields["message"] = record.line
    return Enriched(record=record, fields=fields, outcome=Outcome.ERROR, reason=enriched.reason)
