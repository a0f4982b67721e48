"""TLS of the doors, over real sockets: who gets in, what is said of those who do not, and what a renewal changes."""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
import warnings
from pathlib import Path
from typing import Any

import aiohttp
import grpc
import pytest
import trustme

from certificates import NAMES, PAST, Files, client_context, grpc_credentials
from house import (
    ENRICH,
    PATIENCE,
    PROTOBUF,
    House,
    call,
    channel,
    chunk_of,
    enrich_of,
    export_of,
    house,
    raw,
    session,
    until,
)
from lexilog import Pipeline, SettingsError
from lexilog.service import listen
from lexilog.service.metrics import Counts
from lexilog.service.settings import TlsSettings
from lexilog.service.tls import Tls

DOORS = ("grpc", "http", "forward")


@pytest.fixture(scope="module")
def ours() -> trustme.CA:
    return trustme.CA(organization_name="ours")


@pytest.fixture(scope="module")
def theirs() -> trustme.CA:
    return trustme.CA(organization_name="theirs")


@pytest.fixture
def files(tmp_path: Path, ours: trustme.CA) -> Files:
    return Files(tmp_path, ours)


def _all(files: Files) -> dict[str, Any]:
    return {door: {"tls": files.settings()} for door in DOORS}


async def _ask(there: House, door: str, trusted: trustme.CA, shown: trustme.LeafCert | None = None) -> bool:
    """Send a record to a door, and return whether it was taken."""
    port = there.ports[door]
    if door == "grpc":
        async with channel(port, grpc_credentials(trusted, shown)) as to:
            return isinstance(await call(to, ENRICH, enrich_of("x")), bytes)
    context = client_context(trusted, shown)
    try:
        if door == "http":
            url = f"https://localhost:{port}/v1/logs"
            async with (
                session(context=context) as client,
                client.post(url, data=export_of("x"), headers=PROTOBUF) as answer,
            ):
                return answer.status == 200
        async with raw(port, context=context) as client:
            client.writer.write(chunk_of("1", "x"))
            return await client.answer() == {"ack": "1"}
    except (OSError, aiohttp.ClientError):
        return False


def test_everybody_who_trusts_the_certificate_gets_in(pipeline: Pipeline, files: Files, ours: trustme.CA) -> None:
    """Without a client_ca_file clients need no certificate; records arrive as without TLS."""

    async def run() -> None:
        async with house(pipeline, **_all(files)) as there:
            for door in DOORS:
                assert await _ask(there, door, ours), door
            assert there.relay.lines == ["x", "x"]

    asyncio.run(run())


@pytest.mark.parametrize("door", DOORS)
def test_only_clients_of_the_authority_get_in(
    pipeline: Pipeline, files: Files, ours: trustme.CA, theirs: trustme.CA, door: str
) -> None:
    """With a client_ca_file: none, one of somebody else, and an expired one are refused, each for its reason."""
    files.trust(ours)

    async def run() -> None:
        async with house(pipeline, **_all(files)) as there:
            assert await _ask(there, door, ours, ours.issue_cert(*NAMES))
            assert not await _ask(there, door, ours)
            await until(lambda: there.refused(door, "no_certificate"))
            assert not await _ask(there, door, ours, theirs.issue_cert(*NAMES))
            await until(lambda: there.refused(door, "certificate"))
            before = there.refused(door, "certificate")
            assert not await _ask(there, door, ours, ours.issue_cert(*NAMES, not_after=PAST))
            await until(lambda: there.refused(door, "certificate") > before)
            assert len(there.relay.lines) == (0 if door == "grpc" else 1)
            assert await _ask(there, door, ours, ours.issue_cert(*NAMES)), "others are let in as before"

    asyncio.run(run())


@pytest.mark.parametrize("door", DOORS)
def test_plain_text_on_a_port_with_tls(pipeline: Pipeline, files: Files, door: str) -> None:
    """It is refused, counted, and gets no answer in plain text from the door behind."""
    plain = {
        "grpc": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0",
        "http": b'POST /v1/enrich HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\n"x"',
        "forward": chunk_of("1", "x"),
    }

    async def run() -> None:
        async with house(pipeline, **_all(files)) as there:
            async with raw(there.ports[door]) as client:
                said = await client.ask(plain[door])
            await until(lambda: there.refused(door, "plain_text"))
            # TLS may say so itself, in an alert (RFC 8446, section 6).
            assert said in (b"", said[:7])
            assert said[:1] in (b"", b"\x15")
            assert there.relay.lines == []
            await there.at_rest()

    asyncio.run(run())


