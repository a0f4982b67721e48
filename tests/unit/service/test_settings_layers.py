"""Settings in layers: a file, the environment, flags; and how errors name where a value comes from."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from lexilog import SettingsError
from lexilog.relay.settings import ElasticsearchSettings, FileSettings, OtlpSettings, SplunkHecSettings, StdoutSettings
from lexilog.service.settings import HttpDoorSettings, MetricsSettings, Settings
from lexilog.service.settings.file import load_layers, load_settings
from lexilog.service.settings.layers import Change

FILE = """\
doors:
  grpc: {listen: "127.0.0.1:4317"}
relays:
  Es-1: {type: elasticsearch, urls: ["https://es1.example:9200"], api_key: from-the-file}
  back: {type: otlp, endpoint: "127.0.0.1:4319", headers: {X-Tenant: a}}
dead_letters: {path: dead}
timezone: Europe/Berlin
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Return a settings file."""
    path = tmp_path / "lexilog.yaml"
    path.write_text(FILE)
    return path


def _relay(settings: Settings, name: str) -> ElasticsearchSettings:
    relay = settings.relays[name]
    assert isinstance(relay, ElasticsearchSettings)
    return relay


def test_each_layer_counts_more_than_those_below(file: Path) -> None:
    """File, variables of named flags, variables of settings, named flags, --set: the last one that speaks counts."""
    layers = {
        "variables": [Change(("timezone",), "Europe/Paris", "a variable")],
        "environ": {"LEXILOG__TIMEZONE": "Europe/Rome"},
        "flags": [Change(("timezone",), "Europe/Oslo", "--timezone")],
        "sets": ["timezone=Europe/Bern", "timezone=Europe/Riga"],
    }
    given_so_far: dict[str, object] = {"environ": {}}
    for name, zone in zip(layers, ["Paris", "Rome", "Oslo", "Riga"], strict=True):
        given_so_far[name] = layers[name]
        assert load_layers(file, **given_so_far)[0].timezone == f"Europe/{zone}"  # type: ignore[arg-type]
    assert load_layers(file, environ={})[0].timezone == "Europe/Berlin"


def test_the_environment_is_read_without_being_named(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every command that reads a settings file sees the same settings."""
    monkeypatch.setenv("LEXILOG__GRACE", "3")
    assert load_settings(file).grace == 3.0


def test_without_a_file_the_other_layers_work() -> None:
    """Without anything there is one gRPC door; a door that is named is open, and then only those that are named."""
    assert load_layers(environ={})[0] == Settings()
    found = load_layers(environ={"LEXILOG__WORKERS": "3"}, sets=["doors.http.listen=127.0.0.1:9"])[0]
    assert (found.workers, found.doors.http, found.doors.grpc) == (3, HttpDoorSettings(listen="127.0.0.1:9"), None)


def test_what_kubernetes_puts_into_the_environment_does_no_harm(file: Path) -> None:
    """Variables for a service called lexilog have single underscores, and are none of ours."""
    environ = {
        "LEXILOG_PORT": "tcp://192.0.2.1:4317", "LEXILOG_PORT_4317_TCP_ADDR": "192.0.2.1", "LEXILOG": "x",
        "LEXILOG_SERVICE_HOST": "192.0.2.1", "LEXILOG_SERVICE_PORT_GRPC": "4317", "LEXILOG_": "x",
    }  # fmt: skip
    assert load_layers(file, environ=environ)[0] == load_layers(file, environ={})[0]


@pytest.mark.parametrize("name", ["ES_1__API_KEY", "es_1__api_key", "Es-1__api_key"])
def test_names_in_the_environment_have_no_case(name: str, file: Path) -> None:
    """A relay of the file is found whatever the case; what shells cannot name is an underscore."""
    found = load_layers(file, environ={f"LEXILOG__RELAYS__{name}": "from-the-environment"})[0]
    assert list(found.relays) == ["Es-1", "back"]
    assert _relay(found, "Es-1").api_key == "from-the-environment"
    assert _relay(found, "Es-1").urls == ("https://es1.example:9200",)


