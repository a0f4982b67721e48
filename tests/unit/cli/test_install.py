"""`lexilog install elasticsearch` on doubles of Elasticsearch and Kibana: what it asks, says and answers.

What a real node makes of it is in tests/e2e/elasticsearch/test_install.py.
"""

from __future__ import annotations

import base64
import re
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from elastic_doubles import ElasticsearchDouble, KibanaDouble, serving
from lexilog.cli import cli
from lexilog.compilers.elasticsearch.objects import ClusterObject
from lexilog.compilers.source import Source

Run = Callable[..., Result]

META = {"managed_by": "lexilog", "version": "1.2.0"}
VIEW = {"type": "index-pattern", "id": "v1", "attributes": {"title": "logs-lexilog.*"}, "references": []}
RULE = {"id": "r1", "name": "lexilog: down", "consumer": "stackAlerts", "params": {}, "tags": [], "actions": []}


def _templates(_source: Source, *, lifecycle: str | None, pipeline: bool) -> tuple[ClusterObject, ...]:
    """Stand in for the compiler: one template, its lifecycle, and the one for raw lines."""
    composed = ["lexilog@ecs", *([f"lexilog@{lifecycle}"] if lifecycle else [])]
    parts = [ClusterObject("component_template", name, {"template": {}, "_meta": META}) for name in composed]
    body = {"index_patterns": ["logs-lexilog.*-*"], "priority": 200, "composed_of": composed, "_meta": META}
    raw = {**body, "index_patterns": ["logs-lexilog.raw-*"], "priority": 210}
    policy = [ClusterObject("lifecycle_policy", "lexilog", {"policy": {"phases": {}, "_meta": META}})]
    names = [("lexilog", body), *([("lexilog-raw", raw)] if pipeline else [])]
    made = [ClusterObject("index_template", name, one) for name, one in names]
    return (*(policy if lifecycle == "ilm" else []), *parts, *made)


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Put doubles in the place of what compiles the catalogues: what they return is small, and known here."""
    pipeline = ClusterObject("ingest_pipeline", "lexilog", {"processors": [], "_meta": META})
    monkeypatch.setattr("lexilog.cli.install.load_source", lambda _paths: Source((), "1.2.0"))
    monkeypatch.setattr("lexilog.install.wanted.templates", _templates)
    monkeypatch.setattr("lexilog.install.wanted.pipelines", lambda _source: (pipeline,))
    monkeypatch.setattr("lexilog.cli._install.saved_objects", lambda _source: [VIEW])
    monkeypatch.setattr("lexilog.cli._install.rules", lambda _source, per_row: [{**RULE, "rows": per_row}])


@pytest.fixture
def double() -> Iterator[ElasticsearchDouble]:
    """Return a double of a cluster that serves."""
    double = ElasticsearchDouble()
    with serving(double):
        yield double


@pytest.fixture
def kibana() -> Iterator[KibanaDouble]:
    """Return a double of Kibana that serves."""
    double = KibanaDouble()
    with serving(double):
        yield double


@pytest.fixture
def run(double: ElasticsearchDouble) -> Run:
    """Return a function that runs the command on the double."""

    def run(*options: str, url: str = double.url, **settings: Any) -> Result:
        return CliRunner().invoke(cli, ["install", "elasticsearch", "--url", url, *options], **settings)

    return run


def _said(done: Result) -> str:
    """Return all that was said, the error that the command line prints too."""
    return done.output + str(done.exception or "")


def _failed(done: Result, said: str, code: int = 1) -> None:
    assert done.exit_code == code, _said(done)
    assert said in _said(done)
    assert "Traceback" not in _said(done)


def test_dry_run_tells_and_does_nothing(run: Run, double: ElasticsearchDouble) -> None:
    """Exit code 3 says that something would change, 0 that nothing would; nothing does."""
    done = run("--dry-run")
    assert done.exit_code == 3
    assert done.stdout.splitlines()[1:] == [
        "+ create  component template lexilog@ecs",
        "+ create  component template lexilog@dsl",
        "+ create  index template lexilog",
        "3 to create",
    ]
    assert double.changes == []
    assert run("--yes").exit_code == 0
    assert run("--dry-run").exit_code == 0


def test_a_second_run_asks_and_does_nothing(run: Run, double: ElasticsearchDouble) -> None:
    """Where all is as it should be there is no question, and no request that changes anything."""
    assert run("--yes").exit_code == 0
    done = list(double.changes)
    assert run().exit_code == 0
    assert double.changes == done


def test_without_a_terminal_it_needs_a_yes(run: Run, double: ElasticsearchDouble) -> None:
    """What would change is shown, and then it is told how to say yes."""
    _failed(run(), "give --yes, or --dry-run to only look", 2)
    assert double.changes == []


@pytest.mark.parametrize(("answer", "code", "objects"), [("y\n", 0, 3), ("n\n", 1, 0), ("\n", 1, 0)])
def test_on_a_terminal_it_asks(
    run: Run, double: ElasticsearchDouble, monkeypatch: pytest.MonkeyPatch, answer: str, code: int, objects: int
) -> None:
    """Nothing happens before a yes."""
    monkeypatch.setattr("click.testing._NamedTextIOWrapper.isatty", lambda _self: True)
    done = run(input=answer)
    assert done.exit_code == code
    assert "Do this?" in done.stderr
    assert len(double.objects) == objects


def test_objects_are_made_in_order_and_a_cut_is_told(run: Run, double: ElasticsearchDouble) -> None:
    """What fails ends the run; it is told how far it came, and the next run does the rest."""
    reason = {"error": {"reason": "composable template invalid", "caused_by": {"reason": "Unknown type [x]"}}}
    double.broken["PUT /_index_template"] = (400, reason)
    done = run("--yes")
    _failed(done, "HTTP 400: composable template invalid: Unknown type [x]\n2 of 3 steps are done")
    assert [one.rpartition("/")[2] for one in double.changes] == ["lexilog@ecs", "lexilog@dsl", "lexilog"]
    double.broken.clear()
    assert "1 to create, 2 the same" in run("--yes").stdout


def test_what_is_installed_stays(run: Run) -> None:
    """A run that names no lifecycle and no pipeline keeps those of the run before up to date."""
    assert run("--yes", "--ilm", "--pipeline").exit_code == 0
    done = run("--dry-run")
    assert done.exit_code == 0
    assert "ingest pipeline lexilog\n" in done.stdout
    assert "= same    component template lexilog@ilm" in done.stdout
    assert "lexilog@dsl" not in done.stdout
    done = run("--yes", "--no-lifecycle")
    assert ". keep    lifecycle policy lexilog  (of an earlier run" in done.stdout
    assert ". keep    component template lexilog@ilm" in done.stdout
    assert "2 to change" in done.stdout
    assert "lexilog@dsl" not in run("--dry-run").stdout


def test_data_streams_are_rolled_over_on_demand(run: Run, double: ElasticsearchDouble) -> None:
    """The hint names the data streams that keep their old mappings; --rollover is the remedy, and needs `manage`."""
    run("--yes")
    double.streams = ["logs-lexilog.a-default"]
    assert "keep their old mappings" not in run("--yes").stderr
    assert "rollover of logs-lexilog.a-default" in run("--yes", "--no-lifecycle").stderr
    assert run("--dry-run", "--rollover").exit_code == 3
    assert run("--yes", "--rollover").exit_code == 0
    assert double.changes[-1] == "POST /logs-lexilog.a-default/_rollover?lazy=true"


def test_remove_takes_back_what_was_made(run: Run, double: ElasticsearchDouble) -> None:
    """All of it goes, in reverse order, and nothing else; what the cluster keeps is told, and the rest still goes."""
    run("--yes", "--pipeline")
    double.objects["/_component_template", "lexilog@custom"] = {"template": {}}
    assert run("--remove", "--dry-run").exit_code == 3
    double.broken["DELETE /_ingest/pipeline"] = (400, {"error": {"reason": "it is the default pipeline"}})
    double.requests.clear()
    done = run("--remove", "--yes")
    _failed(done, "it is the default pipeline")
    assert "data are never removed" in done.stderr
    assert [one.rpartition("/")[2] for one in double.changes] == [
        "lexilog", "lexilog-raw", "lexilog", "lexilog@dsl", "lexilog@ecs",
    ]  # fmt: skip
    double.broken.clear()
    assert run("--remove", "--yes").exit_code == 0
    assert list(double.objects) == [("/_component_template", "lexilog@custom")]


def test_dashboards_and_alerts(run: Run, double: ElasticsearchDouble, kibana: KibanaDouble) -> None:
    """With --kibana-url dashboards come too, with --alerts rules; --remove takes both before the templates."""
    options = ("--kibana-url", kibana.url)
    done = run("--yes", *options)
    assert "+ create  data view v1  (logs-lexilog.*)" in done.stdout
    assert (len(kibana.saved), len(kibana.rules)) == (1, 0)
    assert run("--yes", *options, "--alerts").exit_code == 0
    assert kibana.rules["r1"]["rows"] is True
    assert run("--dry-run", *options, "--alerts").exit_code == 0
    done = run("--yes", *options, "--remove")
    assert done.exit_code == 0, _said(done)
    assert (kibana.saved, kibana.rules, double.objects) == ({}, {}, {})
    assert done.stdout.index("data view") < done.stdout.index("index template")


@pytest.mark.parametrize(
    ("version", "rows"), [("8.18.2", False), ("8.19.0", True), ("9.0.3", False), ("9.1.0", True), ("10.0.0", True)]
)
def test_rules_fit_kibana(run: Run, kibana: KibanaDouble, version: str, rows: bool) -> None:
    """A Kibana that cannot make an alert of each row gets rules that it takes."""
    kibana.version = version
    assert run("--yes", "--kibana-url", kibana.url, "--alerts").exit_code == 0
    assert kibana.rules["r1"]["rows"] is rows


def test_kibana_is_looked_at_before_anything_is_changed(run: Run, double: ElasticsearchDouble) -> None:
    """Where Kibana is not there nothing is made in the cluster either."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        _failed(run("--yes", "--kibana-url", f"http://127.0.0.1:{unused.getsockname()[1]}"), "nothing listens there")
    assert double.changes == []


