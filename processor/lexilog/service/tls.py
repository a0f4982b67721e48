"""Encryption of the doors: certificates are read here, again whenever their files change."""

from __future__ import annotations

import logging
import ssl
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509

from lexilog.errors import SettingsError
from lexilog.service.metrics import Counts
from lexilog.service.reload import fingerprint
from lexilog.service.settings import TlsSettings

__all__ = ["Tls", "make_context", "warning_of_authorities", "warning_of_chain"]

# How long before its end a certificate is worth a warning.
_SOON = timedelta(days=14)

_log = logging.getLogger(__name__)


class Tls:
    """How one door encrypts; it can be read anew (`lexilog.service.reload`).

    A connection that stands keeps what it began with; each new one takes what is in use then.

    Args:
        port: the port's name in the settings.
        settings: where the certificates are.
        alpn: names of the protocols that the door speaks, as TLS has them; empty where it has none.
        counts: shows when the certificate ends.

    Attributes:
        name: what the settings call it.
        context: for the next connection.
        seen: the fingerprint of the files before they were read for the first time.

    Raises:
        SettingsError: the certificates cannot be used.
    """

    what = "tls"

    def __init__(self, port: str, settings: TlsSettings, alpn: Sequence[str], counts: Counts) -> None:
        self.name = f"doors.{port}.tls"
        self._settings = settings
        self._alpn = alpn
        self._expiry = counts.metrics["certificate_expiry_seconds"].labels(port)
        self.seen = fingerprint(self.files())
        self.context: ssl.SSLContext
        self.load()()

    def files(self) -> Iterable[Path]:
        """Return what is read."""
        told = self._settings
        return (path for path in (told.cert_file, told.key_file, told.client_ca_file) if path is not None)

    def load(self) -> Callable[[], None]:
        """Read the certificates; return what puts them to use.

        Raises:
            SettingsError: they cannot be used.
        """
        context = make_context(self._settings, self._alpn, self.name)
        expiry = min(_ends(self._settings.cert_file, f"{self.name}.cert_file"))
        for warning in _warnings(self._settings, self.name):
            _log.warning("%s", warning, extra={"once": warning})

        def use() -> None:
            self.context = context
            self._expiry.set(expiry.timestamp())

        return use


def make_context(settings: TlsSettings, alpn: Sequence[str], where: str) -> ssl.SSLContext:
    """Return how to encrypt as a server: TLS 1.2 or newer.

    Args:
        settings: where the certificates are.
        alpn: names of the protocols that the door speaks.
        where: what errors call the settings.

    Raises:
        SettingsError: the certificates cannot be read, do not belong together, or the key is encrypted.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if alpn:
        context.set_alpn_protocols(list(alpn))
    cert, key, authorities = settings.cert_file, settings.key_file, settings.client_ca_file
    _check_readable(cert, f"{where}.cert_file")
    _check_readable(key, f"{where}.key_file")
    try:
        # Without a password OpenSSL would ask for one at the terminal.
        context.load_cert_chain(cert, key, password=_no_password)
    except _EncryptedKeyError as error:
        problem = "the key is encrypted: decrypt it (openssl pkey), and protect the file"
        raise SettingsError(f"{where}.key_file: {key}: {problem}") from error
    except (OSError, ValueError) as error:
        _check_content(cert, b"CERTIFICATE-----", "certificate", f"{where}.cert_file")
        _check_content(key, b"PRIVATE KEY-----", "private key", f"{where}.key_file")
        problem = f"{cert} and {key} cannot be used as a certificate and its key, in PEM: {_why(error)}"
        raise SettingsError(f"{where}: {problem}") from error
    if authorities is not None:
        _check_readable(authorities, f"{where}.client_ca_file")
        context.verify_mode = ssl.CERT_REQUIRED
        try:
            context.load_verify_locations(authorities)
        except (OSError, ValueError) as error:
            problem = f"{authorities}: cannot be used as certificates in PEM: {_why(error)}"
            raise SettingsError(f"{where}.client_ca_file: {problem}") from error
    return context


class _EncryptedKeyError(Exception):
    pass


def _no_password() -> bytes:
    raise _EncryptedKeyError


def _why(error: Exception) -> str:
    reason = getattr(error, "reason", None)
    if reason == "KEY_VALUES_MISMATCH":
        return "the key is not that of the certificate"
    return str(reason or getattr(error, "strerror", None) or error).replace("_", " ").lower()


def _check_readable(path: Path, what: str) -> None:
    """Raise a SettingsError that says why, where a file cannot be read: OpenSSL does not say which one."""
    try:
        with path.open("rb"):
            pass
    except OSError as error:
        raise SettingsError(f"{what}: {path}: cannot be read: {error.strerror}") from error


def _check_content(path: Path, mark: bytes, what: str, where: str) -> None:
    """Raise a SettingsError where a file holds something else altogether: OpenSSL says only that something is wrong."""
    if mark not in path.read_bytes():
        raise SettingsError(f"{where}: {path}: holds no {what} in PEM")


def warning_of_chain(path: Path, where: str) -> str | None:
    """Return what is to be said of a certificate and those above it that ends soon, or has; None where all is well.

    Args:
        path: a file of certificates: all of them are needed.
        where: what the warning calls the setting.

    Raises:
        SettingsError: the file holds no certificates.
    """
    return _warning(min(_ends(path, where)), f"{where}: {path}: the certificate, or one above it,")


def warning_of_authorities(path: Path, where: str) -> str | None:
    """Return what is to be said of authorities all of which end soon, or have; None where all is well.

    Args:
        path: a file of certificates: any of them will do.
        where: what the warning calls the setting.
    """
    try:
        return _warning(max(_ends(path, where)), f"{where}: {path}: the last of these certificates")
    except SettingsError:
        # OpenSSL reads more than this does.
        return None


def _warnings(settings: TlsSettings, where: str) -> list[str]:
    found = [warning_of_chain(settings.cert_file, f"{where}.cert_file")]
    if settings.client_ca_file:
        found.append(warning_of_authorities(settings.client_ca_file, f"{where}.client_ca_file"))
    return [one for one in found if one]


def _warning(end: datetime, what: str) -> str | None:
    now = datetime.now(UTC)
    if end < now:
        return f"{what} has ended on {end:%Y-%m-%d}"
    return f"{what} ends on {end:%Y-%m-%d}" if end < now + _SOON else None


def _ends(path: Path, where: str) -> list[datetime]:
    """Return when each certificate of a file ends."""
    try:
        return [one.not_valid_after_utc for one in x509.load_pem_x509_certificates(path.read_bytes())]
    except (OSError, ValueError) as error:
        raise SettingsError(f"{where}: {path}: cannot be read as certificates in PEM: {error}") from error