def test_a_relay_can_be_made_in_the_environment(file: Path) -> None:
    """A name that the file does not have is taken in lower case, and its parts come in any order."""
    environ = {"LEXILOG__RELAYS__SIEM__TOKEN": "t", "LEXILOG__RELAYS__SIEM__TYPE": "splunk_hec"}
    found = load_layers(file, environ=environ, sets=["relays.siem.url=https://splunk.example:8088"])[0]
    assert found.relays["siem"] == SplunkHecSettings(url="https://splunk.example:8088", token="t")


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("abc:1", "abc:1"),
        ("a: b", "a: b"),
        ("[a, b", "[a, b"),
        ("012", "012"),
        ("1e3", "1e3"),
        ("yes", "yes"),
        ("2025-01-01", "2025-01-01"),
        ("*alias", "*alias"),
        ("!tag", "!tag"),
        ("a #b", "a #b"),
        ("'a'' b'", "a' b"),
        ('"null"', "null"),
        ("$${HOME} ${", "$${HOME} ${"),
        ("null", None),
    ],
)
def test_a_text_stays_what_it_is(text: str, key: str | None, file: Path) -> None:
    """Where a text is wanted it is taken as it stands; quotes of YAML may stand around it."""
    for layers in ({"environ": {"LEXILOG__RELAYS__ES_1__API_KEY": text}}, {"sets": [f"relays.Es-1.api_key={text}"]}):
        assert _relay(load_layers(file, **{"environ": {}, **layers})[0], "Es-1").api_key == key  # type: ignore[arg-type]


def test_values_are_yaml(file: Path) -> None:
    """Numbers, truth values, lists and maps; texts in them that look like numbers stay texts."""
    sets = [
        "workers=2", "grace=0.5", "doors.http.allow_unprotected=true", "body_keys=[1, line]",
        "doors.http.tokens=[12345678901234567, 'b b b b b b b b b']",
        "relays.back={type: otlp, endpoint: 'back.example:1', headers: {X-Tenant: 7}}",
    ]  # fmt: skip
    found = load_layers(file, environ={}, sets=sets)[0]
    assert (found.workers, found.grace, found.body_keys) == (2, 0.5, ("1", "line"))
    assert found.doors.http == HttpDoorSettings(
        allow_unprotected=True, tokens=("12345678901234567", "b b b b b b b b b")
    )
    assert found.relays["back"] == OtlpSettings(endpoint="back.example:1", headers={"X-Tenant": "7"})


def test_paths_start_where_they_are_said(file: Path) -> None:
    """Those of the file at its folder, those of environment and flags where the command is run."""
    sets = ["relays.a={type: file, path: a.ndjson}", "catalogs=[]"]
    found = load_layers(file, environ={"LEXILOG__RELAYS__B": "{type: file, path: b.ndjson}"}, sets=sets)[0]
    assert found.dead_letters
    assert found.dead_letters.path == file.parent / "dead"
    assert found.relays["a"] == FileSettings(path=Path("a.ndjson"))
    assert found.relays["b"] == FileSettings(path=Path("b.ndjson"))


