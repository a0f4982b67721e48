"""One installation: what is there, what should be, and the steps between, over a cluster and a Kibana."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, NamedTuple

from lexilog.compilers.elasticsearch.objects import ClusterObject
from lexilog.compilers.kibana.alerts import rules
from lexilog.compilers.kibana.saved_objects import saved_objects
from lexilog.compilers.source import Source
from lexilog.errors import LexilogError
from lexilog.install.apply import Target, apply
from lexilog.install.clash import clashes
from lexilog.install.elasticsearch import Cluster
from lexilog.install.kibana import Kibana
from lexilog.install.kibana_plan import kibana_steps, unsettled
from lexilog.install.plan import Objects, Step, plan_install, plan_remove
from lexilog.install.streams import lifecycles, of_templates, outdated, rollovers
from lexilog.install.wanted import LifecycleChoice, forgotten_catalogs, has_pipeline, lifecycle_of, wanted

__all__ = ["Choice", "Installation", "Plan", "ServerPlan"]

# Needed by every run, and by some; docs/elasticsearch.md has them as a role.
_CLUSTER = ("monitor", "manage_index_templates", "manage_ingest_pipelines")
_POLICIES = "manage_ilm"


class Choice(NamedTuple):
    """What was asked for; see the options of the command."""

    pipeline: bool = False
    lifecycle: LifecycleChoice | None = None
    alerts: bool = False
    rollover: bool = False
    remove: bool = False
    force: bool = False


class ServerPlan(NamedTuple):
    """Steps for one server."""

    url: str
    target: Target
    steps: list[Step]


class Plan(NamedTuple):
    """What is to be done.

    Attributes:
        servers: in the order in which it is done.
        notes: what an admin should know of it.
        outdated: data streams whose indices keep their old mappings.
    """

    servers: list[ServerPlan]
    notes: list[str]
    outdated: list[str]

    @property
    def work(self) -> int:
        """How many steps change something."""
        return sum(step.is_work for server in self.servers for step in server.steps)


class Installation:
    """An installation into a cluster and, where one was named, a Kibana.

    Args:
        source: what everything is made from.
        choice: what was asked for.
        cluster: where to.
        kibana: None for none.
    """

    def __init__(self, source: Source, choice: Choice, cluster: Cluster, kibana: Kibana | None) -> None:
        self._source = source
        self._choice = choice
        self._cluster = cluster
        self._kibana = kibana

    @property
    def warnings(self) -> list[str]:
        """What the cluster has said besides its answers."""
        return self._cluster.warnings

    def plan(self) -> Plan:
        """Return what is to be done; nothing is changed.

        What stands on something is made after it, and removed before it.

        Raises:
            LexilogError: something stands in the way; the text names it.
        """
        self._cluster.check()
        number = ""
        if self._kibana:
            number = self._kibana.check()
            self._kibana.check_access(rules=self._choice.alerts)
        self._check_privileges()
        there = self._cluster.read()
        if self._choice.remove:
            plan = Plan([self._on_cluster(plan_remove(there, self._cluster.foreign()))], [], [])
        else:
            plan = self._plan_install(there)
        if self._kibana:
            plan.servers.append(self._plan_kibana(self._kibana, number))
        return plan._replace(servers=plan.servers[::-1]) if self._choice.remove else plan

    def carry_out(self, plan: Plan, done: Callable[[Step], None]) -> list[str]:
        """Do what was planned; return what could not be removed, and why.

        Args:
            plan: of this installation.
            done: is told each step that was done.

        Raises:
            LexilogError: something could not be done.
        """
        return [kept for server in plan.servers for kept in apply(server.steps, server.target, done)]

    def unsettled(self, plan: Plan) -> list[Step]:
        """Return the steps after which Kibana shows something else than it was given.

        Args:
            plan: that was carried out.
        """
        if self._kibana is None or self._choice.remove:
            return []
        return unsettled(
            self._kibana, [step for one in plan.servers if one.target is self._kibana for step in one.steps]
        )

    def _on_cluster(self, steps: list[Step]) -> ServerPlan:
        return ServerPlan(self._cluster.url, self._cluster, steps)

    def _check_privileges(self) -> None:
        choice, serverless = self._choice, self._cluster.is_serverless
        if serverless and choice.lifecycle == "ilm":
            raise LexilogError("--ilm: serverless has no ILM; use --dsl or --no-lifecycle")
        policies = [_POLICIES] if (choice.remove and not serverless) or choice.lifecycle == "ilm" else []
        streams = [] if choice.remove else ["manage" if choice.rollover else "view_index_metadata"]
        # A rule reads as who has saved it.
        if choice.alerts:
            streams.append("read")
        self._cluster.check_privileges([*_CLUSTER, *policies], streams)

    def _plan_install(self, there: Objects) -> Plan:
        choice = self._choice
        lifecycle = choice.lifecycle or lifecycle_of(there)
        self._check_lifecycle(lifecycle)
        objects = wanted(self._source, lifecycle, pipeline=choice.pipeline or has_pipeline(there))
        if (forgotten := forgotten_catalogs(objects, there)) and not choice.force:
            names = ", ".join(forgotten)
            raise LexilogError(
                f"the ingest pipeline that is there knows the catalogue {names}, and this run does not: "
                "name it with --catalog, or let go of it with --force"
            )
        steps = plan_install(objects, there, self._source.version, force=choice.force)
        templates = [one for one in objects if one.kind == "index_template"]
        others = self._cluster.foreign_templates()
        problems, notes = clashes(templates, others)
        if problems:
            raise LexilogError("\n".join(problems))
        streams = of_templates(self._cluster.streams(), templates, others)
        steps += self._lifecycles(lifecycle, list(streams), objects, there)
        rolled = rollovers(streams) if choice.rollover else []
        return Plan([self._on_cluster(steps + rolled)], notes, [] if rolled else outdated(streams, steps))

    def _check_lifecycle(self, lifecycle: LifecycleChoice) -> None:
        if lifecycle != "ilm":
            return
        # Where an earlier run has chosen it.
        if self._choice.lifecycle is None:
            self._cluster.check_privileges([_POLICIES], [])
        self._cluster.check_ilm()

    def _lifecycles(
        self, lifecycle: LifecycleChoice, streams: list[str], objects: list[ClusterObject], there: Objects
    ) -> list[Step]:
        if lifecycle != "dsl" or not streams:
            return []
        bare = self._cluster.without_lifecycle()
        steps = lifecycles([stream for stream in streams if stream in bare], objects, there)
        if steps:
            self._cluster.check_privileges([], ["manage"])
        return steps

    def _plan_kibana(self, kibana: Kibana, number: str) -> ServerPlan:
        objects = saved_objects(self._source)
        alerts: list[dict[str, Any]] = []
        if self._choice.alerts or self._choice.remove:
            alerts = rules(self._source, per_row=_tells_rows_apart(number))
        choice, version = self._choice, self._source.version
        steps = kibana_steps(kibana, objects, alerts, version, remove=choice.remove, force=choice.force)
        return ServerPlan(kibana.url, kibana, steps)


def _tells_rows_apart(kibana: str) -> bool:
    """Tell whether a Kibana makes an alert of each row of a query: 8.19, 9.1 and newer."""
    found = tuple(int(part) for part in re.findall(r"\d+", kibana)[:2])
    return (8, 19) <= found < (9, 0) or found >= (9, 1)
