"""All files that are made from the catalogue, the field table and the panels."""

from __future__ import annotations

from lexilog.compilers import alert_page, field_page
from lexilog.compilers.elasticsearch import package, pipeline, templates
from lexilog.compilers.kibana import alerts as kibana_alerts
from lexilog.compilers.kibana import saved_objects
from lexilog.compilers.source import Files, Maker, Source

__all__ = ["GENERATED", "MAKERS", "build"]

# Folders that hold nothing but what is made.
GENERATED = ("mappings/elasticsearch", "dashboards/kibana")

MAKERS: tuple[Maker, ...] = (
    field_page.files,
    templates.files,
    pipeline.files,
    saved_objects.files,
    kibana_alerts.files,
    alert_page.files,
    package.files,
)


def build(source: Source) -> Files:
    """Return the content of every generated file by its path from the top of the source tree.

    Raises:
        CatalogError: the knowledge cannot be compiled.
    """
    return {path: content for maker in MAKERS for path, content in maker(source).items()}