def test_null_takes_away_and_nothing_opens(file: Path) -> None:
    """null stands for the default, a missing relay or a closed door; an empty map opens a door or the metrics."""
    sets = ["relays.Es-1=null", "doors.grpc=null", "doors.http={}", "metrics={}", "timezone=null", "dead_letters=null"]
    found = load_layers(file, environ={}, sets=sets)[0]
    assert (list(found.relays), found.timezone, found.dead_letters) == (["back"], "UTC", None)
    assert (found.doors.grpc, found.doors.http, found.metrics) == (None, HttpDoorSettings(), MetricsSettings())
    file.write_text("metrics:\ndoors: {grpc: }\n")
    assert load_layers(file, environ={})[0] == Settings(metrics=MetricsSettings())


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("DOORS__GPRC__LISTEN", "x", "there is no setting 'gprc' under 'doors'; is 'grpc' meant?"),
        ("DOOR__GRPC", "x", "there is no setting 'door'; is 'doors' meant?"),
        ("ZZZZ", "x", "there is no setting 'zzzz'; known are doors, relays, routes,"),
        ("RELAYS__ES_1__APIKEY", "s3cr3t", "there is no setting 'apikey' under 'relays.Es-1'; is 'api_key' meant?"),
        ("RELAYS__ES_1__TOKEN", "s3cr3t", "key 'token' is not known here; known are required"),
        (
            "RELAYS__ES1__API_KEY",
            "s3cr3t",
            "relay es1: 'type' is to be one of otlp, forward, elasticsearch, splunk_hec",
        ),
        ("RELAYS__ES1__API_KEY", "s3cr3t", "is 'Es-1' meant?"),
        ("RELAYS__ES_1__API_KEY", "", "api_key: Expected `str` of length >= 1"),
        ("DOORS__GRPC__LISTEN__PORT", "1", "'doors.grpc.listen' has no parts"),
        ("ROUTES__0__TO", "[a]", "'routes' is a list: set all of it, as [a, b]"),
        ("DOORS____LISTEN", "x", "there is no setting '' under 'doors'"),
        ("RELAYS__", "x", "there is no setting '' under 'relays'"),
        ("", "x", "there is no setting ''"),
        ("WORKERS", "many", "workers: Expected `int`, got `str`; write a plain number"),
        ("WORKERS", "", "the value is empty; null stands for the default"),
        ("DOORS__GRPC", "", "the value is empty; null stands for the default, {} for a map of defaults"),
        ("RELAYS", "", "the value is empty; null stands for the default, {} for a map of defaults"),
        ("RELAYS__ES_1__API_KEY", "${s3cr3t}", "nothing is filled in here"),
        ("RELAYS__BACK__HEADERS__X", "Bearer ${file:s3cr3t}", "nothing is filled in here"),
        ("DOORS__GRPC__TOKENS", "['${s3cr3t}']", "nothing is filled in here"),
        ("RELAYS__B", "{type: splunk_hec, token: '${s3cr3t}'}", "nothing is filled in here"),
        ("WORKERS", "0", "workers: Expected `int` >= 1"),
        ("DOORS__GRPC__LISTEN", "4317", "listen: '4317' is no HOST:PORT"),
        ("DOORS__GRPC__TOKENS", "s3cr3t-s3cr3t-s3cr3t", "tokens: Expected `array`, got `str`; write a list: [...]"),
        ("DOORS__GRPC__TOKENS", "[s3cr3t]", "Expected `str` of length >= 16"),
        ("DOORS__GRPC__TOKENS", "[*s3cr3t]", "the value is not valid YAML"),
        ("DOORS__GRPC__TOKENS", "[!s3cr3t a]", "Expected `str` of length >= 16"),
        ("DOORS__GRPC", "{tokens: [], tokens: []}", "the value is not valid YAML"),
        ("DOORS__GRPC", "{? [s3cr3t] : x}", "the value is not valid YAML"),
        ("DOORS__GRPC", "s3cr3t", "grpc: Expected `object | null`, got `str`; write a map"),
        ("DOORS__GRPC__TLS__CERT_FILE", "cert.pem", "key 'key_file' is missing"),
        ("DOORS__GRPC__TOKENS_FILE", "a\0b", "no path is empty, or holds a NUL"),
        ("DOORS__GRPC__TOKENS_FILE", "", "no path is empty, or holds a NUL"),
        ("LOG__LEVEL", "loud", "level: Invalid enum value 'loud'; it is one of debug, "),
        ("TIMEZONE", "Nowhere/Town", "'Nowhere/Town' is no IANA time zone"),
        ("RELAYS__BACK__ENDPOINT", "localhost:4317", "records would go round in a loop"),
        ("GRACE", "{a: 1}", "grace: Expected `float`, got `object`"),
    ],
)
def test_a_mistake_in_the_environment(name: str, value: str, problem: str, file: Path) -> None:
    """The error names the variable, what is wrong, and what would be right; a secret is never in it."""
    with pytest.raises(SettingsError) as caught:
        load_layers(file, environ={f"LEXILOG__{name}": value})
    assert str(caught.value).startswith(f"environment variable LEXILOG__{name}: ")
    assert problem in str(caught.value)
    assert "s3cr3t" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("doors.grpc.lisen=127.0.0.1:1", "--set doors.grpc.lisen: there is no setting 'lisen' under 'doors.grpc'; is"),
        ("DOORS.grpc=x", "--set DOORS.grpc: there is no setting 'DOORS'"),
        ("relays.es-1.api_key=s3cr3t", "--set relays.es-1.api_key: relay es-1: 'type' is to be one of"),
        ("workers=x", "--set workers: workers: Expected `int`"),
        ("s3cr3t", "--set: NAME=VALUE is expected, such as doors.grpc.listen=127.0.0.1:4317"),
        ("relays.Es-1.api_key:s3cr3t==", "--set: NAME=VALUE is expected"),
        ("=s3cr3t", "--set: NAME=VALUE is expected"),
        ("relays.b={type: file, path: 5, x: s3cr3t}", "--set relays.b: key 'x' is not known here"),
        ("doors.grpc.max_requests=0", "--set doors.grpc.max_requests: max_requests: Expected `int` >= 1"),
    ],
)
def test_a_mistake_in_a_flag(text: str, problem: str, file: Path) -> None:
    """The error names the flag up to its value, which may be a secret."""
    with pytest.raises(SettingsError) as caught:
        load_layers(file, environ={}, sets=[text])
    assert str(caught.value).startswith(problem)
    assert "s3cr3t" not in str(caught.value)


