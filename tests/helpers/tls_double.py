"""A double of every next hop that speaks TLS, apart from lexilog's own code, and the certificates of both sides."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc.aio
import trustme
from aiohttp import web

from forward_double import ForwardDouble

_SERVICE = "opentelemetry.proto.collector.logs.v1.LogsService"

KINDS = ("otlp", "otlp_http", "elasticsearch", "splunk_hec", "forward")


class Certificates:
    """What a test's certificates are written to, and who signs them."""

    def __init__(self, folder: Path) -> None:
        self.ca = trustme.CA()
        self.other = trustme.CA()
        self.folder = folder
        self.ca_file, self.cert_file, self.key_file = (folder / name for name in ("ca.pem", "cert.pem", "key.pem"))
        self.trust(self.ca)

    def trust(self, ca: trustme.CA) -> None:
        replace(self.ca_file, ca.cert_pem.bytes())

    def show(self, leaf: trustme.LeafCert) -> bytes:
        """Write a certificate and its key; return it as a server sees it."""
        replace(self.cert_file, chain(leaf))
        replace(self.key_file, leaf.private_key_pem.bytes())
        return ssl.PEM_cert_to_DER_cert(leaf.cert_chain_pems[0].bytes().decode())

    @property
    def own(self) -> dict[str, Path]:
        return {"cert_file": self.cert_file, "key_file": self.key_file}


def replace(path: Path, data: bytes) -> None:
    """Put a file in the place of another, as those who renew certificates do."""
    new = path.with_suffix(".new")
    new.write_bytes(data)
    new.replace(path)


def chain(leaf: trustme.LeafCert) -> bytes:
    """Return a certificate and those between it and the root, in PEM."""
    return b"".join(one.bytes() for one in leaf.cert_chain_pems)


class Hop:
    """A double of a next hop of any kind: its port, its TLS and its yes are real.

    It looks at no record, token or header, and takes everything that comes over a connection that stands.

    Args:
        kind: one of `KINDS`.
        leaf: its certificate; None for plain text.
        client_ca: who signs the certificates of clients; None to ask for none.

    Attributes:
        port: where it listens while it serves.
        requests: the client's certificate of each request, in DER; None where it shows none.
        hold: is awaited before an answer; Forward has none of it.
    """

    def __init__(self, kind: str, leaf: trustme.LeafCert | None, client_ca: trustme.CA | None = None) -> None:
        self.kind = kind
        self.leaf = leaf
        self.client_ca = client_ca
        self.port = 0
        self.requests: list[bytes | None] = []
        self.hold: Callable[[], Awaitable[object]] = lambda: asyncio.sleep(0)

    @asynccontextmanager
    async def serve(self) -> Any:
        start = {"otlp": self._grpc, "forward": self._forward}.get(self.kind, self._http)
        async with start():
            yield self

    def _context(self) -> ssl.SSLContext | None:
        if self.leaf is None:
            return None
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self.leaf.configure_cert(context)
        if self.client_ca is not None:
            context.verify_mode = ssl.CERT_REQUIRED
            self.client_ca.configure_trust(context)
        return context

    @asynccontextmanager
    async def _grpc(self) -> Any:
        async def export(body: bytes, context: Any) -> bytes:
            shown = context.auth_context().get("x509_pem_cert")
            self.requests.append(ssl.PEM_cert_to_DER_cert(shown[0].decode()) if shown else None)
            await self.hold()
            return b""

        server = grpc.aio.server()
        method = grpc.unary_unary_rpc_method_handler(export)
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(_SERVICE, {"Export": method}),))
        if self.leaf is None:
            self.port = server.add_insecure_port("127.0.0.1:0")
        else:
            pair = (self.leaf.private_key_pem.bytes(), chain(self.leaf))
            roots = self.client_ca.cert_pem.bytes() if self.client_ca else None
            credentials = grpc.ssl_server_credentials([pair], roots, require_client_auth=bool(roots))
            self.port = server.add_secure_port("127.0.0.1:0", credentials)
        await server.start()
        try:
            yield
        finally:
            await server.stop(0)

    @asynccontextmanager
    async def _http(self) -> Any:
        async def answer(request: web.Request) -> web.Response:
            tls = request.get_extra_info("ssl_object")
            self.requests.append(tls.getpeercert(binary_form=True) if tls else None)
            body = await request.read()
            await self.hold()
            if self.kind == "otlp_http":
                return web.Response()
            if self.kind == "splunk_hec":
                return web.json_response({"code": 0, "text": "Success"})
            items = [{"create": {"status": 201}}] * (body.count(b"\n") // 2)
            return web.json_response({"items": items}, headers={"X-Elastic-Product": "Elasticsearch"})

        app = web.Application()
        app.router.add_post("/{path:.*}", answer)
        runner = web.AppRunner(app, shutdown_timeout=0.1, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=self._context()).start()
        self.port = runner.addresses[0][1]
        try:
            yield
        finally:
            await runner.cleanup()

    @asynccontextmanager
    async def _forward(self) -> Any:
        with ForwardDouble(tls=self._context()) as double:
            self.port, self.requests = double.server_address[1], double.peers
            yield
