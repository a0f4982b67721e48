"""`lexilog install elasticsearch` on doubles of Elasticsearch and Kibana: what it asks, says and answers.

What a real node makes of it is in tests/e2e/elasticsearch/test_install.py.
"""

from __future__ import annotations

import base64
import re
import socket
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from elastic_doubles import ElasticsearchDouble
from install_command import META, Run, failed, told
from kibana_double import KibanaDouble
from lexilog.cli import cli
from lexilog.cli._install import has_terminal
from lexilog.install.elasticsearch import Cluster


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
    failed(run(), "give --yes, or --dry-run to only look", 2)
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
    failed(done, "HTTP 400: composable template invalid: Unknown type [x]\n2 of 3 steps are done")
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
    """The hint names the data streams that may have other mappings; --rollover is the remedy, and needs `manage`."""
    run("--yes")
    double.streams = ["logs-lexilog.a-default"]
    assert "may have other mappings" not in run("--yes").stderr
    assert "rollover of logs-lexilog.a-default" in run("--yes", "--no-lifecycle").stderr
    assert run("--dry-run", "--rollover").exit_code == 3
    assert run("--yes", "--rollover").exit_code == 0
    assert double.changes[-1] == "POST /logs-lexilog.a-default/_rollover?lazy=true"


def test_data_streams_of_others_are_not_rolled_over(run: Run, double: ElasticsearchDouble) -> None:
    """A data stream that a template of others makes is theirs, whatever it is called."""
    body = {"index_patterns": ["logs-lexilog.theirs-*"], "priority": 500, "data_stream": {}}
    double.objects["/_index_template", "theirs"] = body
    double.streams = ["logs-lexilog.a-default", "logs-lexilog.theirs-default"]
    assert run("--yes", "--rollover").exit_code == 0
    rolled = [one for one in double.changes if "_rollover" in one]
    assert rolled == ["POST /logs-lexilog.a-default/_rollover?lazy=true"]


def test_a_new_template_for_a_data_stream_that_is_there(run: Run, double: ElasticsearchDouble) -> None:
    """A raw data stream that is older than the ingest pipeline gets it with its next index alone: this is told."""
    run("--yes")
    double.streams = ["logs-lexilog.a-default", "logs-lexilog.raw-default"]
    assert "rollover of logs-lexilog.raw-default:" in run("--yes", "--pipeline").stderr


def test_data_streams_without_a_lifecycle_get_one(run: Run, double: ElasticsearchDouble) -> None:
    """A template gives its lifecycle to later data streams alone: those that are there get it as steps of their own."""
    run("--yes", "--no-lifecycle")
    double.streams, double.lifecycles = ["logs-lexilog.a-default", "logs-lexilog.b-default"], {}
    double.lifecycles["logs-lexilog.b-default"] = {"data_retention": "7d"}
    assert "lifecycle of data stream" not in run("--dry-run").stdout
    done = run("--dry-run", "--dsl")
    assert "+ create  lifecycle of data stream logs-lexilog.a-default\n" in done.stdout
    assert run("--yes", "--dsl").exit_code == 0
    assert double.lifecycles == {
        "logs-lexilog.a-default": {"enabled": True},
        "logs-lexilog.b-default": {"data_retention": "7d"},
    }
    assert "lifecycle of data stream" not in run("--dry-run").stdout


def test_what_changes_while_it_asks(run: Run, double: ElasticsearchDouble, monkeypatch: pytest.MonkeyPatch) -> None:
    """A yes is to what was shown: where that is no longer so nothing is done."""
    monkeypatch.setattr("click.testing._NamedTextIOWrapper.isatty", lambda _self: True)

    def confirm(*_arguments: Any, **_options: Any) -> bool:
        double.objects["/_component_template", "lexilog@ecs"] = {"template": {}, "_meta": META}
        return True

    monkeypatch.setattr("click.confirm", confirm)
    failed(run(), "somebody has changed something meanwhile; nothing was done")
    assert double.changes == []


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_a_cut_tells_how_far_it_came(
    run: Run, double: ElasticsearchDouble, monkeypatch: pytest.MonkeyPatch, error: type[BaseException]
) -> None:
    """So it is with Ctrl-C, and where nobody reads what is printed."""
    real = Cluster.put

    def put(self: Cluster, kind: str, name: str, body: Any) -> None:
        if kind == "index_template":
            raise error
        real(self, kind, name, body)

    monkeypatch.setattr(Cluster, "put", put)
    done = run("--yes")
    assert "lexilog: cut off: 2 of 3 steps are done; run this again with the same options" in done.stderr


def test_what_not_all_nodes_have_confirmed_is_not_done(run: Run, double: ElasticsearchDouble) -> None:
    """An answer that says so is no success."""
    double.broken["PUT /_component_template/lexilog@dsl"] = (200, {"acknowledged": False})
    failed(run("--yes"), "not all nodes have confirmed it in time\n1 of 3 steps are done")


def test_a_catalogue_is_not_forgotten(run: Run, double: ElasticsearchDouble) -> None:
    """A catalogue that the pipeline there knows goes only with --force: a run without --catalog would lose it."""
    run("--yes", "--pipeline")
    step = {"script": {"source": "", "params": {"catalogs": {"own": {}}}}}
    double.objects["/_ingest/pipeline", "lexilog"]["processors"] = [step]
    failed(run("--yes"), "knows the catalogue own, and this run does not: name it with --catalog")
    assert run("--yes", "--force").exit_code == 0