def test_missing_privileges_are_named(run: Run, double: ElasticsearchDouble) -> None:
    """All that is missing is told at once, and nothing is done."""
    double.missing = {"manage_index_templates", "manage_ilm", "view_index_metadata"}
    said = "user 'installer' may not do this; missing: cluster privilege manage_index_templates, "
    _failed(run("--yes"), said + "view_index_metadata on logs-lexilog.*-*; docs/elasticsearch.md")
    double.missing = {"manage_ilm"}
    _failed(run("--yes", "--ilm"), "missing: cluster privilege manage_ilm")
    assert double.changes == []
    assert run("--yes").exit_code == 0
    double.missing = set()
    assert run("--yes", "--ilm").exit_code == 0
    double.missing = {"manage_ilm"}
    _failed(run("--yes"), "missing: cluster privilege manage_ilm")


def test_a_cluster_without_security_is_fine(run: Run, double: ElasticsearchDouble) -> None:
    """It has no such API, and lets everybody do everything; one without ILM has no policies."""
    for path in ("POST /_security", "GET /_ilm"):
        double.broken[path] = (400, {"error": "no handler found for uri [/x] and method [GET]"})
    assert run("--yes").exit_code == 0


def test_what_a_cluster_says_besides_is_told_once(run: Run, double: ElasticsearchDouble) -> None:
    """A warning in a header, such as of a setting that will go, is a note; it comes with many answers."""
    double.warning = "this will go"
    done = run("--yes")
    assert done.exit_code == 0
    assert done.stderr.count("note: Elasticsearch says: this will go") == 1


