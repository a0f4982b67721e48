"""The alerts of ``dashboards/alerts/*.yaml``: what is worth waking somebody for, written once as data."""

from __future__ import annotations

import re
import uuid
from pathlib import Path
from string import Template
from typing import Annotated

import msgspec

from lexilog.assets import asset
from lexilog.yaml_document import Document

__all__ = ["Alert", "load_alerts"]

_Slug = Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$")]
_Span = Annotated[str, msgspec.Meta(pattern=r"^[1-9][0-9]*[smhd]$")]
_Text = Annotated[str, msgspec.Meta(min_length=1)]
_GROUPED = re.compile(r"\bSTATS\b.*?\bBY\s+([a-z_]+(?:,\s*[a-z_]+)*)", re.DOTALL)


class Alert(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One alert.

    Attributes:
        id: its slug, and the name of its file.
        title: what it is called.
        question: the question that it answers.
        why: why that is worth an alert.
        first: what to do first.
        threshold: from which number on it is raised.
        counts: what that is a number of.
        window: how far back it looks, such as ``10m``: a number and s, m, h or d.
        interval: how often it looks.
        group: the columns that tell one alert from another; the last STATS of the query is BY these.
        tags: words to find it by.
        esql: the ES|QL query; each row that it returns is an alert. ``$threshold`` stands for the threshold.
    """

    id: _Slug
    title: _Text
    question: _Text
    why: _Text
    first: _Text
    threshold: Annotated[int, msgspec.Meta(ge=1)]
    counts: _Text
    window: _Span
    interval: _Span
    group: Annotated[tuple[str, ...], msgspec.Meta(min_length=1)]
    tags: tuple[str, ...]
    esql: _Text

    @property
    def uuid(self) -> str:
        """Its id in every cluster: the same in each version, so that an upgrade finds it."""
        return str(uuid.uuid5(uuid.NAMESPACE_URL, f"lexilog:alert:{self.id}"))

    @property
    def query(self) -> str:
        """The ES|QL query as it is run."""
        return Template(self.esql).substitute(threshold=self.threshold).rstrip()


def load_alerts(folder: Path | None = None) -> tuple[Alert, ...]:
    """Return all alerts in the order of their ids.

    Args:
        folder: of YAML files, one per alert; the shipped ones where it is not given.

    Raises:
        CatalogError: one cannot be read; it says file, line and column.
    """
    found = (folder or asset("dashboards/alerts")).glob("*.yaml")
    return tuple(_load(path) for path in sorted(found, key=lambda path: path.stem))


def _load(path: Path) -> Alert:
    document = Document(path)
    alert = document.convert(Alert)
    if alert.id != path.stem:
        raise document.error(f"id '{alert.id}' is not the name of the file: rename one of them", "id")
    try:
        grouped = _GROUPED.findall(alert.query)
    except (KeyError, ValueError) as error:
        raise document.error("esql: $threshold is all that may be filled in; write $$ for a dollar", "esql") from error
    if not grouped or tuple(re.split(r",\s*", grouped[-1])) != alert.group:
        raise document.error(f"esql: its last STATS is not BY {', '.join(alert.group)}, as group says", "esql")
    return alert
