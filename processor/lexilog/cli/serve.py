"""``lexilog serve``: the processor."""

from __future__ import annotations

import asyncio
import signal
import sys
from typing import Any

import click

from lexilog.cli._settings import VARIABLES, load_options, settings_options
from lexilog.errors import SettingsError
from lexilog.service.logs import set_up_logging
from lexilog.service.run import run

__all__ = ["serve"]


@click.command(context_settings={"auto_envvar_prefix": VARIABLES})
@settings_options
@click.pass_context
def serve(context: click.Context, /, **options: Any) -> None:
    """Run the processor until it is told to stop (SIGTERM, SIGINT).

    With flags alone: one gRPC port (EnrichService, OTLP LogsService/Export, health, reflection) and one relay. With a
    settings file: OTLP over HTTP, Fluent Forward and HTTP/JSON as well, and records to several relays. Any setting can
    also be set in the environment (LEXILOG__DOORS__GRPC__LISTEN) or with --set; flags count more than the environment,
    and that more than the file. `lexilog config check` shows what comes of it.

    An agent hears OK only when the relays have every record; otherwise it is told to come again, and keeps them.
    Nothing is queued here, so nothing is lost when this process dies.

    A door that other machines can reach needs TLS, or a secret that clients have to bring; without either it is not
    opened, unless the settings say `allow_unprotected: true`.

    \b
    Examples:
      lexilog serve --relay otlp://127.0.0.1:4319
      lexilog serve --relay file:/var/log/enriched.ndjson --timezone Europe/Berlin
      lexilog serve --config /etc/lexilog.yaml
      lexilog serve --config /etc/lexilog.yaml --set doors.grpc.max_requests=16
      LEXILOG_SERVE_RELAY=stdout lexilog serve
    """
    # It asks for a reload, and before the server runs there is nothing to reload.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        settings, _ = load_options(context, **options)
    except SettingsError as error:
        raise click.UsageError(str(error)) from error
    set_up_logging(settings.log)
    sys.exit(asyncio.run(run(settings, options["config"])))
