"""A double of Kibana, as far as an installation asks it anything: it keeps what it is given."""

from __future__ import annotations

import json
import uuid
from email import message_from_bytes
from typing import Any
from urllib.parse import unquote

from elastic_doubles import Answer, Double

__all__ = ["KibanaDouble", "Space"]

_NOT_FOUND = (404, {"statusCode": 404, "error": "Not Found", "message": "Not Found"})
# Paths that Kibana 9 and serverless answer to their own pages alone.
_INTERNAL = ("POST /api/core/capabilities", "DELETE /api/saved_objects/")


class Space:
    """What a space keeps.

    Attributes:
        saved: objects by type and id.
        rules: by id.
    """

    def __init__(self) -> None:
        self.saved: dict[tuple[str, str], dict[str, Any]] = {}
        self.rules: dict[str, dict[str, Any]] = {}


class KibanaDouble(Double):
    """A double of Kibana, made from its documentation and source alone: keeps saved objects and alert rules.

    It imports one file in a multipart form, exports all that is asked for or nothing, adds what Kibana adds, and
    refuses what lacks the header kbn-xsrf, and on some paths the one of Kibana's own pages. An id is taken in all
    spaces: an object gets another one there, a rule is refused. It checks no reference and no content.

    Attributes:
        version: what it says of itself.
        spaces: by id.
        forbidden: features that everybody lacks: ``savedObjectsManagement``, ``stackAlerts``.
        has_tabs: it moves what is in a saved search into a tab, as coming versions do.
    """

    def __init__(self) -> None:
        super().__init__()
        self.version = "9.4.3"
        self.spaces = {"default": Space()}
        self.forbidden: set[str] = set()
        self.has_tabs = False
        self._space = self.spaces["default"]

    @property
    def saved(self) -> dict[tuple[str, str], dict[str, Any]]:
        """The objects of the default space."""
        return self.spaces["default"].saved

    @property
    def rules(self) -> dict[str, dict[str, Any]]:
        """The rules of the default space."""
        return self.spaces["default"].rules

    @property
    def changes(self) -> list[str]:
        """The requests that change something."""
        return [one for one in super().changes if not one.endswith("/api/core/capabilities")]

    def answer(self, method: str, path: str, headers: Any, body: bytes) -> Answer:
        if method != "GET" and not headers.get("kbn-xsrf"):
            return _bad("Request must contain a kbn-xsrf header.")
        if path.startswith("/s/"):
            _, _, space, rest = path.split("/", 3)
            # Kibana takes whatever is put into a space that there is not.
            self._space, path = self.spaces.get(unquote(space), Space()), f"/{rest}"
        else:
            self._space = self.spaces["default"]
        if f"{method} {path}".startswith(_INTERNAL) and not headers.get("x-elastic-internal-origin"):
            return _bad(f"uri [{path}] exists but is not available with the current configuration")
        return self._answer(method, path, headers, body)

    def _answer(self, method: str, path: str, headers: Any, body: bytes) -> Answer:
        if path == "/api/status":
            return 200, {"version": {"number": self.version, "build_flavor": "traditional"}}
        if path.startswith("/api/spaces/space/"):
            id_ = unquote(path.rpartition("/")[2])
            return (200, {"id": id_}) if id_ in self.spaces else _NOT_FOUND
        if path == "/api/core/capabilities":
            return 200, {"savedObjectsManagement": {"edit": "savedObjectsManagement" not in self.forbidden}}
        if path == "/api/alerting/rule_types":
            consumers = {"stackAlerts": {"read": True, "all": "stackAlerts" not in self.forbidden}}
            return 200, [{"id": ".es-query", "authorized_consumers": consumers}]
        if path.startswith("/api/alerting/rule/"):
            return self._rule(method, unquote(path.rpartition("/")[2]), body)
        if path == "/api/saved_objects/_export":
            return self._export(json.loads(body))
        if path == "/api/saved_objects/_import?overwrite=true":
            return self._import(headers, body)
        if method == "DELETE" and path.startswith("/api/saved_objects/"):
            type_, id_ = path.split("/")[3:]
            return (200, {}) if self._space.saved.pop((type_, unquote(id_)), None) else _NOT_FOUND
        return _NOT_FOUND

    def _export(self, asked: dict[str, Any]) -> Answer:
        saved = self._space.saved
        if asked.get("type") == "*":
            named = {(one["type"], one["id"]) for one in asked["hasReference"]}
            keys = [key for key, one in saved.items() if any((r["type"], r["id"]) in named for r in _references(one))]
            return 200, "\n".join(json.dumps(saved[key]) for key in keys)
        keys = [(one["type"], one["id"]) for one in asked["objects"]]
        missing = [key for key in keys if key not in saved]
        if missing:
            gone = {"statusCode": 404, "error": "Not Found", "message": "Saved object not found"}
            objects = [{"type": key[0], "id": key[1], "error": gone} for key in missing]
            told = {
                "statusCode": 400,
                "message": "Error fetching objects to export",
                "attributes": {"objects": objects},
            }
            return 400, told
        return 200, "\n".join(json.dumps(saved[key]) for key in keys)

    def _import(self, headers: Any, body: bytes) -> Answer:
        head = f"Content-Type: {headers['content-type']}\r\n\r\n".encode()
        (part,) = message_from_bytes(head + body).get_payload()
        assert part.get_param("name", header="content-disposition") == "file"
        assert part.get_filename().endswith(".ndjson")
        lines = [json.loads(line) for line in part.get_payload(decode=True).splitlines() if line.strip()]
        for one in lines:
            self._keep(one)
        return 200, {"success": True, "successCount": len(lines)}

    def _keep(self, one: dict[str, Any]) -> None:
        added = {"managed": False, "updated_at": "2026-01-15T12:00:00.000Z", "version": "WzEsMV0="}
        attributes = {**one["attributes"], "timeRestore": one["attributes"].get("timeRestore", False)}
        if self.has_tabs and one["type"] == "search":
            tab = {key: value for key, value in attributes.items() if key not in ("title", "description")}
            attributes = {key: attributes[key] for key in ("title", "description")}
            attributes["tabs"] = [{"id": "1", "label": "Untitled session 1", "attributes": tab}]
        kept = {**one, **added, "attributes": attributes}
        key = (one["type"], one["id"])
        if any(key in space.saved for space in self.spaces.values() if space is not self._space):
            kept |= {"id": str(uuid.uuid4()), "originId": one["id"]}
        self._space.saved[kept["type"], kept["id"]] = kept

    def _rule(self, method: str, id_: str, body: bytes) -> Answer:
        rules = self._space.rules
        there = rules.get(id_)
        if method == "POST":
            assert there is None
            if any(id_ in space.rules for space in self.spaces.values()):
                told = f"Saved object [alert/{id_}] conflict"
                return 409, {"statusCode": 409, "error": "Conflict", "message": told}
            rules[id_] = {"id": id_, "revision": 0, "actions": [], "throttle": None, **json.loads(body)}
            return 200, rules[id_]
        if there is None:
            return 404, {"statusCode": 404, "error": "Not Found", "message": f"Saved object [alert/{id_}] not found"}
        if method == "PUT":
            changed = json.loads(body)
            assert not {"rule_type_id", "consumer", "enabled", "id"} & changed.keys()
            assert not any("connector_type_id" in one for one in changed["actions"])
            assert None not in changed.values()
            kept = {key: there[key] for key in ("id", "rule_type_id", "consumer", "enabled")}
            rules[id_] = {**kept, "throttle": None, **changed, "revision": there["revision"] + 1}
        elif method == "DELETE":
            del rules[id_]
            return 204, ""
        return 200, rules[id_]


def _bad(told: str) -> Answer:
    return 400, {"statusCode": 400, "error": "Bad Request", "message": told}


def _references(found: dict[str, Any]) -> list[dict[str, str]]:
    references: list[dict[str, str]] = found.get("references", [])
    return references
