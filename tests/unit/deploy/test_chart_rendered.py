"""What helm makes of the chart, against Kubernetes' own schemas and lexilog's own settings. No cluster is asked."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from lexilog.service.settings import Settings
from lexilog.service.settings.file import load_settings

# The oldest one that the chart is for, and the newest that kubernetes-validate has schemas of.
KUBERNETES = ("1.30", kubernetes_validate.latest_version())
VALUES = ("token", "tls", "persistence", "autoscaling")
IMAGE = "image.repository=registry.example/lexilog"
# The chart with no more than it needs.
LEAST = (IMAGE, "tokens.secretName=tokens")

Manifests = dict[str, dict[str, Any]]


@pytest.fixture
def helm(checkout: Path, tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Return a function that runs a command of helm on the chart."""
    program = shutil.which("helm")
    if program is None:
        pytest.skip("needs helm on PATH")
    homes = {f"HELM_{name}_HOME": str(tmp_path / name) for name in ("CACHE", "CONFIG", "DATA")}

    def run(*command: str, chart: Path = checkout / "examples/deploy/helm/lexilog", values: str = "", sets: Any = ()):
        files = ["--values", str(checkout / f"examples/deploy/helm/lexilog/ci/{values}-values.yaml")] if values else []
        flags = [part for one in sets for part in ("--set", one)]
        full = [program, *command, str(chart), "--kube-version", KUBERNETES[0], "--namespace", "logs", *files, *flags]
        return subprocess.run(full, capture_output=True, text=True, timeout=60, check=False, env=homes)

    return run


@pytest.fixture
def render(helm: Callable[..., subprocess.CompletedProcess[str]]) -> Callable[..., Manifests]:
    """Return a function that makes manifests, by kind; a Service without an address of its own is a Headless."""

    def run(values: str = "", *sets: str) -> Manifests:
        done = helm("template", "release", values=values, sets=sets)
        assert done.returncode == 0, done.stderr
        found = [one for one in yaml.safe_load_all(done.stdout) if one]
        by_kind = {"Headless" if one.get("spec", {}).get("clusterIP") == "None" else one["kind"]: one for one in found}
        assert len(by_kind) == len(found)
        return by_kind

    return run


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Manifests], Settings]:
    """Return a function that loads the settings of manifests as the pod would; a folder stands for /etc/lexilog."""

    def load(manifests: Manifests) -> Settings:
        text = manifests["ConfigMap"]["data"]["lexilog.yaml"]
        for name in re.findall(r"\$\{(\w+)\}", text):
            monkeypatch.setenv(name, "a secret of the environment")
        (tmp_path / "forward").mkdir(exist_ok=True)
        (tmp_path / "forward/shared-key").write_text("key\n")
        file = tmp_path / "lexilog.yaml"
        file.write_text(text.replace("/etc/lexilog", str(tmp_path)))
        return load_settings(file)

    return load


def _pod(manifests: Manifests) -> dict[str, Any]:
    workload = manifests.get("Deployment") or manifests["StatefulSet"]
    return workload["spec"]["template"]["spec"]


def _ports(pod: dict[str, Any]) -> dict[str, int]:
    return {port["name"]: port["containerPort"] for port in pod["containers"][0]["ports"]}


@pytest.mark.parametrize("values", VALUES)
def test_helm_lints(helm: Callable[..., subprocess.CompletedProcess[str]], values: str) -> None:
    """Helm's own linter has neither errors nor warnings."""
    done = helm("lint", "--strict", "--quiet", values=values)
    assert (done.returncode, done.stdout.strip()) == (0, ""), done.stdout + done.stderr


@pytest.mark.parametrize("version", KUBERNETES)
@pytest.mark.parametrize("values", VALUES)
def test_kubernetes_knows_every_field(render: Callable[..., Manifests], values: str, version: str) -> None:
    """Each manifest is what the schemas of Kubernetes ask for, without a field too many; a ServiceMonitor is none."""
    manifests = render(values)
    manifests.pop("ServiceMonitor", None)
    for manifest in manifests.values():
        kubernetes_validate.validate(manifest, version, strict=True)


def test_the_schemas_find_a_mistake(render: Callable[..., Manifests]) -> None:
    """A misspelt field is not overlooked."""
    deployment = render("token")["Deployment"]
    deployment["spec"]["replicaz"] = deployment["spec"].pop("replicas")
    with pytest.raises(kubernetes_validate.ValidationError, match="replicaz"):
        kubernetes_validate.validate(deployment, KUBERNETES[0], strict=True)


