"""OTLP messages <-> model: the one place where they are converted, for the door and for the relay.

`decode` makes records of requests, `encode` makes requests of enriched records in either record shape, `lenient` reads
requests whose text is not UTF-8, `salvage` those in which a part cannot be parsed, `as_json` reads OTLP/JSON,
`received` is what they all return, and `values` converts single values.
"""

# The service that logs are exported to, as the OTLP specification names it.
SERVICE = "opentelemetry.proto.collector.logs.v1.LogsService"
