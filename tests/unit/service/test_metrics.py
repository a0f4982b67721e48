"""What is counted: names, bounds, several processes, and what the documents say of it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import CollectorRegistry
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.parser import text_string_to_metric_families

from lexilog import Pipeline, Record
from lexilog.service import metrics as metrics_module
from lexilog.service.metrics import METRICS, Counts, Metrics, describe

UNKNOWN = "Aug  3 10:18:44 srx1 kmd[1]: KMD_NEW_THING: text"
_TABLE = re.compile(r"(<!-- metrics: [^\n]*-->\n)(.*?)(<!-- /metrics -->)", re.DOTALL)


def _unknown(counts: Counts) -> dict[tuple[str, str], float]:
    """Return what was counted by name."""
    samples = next(iter(counts.metrics["unknown"].collect())).samples
    return {
        (one.labels["catalog"], one.labels["id"]): one.value for one in samples if one.name == "lexilog_unknown_total"
    }


def _use_all(metrics: Metrics, value: float) -> None:
    for metric in METRICS:
        one = metrics[metric.name.removeprefix("lexilog_").removesuffix("_total")]
        one = one.labels(*(f"{label} 1" for label in metric.labels)) if metric.labels else one
        getattr(one, {"counter": "inc", "gauge": "set", "histogram": "observe"}[metric.kind])(value)


def test_every_metric_is_exposed_as_it_is_declared() -> None:
    """Name, kind and labels that are documented are those that a scrape finds."""
    metrics = Metrics()
    _use_all(metrics, 1)
    families = {one.name: one for one in text_string_to_metric_families(metrics.expose().decode())}
    for metric in METRICS:
        family = families[metric.name.removesuffix("_total")]
        assert (family.type, family.documentation) == (metric.kind, metric.help)
        assert set(family.samples[0].labels) - {"le"} == set(metric.labels)
        own = metric.name if metric.kind != "histogram" else f"{metric.name}_count"
        assert own in {sample.name for sample in family.samples}


def test_no_series_tells_when_another_was_begun() -> None:
    """Those would be as many again, and nobody asks for them."""
    metrics = Metrics()
    _use_all(metrics, 1)
    assert b"_created" not in metrics.expose()


_ALONE = """
from lexilog.service.metrics import Metrics
metrics = Metrics()
metrics["refused"].labels("grpc", "token").inc()
metrics["catalog_entries"].labels("own", "1").set(3)
metrics.forget("catalog_entries", "own", "1")
print(metrics.expose().decode())
"""


@pytest.mark.parametrize("variable", ["PROMETHEUS_MULTIPROC_DIR", "prometheus_multiproc_dir"])
@pytest.mark.parametrize("name", ["folder", "nowhere"])
def test_a_folder_in_the_environment_is_for_other_programs(tmp_path: Path, variable: str, name: str) -> None:
    """Metrics of a single process are where they always are, and nothing is written there, be there a folder or not."""
    (tmp_path / "folder").mkdir()
    command = [sys.executable, "-c", _ALONE]
    told = {variable: str(tmp_path / name)}
    done = subprocess.run(command, env=told, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert 'lexilog_refused_total{door="grpc",reason="token"} 1.0\n' in done.stdout
    assert "lexilog_catalog_entries{" not in done.stdout
    assert list((tmp_path / "folder").iterdir()) == []


def test_each_set_of_metrics_counts_for_itself() -> None:
    """Two servers in one process, as in tests, do not see each other's records."""
    first, second = Counts(), Counts()
    first.refuse("grpc", "token")
    assert b'reason="token"' in first.metrics.expose()
    assert b'reason="token"' not in second.metrics.expose()


def test_unknown_ids_are_counted_by_name(pipeline: Pipeline) -> None:
    """A missing entry shows with its catalogue, wherever records are counted; lines of others do not."""
    counts = Counts()
    flow = "Aug  3 10:18:44 srx1 RT_FLOW: RT_FLOW_SESSION_CREATE: text"
    batch = pipeline.process_all(Record(line=line) for line in (UNKNOWN, flow, UNKNOWN, None))
    counts.note_unknown(batch)
    assert _unknown(counts) == {("juniper_kmd", "KMD_NEW_THING"): 2}
    for enriched in batch:
        counts.add("enrich", enriched, "answered")
    assert _unknown(counts) == {("juniper_kmd", "KMD_NEW_THING"): 4}


def test_an_unknown_id_that_comes_again_is_counted_once(pipeline: Pipeline) -> None:
    """A record that its sender keeps will be seen again: a hundred attempts are not a hundred messages."""
    counts = Counts()
    for delivery in ("returned", "returned", "answered"):
        counts.add("enrich", pipeline.process(Record(line=UNKNOWN)), delivery)
    assert _unknown(counts) == {("juniper_kmd", "KMD_NEW_THING"): 1}


def test_hostile_ids_do_not_fill_the_memory() -> None:
    """Behind the first two hundred of a catalogue, and where they are odd, ids are counted together; none is lost."""
    counts = Counts()
    names = [*(f"KMD_{n}" for n in range(2_000)), "KMD_" + "X" * 99, "KMD_ü", 'KMD_"}', "KMD_1"]
    for name in names:
        counts.add_unknown("juniper_kmd", name)
    found = _unknown(counts)
    assert len(found) <= metrics_module._MOST_UNKNOWN + 1
    assert found["juniper_kmd", "KMD_1"] == 2
    assert sum(found.values()) == len(names)
    assert found["juniper_kmd", "(other)"] == 1_803


