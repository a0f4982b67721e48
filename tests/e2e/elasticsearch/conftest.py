"""The node that the tests of this folder share."""

from __future__ import annotations

from elasticsearch_node import es9

__all__ = ["es9"]
