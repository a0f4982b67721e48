"""``lexilog redpanda-connect``: a processor plug-in of Redpanda Connect."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Coroutine
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any

import click

from lexilog.catalog.sources import load_catalogs
from lexilog.cli._options import catalog_option, csv_columns_option, timezone_option
from lexilog.errors import LexilogError
from lexilog.otlp.decode import BODY_KEYS
from lexilog.pipeline import Pipeline
from lexilog.service.logs import set_up_logging
from lexilog.service.metrics import Counts
from lexilog.service.redpanda import RedpandaProcessor
from lexilog.service.settings import LogSettings, read_zone

__all__ = ["redpanda_connect"]

# Where the plug-in is to listen, as Redpanda Connect says it to what it starts.
_ADDRESS = "REDPANDA_CONNECT_PLUGIN_ADDRESS"
# Seconds between two looks whether Redpanda Connect is still there.
_LOOK = 1.0
_INSTALL = "pip install 'lexilog[redpanda]'"


@click.command()
@timezone_option
@catalog_option
@csv_columns_option
def redpanda_connect(timezone: str, catalogs: tuple[Path, ...], csv_columns: tuple[str, ...]) -> None:
    """Be a processor plug-in of Redpanda Connect, which starts this command itself.

    A message whose payload is a JSON object has its line under `log`, `message` or `MESSAGE`; any other payload is the
    line. The ECS document takes the payload's place, and metadata stays as it is.

    It needs Python 3.12 or newer and Redpanda's own Python SDK: pip install 'lexilog[redpanda]'

    \b
    plugin.yaml:
      name: lexilog
      summary: Explains VPN gateway log messages
      command: [lexilog, redpanda-connect, --timezone, Europe/Berlin]
      type: processor
      fields: []

    \b
    connect.yaml:
      pipeline:
        processors:
          - lexilog: {}
      output:
        reject_errored:      # what the plug-in failed on goes back to the input
          file: {path: enriched.ndjson, codec: lines}

    \b
    Examples:
      rpk connect run --rpc-plugins=plugin.yaml connect.yaml
    """
    sdk = _sdk()
    address = os.environ.get(_ADDRESS)
    if not address:
        raise click.UsageError(
            f"Redpanda Connect starts this command, with {_ADDRESS} in its environment: name it in plugin.yaml, and "
            "run rpk connect run --rpc-plugins=plugin.yaml connect.yaml (see --help)"
        )
    pipeline = Pipeline(load_catalogs(catalogs), zone=read_zone(timezone), columns=csv_columns)
    processor = RedpandaProcessor(pipeline, BODY_KEYS, Counts())
    set_up_logging(LogSettings())

    def make(config: Any) -> RedpandaProcessor:
        if config:
            raise sdk.BaseError(f"write 'lexilog: {{}}', and put options into the command of plugin.yaml, not {config}")
        _wait_for_close()
        return processor

    try:
        asyncio.run(_serve(sdk.processor_main(make)))
    except RuntimeError as error:  # so gRPC says that it cannot bind
        raise LexilogError(f"redpanda-connect: {_ADDRESS} is {address}: {error}") from error


def _wait_for_close() -> None:
    """Let SIGTERM do what SIGINT does: finish when Redpanda Connect has called Close.

    Service managers send SIGTERM to all processes at once. The SDK would stop in the middle of a batch then, and
    Redpanda Connect 4.106 panics when its plug-in has ended before it calls Close.
    """
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, signal.raise_signal, signal.SIGINT)


async def _serve(plugin: Coroutine[Any, Any, None]) -> None:
    """Run the plug-in until Redpanda Connect stops it, or is gone."""
    watch = asyncio.create_task(_cancel_with_parent(asyncio.current_task()))
    with suppress(asyncio.CancelledError):
        await plugin
    watch.cancel()


async def _cancel_with_parent(task: asyncio.Task[Any] | None) -> None:
    """Cancel a task when the parent process is gone: one that is killed stops nobody, and the next starts its own."""
    parent = os.getppid()
    while os.getppid() == parent:  # noqa: ASYNC110 (nothing tells of it)
        await asyncio.sleep(_LOOK)
    if task:
        task.cancel()


def _sdk() -> Any:
    """Return Redpanda's package.

    Raises:
        LexilogError: there is none.
    """
    try:
        return import_module("redpanda_connect")
    except ImportError as error:
        problem = f"Redpanda's Python SDK cannot be loaded ({error}): {_INSTALL}"
        if sys.version_info < (3, 12):
            here = "{}.{}".format(*sys.version_info)
            problem = f"Redpanda's Python SDK needs Python 3.12 or newer, and this is {here}: there, {_INSTALL}"
        raise LexilogError(f"redpanda-connect: {problem}") from error
