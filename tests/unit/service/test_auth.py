"""Who may send: tokens of settings and file, however they are brought, and never in a word that lexilog says."""

from __future__ import annotations

import asyncio
import hmac
import logging
import pickle
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lexilog import SettingsError
from lexilog.service.auth import Tokens, load_tokens
from lexilog.service.metrics import Metrics
from lexilog.service.reload import Reloader
from lexilog.service.settings import HttpDoorSettings, RequestDoorSettings
from lexilog.service.status import Status

ONE, TWO, THREE = "one-0123456789abcdef", "two-0123456789abcdef", "three-0123456789abcdef"


def _settings(**told: Any) -> RequestDoorSettings:
    return HttpDoorSettings(**told)


def _bearer(token: str) -> dict[str, str | bytes]:
    return {"authorization": f"Bearer {token}"}


def _file(path: Path, content: str | bytes, mode: int = 0o600) -> Path:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    path.chmod(mode)
    return path


def test_without_tokens_everybody_may() -> None:
    """Who wants that says so elsewhere: see allow_unprotected."""
    tokens = Tokens(_settings(), "http")
    assert tokens.is_open
    assert tokens.allows({})
    assert tokens.allows(_bearer("whatever it is"))


def test_tokens_of_settings_and_file_count_together(tmp_path: Path) -> None:
    """None of them takes the place of another."""
    file = _file(tmp_path / "tokens", f"{TWO}\n{THREE}\n")
    tokens = Tokens(_settings(tokens=(ONE,), tokens_file=file), "http")
    assert not tokens.is_open
    assert all(tokens.allows(_bearer(token)) for token in (ONE, TWO, THREE))
    assert not tokens.allows({})


@pytest.mark.parametrize(
    "headers",
    [
        {"authorization": f"Bearer {ONE}"},
        {"Authorization": f"bearer {ONE}"},
        {"AUTHORIZATION": f"BEARER   {ONE} "},
        {"x-api-key": ONE},
        {"X-API-Key": f" {ONE}"},
        {"authorization": "Basic dXNlcjpwYXNz", "x-api-key": ONE},
        {"authorization": f"Bearer {TWO}", "x-api-key": ONE},
        {"trace-bin": b"\xff", "x-api-key": ONE},
    ],
)
def test_who_brings_a_token_may_send(headers: dict[str, str | bytes]) -> None:
    """In either header, whatever the case of its name and of the scheme (RFC 9110, 11.1)."""
    assert Tokens(_settings(tokens=(ONE,)), "http").allows(headers)


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"authorization": ""},
        {"authorization": "Bearer"},
        {"authorization": "Bearer "},
        {"authorization": ONE},
        {"authorization": f"Basic {ONE}"},
        {"authorization": f"Bearer{ONE}"},
        {"authorization": f"Bearer {ONE[:-1]}"},
        {"authorization": f"Bearer {ONE}x"},
        {"authorization": f"Bearer {ONE.upper()}"},
        {"authorization": f"Bearer {TWO}"},
        {"authorization": f"Bearer {ONE} {ONE}"},
        {"authorization": ONE.encode()},
        {"authorization-bin": f"Bearer {ONE}".encode()},
        {"x-api-key": ""},
        {"x-api-key": f"Bearer {ONE}"},
        {"x-api-key": ONE.encode()},
        {"x-api-key": f"{ONE}\0"},
        {"x-api-key": f"{ONE}\udcff"},
        {"x-api-key": "\ud800"},
        {"cookie": ONE},
    ],
)
def test_who_brings_none_or_a_wrong_one_may_not(headers: dict[str, str | bytes]) -> None:
    """Whatever stands in the headers; a value of bytes is that of a gRPC key with -bin, and none of ours."""
    assert not Tokens(_settings(tokens=(ONE,)), "http").allows(headers)


_TEXT = st.text() | st.text(st.characters(categories=["Cs"])) | st.binary()


@given(st.dictionaries(st.sampled_from(["authorization", "x-api-key", "Authorization"]) | st.text(), _TEXT))
def test_headers_may_hold_anything(headers: dict[str, str | bytes]) -> None:
    """Nobody gets in, and nothing is raised."""
    assert not Tokens(_settings(tokens=(ONE,)), "http").allows(headers)