@pytest.mark.parametrize("name", ["DOORS__GRPC__LISTEN", "WORKERS__", "ZZ__ZZ"])
def test_a_variable_with_one_underscore_too_few_is_refused(name: str) -> None:
    """It would be ignored without a word; the error has the name that is meant."""
    problem = f"^environment variable LEXILOG_{name}: this is no setting; is LEXILOG__{name} meant\\?$"
    with pytest.raises(SettingsError, match=problem):
        load_layers(environ={f"LEXILOG_{name}": "x"})


def test_a_relay_that_another_layer_has_taken_away(file: Path) -> None:
    """Who says more of a relay of the file hears that --relay took the place of all of them."""
    relays = Change(("relays",), {"relay": {"type": "stdout"}}, "environment variable LEXILOG_SERVE_RELAY")
    problem = "__API_KEY: relay es_1: .*; environment variable LEXILOG_SERVE_RELAY took the place of all relays"
    with pytest.raises(SettingsError, match=problem):
        load_layers(file, variables=[relays], environ={"LEXILOG__RELAYS__ES_1__API_KEY": "x"})


@pytest.mark.parametrize("level", ["INFO", "Debug", "error"])
def test_the_level_of_the_log_has_no_case(level: str, file: Path) -> None:
    """Whichever layer says it."""
    file.write_text(f"log: {{level: {level}}}")
    for layers in ({"environ": {}}, {"environ": {"LEXILOG__LOG__LEVEL": level}}):
        assert load_layers(file, **layers)[0].log.level == level.lower()


@pytest.mark.parametrize(("name", "text"), [("lexilog.toml", "[log]\nlevel = 'info'"), ("x.json", '{"log": "a", }}')])
def test_other_formats_are_not_known(name: str, text: str, tmp_path: Path) -> None:
    """A file that is named as something else, and is no YAML, is an error that says so."""
    (tmp_path / name).write_text(text)
    with pytest.raises(SettingsError, match=r":\d+:\d+: is not valid YAML: .*; only YAML is known$"):
        load_layers(tmp_path / name, environ={})


