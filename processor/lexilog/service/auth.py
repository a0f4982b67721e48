"""Who may send: tokens, as ``Authorization: Bearer`` (RFC 6750) or ``X-API-Key``.

Only their digests are kept, so that no token gets into a log, an error or the text of an object.
"""

from __future__ import annotations

import codecs
import hashlib
import hmac
import logging
import os
import re
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

from lexilog.errors import SettingsError
from lexilog.service.reload import fingerprint
from lexilog.service.settings import RequestDoorSettings

__all__ = ["Tokens", "load_tokens"]

_TOKEN = re.compile(r"[\x21-\x7e]{16,}")
_RULE = "a token is 16 or more visible ASCII characters, without blanks"
# Each request is compared with each token: 10,000 take about a millisecond.
_MOST_TOKENS = 10_000
_MOST_BYTES = 16 * 1024 * 1024

_log = logging.getLogger(__name__)


class Tokens:
    """The tokens of one door; those of a file can be read anew (`lexilog.service.reload`).

    Args:
        settings: of the door.
        port: its name in the settings.

    Attributes:
        name: what the settings call them.
        is_open: no tokens are configured, so everybody may send.
        seen: the fingerprint of the file before it was read for the first time.

    Raises:
        SettingsError: the tokens cannot be used; the error repeats none of them.
    """

    what = "tokens"

    def __init__(self, settings: RequestDoorSettings, port: str) -> None:
        self.name = f"doors.{port}.tokens"
        self.is_open = not settings.tokens and settings.tokens_file is None
        self._file = settings.tokens_file
        self._where = f"doors.{port}."
        self._in_settings = _of_settings(settings, self._where)
        self._has_warned = False
        self._known: frozenset[bytes]
        self.seen = fingerprint(self.files())
        self.load()()

    def files(self) -> Iterable[Path]:
        """Return the file that is read, if there is one."""
        return () if self._file is None else (self._file,)

    def load(self) -> Callable[[], None]:
        """Read the file; return what puts its tokens to use, in the place of all that it held before.

        Raises:
            SettingsError: it cannot be used; the error repeats no token.
        """
        found, mode = _of_file(self._file, self._where)
        if mode & stat.S_IROTH and not self._has_warned:
            self._has_warned = True
            _log.warning("%stokens_file: %s: every user of this machine may read it", self._where, self._file)

        def use() -> None:
            self._known = self._in_settings | found

        return use

    def allows(self, headers: Mapping[str, str | bytes]) -> bool:
        """Tell whether a request may pass. The time that this takes does not depend on how right its token is.

        Args:
            headers: as they came, names in any case; of several with one name the first counts.
        """
        if self.is_open:
            return True
        is_known = False
        for token in _brought(headers):
            digest = _digest(token)
            for known in self._known:
                is_known |= hmac.compare_digest(digest, known)
        return is_known


def load_tokens(settings: RequestDoorSettings, where: str = "") -> frozenset[bytes]:
    """Return the SHA-256 digests of a door's tokens.

    Args:
        settings: of the door.
        where: what errors put before the name of a setting, such as ``doors.grpc.``.

    Raises:
        SettingsError: the tokens cannot be used; the error repeats none of them.
    """
    return _of_settings(settings, where) | _of_file(settings.tokens_file, where)[0]


def _brought(headers: Mapping[str, str | bytes]) -> Iterator[str]:
    """Yield what a request claims to be its token: one or two texts, whatever they hold."""
    found: dict[str, str] = {}
    for name, value in headers.items():
        if isinstance(value, str):
            found.setdefault(name.lower(), value.strip())
    scheme, _, token = found.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        yield token.strip()
    if "x-api-key" in found:
        yield found["x-api-key"]


def _digest(token: str) -> bytes:
    # Bytes that are no UTF-8 come as lone surrogates.
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()


def _digests(tokens: Iterable[tuple[int, str]], where: str) -> frozenset[bytes]:
    """Return the digests of numbered tokens."""
    found = set()
    for number, token in tokens:
        if not _TOKEN.fullmatch(token):
            raise SettingsError(f"{where}{number}: {_RULE}")
        found.add(_digest(token))
    return frozenset(found)


def _of_settings(settings: RequestDoorSettings, where: str) -> frozenset[bytes]:
    return _digests(enumerate(settings.tokens, start=1), f"{where}tokens: number ")


def _of_file(path: Path | None, where: str) -> tuple[frozenset[bytes], int]:
    """Return the digests of the tokens in a file, and the file's mode; nothing where there is none.

    An error must not lead to what the file holds: none is raised from another one.
    """
    if path is None:
        return frozenset(), 0
    where += "tokens_file: "
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            content = file.read(_MOST_BYTES + 1).removeprefix(codecs.BOM_UTF8)
    except OSError as error:
        raise SettingsError(f"{where}{path}: cannot be read: {error.strerror}") from None
    if len(content) > _MOST_BYTES:
        raise SettingsError(f"{where}{path}: is larger than {_MOST_BYTES} bytes: is it a file of tokens?")
    try:
        lines = content.decode("utf-8").split("\n")
    except UnicodeDecodeError as error:
        number = content.count(b"\n", 0, error.start) + 1
        raise SettingsError(f"{where}{path}:{number}: is not UTF-8: save it as UTF-8") from None
    stripped = ((number, line.strip()) for number, line in enumerate(lines, start=1))
    found = _digests(
        ((number, text) for number, text in stripped if text and not text.startswith("#")), f"{where}{path}:"
    )
    if not found:
        raise SettingsError(f"{where}{path}: holds no token: write one into each line")
    if len(found) > _MOST_TOKENS:
        raise SettingsError(f"{where}{path}: holds {len(found)} tokens; {_MOST_TOKENS} are the most")
    return found, mode
