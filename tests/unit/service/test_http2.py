"""What is read along of HTTP/2, so that no name of a method reaches gRPC that would end its server."""

from __future__ import annotations

import asyncio

import grpc.aio
import pytest
from hpack import Encoder
from hypothesis import given
from hypothesis import strategies as st

import http2
from house import ENRICH, EXPORT, call, channel, enrich_of, export_of, house, raw, until
from lexilog import Pipeline
from lexilog.service.http2 import Heads, Http2Error

GOOD = ((b":method", b"POST"), (b":path", EXPORT.encode()), (b"te", b"trailers"), (b"x-bin", b"w7w"))
BAD = ((b":method", b"POST"), (b":path", b"/no/\xd0T"))
PADDED, PRIORITY = 0x8, 0x20


def _packed(*heads: tuple[tuple[bytes, bytes], ...], huffman: bool = True) -> list[bytes]:
    """Return heads as one client packs them, one after the other; what comes again is packed as a number."""
    encoder = Encoder()
    return [encoder.encode(list(head), huffman=huffman) for head in heads]


def _feed(data: bytes, size: int = 1 << 16) -> None:
    heads = Heads()
    for start in range(0, len(data), size):
        heads.feed(data[start : start + size])


@pytest.mark.parametrize("bad", [(b":path", b"/no/\xd0T"), (b"x-api-key", b"the-token\xd0"), (b"x\xd0", b"")])
def test_all_of_a_head_has_to_be_ascii(bad: tuple[bytes, bytes]) -> None:
    """gRPC's own rule; what it does with anything else is not known, or is known to be bad."""
    (block,) = _packed((*GOOD, bad))
    with pytest.raises(Http2Error, match="not ASCII") as error:
        _feed(http2.greeting() + http2.frame(http2.HEADERS, http2.END_HEADERS, 1, block))
    assert "token" not in str(error.value)


@pytest.mark.parametrize("size", [1, 7, 10, 1 << 16])
@pytest.mark.parametrize("huffman", [True, False])
def test_a_bad_name_is_found_wherever_it_stands(size: int, huffman: bool) -> None:
    """Behind other requests, among their bodies, and in whatever pieces it comes; what is before it is good."""
    first, second, bad = _packed(GOOD, GOOD, BAD, huffman=huffman)
    before = (
        http2.greeting()
        + http2.frame(http2.HEADERS, http2.END_HEADERS, 1, first)
        + http2.frame(http2.DATA, 0, 1, http2.frame(http2.HEADERS, http2.END_HEADERS, 1, bad) * 3)
        + http2.frame(http2.HEADERS, http2.END_HEADERS, 3, second)
        + http2.frame(http2.PING, 0, 0, bytes(8))
    )
    _feed(before, size)
    with pytest.raises(Http2Error, match="not ASCII"):
        _feed(before + http2.frame(http2.HEADERS, http2.END_HEADERS, 5, bad), size)


@pytest.mark.parametrize("flags", [0, PRIORITY])
@pytest.mark.parametrize("cut", [None, 0, 1, 5])
def test_a_head_in_any_shape_of_frames(flags: int, cut: int | None) -> None:
    """With a priority, and in several frames."""
    for head, is_bad in ((GOOD, False), (BAD, True)):
        (block,) = _packed(head)
        part, rest = (block, None) if cut is None else (block[:cut], block[cut:])
        if flags & PRIORITY:
            part = bytes(5) + part
        frames = http2.frame(http2.HEADERS, flags | (http2.END_HEADERS if rest is None else 0), 1, part)
        if rest is not None:
            frames += http2.frame(http2.CONTINUATION, 0, 1, b"")
            frames += http2.frame(http2.CONTINUATION, http2.END_HEADERS, 1, rest)
        if is_bad:
            with pytest.raises(Http2Error):
                _feed(http2.greeting() + frames)
        else:
            _feed(http2.greeting() + frames)


@pytest.mark.parametrize(
    "frames",
    [
        http2.frame(http2.HEADERS, http2.END_HEADERS, 1, b"\xff\xff\xff\xff\x0f"),
        http2.frame(http2.HEADERS, http2.END_HEADERS | PADDED, 1, b"\0" + _packed(GOOD)[0]),
        http2.frame(http2.HEADERS, 0, 1, bytes(16_000)) + http2.frame(http2.CONTINUATION, 0, 1, bytes(16_000)) * 5,
        b"\xff\xff\xff\x01\x04\0\0\0\1",
    ],
    ids=["no such number", "padding, which gRPC takes for fields", "long", "a frame of 16 MiB"],
)
def test_heads_that_cannot_be_read(frames: bytes) -> None:
    """They are not passed on either: what gRPC would make of them is not known."""
    with pytest.raises(Http2Error):
        _feed(http2.greeting() + frames)


@given(data=st.binary(max_size=500), size=st.integers(1, 50))
def test_any_bytes(data: bytes, size: int) -> None:
    """Whatever comes is good or not, and nothing else is raised."""
    try:
        _feed(http2.greeting() + data, size)
    except Http2Error:
        return


def test_a_bad_name_costs_nobody_else_a_call(pipeline: Pipeline) -> None:
    """The connection that says it is closed and counted; calls under way are answered, and later ones too."""

    async def run() -> None:
        async with house(pipeline, grpc={}) as there, channel(there.ports["grpc"]) as to:
            there.relay.gate.clear()
            under_way = asyncio.create_task(call(to, EXPORT, export_of("x")))
            await until(lambda: there.relay.held)
            async with raw(there.ports["grpc"]) as client:
                (block,) = _packed((*BAD, (b":scheme", b"http"), (b"content-type", b"application/grpc")))
                await client.ask(http2.greeting() + http2.frame(http2.HEADERS, http2.END_HEADERS, 1, block))
            assert there.refused("grpc", "not_grpc") == 1
            there.relay.gate.set()
            assert await under_way == b""
            assert not isinstance(await call(to, ENRICH, enrich_of("x")), grpc.aio.AioRpcError)

    asyncio.run(run())
