"""Stable ids (``event.id``): whoever sends the same records again gets the same ids, and no two records share one.

A record cannot tell by itself whether it is a repeat: a device writes the same line twice in a second. What is sent
again is the batch, byte for byte. So an id is made of a digest of the whole batch and of the record's place in it. Two
batches that do not differ in a single byte, times included, are one batch sent twice.
"""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import blake2b
from itertools import count

__all__ = ["StreamIds", "batch_ids"]

# 128 bits: two batches of all that a site ever sends do not meet by chance.
_SIZE = 16


def batch_ids(*parts: bytes) -> Iterator[str]:
    """Yield an id for each record of a batch, in order, without end.

    Args:
        *parts: what the sender sends again when it sends the batch again.
    """
    digest = blake2b(digest_size=_SIZE)
    for part in parts:
        digest.update(len(part).to_bytes(8, "big"))
        digest.update(part)
    batch = digest.hexdigest()
    return (f"{batch}-{number}" for number in count())


class StreamIds:
    """Ids of the records of an input that is read from its start, such as a file.

    Args:
        name: which input it is, so that two files may begin with the same line.
    """

    def __init__(self, name: str) -> None:
        self._digest = blake2b(name.encode("utf-8", "surrogateescape"), digest_size=_SIZE)

    def id_of(self, line: str) -> str:
        """Return the id of the next record; it depends on all before it."""
        self._digest.update(line.encode("utf-8", "surrogatepass") + b"\n")
        return self._digest.hexdigest()
