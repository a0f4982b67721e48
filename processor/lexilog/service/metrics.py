"""Everything that the server counts and measures: each metric is declared once, here, and documented from here.

Every record that passes a door is counted, with an outcome and a reason (`Counts`).
"""

from __future__ import annotations

import re
import warnings
from collections import Counter as Tally
from collections.abc import Iterable, Mapping
from typing import Any, Literal, NamedTuple

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    generate_latest,
    values,
)

from lexilog.model import Enriched

__all__ = ["METRICS", "Counts", "Key", "Metric", "Metrics", "describe"]

# Seconds; a batch takes some milliseconds here, and as long as the next hop likes.
_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
# Names of unknown ids of a catalogue that are counted one by one; the others are counted together.
_MOST_UNKNOWN = 200
_UNKNOWN_ID = re.compile(r"[A-Za-z0-9_.:-]{1,64}", re.ASCII)
_OTHER = "(other)"

# When each series was begun: as many series again, which nobody asks for.
disable_created_metrics()  # type: ignore[no-untyped-call]
# The environment may have told prometheus_client to keep metrics in files: that is for other programs. Here only
# workers do so, and they say it themselves.
values.ValueClass = values.MutexValue


class Metric(NamedTuple):
    """A metric.

    Attributes:
        name: as Prometheus has it.
        kind: what it is.
        help: what it says, in one sentence.
        labels: what it is told apart by, and what each label is.
        merge: of a gauge, how the values of several workers become one.
    """

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    help: str
    labels: Mapping[str, str] = {}
    merge: Literal["livesum", "livemax", "livemin", "max"] = "livesum"


_DOOR = {"door": "otlp, otlp_http, http, enrich or forward"}
_PORT = {"door": "the port as the settings name it: grpc, http or forward"}
_RELAY = {"relay": "name of the relay"}
_KIND = {"what": "catalogs, tls or tokens"}

_REFUSED = (
    "plain_text, no_certificate, certificate, tls, handshake_timeout, handshake_broken, not_http2, not_grpc, not_http, "
    "not_forward, silence, connections, connections_per_host, token, shared_key, busy, too_large, workers, "
    "open_files or internal"
)

