"""What Kibana has against what it should have: the steps from one to the other, and what forbids them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from lexilog.errors import LexilogError
from lexilog.install.kibana import ONLY_NEW, RULE, Kibana
from lexilog.install.kibana_space import objects_in, rules_in
from lexilog.install.plan import Step, difference
from lexilog.install.version import is_newer

__all__ = ["TITLES", "kibana_steps", "unsettled"]

# What people call the kinds; the others go by their type.
TITLES = {RULE: "alert rule", "index-pattern": "data view", "search": "saved search"}

# What is compared of a saved object.
_COMPARED = ("attributes", "references")
_Key = tuple[str, str]
_Found = Mapping[str, Any]

_VIEW = "index-pattern"
# In this order they are removed, for the former refer to the latter; dashboards, and what else there is, are 1.
_REMOVAL = {RULE: 0, "search": 2, _VIEW: 3}
# Kibana keeps no _meta of an object; a data view has not even a description.
_STAMP = re.compile(r"\(lexilog ([^\s()]+)\)\s*$")
_TAG = re.compile(r"lexilog (\S+)")
# What users add to a data view; of ours they are empty, but for the formats.
_USERS = ("fields", "fieldAttrs", "runtimeFieldMap", "sourceFilters", "typeMeta")
_FORMATS = "fieldFormatMap"


def kibana_steps(
    kibana: Kibana,
    objects: Sequence[_Found],
    rules: Sequence[_Found],
    version: str,
    *,
    remove: bool = False,
    force: bool = False,
) -> list[Step]:
    """Return the steps that make saved objects and rules as they should be, or remove them.

    Args:
        kibana: what has them.
        objects: saved objects, as they are imported, each after those that it refers to.
        rules: alert rules, as they are created, each with its id.
        version: of lexilog.
        remove: take them away instead.
        force: whether what a newer lexilog made may be changed back.

    Raises:
        LexilogError: something stands in the way, and the text names all of it; or Kibana does not tell what it has.
    """
    wanted: dict[_Key, _Found] = {(one["type"], one["id"]): one for one in objects_in(kibana.space, objects)}
    wanted |= {(RULE, one["id"]): one for one in rules_in(kibana.space, rules)}
    there = _there(kibana, wanted)
    if remove:
        ours = {key: found for key, found in there.items() if _is_ours(key[0], found, wanted[key])}
        return [*_removal(ours, kibana.users(key for key in ours if key[0] != RULE)), *_foreign(there.keys() - ours)]
    problems = [_problem(key, found, wanted[key], version, force=force) for key, found in there.items()]
    if any(problems):
        raise LexilogError("\n".join(filter(None, problems)))
    return [_step(*key, one, there.get(key)) for key, one in wanted.items()]


def unsettled(kibana: Kibana, steps: Iterable[Step]) -> list[Step]:
    """Return the steps that Kibana was given and shows otherwise, as it keeps some things in another form.

    Args:
        kibana: what they were given to.
        steps: that were done.
    """
    given = {(step.kind, step.name): step.body for step in steps if step.action in ("create", "change")}
    there = _there(kibana, given)
    again = [_step(*key, body, there[key]) for key, body in given.items() if key in there]
    return [step for step in again if step.action == "change"]


def _there(kibana: Kibana, wanted: Mapping[_Key, _Found]) -> dict[_Key, _Found]:
    objects = kibana.read(body for key, body in wanted.items() if key[0] != RULE)
    return {**objects, **kibana.read_rules(key[1] for key in wanted if key[0] == RULE)}


def _is_ours(kind: str, found: _Found, wanted: _Found) -> bool:
    """Tell whether lexilog has made an object that has an id of ours; what Fleet has made is managed by it."""
    if found.get("managed"):
        return False
    if kind == RULE:
        return "lexilog" in found.get("tags", ())
    has, ours = found.get("attributes", {}), wanted["attributes"]
    if kind == _VIEW:
        return any(has.get(key) == ours[key] for key in ("title", "name") if key in ours)
    return _version(kind, found) is not None


def _version(kind: str, found: _Found) -> str | None:
    """Return the version of lexilog that an object was made by; None where it does not say."""
    texts = found.get("tags", ()) if kind == RULE else [found.get("attributes", {}).get("description", "")]
    for text in texts:
        if stamp := (_TAG.fullmatch if kind == RULE else _STAMP.search)(str(text)):
            return stamp[1]
    return None


def _problem(key: _Key, found: _Found, wanted: _Found, version: str, *, force: bool) -> str | None:
    who = f"{_kind(key[0])} '{key[1]}' ({_title(found)})"
    if found.get("managed"):
        return f"{who} is managed, as what comes with a package of Fleet is: remove the package first"
    if not _is_ours(key[0], found, wanted):
        return f"{who} is there, and not made by lexilog: make a copy of it under another name, and delete it"
    has = _version(key[0], found)
    if has is not None and is_newer(has, version) and not force:
        return f"{who} is of lexilog {has}, this is {version}: upgrade lexilog, or go back with --force"
    return None


def _foreign(keys: Iterable[_Key]) -> list[Step]:
    return [Step("keep", *key, note="not made by lexilog") for key in sorted(keys)]


def _removal(ours: Mapping[_Key, _Found], users: Sequence[_Found]) -> list[Step]:
    """Return the steps that remove what is ours, each before what it refers to, but for what others refer to.

    Args:
        ours: what is there.
        users: all that refers to something of it, ours included.
    """
    steps = []
    going = set(ours)
    for key in sorted(ours, key=lambda key: _REMOVAL.get(key[0], 1)):
        holding = [one for one in users if key in _references(one) and _key(one) not in going]
        if holding:
            going.discard(key)
            names = ", ".join(f"{_kind(_key(one)[0])} '{_title(one)}'" for one in holding)
            steps.append(Step("keep", *key, note=f"used by {names}"))
        else:
            needs = tuple(one for one in dict.fromkeys(_references(ours[key])) if one in ours)
            steps.append(Step("remove", *key, note=_title(ours[key]), stands_on=needs))
    return steps


def _references(found: _Found) -> list[_Key]:
    return [(one["type"], one["id"]) for one in found.get("references", ())]


def _key(saved: _Found) -> _Key:
    """Return what a saved object goes by here: rules are among them, under a type of Kibana's own."""
    return (RULE if saved["type"] == "alert" else saved["type"], saved["id"])


