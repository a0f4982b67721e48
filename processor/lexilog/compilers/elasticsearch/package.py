"""The integration package: the same content once more, as Elastic's Fleet installs it and its agents use it.

The layout is that of Elastic's package specification (elastic/package-spec, ``spec/integration``), format 3.4.0: what
Kibana 8.19 and 9.1 know. Here all records stay in one data stream, whose name Fleet gives to the agents; the pipeline
does not send them on.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import yaml

from lexilog.assets import asset
from lexilog.compilers.elasticsearch.package_fields import field_files
from lexilog.compilers.elasticsearch.package_inputs import input_files, policy_inputs, streams
from lexilog.compilers.elasticsearch.package_kibana import package_objects
from lexilog.compilers.elasticsearch.package_page import readme
from lexilog.compilers.elasticsearch.package_pipeline import package_pipelines
from lexilog.compilers.source import Files, Source, to_json
from lexilog.enrich.document import encode_json
from lexilog.model import Record
from lexilog.pipeline import Pipeline

__all__ = ["ROOT", "files"]

ROOT = "mappings/elasticsearch/package/lexilog"
_STREAM = "data_stream/log"
_DATASET = "lexilog.log"
# The sample tells when it was made; a build has no clock.
_NOW = datetime(2026, 1, 15, 12, 0, tzinfo=UTC)
# The format demands a link to what has changed, and lexilog has no page on the web.
_NO_PAGE = "about:blank"
_KIBANA = "^8.19.0 || ^9.1.0"


def files(source: Source) -> Files:
    """Return the files of the package."""
    sample = _sample(source)
    objects = package_objects(source, _DATASET)
    first = next(one["attributes"]["title"] for path, one in objects.items() if path.startswith("dashboard/"))
    found = {
        "manifest.yml": _yaml(_manifest(source)),
        "changelog.yml": _yaml(_changelog(source)),
        "LICENSE.txt": asset("LICENSE").read_bytes(),
        "docs/README.md": readme(source, sample, first),
        f"{_STREAM}/manifest.yml": _yaml(_stream_manifest()),
        f"{_STREAM}/sample_event.json": to_json(sample),
        **{
            f"{_STREAM}/elasticsearch/ingest_pipeline/{stem}.json": to_json(pipeline)
            for stem, pipeline in package_pipelines(source).items()
        },
        **{f"{_STREAM}/fields/{name}": _yaml(content) for name, content in field_files().items()},
        **{f"{_STREAM}/agent/stream/{name}": content for name, content in input_files().items()},
        **{f"kibana/{path}": to_json(one) for path, one in objects.items()},
    }
    return {f"{ROOT}/{path}": content for path, content in found.items()}


def _manifest(source: Source) -> dict[str, Any]:
    return {
        "format_version": "3.4.0",
        "name": "lexilog",
        "title": "lexilog: VPN gateway logs",
        "version": source.version,
        "description": "Recognises and explains log lines of VPN gateways: tunnels, negotiations, logins, licences.",
        "type": "integration",
        "source": {"license": "Apache-2.0"},
        "categories": ["network", "security", "vpn_security"],
        "conditions": {"kibana": {"version": _KIBANA}, "elastic": {"subscription": "basic"}},
        "policy_templates": [
            {
                "name": "lexilog",
                "title": "Logs of VPN gateways",
                "description": "Collect log lines of VPN gateways.",
                "inputs": policy_inputs(),
            }
        ],
        "owner": {"github": "lexilog", "type": "community"},
    }


def _changelog(source: Source) -> list[dict[str, Any]]:
    change = {
        "description": f"Content of lexilog {source.version}, whose CHANGELOG.md tells what is new.",
        "type": "enhancement",
        "link": _NO_PAGE,
    }
    return [{"version": source.version, "changes": [change]}]


def _stream_manifest() -> dict[str, Any]:
    return {
        "title": "Log lines of VPN gateways",
        "type": "logs",
        "streams": streams(),
        "elasticsearch": {"index_template": {"mappings": {"dynamic": False, "date_detection": False}}},
    }


def _sample(source: Source) -> dict[str, Any]:
    """Return the record of the first shipped sample line, in the data stream of the package."""
    line = asset("examples/lines/junos.log").read_text(encoding="utf-8").splitlines()[0]
    found = Pipeline(source.catalogs, now=lambda: _NOW).process(Record(line=line))
    sample: dict[str, Any] = json.loads(encode_json(found))
    sample["data_stream"]["dataset"] = _DATASET
    return sample


def _yaml(value: Any) -> bytes:
    text: str = yaml.safe_dump(value, sort_keys=False, allow_unicode=True, width=120)
    return text.encode()
