"""`lexilog install elasticsearch` on a real node with TLS and users.

The node lacks some field types, and ILM: the templates are the shipped ones with these types mapped down, installed by
the command itself. It also lacks Elastic's own template for ``logs-*-*``, which every stock cluster has; the tests make
a stand-in, without which no template that a data stream uses can be removed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from elasticsearch import Elasticsearch

from elasticsearch_node import Node
from elasticsearch_templates import fitting
from lexilog.cli import cli
from lexilog.compilers.elasticsearch.objects import ClusterObject
from lexilog.compilers.elasticsearch.templates import templates
from lexilog.compilers.source import Source, load_source

Run = Callable[..., Result]

RAW, STREAM = "logs-lexilog.raw-install", "logs-lexilog.juniper_kmd-install"
LINE = "Aug  3 10:18:44 srx1 kmd[1]: KMD_VPN_DOWN_ALARM_USER: VPN v1 from 192.0.2.1 is down."
DOCUMENT = {"message": LINE, "@timestamp": "2026-01-15T12:00:00Z"}
STOCK = {
    "index_patterns": ["logs-*-*"],
    "priority": 100,
    "data_stream": {},
    "template": {"settings": {"index.number_of_replicas": 0}},
}
OURS = {"lexilog@settings", "lexilog@ecs", "lexilog@fields", "lexilog@dsl", "lexilog", "lexilog-raw", "lexilog@framing"}


@pytest.fixture(scope="module")
def source() -> Source:
    """Return the shipped knowledge, under a version of its own."""
    return load_source()._replace(version="2.0.0")


@pytest.fixture
def node(es9_secure: Node) -> Iterator[Node]:
    """Return a node that has nothing of ours, but data streams of earlier tests."""
    es9_secure.request("PUT", "/_index_template/logs", STOCK)
    es9_secure.request("PUT", "/_ingest/pipeline/logs", {"processors": []})
    yield es9_secure
    for kind, names in _there(es9_secure).items():
        for name in names:
            es9_secure.request("DELETE", f"/{kind}/{name}")


def _there(node: Node) -> dict[str, list[str]]:
    """Return names of objects of lexilog, the user's own too, in an order in which they can be removed."""
    found = {}
    for kind in ("_index_template", "_component_template", "_ingest/pipeline"):
        answer = node.request("GET", f"/{kind}")
        names = answer if kind == "_ingest/pipeline" else [one["name"] for one in answer[f"{kind[1:]}s"]]
        found[kind] = [name for name in names if name.startswith(("lexilog", "theirs"))]
    return found


def _names(node: Node) -> set[str]:
    return {name for names in _there(node).values() for name in names}


