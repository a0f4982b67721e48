"""Certificates of relays: read from files, and read again when these are renewed."""

from __future__ import annotations

import logging
import os
import re
import ssl
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple, NoReturn

from lexilog.errors import SettingsError
from lexilog.relay.settings import ElasticsearchSettings, ForwardSettings, OtlpSettings, SplunkHecSettings

__all__ = ["Loaded", "TlsFiles", "TlsSettings", "hint", "refuse_files", "system_certificates"]

TlsSettings = OtlpSettings | ForwardSettings | ElasticsearchSettings | SplunkHecSettings

_log = logging.getLogger(__name__)

_SETTINGS = ("ca_file", "cert_file", "key_file")
# What OpenSSL calls a certificate in a directory of them: a hash of its subject, and a number.
_HASHED_NAME = re.compile(r"[0-9a-f]{8}\.\d+")
# How OpenSSL (Python) and BoringSSL (gRPC) say that a connection fails, and what that means. What a server says of our
# certificate is an alert; WRONG_VERSION_NUMBER is RECORD_LAYER_FAILURE since OpenSSL 3.2.
_HINTS = {
    r"WRONG_VERSION_NUMBER|RECORD_LAYER_FAILURE|Handshake read failed": "no TLS there?",
    r"unable to get (local )?issuer certificate|self[- ]signed certificate": "check ca_file",
    r"Hostname Verification Check failed": "its certificate is for another name than that of endpoint",
    r"missing selected ALPN": "what listens there does not speak gRPC",
    # gRPC takes no keys of Ed25519 and P-521.
    r"NO_COMMON_SIGNATURE_ALGORITHMS": "it takes no key like that of key_file: use one of RSA or P-256",
    r"ALERT_CERTIFICATE_REQUIRED": "it asks for a client certificate: set cert_file and key_file",
    r"ALERT_UNKNOWN_CA": "it does not know who signed cert_file",
    r"ALERT_CERTIFICATE_EXPIRED": "renew cert_file",
    r"ALERT_(BAD|UNSUPPORTED)_CERTIFICATE|ALERT_CERTIFICATE_(UNKNOWN|REVOKED)": "it does not take cert_file",
}


class Loaded(NamedTuple):
    """What the files of a relay held when they were read.

    Attributes:
        context: for Python's own TLS.
        ca: certificates to trust, in PEM; None for those of the system.
        cert: our certificate, in PEM; None for none.
        key: its private key, in PEM.
    """

    context: ssl.SSLContext
    ca: bytes | None
    cert: bytes | None
    key: bytes | None


