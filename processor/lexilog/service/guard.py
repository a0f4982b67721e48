"""Who may call the gRPC port, how often at once, and how much may come: asked before a message is read."""

from __future__ import annotations

import asyncio
import logging
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import ExitStack, asynccontextmanager, contextmanager
from functools import partial
from typing import Any

import grpc
import grpc.aio
from google.protobuf.message import DecodeError

from lexilog.errors import LexilogError, OriginError, RelayError, TooLargeError
from lexilog.gunzip import MAGIC
from lexilog.service.auth import Tokens
from lexilog.service.http2 import HEALTH_BYTES
from lexilog.service.metrics import Counts
from lexilog.service.otlp_answer import status_of
from lexilog.service.tracing import span
from lexilog.service.turns import BusyError, Share
from lexilog.service.work import inflate

__all__ = ["Guard"]

_PORT = "grpc"
# Seconds that a client may take for a request, once it has called.
_PATIENCE = 60.0
# Calls that may be open for each request that may be under way: of streams, and of health.
_OPEN = 4

_log = logging.getLogger(__name__)
_Context = Any
_Read = Callable[[bytes], Awaitable[Any]]


class Guard:
    """Stands before the methods of all services.

    gRPC would inflate a message as a whole before it looks at its size, and read it before a method is called. So
    methods are offered as those that read a stream, which is the same on the wire: the guard looks at the call first,
    and inflates what came itself.

    Args:
        tokens: who may call.
        max_requests: how many requests may be under way. Of a stream each message is one until it is answered; streams
            that only stand open have a bound of their own.
        max_bytes: the largest message, in bytes, after decompression.
        counts: counts what is refused.
        max_answers: how much of answers may be there that their clients have not taken yet, in bytes.
        host_of: returns who calls.

    Attributes:
        at_rest: set while no call is open, but for those of health.
    """

    def __init__(  # noqa: PLR0917 (all of them are needed)
        self,
        tokens: Tokens,
        max_requests: int,
        max_bytes: int,
        counts: Counts,
        max_answers: int,
        host_of: Callable[[_Context], str],
    ) -> None:
        self._tokens = tokens
        in_flight = counts.metrics["requests_in_flight"].labels(_PORT)
        self._requests = Share(max_requests, "requests (max_requests)", in_flight)
        self._streams = Share(_OPEN * max_requests, f"open streams ({_OPEN} times max_requests)")
        self._health = Share(_OPEN * max_requests, f"open calls of health ({_OPEN} times max_requests)")
        self._answers = Share(max_answers, "bytes of answers that have not been taken")
        self._max_bytes = max_bytes
        self._counts = counts
        self._host_of = host_of
        self._open = 0
        self.at_rest = asyncio.Event()
        self.at_rest.set()

    def handler(
        self, service: str, door: str, methods: Mapping[str, grpc.RpcMethodHandler[Any, Any]], *, free: bool = False
    ) -> grpc.GenericRpcHandler:
        """Return the handler of a service to register.

        Args:
            service: its full name.
            door: the name that its requests are counted by.
            methods: its methods.
            free: nobody needs a token, and its calls are short and no requests: for health.
        """
        guarded = {name: self._guarded(method, door, free=free) for name, method in methods.items()}
        return grpc.method_handlers_generic_handler(service, guarded)

    def _guarded(self, method: Any, door: str, *, free: bool) -> Any:
        behave = next(
            one for one in (method.unary_unary, method.unary_stream, method.stream_unary, method.stream_stream) if one
        )

        decode, most = method.request_deserializer, HEALTH_BYTES if free else self._max_bytes
        read = partial(_read, decode=decode, most=most)
        share = self._health if free else self._streams if method.request_streaming else self._requests

        async def request_of(messages: AsyncIterator[bytes], context: _Context, work: ExitStack) -> Any:
            if method.request_streaming:
                return self._each(messages, read, work, door, self._host_of(context))
            with self._noted(door):
                return await _first(messages, read)

        async def answer(messages: AsyncIterator[bytes], context: _Context) -> bytes:
            async with self._admitted(context, door, share) as work:
                data: bytes = method.response_serializer(
                    await behave(await request_of(messages, context, work), context)
                )
                # Its client may take it as slowly as it likes.
                untaken = self._untaken(data, context, share)
                context.add_done_callback(lambda _: untaken.close())
                return data

        async def answers(messages: AsyncIterator[bytes], context: _Context) -> AsyncIterator[bytes]:
            async with self._admitted(context, door, share) as work:
                async for one in behave(await request_of(messages, context, work), context):
                    data = method.response_serializer(one)
                    work.close()
                    with self._untaken(data, context, share):
                        yield data

        if method.response_streaming:
            return grpc.stream_stream_rpc_method_handler(answers)
        return grpc.stream_unary_rpc_method_handler(answer)

    def _untaken(self, data: bytes, context: _Context, share: Share) -> ExitStack:
        """Return what holds an answer's size until its client has taken it; health has to be answered always."""
        held = ExitStack()
        if share is not self._health:
            held.enter_context(self._answers.hold(self._host_of(context), len(data)))
        return held

    @asynccontextmanager
    async def _admitted(self, context: _Context, door: str, share: Share) -> AsyncIterator[ExitStack]:
        """Let a call in, and answer it where it fails; yield what is to hold as long as there is work on it."""
        headers: dict[str, str] = {}
        for key, value in context.invocation_metadata() or ():
            if isinstance(value, str):
                headers.setdefault(key, value)
        is_request = share is not self._health
        if is_request and not self._tokens.allows(headers):
            self._counts.refuse(_PORT, "token")
            text = "a token is needed: authorization: Bearer TOKEN, or x-api-key: TOKEN"
            await context.abort(grpc.StatusCode.UNAUTHENTICATED, text)
        try:
            with ExitStack() as stack:
                stack.enter_context(share.hold(self._host_of(context)))
                if is_request:
                    self._begin(context)
                    stack.enter_context(span(f"lexilog.door.{door}", headers))
                yield stack.enter_context(ExitStack())
        except LexilogError as error:
            if isinstance(error, BusyError):
                self._counts.refuse(_PORT, "busy")
                self._note(door, error)
            if isinstance(error, TooLargeError):
                self._counts.refuse(_PORT, "too_large")
            await _abort(context, error)

    async def _each(
        self, messages: AsyncIterator[bytes], read: _Read, work: ExitStack, door: str, client: str
    ) -> AsyncIterator[Any]:
        """Yield the messages of a call; each has a place among the requests while there is work on it."""
        async for data in messages:
            work.close()
            work.enter_context(self._requests.hold(client))
            with self._noted(door):
                request = await read(data)
            yield request

    def _begin(self, context: _Context) -> None:
        """Take note of a call until gRPC has sent the last of its answer."""
        self._open += 1
        self.at_rest.clear()
        context.add_done_callback(self._end)

    def _end(self, _: _Context) -> None:
        self._open -= 1
        if not self._open:
            self.at_rest.set()

    @contextmanager
    def _noted(self, door: str) -> Iterator[None]:
        try:
            yield
        except LexilogError as error:
            self._note(door, error)
            raise

    def _note(self, door: str, error: LexilogError) -> None:
        """Count a request whose records nobody has looked at, and say why."""
        self._counts.add_unread(door, "returned" if isinstance(error, RelayError) else "refused")
        _log.warning("a request to the door %s is not taken: %s", door, error)


