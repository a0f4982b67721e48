"""When certificates end: what the metric says, and what is worth a warning."""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from lexilog.service.metrics import Counts
from lexilog.service.settings import TlsSettings
from lexilog.service.tls import Tls

DAYS = [-1, 13, 90]


def _authority(days: float) -> bytes:
    """Return a certificate of an authority that ends in some days, or has ended, in PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"authority of {days} days")])
    begin, end = datetime.now(UTC) - timedelta(days=99), datetime.now(UTC) + timedelta(days=days)
    made = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), begin, end)
    return made.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


@pytest.fixture
def settings(tmp_path: Path, request: pytest.FixtureRequest) -> TlsSettings:
    """Return the files of a door, with a certificate of 30 days."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    begin, end = datetime.now(UTC) - timedelta(days=99), datetime.now(UTC) + timedelta(days=30)
    made = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), begin, end)
    pem = serialization.Encoding.PEM
    (tmp_path / "cert.pem").write_bytes(made.sign(key, hashes.SHA256()).public_bytes(pem))
    (tmp_path / "key.pem").write_bytes(
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return TlsSettings(cert_file=tmp_path / "cert.pem", key_file=tmp_path / "key.pem")


@pytest.mark.parametrize(("days", "said"), [(-1, "has ended on"), (13, "ends on"), (90, "")])
def test_a_chain_ends_with_the_first_of_it(
    days: int, said: str, settings: TlsSettings, caplog: pytest.LogCaptureFixture
) -> None:
    """A certificate is of no use any more when one above it has ended: the metric and the warning count all of them."""
    with settings.cert_file.open("ab") as chain:
        chain.write(_authority(days))
    counts = Counts()
    with caplog.at_level(logging.WARNING):
        Tls("http", settings, (), counts)
    found = counts.metrics.registry.get_sample_value("lexilog_certificate_expiry_seconds", {"door": "http"})
    assert found == pytest.approx((datetime.now(UTC) + timedelta(days=min(days, 30))).timestamp(), abs=60)
    assert [record.getMessage().partition(": ")[0] for record in caplog.records] == ["doors.http.tls.cert_file"] * bool(
        said
    )
    assert said in caplog.text


@pytest.mark.parametrize(
    ("ends", "said"), [([-1, -2], "has ended on"), ([-1, 13], "ends on"), ([-1, 90], ""), ([90], "")]
)
def test_authorities_end_with_the_last_of_them(
    ends: list[int], said: str, settings: TlsSettings, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Clients get in as long as one of them is valid; the door opens, and the log says when none is."""
    authorities = tmp_path / "clients.pem"
    authorities.write_bytes(b"".join(_authority(days) for days in ends))
    with caplog.at_level(logging.WARNING):
        Tls(
            "http",
            TlsSettings(cert_file=settings.cert_file, key_file=settings.key_file, client_ca_file=authorities),
            (),
            Counts(),
        )
    assert ("doors.http.tls.client_ca_file: " in caplog.text) == bool(said)
    assert said in caplog.text
