"""``lexilog config check``, and what `lexilog serve` makes of file, environment and flags."""

from __future__ import annotations

import re
import socket
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import trustme
import yaml
from click.testing import CliRunner, Result

from lexilog import SettingsError
from lexilog.cli import cli
from lexilog.relay.settings import OtlpSettings
from lexilog.service.settings import LogSettings, Settings

FILE = """\
doors:
  grpc: {listen: "127.0.0.1:4317"}
relays:
  siem: {type: elasticsearch, urls: ["https://es1.example:9200"], api_key: s3cr3t}
  archive: {type: file, path: out.ndjson}
routes:
- {to: [siem], catalog: [juniper_kmd]}
- {to: [archive]}
dead_letters: {path: dead}
"""
TLS = "{cert_file: cert.pem, key_file: key.pem}"
ENTRY = "this: is no catalogue\n"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Return a settings file."""
    path = tmp_path / "lexilog.yaml"
    path.write_text(FILE)
    return path


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Put a double in the place of what loads catalogues: it loads none."""
    monkeypatch.setattr("lexilog.cli.config.make_pipeline", lambda _settings: None)


def _run(*arguments: str | Path, env: dict[str, str] | None = None) -> Result:
    return CliRunner().invoke(cli, [str(one) for one in arguments], env=env)


def _check(*arguments: str | Path, env: dict[str, str] | None = None) -> dict[str, Any]:
    """Return the settings that `config check` shows."""
    done = _run("config", "check", *arguments, env=env)
    assert done.exit_code == 0, done.output
    shown: dict[str, Any] = yaml.safe_load(done.stdout)
    return shown


def _problem(*arguments: str | Path, env: dict[str, str] | None = None) -> str:
    """Return the mistake that `config check` finds."""
    done = _run("config", "check", *arguments, env=env)
    assert (done.exit_code, done.stdout) == (2, "")
    assert "s3cr3t" not in done.output
    return " ".join(done.stderr.split()).partition("Error: ")[2]


def test_what_is_in_effect_is_shown(file: Path) -> None:
    """Standard output is the settings, with defaults and without secrets; standard error says what was not tried."""
    done = _run("config", "check", "--config", file, "--set", "workers=2", env={"LEXILOG__GRACE": "3"})
    assert done.exit_code == 0
    assert "s3cr3t" not in done.output
    shown = yaml.safe_load(done.stdout)
    assert (shown["workers"], shown["grace"], shown["timezone"]) == (2, 3.0, "UTC")
    assert shown["relays"]["siem"]["api_key"] == "***"
    assert "workers: 2  # from --set workers\n" in done.stdout
    assert done.stderr == "the settings make sense; not tried: to bind addresses, to reach relays, to write files\n"