def _kind(kind: str) -> str:
    return TITLES.get(kind, kind)


def _title(found: _Found) -> str:
    attributes = found.get("attributes", {})
    title = str(found.get("name") or attributes.get("name") or attributes.get("title", ""))
    return "".join(one if one.isprintable() else " " for one in title)


def _step(kind: str, name: str, wanted: _Found, found: _Found | None) -> Step:
    """Return what is to be done for an object, of which there is something or nothing."""
    body = {key: value for key, value in wanted.items() if kind != RULE or key != "id"}
    if found is None:
        return Step("create", kind, name, body, note=_title(wanted))
    compared = [key for key in body if key not in ONLY_NEW and key != "actions"] if kind == RULE else _COMPARED
    if kind == _VIEW:
        body["attributes"] = _with_users(found["attributes"], body["attributes"])
    elif kind == "search":
        found = {**found, "attributes": _without_tabs(found["attributes"])}
    after = {key: _decoded(body.get(key)) for key in compared}
    before = {key: _decoded(found.get(key)) for key in compared}
    diff = tuple(difference(_shaped(before, after), after))
    return Step("change" if diff else "same", kind, name, body, diff, note=_title(wanted))


def _with_users(has: _Found, ours: _Found) -> dict[str, Any]:
    """Return the attributes of our data view with what users have added: an import loses what it does not name."""
    kept = {key: value for key, value in has.items() if key in _USERS or key not in ours}
    named = {key: value for key, value in ours.items() if key not in _USERS}
    formats = [_decoded(one.get(_FORMATS)) for one in (has, ours)]
    merged = {key: value for one in formats if isinstance(one, Mapping) for key, value in one.items()}
    return {**named, **kept, **({_FORMATS: json.dumps(merged)} if merged else {})}


def _without_tabs(has: _Found) -> _Found:
    """Return the attributes of a saved search as they were before Kibana put them into tabs, ours into the first.

    Source: ``saved_search/server/saved_objects/extract_tabs.ts`` of elastic/kibana.
    """
    tabs = has.get("tabs")
    first = tabs[0] if isinstance(tabs, list) and tabs else {}
    return {**first.get("attributes", {}), **has}


def _decoded(value: Any) -> Any:
    """Return a value with the JSON that stands in texts read: Kibana writes it anew."""
    if isinstance(value, Mapping):
        return {key: _decoded(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_decoded(one) for one in value]
    if isinstance(value, str) and value[:1] in ("{", "["):
        try:
            return _decoded(json.loads(value))
        except ValueError:
            return value
    return value


def _shaped(has: Any, wanted: Any) -> Any:
    """Return what is there without what is not spoken of: Kibana adds defaults to what it is given."""
    if isinstance(has, Mapping) and isinstance(wanted, Mapping):
        return {key: _shaped(has[key], one) for key, one in wanted.items() if key in has}
    if isinstance(has, list) and isinstance(wanted, list) and len(has) == len(wanted):
        return [_shaped(one, other) for one, other in zip(has, wanted, strict=True)]
    return has