def test_two_variables_for_one_setting_are_refused() -> None:
    """Which of them counts nobody could tell."""
    with pytest.raises(SettingsError, match="LEXILOG__workers: LEXILOG__WORKERS says the same setting"):
        load_layers(environ={"LEXILOG__workers": "1", "LEXILOG__WORKERS": "2"})


def test_a_variable_that_may_be_either_of_two_relays_is_refused(tmp_path: Path) -> None:
    """Where only case tells them apart the exact name counts."""
    path = tmp_path / "two.yaml"
    path.write_text("relays: {a-b: {type: stdout}, A_b: {type: stdout}}")
    with pytest.raises(SettingsError, match=r"A_B__REQUIRED: this may be a-b or A_b: use --set"):
        load_layers(path, environ={"LEXILOG__RELAYS__A_B__REQUIRED": "false"})
    found = load_layers(path, environ={"LEXILOG__RELAYS__A_b__REQUIRED": "false"})[0]
    assert found.relays == {"a-b": StdoutSettings(), "A_b": StdoutSettings(required=False)}


def test_an_error_names_the_layer_that_the_value_is_of(file: Path) -> None:
    """A file is not to blame for a value that a flag has replaced, nor a flag for one that it has left alone."""
    file.write_text(FILE.replace("Europe/Berlin", "Nowhere/Town"))
    with pytest.raises(SettingsError, match=r"lexilog\.yaml:7:1: timezone: 'Nowhere/Town'"):
        load_layers(file, environ={"LEXILOG__GRACE": "1"}, sets=["workers=2"])
    with pytest.raises(SettingsError, match=r"^--set timezone: timezone: 'Nowhere/City'"):
        load_layers(file, environ={}, sets=["timezone=Nowhere/City"])
    assert load_layers(file, environ={}, sets=["timezone=UTC"])[0].timezone == "UTC"
    with pytest.raises(SettingsError, match=r"lexilog\.yaml:5:3: relay back can .* not every sender can be told"):
        load_layers(
            file, environ={}, sets=["timezone=UTC", "dead_letters=null", "relays.Es-1=null", "doors.forward={}"]
        )


@pytest.mark.parametrize(("text", "where"), [("[]", "1:1"), ("doors: 5", "1:1"), ("doors: {grpc: 5}", "1:9")])
def test_a_step_through_what_is_no_map(text: str, where: str, file: Path) -> None:
    """A setting cannot be put into a number or a list of the file."""
    file.write_text(text)
    with pytest.raises(SettingsError, match=rf"lexilog\.yaml:{where}: a map is expected here"):
        load_layers(file, environ={}, sets=["doors.grpc.listen=127.0.0.1:1"])


def test_only_what_counts_is_filled_in(file: Path) -> None:
    """A variable that the file names is not needed where another layer has put a value in its place."""
    file.write_text(FILE.replace("from-the-file", "'${LEXILOG_TEST_NOT_SET}'"))
    with pytest.raises(SettingsError, match=r"yaml:4:67: the environment variable LEXILOG_TEST_NOT_SET is not set"):
        load_layers(file, environ={})
    assert _relay(load_layers(file, environ={}, sets=["relays.Es-1.api_key=x"])[0], "Es-1").api_key == "x"