@pytest.mark.usefixtures("quick")
def test_nothing_is_bound_reached_or_written(file: Path) -> None:
    """The server may run meanwhile, its next hops may be away, and no file is made."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        assert _check("--config", file, "--listen", f"127.0.0.1:{taken.getsockname()[1]}")
    assert [path.name for path in file.parent.iterdir()] == ["lexilog.yaml"]


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("api_key", "apikey", "lexilog.yaml:4:67: key 'apikey' is not known here; is 'api_key' meant?"),
        ("juniper_kmd", "juniper_kdm", "lexilog.yaml:6:1: routes: there is no catalogue 'juniper_kdm'"),
        ("dead_letters", "catalogs: [own.yaml]\ndead_letters", "own.yaml:1:1: "),
        ("dead_letters", "catalogs: [nowhere.yaml]\ndead_letters", "nowhere.yaml"),
        ("s3cr3t", "s3cr3t, ca_file: own.yaml", "lexilog.yaml:4:3: relay siem: ca_file "),
        ('4317"', f'4317", tls: {TLS}', "lexilog.yaml:2:36: doors.grpc.tls.cert_file: "),
        ('4317"', '4317", tokens_file: nowhere', "lexilog.yaml:2:36: doors.grpc.tokens_file: "),
        ('4317"', '4317", tokens_file: own.yaml', "lexilog.yaml:2:36: doors.grpc.tokens_file: "),
        ('4317"', '4317", tokens: [s3cr3t s3cr3t s3cr3t]', "lexilog.yaml:2:36: doors.grpc.tokens: number 1: "),
        ("127.0.0.1", "0.0.0.0", "lexilog.yaml:2:10: listen: 0.0.0.0:4317 can be reached from other machines"),
    ],
)
def test_a_mistake_is_named_with_its_place(old: str, new: str, problem: str, file: Path) -> None:
    """Exit code 2, and file, line and key; what the settings name is read, and wrong files are found."""
    (file.parent / "own.yaml").write_text(ENTRY)
    file.write_text(FILE.replace(old, new, 1))
    assert problem in _problem("--config", file)


@pytest.mark.usefixtures("quick")
def test_certificates_are_read(file: Path, tmp_path: Path) -> None:
    """A key that is not that of the certificate is found before the server starts."""
    one, other = trustme.CA().issue_cert("one.example"), trustme.CA().issue_cert("other.example")
    one.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
    one.private_key_pem.write_to_path(tmp_path / "key.pem")
    file.write_text(FILE.replace('4317"', f'4317", tls: {TLS}'))
    shown = _check("--config", file)
    assert shown["doors"]["grpc"]["tls"]["key_file"] == str(tmp_path / "key.pem")
    other.private_key_pem.write_to_path(tmp_path / "key.pem")
    assert "doors.grpc.tls: " in _problem("--config", file)


@pytest.mark.usefixtures("quick")
def test_a_certificate_in_the_place_of_the_key(file: Path, tmp_path: Path) -> None:
    """Swapped files are named for what they do not hold."""
    leaf = trustme.CA().issue_cert("one.example")
    leaf.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
    leaf.private_key_pem.write_to_path(tmp_path / "key.pem")
    file.write_text(FILE.replace('4317"', '4317", tls: {cert_file: key.pem, key_file: key.pem}'))
    assert f"cert_file: {tmp_path / 'key.pem'}: holds no certificate in PEM" in _problem("--config", file)
    file.write_text(FILE.replace('4317"', '4317", tls: {cert_file: cert.pem, key_file: cert.pem}'))
    assert f"key_file: {tmp_path / 'cert.pem'}: holds no private key in PEM" in _problem("--config", file)


@pytest.mark.usefixtures("quick")
def test_files_that_are_worth_a_warning(file: Path, tmp_path: Path) -> None:
    """Certificates that end soon or have, keys and tokens that everybody may read; of a door and of a relay."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    leaf = authority.issue_cert("one.example", not_after=datetime.now(UTC) + timedelta(days=13))
    leaf.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
    leaf.private_key_pem.write_to_path(tmp_path / "key.pem")
    (tmp_path / "tokens").write_text("s3cr3t-s3cr3t-s3cr3t")
    relay = f'https://es1.example:9200"], ca_file: ca.pem, {TLS[1:-1]}'
    text = FILE.replace('4317"', f'4317", tls: {TLS}, tokens_file: tokens')
    file.write_text(text.replace('https://es1.example:9200"]', relay))
    for path in tmp_path.iterdir():
        path.chmod(0o600)
    places = ("doors.grpc.tls", "relays.siem")
    assert _warnings(file) == [f"{place}.cert_file" for place in places]
    leaf = authority.issue_cert("one.example", not_after=datetime.now(UTC) + timedelta(days=15))
    (tmp_path / "cert.pem").write_bytes(leaf.cert_chain_pems[0].bytes())
    (tmp_path / "key.pem").write_bytes(leaf.private_key_pem.bytes())
    assert _warnings(file) == []
    for path in tmp_path.iterdir():
        path.chmod(0o644)
    assert _warnings(file) == ["doors.grpc.tls.key_file", "doors.grpc.tokens_file", "relays.siem.key_file"]


def _warnings(file: Path) -> list[str]:
    """Return the settings of which `config check` warns."""
    done = _run("config", "check", "--config", file)
    assert done.exit_code == 0, done.output
    assert "s3cr3t" not in done.output
    return re.findall(r"^warning: (\S+): /", done.stderr, re.MULTILINE)


