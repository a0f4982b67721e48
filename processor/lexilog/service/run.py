"""Runs the server, in this process or in several: signals, the port of metrics and health, and the log of it."""

from __future__ import annotations

import asyncio
import logging
import resource
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from importlib.metadata import version
from pathlib import Path

from lexilog.service.admin import AdminServer, Health
from lexilog.service.metrics import Metrics
from lexilog.service.server import Server
from lexilog.service.settings import MetricsSettings, Settings, read_address
from lexilog.service.tracing import set_up_tracing
from lexilog.service.workers import Workers

__all__ = ["run", "traced"]

# Open files that a connection may take: to the client, and both ends of the one to gRPC's server.
_FILES = 3

_log = logging.getLogger(__name__)


async def run(settings: Settings, settings_file: Path | None = None) -> int:
    """Serve until SIGTERM or SIGINT; SIGHUP reads catalogues, certificates and tokens anew.

    Args:
        settings: what the server is told.
        settings_file: where that stands; it is watched.

    Returns:
        The exit code.

    Raises:
        SettingsError: something that the settings name cannot be used.
        CatalogError: a catalogue is damaged.
        LexilogError: no worker can be started.
    """
    stopping = asyncio.Event()
    serving: list[Server | Workers] = []

    def reload() -> None:
        # Before that nothing has been read.
        for one in serving:
            one.reload()

    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGHUP, reload)
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    _raise_open_files(settings)
    if settings.workers > 1:
        workers = Workers(settings, settings_file)
        serving.append(workers)
        _show(workers.counts.metrics)
        async with _admin(settings.metrics, workers.expose, workers.health):
            await _serve(settings, workers, workers.summary, stopping)
        return 0
    with traced(settings):
        server = Server(settings, settings_file=settings_file)
        serving.append(server)
        _show(server.counts.metrics)
        server.counts.metrics["workers"].set(1)
        async with _admin(settings.metrics, server.counts.metrics.expose, lambda: Health.of(server.status)):
            await _serve(settings, server, server.counts.summary, stopping)
    return 0


async def _serve(
    settings: Settings, serving: Server | Workers, summary: Callable[[], str], stopping: asyncio.Event
) -> None:
    stop = asyncio.create_task(stopping.wait())
    start = asyncio.create_task(serving.start())
    await asyncio.wait((start, stop), return_when=asyncio.FIRST_COMPLETED)
    if start.done():
        try:
            await start
        except BaseException:
            stop.cancel()
            raise
        for name, told in settings.doors.open().items():
            _log.info("%s: listening on %s:%d", name, told.listen.rpartition(":")[0], serving.ports[name])
        _log.info("relays: %s", ", ".join(settings.relays) or "none; records are only answered")
        await stop
        _log.info("stopping")
        await serving.stop()
    else:
        _log.info("stopping")
        start.cancel()
        with suppress(asyncio.CancelledError):
            await start
    _log.info("stopped; records: %s", summary())


@asynccontextmanager
async def _admin(
    settings: MetricsSettings | None, exposition: Callable[[], bytes], health: Callable[[], Health]
) -> AsyncIterator[None]:
    """Answer on the port of metrics and health, if there is to be one."""
    if settings is None:
        yield
        return
    admin = AdminServer(settings, exposition, health)
    await admin.start()
    _log.info("metrics: listening on %s:%d", read_address(settings.listen, "metrics.listen")[0], admin.port)
    try:
        yield
    finally:
        await admin.stop()


@contextmanager
def traced(settings: Settings) -> Iterator[None]:
    """Trace what happens within, if the settings say so.

    Raises:
        SettingsError: it cannot be.
    """
    end = set_up_tracing(settings.traces) if settings.traces else None
    try:
        yield
    finally:
        if end:
            end()


def _show(metrics: Metrics) -> None:
    metrics["info"].labels(version("lexilog")).set(1)


def _raise_open_files(settings: Settings) -> None:
    """Let this process, and those that it starts, open as many files as they may."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = _FILES * sum(door.max_connections for door in settings.doors.open().values())
    if limit != resource.RLIM_INFINITY and needed > limit:
        _log.warning(
            "max_connections of all doors may take %d open files, and this process may have %d: raise its limit "
            "(ulimit -n, LimitNOFILE), or allow fewer connections",
            needed,
            limit,
        )
