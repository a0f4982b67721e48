"""``lexilog serve``: the gRPC processor."""

from __future__ import annotations

import asyncio
import math
import signal
from typing import Any

import click

from lexilog.cli._options import catalog_option, csv_columns_option, timezone_option
from lexilog.errors import SettingsError
from lexilog.service.logs import set_up_logging
from lexilog.service.server import Server
from lexilog.service.settings import LEVELS, SHAPES, STYLES, Settings

__all__ = ["serve"]

_DEFAULTS = Settings()


class Seconds(click.FloatRange):
    """A time in seconds; not a number is none."""

    name = "seconds"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the number."""
        number = super().convert(value, param, ctx)
        if math.isnan(number):
            self.fail(f"{value!r} is not a number of seconds", param, ctx)
        return number


@click.command()
@click.option("--listen", default=_DEFAULTS.listen, show_default=True, metavar="HOST:PORT", help="Where to listen.")
@click.option(
    "--relay",
    metavar="TARGET",
    help="Where enriched OTLP records go: otlp://HOST:PORT, file:PATH (NDJSON) or stdout. Without it there is no OTLP "
    "door, and the server only answers EnrichService.",
)
@click.option(
    "--shape",
    type=click.Choice(SHAPES),
    default=_DEFAULTS.shape,
    show_default=True,
    help="Records to otlp://: the body is the ECS document (Fluent Bit), or stays the line and the new fields are "
    "attributes (OpenTelemetry Collector).",
)
@click.option(
    "--attributes",
    type=click.Choice(STYLES),
    default=_DEFAULTS.attributes,
    show_default=True,
    help="Names of attributes: source.ip, or a map source that holds ip.",
)
@click.option(
    "--body-key",
    "body_keys",
    envvar="LEXILOG_SERVE_BODY_KEY",
    multiple=True,
    default=_DEFAULTS.body_keys,
    show_default=True,
    metavar="KEY",
    help="Where the line stands when a body is a map; may be given several times.",
)
@click.option(
    "--max-receive-bytes",
    type=click.IntRange(min=1024, max=2**31 - 1),
    default=_DEFAULTS.max_receive_bytes,
    show_default=True,
    help="Largest message that is received. One Fluent Bit chunk is over 2 MB.",
)
@click.option(
    "--relay-max-bytes",
    type=click.IntRange(min=1024, max=2**31 - 1),
    default=_DEFAULTS.relay_max_bytes,
    show_default=True,
    help="Largest request that is sent to otlp://. Most receivers take 4 MiB by default.",
)
@click.option(
    "--relay-timeout",
    type=Seconds(min=0.1, max=3600),
    default=_DEFAULTS.relay_timeout,
    show_default=True,
    metavar="SECONDS",
    help="How long the next hop may take for a request.",
)
@timezone_option
@catalog_option
@csv_columns_option
@click.option(
    "--grace",
    type=Seconds(min=0, max=3600),
    default=_DEFAULTS.grace,
    show_default=True,
    metavar="SECONDS",
    help="How long requests in flight may take when the server stops.",
)
@click.option("--log-level", type=click.Choice(LEVELS), default="info", show_default=True, help="What to log.")
def serve(log_level: str, **options: Any) -> None:
    """Run the gRPC processor until it is told to stop (SIGTERM, SIGINT).

    One port serves EnrichService (proto/lexilog/v1/enrich.proto), OTLP LogsService/Export, gRPC health and reflection.

    An agent's Export is answered OK only when the relay has every record; otherwise it is UNAVAILABLE and the agent
    keeps them. Nothing is queued here, so nothing is lost when this process dies.

    There is no encryption and no authentication: listen on loopback, or behind something that has both.

    \b
    Examples:
      lexilog serve --relay otlp://127.0.0.1:4319
      lexilog serve --relay file:/var/log/enriched.ndjson --timezone Europe/Berlin
      LEXILOG_SERVE_RELAY=stdout lexilog serve
    """
    set_up_logging(log_level)
    try:
        server = Server(Settings(**options))
    except SettingsError as error:
        raise click.UsageError(str(error)) from error
    asyncio.run(_serve(server))


async def _serve(server: Server) -> None:
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    await server.run(stopping)
