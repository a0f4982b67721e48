"""``lexilog config``: the settings of the server."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click
from msgspec import structs

from lexilog.cli._settings import VARIABLES, load_options, settings_options
from lexilog.cli._warnings import warnings_of
from lexilog.errors import CatalogError, SettingsError
from lexilog.service.auth import load_tokens
from lexilog.service.make import check_relays, make_pipeline
from lexilog.service.settings import RequestDoorSettings, Settings
from lexilog.service.settings.layers import Layers
from lexilog.service.settings.show import show_settings
from lexilog.service.tls import make_context
from lexilog.service.tracing import set_up_tracing

__all__ = ["config"]


@click.group()
def config() -> None:
    """Look at the settings of `lexilog serve`."""


@config.command(context_settings={"auto_envvar_prefix": VARIABLES})
@settings_options
@click.pass_context
def check(context: click.Context, /, **options: Any) -> None:
    """Say whether the settings make sense, and show them.

    Takes what `lexilog serve` takes, the environment included, and reads what the settings name: catalogues,
    certificates and files of tokens. Prints the settings in effect as a settings file, defaults included; secrets are
    shown as ***, and a comment says where a value comes from that is no default. Certificates that end within 14 days,
    and keys and tokens that everybody may read, are worth a warning.

    Not tried: to bind addresses, to reach relays, to write files.

    Exit codes: 0 they make sense; 2 they do not, and the error says where.

    \b
    Examples:
      lexilog config check --config /etc/lexilog.yaml
      lexilog config check --config /etc/lexilog.yaml --set workers=4
    """
    try:
        settings, layers = load_options(context, **options)
        warnings = _check_files(settings, layers)
    except SettingsError as error:
        raise click.UsageError(str(error)) from error
    print(show_settings(settings, layers.origin, layers.written), end="")
    for warning in warnings:
        print(f"warning: {warning}", file=sys.stderr)
    print("the settings make sense; not tried: to bind addresses, to reach relays, to write files", file=sys.stderr)


def _check_files(settings: Settings, layers: Layers) -> list[str]:
    """Read what settings name, as the server does when it starts; return what is worth a warning.

    Raises:
        SettingsError: something cannot be used.
    """
    for number, path in enumerate(settings.catalogs):
        if not path.exists():
            raise layers.error(f"catalogs: {path}: there is no such file or directory", "catalogs", number)
    try:
        with _named(layers, "routes"):
            make_pipeline(settings)
    except CatalogError as error:
        raise SettingsError(layers.hide(str(error))) from error
    for name, door in settings.doors.open().items():
        if door.tls:
            with _named(layers, "doors", name, "tls"):
                make_context(door.tls, (), f"doors.{name}.tls")
        if isinstance(door, RequestDoorSettings):
            with _named(layers, "doors", name, "tokens" if door.tokens_file is None else "tokens_file"):
                load_tokens(door, f"doors.{name}.")
    if settings.traces:
        with _named(layers, "traces"):
            end = set_up_tracing(settings.traces)
            end()
    for name, relay in settings.relays.items():
        with _named(layers, "relays", name):
            asyncio.run(check_relays(structs.replace(settings, relays={name: relay})))
    return [layers.hide(warning) for warning in warnings_of(settings)]


@contextmanager
def _named(layers: Layers, *steps: str) -> Iterator[None]:
    """Let an error name where the setting comes from that it is about."""
    try:
        yield
    except SettingsError as error:
        raise layers.error(str(error), *steps) from error