METRICS = (
    Metric(
        "lexilog_records_total",
        "counter",
        "Records by what was recognised and what became of them.",
        {
            **_DOOR,
            "catalog": "the catalogue that knows it; empty where none does",
            "outcome": "matched, unknown, error; unread where it was not looked at",
            "reason": "match quality, or what was not recognised",
            "delivery": "answered, relayed, stored, rejected, returned, refused or lost",
        },
    ),
    Metric(
        "lexilog_unknown_total",
        "counter",
        "Records of a known family whose id no catalogue has: what to write an entry for.",
        {
            "catalog": "the catalogue of that family",
            "id": f"the id; {_OTHER} for all behind the first {_MOST_UNKNOWN} of each worker",
        },
    ),
    Metric(
        "lexilog_refused_total",
        "counter",
        "Connections and requests that were not let in.",
        {**_PORT, "reason": _REFUSED},
    ),
    Metric("lexilog_connections", "gauge", "Connections that are open.", _PORT),
    Metric("lexilog_received_bytes_total", "counter", "Bytes that came in, as they came, without TLS.", _PORT),
    Metric("lexilog_requests_in_flight", "gauge", "Requests under way.", _PORT),
    Metric("lexilog_pending_bytes", "gauge", "Bytes of requests that wait or are in work."),
    Metric(
        "lexilog_request_duration_seconds",
        "histogram",
        "Time from a request's last byte to its answer, waiting and delivery included.",
        _DOOR,
    ),
    Metric("lexilog_enrich_duration_seconds", "histogram", "Time to enrich a batch, or a piece of a large one.", _DOOR),
    Metric(
        "lexilog_relay_duration_seconds",
        "histogram",
        "Time to hand a batch to a relay, failures included.",
        {**_RELAY, "result": "ok, or failed: the sender keeps the batch"},
    ),
    Metric("lexilog_relay_up", "gauge", "1 where the last delivery of a relay succeeded.", _RELAY, merge="livemin"),
    Metric(
        "lexilog_relay_records_total",
        "counter",
        "Records by what a relay did with them.",
        {
            **_RELAY,
            "result": "taken, refused (for good), or lost (by a relay that is not required)",
        },
    ),
    Metric(
        "lexilog_reload_total",
        "counter",
        "Attempts to read something anew.",
        {
            **_KIND,
            "result": "ok or failed: the old one stays",
        },
    ),
    Metric(
        "lexilog_reload_ok",
        "gauge",
        "1 where what is in use is what the files hold; 0 where they are wrong.",
        _KIND,
        merge="livemin",
    ),
    Metric(
        "lexilog_reload_timestamp_seconds",
        "gauge",
        "When what is in use was read, in seconds since 1970.",
        _KIND,
        merge="livemin",
    ),
    Metric(
        "lexilog_catalog_entries",
        "gauge",
        "Entries of each catalogue in use; 0 for a version that no longer is.",
        {
            "catalog": "its name",
            "version": "its version",
        },
        merge="livemax",
    ),
    Metric(
        "lexilog_certificate_expiry_seconds",
        "gauge",
        "When a door's certificate ends, in seconds since 1970.",
        _PORT,
        merge="livemin",
    ),
    Metric(
        "lexilog_dead_letters_bytes",
        "gauge",
        "Bytes of dead letters, those that are being replayed included, as of half a minute ago.",
        merge="livemax",
    ),
    Metric(
        "lexilog_dead_letters_max_bytes",
        "gauge",
        "How many bytes of dead letters there may be; 0 where none are kept.",
        merge="livemax",
    ),
    Metric("lexilog_workers", "gauge", "Worker processes that serve.", merge="livemax"),
    Metric("lexilog_worker_exits_total", "counter", "Worker processes that ended and were replaced."),
    Metric("lexilog_info", "gauge", "1; the label tells the version.", {"version": "of lexilog"}, merge="livemax"),
)


class Metrics:
    """The metrics of one process, by name without ``lexilog_`` and ``_total``: ``metrics["refused"]``.

    Those of a worker are kept in files (`lexilog.service.workers.metrics`), and it must not make them twice.

    Attributes:
        registry: where they are.
    """

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._all: dict[str, Any] = {}
        for metric in METRICS:
            self._all[metric.name.removeprefix("lexilog_").removesuffix("_total")] = _make(metric, self.registry)

    def __getitem__(self, name: str) -> Any:
        """Return a metric of `prometheus_client`."""
        return self._all[name]

    def forget(self, name: str, *labels: str) -> None:
        """Take back what a gauge says under these labels; from the files of a worker it cannot be, there it is 0."""
        gauge = self[name]
        gauge.labels(*labels).set(0)
        if values.ValueClass is values.MutexValue:
            with warnings.catch_warnings(action="ignore"):  # prometheus_client takes the environment's word
                gauge.remove(*labels)

    def expose(self) -> bytes:
        """Return the metrics of this process in Prometheus' text format (`CONTENT_TYPE`)."""
        return generate_latest(self.registry)


def _make(metric: Metric, registry: CollectorRegistry) -> Counter | Gauge | Histogram:
    labels = tuple(metric.labels)
    if metric.kind == "gauge":
        return Gauge(metric.name, metric.help, labels, registry=registry, multiprocess_mode=metric.merge)
    if metric.kind == "histogram":
        return Histogram(metric.name, metric.help, labels, registry=registry, buckets=_BUCKETS)
    return Counter(metric.name, metric.help, labels, registry=registry)


def describe() -> str:
    """Return a table of all metrics, in Markdown."""
    lines = ["| metric | kind | | labels |", "|---|---|---|---|"]
    for metric in METRICS:
        labels = "; ".join(f"`{name}`: {what}" for name, what in metric.labels.items())
        lines.append(f"| `{metric.name}` | {metric.kind} | {metric.help} | {labels} |")
    return "\n".join(lines) + "\n"


