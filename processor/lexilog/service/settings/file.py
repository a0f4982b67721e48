"""Reads the settings of `lexilog serve`: a file, then the environment, then flags; the last one counts."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from lexilog.service.settings import Settings
from lexilog.service.settings.check import check_settings
from lexilog.service.settings.layers import Change, Layers
from lexilog.service.settings.values import put_environment, put_flags

__all__ = ["load_layers", "load_settings"]


def load_settings(path: Path | None = None) -> Settings:
    """Return the settings of a file and of the environment (``LEXILOG__DOORS__GRPC__LISTEN``).

    Args:
        path: the file; None for none.

    Raises:
        SettingsError: they cannot be read, or make no sense; the error names the file with line and column, or the
            variable.
    """
    return load_layers(path)[0]


def load_layers(
    path: Path | None = None,
    *,
    variables: Iterable[Change] = (),
    environ: Mapping[str, str] | None = None,
    flags: Iterable[Change] = (),
    sets: Iterable[str] = (),
) -> tuple[Settings, Layers]:
    """Return settings, and where each of them comes from.

    Args:
        path: a settings file; None for none.
        variables: what variables of the environment say that stand for named flags.
        environ: where LEXILOG__DOORS__GRPC__LISTEN and the like are; by default the environment.
        flags: what named flags say.
        sets: what ``--set`` says, each as ``doors.grpc.listen=127.0.0.1:4317``.

    Raises:
        SettingsError: they cannot be read, or make no sense.
    """
    layers = Layers(path)
    for change in variables:
        layers.put(change)
    put_environment(layers, os.environ if environ is None else environ)
    for change in flags:
        layers.put(change)
    put_flags(layers, sets)
    settings = layers.settings()
    check_settings(settings, layers.error)
    return settings, layers
