"""The page that tells people what the alerts are: ``docs/alerts.md``."""

from __future__ import annotations

from lexilog.compilers.alerts import Alert, load_alerts
from lexilog.compilers.source import Files, Source

__all__ = ["files"]

_HEAD = """\
# Alerts

<!-- Made by `lexilog build` from dashboards/alerts/*.yaml; change those. -->

{count} alerts come with lexilog, as rules of Kibana: type `.es-query` with an ES|QL query.
`lexilog install elasticsearch` makes them with `--kibana-url` and `--alerts`. By hand, one by one:

```sh
id=$(jq -r .id dashboards/kibana/alerts/tunnel-down.json)
jq 'del(.id)' dashboards/kibana/alerts/tunnel-down.json |
  curl -u USER -H 'kbn-xsrf: lexilog' -H 'Content-Type: application/json' --data-binary @- \\
    https://KIBANA/api/alerting/rule/$id
```

What to know:

- A rule comes without actions: its alerts stand under Stack Management → Alerts. Add an action of your own to be told
  by mail or chat. Each row of the query is an alert, and its columns can be used in the text: `{{{{context.hits}}}}`.
- One alert for each row needs Kibana 8.19, 9.1 or newer. In an older one set `groupBy` to `all`: then all rows are one
  alert.
- Until the first record is there, ES|QL does not know the data streams, and a rule ends in an error. That passes by
  itself.
- The window is cut by `event.created`, the time of processing: a device whose clock is wrong is watched as well, and
  has an alert of its own. Only what came first, down or up, is told by the device's time: a clock that is set right
  between a tunnel's down and its up can make that alert wrong. An old file that is read in raises alerts as if it were
  new: disable the rules meanwhile. The clock's rule alone stays silent then.
- Guessing of passwords raises one alert for each user that was tried often, and one for the device or the address.
- A named tunnel that went down is up when a message says so that names it: an SA to the same peer without the tunnel's
  name does not count.
- A tunnel that is down for more than seven days without a further message falls out of the window, and its alert ends
  as "recovered". So does one of a device that was taken away: nothing says that it is up.
- A tunnel is known by device and name, so that it may come back from another address. Where many peers share one name
  (AutoVPN, dial-in), it is up as soon as one of them is. There make a copy of both tunnel rules with
  `name = CONCAT(lexilog.tunnel.name, " to ", peer)`.
- The nodes of a cluster that log under names of their own are two devices: what one says is down, the other cannot say
  to be up. Give them one name, or make a copy with `device = REPLACE(lexilog.observer, "[-_.]?node[01]$", "")`.
- A laptop that is closed is a dead peer, too. Where users dial in to the same gateways, make a copy of "Tunnel down"
  that leaves out their tunnels or addresses: `| WHERE tunnel != "dial-in"`, `| WHERE NOT tunnel LIKE "any to 10.*"`.
- Negotiations that fail less than once in three minutes, and logins that are refused less than once in two, raise
  nothing. Some messages of refused logins name no user: then all of one device are one in "Repeated refused logins";
  where many people log in there, make a copy with a higher threshold.
- Thresholds and windows are starting points. Query, name, schedule and tags of a rule are changed back by the next
  install: make a copy under a name of your own instead. Its actions, its throttling, its runbook and whether it runs
  are yours. The ids below are those of the default space.
- A rule reads with the privileges of whoever saved it last, here of the login that installed it: it needs `read` on
  `logs-lexilog.*-*`. Rules that were installed with an API key stop when the key ends.
- The integration package has the alerts as templates: make a rule of each in Kibana (9.2 or newer; not tried).
- `not named` stands where a line does not tell its device, peer or user, `any to` a peer where it does not tell the
  tunnel. Devices without a name are all one to an alert.

What was tried: each query runs on a real Elasticsearch 8.19 with ES|QL, in the request that Kibana makes of it, on
records of real lines. The bad story raises it; the good one does not, and nothing does not. What was not: no rule was
made in a real Kibana. The names of the parameters are those of Kibana's own schema of that rule type.

| alert | question | raised from | looks back | every | one for each |
|---|---|---|---|---|---|
"""

_ALERT = """
## {title}

`{id}`, id in Kibana `{uuid}`. {question}

- Why: {why}
- First: {first}

```
{query}
```
"""


def files(source: Source) -> Files:
    """Return the page as a file."""
    del source
    alerts = load_alerts()
    text = _HEAD.format(count=len(alerts)) + "".join(map(_row, alerts)) + "".join(map(_section, alerts))
    return {"docs/alerts.md": text.encode()}


def _row(alert: Alert) -> str:
    cells = (
        f"[{alert.title}](#{_anchor(alert.title)})",
        alert.question,
        f"{alert.counts}: {alert.threshold}",
        alert.window,
        alert.interval,
        ", ".join(alert.group),
    )
    return f"| {' | '.join(cells)} |\n"


def _section(alert: Alert) -> str:
    return _ALERT.format(
        title=alert.title,
        id=alert.id,
        uuid=alert.uuid,
        question=alert.question,
        why=alert.why,
        first=alert.first,
        query=alert.query,
    )


def _anchor(title: str) -> str:
    """Return the anchor that GitHub and Python-Markdown give to a heading."""
    return "".join(c for c in title.lower().replace(" ", "-") if c.isalnum() or c == "-")
