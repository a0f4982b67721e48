"""OTLP messages <-> model: the one place where they are converted, for the door and for the relay.

`decode` makes records of requests, `encode` makes requests of enriched records in either record shape, `lenient` reads
requests whose text is not UTF-8, and `values` converts single values.
"""
