"""What the server can be told, and what it says to what makes no sense."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from lexilog import Pipeline, Record, SettingsError
from lexilog.model import Quality
from lexilog.relay.make import make_relay
from lexilog.relay.settings import (
    RELAYS,
    DeadLettersSettings,
    ElasticsearchSettings,
    FileSettings,
    OtlpSettings,
    Route,
    StdoutSettings,
)
from lexilog.service.logs import OncePerMinute
from lexilog.service.make import make_pipeline
from lexilog.service.metrics import Counts
from lexilog.service.settings import (
    ForwardDoorSettings,
    GrpcDoorSettings,
    HttpDoorSettings,
    LogSettings,
    MetricsSettings,
    Settings,
    TlsSettings,
    TracesSettings,
    read_address,
    read_relay,
    read_zone,
)
from lexilog.service.settings.check import check_settings
from lexilog.service.settings.file import load_settings

SETTINGS = """\
doors:
  grpc:
  http: {listen: "127.0.0.1:4318"}
  forward: {shared_key: "${LEXILOG_TEST_KEY}"}
relays:
  es: {type: elasticsearch, urls: ["https://es1.example:9200"], api_key: "$${x"}
  archive: {type: file, path: out.ndjson, required: false}
  back: {type: otlp, endpoint: "127.0.0.1:4319"}
