"""One run of ``lexilog install elasticsearch``: look, plan, show, ask, do."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from typing import Any, NamedTuple

import click

from lexilog.cli._options import FOUND
from lexilog.cli._plan import show_line, show_plan, title
from lexilog.compilers.kibana.alerts import rules
from lexilog.compilers.kibana.saved_objects import saved_objects
from lexilog.compilers.source import Source
from lexilog.errors import LexilogError
from lexilog.install.apply import Target, apply
from lexilog.install.clash import clashes
from lexilog.install.elasticsearch import Cluster
from lexilog.install.kibana import Kibana, plan_kibana, plan_kibana_remove
from lexilog.install.plan import Objects, Step, needs_rollover, plan_install, plan_remove
from lexilog.install.wanted import Lifecycle, has_pipeline, lifecycle_of, wanted

__all__ = ["Installation", "Options"]

# Needed by every run, and by some; docs/elasticsearch.md has them as a role.
_CLUSTER = ("monitor", "manage_index_templates", "manage_ingest_pipelines")
_POLICIES = "manage_ilm"


class Options(NamedTuple):
    """What was asked for; see the options of the command."""

    pipeline: bool = False
    lifecycle: Lifecycle | None = None
    kibana_url: str | None = None
    kibana_space: str | None = None
    alerts: bool = False
    rollover: bool = False
    remove: bool = False
    force: bool = False
    dry_run: bool = False
    yes: bool = False


class _Plan(NamedTuple):
    """Steps for one server."""

    url: str
    target: Target
    steps: list[Step]


class Installation:
    """A run against a cluster and, where one was named, a Kibana.

    Args:
        source: what everything is made from.
        options: what was asked for.
        cluster: where to.
        kibana: None for none.
    """

    def __init__(self, source: Source, options: Options, cluster: Cluster, kibana: Kibana | None) -> None:
        self._source = source
        self._options = options
        self._cluster = cluster
        self._kibana = kibana

    def run(self) -> int:
        """Return the exit code.

        Raises:
            LexilogError: it could not be done.
        """
        self._cluster.check()
        kibana = self._kibana.check() if self._kibana else ""
        self._check_privileges()
        plans = self._plan(kibana)
        streams = [] if self._options.remove else self._cluster.streams()
        rolled = streams if self._options.rollover else []
        for plan in plans:
            show_plan(plan.url, plan.steps)
        for stream in rolled:
            show_line("~", "yellow", "roll", f"over data stream {stream}")
        has_work = bool(rolled) or any(step.is_work for plan in plans for step in plan.steps)
        if self._options.dry_run or not has_work:
            return FOUND if has_work else 0
        self._ask()
        code = self._apply(plans)
        for stream in rolled:
            self._cluster.roll_over(stream)
            show_line("*", "green", "done", f"data stream {stream} begins a new index with its next document")
        for warning in self._cluster.warnings:
            print(f"note: Elasticsearch says: {warning}", file=sys.stderr)
        if streams and not rolled and any(needs_rollover(plan.steps) for plan in plans):
            _hint(streams)
        return code

    def _check_privileges(self) -> None:
        options, serverless = self._options, self._cluster.is_serverless
        if serverless and options.lifecycle == "ilm":
            raise LexilogError("--ilm: serverless has no ILM; use --dsl or --no-lifecycle")
        policies = [_POLICIES] if options.remove and not serverless else []
        streams = [] if options.remove else ["manage" if options.rollover else "view_index_metadata"]
        self._cluster.check_privileges([*_CLUSTER, *policies], streams)

    def _plan(self, kibana: str) -> list[_Plan]:
        """Return what is to be done, in order; what stands on something is made after it, and removed before it."""
        there = self._cluster.read()
        steps = plan_remove(there, self._cluster.foreign()) if self._options.remove else self._plan_install(there)
        plans = [_Plan(self._cluster.url, self._cluster, steps)]
        if self._kibana:
            plans.append(self._plan_kibana(self._kibana, kibana))
        return plans[::-1] if self._options.remove else plans

    def _plan_install(self, there: Objects) -> list[Step]:
        lifecycle = self._options.lifecycle or lifecycle_of(there)
        if lifecycle == "ilm":
            self._cluster.check_privileges([_POLICIES], [])
        objects = wanted(self._source, lifecycle, pipeline=self._options.pipeline or has_pipeline(there))
        steps = plan_install(objects, there, self._source.version, force=self._options.force)
        templates = [one for one in objects if one.kind == "index_template"]
        problems, notes = clashes(templates, self._cluster.foreign_templates())
        if problems:
            raise LexilogError("\n".join(problems))
        for note in notes:
            print(f"note: {note}", file=sys.stderr)
        return steps

    def _plan_kibana(self, kibana: Kibana, number: str) -> _Plan:
        objects = saved_objects(self._source)
        alerts: list[dict[str, Any]] = []
        if self._options.alerts or self._options.remove:
            alerts = rules(self._source, per_row=_tells_rows_apart(number))
        there = {**kibana.read(objects), **kibana.read_rules(one["id"] for one in alerts)}
        steps = plan_kibana_remove(there) if self._options.remove else plan_kibana(objects, alerts, there)
        return _Plan(kibana.url, kibana, steps)

    def _ask(self) -> None:
        if self._options.yes:
            return
        if not sys.stdin.isatty():
            raise click.UsageError("there is no terminal to ask on: give --yes, or --dry-run to only look")
        if not click.confirm("Do this?", err=True):
            raise LexilogError("nothing was changed")

    def _apply(self, plans: Sequence[_Plan]) -> int:
        kept = []
        for plan in plans:
            kept += apply(plan.steps, plan.target, lambda step: show_line("*", "green", "done", title(step)))
        for problem in kept:
            print(f"lexilog: stays: {problem}", file=sys.stderr)
        if kept and self._options.remove:
            print("lexilog: data are never removed; when they are gone, run this again", file=sys.stderr)
        return 1 if kept else 0


def _tells_rows_apart(kibana: str) -> bool:
    """Tell whether a Kibana makes an alert of each row of a query: 8.19, 9.1 and newer."""
    found = tuple(int(part) for part in re.findall(r"\d+", kibana)[:2])
    return (8, 19) <= found < (9, 0) or found >= (9, 1)


def _hint(streams: Sequence[str]) -> None:
    print(
        "note: indices that are there keep their old mappings; new ones count from the next rollover of "
        f"{', '.join(streams)}: run this again with --rollover, or POST /NAME/_rollover for each",
        file=sys.stderr,
    )