@pytest.mark.parametrize("token", [ONE, TWO, THREE, "wrong-0123456789abcdef", ""])
def test_each_token_is_compared_every_time(token: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Digests are compared in constant time, and none is left out because another was right."""
    tokens = Tokens(_settings(tokens=(ONE, TWO, THREE)), "http")
    compared: list[bytes | str] = []
    right = hmac.compare_digest

    def compare(one: bytes, other: bytes) -> bool:
        assert len(one) == len(other) == 32
        compared.append(other)
        return right(one, other)

    monkeypatch.setattr(hmac, "compare_digest", compare)
    assert tokens.allows({"x-api-key": token}) is (token in (ONE, TWO, THREE))
    assert len(compared) == len(set(compared)) == 3


def test_a_file_has_a_token_in_each_line(tmp_path: Path) -> None:
    """Comments, empty lines, blanks at the ends, a byte order mark and line ends of Windows are no part of one."""
    content = f"\ufeff# agents\r\n\r\n  {ONE}\t\r\n   # {THREE}\r\n{TWO}#not-a-comment"
    tokens = Tokens(_settings(tokens_file=_file(tmp_path / "tokens", content)), "http")
    assert tokens.allows(_bearer(ONE))
    assert tokens.allows(_bearer(f"{TWO}#not-a-comment"))
    assert not tokens.allows(_bearer(THREE))
    assert not tokens.allows(_bearer(TWO))


SHORT, BLANK = "short-secret", "secret with blanks in it"


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("", "{file}: holds no token"),
        ("# none\n\n", "{file}: holds no token"),
        (f"{ONE}\n{SHORT}\n", "{file}:2: a token is 16 or more visible ASCII characters"),
        (f"# x\n{BLANK}\n", "{file}:2: a token is 16 or more"),
        ("sécret-0123456789abcdef", "{file}:1: a token is 16 or more"),
        ("secret\x7f-0123456789abcdef", "{file}:1: a token is 16 or more"),
        (f"{ONE}\n".encode() + b"secret-\xff-0123456789", "{file}:2: is not UTF-8"),
        (ONE.encode("utf-16"), "{file}:1: is not UTF-8"),
        ("".join(f"secret-{n:010}\n" for n in range(10_001)), "{file}: holds 10001 tokens; 10000 are the most"),
        (b"secret" * 3_000_000, "{file}: is larger than 16777216 bytes"),
        (None, "{file}: cannot be read: No such file or directory"),
    ],
)
def test_what_is_wrong_with_a_file(tmp_path: Path, content: str | bytes | None, problem: str) -> None:
    """The error names setting, file and line, and neither it nor what led to it shows a token."""
    file = tmp_path / "tokens"
    if content is not None:
        _file(file, content)
    settings = _settings(tokens_file=file)
    for make, where in (
        (lambda: Tokens(settings, "grpc"), "doors.grpc.tokens_file: "),
        (lambda: load_tokens(settings), "tokens_file: "),
    ):
        with pytest.raises(SettingsError) as caught:
            make()
        assert str(caught.value).startswith(where + problem.format(file=file))
        assert "secret" not in str(caught.value)
        assert caught.value.__suppress_context__ or caught.value.__context__ is None


@pytest.mark.parametrize("token", [SHORT, BLANK, "sécret-0123456789abcdef", f"secret-{ONE}\n"])
def test_a_token_of_the_settings_that_no_header_can_carry(token: str) -> None:
    """It is an error at the start, not a client that never gets in; it is told by its number."""
    with pytest.raises(SettingsError, match=r"^doors\.grpc\.tokens: number 2: a token is 16 or more") as caught:
        load_tokens(_settings(tokens=(ONE, token)), "doors.grpc.")
    assert "secret" not in str(caught.value)


def test_tokens_that_are_right_are_loaded(tmp_path: Path) -> None:
    """`lexilog config check` gets digests, and no token."""
    found = load_tokens(_settings(tokens=(ONE, TWO), tokens_file=_file(tmp_path / "tokens", f"{TWO}\n{THREE}")))
    assert len(found) == 3
    assert {len(digest) for digest in found} == {32}
    assert load_tokens(_settings()) == frozenset()


def test_a_file_that_everybody_may_read_is_warned_of_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The door opens all the same: in a container there may be nobody else."""
    file = _file(tmp_path / "tokens", ONE, 0o644)
    tokens = Tokens(_settings(tokens_file=file), "http")
    tokens.load()()
    assert caplog.messages == [f"doors.http.tokens_file: {file}: every user of this machine may read it"]
    caplog.clear()
    file.chmod(0o640)
    Tokens(_settings(tokens_file=file), "http")
    assert caplog.messages == []


def test_tokens_rotate_without_a_gap(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """An old and a new one side by side, then the new one alone; a file that is wrong or gone takes nothing away."""
    caplog.set_level(logging.DEBUG)
    file = _file(tmp_path / "tokens", ONE)
    tokens, status = Tokens(_settings(tokens_file=file), "http"), Status()
    reloader = Reloader([tokens], 0, status, Metrics())

    def after(content: str | None) -> list[bool]:
        if content is None:
            file.unlink()
        else:
            _file(file, content)
        asyncio.run(reloader.look())
        return [tokens.allows(_bearer(token)) for token in (ONE, TWO)]

    assert after(f"{ONE}\n{TWO}\n") == [True, True]
    assert after(f"{TWO}\n") == [False, True]
    assert after(f"{ONE}\n{SHORT}") == [False, True]
    assert status.problems == {"tokens": f"doors.http.tokens_file: {file}:2: a token is 16 or more visible ASCII "
                               "characters, without blanks"}  # fmt: skip
    assert after(None) == [False, True]
    assert "cannot be read" in status.problems["tokens"]
    assert after("# all revoked") == [False, True], "an empty file would open the door to nobody: it is refused"
    assert after(ONE) == [True, False]
    assert status.problems == {}
    assert not any(token in caplog.text for token in (ONE, TWO, SHORT))


def test_a_change_between_start_and_watch_counts(tmp_path: Path) -> None:
    """A token that was revoked while the server started does not stay."""
    file = _file(tmp_path / "tokens", ONE)
    time.sleep(0.1)
    tokens = Tokens(_settings(tokens_file=file), "http")
    _file(file, TWO)
    time.sleep(0.1)
    asyncio.run(Reloader([tokens], 0, Status(), Metrics()).look())
    assert not tokens.allows(_bearer(ONE))


def test_no_token_is_kept(tmp_path: Path) -> None:
    """Neither the text of the object nor anything that it holds shows one."""
    tokens = Tokens(_settings(tokens=(ONE,), tokens_file=_file(tmp_path / "tokens", TWO)), "http")
    held = pickle.dumps(vars(tokens))
    for token in (ONE, TWO):
        assert token not in repr(tokens) + repr(vars(tokens))
        assert token.encode() not in held
