"""The loop with the real OpenTelemetry Collector: its OTLP exporters → lexilog → its OTLP receiver."""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from processes import Agent, Process, free_port, request_of

OTELCOL = shutil.which("otelcol")
pytestmark = pytest.mark.skipif(OTELCOL is None, reason="no otelcol on PATH; it is not in the package registries")

CONFIG = """\
receivers:
  otlp/in: {{protocols: {{grpc: {{endpoint: "127.0.0.1:{start}"}}}}}}
  otlp/back: {{protocols: {{{protocol}: {{endpoint: "127.0.0.1:{back}"}}}}}}
exporters:
  {exporter}/lexilog:
    {options}
    retry_on_failure: {{initial_interval: 200ms, max_interval: 1s, max_elapsed_time: 0}}
  debug: {{verbosity: detailed, sampling_initial: 1000000}}
service:
  telemetry: {{metrics: {{level: none}}}}
  pipelines:
    logs/in: {{receivers: [otlp/in], exporters: [{exporter}/lexilog]}}
    logs/back: {{receivers: [otlp/back], exporters: [debug]}}
"""
KNOWN = "<35>Aug  3 10:18:44 srx1 kmd[1]: KMD_PM_DYNAMIC_SA_INSTALL_FAILED: Unable to install dynamic SA for tunnel t{}"


# How it sends to lexilog, and how it takes records back.
GRPC = ("grpc", "otlp", ("endpoint: 127.0.0.1:{port}", "tls: {{insecure: true}}"))
PROTOBUF = ("http", "otlphttp", ("endpoint: http://127.0.0.1:{port}", "compression: gzip"))
JSON = ("http", "otlphttp", ("endpoint: http://127.0.0.1:{port}", "compression: none", "encoding: json"))


@pytest.mark.parametrize(("protocol", "exporter", "options"), [GRPC, PROTOBUF, JSON])
def test_every_record_comes_round(
    protocol: str,
    exporter: str,
    options: tuple[str, ...],
    serve_config: Callable[..., Process],
    processes: list[Process],
    tmp_path: Path,
) -> None:
    """The line stays the body and the new fields are attributes; a kill -9 of lexilog in between loses nothing."""
    start, back, port = free_port(), free_port(), free_port()
    endpoint = f"http://127.0.0.1:{back}" if protocol == "http" else f"127.0.0.1:{back}"
    relay = {"type": "otlp", "protocol": protocol, "endpoint": endpoint, "shape": "attributes", "compression": "gzip"}
    settings = {"doors": {protocol: {"listen": f"127.0.0.1:{port}"}}, "relays": {"back": relay}}
    lexilog = serve_config(settings)
    config = tmp_path / "otelcol.yaml"
    lines = "\n    ".join(options).format(port=port)
    config.write_text(CONFIG.format(start=start, back=back, protocol=protocol, exporter=exporter, options=lines))
    assert OTELCOL
    collector = Process([OTELCOL, f"--config=file:{config}"], "Everything is ready", tmp_path / "otelcol.log")
    processes.append(collector)
    agent, count = Agent(start), 3_000
    for first in range(0, count, 100):
        agent.send(request_of([(KNOWN if n % 2 else "request {}").format(n) for n in range(first, first + 100)]))
        if first == 1_000:
            lexilog.kill()
            serve_config(settings)
    deadline = time.monotonic() + 60
    while len(found := set(re.findall(r"Body: Str\(.*?(\d+)\)\n", collector.log.read_text()))) < count:
        assert time.monotonic() < deadline, f"{count - len(found)} records are missing"
        time.sleep(0.5)
    log = collector.log.read_text()
    assert found == {str(n) for n in range(count)}
    assert log.count("-> lexilog.match.quality: Str(exact)") >= count // 2
    assert log.count("-> lexilog.match.quality: Str(none)") >= count // 2
    assert '-> event.category: Slice(["network"])' in log
    assert "SeverityNumber: Error(17)" in log