class Key(NamedTuple):
    """What records are counted by.

    Attributes:
        door: ``enrich``, ``otlp``, ``otlp_http``, ``http``, ``forward`` or ``redpanda``.
        catalog: the catalogue; empty where none knows the record.
        outcome: ``matched``, ``unknown`` or ``error``; ``unread`` where a whole request went back unseen.
        reason: match quality, or what was not recognised; ``request`` where requests are counted, not records;
            ``record`` for records that nobody has looked at.
        delivery: ``answered`` (handed back to the caller), ``relayed`` (every relay that has to has it), ``stored``
            (a relay refused it for good, and it is among the dead letters), ``rejected`` (refused for good, or some
            unnamed records of its batch were, and the sender has been told), ``returned`` (not confirmed: the sender
            keeps it), ``refused`` (the request could not be read at all, and the sender has been told) or ``lost`` (not
            confirmed when the server stopped, and its sender had asked for no acknowledgement).
    """

    door: str
    catalog: str
    outcome: str
    reason: str
    delivery: str


class Counts:
    """Counters of records of one process.

    Args:
        metrics: where they are; by default a set of its own.

    Attributes:
        metrics: for what else there is to count.
    """

    def __init__(self, metrics: Metrics | None = None) -> None:
        self.metrics = metrics or Metrics()
        self._records: Counter = self.metrics["records"]
        self._unknown: Counter = self.metrics["unknown"]
        self._unknown_ids: dict[str, set[str]] = {}

    @staticmethod
    def key(door: str, record: Enriched, delivery: str) -> Key:
        """Return what a record is counted by."""
        catalog = record.match.entry.catalog if record.match else ""
        return Key(door, catalog, record.outcome.value, record.reason, delivery)

    def add(self, door: str, record: Enriched, delivery: str) -> None:
        """Count a record; an unknown id of one that its sender keeps counts when it comes again."""
        self._records.labels(*self.key(door, record, delivery)).inc()
        if delivery != "returned":
            self.note_unknown((record,))

    def add_all(self, counts: Mapping[Key, int]) -> None:
        """Count records that have been counted elsewhere."""
        for key, count in counts.items():
            if count:
                self._records.labels(*key).inc(count)

    def add_unread(self, door: str, delivery: str) -> None:
        """Count a request that went back before its records were looked at."""
        self._records.labels(door, "", "unread", "request", delivery).inc()

    def add_lost(self, door: str, count: int) -> None:
        """Count records that the server had to give up when it stopped, and that nobody else has."""
        self._records.labels(door, "", "unread", "record", "lost").inc(count)

    def note_unknown(self, batch: Iterable[Enriched]) -> None:
        """Count the unknown ids of records that are not counted by `add`, once they are through."""
        for record in batch:
            if record.unknown is not None:
                self.add_unknown(*record.unknown)

    def add_unknown(self, catalog: str, name: str) -> None:
        """Count a record whose id is of a catalogue's family but is not in it; hostile ids do not fill the memory."""
        known = self._unknown_ids.setdefault(catalog, set())
        if name not in known and (len(known) >= _MOST_UNKNOWN or not _UNKNOWN_ID.fullmatch(name)):
            name = _OTHER
        known.add(name)
        self._unknown.labels(catalog, name).inc()

    def refuse(self, port: str, reason: str) -> None:
        """Count a connection or a request that is not let in."""
        self.metrics["refused"].labels(port, reason).inc()

    def items(self) -> list[tuple[Key, int]]:
        """Return the counters of records, sorted by key."""
        found: Tally[Key] = Tally()
        for family in self._records.collect():
            for sample in family.samples:
                if sample.name == "lexilog_records_total":
                    found[Key(**sample.labels)] += int(sample.value)
        return sorted(found.items())

    def summary(self) -> str:
        """Return the counters of records in one line."""
        parts = (f"{' '.join(filter(None, key))}: {count}" for key, count in self.items())
        return "; ".join(parts) or "no records"
