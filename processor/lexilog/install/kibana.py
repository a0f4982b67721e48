"""The calls to Kibana that an installation needs, and the plan for what is kept there.

Paths, bodies and answers: https://www.elastic.co/docs/api/doc/kibana. Known from the documentation alone: not tried on
a real Kibana.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterable, Mapping, Sequence
from types import TracebackType
from typing import Any
from urllib.parse import quote

from elastic_transport import JsonSerializer, TextSerializer, Transport, TransportError

from lexilog.errors import LexilogError
from lexilog.install.access import (
    TIMEOUT,
    Access,
    RefusedError,
    check_version,
    node,
    quieten_client,
    refusal_of_login,
    unreachable,
)
from lexilog.install.plan import Step, difference

__all__ = ["RULE", "Kibana", "plan_kibana", "plan_kibana_remove"]

# The kind of a step for an alert rule; for a saved object it is the type that Kibana gives it.
RULE = "alert_rule"
# What a rule is made with and cannot be given later, and what is its owner's: whether it runs.
_ONLY_NEW = frozenset({"rule_type_id", "consumer", "enabled"})
# Types of saved objects that others refer to, which are removed after them.
_NEEDED_BY_OTHERS = {"search": 1, "index-pattern": 2}
_Found = Mapping[tuple[str, str], Mapping[str, Any]]


class Kibana:
    """A Kibana, and what lexilog may ask of it. To be closed, or used as a context.

    Args:
        url: of Kibana, with its base path if it has one.
        space: id of the space to install into; None for the default one.
        access: who asks, and whom to trust.

    Raises:
        LexilogError: the URL or the certificates cannot be used.
    """

    def __init__(self, url: str, space: str | None, access: Access) -> None:
        quieten_client()
        self.url = url
        self._base = f"/s/{quote(space, safe='')}" if space and space != "default" else ""
        self._access = access
        text = TextSerializer()
        self._transport = Transport(
            [node("--kibana-url", url, access)],
            serializers={
                "application/json": JsonSerializer(),
                "application/ndjson": text,
                "multipart/form-data": text,
                "text/plain": text,
                "text/html": text,
            },
            max_retries=0,
        )

    def __enter__(self) -> Kibana:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._transport.close()

    def check(self) -> str:
        """Return the version of Kibana.

        Raises:
            LexilogError: it is not reached, does not let us in, is too old or no Kibana.
        """
        try:
            version = self._ask("GET", "/api/status")["version"]
            number = str(version["number"])
        except RefusedError as error:
            raise refusal_of_login(error, self.url, "access to Kibana") from error
        except (KeyError, TypeError) as error:
            raise LexilogError(
                f"{self.url}: what answers there is not Kibana, or does not let us in; check URL and login"
            ) from error
        if version.get("build_flavor") != "serverless":
            check_version("Kibana", number, self.url)
        return number

    def read(self, objects: Iterable[Mapping[str, Any]]) -> dict[tuple[str, str], Mapping[str, Any]]:
        """Return those of some saved objects that are there, by type and id."""
        left = {(one["type"], one["id"]) for one in objects}
        while left:
            wanted = [{"type": type_, "id": id_} for type_, id_ in sorted(left)]
            try:
                body = {"objects": wanted, "excludeExportDetails": True}
                lines = self._ask("POST", "/api/saved_objects/_export", body, "application/ndjson")
            except RefusedError as error:
                # It exports all or nothing, and says what it has not.
                missing = {(one["type"], one["id"]) for one in _missing(error.body)}
                if not missing & left:
                    raise
                left -= missing
                continue
            found = [json.loads(line) for line in str(lines).splitlines() if line.strip()]
            return {(one["type"], one["id"]): one for one in found if (one.get("type"), one.get("id")) in left}
        return {}

    def read_rules(self, ids: Iterable[str]) -> dict[tuple[str, str], Mapping[str, Any]]:
        """Return those of some alert rules that are there, by kind and id."""
        found = {}
        for one in ids:
            try:
                found[RULE, one] = self._ask("GET", f"/api/alerting/rule/{quote(one, safe='')}")
            except RefusedError as error:
                if error.status != 404:
                    raise
        return found

    def put(self, kind: str, name: str, body: Mapping[str, Any]) -> None:
        """Create or change a saved object or an alert rule.

        Raises:
            LexilogError: Kibana does not take it.
        """
        if kind != RULE:
            self._import(body)
            return
        path = f"/api/alerting/rule/{quote(name, safe='')}"
        there = self.read_rules([name]).get((RULE, name))
        if there is None:
            self._ask("POST", path, body)
            return
        changed = {key: value for key, value in body.items() if key not in _ONLY_NEW}
        # Whom a rule tells is its owner's.
        actions = [{key: value for key, value in one.items() if key != "connector_type_id"} for one in there["actions"]]
        self._ask("PUT", path, {**changed, "actions": actions})

    def delete(self, kind: str, name: str) -> None:
        """Remove a saved object or an alert rule; it is none's fault if it is gone already.

        Raises:
            LexilogError: Kibana does not let go of it.
        """
        where = "alerting/rule" if kind == RULE else f"saved_objects/{quote(kind)}"
        try:
            self._ask("DELETE", f"/api/{where}/{quote(name, safe='')}")
        except RefusedError as error:
            if error.status != 404:
                raise

    def _import(self, saved: Mapping[str, Any]) -> None:
        edge = secrets.token_hex(16)
        line = json.dumps(saved, ensure_ascii=False)
        head = 'Content-Disposition: form-data; name="file"; filename="lexilog.ndjson"'
        body = f"--{edge}\r\n{head}\r\nContent-Type: application/ndjson\r\n\r\n{line}\n\r\n--{edge}--\r\n"
        kind = f"multipart/form-data; boundary={edge}"
        answer = self._ask("POST", "/api/saved_objects/_import?overwrite=true", body, content_type=kind)
        if not answer.get("success"):
            errors = [f"{one.get('type')} {one.get('id')}: {one.get('error')}" for one in answer.get("errors", [])]
            raise LexilogError(f"{self.url}: the import was refused: {self._access.hide('; '.join(errors))}")

    def _ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        accept: str = "application/json",
        content_type: str = "application/json",
    ) -> Any:
        headers = {**self._access.headers, "accept": accept, "kbn-xsrf": "lexilog"}
        if body is not None:
            headers["content-type"] = content_type
        try:
            answer = self._transport.perform_request(
                method, self._base + path, body=body, headers=headers, request_timeout=TIMEOUT
            )
        except TransportError as error:
            raise unreachable(error, self.url, self._access) from error
        status, said = answer.meta.status, answer.body
        if not 200 <= status < 300:
            words = said.get("message") if isinstance(said, Mapping) else said
            told = self._access.hide(str(words or "no reason given"))
            raise RefusedError(f"{self.url}: {method} {path}: HTTP {status}: {told}", status, said)
        return said


def _missing(body: Any) -> list[Mapping[str, Any]]:
    attributes = body.get("attributes") if isinstance(body, Mapping) else None
    objects = attributes.get("objects") if isinstance(attributes, Mapping) else None
    return [one for one in objects or [] if isinstance(one, Mapping) and one.get("error", {}).get("statusCode") == 404]


def plan_kibana(objects: Sequence[Mapping[str, Any]], rules: Sequence[Mapping[str, Any]], there: _Found) -> list[Step]:
    """Return the steps that make saved objects and rules as they should be, data views before what needs them.

    Args:
        objects: saved objects, as they are imported.
        rules: alert rules, as they are created, each with its id.
        there: what Kibana has of these.
    """
    steps = [
        _step(Step("create", one["type"], one["id"], one, note=_title(one)), there, ("attributes", "references"))
        for one in objects
    ]
    for rule in rules:
        body = {key: value for key, value in rule.items() if key != "id"}
        compared = [key for key in body if key not in _ONLY_NEW and key != "actions"]
        steps.append(_step(Step("create", RULE, rule["id"], body, note=_title(rule)), there, compared))
    return steps


def plan_kibana_remove(there: _Found) -> list[Step]:
    """Return the steps that remove what Kibana has, rules and dashboards before the data views that they need."""
    order = sorted(there, key=lambda key: _NEEDED_BY_OTHERS.get(key[0], 0))
    return [Step("remove", *key, note=_title(there[key])) for key in order]


def _title(found: Mapping[str, Any]) -> str:
    return str(found.get("name") or found.get("attributes", {}).get("title", ""))


def _step(create: Step, there: _Found, compared: Iterable[str]) -> Step:
    """Return what is to be done instead of creating an object, where it is there already."""
    found = there.get((create.kind, create.name))
    if found is None:
        return create
    wanted = {key: _decoded(create.body.get(key)) for key in compared}
    has = {key: _decoded(found.get(key)) for key in wanted}
    diff = tuple(difference(_shaped(has, wanted), wanted))
    return create._replace(action="change" if diff else "same", diff=diff)


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
