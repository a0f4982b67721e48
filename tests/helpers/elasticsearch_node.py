"""Real Elasticsearch and OpenSearch nodes for tests; `elasticsearch_server` says what they are made of.

They take minutes to download once, and half a minute to start: the tests that use them run only with ``--nodes``.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import signal
import ssl
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import trustme

from downloads import Unavailable
from elasticsearch_server import ES9, ESQL8, OS3, Flavour, assemble, java_home
from processes import free_port

__all__ = ["Login", "Node", "es9", "es9_alone", "es9_secure", "esql8", "os3"]


# Servers refuse to run as root; this is "nobody".
_NOBODY = 65534
# Seconds: for the node to get ready, for it to stop.
_READY, _STOP = 180, 30


class Login(NamedTuple):
    """A user of a node, and the file by which its certificate is known."""

    user: str
    password: str
    ca: Path


class Node:
    """A running node on a free port of this machine.

    Args:
        flavour: what it is made of.
        secure: with TLS and users; without them anybody may do anything.

    Attributes:
        url: of its root.
        login: of the superuser; None where there are no users.

    Raises:
        Unavailable: it cannot be had here.
    """

    def __init__(self, flavour: Flavour, *, secure: bool = False) -> None:
        self.flavour = flavour
        java, home = java_home(), assemble(flavour)
        self.folder = Path(tempfile.mkdtemp(prefix="node-"))
        self.port = free_port()
        self.url = f"{'https' if secure else 'http'}://127.0.0.1:{self.port}"
        self.login = Login("elastic", "a-password-of-tests", self.folder / "ca.pem") if secure else None
        self._headers = {"Content-Type": "application/json"}
        self._tls: ssl.SSLContext | None = None
        try:
            self._java, self._home = java, self._configure(home)
            if self.login:
                self._secure(self.login)
            self._start()
        except BaseException:
            self.stop()
            raise

    def request(self, method: str, path: str, body: Any = None) -> Any:
        """Send a request with a JSON body and return the JSON of the answer; a status that is no success raises.

        A body of bytes is sent as it is.
        """
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, self._headers, method=method)
        with urllib.request.urlopen(request, timeout=30, context=self._tls) as answer:
            return json.load(answer)

    def stop(self) -> None:
        """Stop the node and remove all that it has written."""
        process = getattr(self, "_process", None)
        if process is not None and process.poll() is None:
            os.killpg(process.pid, signal.SIGTERM)
            try:
                process.wait(_STOP)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait(_STOP)
        shutil.rmtree(self.folder, ignore_errors=True)

    def kill(self) -> None:
        """Kill -9."""
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(_STOP)

    def start_again(self) -> None:
        """Start the node again after a kill, on what it has written."""
        self._start()

    def _configure(self, home: Path) -> Path:
        """Write the node's own settings; return where its server is."""
        if os.getuid() == 0:
            # The cache may lie where only root can read.
            home = Path(shutil.copytree(home, self.folder / "home"))
        shutil.copytree(home / "config", self.folder / "config")
        (self.folder / "logs").mkdir()
        settings = {
            "cluster.name": "test",
            "node.name": "node-1",
            "network.host": "127.0.0.1",
            "http.port": self.port,
            "transport.port": free_port(),
            "discovery.type": "single-node",
            "path.data": self.folder / "data",
            "path.logs": self.folder / "logs",
            # A full disk is no matter of these tests.
            "cluster.routing.allocation.disk.threshold_enabled": "false",
        }
        if self.flavour.program == "elasticsearch":
            settings["xpack.security.enabled"] = "true" if self.login else "false"
        self._write_settings(settings)
        options = [
            "-Xms512m",
            "-Xmx512m",
            # Cheap to start, and to run beside other tests.
            "-XX:+UseSerialGC",
            "-XX:TieredStopAtLevel=1",
            # The server may only write where it is told to.
            f"-Djava.io.tmpdir=${{{self.flavour.prefix}_TMPDIR}}",
            *(option.format(home=home) for option in self.flavour.jvm_options),
        ]
        (self.folder / "config" / "jvm.options").write_text("\n".join(options) + "\n")
        return home

    def _write_settings(self, settings: dict[str, Any]) -> None:
        with (self.folder / "config" / f"{self.flavour.program}.yml").open("a") as file:
            file.writelines(f"{name}: {value}\n" for name, value in settings.items())

    def _secure(self, login: Login) -> None:
        """Give the node a certificate and the superuser a password."""
        authority, config = trustme.CA(), self.folder / "config"
        authority.cert_pem.write_to_path(login.ca)
        leaf = authority.issue_cert("localhost", "127.0.0.1")
        leaf.cert_chain_pems[0].write_to_path(config / "certificate.pem")
        leaf.private_key_pem.write_to_path(config / "key.pem")
        self._write_settings(
            {
                "xpack.security.http.ssl.enabled": "true",
                "xpack.security.http.ssl.certificate": "certificate.pem",
                "xpack.security.http.ssl.key": "key.pem",
            }
        )
        for arguments in (["create", "-s"], ["add", "-x", "-f", "bootstrap.password"]):
            subprocess.run(
                [self._home / "bin" / "elasticsearch-keystore", *arguments],
                env=self._environment(),
                input=login.password.encode(),
                capture_output=True,
                timeout=120,
                check=True,
            )
        pair = base64.b64encode(f"{login.user}:{login.password}".encode()).decode()
        self._headers["Authorization"] = f"Basic {pair}"
        self._tls = ssl.create_default_context(cafile=login.ca)

    def _environment(self) -> dict[str, str]:
        return {
            **os.environ,
            "HOME": str(self.folder),
            f"{self.flavour.prefix}_JAVA_HOME": str(self._java),
            f"{self.flavour.prefix}_PATH_CONF": str(self.folder / "config"),
        }

    def _start(self) -> None:
        identity: dict[str, Any] = {}
        if os.getuid() == 0:
            for path in [self.folder, *self.folder.rglob("*")]:
                os.chown(path, _NOBODY, _NOBODY, follow_symlinks=False)
            identity = {"user": _NOBODY, "group": _NOBODY, "extra_groups": []}
        log = self.folder / "out.log"
        with log.open("wb") as out:
            self._process = subprocess.Popen(
                [self._home / "bin" / self.flavour.program],
                cwd=self.folder,
                env=self._environment(),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                **identity,
            )
        deadline = time.monotonic() + _READY
        while not self._is_ready():
            if self._process.poll() is not None or time.monotonic() > deadline:
                pytest.fail(f"{self.flavour.program} did not get ready: {log.read_text(errors='replace')[-3000:]}")
            time.sleep(0.2)

    def _is_ready(self) -> bool:
        try:
            if self.login is not None:
                # Makes the index of users now: it would come a moment later by itself, and be away while it does.
                self.request("PUT", "/_security/role/nobody", {})
            self.request("GET", "/_cluster/health?wait_for_status=green&timeout=2s")
        except urllib.error.HTTPError as error:
            error.close()
            return False
        except (OSError, ValueError):
            return False
        return True


