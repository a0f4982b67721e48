"""Several processes that serve the same doors: a parent, and its children."""

from __future__ import annotations

from lexilog.service.workers.parent import Workers

__all__ = ["Workers"]
