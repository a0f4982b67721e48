"""The Helm chart as far as it can be checked without helm: its fields, values and schema. No template is run."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml


@pytest.fixture
def chart(checkout: Path) -> Path:
    return checkout / "examples/deploy/helm/lexilog"


def _merged(base: Any, over: Any) -> Any:
    """Return values with others over them, as helm does."""
    if not isinstance(base, dict) or not isinstance(over, dict):
        return over
    return base | {key: _merged(base.get(key), value) for key, value in over.items()}


def _problems(chart: Path, over: dict[str, Any]) -> list[str]:
    schema = json.loads((chart / "values.schema.json").read_text())
    jsonschema.Draft7Validator.check_schema(schema)
    values = _merged(yaml.safe_load((chart / "values.yaml").read_text()), over)
    return [error.json_path for error in jsonschema.Draft7Validator(schema).iter_errors(values)]


def test_every_yaml_parses(chart: Path) -> None:
    """Every YAML file that is no template is YAML, and a map."""
    files = [file for file in chart.rglob("*.yaml") if "templates" not in file.parts]
    assert {file.name for file in files} >= {"Chart.yaml", "values.yaml"}
    for file in files:
        assert isinstance(yaml.safe_load(file.read_text()), dict), file


def test_the_chart_says_what_it_is(chart: Path, checkout: Path) -> None:
    """Chart.yaml has the fields that Helm asks for, and the version of the package."""
    fields = yaml.safe_load((chart / "Chart.yaml").read_text())
    package = tomllib.loads((checkout / "pyproject.toml").read_text())["project"]
    assert fields["apiVersion"] == "v2"
    assert fields["name"] == chart.name
    assert re.fullmatch(r"\d+\.\d+\.\d+", fields["version"])
    assert fields["appVersion"] == package["version"]


def test_the_values_fit_their_schema(chart: Path) -> None:
    """The defaults, and those with each of the example files, are what the schema asks for."""
    assert _problems(chart, {}) == []
    for file in chart.glob("ci/*.yaml"):
        assert _problems(chart, yaml.safe_load(file.read_text())) == [], file


@pytest.mark.parametrize(
    ("over", "where"),
    [
        ({"replicaCounts": 3}, "$"),
        ({"doors": {"grcp": {"enabled": True}}}, "$.doors"),
        ({"doors": {"grpc": {"port": "4317"}}}, "$.doors.grpc.port"),
        ({"doors": {"grpc": {"port": 80}}}, "$.doors.grpc.port"),
        ({"doors": {"grpc": {"settings": {"tokens": ["0123456789abcdef"]}}}}, "$.doors.grpc.settings"),
        ({"doors": {"forward": {"settings": {"shared_key": "secret"}}}}, "$.doors.forward.settings"),
        ({"settings": {"doors": {}}}, "$.settings"),
        ({"settings": {"dead_letters": {"path": "/tmp"}}}, "$.settings"),
        ({"settings": {"relays": {"siem": {"type": "elastic"}}}}, "$.settings.relays.siem.type"),
        ({"tokens": {"secretName": "tokens", "key": "../x"}}, "$.tokens.key"),
        ({"persistence": {"type": "hostPath"}}, "$.persistence.type"),
        ({"podDisruptionBudget": {"maxUnavailable": 0}}, "$.podDisruptionBudget.maxUnavailable"),
    ],
)
def test_the_schema_refuses(chart: Path, over: dict[str, Any], where: str) -> None:
    """A misspelt key, a wrong type, a secret where it would lie open, and what the chart itself writes are refused."""
    assert _problems(chart, over) == [where]
