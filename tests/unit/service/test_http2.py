"""What is read along of HTTP/2, so that no name of a method reaches gRPC that would end its server."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import grpc.aio
import pytest
from hpack import Encoder
from hypothesis import given
from hypothesis import strategies as st

import http2
from house import ENRICH, EXPORT, HEALTH, call, channel, enrich_of, export_of, house, raw, until
from lexilog import Pipeline
from lexilog.service.http2 import HEALTH_BYTES, Heads, Http2Error

GOOD = ((b":method", b"POST"), (b":path", EXPORT.encode()), (b"te", b"trailers"), (b"x-bin", b"w7w"))
BAD = ((b":method", b"POST"), (b":path", b"/no/\xd0T"))
WATCH = "/grpc.health.v1.Health/Watch"
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


def _health(stream: int, flags: int = http2.END_HEADERS) -> bytes:
    """Return the head of a call of health."""
    return http2.frame(http2.HEADERS, flags, stream, http2.fields((":path", WATCH)))


def _data(stream: int, size: int, flags: int = 0) -> bytes:
    return http2.frame(http2.DATA, flags, stream, bytes(size))


def _refuses(frames: bytes, size: int = 1 << 16) -> bool:
    try:
        _feed(http2.greeting() + frames, size)
    except Http2Error as error:
        return "health" in str(error)
    return False


@pytest.mark.parametrize("size", [1, 7, 1 << 16])
def test_health_hears_4_kib(size: int) -> None:
    """Nobody needs a token for it, so that gRPC gets no more than that of a call, in whatever pieces it comes."""
    for pieces in ([HEALTH_BYTES], [1] * HEALTH_BYTES, [0, 4000, 96]):
        said = _health(1) + b"".join(_data(1, piece) for piece in pieces)
        assert not _refuses(said, size)
        assert _refuses(said + _data(1, 1), size)


def test_other_methods_hear_more() -> None:
    """What is said to others is theirs to bound, also on the same connection."""
    (block,) = _packed(GOOD)
    other = http2.frame(http2.HEADERS, http2.END_HEADERS, 3, block) + _data(3, 10_000)
    assert not _refuses(_health(1) + other + _data(1, HEALTH_BYTES) + other)


@pytest.mark.parametrize(
    "second",
    [
        _health(1),
        http2.frame(http2.HEADERS, http2.END_HEADERS, 1, http2.fields((":path", EXPORT))),
        http2.frame(http2.PRIORITY, 0, 1, bytes(5)),
        http2.frame(http2.WINDOW_UPDATE, 0, 1, bytes(4)),
    ],
)
def test_a_call_of_health_stays_one(second: bytes) -> None:
    """Another head on the same stream is no other call: gRPC takes it for the trailers."""
    assert _refuses(_health(1) + _data(1, HEALTH_BYTES) + second + _data(1, 1))


def test_a_path_of_health_in_any_place() -> None:
    """In a second frame, on a stream whose first bit is set, which is nobody's, or beside another path."""
    path = http2.fields((":path", WATCH))
    cut = http2.frame(http2.HEADERS, 0, 1, path[:9]) + http2.frame(http2.CONTINUATION, http2.END_HEADERS, 1, path[9:])
    two = http2.frame(http2.HEADERS, http2.END_HEADERS, 1, http2.fields((":path", EXPORT)) + path)
    for head in (cut, two, _health(1 | 1 << 31)):
        assert _refuses(head + _data(1, HEALTH_BYTES + 1))
        assert _refuses(head + _data(1 | 1 << 31, HEALTH_BYTES + 1))


@pytest.mark.parametrize(
    "end",
    [
        lambda stream: _data(stream, 5, http2.END_STREAM),
        lambda stream: http2.frame(http2.RST_STREAM, 0, stream, bytes(4)),
        lambda stream: _health(stream, http2.END_HEADERS | http2.END_STREAM),
    ],
    ids=["said", "called off", "trailers"],
)
def test_calls_of_health_are_forgotten(end: Callable[[int], bytes]) -> None:
    """A connection may ask as often as it likes, but only so many questions may be open at once."""
    streams = range(1, 4003, 2)
    assert not _refuses(b"".join(_health(stream) + _data(stream, 5) + end(stream) for stream in streams))
    assert _refuses(b"".join(_health(stream) + _data(stream, 5) for stream in streams))


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


@pytest.mark.parametrize("method", ["Check", "Watch", "List"])
def test_health_does_not_fill_the_memory(pipeline: Pipeline, method: str) -> None:
    """Who has no token and gives health 50 MB is not let in; nothing of it is kept, and others are answered."""

    async def run() -> None:
        async with house(pipeline, grpc={"tokens": ("the-token-of-the-test",)}) as there:
            async with channel(there.ports["grpc"]) as to:
                answer = await call(to, f"/grpc.health.v1.Health/{method}", bytes(50_000_000))
                assert isinstance(answer, grpc.aio.AioRpcError)
            assert there.refused("grpc", "not_grpc") >= 1
            assert there.metric("received_bytes_total", door="grpc") < 5_000_000
            async with channel(there.ports["grpc"]) as to:
                assert isinstance(await call(to, HEALTH), bytes)

    asyncio.run(run())


def test_a_flood_of_small_frames_is_refused() -> None:
    """Each costs us work, and its sender nine bytes; frames that carry something are not counted."""
    heads = Heads()
    heads.feed(http2.PREFACE + http2.frame(http2.DATA, stream=1, payload=bytes(300)) * 30_000)
    with pytest.raises(Http2Error, match="small frames a second"):
        heads.feed(http2.frame(http2.PING, payload=bytes(8)) * 30_000)
