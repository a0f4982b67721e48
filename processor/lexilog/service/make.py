"""Makes what settings describe: the pipeline, and the ways out."""

from __future__ import annotations

from lexilog.catalog.sources import load_catalogs
from lexilog.errors import SettingsError
from lexilog.pipeline import Pipeline
from lexilog.relay.dead_letters import DeadLetters
from lexilog.relay.make import make_relay
from lexilog.relay.router import Router
from lexilog.relay.settings import FileSettings, StdoutSettings
from lexilog.service.measured import Measured
from lexilog.service.metrics import Metrics
from lexilog.service.settings import Settings, read_zone

__all__ = ["check_relays", "make_pipeline", "make_router"]


def make_pipeline(settings: Settings) -> Pipeline:
    """Return the pipeline that settings describe.

    Raises:
        CatalogError: a catalogue is damaged.
        SettingsError: a route names a catalogue that is not known.
    """
    catalogs = load_catalogs(settings.catalogs)
    known = {catalog.name for catalog in catalogs}
    for name in (name for route in settings.routes for name in route.catalog):
        if name not in known:
            raise SettingsError(f"routes: there is no catalogue '{name}'; there are: {', '.join(sorted(known))}")
    return Pipeline(
        catalogs,
        zone=read_zone(settings.timezone),
        columns=settings.csv_columns,
        max_line=settings.max_line_length,
    )


def make_router(settings: Settings, metrics: Metrics) -> Router:
    """Return the relays that settings describe, as one; what each of them does is measured."""
    relays = {name: Measured(name, make_relay(name, one), metrics) for name, one in settings.relays.items()}
    return Router(
        relays,
        optional=[name for name, one in settings.relays.items() if not one.required],
        routes=settings.routes,
        dead_letters=_make_dead_letters(settings, metrics),
        on_lost=lambda name, count: relays[name].lose(count),
    )


def _make_dead_letters(settings: Settings, metrics: Metrics) -> DeadLetters | None:
    told = settings.dead_letters
    if told is None:
        return None
    metrics["dead_letters_max_bytes"].set(told.max_bytes)
    return DeadLetters(told.path, told.max_bytes, on_held=metrics["dead_letters_bytes"].set)


async def check_relays(settings: Settings) -> None:
    """Find what is wrong with relays, as far as that can be known without sending, writing or making anything.

    Raises:
        SettingsError: the first such thing.
    """
    for name, one in settings.relays.items():
        if not isinstance(one, FileSettings | StdoutSettings):
            relay = make_relay(name, one)
            await relay.open()
            await relay.close()
