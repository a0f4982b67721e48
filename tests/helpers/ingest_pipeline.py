"""The ingest pipeline on a real node, under names of the test's own, and the same documents by the processor."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import islice
from typing import Any, NamedTuple

from elasticsearch_node import Node
from lexilog.compilers.elasticsearch.framing import FRAMING
from lexilog.compilers.elasticsearch.pipeline import CUSTOM, pipelines
from lexilog.compilers.source import load_source
from lexilog.enrich.document import document
from lexilog.model import Record
from lexilog.otlp.decode import BODY_KEYS
from lexilog.pipeline import Pipeline
from lexilog.relay._shape import fit

__all__ = ["Installed", "Simulated", "by_processor", "differing", "installed", "mutated"]

_BATCH = 400
# Characters: the pipeline's own bound, which is the processor's default.
_LONGEST = 65_536
_MISSING = object()


class Simulated(NamedTuple):
    """What a pipeline makes of a document.

    Attributes:
        source: the document.
        index: where it goes.
        now: the moment that the pipeline took for this one, with microseconds.
    """

    source: dict[str, Any]
    index: str
    now: datetime


class Installed(NamedTuple):
    """The pipeline on a node.

    Attributes:
        node: the node.
        name: of the pipeline there.
        body: of the pipeline, which calls the node's others by their names there.
    """

    node: Node
    name: str
    body: dict[str, Any]

    @property
    def custom(self) -> str:
        """The name there of the pipeline that is the user's."""
        return f"{self.name}-custom"

    def simulate(self, documents: Iterable[Mapping[str, Any]], index: str) -> list[Simulated]:
        """Return what becomes of documents that are written to an index."""
        found: list[Simulated] = []
        rest = iter(documents)
        while batch := list(islice(rest, _BATCH)):
            docs = [{"_index": index, "_source": dict(one)} for one in batch]
            answer = self.node.request("POST", f"/_ingest/pipeline/{self.name}/_simulate", {"docs": docs})
            found += [_simulated(one) for one in answer["docs"]]
        return found


def _simulated(answer: dict[str, Any]) -> Simulated:
    assert "doc" in answer, answer
    doc = answer["doc"]
    # Nanoseconds; zeros at their end are left out.
    seconds, _, fraction = doc["_ingest"]["timestamp"].removesuffix("Z").partition(".")
    now = datetime.fromisoformat(f"{seconds}.{fraction:0<6.6}").replace(tzinfo=UTC)
    return Simulated(doc["_source"], doc["_index"], now)


@contextmanager
def installed(node: Node, name: str) -> Iterator[Installed]:
    """Put the pipelines on a node, and take them away again.

    Args:
        node: the node.
        name: what they are called there in place of ``lexilog``.
    """
    names = {FRAMING: f"{name}-framing", CUSTOM: f"{name}-custom"}
    bodies = {}
    for one in pipelines(load_source(), opensearch=node.flavour.name == "os3"):
        text = json.dumps(one.body)
        for ours, there in names.items():
            text = text.replace(json.dumps(ours), json.dumps(there))
        bodies[names.get(one.name, name)] = json.loads(text)
    try:
        for there, body in bodies.items():
            node.request("PUT", f"/_ingest/pipeline/{there}", body)
        yield Installed(node, name, bodies[name])
    finally:
        for there in (name, f"{name}-framing"):
            node.request("DELETE", f"/_ingest/pipeline/{there}")


def by_processor(documents: Sequence[Mapping[str, Any]], moments: Sequence[datetime]) -> list[dict[str, Any]]:
    """Return what the service writes to Elasticsearch of documents that come in at certain moments."""
    now = moments[0]
    pipeline = Pipeline(load_source().catalogs, max_line=_LONGEST, now=lambda: now)
    made = []
    for fields, now in zip(documents, moments, strict=True):  # noqa: B007 (it is the pipeline's clock)
        record = Record.from_map(fields, BODY_KEYS, time=_time(fields.get("@timestamp")))
        made.append(document(pipeline.process(record), fit))
    return made


def _time(stated: Any) -> datetime | None:
    try:
        return datetime.fromisoformat(stated)
    except (TypeError, ValueError):
        return None


def differing(one: Any, other: Any, name: str = "") -> set[str]:
    """Return the dotted names of the fields in which two documents differ."""
    if not (isinstance(one, dict) and isinstance(other, dict)):
        return set() if one == other and type(one) is type(other) else {name}
    found: set[str] = set()
    for key in one.keys() | other.keys():
        below = f"{name}.{key}" if name else key
        found |= differing(one.get(key, _MISSING), other.get(key, _MISSING), below)
    return found


_PIECES = (" ", "\t", ": ", ", ", "(", "]", '"', "=", "\\", "é", "日本", "\u00a0", "::1", "0", "true", "[", "%", "|")
_ENDS = (" and more", ". Local: 192.0.2.1, Peer-id: x (a, b), New Name: 5", "\r\n", "\0\n", ".", ", extra=1")


def mutated(lines: Sequence[str], how_many: int) -> list[str]:
    """Return lines that somebody has cut, garbled or put together; the same ones every time."""
    chance = random.Random(7)
    out = []
    for line in lines:
        for _ in range(how_many):
            changed = line
            for _ in range(chance.choice((1, 1, 2))):
                changed = chance.choice(_CHANGES)(changed, chance)
            out.append(changed)
    return out


def _cut(line: str, chance: random.Random) -> str:
    return line[: chance.randrange(len(line) + 1)]


def _insert(line: str, chance: random.Random) -> str:
    at = chance.randrange(len(line) + 1)
    return line[:at] + chance.choice(_PIECES) + line[at:]


def _leave_out(line: str, chance: random.Random) -> str:
    words = line.split(" ")
    del words[chance.randrange(len(words))]
    return " ".join(words)


def _say_twice(line: str, chance: random.Random) -> str:
    words = line.split(" ")
    at = chance.randrange(len(words))
    return " ".join([*words[:at], words[at], *words[at:]])


def _other_word(line: str, chance: random.Random) -> str:
    words = line.split(" ")
    words[chance.randrange(len(words))] = chance.choice(_PIECES)
    return " ".join(words)


def _other_case(line: str, chance: random.Random) -> str:
    at = chance.randrange(len(line) + 1)
    return line[:at] + line[at:].swapcase()


def _wider(line: str, chance: random.Random) -> str:
    at = chance.randrange(len(line) + 1)
    return line[:at] + line[at:].replace(" ", "  ")


def _no_punctuation(line: str, chance: random.Random) -> str:
    at = chance.randrange(len(line) + 1)
    return line[:at] + line[at:].replace(",", "").replace(":", "")


def _longer(line: str, chance: random.Random) -> str:
    return line + chance.choice(_ENDS)


_CHANGES: tuple[Callable[[str, random.Random], str], ...] = (
    _cut,
    _insert,
    _leave_out,
    _say_twice,
    _other_word,
    _other_case,
    _wider,
    _no_punctuation,
    _longer,
)
