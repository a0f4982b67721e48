"""The nodes that the tests of this folder use."""

from __future__ import annotations

from elasticsearch_node import es9, es9_alone, es9_secure, esql8, os3

__all__ = ["es9", "es9_alone", "es9_secure", "esql8", "os3"]
