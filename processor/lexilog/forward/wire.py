"""Bytes <-> messages: where a message ends, what it is made of, and how one is written.

Nothing is unpacked here but a message's small parts. Entries stay bytes until it is their turn, because a few bytes of
msgpack can stand for a hundred times as many of objects.
"""

from __future__ import annotations

import gzip
import zlib
from array import array
from base64 import b64encode
from collections.abc import Container, Mapping, Sequence
from os import urandom
from typing import Any, NamedTuple

import msgpack

from lexilog.enrich.escape import escape
from lexilog.errors import OriginError, TooLargeError
from lexilog.gunzip import gunzip

__all__ = [
    "ANSWERS",
    "MESSAGES",
    "MOST_VALUES",
    "Message",
    "MessageReader",
    "NotForwardError",
    "Pairs",
    "pack_message",
    "read_message",
    "unpack",
]

# The first byte of an array and of a map (msgpack specification, "Overview").
_ARRAYS = frozenset([*range(0x90, 0xA0), 0xDC, 0xDD])
_MAPS = frozenset([*range(0x80, 0x90), 0xDE, 0xDF])
_NIL = 0xC0
# What a client sends: messages, and nil for a sign of life, as Fluentd takes it.
MESSAGES = _ARRAYS | {_NIL}
# What a server sends: acknowledgements, and its part of the handshake.
ANSWERS = _ARRAYS | _MAPS

# The first byte of a str or bin, and how many bytes stand before its content.
_TEXT_HEADERS = {**dict.fromkeys(range(0xA0, 0xC0), 1), 0xD9: 2, 0xC4: 2, 0xDA: 3, 0xC5: 3, 0xDB: 5, 0xC6: 5}
# Values in one record, or in the options of a message: far more than any log has, and far less than memory holds.
MOST_VALUES = 100_000
# Entries in one message; senders' messages have some megabytes, and a record hardly less than a hundred bytes.
_MOST_ENTRIES = 1_000_000
_LONGEST_TAG = 65_536
_LONGEST_OPTIONS = 1 << 20
# Messages from this size on are not kept a second time by what scans them.
_LONG = 1 << 18
# Two fifths of the time of zlib's default, 6, for a sixth more bytes; measured on documents of this package.
_GZIP_LEVEL = 3


class NotForwardError(OriginError):
    """What comes is not the Forward protocol at all."""


class Pairs(list[tuple[Any, Any]]):
    """A map as it was packed: keys of any type, and any number of times."""


class Message(NamedTuple):
    """A message of any of the four modes.

    Attributes:
        tag: the tag; bytes that are not UTF-8 are lone surrogates.
        data: bytes in which its entries stand.
        bounds: where each entry begins, and where the last one ends.
        chunk: the chunk that the sender wants acknowledged, as it came.
    """

    tag: str
    data: bytes
    bounds: Sequence[int]
    chunk: str | bytes | None

    @property
    def size(self) -> int:
        """How many entries there are."""
        return len(self.bounds) - 1

    @property
    def content(self) -> bytes:
        """The entries: what a sender that sends the message again sends again."""
        return self.data[self.bounds[0] : self.bounds[-1]]

    def entry(self, number: int) -> bytes:
        """Return an entry, counted from 0."""
        return self.data[self.bounds[number] : self.bounds[number + 1]]


class MessageReader:
    """Finds where messages end in a stream of bytes.

    Args:
        max_bytes: the largest message.
        starts: first bytes of what may come: MESSAGES or ANSWERS.
    """

    def __init__(self, max_bytes: int, starts: Container[int] = MESSAGES) -> None:
        self.max_bytes = max_bytes
        self._starts = starts
        self._buffer = bytearray()
        # It has seen the beginning of the buffer, and goes on from where it was when there is more.
        self._scanner = _unpacker()
        self._shown = self._taken = 0

    @property
    def begun(self) -> bool:
        """Whether there is part of a message, or more."""
        return bool(self._buffer)

    @property
    def size(self) -> int:
        """How many bytes are there that have not been returned."""
        return len(self._buffer)

    @property
    def memory(self) -> int:
        """How many bytes of memory they take at most: what the scanner has seen it may keep as well."""
        return len(self._buffer) + self._shown

    def feed(self, data: bytes) -> None:
        """Add what has come."""
        self._buffer += data

    def next_message(self) -> bytes | None:
        """Return the next whole message, if it is there.

        Raises:
            OriginError: what comes is no message (NotForwardError), or too large (TooLargeError).
        """
        while self._buffer:
            if self._buffer[0] not in self._starts:
                raise NotForwardError(f"this is not the Forward protocol: {_excerpt(self._buffer)}")
            least = _least_size(self._buffer)
            end = self._scan() if len(self._buffer) >= least else None
            self._check(end or max(least, len(self._buffer)))
            if end is None:
                return None
            message = self._take(end)
            if message[0] != _NIL:
                return message
        return None

    def _scan(self) -> int | None:
        """Return where the first message ends, if that is there."""
        self._scanner.feed(memoryview(self._buffer)[self._shown :])
        self._shown = len(self._buffer)
        try:
            self._scanner.skip()
        except msgpack.OutOfData:
            return None
        except Exception as error:  # the library has several
            raise NotForwardError(f"this is not msgpack: {_name(error)}: {_excerpt(self._buffer)}") from error
        return int(self._scanner.tell()) - self._taken

    def _take(self, end: int) -> bytes:
        message = bytes(memoryview(self._buffer)[:end])
        del self._buffer[:end]
        self._taken += end
        self._shown -= end
        if end >= _LONG:
            # It would keep the room that it has taken as long as the connection stands.
            self._scanner, self._shown, self._taken = _unpacker(), 0, 0
        return message

    def _check(self, size: int) -> None:
        if size > self.max_bytes:
            raise TooLargeError(f"a message is larger than {self.max_bytes} bytes")