@pytest.mark.parametrize(("door", "reason"), [("grpc", "not_http2"), ("http", "not_http"), ("forward", "not_forward")])
def test_tls_on_a_plain_port(pipeline: Pipeline, ours: trustme.CA, door: str, reason: str) -> None:
    """It is refused and counted; the log has no traceback of it."""

    async def run() -> None:
        async with house(pipeline, **{name: {} for name in DOORS}) as there:
            assert not await _ask(there, door, ours)
            await until(lambda: there.refused(door, reason))
            await there.at_rest()

    asyncio.run(run())


@pytest.mark.parametrize("door", DOORS)
def test_a_handshake_that_stops_half_way(
    pipeline: Pipeline, files: Files, ours: trustme.CA, monkeypatch: pytest.MonkeyPatch, door: str
) -> None:
    """It is given up after a while; until then, and after it, others are served."""
    monkeypatch.setattr(listen, "_HANDSHAKE", 0.2)

    async def run() -> None:
        async with house(pipeline, **_all(files)) as there:
            async with raw(there.ports[door]) as client:
                # The head of a record of TLS that never comes, in which there is the head of a ClientHello.
                client.writer.write(bytes.fromhex("1603010200010001fc0303"))
                assert await _ask(there, door, ours)
                assert await client.rest() == b""
            await until(lambda: there.refused(door, "handshake_timeout"))
            async with raw(there.ports[door]) as client:
                client.writer.write(bytes.fromhex("1603010200"))
                await client.writer.drain()
            await until(lambda: there.refused(door, "handshake_broken"))
            assert await _ask(there, door, ours)
            await there.at_rest()

    asyncio.run(run())


def test_a_stop_gives_handshakes_up(pipeline: Pipeline, files: Files) -> None:
    """A client that is in the middle of one does not hold the server up, and its connection is closed."""

    async def run() -> None:
        async with house(pipeline, **_all(files)) as there:
            async with raw(there.ports["http"]) as client:
                client.writer.write(b"\x16")
                await until(lambda: there.metric("connections", door="http"))
                async with asyncio.timeout(PATIENCE):
                    await there.server.stop()
                assert await client.rest() == b""
            assert there.metric("connections", door="http") == 0

    asyncio.run(run())


def _serial(client: ssl.SSLObject) -> str:
    shown = client.getpeercert()
    assert shown
    return str(shown["serialNumber"])


def test_a_renewed_certificate_is_for_new_connections(pipeline: Pipeline, files: Files, ours: trustme.CA) -> None:
    """`reload` shows the new one to those who come then; a connection that stands lives on, and is answered."""

    async def run() -> None:
        context = client_context(ours)
        async with house(pipeline, **_all(files)) as there, raw(there.ports["forward"], context=context) as old:
            first = _serial(old.writer.get_extra_info("ssl_object"))
            files.renew(ours)
            there.server.reload()
            await until(lambda: there.metric("reload_total", what="tls", result="ok") == len(DOORS))
            async with raw(there.ports["forward"], context=context) as new:
                assert _serial(new.writer.get_extra_info("ssl_object")) != first
                for client in (old, new):
                    client.writer.write(chunk_of("1", "x"))
                    assert await client.answer() == {"ack": "1"}
            assert await _ask(there, "grpc", ours)
            assert await _ask(there, "http", ours)

    asyncio.run(run())


def test_a_new_client_authority_shuts_clients_of_the_old_one_out(
    pipeline: Pipeline, files: Files, ours: trustme.CA, theirs: trustme.CA
) -> None:
    """Also those that were in before, and come back with the session that they had."""
    files.trust(ours)
    old, new = ours.issue_cert(*NAMES), theirs.issue_cert(*NAMES)

    async def run() -> None:
        async with house(pipeline, **_all(files)) as there:
            port = there.ports["http"]
            context = client_context(ours, old)
            ticket = await asyncio.to_thread(_visit, port, context, None)
            assert ticket is not None, "TLS gives no ticket: the test proves nothing"
            files.trust(theirs)
            there.server.reload()
            await until(lambda: there.metric("reload_total", what="tls", result="ok") == len(DOORS))
            assert await asyncio.to_thread(_visit, port, context, ticket) is None
            await until(lambda: there.refused("http", "certificate"))
            for door in DOORS:
                assert not await _ask(there, door, ours, old), door
                assert await _ask(there, door, ours, new), door

    asyncio.run(run())


def _visit(port: int, context: ssl.SSLContext, ticket: ssl.SSLSession | None) -> ssl.SSLSession | None:
    """Ask for a page, with a session of before or without; return the session, None where the door lets nobody in."""
    try:
        with (
            socket.create_connection(("127.0.0.1", port), PATIENCE) as plain,
            context.wrap_socket(plain, server_hostname="localhost", session=ticket) as client,
        ):
            client.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            return client.session if client.recv(100).startswith(b"HTTP/1.1 404") else None
    except OSError:
        return None