@pytest.fixture
def run(node: Node, source: Source, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Return a function that runs the command as the superuser, or as who is named; `version` is lexilog's."""
    assert node.login is not None
    ca = str(node.login.ca)

    def made(*arguments: Any, **options: Any) -> tuple[ClusterObject, ...]:
        return tuple(fitting(templates(*arguments, **options)))

    monkeypatch.setattr("lexilog.install.wanted.templates", made)

    def run(
        *options: str, user: str = "elastic", password: str = node.login.password, version: str = "2.0.0"
    ) -> Result:
        monkeypatch.setattr("lexilog.cli.install.load_source", lambda _paths: source._replace(version=version))
        arguments = ["install", "elasticsearch", "--url", node.url, "--ca", ca, "--user", user, *options]
        environment = {"LEXILOG_INSTALL_ELASTICSEARCH_PASSWORD": password}
        return CliRunner().invoke(cli, arguments, env=environment)

    return run


def _plan(done: Result) -> dict[str, int]:
    """Return how many objects a plan creates, changes and so on."""
    words = ("create", "change", "same", "remove", "keep")
    lines = [line.split()[1] for line in done.stdout.splitlines() if re.match(r"[-+~=.] \w+ +(?! |data stream)", line)]
    return {word: lines.count(word) for word in words if word in lines}


def _ok(done: Result) -> Result:
    assert done.exit_code == 0, done.output
    return done


def _count(node: Node) -> int:
    found: int = node.request("GET", f"/{STREAM}/_count")["count"]
    return found


def test_install_again_and_remove(node: Node, run: Run) -> None:
    """One run makes everything, a second one changes nothing, a line is recognised, and removal leaves the data.

    What the cluster does not let go of is told, and goes with the next run.
    """
    assert run("--pipeline", "--dry-run").exit_code == 3
    assert _names(node) == set()
    assert _plan(_ok(run("--pipeline", "--yes"))) == {"create": 8}
    assert _names(node) == OURS
    before = _state(node)
    assert _plan(_ok(run("--pipeline", "--dry-run"))) == {"same": 8}
    assert _plan(_ok(run("--yes"))) == {"same": 8}
    assert _state(node) == before

    custom = {"template": {"settings": {"index": {"number_of_replicas": 0}}}}
    node.request("PUT", "/_component_template/lexilog@custom", custom)
    node.request("POST", f"/{RAW}/_doc?refresh", DOCUMENT)
    (hit,) = node.request("GET", f"/{STREAM}/_search?q=lexilog.catalog.id:KMD_VPN_DOWN_ALARM_USER")["hits"]["hits"]
    assert hit["_source"]["event"]["original"] == LINE
    documents = _count(node)

    node.request("DELETE", "/_index_template/logs")
    kept = run("--remove", "--yes")
    assert kept.exit_code == 1
    assert re.search(rf"unable to remove composable templates \[lexilog] as they are in use by .*{STREAM}", kept.stderr)
    node.request("PUT", "/_index_template/logs", STOCK)
    _ok(run("--remove", "--yes"))
    assert _names(node) == {"lexilog@custom"}
    assert _count(node) == documents
    assert _plan(_ok(run("--remove", "--yes"))) == {}


def _state(node: Node) -> list[Any]:
    """Return all objects with the times of their last change."""
    paths = ("/_index_template", "/_component_template", "/_ingest/pipeline")
    return [node.request("GET", path) for path in paths]


def test_upgrade(node: Node, run: Run, source: Source) -> None:
    """An older stamp is changed to ours, with the difference shown; a newer one is refused unless forced."""
    _ok(run("--yes", "--pipeline", version="1.9.0"))
    done = _ok(run("--yes", version="1.10.0"))
    assert _plan(done) == {"change": 8}
    assert '-    "version": "1.9.0"' in done.stdout
    assert '+    "version": "1.10.0"' in done.stdout
    refused = run("--yes", version="1.9.0")
    assert refused.exit_code == 1
    assert "is of lexilog 1.10.0, this is 1.9.0" in str(refused.exception)
    assert _plan(_ok(run("--yes", "--force", version="1.9.0"))) == {"change": 8}


def test_a_new_mapping_asks_for_a_rollover(node: Node, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Data streams that are there keep their mappings: this is told, and --rollover begins a new index."""
    node.request(
        "PUT", "/_component_template/lexilog@custom", {"template": {"settings": {"index.number_of_replicas": 0}}}
    )
    _ok(run("--yes"))
    node.request("POST", f"/{STREAM}/_doc?refresh", DOCUMENT)
    told = _ok(run("--yes", "--no-lifecycle"))
    assert _plan(told) == {"change": 1, "same": 3, "keep": 1}
    assert "indices that are there may have other mappings" in told.stderr
    assert STREAM in told.stderr
    before = _indices(node)
    assert f"data stream {STREAM}  (begins a new index" in _ok(run("--yes", "--rollover")).stdout
    node.request("POST", f"/{STREAM}/_doc?refresh", DOCUMENT)
    assert len(_indices(node)) == len(before) + 1


def _indices(node: Node) -> list[str]:
    streams = node.request("GET", f"/_resolve/index/{STREAM}")["data_streams"]
    indices: list[str] = streams[0]["backing_indices"]
    return indices


def test_what_others_made_is_not_touched(node: Node, run: Run) -> None:
    """An object of our name without our stamp, and a template that clashes, are refused before anything is made."""
    node.request("PUT", "/_component_template/lexilog@ecs", {"template": {}})
    refused = run("--yes")
    assert refused.exit_code == 1
    assert "component template 'lexilog@ecs' is there, and not made by lexilog" in str(refused.exception)
    assert _names(node) == {"lexilog@ecs"}
    assert _plan(_ok(run("--yes", "--remove"))) == {}
    assert _names(node) == {"lexilog@ecs"}
    node.request("DELETE", "/_component_template/lexilog@ecs")

    theirs = {"index_patterns": ["logs-lexilog*"], "priority": 200, "data_stream": {}}
    node.request("PUT", "/_index_template/theirs", theirs)
    refused = run("--yes")
    assert refused.exit_code == 1
    assert "'theirs' (priority 200, logs-lexilog*) meets ours 'lexilog'" in str(refused.exception)
    assert _names(node) == {"theirs"}


def test_a_component_that_others_use_stays(node: Node, run: Run) -> None:
    """A template of others that is composed of ours keeps working after --remove."""
    _ok(run("--yes"))
    node.request("PUT", "/_index_template/theirs", {"index_patterns": ["theirs-*"], "composed_of": ["lexilog@ecs"]})
    done = _ok(run("--yes", "--remove"))
    assert "component template lexilog@ecs  (used by index template theirs)" in done.stdout
    assert _names(node) == {"theirs", "lexilog@ecs"}


def test_a_pipeline_that_an_index_uses_still_works(node: Node, run: Run) -> None:
    """The cluster does not let go of it, so what it calls stays too: the index still gets its lines explained."""
    _ok(run("--yes", "--pipeline"))
    # An index of one's own: no template of ours is for it.
    node.request("PUT", "/install-own", {"settings": {"number_of_replicas": 0, "default_pipeline": "lexilog"}})
    try:
        kept = run("--yes", "--remove")
        assert kept.exit_code == 1
        assert "ingest pipeline lexilog@framing: used by ingest pipeline lexilog, which stays" in kept.stderr
        assert _names(node) == {"lexilog", "lexilog@framing"}
        made = node.request("POST", "/install-own/_doc?refresh", DOCUMENT)
        found = node.request("GET", f"/install-own/_doc/{made['_id']}")["_source"]
        assert found["lexilog"]["catalog"]["id"] == "KMD_VPN_DOWN_ALARM_USER"
    finally:
        node.request("DELETE", "/install-own")
    assert _plan(_ok(run("--yes", "--remove"))) == {"remove": 2}


def test_the_documented_role_of_an_agent_is_enough(node: Node, run: Run, checkout: Path) -> None:
    """With it raw lines are written, and go on to the data stream of their catalogue."""
    text = (checkout / "docs" / "elasticsearch.md").read_text(encoding="utf-8")
    (written,) = re.findall(r'\{"indices": .*"create_doc".*\}', text)
    assert node.login is not None
    _ok(run("--yes", "--pipeline"))
    node.request("PUT", "/_security/role/agent", json.loads(written))
    node.request("PUT", "/_security/user/agent", {"password": "another-of-tests", "roles": ["agent"]})
    with Elasticsearch(node.url, ca_certs=str(node.login.ca), basic_auth=("agent", "another-of-tests")) as client:
        answer = client.bulk(operations=[{"create": {"_index": RAW}}, DOCUMENT])
    (item,) = answer["items"]
    assert item["create"]["status"] == 201
    assert STREAM in item["create"]["_index"]


@pytest.fixture
def role(checkout: Path) -> dict[str, Any]:
    """Return the role that the documentation gives."""
    text = (checkout / "docs" / "elasticsearch.md").read_text(encoding="utf-8")
    found: dict[str, Any] = json.loads(text.partition("```json\n")[2].partition("```")[0])
    return found


def _user(node: Node, role: dict[str, Any]) -> str:
    node.request("PUT", "/_security/role/installer", role)
    node.request("PUT", "/_security/user/installer", {"password": "another-of-tests", "roles": ["installer"]})
    return "another-of-tests"


def test_the_documented_role_is_enough(node: Node, run: Run, role: dict[str, Any]) -> None:
    """A user with just the role of docs/elasticsearch.md installs, rolls over, upgrades and removes."""
    password = _user(node, role)

    def ours(*options: str, version: str = "2.0.0") -> Result:
        return _ok(run("--yes", *options, user="installer", password=password, version=version))

    assert _plan(ours("--pipeline", version="1.0.0")) == {"create": 8}
    assert _plan(ours("--rollover")) == {"change": 8}
    assert _plan(ours()) == {"same": 8}
    assert _plan(ours("--remove")) == {"remove": 8}
    assert _names(node) == set()


@pytest.mark.parametrize(
    ("privilege", "options"),
    [
        ("monitor", []),
        ("manage_index_templates", []),
        ("manage_ingest_pipelines", []),
        ("manage_ilm", ["--remove"]),
        ("manage_ilm", ["--ilm"]),
    ],
)
def test_a_missing_privilege_is_named(
    node: Node, run: Run, role: dict[str, Any], privilege: str, options: list[str]
) -> None:
    """Each privilege of the documented role is needed: without it the run ends before it begins, and says which."""
    cluster = [one for one in role["cluster"] if one != privilege]
    password = _user(node, {**role, "cluster": cluster})
    refused = run("--yes", *options, user="installer", password=password)
    assert refused.exit_code == 1
    assert f"cluster privilege {privilege}" in str(refused.exception)
    assert _names(node) == set()


def test_privileges_on_data_streams_are_named(node: Node, run: Run, role: dict[str, Any]) -> None:
    """So is what is missing on the data streams."""
    password = _user(node, {"cluster": role["cluster"]})
    for options, privilege in ([], "view_index_metadata"), (["--rollover"], "manage"):
        refused = run("--yes", *options, user="installer", password=password)
        assert refused.exit_code == 1
        assert f"missing: {privilege} on logs-lexilog.*-*" in str(refused.exception)


def test_an_api_key_is_enough(node: Node, run: Run, tmp_path: Path) -> None:
    """Both forms of a key are taken, from a file too."""
    assert node.login is not None
    key = node.request("POST", "/_security/api_key", {"name": "installer"})
    file = tmp_path / "key"
    file.write_text(key["encoded"] + "\n")
    for given in (f"${{file:{file}}}", f"{key['id']}:{key['api_key']}"):
        options = ["--url", node.url, "--ca", str(node.login.ca), "--api-key", given, "--dry-run"]
        done = CliRunner().invoke(cli, ["install", "elasticsearch", *options])
        assert done.exit_code == 3, done.output


def test_a_wrong_password(node: Node, run: Run) -> None:
    """It is told that nobody was let in; the password is not."""
    refused = run("--yes", password="not-the-one-of-tests")
    assert refused.exit_code == 1
    assert "does not let us in (HTTP 401)" in str(refused.exception)
    assert "not-the-one-of-tests" not in refused.output + str(refused.exception)


def test_an_unknown_authority(node: Node) -> None:
    """Where the node's certificate is signed by nobody known --ca is named, and no password has been sent."""
    arguments = ["install", "elasticsearch", "--url", node.url, "--user", "elastic", "--password", "x", "--dry-run"]
    refused = CliRunner().invoke(cli, arguments)
    assert refused.exit_code == 1
    assert "give the certificate of its authority with --ca FILE" in str(refused.exception)


def test_http_to_a_node_with_tls(node: Node) -> None:
    """A node that speaks TLS alone hangs up: https is proposed."""
    arguments = ["install", "elasticsearch", "--url", node.url.replace("https", "http"), "--dry-run"]
    refused = CliRunner().invoke(cli, arguments)
    assert refused.exit_code == 1
    assert "is it https://" in str(refused.exception)
