"""What may be a secret is in no error about settings, and in nothing that is shown of them."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from lexilog import SettingsError
from lexilog.service.settings.file import load_layers
from lexilog.service.settings.show import show_settings

KEY = "-----BEGIN PRIVATE KEY-----\nS3CRETS3CRET//x\nS3CRET==\n-----END PRIVATE KEY-----\n"
HEC = 'type: splunk_hec, url: "https://h.example:8088", token: t'


@pytest.fixture(autouse=True)
def _secrets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put a key into a file, and a secret into the environment."""
    (tmp_path / "key.pem").write_text(KEY)
    monkeypatch.setenv("LEXILOG_TEST_KEY", "s3cr3t//s3cr3t")


def _problem(tmp_path: Path, text: str) -> str:
    path = tmp_path / "lexilog.yaml"
    path.write_text(text)
    with pytest.raises(SettingsError) as caught:
        load_layers(path, environ={})
    return str(caught.value)


def _shown(tmp_path: Path, text: str) -> str:
    path = tmp_path / "lexilog.yaml"
    path.write_text(text)
    settings, layers = load_layers(path, environ={})
    return show_settings(settings, layers.origin, layers.written)


@pytest.mark.parametrize("secret", ["${file:key.pem}", "${LEXILOG_TEST_KEY}", "a-${LEXILOG_TEST_KEY}"])
@pytest.mark.parametrize(
    "setting",
    [
        "doors: {{grpc: {{listen: '{}'}}}}",
        "metrics: {{listen: '{}'}}",
        "timezone: '{}'",
        "log: {{level: '{}'}}",
        "traces: {{endpoint: '{}'}}",
        "workers: '{}'",
        "csv_columns: ['{}']",
        "relays: {{a: {{type: stdout}}}}\nroutes: [{{to: ['{}']}}]",
        "relays: {{a: {{type: '{}'}}}}",
        "relays: {{a: {{type: forward, endpoint: '{}'}}}}",
        "relays: {{a: {{type: elasticsearch, urls: ['{}']}}}}",
    ],
)
def test_what_was_filled_in_is_not_repeated(setting: str, secret: str, tmp_path: Path) -> None:
    """A secret in a wrong place is an error with file, line and key, and *** where the secret would stand."""
    problem = _problem(tmp_path, setting.format(secret))
    assert "lexilog.yaml:" in problem
    assert "PRIVATE" not in problem
    assert "s3cr3t" not in problem.lower()


def test_where_the_secret_would_stand(tmp_path: Path) -> None:
    """The rest of the error stays as it is; a value of a letter is not looked for in its words."""
    text = "relays: {a: {type: stdout}}\nroutes: [{to: ['${LEXILOG_TEST_KEY}']}]"
    assert _problem(tmp_path, text).endswith(":2:16: there is no relay '***'; there are: a")
    (tmp_path / "a").write_text("a")
    assert _problem(tmp_path, "timezone: '${file:a}'").endswith(
        ": timezone: '***' is no IANA time zone, such as UTC or Europe/Berlin"
    )


@pytest.mark.parametrize(
    "setting",
    [
        "doors: {grpc: {tls: {cert_file: cert.pem, key_file: '${file:key.pem}'}}}",
        "doors: {grpc: {tokens_file: '${file:key.pem}'}}",
        "catalogs: [a, '${file:key.pem}']",
        "dead_letters: {path: 'x/${file:key.pem}'}",
        "relays: {a: {type: otlp, endpoint: 'h.example:1', tls: true, ca_file: '${file:key.pem}'}}",
        "relays: {a: {type: file, path: '${file:key.pem}'}}",
    ],
)
def test_a_path_is_no_content(setting: str, tmp_path: Path) -> None:
    """Who puts the content of a file where its path belongs hears just that."""
    problem = _problem(tmp_path, setting)
    assert problem.endswith(": this wants a path, not a content: leave ${file: } away")
    assert "S3CRET" not in problem