def test_a_pipeline_that_was_loaded_by_hand_is_kept_up_to_date(run: Run, double: ElasticsearchDouble) -> None:
    """Where the pipeline is there and ours, its template belongs to it."""
    double.objects["/_ingest/pipeline", "lexilog"] = {"processors": [], "_meta": META}
    assert "+ create  index template lexilog-raw" in run("--dry-run").stdout


def test_without_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where it is closed there is nobody to ask."""
    monkeypatch.setattr("lexilog.cli._install.sys.stdin", None)
    assert has_terminal() is False


def test_remove_takes_back_what_was_made(run: Run, double: ElasticsearchDouble) -> None:
    """All of it goes, in reverse order, and nothing else; what the cluster keeps is told, and the rest still goes."""
    run("--yes", "--pipeline")
    double.objects["/_component_template", "lexilog@custom"] = {"template": {}}
    assert run("--remove", "--dry-run").exit_code == 3
    double.broken["DELETE /_ingest/pipeline"] = (400, {"error": {"reason": "it is the default pipeline"}})
    double.requests.clear()
    done = run("--remove", "--yes")
    failed(done, "it is the default pipeline")
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
    assert done.exit_code == 0, told(done)
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
        failed(run("--yes", "--kibana-url", f"http://127.0.0.1:{unused.getsockname()[1]}"), "nothing listens there")
    assert double.changes == []


def test_who_may_not_write_to_kibana_is_told_first(run: Run, double: ElasticsearchDouble, kibana: KibanaDouble) -> None:
    """Where Kibana would refuse the dashboards nothing is made in the cluster either."""
    kibana.broken["POST /api/core/capabilities"] = (200, {"savedObjectsManagement": {"edit": False}})
    failed(run("--yes", "--kibana-url", kibana.url), "lack *all* on Saved Objects Management")
    assert double.changes == []


def test_alerts_need_to_read(run: Run, double: ElasticsearchDouble, kibana: KibanaDouble) -> None:
    """A rule reads as the one who has saved it: who may not read is told before it is saved."""
    double.missing = {"read"}
    failed(run("--yes", "--kibana-url", kibana.url, "--alerts"), "missing: read on logs-lexilog.*-*")
    assert run("--yes", "--kibana-url", kibana.url).exit_code == 0


def test_a_cluster_without_ilm(run: Run, double: ElasticsearchDouble) -> None:
    """This is told before anything is made; the other lifecycles are named."""
    double.broken["GET /_ilm"] = (400, {"error": "no handler found for uri [/_ilm/policy/x] and method [GET]"})
    failed(run("--yes", "--ilm"), "has no ILM; use --dsl or --no-lifecycle")
    assert double.changes == []


def test_missing_privileges_are_named(run: Run, double: ElasticsearchDouble) -> None:
    """All that is missing is told at once, and nothing is done."""
    double.missing = {"manage_index_templates", "manage_ilm", "view_index_metadata"}
    said = "user 'installer' may not do this; missing: cluster privilege manage_index_templates, "
    failed(run("--yes"), said + "view_index_metadata on logs-lexilog.*-*; docs/elasticsearch.md")
    double.missing = {"manage_ilm"}
    failed(run("--yes", "--ilm"), "missing: cluster privilege manage_ilm")
    assert double.changes == []
    assert run("--yes").exit_code == 0
    double.missing = set()
    assert run("--yes", "--ilm").exit_code == 0
    double.missing = {"manage_ilm"}
    failed(run("--yes"), "missing: cluster privilege manage_ilm")


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
    failed(run("--yes", "--ilm"), "serverless has no ILM; use --dsl or --no-lifecycle")
    assert run("--yes").exit_code == 0
    assert run("--yes", "--remove").exit_code == 0


@pytest.mark.parametrize("number", ["7.17.29", "8.14.3"])
def test_a_version_that_is_too_old(run: Run, double: ElasticsearchDouble, number: str) -> None:
    """The version and the oldest that will do are told."""
    double.version = {"number": number}
    failed(run("--yes"), f"is Elasticsearch {number}, which is too old: upgrade it to 8.15 or newer")


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
    failed(run("--yes"), said)


def test_no_such_name_and_nobody_there(run: Run) -> None:
    """A name that there is not, and a port where nobody listens, are told apart."""
    failed(run(url="http://no-such-host.example:9200"), "there is no such name")
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        failed(run(url=f"http://127.0.0.1:{unused.getsockname()[1]}"), "nothing listens there")


def test_https_to_a_server_without_tls(run: Run, double: ElasticsearchDouble) -> None:
    """What answers there speaks no TLS: http is proposed."""
    failed(run(url=double.url.replace("http", "https")), "is it http:// instead of https://?")


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
        (["--url", "http://a", "--api-key", "schlüssel"], "cannot be sent"),
        (["--url", "http://a", "--user", "me:secret"], "--user has a colon"),
    ],
)
def test_bad_usage(options: list[str], said: str) -> None:
    """Options that make no sense together are told before anything is asked of anybody: exit code 2."""
    failed(CliRunner().invoke(cli, ["install", "elasticsearch", *options]), said, 2)


def test_a_cloud_id_names_the_cluster() -> None:
    """The address of Elasticsearch is what stands in it; it is asked with TLS."""
    inner = base64.b64encode(b"no-such-cloud.example:9243$abc$def").decode()
    failed(
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