@contextmanager
def running(request: pytest.FixtureRequest, flavour: Flavour, *, secure: bool = False) -> Iterator[Node]:
    """Run a node; skip the test where nobody asked for it, and fail it where it was asked for and cannot be had."""
    if not request.config.getoption("--nodes"):
        pytest.skip(f"needs a real {flavour.program} node: run script/test --nodes")
    try:
        node = Node(flavour, secure=secure)
    except Unavailable as missing:
        pytest.fail(f"--nodes asks for a real {flavour.program} node, and there is none: {missing}", pytrace=False)
    try:
        yield node
    finally:
        node.stop()


@pytest.fixture(scope="session")
def es9(request: pytest.FixtureRequest) -> Iterator[Node]:
    """Return a real Elasticsearch 9 node that tests share."""
    with running(request, ES9) as node:
        yield node


@pytest.fixture
def es9_alone(request: pytest.FixtureRequest) -> Iterator[Node]:
    """Return a real Elasticsearch 9 node that the test may kill."""
    with running(request, ES9) as node:
        yield node


@pytest.fixture(scope="session")
def es9_secure(request: pytest.FixtureRequest) -> Iterator[Node]:
    """Return a real Elasticsearch 9 node with TLS and users that tests share; its `login` is the superuser's."""
    with running(request, ES9, secure=True) as node:
        yield node


@pytest.fixture(scope="session")
def esql8(request: pytest.FixtureRequest) -> Iterator[Node]:
    """Return a real Elasticsearch 8.19 node with ES|QL that tests share."""
    with running(request, ESQL8) as node:
        yield node


@pytest.fixture(scope="session")
def os3(request: pytest.FixtureRequest) -> Iterator[Node]:
    """Return a real OpenSearch 3 node that tests share."""
    with running(request, OS3) as node:
        yield node