def test_a_path_from_the_environment_has_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A key in the place of its path would be repeated when the file is opened."""
    monkeypatch.setenv("LEXILOG_TEST_KEY", KEY)
    assert "a path is expected, and this has several lines" in _problem(
        tmp_path, "doors: {grpc: {tokens_file: '${LEXILOG_TEST_KEY}'}}"
    )
    with pytest.raises(SettingsError, match="a path is expected, and this has several lines") as caught:
        load_layers(environ={"LEXILOG__DOORS__GRPC__TOKENS_FILE": KEY})
    assert "PRIVATE" not in str(caught.value)


def test_placeholders_are_shown_as_they_stand(tmp_path: Path) -> None:
    """What is shown has no value that was filled in; of what is known to be a secret there is *** alone."""
    (tmp_path / "name").write_text("s3cr3t")
    text = _shown(
        tmp_path,
        f"relays: {{a: {{{HEC}, index: '${{file:name}}', sourcetype: 'x$${{${{LEXILOG_TEST_KEY}}'}}}}\n"
        "body_keys: [a, 'b${LEXILOG_TEST_KEY}']\ndead_letters: {path: '${LEXILOG_TEST_KEY}'}\n"
        "doors: {grpc: {tokens: ['${LEXILOG_TEST_KEY}-12345']}}",
    )
    assert "s3cr3t" not in text
    shown = yaml.safe_load(text)
    assert shown["relays"]["a"]["index"] == "${file:name}"
    assert shown["relays"]["a"]["sourcetype"] == "x$${${LEXILOG_TEST_KEY}"
    assert shown["body_keys"] == ["a", "b${LEXILOG_TEST_KEY}"]
    assert shown["dead_letters"]["path"] == "${LEXILOG_TEST_KEY}"
    assert shown["doors"]["grpc"]["tokens"] == ["***"]


@pytest.mark.parametrize("text", ["${", "${a-b}", "x${LEXILOG_TEST_KEY", "${file:key.pem"])
def test_a_placeholder_without_an_end_is_refused(text: str, tmp_path: Path) -> None:
    """It would be taken as it stands; the error says what a placeholder is, and how to write the characters."""
    problem = _problem(tmp_path, f"timezone: '{text}'")
    assert problem.endswith("begins ${NAME} or ${file:PATH}, and this is neither; for a literal '${' write '$${'")


@pytest.mark.parametrize("query", ["?token=s3cr3t", "/x?api-key=s3cr3t&y=https://z?s3cr3t"])
def test_the_query_of_a_url_is_not_shown(query: str, tmp_path: Path) -> None:
    """A token often stands there."""
    relays = (
        f"relays:\n  a: {{{HEC.replace(':8088', f':8088{query}')}}}\n"
        f"  b: {{type: elasticsearch, urls: ['https://es.example{query}']}}\n"
        f"  c: {{type: otlp, protocol: http, endpoint: 'https://h.example{query}'}}\ndead_letters: {{path: dead}}"
    )
    text = _shown(tmp_path, relays)
    assert "s3cr3t" not in text
    assert text.count("?***") == 3
    for wrong in ("https://es", "https://h.example"):
        assert "s3cr3t" not in _problem(tmp_path, relays.replace(wrong, wrong.replace("https", "htps")))


def test_a_url_in_the_place_of_an_address_is_not_repeated(tmp_path: Path) -> None:
    """Nor is its token."""
    assert "s3cr3t" not in _problem(tmp_path, "doors: {grpc: {listen: 'https://h:1/?token=s3cr3t'}}")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("{token:s3cr3t}", "key 'token' is not known here; a blank is missing behind its colon"),
        ("{relays: {a: {type: splunk_hec, token:s3cr3t}}}", "key 'token' is not known here; a blank is missing"),
        ("{relays: {token:s3cr3t}}", "relay token: 'type' is to be one of"),
        ("{token=s3cr3t: 1, token=s3cr3t: 2}", "key 'token' stands here a second time"),
        ("{'=s3cr3t': 1}", "key '...' is not known here"),
        ("{? [s3cr3t] : 1}", "a key is to be a text"),
        ("{? {s3cr3t: 1} : 1}", "a key is to be a text"),
        ("{relays: {a: {type: otlp, endpoint: 'h:1', headers: {Bearer s3cr3t: x}}}}", "relay a: headers: what stands"),
    ],
)
def test_a_key_that_may_hold_a_secret(text: str, problem: str, tmp_path: Path) -> None:
    """Of what stands in the place of a key there is only as much as a key can be."""
    found = _problem(tmp_path, text)
    assert problem in found
    assert "s3cr3t" not in found
