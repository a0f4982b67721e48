"""What there is against what should be: the steps from one to the other, and what forbids them."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple

from lexilog.compilers.elasticsearch.objects import ClusterObject
from lexilog.errors import LexilogError
from lexilog.install.normal import meta_of, normal
from lexilog.install.version import is_newer

__all__ = [
    "KINDS",
    "Action",
    "Objects",
    "Step",
    "difference",
    "is_ours",
    "plan_install",
    "plan_remove",
]

Action = Literal["create", "change", "same", "remove", "keep"]
# Bodies by kind and name, as a cluster gives them back.
Objects = Mapping[tuple[str, str], Mapping[str, Any]]

# Kinds in the order in which they are made: each may name those before it, so that a cut leaves nothing that dangles.
KINDS = {
    "lifecycle_policy": "lifecycle policy",
    "component_template": "component template",
    "ingest_pipeline": "ingest pipeline",
    "index_template": "index template",
}
# All that a lexilog has ever made; under another name our stamp is a copy, as a clone of an object has it.
_NAMES = {
    "lifecycle_policy": {"lexilog"},
    "component_template": {"lexilog@settings", "lexilog@ecs", "lexilog@fields", "lexilog@dsl", "lexilog@ilm"},
    "ingest_pipeline": {"lexilog", "lexilog@framing"},
    "index_template": {"lexilog", "lexilog-raw"},
}
_SHAPES = ("component_template", "index_template")
# Lines of a difference are cut here: some scripts have lines of many thousand characters.
_WIDTH = 160


class Step(NamedTuple):
    """What happens to one object.

    Attributes:
        action: ``create``, ``change``, ``remove``; nothing is done for ``same`` and ``keep``.
        kind: of the object.
        name: of the object.
        body: what is sent; empty where nothing is.
        diff: how it differs from what is there, as lines of a unified diff.
        note: why, where that is not plain.
        is_new_shape: a template is new, or changes in more than its stamp.
        stands_on: kind and name of each object that this one needs; only of what is removed.
    """

    action: Action
    kind: str
    name: str
    body: Mapping[str, Any] = {}
    diff: tuple[str, ...] = ()
    note: str = ""
    is_new_shape: bool = False
    stands_on: tuple[tuple[str, str], ...] = ()

    @property
    def is_work(self) -> bool:
        """Whether something is to be done."""
        return self.action in ("create", "change", "remove")


def is_ours(kind: str, name: str, body: Mapping[str, Any]) -> bool:
    """Tell whether lexilog has made an object, as its name and its ``_meta`` say."""
    return name in _NAMES[kind] and meta_of(kind, body).get("managed_by") == "lexilog"


def plan_install(wanted: Sequence[ClusterObject], there: Objects, version: str, *, force: bool = False) -> list[Step]:
    """Return the steps that make what is wanted, in the order in which they are safe.

    Args:
        wanted: what should be there.
        there: what is there under names that lexilog uses.
        version: of lexilog.
        force: whether objects of a newer lexilog may be changed back. An object whose stamp names no version that
            can be read is taken for an older one.

    Raises:
        LexilogError: something stands in the way; the text names all of it.
    """
    problems = []
    for one in wanted:
        body = there.get((one.kind, one.name))
        if body is None:
            continue
        who = f"{KINDS[one.kind]} '{one.name}'"
        if not is_ours(one.kind, one.name, body):
            problems.append(
                f"{who} is there, and not made by lexilog (its _meta.managed_by is not 'lexilog'): rename or remove it"
            )
        elif not force and is_newer(has := str(meta_of(one.kind, body).get("version", "")), version):
            problems.append(f"{who} is of lexilog {has}, this is {version}: upgrade lexilog, or go back with --force")
    if problems:
        raise LexilogError("\n".join(problems))
    steps = [_step(one, there.get((one.kind, one.name))) for one in _in_order(wanted)]
    names = {(one.kind, one.name) for one in wanted}
    note = "of an earlier run, no part of what these options ask for; --remove takes it too"
    return steps + [
        Step("keep", *key, note=note) for key, body in there.items() if key not in names and is_ours(*key, body)
    ]


def _step(wanted: ClusterObject, body: Mapping[str, Any] | None) -> Step:
    if body is None:
        return Step("create", *wanted, is_new_shape=wanted.kind in _SHAPES)
    before, after = normal(wanted.kind, body), normal(wanted.kind, wanted.body)
    diff = tuple(difference(before, after))
    is_new_shape = wanted.kind in _SHAPES and _unstamped(before) != _unstamped(after)
    return Step("change" if diff else "same", *wanted, diff, is_new_shape=is_new_shape)


def _unstamped(body: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in body.items() if name not in ("_meta", "version")}


def plan_remove(there: Objects, others: Objects) -> list[Step]:
    """Return the steps that remove what lexilog has made, each object before those that it stands on.

    Args:
        there: what is there under names that lexilog uses.
        others: what others have made: whatever that stands on stays.
    """
    steps, standing = [], dict(others)
    ours = {key: body for key, body in there.items() if is_ours(*key, body)}
    # Of two pipelines, `lexilog` calls `lexilog@…`.
    for kind, name in sorted(ours, key=lambda key: (-list(KINDS).index(key[0]), key[1])):
        body = ours[kind, name]
        users = [f"{KINDS[key[0]]} {key[1]}" for key, other in standing.items() if name in _uses(kind, key[0], other)]
        if users:
            standing[kind, name] = body
            steps.append(Step("keep", kind, name, note=f"used by {', '.join(users)}"))
        else:
            stands_on = tuple(key for key in ours if key[1] in _uses(key[0], kind, body))
            steps.append(Step("remove", kind, name, stands_on=stands_on))
    return steps


def _uses(kind: str, user: str, body: Mapping[str, Any]) -> Iterable[str]:
    """Return the names of objects of a kind that an object of another kind stands on."""
    if kind == "component_template":
        return body.get("composed_of", []) if user == "index_template" else []
    if user == "ingest_pipeline":
        return _called(body) if kind == "ingest_pipeline" else []
    if user not in _SHAPES:
        return []
    settings = normal(user, body).get("template", {}).get("settings", {})
    names = {
        "ingest_pipeline": ("index.default_pipeline", "index.final_pipeline"),
        "lifecycle_policy": ("index.lifecycle.name",),
    }
    return [settings[one] for one in names.get(kind, ()) if one in settings]


def _called(value: Any) -> Iterator[str]:
    """Yield the names of the pipelines that steps of a pipeline call, at whatever depth."""
    if isinstance(value, list):
        for one in value:
            yield from _called(one)
    elif isinstance(value, Mapping):
        call = value.get("pipeline")
        if isinstance(call, Mapping):
            yield str(call.get("name"))
        for one in value.values():
            yield from _called(one)


def _in_order(objects: Iterable[ClusterObject]) -> list[ClusterObject]:
    kinds = list(KINDS)
    return sorted(objects, key=lambda one: kinds.index(one.kind))


def difference(before: Any, after: Any) -> Iterator[str]:
    """Yield the lines of a unified diff of two JSON values, without the head; none where they are equal."""
    if before == after:
        return
    lines = difflib.unified_diff(_lines(before), _lines(after), n=2, lineterm="")
    for line in list(lines)[2:]:
        yield line if len(line) <= _WIDTH else f"{line[:_WIDTH]} …"


def _lines(value: Any) -> list[str]:
    return json.dumps(_readable(value), indent=2, sort_keys=True, ensure_ascii=False).split("\n")


def _readable(value: Any) -> Any:
    """Return a value with texts of many lines, which scripts are, as lists of their lines."""
    if isinstance(value, Mapping):
        return {name: _readable(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_readable(one) for one in value]
    if isinstance(value, str) and "\n" in value:
        return value.split("\n")
    return value
