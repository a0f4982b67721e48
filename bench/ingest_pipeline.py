"""What the ingest pipeline costs a document, against a pipeline that does nothing, in one run on one node.

usage: python bench/ingest_pipeline.py http://127.0.0.1:9200

Writes lines through both pipelines by turns, into an index of its own, and removes all of it. Printed are the size of
the pipelines, the node's own time in ours for each document, and how many times as long as with the other pipeline a
whole bulk request takes, which parses, indexes and stores the documents, too. A node that has other work, or a longer
line, gives other figures.
"""

from __future__ import annotations

import json
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any, NamedTuple

from lexilog.compilers.elasticsearch.framing import FRAMING
from lexilog.compilers.elasticsearch.pipeline import NAME, pipelines
from lexilog.compilers.source import load_source

TESTS = Path(__file__).resolve().parents[1] / "tests"
# On the node.
OURS, NOTHING = "lexilog-bench", "lexilog-bench-nothing"
# Documents in a request; requests through each pipeline, the first ones of which do not count.
BATCH, ROUNDS, WARM = 500, 60, 20


class Cost(NamedTuple):
    """What a kind of lines costs.

    Attributes:
        micros: the node's time in our pipeline, microseconds a document.
        ratio: how many times as long as with a pipeline that does nothing a bulk request takes.
    """

    micros: float
    ratio: float


def main(url: str) -> None:
    """Measure on the node at an address and print the result."""
    bodies = {one.name: one.body for one in pipelines(load_source())}
    text = json.dumps(bodies[NAME]).replace(json.dumps(FRAMING), json.dumps(f"{OURS}-framing"))
    # A pipeline without a step would not be run.
    nothing = {"processors": [{"script": {"source": "ctx.remove('nothing');"}}]}
    made = {f"{OURS}-framing": bodies[FRAMING], OURS: json.loads(text), NOTHING: nothing}
    for name, body in bodies.items():
        size = len(json.dumps(body, separators=(",", ":"), ensure_ascii=False).encode())
        sys.stdout.write(f"{name}: {size:,} bytes\n")
    try:
        for name, body in made.items():
            request(url, "PUT", f"/_ingest/pipeline/{name}", body)
        for kind, lines in kinds().items():
            cost = measure(url, lines)
            sys.stdout.write(
                f"{kind}: {cost.micros:.0f} µs a document; a request takes {cost.ratio:.1f} times as long\n"
            )
    finally:
        request(url, "DELETE", f"/{OURS}?ignore_unavailable=true")
        for name in reversed(made):
            request(url, "DELETE", f"/_ingest/pipeline/{name}")


def kinds() -> dict[str, list[str]]:
    """Return the lines of each kind."""
    files = sorted((TESTS / "golden").glob("*/*/*/input.log"))
    golden = [line for file in files for line in file.read_text(errors="replace").splitlines()]
    others = (TESTS / "data" / "negatives.log").read_text(errors="replace").splitlines()
    return {"golden lines": golden, "lines of other products": others}


def measure(url: str, lines: list[str]) -> Cost:
    """Write lines through both pipelines by turns."""
    before, seconds = 0, dict.fromkeys((OURS, NOTHING), 0.0)
    for turn in range(ROUNDS):
        if turn == WARM:
            before, seconds = spent(url), dict.fromkeys(seconds, 0.0)
        chosen = [lines[(turn * BATCH + number) % len(lines)] for number in range(BATCH)]
        body = "".join(json.dumps({"index": {}}) + "\n" + json.dumps({"message": line}) + "\n" for line in chosen)
        for name in seconds:
            since = time.perf_counter()
            request(url, "POST", f"/{OURS}/_bulk?pipeline={name}", body)
            seconds[name] += time.perf_counter() - since
    documents = (ROUNDS - WARM) * BATCH
    return Cost(1000 * (spent(url) - before) / documents, seconds[OURS] / seconds[NOTHING])


def spent(url: str) -> int:
    """Return the milliseconds that the node has spent in our pipeline so far."""
    [node] = request(url, "GET", "/_nodes/stats/ingest")["nodes"].values()
    found: int = node["ingest"]["pipelines"][OURS]["time_in_millis"]
    return found


def request(url: str, method: str, path: str, body: Any = None) -> Any:
    """Send a request, with lines of JSON or a value, and return its answer."""
    data = None if body is None else (body if isinstance(body, str) else json.dumps(body)).encode()
    kind = "application/x-ndjson" if isinstance(body, str) else "application/json"
    asked = urllib.request.Request(url + path, data, {"Content-Type": kind}, method=method)  # noqa: S310 (the caller's)
    with urllib.request.urlopen(asked, timeout=120) as answer:  # noqa: S310 (likewise)
        return json.load(answer)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(sys.argv[1].rstrip("/"))