@pytest.mark.parametrize("values", VALUES)
def test_lexilog_takes_the_settings(
    render: Callable[..., Manifests], settings: Callable[[Manifests], Settings], values: str
) -> None:
    """Lexilog accepts the settings file of the chart; its doors and metrics are the ports of pod and Services."""
    manifests = render(values)
    loaded = settings(manifests)
    doors = {name: int(door.listen.rpartition(":")[2]) for name, door in loaded.doors.open().items()}
    assert all(door.has_secret and not door.allow_unprotected for door in loaded.doors.open().values())
    assert loaded.metrics
    ports = {**doors, "metrics": int(loaded.metrics.listen.rpartition(":")[2])}
    assert _ports(_pod(manifests)) == ports
    assert {port["name"]: port["port"] for port in manifests["Service"]["spec"]["ports"]} == doors
    assert {port["name"]: port["port"] for port in manifests["Headless"]["spec"]["ports"]} == ports


def test_what_is_asked_for_is_in_the_settings(
    render: Callable[..., Manifests], settings: Callable[[Manifests], Settings]
) -> None:
    """TLS, certificates of clients, a shared key, catalogues and large numbers get to lexilog."""
    loaded = settings(render("tls"))
    for door in loaded.doors.open().values():
        assert door.tls
        assert (door.tls.cert_file.name, door.tls.key_file.name) == ("tls.crt", "tls.key")
        assert door.tls.client_ca_file
        assert door.tls.client_ca_file.parent.name == "client-ca"
    assert loaded.doors.grpc
    assert loaded.doors.grpc.max_connections == 2000
    assert loaded.doors.forward
    assert loaded.doors.forward.shared_key == "key"
    assert [path.name for path in loaded.catalogs] == ["catalogs"]
    assert loaded.dead_letters
    assert loaded.dead_letters.max_bytes == 1_000_000_000


