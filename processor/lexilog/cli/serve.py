"""``lexilog serve``: the processor."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path
from typing import Any

import click

from lexilog.cli._options import catalog_option, csv_columns_option, timezone_option
from lexilog.errors import SettingsError
from lexilog.service.logs import set_up_logging
from lexilog.service.make import check_relays
from lexilog.service.server import Server
from lexilog.service.settings import (
    LEVELS,
    SHAPES,
    Doors,
    GrpcDoorSettings,
    Settings,
    read_relay,
)
from lexilog.service.settings_check import check_settings
from lexilog.service.settings_file import load_settings

__all__ = ["serve"]


@click.command()
@click.option(
    "--config",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Settings file (YAML): every door, several relays, routes, dead letters. The other flags are for without.",
)
@click.option(
    "--listen",
    default=GrpcDoorSettings().listen,
    show_default=True,
    metavar="HOST:PORT",
    help="Where the gRPC door listens.",
)
@click.option(
    "--relay",
    metavar="TARGET",
    help="Where enriched OTLP records go: otlp://HOST:PORT, file:PATH (NDJSON) or stdout. Without it there is no OTLP "
    "door, and the server only answers EnrichService.",
)
@click.option(
    "--shape",
    type=click.Choice(SHAPES),
    default="document",
    show_default=True,
    help="Records to otlp://: the body is the ECS document (Fluent Bit), or stays the line and the new fields are "
    "attributes (OpenTelemetry Collector).",
)
@timezone_option
@catalog_option
@csv_columns_option
@click.option("--check", is_flag=True, help="Say whether the settings make sense, and end.")
@click.option("--log-level", type=click.Choice(LEVELS), default="info", show_default=True, help="What to log.")
@click.pass_context
def serve(context: click.Context, /, config: Path | None, *, check: bool, log_level: str, **flags: Any) -> None:
    """Run the processor until it is told to stop (SIGTERM, SIGINT).

    With flags alone: one gRPC port (EnrichService, OTLP LogsService/Export, health, reflection) and one relay. With a
    settings file: OTLP over HTTP, Fluent Forward and HTTP/JSON as well, and records to several relays.

    An agent hears OK only when the relays have every record; otherwise it is told to come again, and keeps them.
    Nothing is queued here, so nothing is lost when this process dies.

    There is no encryption and no authentication but the shared key of Fluent Forward: listen on loopback, or behind
    something that has both.

    \b
    Examples:
      lexilog serve --relay otlp://127.0.0.1:4319
      lexilog serve --relay file:/var/log/enriched.ndjson --timezone Europe/Berlin
      lexilog serve --config /etc/lexilog.yaml
      LEXILOG_SERVE_RELAY=stdout lexilog serve
    """
    try:
        settings = load_settings(config) if config else _from_flags(**flags)
        if config:
            _refuse_flags(context, flags)
        server = Server(settings)
        if check:
            asyncio.run(check_relays(settings))
            print("the settings make sense; not tried: to bind addresses, to reach relays, to write files")
            return
    except SettingsError as error:
        raise click.UsageError(str(error)) from error
    set_up_logging(log_level)
    asyncio.run(_serve(server))


def _refuse_flags(context: click.Context, flags: dict[str, Any]) -> None:
    """Refuse flags beside a settings file: nobody could tell which of the two counts."""
    given = [name for name in flags if context.get_parameter_source(name) is not click.core.ParameterSource.DEFAULT]
    if given:
        names = ", ".join(_flag(context, name) for name in given)
        raise SettingsError(f"--config says it all: put into the file what {names} says, and leave the flag out")


def _flag(context: click.Context, name: str) -> str:
    option = next(parameter for parameter in context.command.params if parameter.name == name)
    is_set_outside = context.get_parameter_source(name) is click.core.ParameterSource.ENVIRONMENT
    return f"{option.opts[0]} (set in the environment)" if is_set_outside else option.opts[0]


def _from_flags(
    *,
    listen: str,
    relay: str | None,
    shape: Any,
    timezone: str,
    catalogs: tuple[Path, ...],
    csv_columns: tuple[str, ...],
) -> Settings:
    settings = Settings(
        doors=Doors(grpc=GrpcDoorSettings(listen=listen)),
        relays={"relay": read_relay(relay, shape)} if relay is not None else {},
        timezone=timezone,
        catalogs=catalogs,
        csv_columns=csv_columns,
    )
    check_settings(settings)
    return settings


async def _serve(server: Server) -> None:
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    await server.run(stopping)