def read_message(data: bytes, max_bytes: int) -> Message:
    """Return the message that an array is, cut into entries; what the entries hold is not looked at.

    Args:
        data: the message, whole.
        max_bytes: how large its entries may be when they are decompressed.

    Raises:
        OriginError: it is no message, or none that is taken here.
    """
    parts = _parts(data)
    tag = _read_tag(data[parts[0] : parts[1]])
    kind = data[parts[1]]
    if kind in _ARRAYS:
        options = _read_options(data, parts, 2)
        chunk = _check_options(options)
        return Message(tag, data, _cut_list(data, parts[1], parts[2]), chunk)
    if kind in _TEXT_HEADERS:
        options = _read_options(data, parts, 2)
        chunk = _check_options(options)
        packed = data[parts[1] + _TEXT_HEADERS[kind] : parts[2]]
        packed = _decompress(packed, options, max_bytes)
        return Message(tag, packed, _cut(packed, 0, len(packed)), chunk)
    if len(parts) < 4:
        raise OriginError("a message with a time has no record")
    options = _read_options(data, parts, 3)
    chunk = _check_options(options)
    time, record = data[parts[1] : parts[2]], data[parts[2] : parts[3]]
    # Fluent Bit's metadata travel among the options in this mode.
    entry = b"\x92" + (b"\x92" + time + options["metadata"] if "metadata" in options else time) + record
    return Message(tag, entry, (0, len(entry)), chunk)


def pack_message(tag: str, entries: Sequence[bytes], *, compress: bool) -> tuple[bytes, str]:
    """Return a PackedForward message, and the chunk that its receiver will acknowledge.

    Args:
        tag: the tag.
        entries: packed entries.
        compress: compress them with gzip.
    """
    chunk = b64encode(urandom(16)).decode("ascii")
    packed = b"".join(entries)
    # The chunk comes first, as Fluent Bit sends it.
    options: dict[str, Any] = {"chunk": chunk, "size": len(entries)}
    if compress:
        packed = gzip.compress(packed, _GZIP_LEVEL, mtime=0)
        options["compressed"] = "gzip"
    message: bytes = msgpack.packb((tag, packed, options), unicode_errors="surrogateescape")
    return message, chunk


def unpack(data: bytes) -> Any:
    """Return the value that bytes are: a map as `Pairs`, text that is not UTF-8 with lone surrogates.

    Raises:
        OriginError: they are no single value, or one with more parts than a record can have.
    """
    left = MOST_VALUES

    def spend(values: list[Any]) -> list[Any]:
        nonlocal left
        left -= len(values) + 1
        if left < 0:
            raise ValueError(f"more than {MOST_VALUES} values")
        return values

    try:
        return msgpack.unpackb(
            data,
            strict_map_key=False,
            unicode_errors="surrogateescape",
            object_pairs_hook=lambda pairs: Pairs(spend(pairs)),
            list_hook=spend,
            max_array_len=MOST_VALUES,
            max_map_len=MOST_VALUES,
        )
    except Exception as error:  # the library has several, and hostile bytes find them all
        raise OriginError(f"it cannot be unpacked: {_name(error)}") from error


def _unpacker() -> msgpack.Unpacker:
    # The readers bound what is fed.
    return msgpack.Unpacker(max_buffer_size=0)


def _least_size(data: bytearray) -> int:
    """Return how long a message is at least, as far as its beginning tells: tag and packed entries say their length."""
    end = 1 if 0x92 <= data[0] <= 0x94 else len(data)
    for _ in range(2):
        header = _TEXT_HEADERS.get(data[end], 0) if end < len(data) else 0
        if not header or len(data) < end + header:
            break
        content = int.from_bytes(data[end + 1 : end + header]) if header > 1 else data[end] & 0x1F
        end += header + content
    return end


