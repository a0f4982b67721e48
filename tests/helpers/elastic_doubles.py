"""A double of Elasticsearch, as far as an installation asks it anything, and what serves it."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from fnmatch import fnmatchcase
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

__all__ = ["Answer", "Double", "ElasticsearchDouble", "serving"]

# Status, and a body: JSON, or text as it is.
Answer = tuple[int, Any]


class Double:
    """Answers requests one at a time.

    Attributes:
        url: of its root, while it serves.
        requests: method and path of each request, in order.
        authorization: of the last request.
        password: what the header Authorization has to be; None for anything.
        warning: what it says in a header besides each answer; None for nothing.
        broken: what to answer to requests by the beginning of method and path, instead of doing anything.
    """

    headers: ClassVar[dict[str, str]] = {}

    def __init__(self) -> None:
        self.url = ""
        self.requests: list[str] = []
        self.authorization: str | None = None
        self.password: str | None = None
        self.warning: str | None = None
        self.broken: dict[str, Answer] = {}

    @property
    def changes(self) -> list[str]:
        """The requests that change something."""
        asked = ("_has_privileges", "_export")
        return [one for one in self.requests if not one.startswith("GET") and not one.endswith(asked)]

    def handle(self, method: str, path: str, headers: Any, body: bytes) -> Answer:
        """Return the answer to a request."""
        self.requests.append(f"{method} {path}")
        self.authorization = headers.get("authorization")
        if self.password is not None and self.authorization != self.password:
            return 401, {
                "error": {"type": "security_exception", "reason": f"no to {self.authorization}"},
                "status": 401,
            }
        for start, found in self.broken.items():
            if f"{method} {path}".startswith(start):
                return found
        return self.answer(method, path, headers, body)

    def answer(self, method: str, path: str, headers: Any, body: bytes) -> Answer:
        raise NotImplementedError


class ElasticsearchDouble(Double):
    """A double of a cluster: keeps templates, pipelines and policies, and gives them back as Elasticsearch 9.4 does.

    It does not look into what it is given: no template is checked, no clash refused, nothing is in use.

    Attributes:
        version: what it says of itself.
        objects: by path of the API and name.
        missing: privileges that everybody lacks.
        streams: names of data streams.
        lifecycles: of data streams, by name; None where it has no such API.
    """

    headers: ClassVar[dict[str, str]] = {"X-Elastic-Product": "Elasticsearch"}

    def __init__(self) -> None:
        super().__init__()
        self.version: dict[str, Any] = {"number": "9.4.3", "build_flavor": "default"}
        self.objects: dict[tuple[str, str], dict[str, Any]] = {}
        self.missing: set[str] = set()
        self.streams: list[str] = []
        self.lifecycles: dict[str, Any] | None = None

    def answer(self, method: str, path: str, headers: Any, body: bytes) -> Answer:
        if path == "/":
            return 200, {"name": "n1", "version": self.version}
        if path.endswith("_has_privileges"):
            asked = json.loads(body)
            if any(not one["privileges"] for one in asked["index"]):
                return 400, {"error": {"reason": "indices privileges must define at least one privilege"}}
            return 200, {
                "username": "installer",
                "cluster": {name: name not in self.missing for name in asked["cluster"]},
                "index": {
                    name: {one: one not in self.missing for one in index["privileges"]}
                    for index in asked["index"]
                    for name in index["names"]
                },
            }
        if path.startswith("/_resolve/index/"):
            return 200, {"indices": [], "aliases": [], "data_streams": [{"name": name} for name in self.streams]}
        if path.endswith("/_lifecycle"):
            return self._lifecycle(method, path.split("/")[2], body)
        if "/_rollover" in path:
            return 200, {"acknowledged": True, "lazy": True}
        kind, _, name = path.rpartition("/")
        if method == "PUT":
            self.objects[kind, name] = {**json.loads(body), **_dates(kind)}
            return 200, {"acknowledged": True}
        if method == "DELETE":
            there = self.objects.pop((kind, name), None)
            return (404 if there is None else 200), {"acknowledged": there is not None}
        found = {key[1]: one for key, one in self.objects.items() if key[0] == kind and fnmatchcase(key[1], name)}
        status = 200 if found else 404
        if kind in ("/_component_template", "/_index_template"):
            single = kind[2:]
            return status, {f"{single}s": [{"name": key, single: one} for key, one in found.items()]}
        return status, found

    def _lifecycle(self, method: str, name: str, body: bytes) -> Answer:
        if self.lifecycles is None:
            return 400, {"error": f"no handler found for uri [/{name}] and method [{method}]"}
        if method == "PUT":
            self.lifecycles[name] = json.loads(body)
            return 200, {"acknowledged": True}
        found = self.lifecycles
        streams = [{"name": one, **({"lifecycle": found[one]} if one in found else {})} for one in self.streams]
        return 200, {"data_streams": streams}


def _dates(kind: str) -> dict[str, Any]:
    if kind == "/_ilm/policy":
        return {"version": 1, "modified_date": "2026-01-15T12:00:00.000Z", "in_use_by": {"indices": []}}
    return {"created_date_millis": 1_768_478_400_000, "modified_date_millis": 1_768_478_400_000}


@contextmanager
def serving(double: Double) -> Iterator[None]:
    """Let a double serve on a free port."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        # Head and body leave together: two small packets would wait for each other.
        wbufsize = -1

        def _serve(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            status, said = double.handle(self.command, self.path, self.headers, body)
            is_text = isinstance(said, str)
            data = said.encode() if is_text else json.dumps(said).encode()
            text = "application/ndjson" if self.path.endswith("_export") else "text/plain"
            kind = text if is_text else "application/json"
            warning = {"warning": f'299 x "{double.warning}"'} if double.warning else {}
            self.send_response(status)
            for name, value in {
                "content-type": kind,
                "content-length": str(len(data)),
                **double.headers,
                **warning,
            }.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = do_PUT = do_DELETE = _serve  # noqa: N815 (names of the base class)

        def log_message(self, *_arguments: object) -> None:
            """Keep quiet."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        # A client that keeps its connection open holds up nobody.
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        double.url = f"http://127.0.0.1:{server.server_port}"
        try:
            yield
        finally:
            server.shutdown()
            thread.join()
