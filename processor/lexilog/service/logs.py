"""The service's own log: plain lines on standard error; what repeats is said once a minute."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable

__all__ = ["OncePerMinute", "set_up_logging"]


def set_up_logging(level: str) -> None:
    """Send log lines of `level` and above to standard error."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s %(message)s"))
    handler.addFilter(OncePerMinute())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)


class OncePerMinute(logging.Filter):
    """Lets a warning or error through once a minute for each place in the code, with how often it was held back."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._last: dict[tuple[str, int], float] = {}
        self._held: dict[tuple[str, int], int] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Tell whether a line goes out."""
        if record.levelno < logging.WARNING:
            return True
        place, now = (record.pathname, record.lineno), self._clock()
        if place in self._last and now - self._last[place] < 60:
            self._held[place] = self._held.get(place, 0) + 1
            return False
        self._last[place] = now
        held = self._held.pop(place, 0)
        if held:
            record.msg = f"{record.getMessage()} (and {held} more like this in the meantime)"
            record.args = None
        return True