_WORKER = """
import sys
from lexilog.service.metrics import METRICS, Counts
from lexilog.service.workers.metrics import count_as_worker
count_as_worker(int(sys.argv[1]))
counts, value = Counts(), float(sys.argv[1])
for metric in METRICS:
    one = counts.metrics[metric.name.removeprefix("lexilog_").removesuffix("_total")]
    one = one.labels(*(f"{label} 1" for label in metric.labels)) if metric.labels else one
    getattr(one, {"counter": "inc", "gauge": "set", "histogram": "observe"}[metric.kind])(value)
counts.add_lost("forward", 3)
counts.add_unknown("juniper_kmd", "KMD_NEW")
assert counts.metrics.expose()
print(counts.summary())
"""


@pytest.fixture(scope="module")
def of_workers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Return the metrics of two workers, merged; the first has the value 2 everywhere, the second 5."""
    files = tmp_path_factory.mktemp("metrics")
    for value in ("2", "5"):
        command = [sys.executable, "-c", _WORKER, value]
        done = subprocess.run(
            command,
            env={"PROMETHEUS_MULTIPROC_DIR": str(files)},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert "forward unread record lost: 3" in done.stdout
    registry = CollectorRegistry()
    MultiProcessCollector(registry, path=str(files))
    return {family.name: family for family in registry.collect()}


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
def test_what_several_workers_count_becomes_one(metric: metrics_module.Metric, of_workers: dict[str, Any]) -> None:
    """Counters and histograms are added up, and each gauge is merged as it is declared."""
    family = of_workers[metric.name.removesuffix("_total")]
    assert (family.type, family.documentation) == (metric.kind, metric.help)
    labels = {label: f"{label} 1" for label in metric.labels}
    name = f"{metric.name}_sum" if metric.kind == "histogram" else metric.name
    (value,) = (one.value for one in family.samples if one.name == name and one.labels == labels)
    merged = {"livesum": 7, "livemin": 2, "livemax": 5, "max": 5}
    assert value == (merged[metric.merge] if metric.kind == "gauge" else 7)


def test_records_of_several_workers_are_added_up(of_workers: dict[str, Any]) -> None:
    """The same id, and the same key, of two workers are one."""
    (unknown,) = (one for one in of_workers["lexilog_unknown"].samples if one.labels["id"] == "KMD_NEW")
    (lost,) = (one for one in of_workers["lexilog_records"].samples if one.labels["delivery"] == "lost")
    assert (unknown.value, lost.value) == (2, 6)


@pytest.fixture(scope="module")
def document(checkout: Path) -> Path:
    return checkout / "docs" / "metrics.md"


def test_the_document_lists_every_metric(document: Path, request: pytest.FixtureRequest) -> None:
    """The table is made from METRICS; --update-golden writes it anew."""
    text = document.read_text(encoding="utf-8")
    if request.config.getoption("--update-golden"):
        text = _TABLE.sub(lambda found: f"{found[1]}\n{describe()}\n{found[3]}", text)
        document.write_text(text, encoding="utf-8")
    found = _TABLE.search(text)
    assert found
    assert found[2].strip() == describe().strip(), "run this test with --update-golden, and look at the difference"
    assert all(f"| `{metric.name}` |" in found[2] for metric in METRICS)


def _rules(document: Path) -> Iterator[dict[str, Any]]:
    blocks = re.findall(r"```yaml\n(groups:.*?)```", document.read_text(encoding="utf-8"), re.DOTALL)
    for block in blocks:
        for group in yaml.safe_load(block)["groups"]:
            yield from group["rules"]


def test_alerts_name_only_what_there_is(document: Path) -> None:
    """Each rule asks for metrics that are declared, by labels that one of them has."""
    declared: dict[str, set[str]] = {}
    for metric in METRICS:
        own = {*metric.labels, "job", "instance"}
        declared[metric.name] = own
        if metric.kind == "histogram":
            declared |= {f"{metric.name}_{part}": own | {"le"} for part in ("bucket", "sum", "count")}
    rules = list(_rules(document))
    assert len({rule["alert"] for rule in rules}) == len(rules) >= 8
    for rule in rules:
        names = set(re.findall(r"\blexilog_\w+", rule["expr"]))
        assert names
        assert names <= declared.keys(), rule["alert"]
        labels = set.union(*(declared[name] for name in names))
        used = set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)\s*\"", rule["expr"]))
        used |= {label for by in re.findall(r"\bby \(([^)]*)\)", rule["expr"]) for label in by.split(", ")}
        assert used <= labels, rule["alert"]
        kept = [set(by.split(", ")) for by in re.findall(r"\bby \(([^)]*)\)", rule["expr"])]
        told = set(re.findall(r"\$labels\.(\w+)", json.dumps(rule["annotations"])))
        assert told <= (kept[0] if kept else labels), rule["alert"]