def test_damaged_files_leave_the_old_certificate_in_use(pipeline: Pipeline, files: Files, ours: trustme.CA) -> None:
    """The status says what is wrong until they are mended."""
    certificate = files.settings().cert_file

    async def run() -> None:
        async with house(pipeline, http={"tls": files.settings()}) as there:
            certificate.write_text("no certificate")
            there.server.reload()
            await until(lambda: there.server.status.problems)
            assert str(certificate) in there.server.status.problems["tls"]
            assert there.metric("reload_ok", what="tls") == 0
            assert await _ask(there, "http", ours)
            files.renew(ours)
            there.server.reload()
            await until(lambda: not there.server.status.problems)

    asyncio.run(run())


def test_an_expired_certificate_of_the_server_is_warned_of(
    files: Files, ours: trustme.CA, caplog: pytest.LogCaptureFixture
) -> None:
    """The server starts, since clients may not mind; the log and the metric say so, and nothing does of a good one."""
    counts = Counts()
    with caplog.at_level(logging.WARNING):
        Tls("grpc", files.settings(), ("h2",), counts)
        assert not caplog.records
        files.renew(ours, expires=PAST)
        Tls("grpc", files.settings(), ("h2",), counts)
    assert "doors.grpc.tls" in caplog.text
    assert "has ended" in caplog.text
    expiry = counts.metrics.registry.get_sample_value("lexilog_certificate_expiry_seconds", {"door": "grpc"})
    assert expiry == pytest.approx(PAST.timestamp(), abs=1)


@pytest.mark.parametrize(
    ("door", "offered", "chosen"),
    [
        ("grpc", ("h2",), "h2"),
        ("http", ("h2", "http/1.1"), "http/1.1"),
        ("http", ("h2",), None),
        ("http", (), None),
        ("forward", ("h2",), None),
    ],
)
def test_alpn(
    pipeline: Pipeline, files: Files, ours: trustme.CA, door: str, offered: tuple[str, ...], chosen: str | None
) -> None:
    """A door names the protocol that it speaks, and no other; who offers none of it, or nothing, is let in."""

    async def run() -> None:
        context = client_context(ours, alpn=offered)
        async with house(pipeline, **_all(files)) as there, raw(there.ports[door], context=context) as client:
            assert client.writer.get_extra_info("ssl_object").selected_alpn_protocol() == chosen

    asyncio.run(run())


def test_old_versions_of_tls_are_refused(pipeline: Pipeline, files: Files, ours: trustme.CA) -> None:
    """Older than 1.2: RFC 8996 has them not be used."""

    async def run() -> None:
        context = client_context(ours)
        with warnings.catch_warnings(action="ignore"):
            context.minimum_version = ssl.TLSVersion.TLSv1_1
            context.maximum_version = ssl.TLSVersion.TLSv1_1
        context.set_ciphers("ALL:@SECLEVEL=0")
        async with house(pipeline, http={"tls": files.settings()}) as there:
            with pytest.raises((ssl.SSLError, ConnectionError)):
                async with raw(there.ports["http"], context=context):
                    pytest.fail("it is let in")
            await until(lambda: there.refused("http", "tls"))

    asyncio.run(run())


@pytest.mark.parametrize("which", ["cert_file", "key_file", "client_ca_file"])
def test_files_that_cannot_be_used(tmp_path: Path, files: Files, ours: trustme.CA, which: str) -> None:
    """The error names the setting and the file, whether it is missing or holds something else."""
    files.trust(ours)
    good = files.settings()
    for name in ("missing.pem", "empty.pem"):
        path = tmp_path / name
        if name == "empty.pem":
            path.write_text("")
        named: dict[str, Path | None] = {
            "cert_file": good.cert_file, "key_file": good.key_file, "client_ca_file": good.client_ca_file,
        }  # fmt: skip
        with pytest.raises(SettingsError, match=rf"doors\.http\.tls.*{name}"):
            Tls("http", TlsSettings(**(named | {which: path})), (), Counts())  # type: ignore[arg-type]


def test_grpc_speaks_tls_to_its_own_client(pipeline: Pipeline, files: Files, theirs: trustme.CA) -> None:
    """A client that does not trust the certificate ends the handshake itself, and is counted as one that did."""

    async def run() -> None:
        async with house(pipeline, grpc={"tls": files.settings()}) as there:
            async with channel(there.ports["grpc"], grpc_credentials(theirs)) as to:
                error = await call(to, ENRICH, enrich_of("x"))
            assert isinstance(error, grpc.aio.AioRpcError)
            assert error.code() is grpc.StatusCode.UNAVAILABLE
            await until(lambda: there.refused("grpc", "tls") + there.refused("grpc", "handshake_broken"))

    asyncio.run(run())
