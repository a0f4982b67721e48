"""What both sides say first where they share a key: HELO (server), PING (client), PONG (server).

Each side proves that it has the key by a SHA-512 digest of salt, its own host name, nonce and key; the key itself does
not travel. Nor does anything else that is secret: messages are neither encrypted nor signed.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha512
from hmac import compare_digest
from secrets import token_hex
from typing import Any, NamedTuple

import msgpack

from lexilog.errors import LexilogError, OriginError
from lexilog.forward.wire import Pairs, unpack

__all__ = [
    "HandshakeError",
    "Helo",
    "check_ping",
    "check_pong",
    "digest",
    "is_helo",
    "make_helo",
    "make_nonce",
    "make_ping",
    "make_pong",
    "read_helo",
]

_MISMATCH = "shared key mismatch"


class HandshakeError(LexilogError):
    """The other side does not speak the handshake, or does not have the key."""


class Helo(NamedTuple):
    """What a server begins with.

    Attributes:
        nonce: to put into digests.
        keepalive: the connection may be used for more than one message.
    """

    nonce: bytes
    keepalive: bool


def make_nonce() -> str:
    """Return a nonce or a salt: 16 random bytes as text, because not every peer takes bytes that are no text."""
    return token_hex(16)


def digest(salt: bytes, hostname: bytes, nonce: bytes, shared_key: str) -> bytes:
    """Return the digest by which a host proves that it has the key, in hexadecimal digits."""
    return sha512(salt + hostname + nonce + shared_key.encode()).hexdigest().encode()


def make_helo(nonce: str) -> bytes:
    """Return the server's first message; it asks for no user and password."""
    return _pack(["HELO", {"nonce": nonce, "auth": "", "keepalive": True}])


def is_helo(message: bytes) -> bool:
    """Tell whether a server asks for the handshake."""
    try:
        _parts(message, "HELO", 2)
    except HandshakeError:
        return False
    return True


def read_helo(message: bytes) -> Helo:
    """Return what a server begins with.

    Raises:
        HandshakeError: it is no HELO.
    """
    _, pairs = _parts(message, "HELO", 2)
    options = {key: value for key, value in pairs if isinstance(key, str)} if isinstance(pairs, Pairs) else {}
    if "nonce" not in options:
        raise HandshakeError("HELO has no nonce")
    return Helo(_bytes(options["nonce"], "HELO"), options.get("keepalive") is not False)


def make_ping(helo: Helo, salt: str, hostname: str, shared_key: str) -> bytes:
    """Return the client's answer to HELO, without user and password."""
    proof = digest(salt.encode(), hostname.encode(), helo.nonce, shared_key).decode()
    return _pack(["PING", hostname, salt, proof, "", ""])


def check_ping(message: bytes, nonce: str, shared_key: str) -> bytes:
    """Return the salt of a client that has the key.

    Raises:
        HandshakeError: it has not, or the message is no PING.
    """
    _, hostname, salt, proof, *_ = [_bytes(part, "PING") for part in _parts(message, "PING", 6)]
    if not compare_digest(proof, digest(salt, hostname, nonce.encode(), shared_key)):
        raise HandshakeError(_MISMATCH)
    return salt


def make_pong(salt: bytes | None, nonce: str, hostname: str, shared_key: str) -> bytes:
    """Return the server's answer to PING.

    Args:
        salt: the client's; None for a client that has not proved that it has the key.
        nonce: the server's.
        hostname: the server's; Fluentd wants it to differ from its own.
        shared_key: the key.
    """
    if salt is None:
        return _pack(["PONG", False, _MISMATCH, "", ""])
    return _pack(["PONG", True, "", hostname, digest(salt, hostname.encode(), nonce.encode(), shared_key).decode()])


def check_pong(message: bytes, helo: Helo, salt: str, shared_key: str) -> None:
    """See that the server has let the client in, and has the key itself.

    Raises:
        HandshakeError: it has not.
    """
    _, taken, reason, hostname, proof = _parts(message, "PONG", 5)
    if taken is not True:
        raise HandshakeError(_bytes(reason, "PONG").decode("utf-8", "replace"))
    name = _bytes(hostname, "PONG")
    if not compare_digest(_bytes(proof, "PONG"), digest(salt.encode(), name, helo.nonce, shared_key)):
        raise HandshakeError(_MISMATCH)


def _pack(message: list[Any]) -> bytes:
    packed: bytes = msgpack.packb(message)
    return packed


def _parts(message: bytes, name: str, count: int) -> Sequence[Any]:
    try:
        parts = unpack(message)
    except OriginError as error:
        raise HandshakeError(f"{name} was expected: {error}") from error
    if not isinstance(parts, list) or isinstance(parts, Pairs) or len(parts) != count or parts[0] != name:
        raise HandshakeError(f"{name} was expected")
    return parts


def _bytes(value: Any, name: str) -> bytes:
    if isinstance(value, str):
        return value.encode("utf-8", "surrogateescape")
    if isinstance(value, bytes):
        return value
    raise HandshakeError(f"{name} has something other than text in it")
