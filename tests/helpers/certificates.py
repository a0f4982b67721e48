"""Certificates for tests of the doors' TLS: an authority, files that a door reads, and clients that show theirs."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import grpc
import trustme

from lexilog.service.settings import TlsSettings

NAMES = ("localhost", "127.0.0.1")
PAST = datetime.now(UTC) - timedelta(days=1)


class Files:
    """The files of one door, written anew as those who renew certificates do.

    Args:
        folder: where they are.
        authority: who signs the door's certificate.
    """

    def __init__(self, folder: Path, authority: trustme.CA) -> None:
        self._folder = folder
        self.renew(authority)

    def renew(self, authority: trustme.CA, expires: datetime | None = None) -> None:
        """Put a new certificate, and its key, in the place of the old one."""
        leaf = authority.issue_cert(*NAMES, not_after=expires)
        _write(self._folder / "cert.pem", b"".join(one.bytes() for one in leaf.cert_chain_pems))
        _write(self._folder / "key.pem", leaf.private_key_pem.bytes())

    def trust(self, authority: trustme.CA) -> None:
        """Let clients of an authority in, and of no other."""
        _write(self._folder / "clients.pem", authority.cert_pem.bytes())

    def settings(self) -> TlsSettings:
        """Return what the door is told: it asks for client certificates where `trust` was called before."""
        clients = self._folder / "clients.pem"
        return TlsSettings(
            cert_file=self._folder / "cert.pem",
            key_file=self._folder / "key.pem",
            client_ca_file=clients if clients.exists() else None,
        )


def _write(path: Path, data: bytes) -> None:
    new = path.with_suffix(".new")
    new.write_bytes(data)
    new.replace(path)


def client_context(
    trusted: trustme.CA, shown: trustme.LeafCert | None = None, alpn: tuple[str, ...] = ()
) -> ssl.SSLContext:
    """Return how a client encrypts that trusts an authority, and shows a certificate where it is given one."""
    context = ssl.create_default_context(ssl.Purpose.SERVER_AUTH)
    trusted.configure_trust(context)
    if shown:
        shown.configure_cert(context)
    if alpn:
        context.set_alpn_protocols(list(alpn))
    return context


def grpc_credentials(trusted: trustme.CA, shown: trustme.LeafCert | None = None) -> grpc.ChannelCredentials:
    """Return the same for gRPC."""
    chain = b"".join(one.bytes() for one in shown.cert_chain_pems) if shown else None
    return grpc.ssl_channel_credentials(
        trusted.cert_pem.bytes(), shown.private_key_pem.bytes() if shown else None, chain
    )
