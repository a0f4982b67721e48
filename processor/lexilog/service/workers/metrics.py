"""The metrics of several workers as one: each worker keeps its own in files of a folder, which their parent reads."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from prometheus_client import CollectorRegistry, generate_latest, values
from prometheus_client.metrics_core import Metric
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead
from prometheus_client.registry import Collector
from prometheus_client.samples import Sample

from lexilog.service.metrics import METRICS, Counts, Key

__all__ = ["FOLDER_VARIABLE", "WorkerMetrics", "count_as_worker"]

# Where prometheus_client looks for the folder.
FOLDER_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
# What the parent has to tell itself.
_OWN = ("lexilog_info", "lexilog_refused", "lexilog_worker_exits", "lexilog_workers")
_RECORDS = "lexilog_records"
# What prometheus_client names its files by, and how large they are from the beginning: more than metrics of bounded
# labels take.
_KINDS = sorted({f"gauge_{one.merge}" if one.kind == "gauge" else one.kind for one in METRICS})
_FILE_BYTES = 1 << 20


def count_as_worker(number: int) -> None:
    """Keep the metrics of this process in the files of a worker, and go on from what they hold.

    So one that takes the place of another counts on, and files do not become more. To be called before there are
    metrics, with `FOLDER_VARIABLE` in the environment.

    Args:
        number: the worker's; no other process that runs has it.
    """
    values.ValueClass = values.MultiProcessValue(lambda: number)  # type: ignore[no-untyped-call]


class WorkerMetrics(Collector):
    """The metrics of all workers, with those of their parent.

    Args:
        folder: where the workers keep theirs.
        counts: the parent's.

    Attributes:
        folder: where the workers keep theirs.
    """

    def __init__(self, folder: Path, counts: Counts) -> None:
        self.folder = str(folder)
        self._own = counts
        self._workers = MultiProcessCollector(None, self.folder)  # type: ignore[no-untyped-call]
        self._registry = CollectorRegistry()
        self._registry.register(self)

    def prepare(self, number: int) -> None:
        """Make the files of a worker, with room on disk: a disk that is full later must not end it.

        prometheus_client maps them into memory, and what has no room behind such a map ends a process (SIGBUS).

        Raises:
            OSError: there is no room.
        """
        Path(self.folder).mkdir(mode=0o700, exist_ok=True)
        for kind in _KINDS:
            with (Path(self.folder) / f"{kind}_{number}.db").open("ab") as file:
                os.posix_fallocate(file.fileno(), 0, _FILE_BYTES)

    def forget(self, number: int) -> None:
        """Forget what is true of a worker only while it runs; what it has counted stays."""
        mark_process_dead(number, self.folder)  # type: ignore[no-untyped-call]

    def expose(self) -> bytes:
        """Return all of them in Prometheus' text format."""
        return generate_latest(self._registry)

    def collect(self) -> Iterator[Metric]:
        """Yield each metric once."""
        found: dict[str, Metric] = {metric.name: metric for metric in self._workers.collect()}  # type: ignore[no-untyped-call]
        for own in self._own.metrics.registry.collect():
            if own.name in _OWN:
                samples = {_identity(sample): sample for sample in found[own.name].samples} if own.name in found else {}
                samples |= {_identity(one): one for one in own.samples}
                own.samples = list(samples.values())
                found[own.name] = own
        yield from found.values()

    def summary(self) -> str:
        """Return the counters of records of all workers in one line."""
        total: Counter[Key] = Counter()
        for metric in self._workers.collect():  # type: ignore[no-untyped-call]
            if metric.name == _RECORDS:
                total.update({Key(**sample.labels): int(sample.value) for sample in metric.samples})
        counts = Counts()
        counts.add_all(total)
        return counts.summary()


def _identity(sample: Sample) -> tuple[str, frozenset[tuple[str, str]]]:
    return sample.name, frozenset(sample.labels.items())
