"""TLS of every relay that can speak it, against real handshakes: who is trusted, what we show, what is renewed."""

from __future__ import annotations

import asyncio
import ssl
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import trustme
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from forward_double import ForwardDouble
from lexilog import Enriched, Pipeline, Record, RelayError, SettingsError
from lexilog.relay import Delivery, Relay
from lexilog.relay._renewed import Renewed
from lexilog.relay._tls import TlsFiles
from lexilog.relay.make import make_relay
from lexilog.relay.settings import (
    ElasticsearchSettings,
    ForwardSettings,
    OtlpSettings,
    RelaySettings,
    SplunkHecSettings,
)
from tls_double import KINDS, Certificates, Hop, replace

each_kind = pytest.mark.parametrize("kind", KINDS)
# Seconds for everything that a test does.
PATIENCE = 20


def _expired(ca: trustme.CA, name: str) -> trustme.LeafCert:
    end = datetime.now(UTC) - timedelta(days=1)
    return ca.issue_cert(name, not_before=end - timedelta(days=9), not_after=end)


@pytest.fixture
def files(tmp_path: Path) -> Certificates:
    return Certificates(tmp_path)


@pytest.fixture
def batch(pipeline: Pipeline) -> list[Enriched]:
    return pipeline.process_all([Record(line="a line", id="abc-0")])


def _settings(kind: str, address: str, *, tls: bool = True, **told: Any) -> RelaySettings:
    url = f"{'https' if tls else 'http'}://{address}"
    told.setdefault("timeout", 5.0)
    if kind == "otlp":
        return OtlpSettings(endpoint=address, tls=tls, **told)
    if kind == "otlp_http":
        return OtlpSettings(endpoint=url, protocol="http", **told)
    if kind == "elasticsearch":
        return ElasticsearchSettings(urls=(url,), **told)
    if kind == "splunk_hec":
        return SplunkHecSettings(url=url, token="t", **told)
    return ForwardSettings(endpoint=address, tls=tls, **told)


def _relay(hop: Hop, host: str = "127.0.0.1", **told: Any) -> Relay:
    return make_relay("hop", _settings(hop.kind, f"{host}:{hop.port}", **told))


@asynccontextmanager
async def _opened(relay: Relay) -> Any:
    await relay.open()
    try:
        yield relay
    finally:
        await relay.close()


def _deliver(hop: Hop, batch: list[Enriched], **told: Any) -> Delivery:
    async def run() -> Delivery:
        async with asyncio.timeout(PATIENCE), hop.serve(), _opened(_relay(hop, **told)) as relay:
            return await relay.deliver(batch)

    return asyncio.run(run())


def _fails(hop: Hop, batch: list[Enriched], problem: str, **told: Any) -> None:
    with pytest.raises(RelayError, match=f"(?s)^relay hop: 127.0.0.1:[0-9]+: .*{problem}"):
        _deliver(hop, batch, **told)
    assert hop.requests == []


@each_kind
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_a_next_hop_of_a_ca_that_is_trusted_gets_records(
    kind: str, host: str, files: Certificates, batch: list[Enriched]
) -> None:
    """`ca_file` names who is trusted; the name that is checked is the host of the endpoint, name or address."""
    hop = Hop(kind, files.ca.issue_cert(host))
    assert _deliver(hop, batch, host=host, ca_file=files.ca_file) == Delivery()
    assert hop.requests == [None]