@pytest.mark.usefixtures("quick")
def test_what_traces_need_is_looked_for(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Traces are begun and ended again without a request; what is missing for them is named with its place."""
    file.write_text(f"traces: {{endpoint: 'http://127.0.0.1:4317'}}\n{FILE}")
    ended: list[str] = []
    monkeypatch.setattr("lexilog.cli.config.set_up_tracing", lambda told: lambda: ended.append(told.endpoint))
    assert _check("--config", file)["traces"]["ratio"] == 0.01
    assert ended == ["http://127.0.0.1:4317"]

    def fail(_settings: object) -> None:
        raise SettingsError("traces: the SDK is not there")

    monkeypatch.setattr("lexilog.cli.config.set_up_tracing", fail)
    assert _problem("--config", file) == f"{file}:1:1: traces: the SDK is not there"


@pytest.mark.usefixtures("quick")
def test_a_variable_that_names_no_setting_is_refused() -> None:
    """It would be ignored without a word otherwise; what Kubernetes sets for a service of that name is ignored."""
    problem = "environment variable LEXILOG__WORKRES: there is no setting 'workres'; is 'workers' meant?"
    assert _problem(env={"LEXILOG__WORKRES": "2"}) == problem
    environ = {"LEXILOG_PORT": "tcp://192.0.2.1:4317", "LEXILOG_SERVICE_HOST": "192.0.2.1", "LEXILOG_SERVE_PORT": "1"}
    for name in ("SERVICE_HOST", "SERVICE_PORT", "SERVICE_PORT_OTLP", "PORT_4317_TCP", "PORT_4317_TCP_ADDR"):
        environ[f"LEXILOG_SERVE_{name}"] = "192.0.2.1"
    assert _check(env=environ) == _check()


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        (
            "SET",
            "there is no such option: --set has none; settings have variables of their own, such as LEXILOG__DOORS_",
        ),
        ("LISTN", "there is no such option; is 'LEXILOG_SERVE_LISTEN' meant?"),
        ("CATALOGS", "there is no such option; is 'LEXILOG_CATALOG' meant?"),
        ("PORT_GRPC", "there is no such option; "),
    ],
)
def test_a_variable_that_is_of_no_flag_is_refused(name: str, problem: str) -> None:
    """It would be ignored without a word; the error has the name that may be meant."""
    found = _problem(env={f"LEXILOG_SERVE_{name}": "workers=2"})
    assert found.startswith(f"environment variable LEXILOG_SERVE_{name}: {problem}")


@pytest.mark.parametrize(
    ("flag", "value", "variable", "setting", "shown"),
    [
        ("--listen", "127.0.0.1:7", "LEXILOG_SERVE_LISTEN", "doors.grpc.listen", "127.0.0.1:7"),
        ("--timezone", "Europe/Oslo", "LEXILOG_SERVE_TIMEZONE", "timezone", "Europe/Oslo"),
        ("--log-level", "debug", "LEXILOG_SERVE_LOG_LEVEL", "log.level", "debug"),
        ("--csv-columns", "TIMESTAMP, INFO_MSG", "LEXILOG_SERVE_CSV_COLUMNS", "csv_columns", ["TIMESTAMP", "INFO_MSG"]),
    ],
)
@pytest.mark.usefixtures("quick")
def test_a_named_flag_is_a_layer(flag: str, value: str, variable: str, setting: str, shown: object, file: Path) -> None:
    """A flag counts more than the file and the environment; its variable more than the file; --set more than both."""

    def found(*arguments: str, env: dict[str, str] | None = None) -> Any:
        value: Any = _check("--config", file, *arguments, env=env)
        for step in setting.split("."):
            value = value[step]
        return value

    others = {
        "doors.grpc.listen": "127.0.0.1:8", "timezone": "Europe/Rome", "log.level": "error",
        "csv_columns": "[TIMESTAMP, SITUATION]",
    }  # fmt: skip
    other = yaml.safe_load(others[setting])
    lower = {f"LEXILOG__{setting.upper().replace('.', '__')}": others[setting]}
    assert found() not in (shown, other)
    assert found(flag, value) == found(flag, value, env=lower) == shown
    assert found(env={variable: value}) == shown
    assert found(env={variable: value, **lower}) == other
    assert found(flag, value, "--set", f"{setting}={others[setting]}") == other
    assert found("--set", f"{setting}={others[setting]}", env={variable: value}) == other


@pytest.mark.usefixtures("quick")
def test_a_relay_in_a_flag_takes_the_place_of_all_others(file: Path) -> None:
    """Relays and routes of the file are gone, dead letters stay; the relay can be told more."""
    file.write_text(FILE.replace("s3cr3t", "'${LEXILOG_TEST_NOT_SET}'"))
    flags = ("--relay", "otlp://back.example:1", "--shape", "attributes", "--set", "relays.relay.timeout=3")
    shown = _check("--config", file, *flags)
    relay = shown["relays"].pop("relay")
    assert (shown["relays"], shown["routes"]) == ({}, [])
    assert (relay["type"], relay["endpoint"], relay["shape"]) == ("otlp", "back.example:1", "attributes")
    assert relay["timeout"] == 3.0
    assert shown["dead_letters"]["path"] == str(file.parent / "dead")
    path = _check("--relay", "file:out.ndjson")["relays"]["relay"]["path"]
    assert path == str(Path("out.ndjson").absolute())


def test_catalogues_of_flags_take_the_place_of_those_of_the_file(file: Path, tmp_path: Path) -> None:
    """--catalog and LEXILOG_CATALOG replace the list, and are read."""
    own = tmp_path / "own"
    own.mkdir()
    file.write_text(f"catalogs: [nowhere]\n{FILE}")
    problem = f"{file}:1:12: catalogs: {tmp_path / 'nowhere'}: there is no such file or directory"
    assert _problem("--config", file) == problem
    problem = f"{own}:1:1: this directory holds no catalogue"
    assert _problem("--config", file, "--catalog", own).startswith(problem)
    assert _problem("--config", file, env={"LEXILOG_CATALOG": str(own)}).startswith(problem)


@pytest.mark.parametrize(
    ("arguments", "variable", "problem"),
    [
        (["--listen", "x"], ("LEXILOG_SERVE_LISTEN", "x"), "listen: 'x' is no HOST:PORT"),
        (["--timezone", "No/where"], ("LEXILOG_SERVE_TIMEZONE", "No/where"), "timezone: 'No/where' is no IANA"),
        (["--relay", "kafka://x"], ("LEXILOG_SERVE_RELAY", "kafka://x"), "relay: 'kafka://x' is none of otlp://"),
        (["--shape", "dots"], ("LEXILOG_SERVE_SHAPE", "dots"), "goes with --relay"),
        (["--log-level", "loud"], ("LEXILOG_SERVE_LOG_LEVEL", "loud"), "level: Invalid enum value 'loud'; it is"),
        (["--csv-columns", "a,b"], ("LEXILOG_SERVE_CSV_COLUMNS", "a,b"), "csv_columns: these name no time"),
    ],
)  # fmt: skip
@pytest.mark.usefixtures("quick")
def test_a_mistake_names_the_flag_or_its_variable(
    arguments: list[str], variable: tuple[str, str], problem: str
) -> None:
    """A value from the environment is not blamed on a flag that nobody gave."""
    assert _problem(*arguments).startswith(f"{arguments[0]}: {problem}")
    assert _problem(env=dict([variable])).startswith(f"environment variable {variable[0]}: {problem}")


@pytest.mark.usefixtures("quick")
def test_the_shape_of_a_relay_is_its_own() -> None:
    """What a relay cannot be told is blamed on the flag that says it."""
    flags = ("--relay", "otlp://back.example:1", "--shape", "dots")
    assert _problem(*flags).startswith("--shape: shape: Invalid enum value 'dots'; it is one of attributes, document")
    assert _problem("--relay", "stdout", "--shape", "document").startswith("--shape: key 'shape' is not known here")
    assert _problem("--relay", "").startswith("--relay: relay: '' is none of otlp://HOST:PORT")


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[Settings, LogSettings]]:
    """Return a function that runs `lexilog serve`, and returns what server and log are told.

    In their place are doubles that keep their settings; the server's opens nothing.
    """
    told: dict[str, Any] = {}

    async def serve(settings: Settings, settings_file: Path | None) -> int:
        told.update(settings=settings, file=settings_file)
        return 0

    module = "lexilog.cli.serve"
    monkeypatch.setattr(f"{module}.run", serve)
    monkeypatch.setattr(f"{module}.set_up_logging", lambda settings: told.update(log=settings))

    def run(*arguments: str | Path, env: dict[str, str] | None = None) -> tuple[Settings, LogSettings]:
        done = _run("serve", *arguments, env=env)
        assert done.exit_code == 0, done.output
        assert told["file"] == next((one for one in arguments if isinstance(one, Path)), None)
        return told["settings"], told["log"]

    return run


def test_serve_takes_the_same_layers(served: Callable[..., tuple[Settings, LogSettings]], file: Path) -> None:
    """What `config check` shows is what the server is told."""
    flags = ("--relay", "otlp://back.example:1", "--set", "log={format: json}")
    settings, log = served("--config", file, *flags, env={"LEXILOG__WORKERS": "1", "LEXILOG_SERVE_LOG_LEVEL": "debug"})
    assert settings.relays == {"relay": OtlpSettings(endpoint="back.example:1")}
    assert settings.dead_letters
    assert log == settings.log == LogSettings(format="json")
    assert served(env={"LEXILOG_SERVE_LOG_LEVEL": "debug"}) == (
        Settings(log=LogSettings(level="debug")),
        LogSettings(level="debug"),
    )


def test_serve_refuses_what_the_check_refuses(file: Path) -> None:
    """A mistake in the settings is exit code 2 before anything is opened."""
    done = _run("serve", "--config", file, "--listen", "0.0.0.0:0")
    assert done.exit_code == 2
    assert "--listen: listen: 0.0.0.0:0 can be reached from other machines" in done.stderr
    assert "No such option" in _run("serve", "--check").stderr


@pytest.mark.usefixtures("quick")
def test_a_variable_with_a_version_is_not_ours() -> None:
    """Container images often set one; it must not turn every command into `lexilog --version`."""
    assert _check(env={"LEXILOG_VERSION": "1"}) == _check()
