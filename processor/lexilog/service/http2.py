"""Reads along what a client says in HTTP/2, before gRPC does.

gRPC's server for asyncio ends, with every call under way, when somebody calls a method whose name is not UTF-8: with
grpcio 1.85.1 `_server_main_loop` decodes it outside of any call. Other fields that are not UTF-8 it writes to the log,
and they may be tokens. gRPC's own rule is ASCII for all of a head, so the heads are looked at here.
"""

from __future__ import annotations

from hpack import Decoder, HPACKError

__all__ = ["PREFACE", "Heads", "Http2Error"]

# What every HTTP/2 client says first (RFC 9113, section 3.4).
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
# Of frames: the size of their own heads, kinds, and flags (sections 4.1, 6.2 and 6.10).
_FRAME_HEAD = 9
_HEADERS, _CONTINUATION = 1, 9
_END_HEADERS, _PADDED, _PRIORITY = 0x4, 0x8, 0x20
# Bytes of a head, packed and unpacked; gRPC itself takes 16 KiB.
_LONGEST = 1 << 16


class Http2Error(Exception):
    """What a client says must not reach gRPC; its text is the reason."""


class Heads:
    """Looks at the heads of the requests of one connection, from its first byte on."""

    def __init__(self) -> None:
        self._skip = len(PREFACE)
        # Part of a frame that has to be there as a whole.
        self._buffer = bytearray()
        # The head so far, where it comes in several frames.
        self._block = bytearray()
        self._decoder = Decoder(max_header_list_size=_LONGEST)

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
        if kind not in (_HEADERS, _CONTINUATION):
            self._skip = length
        elif length + len(self._block) > _LONGEST:
            raise Http2Error(f"the head of a request is longer than {_LONGEST} bytes")
        elif len(self._buffer) < _FRAME_HEAD + length:
            return
        else:
            self._block += _content(bytes(self._buffer[_FRAME_HEAD:]), flags if kind == _HEADERS else 0)
            if flags & _END_HEADERS:
                self._check()
        self._buffer.clear()

    def _check(self) -> None:
        try:
            found = self._decoder.decode(bytes(self._block), raw=True)
        except HPACKError as error:
            raise Http2Error("the head of a request cannot be read") from error
        self._block.clear()
        if not all(name.isascii() and value.isascii() for name, value in found):
            raise Http2Error("the head of a request is not ASCII")


def _content(payload: bytes, flags: int) -> bytes:
    """Return the part of a HEADERS frame that is packed fields."""
    if flags & _PADDED:
        # gRPC takes the padding for fields.
        raise Http2Error("the head of a request has padding")
    return payload[5:] if flags & _PRIORITY else payload
