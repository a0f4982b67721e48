"""OpenTelemetry traces, for whoever has the extra ``traces``: without it, and without settings, nothing happens here.

A request is the span ``lexilog.door.NAME``, a child of the sender's own span where the request brings ``traceparent``
(W3C Trace Context); in it are ``lexilog.enrich`` and ``lexilog.relay.NAME``. Spans are sent in the background; those
that the receiver does not take are dropped, and the log says so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from importlib import import_module
from importlib.metadata import version
from threading import Thread
from typing import Any, NamedTuple

from lexilog.errors import SettingsError
from lexilog.service.settings import TracesSettings

__all__ = ["set_up_tracing", "span"]

_INSTALL = "pip install 'lexilog[traces]'"
# Seconds that the receiver may take for a request, and that a stop waits for what has not been sent.
_TIMEOUT = 5
_PATIENCE = 2.0
_NOTHING = nullcontext()


class _Tracing(NamedTuple):
    """What opens spans, and what reads the parent of one from a request's headers."""

    tracer: Any
    read_parent: Callable[[Mapping[str, str]], Any]


_active: list[_Tracing] = []


def set_up_tracing(settings: TracesSettings, exporter: Any = None) -> Callable[[], None]:
    """Begin to trace.

    Args:
        settings: where to, and how many requests.
        exporter: takes the spans; by default one that sends them to the endpoint.

    Returns:
        What ends it: what has not been sent is, if that takes no more than two seconds.

    Raises:
        SettingsError: the extra ``traces`` is not installed.
    """
    try:
        trace, sampling = import_module("opentelemetry.sdk.trace"), import_module("opentelemetry.sdk.trace.sampling")
        export = import_module("opentelemetry.sdk.trace.export")
        resource = import_module("opentelemetry.sdk.resources").Resource
        otlp = import_module("opentelemetry.exporter.otlp.proto.grpc.trace_exporter")
        propagation = import_module("opentelemetry.trace.propagation.tracecontext")
    except ImportError as error:
        raise SettingsError(f"traces: OpenTelemetry's SDK cannot be loaded ({error}): {_INSTALL}") from error
    provider = trace.TracerProvider(
        sampler=sampling.ParentBased(sampling.TraceIdRatioBased(settings.ratio)),
        resource=resource.create({"service.name": "lexilog", "service.version": version("lexilog")}),
        shutdown_on_exit=False,
    )
    exporter = exporter or otlp.OTLPSpanExporter(endpoint=settings.endpoint, timeout=_TIMEOUT)
    provider.add_span_processor(export.BatchSpanProcessor(exporter))
    propagator = propagation.TraceContextTextMapPropagator()
    _active[:] = [_Tracing(provider.get_tracer("lexilog"), propagator.extract)]

    def shut_down() -> None:
        _active.clear()
        # A receiver that is away must not hold up the end of the process.
        thread = Thread(target=provider.shutdown, name="lexilog-traces-end", daemon=True)
        thread.start()
        thread.join(_PATIENCE)

    return shut_down


def span(
    name: str, headers: Mapping[str, str] | None = None, **attributes: str | int | float
) -> AbstractContextManager[None]:
    """Return a context manager whose body is a span; where nothing is traced it does nothing.

    Args:
        name: of the span.
        headers: of a request, with lower-case names or any; ``traceparent`` in them names the span's parent. Without
            headers the parent is the span that is open here.
        **attributes: of the span.
    """
    return _open(_active[0], name, headers, attributes) if _active else _NOTHING


@contextmanager
def _open(
    tracing: _Tracing, name: str, headers: Mapping[str, str] | None, attributes: Mapping[str, Any]
) -> Iterator[None]:
    parent = None if headers is None else tracing.read_parent(headers)
    with tracing.tracer.start_as_current_span(name, context=parent, attributes=attributes):
        yield
