"""The options that say what the server is told, for every command that reads its settings."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import click
from msgspec import structs

from lexilog.cli._options import catalog_option
from lexilog.errors import SettingsError
from lexilog.service.settings import LEVELS, SHAPES, Settings, read_relay
from lexilog.service.settings.file import load_layers
from lexilog.service.settings.layers import Change, Layers
from lexilog.yaml_document import meant_of

__all__ = ["VARIABLES", "load_options", "settings_options"]

# What the variables of these options begin with, in every command: LEXILOG_SERVE_LISTEN.
VARIABLES = "LEXILOG_SERVE"

# What Kubernetes sets for services called lexilog-serve and the like.
_OF_KUBERNETES = re.compile(r"_(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT(_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?)\Z")

_DEFAULTS = Settings()
_F = TypeVar("_F", bound=Callable[..., Any])


def settings_options(command: _F) -> _F:
    """Add the options that say what the server is told; `load_options` reads them.

    What they say is checked with the rest of the settings, so that every error names where a value comes from.
    """
    options = (
        click.option(
            "--config",
            type=click.Path(path_type=Path, dir_okay=False),
            metavar="FILE",
            help="Settings file (YAML): every door, several relays, routes, dead letters, limits. What the environment "
            "and flags say counts more.",
        ),
        click.option(
            "--set",
            "sets",
            multiple=True,
            allow_from_autoenv=False,
            metavar="NAME=VALUE",
            help="Any setting, by its place in the file: doors.grpc.listen=127.0.0.1:4317. VALUE is YAML; null stands "
            "for the default. May be given several times; counts more than the flags below.",
        ),
        click.option("--listen", metavar="HOST:PORT", help="Where the gRPC door listens.", **_show("127.0.0.1:4317")),
        click.option(
            "--relay",
            metavar="TARGET",
            help="Where enriched records go: otlp://HOST:PORT, file:PATH (NDJSON) or stdout; in the place of all "
            "relays and routes. Without any relay there is no OTLP door, and the server only answers EnrichService.",
        ),
        click.option(
            "--shape",
            metavar=f"[{'|'.join(SHAPES)}]",
            help="Records to --relay otlp://: the body is the ECS document (Fluent Bit), or stays the line and the new "
            "fields are attributes (OpenTelemetry Collector).",
            **_show("document"),
        ),
        click.option(
            "--timezone",
            metavar="ZONE",
            help="IANA time zone of times that name none.",
            **_show(_DEFAULTS.timezone),
        ),
        catalog_option,
        click.option(
            "--csv-columns",
            metavar="NAME,NAME,...",
            help="Names of the columns of comma-separated lines, in order, as the export names them (TIMESTAMP, "
            "FACILITY, INFO_MSG ...).",
        ),
        click.option("--log-level", metavar=f"[{'|'.join(LEVELS)}]", help="What to log.", **_show(_DEFAULTS.log.level)),
    )
    for option in reversed(options):
        command = option(command)
    return command


def _show(default: str) -> dict[str, Any]:
    """Return what lets the help name a default that is not the option's own: nothing is said unless it is given."""
    return {"show_default": default}


def load_options(
    context: click.Context, *, config: Path | None, sets: tuple[str, ...], **named: Any
) -> tuple[Settings, Layers]:
    """Return the settings that file, environment and options say, and where each comes from.

    Args:
        context: of the command.
        config: the settings file.
        sets: what ``--set`` says.
        **named: what the other options say.

    Raises:
        SettingsError: they cannot be read, or make no sense.
    """
    _check_variables(context.command.params, os.environ)
    by_source: dict[bool, list[Change]] = {True: [], False: []}
    if named["shape"] is not None and named["relay"] is None:
        raise SettingsError(
            f"{_origin(context, 'shape')}: goes with --relay; in a settings file each relay has its own"
        )
    for name, value in named.items():
        if value is not None and value != ():
            is_variable = context.get_parameter_source(name) is click.core.ParameterSource.ENVIRONMENT
            by_source[is_variable].extend(_changes(name, value, _origin(context, name)))
    return load_layers(config, variables=by_source[True], flags=by_source[False], sets=sets)


def _check_variables(options: Iterable[click.Parameter], names: Iterable[str]) -> None:
    """Refuse variables that are none of an option, and that nobody would hear."""
    known = [_variable(option) for option in options if option.name != "sets"]
    for name in names:
        if not name.startswith(f"{VARIABLES}_") or name in known or _OF_KUBERNETES.search(name):
            continue
        if name == f"{VARIABLES}_SET":
            meant = ": --set has none; settings have variables of their own, such as LEXILOG__DOORS__GRPC__LISTEN"
        else:
            meant = meant_of(name, known)
        raise SettingsError(f"environment variable {name}: there is no such option{meant}")


def _variable(option: click.Parameter) -> str:
    return str(option.envvar or f"{VARIABLES}_{str(option.name).upper()}")


def _origin(context: click.Context, name: str) -> str:
    """Return what errors call an option: the variable, where it was set there."""
    option = next(parameter for parameter in context.command.params if parameter.name == name)
    if context.get_parameter_source(name) is not click.core.ParameterSource.ENVIRONMENT:
        return option.opts[0]
    return f"environment variable {_variable(option)}"


def _changes(name: str, value: Any, origin: str) -> Iterator[Change]:
    """Yield what an option says of the settings."""
    if name == "relay":
        try:
            relay = read_relay(value, "document")
        except SettingsError as error:
            raise SettingsError(f"{origin}: {error}") from error
        said = structs.asdict(relay)
        yield Change(("routes",), None, origin)
        yield Change(("relays",), {"relay": {"type": relay.__struct_config__.tag, **said}}, origin)
    elif name == "csv_columns":
        yield Change(("csv_columns",), [column.strip() for column in value.split(",")], origin)
    elif name == "catalogs":
        yield Change(("catalogs",), list(value), origin)
    else:
        yield Change(_STEPS[name], value, origin)


_STEPS: dict[str, tuple[str, ...]] = {
    "listen": ("doors", "grpc", "listen"),
    "shape": ("relays", "relay", "shape"),
    "timezone": ("timezone",),
    "log_level": ("log", "level"),
}