async def _read(data: bytes, decode: Callable[[bytes], Any] | None, most: int) -> Any:
    """Return a message, inflated and decoded."""
    try:
        # No message of ours begins so: it would be one of a field 3 of a type that protobuf does not have.
        plain = await inflate(data, most) if data.startswith(MAGIC) else data
    except zlib.error as error:
        raise OriginError(f"the message is no sound gzip: {error}") from error
    try:
        return decode(plain) if decode else plain
    except DecodeError as error:
        raise OriginError(f"the message is none of this method: {error}") from error


async def _first(messages: AsyncIterator[bytes], read: _Read) -> Any:
    """Return the one message of a call.

    Raises:
        RelayError: it has not come in time.
        TooLargeError: gRPC did not even receive it.
    """
    try:
        async with asyncio.timeout(_PATIENCE):
            async for data in messages:
                return await read(data)
    except TimeoutError:
        raise RelayError(f"the request has not come within {_PATIENCE:.0f} seconds") from None
    # gRPC itself has told the client so, where the message is too large as it came.
    raise TooLargeError("the request is larger than max_receive_bytes of this door, or there is none")


async def _abort(context: _Context, error: LexilogError) -> None:
    """End a call with the status that an error is; what may pass later says when."""
    status = status_of(error)
    if isinstance(error, RelayError):
        context.set_trailing_metadata((("grpc-status-details-bin", status.SerializeToString()),))
        await context.abort(grpc.StatusCode.UNAVAILABLE, status.message)
    code = grpc.StatusCode.RESOURCE_EXHAUSTED if isinstance(error, TooLargeError) else grpc.StatusCode.INVALID_ARGUMENT
    await context.abort(code, status.message)
