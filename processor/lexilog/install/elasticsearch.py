"""The calls to an Elasticsearch cluster that an installation needs.

Paths, bodies and answers: https://www.elastic.co/docs/api/doc/elasticsearch
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote
from warnings import catch_warnings, simplefilter

from elastic_transport import TransportError
from elasticsearch import ApiError, Elasticsearch, ElasticsearchWarning, UnsupportedProductError

from lexilog.compilers.elasticsearch.templates import DATA_STREAMS
from lexilog.elastic import media_type, quieten_client
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
from lexilog.install.plan import KINDS, is_ours
from lexilog.install.streams import LIFECYCLE, ROLLOVER

__all__ = ["Cluster"]

_NAMES = "lexilog*"
_PATHS = {
    "lifecycle_policy": "/_ilm/policy/",
    "component_template": "/_component_template/",
    "ingest_pipeline": "/_ingest/pipeline/",
    "index_template": "/_index_template/",
}
_HEADERS = {"accept": media_type("json"), "content-type": media_type("json")}


class Cluster(Closing):
    """A cluster, and what lexilog may ask of it. To be closed, or used as a context.

    Args:
        url: of one of its nodes.
        access: who asks, and whom to trust.

    Attributes:
        url: as given.
        is_serverless: known after `check`.
        warnings: what the cluster has said besides its answers, each once.

    Raises:
        LexilogError: the URL or the certificates cannot be used.
    """

    def __init__(self, url: str, access: Access) -> None:
        quieten_client()
        self.url = url
        self.is_serverless = False
        self.warnings: list[str] = []
        self._access = access
        self._client = Elasticsearch(
            [node("--url", url, access)],
            headers=access.headers,
            request_timeout=TIMEOUT,
            max_retries=0,
            retry_on_timeout=False,
        )

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def check(self) -> str:
        """Return the version of the cluster.

        Raises:
            LexilogError: it is not reached, does not let us in, is too old or no Elasticsearch.
        """
        try:
            version = self._ask("GET", "/")["version"]
            number, self.is_serverless = str(version["number"]), version.get("build_flavor") == "serverless"
        except RefusedError as error:
            raise refusal_of_login(error, self.url, "the cluster privilege monitor") from error
        except (KeyError, TypeError, AttributeError) as error:
            raise LexilogError(f"{self.url}: what answers there is not Elasticsearch; check host and port") from error
        if not self.is_serverless:
            check_version("Elasticsearch", number, self.url)
        return number

    def check_privileges(self, cluster: Sequence[str], streams: Sequence[str]) -> None:
        """See that we may do what is to be done; a cluster without security lets everybody.

        Args:
            cluster: cluster privileges.
            streams: privileges on our data streams.

        Raises:
            LexilogError: some are missing; it names them.
        """
        # An entry that asks for no privilege is refused.
        index = [{"names": [DATA_STREAMS], "privileges": list(streams)}] if streams else []
        body = {"cluster": list(cluster), "index": index}
        try:
            answer = self._ask("POST", "/_security/user/_has_privileges", body)
        except RefusedError as error:
            if error.is_absent:
                return
            raise
        missing = [f"cluster privilege {name}" for name, has in answer.get("cluster", {}).items() if not has]
        missing += [
            f"{name} on {DATA_STREAMS}"
            for name, has in answer.get("index", {}).get(DATA_STREAMS, {}).items()
            if not has
        ]
        if missing:
            who = f"user '{answer['username']}'" if answer.get("username") else "these credentials"
            told = f"{who} may not do this; missing: {', '.join(missing)}"
            raise LexilogError(f"{self.url}: {told}; docs/elasticsearch.md has the whole role")

    def check_ilm(self) -> None:
        """See that the cluster has ILM.

        Raises:
            LexilogError: it has none.
        """
        try:
            self._ask("GET", _PATHS["lifecycle_policy"] + _NAMES)
        except RefusedError as error:
            if error.is_absent:
                raise LexilogError(f"{self.url}: has no ILM; use --dsl or --no-lifecycle") from error
            if error.status != 404:
                raise

    def read(self) -> dict[tuple[str, str], Mapping[str, Any]]:
        """Return what there is under names that lexilog uses, whoever has made it, by kind and name."""
        return {(kind, name): body for kind in KINDS for name, body in self._read(kind, _NAMES).items()}

    def foreign(self) -> dict[tuple[str, str], Mapping[str, Any]]:
        """Return the templates and pipelines that others have made, by kind and name."""
        kinds = ("index_template", "component_template", "ingest_pipeline")
        found = {(kind, name): body for kind in kinds for name, body in self._read(kind, "*").items()}
        return {key: body for key, body in found.items() if not is_ours(*key, body)}

    def foreign_templates(self) -> dict[str, Mapping[str, Any]]:
        """Return the index templates that others have made, by name."""
        return {
            name: body
            for name, body in self._read("index_template", "*").items()
            if not is_ours("index_template", name, body)
        }

    def _read(self, kind: str, names: str) -> dict[str, Mapping[str, Any]]:
        try:
            answer = self._ask("GET", _PATHS[kind] + names)
        except RefusedError as error:
            # Policies need a privilege of their own, which who does not use them need not have.
            if error.status == 404 or (kind == "lifecycle_policy" and (error.is_absent or error.status == 403)):
                return {}
            raise
        if kind in ("component_template", "index_template"):
            return {one["name"]: one[kind] for one in answer[f"{kind}s"]}
        return dict(answer)

    def put(self, kind: str, name: str, body: Mapping[str, Any]) -> None:
        """Create or change an object, or a data stream.

        Raises:
            LexilogError: the cluster does not take it.
        """
        if kind == ROLLOVER:
            self._change("POST", f"/{quote(name)}/_rollover?lazy=true")
        elif kind == LIFECYCLE:
            self._change("PUT", f"/_data_stream/{quote(name)}/_lifecycle", body)
        else:
            self._change("PUT", _PATHS[kind] + quote(name, safe="@"), body)

    def delete(self, kind: str, name: str) -> None:
        """Remove an object; it is none's fault if it is gone already.

        Raises:
            LexilogError: the cluster does not let go of it.
        """
        try:
            self._change("DELETE", _PATHS[kind] + quote(name, safe="@"))
        except RefusedError as error:
            if error.status != 404:
                raise

    def streams(self) -> list[str]:
        """Return the names of the data streams that are there and that our templates could be for."""
        return [one["name"] for one in self._ask("GET", f"/_resolve/index/{DATA_STREAMS}")["data_streams"]]

    def without_lifecycle(self) -> set[str]:
        """Return the names of those of the data streams that have no lifecycle; empty where nobody can say."""
        try:
            answer = self._ask("GET", f"/_data_stream/{DATA_STREAMS}/_lifecycle")
        except RefusedError as error:
            if error.is_absent or error.status in (403, 404):
                return set()
            raise
        return {one["name"] for one in answer["data_streams"] if not one.get("lifecycle")}

    def _change(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> None:
        if self._ask(method, path, body).get("acknowledged") is False:
            raise LexilogError(f"{self.url}: {method} {path}: not all nodes have confirmed it in time")

    def _ask(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        with self._told(f"{method} {path}"), catch_warnings(record=True) as said:
            simplefilter("always", ElasticsearchWarning)
            answer = self._client.perform_request(method, path, headers=_HEADERS, body=body).body
        words = [str(one.message) for one in said]
        self.warnings += [one for one in dict.fromkeys(words) if one not in self.warnings]
        return answer

    @contextmanager
    def _told(self, request: str) -> Iterator[None]:
        try:
            yield
        except UnsupportedProductError as error:
            raise unreachable(error, self.url, self._access) from error
        except ApiError as error:
            to = error.meta.headers.get("location")
            said = self._access.hide(f"it names another place, {to}: give that URL" if to else _reason(error.body))
            raise RefusedError(f"{self.url}: {request}: HTTP {error.status_code}: {said}", error.status_code) from error
        except TransportError as error:
            raise unreachable(error, self.url, self._access) from error


def _reason(body: Any) -> str:
    """Return why, in the cluster's words; the innermost reason says most."""
    error = body.get("error", body) if isinstance(body, Mapping) else body
    words: list[str] = []
    while isinstance(error, Mapping):
        if (reason := error.get("reason")) and reason not in words:
            words.append(str(reason))
        error = error.get("caused_by")
        if error is None:
            break
    return ": ".join(words) or str(error or body or "no reason given")
