"""Who may call the gRPC port, how often at once, and how much may come: asked before a message is read."""

from __future__ import annotations

import asyncio
import inspect
import logging
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import ExitStack, asynccontextmanager
from functools import partial
from typing import Any

import grpc
import grpc.aio
from google.protobuf.message import DecodeError

from lexilog.errors import LexilogError, OriginError, RelayError, TooLargeError
from lexilog.gunzip import MAGIC, gunzip
from lexilog.service.auth import Tokens
from lexilog.service.metrics import Counts
from lexilog.service.otlp_answer import status_of
from lexilog.service.tracing import span
from lexilog.service.turns import BusyError, Share

__all__ = ["Guard"]

_PORT = "grpc"
# Seconds that a client may take for a request, once it has called.
_PATIENCE = 60.0
# Messages from this size on are inflated in a thread: the others do not wait for that.
_LARGE = 1 << 18

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
        requests: how many calls may be under way.
        max_bytes: the largest message, in bytes, after decompression.
        counts: counts what is refused.
        host_of: returns who calls.
    """

    def __init__(
        self, tokens: Tokens, requests: Share, max_bytes: int, counts: Counts, host_of: Callable[[_Context], str]
    ) -> None:
        self._tokens = tokens
        self._requests = requests
        self._max_bytes = max_bytes
        self._counts = counts
        self._host_of = host_of
        self._in_flight = counts.metrics["requests_in_flight"].labels(_PORT)

    def handler(
        self, service: str, door: str, methods: Mapping[str, grpc.RpcMethodHandler[Any, Any]], *, free: bool = False
    ) -> grpc.GenericRpcHandler:
        """Return the handler of a service to register.

        Args:
            service: its full name.
            door: the name that its requests are counted by.
            methods: its methods.
            free: nobody needs a token, and nothing is counted against a limit: for health.
        """
        guarded = {name: self._guarded(method, door, free=free) for name, method in methods.items()}
        return grpc.method_handlers_generic_handler(service, guarded)

    def _guarded(self, method: Any, door: str, *, free: bool) -> Any:
        behave = next(
            one for one in (method.unary_unary, method.unary_stream, method.stream_unary, method.stream_stream) if one
        )

        async def request_of(messages: AsyncIterator[bytes]) -> Any:
            read = partial(self._read, decode=method.request_deserializer)
            try:
                return _each(messages, read) if method.request_streaming else await _first(messages, read)
            except LexilogError as error:
                self._note(door, error)
                raise

        async def answer(messages: AsyncIterator[bytes], context: _Context) -> Any:
            async with self._admitted(context, door, free=free):
                return await behave(await request_of(messages), context)

        async def answers(messages: AsyncIterator[bytes], context: _Context) -> AsyncIterator[Any]:
            async with self._admitted(context, door, free=free):
                async for one in behave(await request_of(messages), context):
                    yield one

        if not method.response_streaming:
            return grpc.stream_unary_rpc_method_handler(answer, None, method.response_serializer)
        # Some methods write their answers themselves.
        whole = answers if inspect.isasyncgenfunction(behave) else answer
        return grpc.stream_stream_rpc_method_handler(whole, None, method.response_serializer)

    @asynccontextmanager
    async def _admitted(self, context: _Context, door: str, *, free: bool) -> AsyncIterator[None]:
        """Let a call in, and answer it where it fails."""
        headers = {key: value for key, value in context.invocation_metadata() or () if isinstance(value, str)}
        if not free and not self._tokens.allows(headers):
            self._counts.refuse(_PORT, "token")
            text = "a token is needed: authorization: Bearer TOKEN, or x-api-key: TOKEN"
            await context.abort(grpc.StatusCode.UNAUTHENTICATED, text)
        try:
            with ExitStack() as stack:
                if not free:
                    stack.enter_context(self._requests.hold(self._host_of(context)))
                    stack.enter_context(self._in_flight.track_inprogress())
                    stack.enter_context(span(f"lexilog.door.{door}", headers))
                yield
        except LexilogError as error:
            if isinstance(error, BusyError):
                self._counts.refuse(_PORT, "busy")
                self._note(door, error)
            if isinstance(error, TooLargeError):
                self._counts.refuse(_PORT, "too_large")
            await _abort(context, error)

    def _note(self, door: str, error: LexilogError) -> None:
        """Count a request whose records nobody has looked at, and say why."""
        self._counts.add_unread(door, "returned" if isinstance(error, RelayError) else "refused")
        _log.warning("a request to the door %s is not taken: %s", door, error)

    async def _read(self, data: bytes, decode: Callable[[bytes], Any] | None) -> Any:
        """Return a message, inflated and decoded."""
        try:
            plain = await self._inflated(data)
        except zlib.error as error:
            raise OriginError(f"the message is no sound gzip: {error}") from error
        try:
            return decode(plain) if decode else plain
        except DecodeError as error:
            raise OriginError(f"the message is none of this method: {error}") from error

    async def _inflated(self, data: bytes) -> bytes:
        # No message of ours begins so: it would be one of a field 3 of a type that protobuf does not have.
        if not data.startswith(MAGIC):
            return data
        if len(data) < _LARGE:
            return gunzip(data, self._max_bytes)
        return await asyncio.to_thread(gunzip, data, self._max_bytes)


async def _each(messages: AsyncIterator[bytes], read: _Read) -> AsyncIterator[Any]:
    async for data in messages:
        yield await read(data)


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
