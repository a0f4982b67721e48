"""The fixtures that tests of a command share."""

from __future__ import annotations

from install_command import double, kibana, run, small

__all__ = ["double", "kibana", "run", "small"]
