"""What a package tells those who install it: its ``docs/README.md``."""

from __future__ import annotations

from typing import Any

from lexilog.catalog.fields import fields
from lexilog.compilers.elasticsearch.mapping import LONGEST
from lexilog.compilers.source import Source, to_json

__all__ = ["readme"]

_PAGE = """\
# lexilog: VPN gateway logs

Log lines of VPN gateways, recognised and explained: what happened, what it means for the tunnel or the user, and what
to check first.

{catalogues}

## What is in it

- One data stream, `log`, with inputs for syslog over UDP and TCP and for files.
- An ingest pipeline that recognises a line by its id or its text, and gives it the fields of ECS and those under
  `lexilog.*`. A line that it does not know passes as it came.
- Dashboards and saved searches.
- Alerts as templates of rules, for a Kibana that takes them (9.2 or newer): look for them among the assets of the
  integration, and make a rule of each that you want. An older Kibana passes over them; there, make the rules by hand,
  as `docs/alerts.md` of lexilog tells.

## Setup

1. Add the integration to an agent policy and choose an input. The agent listens on this machine alone until you change
   the address.
2. Let the gateways send syslog to it. Junos: `set system syslog host ADDRESS any any`, with or without structured data.
3. Open the dashboard "{first}".

Install either this package or what `lexilog install elasticsearch` makes, not both: their index templates claim the
same data streams with the same priority, which Elasticsearch refuses, and their dashboards have the same ids.

## The data stream

All records go to `logs-lexilog.log-<namespace>`; which catalogue a line was recognised by stands in `event.dataset` and
`lexilog.catalog.name`. A record that fails in the pipeline is kept, with `event.kind: pipeline_error` and the reason in
`error.message`. What the agent adds of its own, such as `agent.*`, is kept in the record and cannot be searched by; add
what you need to the component template `logs-lexilog.log@custom`.

Fleet makes the mappings out of the fields below. They are those of `lexilog install elasticsearch`, but that Fleet sets
no `ignore_above` for fields of type `flattened`: a value in them that is longer than {limit} characters is taken out by
the pipeline, and still stands in `event.original`. Settings are those of Elastic's own `logs@settings`.

### Fields

| field | type | what it holds |
|---|---|---|
{rows}

### A sample

```json
{sample}```
"""


def readme(source: Source, sample: dict[str, Any], first: str) -> bytes:
    """Return the page.

    Args:
        source: the catalogues are told from it.
        sample: a record as the pipeline makes it.
        first: the title of the dashboard to be opened first.
    """
    rows = (
        f"| `{field.name}` | {field.type} | {field.text.replace('|', chr(92) + '|')} |" for field in fields().values()
    )
    catalogues = (f"- {one.title}: {len(one.entries)} messages" for one in source.catalogs)
    page = _PAGE.format(
        catalogues="\n".join(catalogues),
        first=first,
        limit=LONGEST,
        rows="\n".join(rows),
        sample=to_json(sample).decode(),
    )
    return page.encode()