@pytest.mark.parametrize(
    ("content", "text", "found"),
    [
        (b"t0ken\n", "${file:secrets/token}", "t0ken"),
        (b"t0ken\r\n", "${file:secrets/token}", "t0ken"),
        (b"t0ken\n\n", "a${file:secrets/token}b", "at0ken\nb"),
        (b" ${HOME} ", "${file:secrets/token}", " ${HOME} "),
        ("é".encode(), "$${file:x}${file:secrets/token}", "${file:x}é"),
        (b"x" * 65_536, "${file:secrets/token}", "x" * 65_536),
    ],
)
def test_a_text_from_a_file(content: bytes, text: str, found: str, file: Path) -> None:
    """A file's text is put in as it stands, without one line end; its path starts at the settings file."""
    (file.parent / "secrets").mkdir()
    (file.parent / "secrets" / "token").write_bytes(content)
    file.write_text(FILE.replace("from-the-file", f"'{text}'"))
    assert _relay(load_layers(file, environ={})[0], "Es-1").api_key == found


@pytest.mark.parametrize(
    ("make", "text", "problem"),
    [
        (lambda path: None, "'${file:token}'", "token: cannot be read: No such file or directory"),
        (lambda path: path.mkdir(), "'${file:token}'", "token: cannot be read: Is a directory"),
        (lambda path: path.write_bytes(b"s3cr3t\xff"), "'${file:token}'", "token: is not UTF-8"),
        (lambda path: path.write_bytes(b"s3cr3t" * 11_000), "'${file:token}'", "token: is larger than 65536 bytes"),
        (lambda path: path.write_bytes(b"\n"), "'${file:token}'", "api_key: Expected `str` of length >= 1"),
        (lambda path: None, "'${file:}'", "cannot be read: Is a directory"),
        (lambda path: None, '"${file:a\\0b}"', "is no name of a file"),
    ],
)
def test_a_file_that_cannot_be_put_in(make: Callable[[Path], None], text: str, problem: str, file: Path) -> None:
    """The error names the place in the settings and the file, and not what the file holds."""
    make(file.parent / "token")
    file.write_text(FILE.replace("from-the-file", text))
    with pytest.raises(SettingsError) as caught:
        load_layers(file, environ={})
    assert re.search(r"lexilog\.yaml:4:\d+: ", str(caught.value))
    assert problem in str(caught.value)
    assert "s3cr3t" not in str(caught.value)


@pytest.mark.parametrize(
    "key", ["*s3cr3t", "!s3cr3t", "!!int s3cr3t", "!s3cr3t!x y", "!!timestamp s3cr3t", "&a &s3cr3t"]
)
def test_a_secret_that_is_no_yaml_is_not_repeated(key: str, file: Path) -> None:
    """A password that begins like an alias or a tag is an error with its place alone."""
    file.write_text(FILE.replace("from-the-file", key))
    with pytest.raises(SettingsError, match=r"lexilog\.yaml:4:\d+: ") as caught:
        load_layers(file, environ={})
    assert "s3cr3t" not in str(caught.value)


_SETTINGS = (
    "relays.Es-1.api_key",
    "doors.grpc.tokens",
    "relays.back.headers.X-Key",
    "relays.back",
    "workers",
    "routes",
)


def _problem(path: Path, text: str) -> str | None:
    """Return what is wrong with settings, if anything is."""
    try:
        load_layers(path, environ={}, sets=[text])
    except SettingsError as error:
        return str(error)
    return None


@given(st.sampled_from(_SETTINGS), st.text() | st.text("{}[]'\":, \n-*&!|>#%@`0ax", max_size=12))
@example("doors.grpc", "{<<: [1]}")
@example("doors.grpc", "? [a]")
@example("relays.back", "&a {x: *a}")
@example("doors.grpc.tokens", "&a [*a]")
@example("workers", "[" * 2_000)
def test_no_value_is_a_traceback(tmp_path_factory: pytest.TempPathFactory, name: str, value: str) -> None:
    """Whatever a value is, it is taken or refused in words."""
    path = tmp_path_factory.getbasetemp() / "any.yaml"
    path.write_text(FILE)
    problem = _problem(path, f"{name}={value}")
    assert problem is None or problem.startswith((f"--set {name}: ", f"{path}:"))