@pytest.mark.parametrize("values", VALUES)
def test_pods_may_do_little(render: Callable[..., Manifests], values: str) -> None:
    """No pod is root, writes to its image, has a capability, or a token of Kubernetes."""
    manifests = render(values)
    pod = _pod(manifests)
    container = pod["containers"][0]["securityContext"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["readOnlyRootFilesystem"] is True
    assert container["allowPrivilegeEscalation"] is False
    assert container["capabilities"] == {"drop": ["ALL"]}
    assert pod["automountServiceAccountToken"] is False
    assert pod["enableServiceLinks"] is False


@pytest.mark.parametrize("values", VALUES)
def test_everything_is_mounted(render: Callable[..., Manifests], values: str) -> None:
    """Each volume has its mount and each mount its volume; a path in the settings is under one of them."""
    manifests = render(values)
    pod = _pod(manifests)
    claims = manifests.get("StatefulSet", {}).get("spec", {}).get("volumeClaimTemplates", [])
    mounts = {mount["name"]: mount["mountPath"] for mount in pod["containers"][0]["volumeMounts"]}
    assert set(mounts) == {*(one["name"] for one in pod["volumes"]), *(one["metadata"]["name"] for one in claims)}
    text = manifests["ConfigMap"]["data"]["lexilog.yaml"]
    paths = re.findall(r"(?:: |- |file:)(/[\w./-]+)", text)
    assert paths
    assert all(any(Path(path).is_relative_to(mount) for mount in mounts.values()) for path in paths)
    assert mounts["tmp"] == "/tmp"


@pytest.mark.parametrize("values", VALUES)
def test_there_is_time_to_stop(
    render: Callable[..., Manifests], settings: Callable[[Manifests], Settings], values: str
) -> None:
    """Kubernetes kills later than the sleep before the stop and the server's own grace together."""
    manifests = render(values)
    pod = _pod(manifests)
    sleep = pod["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert sleep > 0
    assert pod["terminationGracePeriodSeconds"] > sleep + settings(manifests).grace


@pytest.mark.parametrize("values", VALUES)
def test_probes(render: Callable[..., Manifests], values: str) -> None:
    """Whether a pod gets records goes by /readyz; whether it is started anew by /healthz alone."""
    container = _pod(render(values))["containers"][0]
    probes = {name: container[name]["httpGet"] for name in ("startupProbe", "livenessProbe", "readinessProbe")}
    assert probes == {
        "startupProbe": {"path": "/healthz", "port": "metrics"},
        "livenessProbe": {"path": "/healthz", "port": "metrics"},
        "readinessProbe": {"path": "/readyz", "port": "metrics"},
    }


def test_dead_letters_outlive_the_pod(render: Callable[..., Manifests]) -> None:
    """With a volume the pods are those of a StatefulSet, whose claims have the size that was asked for."""
    manifests = render("persistence")
    claim = manifests["StatefulSet"]["spec"]["volumeClaimTemplates"][0]["spec"]
    assert "Deployment" not in manifests
    assert claim["resources"]["requests"]["storage"] == "5Gi"
    assert claim["storageClassName"] == "fast"
    assert manifests["StatefulSet"]["spec"]["serviceName"] == manifests["Headless"]["metadata"]["name"]


def test_autoscaling(render: Callable[..., Manifests]) -> None:
    """The autoscaler has the number of pods to itself, and finds them; it is off by default."""
    manifests = render("autoscaling")
    target = manifests["HorizontalPodAutoscaler"]["spec"]["scaleTargetRef"]
    workload = manifests["Deployment"]
    assert "replicas" not in workload["spec"]
    assert target == {key: workload[key] for key in ("apiVersion", "kind")} | {"name": workload["metadata"]["name"]}
    assert "HorizontalPodAutoscaler" not in render("", *LEAST)


def test_selectors_find_the_pods(render: Callable[..., Manifests]) -> None:
    """Services, budget, policy and the workload itself choose the pods that the workload makes."""
    manifests = render("tls")
    labels = manifests["Deployment"]["spec"]["template"]["metadata"]["labels"].items()
    selectors = [
        manifests["Service"]["spec"]["selector"],
        manifests["Headless"]["spec"]["selector"],
        manifests["Deployment"]["spec"]["selector"]["matchLabels"],
        manifests["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"],
        manifests["NetworkPolicy"]["spec"]["podSelector"]["matchLabels"],
    ]
    assert all(selector and selector.items() <= labels for selector in selectors)


def test_new_settings_make_new_pods(render: Callable[..., Manifests]) -> None:
    """Pods are replaced when the settings change, and not when nothing does."""

    def checksum(*sets: str) -> str:
        template = render("", *LEAST, *sets)["Deployment"]["spec"]["template"]
        return template["metadata"]["annotations"]["checksum/config"]

    assert checksum() == checksum()
    assert checksum() != checksum("settings.timezone=Europe/Berlin")


@pytest.mark.parametrize(
    ("sets", "problem"),
    [
        (["tokens.secretName=tokens"], "image.repository: no image is published"),
        ([IMAGE], "doors.grpc: whoever reaches the pods could send: give tls.secretName, tokens.secretName, or"),
        (
            [*LEAST, "doors.forward.enabled=true"],
            "doors.forward: whoever reaches the pods could send: give tls.secretName, doors.forward.sharedKey",
        ),
        ([*LEAST, "doors.grpc.enabled=false", "doors.http.enabled=false"], "doors: none is enabled"),
        ([*LEAST, "tls.clientCa.secretName=clients"], "tls.clientCa.secretName: clients can show certificates over"),
        ([*LEAST, "settings.relays.siem.type=elasticsearch"], "settings.relays.siem: it can refuse records for good"),
        ([*LEAST, "autoscaling.enabled=true", "resources.requests=null"], "autoscaling: it goes by CPU"),
        ([*LEAST, "networkPolicy.enabled=true"], "networkPolicy.from: it names nobody"),
        ([*LEAST, "doors.grpc.settings.listen=x"], "/doors/grpc/settings/listen"),
    ],
)
def test_the_chart_refuses(
    helm: Callable[..., subprocess.CompletedProcess[str]], sets: list[str], problem: str
) -> None:
    """What would be open to anybody, or could not run, is refused before it gets to the cluster."""
    done = helm("template", "release", sets=sets)
    assert done.returncode != 0
    assert problem in done.stderr


def test_open_to_anybody_in_as_many_words(
    render: Callable[..., Manifests], settings: Callable[[Manifests], Settings]
) -> None:
    """allowUnprotected opens doors without TLS and secret, and lexilog is told so too."""
    doors = settings(render("", IMAGE, "allowUnprotected=true")).doors.open()
    assert doors
    assert all(door.allow_unprotected for door in doors.values())


def test_notes_warn(helm: Callable[..., subprocess.CompletedProcess[str]], checkout: Path, tmp_path: Path) -> None:
    """The notes after an installation warn of dead letters that a pod takes with it, and of doors open to anybody."""
    chart = shutil.copytree(checkout / "examples/deploy/helm/lexilog", tmp_path / "chart")
    # Helm shows notes after an installation alone, so they are made a manifest here.
    notes = (chart / "templates/NOTES.txt").read_text()
    manifest = '{{ define "notes" }}' + notes + '{{ end }}{"kind": "Notes", "text": {{ include "notes" . | toJson }}}'
    (chart / "templates/notes.yaml").write_text(manifest)
    for sets, said in (([], False), (["persistence.type=emptyDir", "allowUnprotected=true"], True)):
        command = ("template", "release", "--show-only", "templates/notes.yaml")
        done = helm(*command, chart=chart, sets=[*LEAST, *sets])
        text = yaml.safe_load(done.stdout)["text"]
        assert "release-lexilog-headless.logs.svc" in text
        assert ("LOST WITH THE POD" in text) is said
        assert ("allowUnprotected" in text) is said
