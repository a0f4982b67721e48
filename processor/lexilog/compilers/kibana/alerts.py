"""The alerts as rules of Kibana: type ``.es-query`` with an ES|QL query, one alert for each row.

Names and limits of the parameters are those of Kibana's own schema of that rule type, in elastic/kibana:
``stack_alerts/server/rule_types/es_query/rule_type_params.ts``. With ES|QL it takes no threshold but "more than 0
rows" and needs ``timeField``, by which it cuts the window out itself: the time of processing, for a device's clock may
be wrong. ``groupBy: row`` is known to Kibana 8.19, 9.1 and newer; the id of an alert is made of the columns behind the
last ``STATS … BY``.
"""

from __future__ import annotations

import textwrap
from typing import Any

from lexilog.compilers.alerts import Alert, load_alerts
from lexilog.compilers.source import Files, Source, to_json

__all__ = ["files", "rules"]

_WIDTH = 110


def rules(source: Source, *, per_row: bool = True) -> list[dict[str, Any]]:
    """Return the rules as ``POST /api/alerting/rule/{id}`` takes them; each has its ``id`` beside, to be taken out.

    They are enabled, have no actions, and carry the tags ``lexilog`` and ``lexilog <version>``: a rule has no _meta.

    Args:
        source: gives the version.
        per_row: one alert for each row; False for a Kibana before 8.19 or 9.1, where all rows are one alert.
    """
    return [_rule(alert, source, "row" if per_row else "all") for alert in load_alerts()]


def files(source: Source) -> Files:
    """Return each rule as a file."""
    return {
        f"dashboards/kibana/alerts/{alert.id}.json": to_json(_rule(alert, source, "row")) for alert in load_alerts()
    }


def _rule(alert: Alert, source: Source, group_by: str) -> dict[str, Any]:
    return {
        "id": alert.uuid,
        "name": f"lexilog: {alert.title}",
        "rule_type_id": ".es-query",
        "consumer": "stackAlerts",
        "enabled": True,
        "schedule": {"interval": alert.interval},
        "tags": ["lexilog", f"lexilog {source.version}", *alert.tags],
        "params": _params(alert, group_by),
        "actions": [],
    }


def _params(alert: Alert, group_by: str) -> dict[str, Any]:
    return {
        "searchType": "esqlQuery",
        "esqlQuery": {"esql": _explained(alert)},
        "timeField": "event.created",
        "timeWindowSize": int(alert.window[:-1]),
        "timeWindowUnit": alert.window[-1],
        "thresholdComparator": ">",
        "threshold": [0],
        "size": 0,
        "aggType": "count",
        "groupBy": group_by,
        "excludeHitsFromPreviousRun": False,
    }


def _explained(alert: Alert) -> str:
    """Return the query with what is to be known of it above: a rule has no other place for it in every version."""
    texts = (alert.question, f"Why: {alert.why}", f"First: {alert.first}")
    lines = [line for text in texts for line in textwrap.wrap(text, _WIDTH)]
    return "".join(f"// {line}\n" for line in lines) + alert.query