class TlsFiles:
    """The certificates that a relay uses, as its files hold them now.

    Args:
        name: name of the relay.
        settings: which files.
        alpn: names of protocols to offer (RFC 7301).

    Attributes:
        proven: the next hop has answered since they were read.

    Raises:
        SettingsError: a file cannot be used, or one is missing.
    """

    def __init__(self, name: str, settings: TlsSettings, alpn: Iterable[str] = ()) -> None:
        self._name = name
        self._files = {which: path for which in _SETTINGS if (path := getattr(settings, which)) is not None}
        self._alpn = list(alpn)
        if ("cert_file" in self._files) != ("key_file" in self._files):
            raise SettingsError(f"relay {name}: cert_file and key_file go together: set both or neither")
        self.proven = False
        self._stamp = self._look()
        self._loaded = self._load()

    def current(self) -> Loaded:
        """Return what the files hold, the same object for as long as that does not change.

        Where they are wrong it is what they held before; they are looked at again the next time.
        """
        stamp = self._look()
        if stamp != self._stamp:
            try:
                self._loaded = self._load()
            except SettingsError as error:
                _log.warning("%s; what was there before stays in use", error, extra={"once": str(error)})
            else:
                self._stamp = stamp
                self.proven = False
                _log.info("relay %s: certificates read anew", self._name)
        return self._loaded

    @property
    def hint(self) -> str:
        """What may be wrong where a connection ends without a word; empty where that is nothing about certificates.

        In TLS 1.3 a client speaks before the server has judged its certificate, and what the server says of it may be
        lost when it hangs up on that.
        """
        if self.proven:
            return ""
        if "cert_file" in self._files:
            return "; it may not take the certificate of cert_file"
        return "; it may ask for a client certificate: set cert_file and key_file"

    def _look(self) -> list[object]:
        """Return what changes when a file does, be it written, replaced, or behind a link that was set anew."""
        stamp: list[object] = []
        for path in self._files.values():
            try:
                found = path.stat()
            except (OSError, ValueError):  # the latter: a NUL in its name
                stamp.append(None)
            else:
                stamp.append((found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns))
        return stamp

    def _load(self) -> Loaded:
        held = {which: self._read(which, path) for which, path in self._files.items()}
        # This fails soon, and reading the system's certificates takes a while: a wrong pair is tried time after time.
        self._show_own(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))
        ca_file = self._files.get("ca_file")
        try:
            context = ssl.create_default_context(cafile=ca_file)
        except OSError as error:  # which ssl.SSLError is
            raise self._unreadable("ca_file", error) from error
        self._show_own(context)
        if self._alpn:
            context.set_alpn_protocols(self._alpn)
        return Loaded(context, held.get("ca_file"), held.get("cert_file"), held.get("key_file"))

    def _read(self, which: str, path: Path) -> bytes:
        try:
            return path.read_bytes()
        except (OSError, ValueError) as error:
            raise self._unreadable(which, error) from error

    def _show_own(self, context: ssl.SSLContext) -> None:
        """Let a context show our own certificate, if there is one."""
        if "cert_file" not in self._files:
            return
        cert, key = self._files["cert_file"], self._files["key_file"]
        try:
            context.load_cert_chain(cert, key, password=_refuse_password)
        except _EncryptedError as error:
            problem = "is encrypted, and nobody is there to tell the password: give a key that is not"
            raise SettingsError(f"relay {self._name}: key_file {key}: {problem}") from error
        except OSError as error:
            if isinstance(error, ssl.SSLError) and error.reason == "KEY_VALUES_MISMATCH":
                raise SettingsError(
                    f"relay {self._name}: key_file {key}: is not the key of cert_file {cert}"
                ) from error
            problem = f"cert_file {cert} and key_file {key}: cannot be read as PEM certificate and private key"
            raise SettingsError(f"relay {self._name}: {problem}: {_words(error)}") from error

    def _unreadable(self, which: str, error: Exception) -> SettingsError:
        what = "private key" if which == "key_file" else "certificates"
        told = f"{which} {self._files[which]}: cannot be read as PEM {what}: {_words(error)}"
        return SettingsError(f"relay {self._name}: {told}")


class _EncryptedError(Exception):
    """A private key has a password."""


def _refuse_password() -> NoReturn:
    """Stand in for OpenSSL's own way, which is to ask on the terminal and wait."""
    raise _EncryptedError


def _words(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)


def refuse_files(name: str, settings: TlsSettings, problem: str) -> None:
    """See that a relay without TLS names no files for it.

    Args:
        name: name of the relay.
        settings: its settings.
        problem: what to say of a file.

    Raises:
        SettingsError: it names one.
    """
    for which in _SETTINGS:
        if getattr(settings, which) is not None:
            raise SettingsError(f"relay {name}: {which} {problem}")


def system_certificates(name: str) -> bytes:
    """Return the certificates that Python trusts by default, in PEM: for gRPC, which has a list of its own.

    Those are OpenSSL's: a file and directories, which ``SSL_CERT_FILE`` and ``SSL_CERT_DIR`` can set.

    Args:
        name: name of the relay.

    Raises:
        SettingsError: there are none.
    """
    found = [ssl.DER_cert_to_PEM_cert(one) for one in ssl.create_default_context().get_ca_certs(binary_form=True)]
    paths = ssl.get_default_verify_paths()
    # OpenSSL itself looks into these only when it needs a certificate.
    for folder in os.environ.get(paths.openssl_capath_env, paths.openssl_capath).split(os.pathsep):
        with suppress(OSError):
            hashed = sorted(path for path in Path(folder).iterdir() if _HASHED_NAME.fullmatch(path.name))
            found += [path.read_text(encoding="ascii", errors="ignore") for path in hashed]
    if not found:
        raise SettingsError(f"relay {name}: the system has no certificates to trust: install them, or set ca_file")
    # The directories hold as a rule what the file holds.
    return "\n".join(dict.fromkeys(one.strip() for one in found)).encode("ascii")


def hint(words: str) -> str:
    """Return what the words of a failed TLS connection mean, to be put behind them; empty where that is not known."""
    return next((f"; {meaning}" for pattern, meaning in _HINTS.items() if re.search(pattern, words)), "")