def test_serverless(run: Run, double: ElasticsearchDouble) -> None:
    """Its version number says nothing, and it has no ILM: this is told before anything is asked for."""
    double.version = {"number": "8.11.0", "build_flavor": "serverless"}
    double.missing = {"manage_ilm"}
    double.broken["GET /_ilm"] = (410, {"error": {"reason": "not available when running in serverless mode"}})
    _failed(run("--yes", "--ilm"), "serverless has no ILM; use --dsl or --no-lifecycle")
    assert run("--yes").exit_code == 0
    assert run("--yes", "--remove").exit_code == 0


@pytest.mark.parametrize("number", ["7.17.29", "8.14.3"])
def test_a_version_that_is_too_old(run: Run, double: ElasticsearchDouble, number: str) -> None:
    """The version and the oldest that will do are told."""
    double.version = {"number": number}
    _failed(run("--yes"), f"is Elasticsearch {number}, which is too old: upgrade it to 8.15 or newer")


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"version": {"distribution": "opensearch", "number": "3.6.0"}}, "this is OpenSearch"),
        ({"hello": "world"}, "this is not Elasticsearch"),
        ("<html>hello</html>", "this is not Elasticsearch"),
    ],
)
def test_what_is_not_elasticsearch(
    run: Run, double: ElasticsearchDouble, monkeypatch: pytest.MonkeyPatch, body: Any, said: str
) -> None:
    """Another product is told apart; for OpenSearch it is told where its templates are."""
    monkeypatch.setattr(ElasticsearchDouble, "headers", {})
    double.broken["GET /"] = (200, body)
    _failed(run("--yes"), said)


