"""What the server knows of messages: the pipeline in use, which changes when catalogues are read anew."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from lexilog.catalog.lint import Problem, lint
from lexilog.catalog.sources import catalog_files
from lexilog.pipeline import Pipeline
from lexilog.service.make import make_pipeline
from lexilog.service.metrics import Metrics
from lexilog.service.reload import fingerprint
from lexilog.service.settings import Settings

__all__ = ["Knowledge"]

_log = logging.getLogger(__name__)


class Knowledge:
    """The pipeline in use; it can be read anew (`lexilog.service.reload`).

    Whoever processes a batch takes `pipeline` once and keeps it to the end, so that one pipeline does all of it.

    Args:
        settings: which catalogues there are.
        metrics: shows them; by default in a set of its own.
        pipeline: what to begin with; by default what the settings describe.

    Attributes:
        pipeline: for the next batch.
        seen: the fingerprint of the files before they were read for the first time.

    Raises:
        CatalogError: a catalogue cannot be used.
        SettingsError: a route names a catalogue that is not known.
    """

    what = name = "catalogs"

    def __init__(self, settings: Settings, metrics: Metrics | None = None, pipeline: Pipeline | None = None) -> None:
        self._settings = settings
        self._metrics = metrics or Metrics()
        self._shown: Counter[tuple[str, str]] = Counter()
        self.pipeline: Pipeline
        self.seen = fingerprint(self.files())
        pipeline = pipeline or make_pipeline(settings)
        self._use(pipeline, lint(pipeline.catalogs))

    def files(self) -> Iterable[Path]:
        """Return the files and directories that the settings name, and the catalogues in these directories."""
        return (file for path in self._settings.catalogs for file in (path, *catalog_files(path)))

    def load(self) -> Callable[[], None]:
        """Read and compile the catalogues; return what puts them to use.

        Raises:
            CatalogError: a catalogue cannot be used.
            SettingsError: a route names a catalogue that is not there any more.
        """
        pipeline = make_pipeline(self._settings)
        problems = lint(pipeline.catalogs)
        return lambda: self._use(pipeline, problems)

    def _use(self, pipeline: Pipeline, problems: Sequence[Problem]) -> None:
        self.pipeline = pipeline
        entries = Counter((entry.catalog, entry.catalog_version) for entry in pipeline.entries)
        for gone in self._shown.keys() - entries.keys():
            self._metrics.forget("catalog_entries", *gone)
        for labels, count in entries.items():
            self._metrics["catalog_entries"].labels(*labels).set(count)
        self._shown = entries
        listed = ", ".join(f"{name} {version} ({count})" for (name, version), count in sorted(entries.items()))
        _log.info("catalogs, with their entries: %s", listed)
        if problems:
            _log.warning(
                "catalogs in use have %d problems (lexilog catalog lint), the first: %s", len(problems), problems[0]
            )