@each_kind
@pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "SSL_CERT_DIR"])
def test_without_a_ca_file_the_systems_certificates_are_trusted(
    kind: str, variable: str, files: Certificates, batch: list[Enriched], monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are the same for every relay, gRPC included: those of OpenSSL, from a file or from a directory."""
    monkeypatch.setenv("SSL_CERT_FILE", str(files.folder / "nothing.pem"))
    monkeypatch.setenv("SSL_CERT_DIR", str(files.folder / "nothing"))
    # gRPC's own list is not asked.
    monkeypatch.setenv("GRPC_DEFAULT_SSL_ROOTS_FILE_PATH", str(files.folder / "nothing.pem"))
    place = files.folder / "system.pem"
    if variable == "SSL_CERT_DIR":
        # OpenSSL finds a certificate by a hash of its subject, which `openssl x509 -hash` tells.
        files.ca = trustme.CA(organization_name="Synthetic", organization_unit_name="Unit")
        place = files.folder / "certificates" / "1be46e13.0"
        place.parent.mkdir()
    place.write_bytes(files.ca.cert_pem.bytes())
    monkeypatch.setenv(variable, str(place.parent if variable == "SSL_CERT_DIR" else place))
    assert _deliver(Hop(kind, files.ca.issue_cert("127.0.0.1")), batch) == Delivery()
    _fails(Hop(kind, files.other.issue_cert("127.0.0.1")), batch, "; check ca_file$")


@each_kind
@pytest.mark.parametrize(
    ("fault", "problem"),
    [
        ("signer", "unable to get local issuer certificate.*; check ca_file$"),
        ("expired", "certificate has expired"),
        ("name", "(IP address mismatch, certificate is not valid for '127.0.0.1'|is for another name than that of en)"),
        ("plain", "; no TLS there\\?$"),
    ],
)
def test_a_next_hop_that_proves_nothing_gets_nothing(
    kind: str, fault: str, problem: str, files: Certificates, batch: list[Enriched]
) -> None:
    """A certificate of another signer, of yesterday, of another name, or none: the sender keeps the batch."""
    leaf = {
        "signer": lambda: files.other.issue_cert("127.0.0.1"),
        "expired": lambda: _expired(files.ca, "127.0.0.1"),
        "name": lambda: files.ca.issue_cert("other.example", "192.0.2.1"),
        "plain": lambda: None,
    }[fault]()
    _fails(Hop(kind, leaf), batch, problem, ca_file=files.ca_file)


@each_kind
def test_a_client_certificate_is_shown(kind: str, files: Certificates, batch: list[Enriched]) -> None:
    """A next hop that asks for one sees that of `cert_file`."""
    shown = files.show(files.ca.issue_cert("client.example"))
    hop = Hop(kind, files.ca.issue_cert("127.0.0.1"), client_ca=files.ca)
    assert _deliver(hop, batch, ca_file=files.ca_file, **files.own) == Delivery()
    assert hop.requests == [shown]


@each_kind
@pytest.mark.parametrize("fault", ["none", "signer", "expired"])
@pytest.mark.parametrize("size", [1, 400_000])
def test_without_the_right_client_certificate_nothing_is_taken(
    kind: str, fault: str, size: int, files: Certificates, pipeline: Pipeline
) -> None:
    """The sender keeps the batch, and the error names the setting to look at, however the connection ends."""
    batch = pipeline.process_all([Record(line="x" * size)])
    hop = Hop(kind, files.ca.issue_cert("127.0.0.1"), client_ca=files.ca)
    if fault == "none":
        _fails(hop, batch, "client certificate: set cert_file and key_file$", ca_file=files.ca_file)
        return
    files.show(_expired(files.ca, "a.example") if fault == "expired" else files.other.issue_cert("a.example"))
    _fails(hop, batch, "cert_file$", ca_file=files.ca_file, **files.own)


@pytest.mark.parametrize("kind", ["otlp", "forward"])
def test_a_relay_that_is_not_told_to_encrypt_reaches_no_tls_port(
    kind: str, files: Certificates, batch: list[Enriched]
) -> None:
    """It is a failure like any other, never a record in plain text that counts as taken."""
    _fails(Hop(kind, files.ca.issue_cert("127.0.0.1")), batch, "set tls to true$|it has closed", tls=False)


def test_the_shared_key_of_forward_is_proven_under_tls(files: Certificates, batch: list[Enriched]) -> None:
    """Both go together; what is wrong with certificates on either side is not said to be the key's fault."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    files.ca.issue_cert("127.0.0.1").configure_cert(context)

    async def run(double: ForwardDouble, **told: Any) -> None:
        settings = ForwardSettings(endpoint=double.endpoint, tls=True, shared_key="the-key-of-the-test", **told)
        async with asyncio.timeout(PATIENCE), _opened(make_relay("hop", settings)) as relay:
            await relay.deliver(batch)

    with ForwardDouble(tls=context, shared_key="the-key-of-the-test") as double:
        asyncio.run(run(double, ca_file=files.ca_file))
        assert len(double.received) == 1
        with pytest.raises(RelayError, match=r"certificate verify failed(?!.*shared_key)"):
            asyncio.run(run(double))
        context.verify_mode = ssl.CERT_REQUIRED
        with pytest.raises(RelayError, match=r"set cert_file and key_file$"):
            asyncio.run(run(double, ca_file=files.ca_file))
        assert len(double.received) == 1


@each_kind
def test_a_ca_that_is_exchanged_is_known_without_a_restart(
    kind: str, files: Certificates, batch: list[Enriched]
) -> None:
    """What failed before works when the file is right, and `check` does not stand in the way of finding out."""
    files.trust(files.other)
    hop = Hop(kind, files.ca.issue_cert("127.0.0.1"))

    async def run() -> None:
        async with asyncio.timeout(PATIENCE), hop.serve(), _opened(_relay(hop, ca_file=files.ca_file)) as relay:
            with pytest.raises(RelayError, match="certificate"):
                await relay.deliver(batch)
            if kind == "otlp":
                with pytest.raises(RelayError, match=r"cannot be reached; when it was tried last: .*; check ca_file$"):
                    await relay.check()
            files.trust(files.ca)
            await relay.check()
            assert await relay.deliver(batch) == Delivery()

    asyncio.run(run())


@each_kind
def test_a_renewed_client_certificate_is_shown_from_the_next_request_on(
    kind: str, files: Certificates, batch: list[Enriched]
) -> None:
    """A connection that stands with the old one is not used again, whoever has to close it."""
    first = files.show(files.ca.issue_cert("one.example"))
    hop = Hop(kind, files.ca.issue_cert("127.0.0.1"), client_ca=files.ca)

    async def run() -> bytes:
        told = {"ca_file": files.ca_file, **files.own}
        async with asyncio.timeout(PATIENCE), hop.serve(), _opened(_relay(hop, **told)) as relay:
            await relay.deliver(batch)
            second = files.show(files.ca.issue_cert("two.example"))
            await relay.deliver(batch)
            await relay.deliver(batch)
            return second

    second = asyncio.run(run())
    assert hop.requests == [first, second, second]


@each_kind
def test_broken_new_files_leave_the_old_ones_in_use(
    kind: str, files: Certificates, batch: list[Enriched], caplog: pytest.LogCaptureFixture
) -> None:
    """A key without its certificate, rubbish or no file: a warning each, and what is right at last is used."""
    first = files.show(files.ca.issue_cert("one.example"))
    hop = Hop(kind, files.ca.issue_cert("127.0.0.1"), client_ca=files.ca)
    new = files.ca.issue_cert("two.example")

    async def run() -> bytes:
        told = {"ca_file": files.ca_file, **files.own}
        async with asyncio.timeout(PATIENCE), hop.serve(), _opened(_relay(hop, **told)) as relay:
            replace(files.key_file, new.private_key_pem.bytes())
            await relay.deliver(batch)
            replace(files.cert_file, b"rubbish")
            await relay.deliver(batch)
            files.ca_file.unlink()
            await relay.deliver(batch)
            files.trust(files.ca)
            second = files.show(new)
            await relay.deliver(batch)
            return second

    second = asyncio.run(run())
    assert hop.requests == [first, first, first, second]
    warnings = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert [text.split(": ")[1].split(" ")[0] for text in warnings] == ["key_file", "cert_file", "ca_file"]
    assert all(
        text.startswith("relay hop: ") and text.endswith("what was there before stays in use") for text in warnings
    )


@pytest.mark.parametrize("kind", ["otlp", "otlp_http", "elasticsearch", "splunk_hec"])
def test_a_request_under_way_is_not_disturbed_by_new_files(
    kind: str, files: Certificates, batch: list[Enriched]
) -> None:
    """It ends with the certificate that it has begun with, while the next one has the new one already."""
    first = files.show(files.ca.issue_cert("one.example"))
    hop = Hop(kind, files.ca.issue_cert("127.0.0.1"), client_ca=files.ca)

    async def run() -> bytes:
        begun, go_on = asyncio.Event(), asyncio.Event()

        async def hold() -> None:
            if len(hop.requests) == 1:
                begun.set()
                await go_on.wait()

        hop.hold = hold
        told = {"ca_file": files.ca_file, **files.own}
        async with asyncio.timeout(PATIENCE), hop.serve(), _opened(_relay(hop, **told)) as relay:
            early = asyncio.create_task(relay.deliver(batch))
            await begun.wait()
            second = files.show(files.ca.issue_cert("two.example"))
            assert await relay.deliver(batch) == Delivery()
            assert not early.done()
            go_on.set()
            assert await early == Delivery()
            return second

    second = asyncio.run(run())
    assert hop.requests == [first, second]


def test_an_old_client_is_closed_with_its_last_request(files: Certificates) -> None:
    """Not before, and not twice; the one in use is closed at the end."""
    closed: list[object] = []

    async def close(client: object) -> None:
        closed.append(client)

    async def run() -> None:
        clients: Renewed[object] = Renewed(
            TlsFiles("hop", ForwardSettings(endpoint="h:1", ca_file=files.ca_file)), lambda loaded: object(), close
        )
        async with clients.use() as old:
            files.trust(files.other)
            async with clients.use() as new:
                assert new is not old
                async with clients.use() as same:
                    assert same is new
            assert closed == []
        assert closed == [old]
        await clients.close()
        assert closed == [old, new]

    asyncio.run(run())


def test_an_old_client_that_cannot_be_closed_fails_no_request(
    files: Certificates, caplog: pytest.LogCaptureFixture
) -> None:
    """What the next hop has taken is taken; the log says what is wrong, and the others are closed."""
    closed: list[object] = []

    async def close(client: object) -> None:
        closed.append(client)
        raise RuntimeError("it hangs together")

    async def run() -> None:
        clients: Renewed[object] = Renewed(
            TlsFiles("hop", ForwardSettings(endpoint="h:1", ca_file=files.ca_file)), lambda loaded: object(), close
        )
        async with clients.use():
            files.trust(files.other)
            clients.current()
        assert len(closed) == 1
        async with clients.use():
            files.trust(files.ca)
            clients.current()
            await clients.close()
        assert len(closed) == 3

    asyncio.run(run())
    assert "a client cannot be closed: it hangs together" in caplog.text


@each_kind
@pytest.mark.parametrize(
    ("named", "problem"),
    [
        (("cert_file",), "cert_file and key_file go together: set both or neither"),
        (("key_file",), "cert_file and key_file go together: set both or neither"),
        (("cert_file", "foreign"), "key_file .*: is not the key of cert_file .*/cert.pem$"),
        (("cert_file", "encrypted"), "key_file .*: is encrypted, .*: give a key that is not$"),
        (("cert_file", "absent"), "key_file .*/absent.pem: cannot be read as PEM private key: No such file"),
        (("cert_file", "rubbish"), "cert_file .* and key_file .*: cannot be read as PEM certificate and private key"),
        (("rubbish_ca",), "ca_file .*: cannot be read as PEM certificates: "),
        (("folder_ca",), "ca_file .*: cannot be read as PEM certificates: Is a directory"),
        (("nul\0_ca",), "ca_file .*: cannot be read as PEM certificates: embedded null byte"),
    ],
)
def test_files_that_cannot_be_used_are_told_at_the_start(
    kind: str, named: tuple[str, ...], problem: str, files: Certificates
) -> None:
    """The error names relay, setting and file, and nobody is asked for a password."""
    files.show(files.ca.issue_cert("client.example"))
    key = load_pem_private_key(files.key_file.read_bytes(), None)
    secret = BestAvailableEncryption(b"secret-of-the-test")
    contents = {
        "foreign": files.other.issue_cert("client.example").private_key_pem.bytes(),
        "encrypted": key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, secret),
        "rubbish": b"rubbish",
        "rubbish_ca": b"rubbish",
    }
    told = {which: path for which, path in files.own.items() if which in named}
    for one in named:
        path = files.folder if one == "folder_ca" else files.folder / f"{one}.pem"
        if one in contents:
            path.write_bytes(contents[one])
        if one not in files.own:
            told["ca_file" if one.endswith("_ca") else "key_file"] = path
    relay = make_relay("hop", _settings(kind, "hop.example:4317", **told))
    with pytest.raises(SettingsError, match=f"^relay hop: {problem}"):
        asyncio.run(relay.open())


@each_kind
@pytest.mark.parametrize("which", ["ca_file", "cert_file", "key_file"])
def test_files_without_tls_are_a_mistake(kind: str, which: str, files: Certificates) -> None:
    """Who names certificates expects to be encrypted: nothing is sent in plain text instead."""
    told = _settings(kind, "hop.example:4317", tls=False, **{which: files.ca_file})
    with pytest.raises(SettingsError, match=f"^relay hop: {which} is for (TLS: set tls to true|https, and )"):
        asyncio.run(make_relay("hop", told).open())


def test_a_system_without_certificates_is_told_at_the_start(
    files: Certificates, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where gRPC would fall back to a list of its own, the relay asks for `ca_file`."""
    monkeypatch.setenv("SSL_CERT_FILE", str(files.folder / "nothing.pem"))
    monkeypatch.setenv("SSL_CERT_DIR", str(files.folder))
    with pytest.raises(SettingsError, match=r"^relay hop: the system has no certificates to trust: .* set ca_file$"):
        asyncio.run(make_relay("hop", _settings("otlp", "hop.example:4317")).open())
