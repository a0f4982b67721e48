"""The calls to Kibana that an installation needs.

Paths, bodies and answers: https://www.elastic.co/docs/api/doc/kibana. Known from the documentation and from Kibana's
source alone (files named below are those of elastic/kibana): not tried on a real Kibana.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import quote

from elastic_transport import JsonSerializer, TextSerializer, Transport, TransportError

from lexilog.elastic import quieten_client
from lexilog.errors import LexilogError
from lexilog.install.access import (
    TIMEOUT,
    Access,
    Closing,
    RefusedError,
    check_version,
    node,
    refusal_of_login,
    unreachable,
)

__all__ = ["ONLY_NEW", "RULE", "Kibana"]

# The kind of a step for an alert rule; for a saved object it is the type that Kibana gives it.
RULE = "alert_rule"
# What a rule is made with and cannot be given later, and what is its owner's: whether it runs.
ONLY_NEW = frozenset({"rule_type_id", "consumer", "enabled"})
# What else is the owner's of a rule. An update loses what it does not name, and refuses some of these as null where
# actions have a frequency (alerting/server/rules_client/lib/validate_actions.ts).
_OWNERS = ("throttle", "notify_when", "alert_delay", "flapping", "artifacts")
# Some paths are no public ones, in Kibana 9 or serverless, and are answered with this header alone
# (saved-objects/server-internal/src/routes/index.ts).
_INTERNAL = {"x-elastic-internal-origin": "lexilog"}


class Kibana(Closing):
    """A space of a Kibana, and what lexilog may ask of it. To be closed, or used as a context.

    Attributes:
        url: of Kibana.
        space: id of the space; None for the default one.

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
        self.space = None if space == "default" else space or None
        self._base = f"/s/{quote(self.space, safe='')}" if self.space else ""
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

    def close(self) -> None:
        """Close the connection."""
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
            raise self._no_kibana() from error
        if version.get("build_flavor") != "serverless":
            check_version("Kibana", number, self.url)
        return number

    def check_access(self, *, rules: bool) -> None:
        """See that the space is there and that we may write in it.

        Who may write all types of saved objects has the capability ``savedObjectsManagement.edit``
        (features/server/oss_features.ts); the types of rules tell who may make them (alerting/server/routes/rule/apis/
        list_types). A Kibana that does not tell is taken to allow it.

        Args:
            rules: whether alert rules are to be made.

        Raises:
            LexilogError: there is no such space, or we may not.
        """
        where = f"space '{self.space or 'default'}'"
        if self.space and not self._is_there(f"/api/spaces/space/{quote(self.space, safe='')}"):
            raise LexilogError(f"--kibana-space: {self.url} has no {where}, or hides it from these credentials")
        told = self._told("POST", "/api/core/capabilities", {"applications": []})
        if _at(told, "savedObjectsManagement", "edit") is False:
            raise LexilogError(f"{self.url}: these credentials lack *all* on Saved Objects Management in {where}")
        types = self._told("GET", "/api/alerting/rule_types") if rules else None
        if isinstance(types, list) and not any(_may_make(one) for one in types):
            raise LexilogError(f"{self.url}: these credentials lack *all* on Stack Rules in {where}")

    def read(self, objects: Iterable[Mapping[str, Any]]) -> dict[tuple[str, str], Mapping[str, Any]]:
        """Return those of some saved objects that are there, by type and id."""
        left = {(one["type"], one["id"]) for one in objects}
        while left:
            try:
                found = self._export({"objects": _named(left)})
            except RefusedError as error:
                # It exports all or nothing, and says what it has not.
                missing = {(one["type"], one["id"]) for one in _missing(error.body)}
                if not missing & left:
                    raise
                left -= missing
                continue
            return {(one["type"], one["id"]): one for one in found if (one.get("type"), one.get("id")) in left}
        return {}

    def users(self, keys: Iterable[tuple[str, str]]) -> list[Mapping[str, Any]]:
        """Return the saved objects, of whatever type, that refer to one of some others, given by type and id."""
        named = _named(keys)
        return self._export({"type": "*", "hasReference": named}) if named else []

    def read_rules(self, ids: Iterable[str]) -> dict[tuple[str, str], Mapping[str, Any]]:
        """Return those of some alert rules that are there, by kind and id."""
        found = {}
        for one in ids:
            try:
                found[RULE, one] = self._mapping("GET", f"/api/alerting/rule/{quote(one, safe='')}")
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
        changed = {key: value for key, value in body.items() if key not in ONLY_NEW}
        kept = {key: there[key] for key in _OWNERS if there.get(key) is not None}
        # Whom a rule tells is its owner's, too.
        actions = [{key: value for key, value in one.items() if key != "connector_type_id"} for one in there["actions"]]
        self._ask("PUT", path, {**changed, **kept, "actions": actions})

    def delete(self, kind: str, name: str) -> None:
        """Remove a saved object or an alert rule; it is none's fault if it is gone already.

        Raises:
            LexilogError: Kibana does not let go of it.
        """
        where = "alerting/rule" if kind == RULE else f"saved_objects/{quote(kind)}"
        try:
            self._ask("DELETE", f"/api/{where}/{quote(name, safe='')}", internal=kind != RULE)
        except RefusedError as error:
            if error.status != 404:
                raise

    def _import(self, saved: Mapping[str, Any]) -> None:
        edge = secrets.token_hex(16)
        line = json.dumps(saved, ensure_ascii=False)
        head = 'Content-Disposition: form-data; name="file"; filename="lexilog.ndjson"'
        body = f"--{edge}\r\n{head}\r\nContent-Type: application/ndjson\r\n\r\n{line}\n\r\n--{edge}--\r\n"
        kind = f"multipart/form-data; boundary={edge}"
        answer = self._mapping("POST", "/api/saved_objects/_import?overwrite=true", body, content_type=kind)
        if not answer.get("success"):
            errors = [f"{one.get('type')} {one.get('id')}: {one.get('error')}" for one in answer.get("errors", [])]
            raise LexilogError(f"{self.url}: the import was refused: {self._access.hide('; '.join(errors))}")

    def _export(self, asked: Mapping[str, Any]) -> list[Mapping[str, Any]]:
        body = {**asked, "excludeExportDetails": True}
        lines = self._ask("POST", "/api/saved_objects/_export", body, accept="application/ndjson")
        try:
            found = [json.loads(line) for line in lines.splitlines() if line.strip()]
        except (AttributeError, ValueError) as error:
            raise self._no_kibana() from error
        return [one for one in found if isinstance(one, Mapping)]

    def _is_there(self, path: str) -> bool:
        try:
            self._ask("GET", path)
        except RefusedError as error:
            if error.status not in (403, 404):
                raise
            return False
        return True

    def _told(self, method: str, path: str, body: Any = None) -> Any:
        """Return an answer; None where Kibana does not give any."""
        try:
            return self._ask(method, path, body, internal=True)
        except RefusedError as error:
            if error.status not in (400, 403, 404):
                raise
            return None

    def _mapping(self, *request: Any, **options: Any) -> Mapping[str, Any]:
        answer = self._ask(*request, **options)
        if not isinstance(answer, Mapping):
            raise self._no_kibana()
        return answer

    def _no_kibana(self) -> LexilogError:
        return LexilogError(f"{self.url}: what answers there is not Kibana, or does not let us in; check URL and login")

    def _ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        accept: str = "application/json",
        content_type: str = "application/json",
        internal: bool = False,
    ) -> Any:
        headers = {**self._access.headers, "accept": accept, "kbn-xsrf": "lexilog", **(_INTERNAL if internal else {})}
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
            elsewhere = answer.meta.headers.get("location")
            told = self._access.hide(str(words or (f"go to {elsewhere}" if elsewhere else "no reason given")))
            raise RefusedError(f"{self.url}: {method} {path}: HTTP {status}: {told}", status, said)
        return said


def _named(keys: Iterable[tuple[str, str]]) -> list[dict[str, str]]:
    return [{"type": type_, "id": id_} for type_, id_ in sorted(keys)]


def _at(value: Any, *names: str) -> Any:
    """Return what stands at a place in nested mappings; None where there is no such place."""
    for name in names:
        value = value.get(name) if isinstance(value, Mapping) else None
    return value


def _may_make(rule_type: Any) -> bool:
    return _at(rule_type, "id") == ".es-query" and _at(rule_type, "authorized_consumers", "stackAlerts", "all") is True


def _missing(body: Any) -> list[Mapping[str, Any]]:
    attributes = body.get("attributes") if isinstance(body, Mapping) else None
    objects = attributes.get("objects") if isinstance(attributes, Mapping) else None
    return [one for one in objects or [] if isinstance(one, Mapping) and one.get("error", {}).get("statusCode") == 404]
