"""Reads along what a client says in HTTP/2, before gRPC does.

gRPC's server for asyncio ends, with every call under way, when somebody calls a method whose name is not UTF-8: with
grpcio 1.85.1 `_server_main_loop` decodes it outside of any call. Other fields that are not UTF-8 it writes to the log,
and they may be tokens. gRPC's own rule is ASCII for all of a head, so the heads are looked at here.

Health asks for no token, and gRPC would keep whatever somebody calls a service. So what is said to it is kept short.
"""

from __future__ import annotations

from time import monotonic

from hpack import Decoder, HPACKError

__all__ = ["HEALTH_BYTES", "PREFACE", "Heads", "Http2Error"]

# What every HTTP/2 client says first (RFC 9113, section 3.4).
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
# Of frames: the size of their own heads, kinds, and flags (sections 4.1, 6.2 and 6.10).
_FRAME_HEAD = 9
_DATA, _HEADERS, _RST_STREAM, _CONTINUATION = 0, 1, 3, 9
_END_STREAM, _END_HEADERS, _PADDED, _PRIORITY = 0x1, 0x4, 0x8, 0x20
# Bytes of a head, packed and unpacked; gRPC itself takes 16 KiB.
_LONGEST = 1 << 16
# How the paths of health begin, the most that a call of it may say, in bytes, and the most calls that say it at once.
_HEALTH = b"/grpc.health.v1.Health/"
HEALTH_BYTES = 1 << 12
_MOST_HEALTH = 1000
# Frames that carry less than so many bytes cost us more work than their sender: so many a second, and at once. It is
# more than any client needs to whom a worker can answer.
_SMALL = 256
_SMALL_A_SECOND = 5_000
_SMALL_AT_ONCE = 20_000


class Http2Error(Exception):
    """What a client says must not reach gRPC; its text is the reason."""


class Heads:
    """Looks at the heads of the requests of one connection, and at how much is said to health, from its first byte."""

    def __init__(self) -> None:
        self._skip = len(PREFACE)
        # Part of a frame that has to be there as a whole.
        self._buffer = bytearray()
        # The head so far, where it comes in several frames.
        self._block = bytearray()
        # Whose head it is, and whether nothing comes behind it.
        self._stream = 0
        self._ends = False
        self._decoder = Decoder(max_header_list_size=_LONGEST)
        # Streams that call health, and how much each has said.
        self._health: dict[int, int] = {}
        self._allowed = float(_SMALL_AT_ONCE)
        self._counted_at = monotonic()

    def feed(self, data: bytes) -> None:
        """Look at what came next.

        Raises:
            Http2Error: it must not be passed on, nor anything that comes after it.
        """
        view = memoryview(data)
        while view:
            if self._skip:
                step = min(self._skip, len(view))
                self._skip -= step
            else:
                wanted = self._wanted()
                step = min(wanted - len(self._buffer), len(view))
                self._buffer += view[:step]
                if len(self._buffer) == wanted:
                    self._take()
            view = view[step:]

    def _wanted(self) -> int:
        """Return how much of a frame is needed: the head of it first, then all of it where it is part of a head."""
        if len(self._buffer) < _FRAME_HEAD:
            return _FRAME_HEAD
        return _FRAME_HEAD + int.from_bytes(self._buffer[:3], "big")

    def _take(self) -> None:
        """Take the head of a frame, or a whole one."""
        length, kind, flags = int.from_bytes(self._buffer[:3], "big"), self._buffer[3], self._buffer[4]
        if length < _SMALL and len(self._buffer) == _FRAME_HEAD:
            self._count()
        stream = int.from_bytes(self._buffer[5:9], "big") & 0x7FFFFFFF
        if kind not in (_HEADERS, _CONTINUATION):
            if stream in self._health:
                self._hear(stream, kind, flags, length)
            self._skip = length
        elif length + len(self._block) > _LONGEST:
            raise Http2Error(f"the head of a request is longer than {_LONGEST} bytes")
        elif len(self._buffer) < _FRAME_HEAD + length:
            return
        else:
            if kind == _HEADERS:
                self._stream, self._ends = stream, bool(flags & _END_STREAM)
            self._block += _content(bytes(self._buffer[_FRAME_HEAD:]), flags if kind == _HEADERS else 0)
            if flags & _END_HEADERS:
                self._check()
        self._buffer.clear()

    def _count(self) -> None:
        """Bound small frames: floods of them would keep the event loop busy, and with it every door."""
        now = monotonic()
        self._allowed = min(_SMALL_AT_ONCE, self._allowed + (now - self._counted_at) * _SMALL_A_SECOND) - 1
        self._counted_at = now
        if self._allowed < 0:
            raise Http2Error(f"more than {_SMALL_A_SECOND} small frames a second")

    def _check(self) -> None:
        try:
            found = self._decoder.decode(bytes(self._block), raw=True)
        except HPACKError as error:
            raise Http2Error("the head of a request cannot be read") from error
        self._block.clear()
        if not all(name.isascii() and value.isascii() for name, value in found):
            raise Http2Error("the head of a request is not ASCII")
        if self._ends:
            self._health.pop(self._stream, None)
        elif any(name == b":path" and value.startswith(_HEALTH) for name, value in found):
            self._health.setdefault(self._stream, 0)
            if len(self._health) > _MOST_HEALTH:
                raise Http2Error(f"more than {_MOST_HEALTH} calls of health are still to be said")

    def _hear(self, stream: int, kind: int, flags: int, length: int) -> None:
        """Take note of what comes in a call of health."""
        if kind == _DATA:
            self._health[stream] += length
            if self._health[stream] > HEALTH_BYTES:
                raise Http2Error(f"a call of health says more than {HEALTH_BYTES} bytes")
        if kind == _RST_STREAM or (kind == _DATA and flags & _END_STREAM):
            del self._health[stream]


def _content(payload: bytes, flags: int) -> bytes:
    """Return the part of a HEADERS frame that is packed fields."""
    if flags & _PADDED:
        # gRPC takes the padding for fields.
        raise Http2Error("the head of a request has padding")
    return payload[5:] if flags & _PRIORITY else payload