dead_letters: {path: dead}
routes:
- {to: [es], quality: [exact]}
- {to: [archive, back]}
"""


@pytest.fixture
def settings_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """Return a function that writes a settings file."""
    monkeypatch.setenv("LEXILOG_TEST_KEY", "secret: {")

    def write(text: str) -> Path:
        path = tmp_path / "lexilog.yaml"
        path.write_text(text)
        return path

    return write


def test_a_settings_file(settings_file: Callable[[str], Path]) -> None:
    """Doors that are named are open; the environment fills in texts; paths start where the file is."""
    path = settings_file(SETTINGS)
    found = load_settings(path)
    assert found.doors.grpc == GrpcDoorSettings()
    assert found.doors.forward == ForwardDoorSettings(shared_key="secret: {")
    assert found.relays["es"] == ElasticsearchSettings(urls=("https://es1.example:9200",), api_key="${x")
    assert found.relays["archive"] == FileSettings(path=path.parent / "out.ndjson", required=False)
    assert found.dead_letters == DeadLettersSettings(path=path.parent / "dead")
    assert found.routes[0].quality == (Quality.EXACT,)
    assert [make_relay(name, relay).__class__.__name__ for name, relay in found.relays.items()] == [
        "ElasticsearchRelay", "FileRelay", "OtlpRelay",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("path: out.ndjson", "path: 5", "7:25: path: a path is expected, as text"),
        ("quality: [exact]", "quality: [exakt]", "'exakt'; it is one of exact, prefix, loose, id_only, none"),
        ("type: file", "type: fil", "'type' is to be one of otlp, forward, elasticsearch, splunk_hec, file, stdout"),
        ("type: file, ", "", "relay archive: 'type' is to be one of"),
        ("api_key", "apikey", "6:65: key 'apikey' is not known here; is 'api_key' meant?"),
        ("[archive, back]", "[archive]", "none of these relays is required"),
        ("[archive, back]", "[back]", "no route leads to relay 'archive'"),
        ("[archive, back]", "[bakc]", "12:9: there is no relay 'bakc'; there are: es, archive, back"),
        ("[archive, back]", "[]", "to: Expected `array` of length >= 1"),
        ("quality: [exact]", "quality: []", "every record fits here, so the routes below are never reached"),
        ("[archive, back]", "[archive, back], quality: [none]", "records that fit no route would have nowhere to go"),
        ("127.0.0.1:4319", "localhost:4317", "round in a loop"),
        ("https://es1.example:9200", "http://127.0.0.1:4318", "round in a loop"),
        ("https://es1.example:9200", "es1.example:9200", "is no URL, such as https://HOST:PORT"),
        ("https://es1.example:9200", "https://u:p@es1.example", "a URL holds no user and password here"),
        ("https://es1.example:9200", "https://es1.example:x", "is no URL"),
        ("127.0.0.1:4319", "127.0.0.1:0", "port 0 is none to send to"),
        ("127.0.0.1:4319", "127.0.0.1", "no HOST:PORT"),
        ("127.0.0.1:4318", "127.0.0.1:4317", "3:10: listen: 127.0.0.1:4317 is the address of another door"),
        ("type: file", "type: [file]", "'type' is to be one of"),
        ("type: file", "type: {file: x}", "'type' is to be one of"),
        ("127.0.0.1:4319", "a..b:4319", "is no HOST:PORT"),
        ("127.0.0.1:4319", "u:p4ssw0rd@h:4319", "this is no HOST:PORT"),
        ("https://es1.example:9200", "htps://u:p4ssw0rd@es1.example", "this is no URL"),
        ("path: out.ndjson", 'path: "\\0"', "no path is empty, or holds a NUL"),
        ("path: out.ndjson", "path: out.ndjson, keep: 3", "keep is of use with rotate_bytes alone"),
        ("type: file, path: out.ndjson, required: false", "type: stdout, bogus: 1", "key 'bogus' is not known here"),
        ('{type: otlp, endpoint: "127.0.0.1:4319"}', "{type: file, path: ./out.ndjson}", "archive writes to this file"),
        ("path: dead", "path: dead, max_bytes: 1GB", "Expected `int`, got `str`; write a plain number"),
        ("path: out.ndjson", 'path: out.ndjson, rotate_bytes: "100 MB"', "got `str`; write a plain number"),
        ("routes:", "grace: 10s\nroutes:", "grace: Expected `float`, got `str`; write a plain number"),
        ("routes:", "timezone: 5\nroutes:", "timezone: Expected `str`, got `int`; put it in quotes"),
        ('"$${x"', "5", "api_key: Expected `str | null`, got `int`; put it in quotes"),
        ("routes:", "timezone: [UTC]\nroutes:", "timezone: Expected `str`, got `array`; write a text"),
        ("path: dead", 'path: "de\\nad"', "a path is expected, and this has several lines"),
        (SETTINGS, "workers = 2", "this is no map of settings, such as 'workers: 2'; only YAML is known"),
        ("path: dead", "path: dead, max_bytes: !!int ''", "value cannot be read"),
        ("path: dead", "path: dead, max_bytes: !!bool maybe", "value cannot be read"),
        ("routes:", "body_keys: []\nroutes:", "body_keys: Expected `array` of length >= 1"),
        ("http: {listen", "http: 5\n  grpc2: {listen", "http: Expected `object | null`, got `int`; write a map"),
        ("shared_key", "sharedkey", "key 'sharedkey' is not known here; is 'shared_key' meant?"),
        (SETTINGS, "relays: {a: " + "[" * 3_000 + "]" * 3_000 + "}", "nested too deep"),
        (SETTINGS, "doors: {forward: }\nrelays: {a: {type: otlp, endpoint: 'h:1'}}", "not every sender can be told"),
        (SETTINGS, "relays: {'': {type: stdout}}", "a relay has no name"),
        ("127.0.0.1:4318", "4318", "3:10: listen: '4318' is no HOST:PORT"),
        ("LEXILOG_TEST_KEY", "LEXILOG_NO_KEY", "the environment variable LEXILOG_NO_KEY is not set"),
        ("dead_letters: {path: dead}", "", "relay es can refuse single records for good"),
        ("dead_letters", "dead_leters", "key 'dead_leters' is not known here; is 'dead_letters' meant?"),
        ("api_key: ", "username: ", "username and password are needed together"),
        ('api_key: "$${x"', 'api_key: "a", username: "b", password: "c"', "either api_key or username and password"),
        ("routes:", "timezone: Nowhere/Town\nroutes:", "no IANA time zone"),
        ("doors:", "doors: 5\nx:", "doors: Expected `object`, got `int`"),
        ("relays:", "relays: 5\nx:", "relays: Expected `object`, got `int`"),
        (SETTINGS, "", "is empty"),
        (SETTINGS, "[]", "Expected `object`"),
        (SETTINGS, "a: [", "is not valid YAML"),
        (SETTINGS, "doors: {}", "no door is open"),
        (SETTINGS, "doors: {forward: {}}", "nowhere to hand records to"),
        (SETTINGS, "relays: {a: {type: stdout, required: false}}", "no relay is required"),
        (SETTINGS, "relays: {a: {type: forward, endpoint: x}}", "1:29: relay a: 'x' is no HOST:PORT"),
    ],
)
def test_settings_that_make_no_sense(old: str, new: str, problem: str, settings_file: Callable[[str], Path]) -> None:
    """The error names the place in the file, what is wrong there, and what would be right."""
    assert old in SETTINGS
    with pytest.raises(SettingsError) as caught:
        load_settings(settings_file(SETTINGS.replace(old, new)))
    assert problem in str(caught.value)
    assert re.search(r"lexilog\.yaml:\d+:\d+: ", str(caught.value))
    assert "secret" not in str(caught.value)
    assert "p4ssw0rd" not in str(caught.value)


def test_a_settings_file_that_is_not_there(tmp_path: Path) -> None:
    """The error says which, and why."""
    with pytest.raises(SettingsError, match=r"nowhere\.yaml:1:1: cannot be read: No such file"):
        load_settings(tmp_path / "nowhere.yaml")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("stdout", StdoutSettings()),
        ("file:/tmp/x", FileSettings(path=Path("/tmp/x"))),
        ("otlp://[::1]:4319", OtlpSettings(endpoint="[::1]:4319", shape="attributes")),
    ],
)
def test_a_relay_that_a_flag_names(text: str, found: object) -> None:
    """The simple ways out need no settings file."""
    assert read_relay(text, "attributes") == found


@pytest.mark.parametrize("text", ["otlp:127.0.0.1:1", "file:", "kafka://x:1", ""])
def test_a_relay_that_no_flag_can_name(text: str) -> None:
    """The error says what a flag can, and where the others are."""
    with pytest.raises(SettingsError, match=r"none of otlp://.*others need a settings file"):
        read_relay(text, "document")


@pytest.mark.parametrize("endpoint", ["localhost:4317", "0.0.0.0:4317", "127.0.0.1:4317"])
def test_a_loop_is_seen(endpoint: str) -> None:
    """A relay to the door of the same server is refused, whatever its address is called."""
    with pytest.raises(SettingsError, match="round in a loop"):
        check_settings(Settings(relays={"x": OtlpSettings(endpoint=endpoint)}))


def test_a_route_to_a_catalogue_that_is_not_there() -> None:
    """A misspelt catalogue would send its records elsewhere without a word."""
    routes = (Route(to=("x",), catalog=("juniper_kdm",)), Route(to=("x",)))
    with pytest.raises(SettingsError, match="there is no catalogue 'juniper_kdm'; there are: bluecedar_gateway, "):
        make_pipeline(Settings(relays={"x": StdoutSettings()}, routes=routes))


@pytest.mark.parametrize("text", ["4317", "a:b", ":1", "::1:4317", "127.0.0.1:", "127.0.0.1:65536", "a b:1"])
def test_an_address_that_is_none(text: str) -> None:
    """Host and port are both needed."""
    with pytest.raises(SettingsError, match=r"listen: '.*' is no HOST:PORT"):
        read_address(text, "listen")


@pytest.mark.parametrize("name", ["Nowhere/Town", "", "../etc/passwd", "\0"])
def test_a_zone_that_is_none(name: str) -> None:
    """The error gives an example."""
    with pytest.raises(SettingsError, match="no IANA time zone"):
        read_zone(name)


def test_times_without_a_zone_are_in_the_zone_that_is_set() -> None:
    """A BSD time is local time of that zone."""
    line = "Aug  3 10:18:44 srx1 kmd[1]: KMD_VPN_DOWN_ALARM_USER: VPN v1 from 198.51.100.7 is down."
    found = Pipeline(zone=read_zone("America/New_York")).process(Record(line=line))
    assert found.fields["@timestamp"].hour == 14


def test_every_record_is_counted(pipeline: Pipeline) -> None:
    """Each record is in one counter, by door, catalogue, outcome, reason and delivery."""
    counts = Counts()
    line = "KMD_VPN_DOWN_ALARM_USER: VPN v1 from 198.51.100.7 is down."
    batch = pipeline.process_all([Record(line=line), Record(line=line), Record(line="x"), Record(line=None)])
    for enriched in batch:
        counts.add("otlp", enriched, "relayed")
    assert dict(counts.items()) == {
        ("otlp", "", "unknown", "no_frame", "relayed"): 1,
        ("otlp", "", "unknown", "no_line", "relayed"): 1,
        ("otlp", "juniper_kmd", "matched", "exact", "relayed"): 2,
    }
    assert "otlp juniper_kmd matched exact relayed: 2" in counts.summary()
    assert Counts().summary() == "no records"


def test_what_repeats_is_logged_once_a_minute() -> None:
    """The same place in the code speaks once a minute, and says how often it was held back; information is not held."""
    now = [0.0]
    once = OncePerMinute(lambda: now[0])

    def passes(level: int, line: int) -> str | None:
        record = logging.LogRecord("x", level, str(Path(__file__)), line, "text %d", (1,), None)
        return record.getMessage() if once.filter(record) else None

    assert passes(logging.WARNING, 1) == "text 1"
    assert passes(logging.WARNING, 1) is None
    assert passes(logging.ERROR, 2) == "text 1"
    assert passes(logging.INFO, 3) == passes(logging.INFO, 3) == "text 1"
    now[0] = 59.0
    assert passes(logging.WARNING, 1) is None
    now[0] = 60.0
    assert passes(logging.WARNING, 1) == "text 1 (and 2 more like this in the meantime)"


def test_the_examples_of_the_documents_make_sense(
    checkout: Path, settings_file: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each settings file in README.md and docs/serve.md can be used as it stands."""
    for name in ("FORWARD_KEY", "ES_API_KEY", "HEC_TOKEN"):
        monkeypatch.setenv(name, "secret-of-an-example")
    texts = [(checkout / name).read_text(encoding="utf-8") for name in ("README.md", "docs/serve.md")]
    blocks = [block for text in texts for block in re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)]
    examples = [block for block in blocks if re.search(r"^relays:", block, re.MULTILINE)]
    assert len(examples) >= 3
    for example in examples:
        path = settings_file(example.replace("${file:/run/secrets/", "${file:"))
        for name in re.findall(r"\$\{file:/run/secrets/(\w+)\}", example):
            path.with_name(name).write_text("secret-of-an-example")
        assert load_settings(path).relays


def test_every_setting_is_documented(checkout: Path) -> None:
    """Whoever adds a setting says in docs/serve.md what it is for."""
    text = (checkout / "docs" / "serve.md").read_text(encoding="utf-8")
    doors = [GrpcDoorSettings, HttpDoorSettings, ForwardDoorSettings, TlsSettings]
    kinds = [
        Settings,
        *doors,
        MetricsSettings,
        LogSettings,
        TracesSettings,
        Route,
        DeadLettersSettings,
        *RELAYS.values(),
    ]
    names = {field for kind in kinds for field in kind.__struct_fields__}
    assert {name for name in names if f"`{name}`" not in text and f"{name}: " not in text} == set()