def _parts(data: bytes) -> Sequence[int]:
    """Return where the parts of a message begin, and where the last one ends."""
    scanner = _unpacker()
    scanner.feed(data)
    try:
        count = scanner.read_array_header()
    except Exception as error:
        raise OriginError(f"a message is no array: {_name(error)}") from error
    if not 2 <= count <= 4:
        raise OriginError(f"a message has {count} parts: 2 to 4 are known")
    return _skip(scanner, 0, count)


def _cut_list(data: bytes, start: int, end: int) -> Sequence[int]:
    """Return where the entries of a list begin, and where the last one ends."""
    scanner = _unpacker()
    scanner.feed(memoryview(data)[start:end])
    count = scanner.read_array_header()
    _check_count(count)
    return _skip(scanner, start, count)


def _cut(data: bytes, start: int, end: int) -> Sequence[int]:
    """Return where the entries begin that stand one behind the other, and where the last one ends."""
    scanner = _unpacker()
    scanner.feed(memoryview(data)[start:end])
    bounds = array("Q", [start])
    try:
        while bounds[-1] < end:
            scanner.skip()
            bounds.append(start + scanner.tell())
            _check_count(len(bounds) - 1)
    except OriginError:
        raise
    except Exception as error:
        raise OriginError(f"entry {len(bounds) - 1} is not whole, or not msgpack: {_name(error)}") from error
    return bounds


def _check_count(count: int) -> None:
    if count > _MOST_ENTRIES:
        raise TooLargeError(f"a message has more than {_MOST_ENTRIES} entries: have its sender send smaller ones")


def _skip(scanner: msgpack.Unpacker, start: int, count: int) -> Sequence[int]:
    bounds = array("Q", [start + scanner.tell()])
    try:
        for _ in range(count):
            scanner.skip()
            bounds.append(start + scanner.tell())
    except Exception as error:
        raise OriginError(f"a message is not whole, or not msgpack: {_name(error)}") from error
    return bounds


def _read_tag(data: bytes) -> str:
    tag = unpack(data) if len(data) <= _LONGEST_TAG else None
    if isinstance(tag, bytes):
        tag = tag.decode("utf-8", "surrogateescape")
    if not isinstance(tag, str):
        raise OriginError(f"a message has no tag: text of at most {_LONGEST_TAG} bytes")
    return tag


def _read_options(data: bytes, parts: Sequence[int], number: int) -> dict[str, bytes]:
    """Return the options of a message by name, still packed."""
    if len(parts) < number + 2:
        return {}
    packed = data[parts[number] : parts[number + 1]]
    if packed[0] == _NIL:
        # Docker 18 sends this.
        return {}
    if packed[0] not in _MAPS or len(packed) > _LONGEST_OPTIONS:
        raise OriginError(f"the options of a message are no map of at most {_LONGEST_OPTIONS} bytes")
    scanner = _unpacker()
    scanner.feed(packed)
    bounds = _skip(scanner, 0, 2 * scanner.read_map_header())
    options = {}
    for place in range(0, len(bounds) - 1, 2):
        name = unpack(packed[bounds[place] : bounds[place + 1]])
        if isinstance(name, str):
            options[name] = packed[bounds[place + 1] : bounds[place + 2]]
    return options


def _check_options(options: Mapping[str, bytes]) -> str | bytes | None:
    """Return the chunk that is to be acknowledged, if any.

    Raises:
        OriginError: the message holds no logs, or an option makes no sense.
    """
    signal = unpack(options["fluent_signal"]) if "fluent_signal" in options else 0
    if signal != 0:
        # Fluent Bit's flb_event.h: 0 logs, 1 metrics, 2 traces, and more that are no logs.
        shown = repr(signal)[:50]
        raise OriginError(f"fluent_signal is {shown}: only logs, 0, are taken; send metrics and traces elsewhere")
    if "metadata" in options and options["metadata"][0] not in _MAPS:
        raise OriginError("the option metadata is no map")
    chunk = unpack(options["chunk"]) if "chunk" in options else None
    if chunk is None or isinstance(chunk, str | bytes):
        return chunk
    raise OriginError("the option chunk is no text")


def _decompress(packed: bytes, options: Mapping[str, bytes], max_bytes: int) -> bytes:
    kind = unpack(options["compressed"]) if "compressed" in options else None
    if kind in (None, "", "text"):
        return packed
    if kind != "gzip":
        shown = escape(str(kind))[:50]
        raise OriginError(f"the compression {shown!r} is not known: set compress to gzip, or leave it away")
    try:
        # One member follows another where Fluentd has appended to a buffer.
        return gunzip(packed, max_bytes) if packed else packed
    except zlib.error as error:
        raise OriginError(f"the entries of a message are no gzip: {error}") from error


def _excerpt(data: bytearray) -> str:
    return repr(bytes(data[:20]))


def _name(error: Exception) -> str:
    return f"{type(error).__name__} {error}".strip()
