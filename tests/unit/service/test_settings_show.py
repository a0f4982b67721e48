"""The settings in effect, as `lexilog config check` shows them."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from lexilog.relay.settings import FileSettings, OtlpSettings, Route
from lexilog.service.settings import Doors, HttpDoorSettings, MetricsSettings, Settings, TlsSettings
from lexilog.service.settings.file import load_layers
from lexilog.service.settings.show import show_settings

SECRETS = """\
doors:
  grpc: {tokens: [s3cr3t-s3cr3t-s3cr3t, "s3cr3t-s3cr3t-s3cr3u"], tokens_file: tokens}
  forward: {shared_key: s3cr3t}
relays:
  es: {type: elasticsearch, urls: ["https://es1.example:9200"], api_key: s3cr3t}
  es2: {type: elasticsearch, urls: ["https://es2.example:9200"], username: u, password: s3cr3t}
  hec: {type: splunk_hec, url: "https://splunk.example:8088", token: s3cr3t}
  back: {type: otlp, endpoint: "back.example:4319", headers: {Authorization: s3cr3t, X-Tenant: s3cr3t}}
  fluent: {type: forward, endpoint: "back.example:24224", shared_key: s3cr3t}
dead_letters: {path: dead}
"""


def _no_origin(*_steps: str | int) -> None:
    return None


def test_no_secret_is_shown(tmp_path: Path) -> None:
    """Of keys, tokens, passwords and headers there is *** alone; what is not set is seen to be not set."""
    path = tmp_path / "lexilog.yaml"
    path.write_text(SECRETS)
    settings, layers = load_layers(path, environ={"LEXILOG__RELAYS__ES__API_KEY": "s3cr3t"})
    text = show_settings(settings, layers.origin)
    assert "s3cr3t" not in text
    shown = yaml.safe_load(text)
    assert shown["doors"]["grpc"]["tokens"] == ["***", "***"]
    assert shown["doors"]["forward"]["shared_key"] == "***"
    assert (shown["relays"]["es"]["api_key"], shown["relays"]["es"]["password"]) == ("***", None)
    assert (shown["relays"]["es2"]["username"], shown["relays"]["es2"]["password"]) == ("u", "***")
    assert shown["relays"]["hec"]["token"] == shown["relays"]["fluent"]["shared_key"] == "***"
    assert shown["relays"]["back"]["headers"] == {"Authorization": "***", "X-Tenant": "***"}


def test_each_value_says_where_it_comes_from(tmp_path: Path) -> None:
    """A comment names the layer of what is no default; a default has none."""
    path = tmp_path / "lexilog.yaml"
    path.write_text("doors: {http: {listen: '127.0.0.1:1'}}\ntimezone: Europe/Berlin\n")
    environ = {"LEXILOG__GRACE": "3", "LEXILOG__LOG": "{level: debug}"}
    settings, layers = load_layers(path, environ=environ, sets=["body_keys=[line]", "doors.http.max_requests=3"])
    lines = show_settings(settings, layers.origin).splitlines()
    assert [line for line in lines if "#" in line] == [
        f"    listen: 127.0.0.1:1  # from {path}:1:16",
        "    max_requests: 3  # from --set doors.http.max_requests",
        "body_keys: [line]  # from --set body_keys",
        f"timezone: Europe/Berlin  # from {path}:2:1",
        "grace: 3.0  # from environment variable LEXILOG__GRACE",
        "  level: debug  # from environment variable LEXILOG__LOG",
    ]
    assert "workers: 1" in lines


@pytest.mark.parametrize(
    "settings",
    [
        Settings(),
        Settings(metrics=MetricsSettings(), body_keys=("a: b", "# c", "null", "42", "'", "é\u2028")),
        Settings(
            doors=Doors(http=HttpDoorSettings(tls=TlsSettings(cert_file=Path("/c d.pem"), key_file=Path("/${k}")))),
            relays={
                "a.b: c": OtlpSettings(endpoint="back.example:4319", required=False),
                "42": FileSettings(path=Path("/x" * 100), rotate_bytes=2000, keep=2),
            },
            routes=(Route(to=("42",), catalog=("juniper_kmd",)), Route(to=("a.b: c", "42"))),
        ),
    ],
)  # fmt: skip
def test_what_is_shown_is_a_settings_file(settings: Settings, tmp_path: Path) -> None:
    """Settings without secrets can be read back from what is shown, and are the same."""
    path = tmp_path / "shown.yaml"
    path.write_text(show_settings(settings, _no_origin), encoding="utf-8")
    assert load_layers(path, environ={})[0] == settings
