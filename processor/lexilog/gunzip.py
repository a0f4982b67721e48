"""Inflates gzip that may be a bomb: never more than there is room for."""

from __future__ import annotations

import zlib

from lexilog.errors import TooLargeError

__all__ = ["MAGIC", "Inflater", "gunzip"]

# How every gzip stream begins (RFC 1952, section 2.3.1).
MAGIC = b"\x1f\x8b"
# gzip streams may stand one behind the other: Fluentd makes one of each batch that it puts into a chunk. As many as
# this, and then one for so many bytes: an empty stream has 20, and they would only keep us busy.
_MEMBERS = 1000
_BYTES_A_MEMBER = 64
# What is inflated at once, in bytes: zlib copies all that stands behind the end of a stream.
_BLOCK = 1 << 16
# What zlib calls a stream with gzip's header and checksum.
_GZIP = 16 + zlib.MAX_WBITS


class Inflater:
    """Inflates gzip as it comes."""

    def __init__(self) -> None:
        self._stream = zlib.decompressobj(_GZIP)
        self._members = 1
        self._received = 0

    def feed(self, data: bytes | memoryview, room: int) -> bytes:
        """Return what the data inflates to, but no more than `room` bytes, at least 1.

        Raises:
            zlib.error: it is no gzip.
        """
        parts = []
        self._received += len(data)
        while data and room > 0:
            if self._stream.eof:
                # Zeros behind a stream are padding (gzip's manual, "Invoking gzip", --tape).
                if data[0] == 0 and not bytes(data).strip(b"\0"):
                    break
                self._stream = zlib.decompressobj(_GZIP)
                self._members += 1
            if self._members > _MEMBERS + self._received // _BYTES_A_MEMBER:
                raise zlib.error("too many streams, one behind the other")
            parts.append(self._stream.decompress(data, room))
            room -= len(parts[-1])
            data = self._stream.unconsumed_tail or self._stream.unused_data
        return b"".join(parts)

    def check_end(self) -> None:
        """Make sure that nothing is missing.

        Raises:
            zlib.error: the stream breaks off.
        """
        if not self._stream.eof:
            raise zlib.error("it ends too early")


def gunzip(data: bytes, most: int) -> bytes:
    """Return what a whole gzip stream holds.

    Raises:
        zlib.error: it is no gzip, or breaks off.
        TooLargeError: that is more than `most` bytes; no more was inflated.
    """
    inflater, view = Inflater(), memoryview(data)
    parts, room = [], most + 1
    for start in range(0, len(data), _BLOCK):
        parts.append(inflater.feed(view[start : start + _BLOCK], room))
        room -= len(parts[-1])
        if room <= 0:
            raise TooLargeError(f"it is larger than {most} bytes when decompressed")
    inflater.check_end()
    return b"".join(parts)
