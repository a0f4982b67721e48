"""Who asks, where, and with which secret: what `lexilog install elasticsearch` sends, and what it never tells."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
from click.testing import CliRunner

from elastic_doubles import ElasticsearchDouble
from install_command import Run, failed, told
from lexilog.cli import cli

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
        assert ("no to *** and ***" in told(done)) is (status in (400, 500))
        assert [secret for secret in SECRETS if secret in told(done)] == []


def test_secrets_come_from_files_and_the_environment(run: Run, double: ElasticsearchDouble, tmp_path: Path) -> None:
    """A password or key need not stand on the command line."""
    (tmp_path / "pw").write_text("s3cr3t-of-tests\n")
    double.password = f"Basic {SECRETS[1]}"
    login = ["--dry-run", "--user", "me"]
    assert run(*login, "--password", f"${{file:{tmp_path / 'pw'}}}").exit_code == 3
    assert run(*login, "--password", "${PW}", env={"PW": "s3cr3t-of-tests"}).exit_code == 3
    assert run(*login, env={"LEXILOG_INSTALL_ELASTICSEARCH_PASSWORD": "s3cr3t-of-tests"}).exit_code == 3
    failed(run(*login, "--password", "${NO_SUCH}"), "the environment variable NO_SUCH is not set", 2)
    double.password = f"ApiKey {SECRETS[1]}"
    assert run("--dry-run", env={"LEXILOG_INSTALL_ELASTICSEARCH_API_KEY": "me:s3cr3t-of-tests"}).exit_code == 3


def test_the_password_is_asked_for(run: Run, double: ElasticsearchDouble, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a terminal it is asked for, and not shown."""
    failed(run("--user", "me"), "--user needs --password where there is no terminal to ask on", 2)
    monkeypatch.setattr("click.testing._NamedTextIOWrapper.isatty", lambda _self: True)
    double.password = f"Basic {SECRETS[1]}"
    done = run("--dry-run", "--user", "me", input="s3cr3t-of-tests\n")
    assert done.exit_code == 3
    assert "Password of me" in done.stderr
    assert "s3cr3t" not in done.output


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--cloud-id", "no"], "--cloud-id: is none"),
        (["--url", "es1.example:9200"], "is no URL of a server"),
        (["--url", "https://"], "is no URL of a server"),
        (["--url", "https://h:99999"], "is no URL of a server"),
        (["--url", "https://me:s3cr3t@es1.example"], "--url: holds a user name or password"),
        (["--url", "me:s3cr3t@es1.example:9200"], "--url: holds a user name or password"),
        (["--url", "https://me:12?s3cr3t@es1.example"], "--url: holds a user name or password"),
        (
            ["--url", "http://es1.example", "--api-key", "s3cr3t"],
            "http://es1.example would send the login where others",
        ),
        (["--url", "es1.example:9200", "--ca", "x"], "is no URL of a server"),
        (["--url", "HTTPS://es1.example", "--ca", "/no/such"], "--ca /no/such: cannot be read as PEM certificates"),
        (["--url", "https://es1.example", "--ca", "/no/such"], "--ca /no/such: cannot be read as PEM certificates"),
    ],
)
def test_bad_addresses(options: list[str], said: str) -> None:
    """An address or a certificate that cannot be used is told with its option, and without a password in it."""
    done = CliRunner().invoke(cli, ["install", "elasticsearch", *options])
    failed(done, said)
    assert "s3cr3t" not in told(done)


def test_a_login_over_http_is_asked_for() -> None:
    """In a network of one's own the login may go without TLS: with --allow-http the server is asked."""
    options = ["--url", "http://no-such-host.example:9200", "--api-key", "s3cr3t", "--allow-http", "--dry-run"]
    failed(CliRunner().invoke(cli, ["install", "elasticsearch", *options]), "there is no such name")


def test_a_server_moves_no_terminal(run: Run, double: ElasticsearchDouble) -> None:
    """What a terminal would act upon in a server's words is left out."""
    double.broken["GET /"] = (500, {"error": {"reason": "a\x1b]0;b\x07c"}})
    done = run("--dry-run")
    failed(done, "a ]0;b c")


def test_a_redirect_is_told(run: Run, double: ElasticsearchDouble, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that names another place is not followed; the place is told."""
    headers = {**ElasticsearchDouble.headers, "location": "https://login.example/"}
    monkeypatch.setattr(ElasticsearchDouble, "headers", headers)
    double.broken["GET /"] = (302, {})
    failed(run("--dry-run"), "it names another place, https://login.example/: give that URL")
