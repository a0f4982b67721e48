"""The fixtures that tests of Kibana's side share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from elastic_doubles import serving
from kibana_double import KibanaDouble
from lexilog.install.access import Access
from lexilog.install.kibana import Kibana


@pytest.fixture
def double() -> Iterator[KibanaDouble]:
    """Return a double of Kibana that serves."""
    double = KibanaDouble()
    with serving(double):
        yield double


@pytest.fixture
def kibana(double: KibanaDouble) -> Iterator[Kibana]:
    """Return what is asked."""
    with Kibana(double.url, None, Access(api_key="a-key-of-tests")) as kibana:
        yield kibana