def test_no_such_name_and_nobody_there(run: Run) -> None:
    """A name that there is not, and a port where nobody listens, are told apart."""
    _failed(run(url="http://no-such-host.example:9200"), "there is no such name")
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        _failed(run(url=f"http://127.0.0.1:{unused.getsockname()[1]}"), "nothing listens there")


def test_https_to_a_server_without_tls(run: Run, double: ElasticsearchDouble) -> None:
    """What answers there speaks no TLS: http is proposed."""
    _failed(run(url=double.url.replace("http", "https")), "is it http:// instead of https://?")


SECRETS = ("s3cr3t-of-tests", base64.b64encode(b"me:s3cr3t-of-tests").decode())


@pytest.mark.parametrize("status", [400, 401, 403, 500])
def test_no_secret_is_told(run: Run, double: ElasticsearchDouble, status: int) -> None:
    """A server that repeats the login in its error makes us repeat nothing."""
    double.broken["GET /"] = (status, {"error": {"reason": f"no to {' and '.join(SECRETS)}"}})
    for options in (
        ["--user", "me", "--password", SECRETS[0]],
        ["--api-key", SECRETS[1]],
        ["--api-key", f"me:{SECRETS[0]}"],
    ):
        done = run("--yes", *options)
        assert done.exit_code == 1
        assert ("no to *** and ***" in _said(done)) is (status in (400, 500))
        assert [secret for secret in SECRETS if secret in _said(done)] == []


def test_secrets_come_from_files_and_the_environment(run: Run, double: ElasticsearchDouble, tmp_path: Path) -> None:
    """A password or key need not stand on the command line."""
    (tmp_path / "pw").write_text("s3cr3t-of-tests\n")
    double.password = f"Basic {SECRETS[1]}"
    login = ["--dry-run", "--user", "me"]
    assert run(*login, "--password", f"${{file:{tmp_path / 'pw'}}}").exit_code == 3
    assert run(*login, "--password", "${PW}", env={"PW": "s3cr3t-of-tests"}).exit_code == 3
    assert run(*login, env={"LEXILOG_INSTALL_ELASTICSEARCH_PASSWORD": "s3cr3t-of-tests"}).exit_code == 3
    _failed(run(*login, "--password", "${NO_SUCH}"), "the environment variable NO_SUCH is not set", 2)
    double.password = f"ApiKey {SECRETS[1]}"
    assert run("--dry-run", env={"LEXILOG_INSTALL_ELASTICSEARCH_API_KEY": "me:s3cr3t-of-tests"}).exit_code == 3


def test_the_password_is_asked_for(run: Run, double: ElasticsearchDouble, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a terminal it is asked for, and not shown."""
    _failed(run("--user", "me"), "--user needs --password where there is no terminal to ask on", 2)
    monkeypatch.setattr("click.testing._NamedTextIOWrapper.isatty", lambda _self: True)
    double.password = f"Basic {SECRETS[1]}"
    done = run("--dry-run", "--user", "me", input="s3cr3t-of-tests\n")
    assert done.exit_code == 3
    assert "Password of me" in done.stderr
    assert "s3cr3t" not in done.output


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ([], "give one of --url and --cloud-id"),
        (["--url", "http://a", "--cloud-id", "a:b"], "give one of --url and --cloud-id"),
        (["--url", "http://a", "--kibana-url", "http://b", "--ca", "x"], "--ca is for https, and no URL is"),
        (["--url", "http://a", "--remove", "--rollover"], "--remove takes all of it back"),
        (["--url", "http://a", "--alerts"], "--alerts and --kibana-space need --kibana-url"),
        (["--url", "http://a", "--api-key", "a", "--user", "b"], "give one of --api-key and --user"),
        (["--url", "http://a", "--password", "a"], "--password needs --user"),
        (["--url", "http://a", "--api-key", "a\nb"], "cannot be sent"),
    ],
)
def test_bad_usage(options: list[str], said: str) -> None:
    """Options that make no sense together are told before anything is asked of anybody: exit code 2."""
    _failed(CliRunner().invoke(cli, ["install", "elasticsearch", *options]), said, 2)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--cloud-id", "no"], "--cloud-id: is none"),
        (["--url", "es1.example:9200"], "is no URL of a server"),
        (["--url", "https://"], "is no URL of a server"),
        (["--url", "https://h:99999"], "is no URL of a server"),
        (["--url", "https://me:s3cr3t@es1.example"], "--url: holds a user name or password"),
        (["--url", "https://es1.example", "--ca", "/no/such"], "--ca /no/such: cannot be read as PEM certificates"),
    ],
)
def test_bad_addresses(options: list[str], said: str) -> None:
    """An address or a certificate that cannot be used is told with its option, and without a password in it."""
    done = CliRunner().invoke(cli, ["install", "elasticsearch", *options])
    _failed(done, said)
    assert "s3cr3t" not in _said(done)


def test_a_cloud_id_names_the_cluster() -> None:
    """The address of Elasticsearch is what stands in it; it is asked with TLS."""
    inner = base64.b64encode(b"no-such-cloud.example:9243$abc$def").decode()
    _failed(
        CliRunner().invoke(cli, ["install", "elasticsearch", "--cloud-id", f"x:{inner}"]),
        "https://abc.no-such-cloud.example:9243: cannot be reached",
    )


def test_every_option_is_documented(checkout: Path) -> None:
    """docs/elasticsearch.md names each option, and none that there is not."""
    text = (checkout / "docs" / "elasticsearch.md").read_text(encoding="utf-8")
    helped = CliRunner().invoke(cli, ["install", "elasticsearch", "--help"]).stdout
    options = set(re.findall(r"^  (--[a-z-]+)", helped, re.MULTILINE))
    named = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", text))
    assert len(options) > 15
    assert sorted(options - named) == []
    assert sorted(named - options - {"--upgrade", "--check", "--config"}) == []
