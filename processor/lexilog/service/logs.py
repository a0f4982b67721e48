"""The server's own log on standard error, as text or JSON; what repeats is said once a minute."""

from __future__ import annotations

import json
import logging
import os
import re
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from traceback import TracebackException
from types import TracebackType
from typing import Any

from lexilog.service.settings import LogSettings

__all__ = ["JsonFormatter", "OncePerMinute", "TextFormatter", "set_up_logging"]

# How long a first argument may be that is a name, in characters, and how many names of a place are told apart.
_NAME = 64
_MOST_NAMES = 32
# What a traceback says of a place in the code, one of several exceptions or not.
_PLACE = re.compile(r'[\s|+]*File "')
_Error = tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]


def set_up_logging(settings: LogSettings, worker: int | None = None) -> None:
    """Send log lines to standard error.

    Args:
        settings: which, and in which form.
        worker: the number of this process, where there are several.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter(worker) if settings.format == "json" else TextFormatter(worker))
    handler.addFilter(OncePerMinute())
    # gRPC's core writes to standard error itself, past all of this, and some of it is what clients say.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    logging.basicConfig(level=settings.level.upper(), handlers=[handler], force=True)


class TextFormatter(logging.Formatter):
    r"""One line each; nothing that a sender or a next hop has said begins another.

    Line breaks and control characters in a message are escaped, as ``\n`` and ``\x1b``. The lines of a traceback are
    indented.

    Args:
        worker: the number of this process, where there are several.
    """

    def __init__(self, worker: int | None = None) -> None:
        of_worker = f" [worker {worker}]" if worker is not None else ""
        super().__init__(f"%(asctime)s %(levelname)s{of_worker} %(name)s %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 (the name is logging's)
        """Return the line without its traceback."""
        return _in_one_line(super().formatMessage(record))

    def formatException(self, ei: _Error) -> str:  # noqa: N802
        """Return a traceback."""
        return "\n".join(f"    {line}" for line in _traceback(ei[1])) if ei[1] else ""


class JsonFormatter(logging.Formatter):
    """One object per line: time (RFC 3339, UTC), level, logger, message, and worker and error where there are.

    Args:
        worker: the number of this process, where there are several.
    """

    def __init__(self, worker: int | None = None) -> None:
        super().__init__()
        self._worker = worker

    def format(self, record: logging.LogRecord) -> str:
        """Return the object."""
        when = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        said: dict[str, Any] = {
            "time": when.replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": _sound(record.getMessage()),
        }
        if self._worker is not None:
            said["worker"] = self._worker
        if record.exc_info and (error := record.exc_info[1]):
            stack = "\n".join(_traceback(error))
            said["error"] = {"type": type(error).__qualname__, "message": _sound(str(error)), "stack": _sound(stack)}
        return json.dumps(said)


def _traceback(error: BaseException) -> list[str]:
    """Return the lines of a traceback; what the error itself says is one line."""
    lines: list[str] = []
    for part in TracebackException.from_exception(error).format():
        text = part.strip("\n")
        lines += text.split("\n") if _PLACE.match(text) else [_in_one_line(text)]
    return lines


def _in_one_line(text: str) -> str:
    """Escape line breaks, control characters, lone surrogates and whatever else cannot be seen."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in text)


def _sound(text: str) -> str:
    r"""Return a text that every reader of JSON takes; a byte that was no UTF-8 is shown as ``\udcff``."""
    return text.encode("utf-8", "backslashreplace").decode()


class _Said:
    """When something was said, and how often it was held back since."""

    def __init__(self, at: float) -> None:
        self.at = at
        self.held = 0


class OncePerMinute(logging.Filter):
    """Lets a warning or error through once a minute for each place in the code, with how often it was held back.

    Where its first argument is a short text, the name of a relay or a door, each of them has its own minute.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._said: dict[tuple[str, int], dict[str, _Said]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Tell whether a line goes out."""
        if record.levelno < logging.WARNING:
            return True
        now = self._clock()
        names = self._said.setdefault((record.pathname, record.lineno), {})
        name = _free(names, _name(record), now)
        before = names.get(name)
        if before and now - before.at < 60:
            before.held += 1
            return False
        names[name] = _Said(now)
        if before and before.held:
            record.msg = f"{record.getMessage()} (and {before.held} more like this in the meantime)"
            record.args = None
        return True


def _name(record: logging.LogRecord) -> str:
    first = record.args[0] if isinstance(record.args, tuple) and record.args else None
    return first if isinstance(first, str) and len(first) <= _NAME else ""


def _free(names: dict[str, _Said], name: str, now: float) -> str:
    """Return a name if there is room for it, else that of all that there is no room for."""
    if name in names or len(names) < _MOST_NAMES:
        return name
    for old in [old for old, said in names.items() if now - said.at >= 60]:
        del names[old]
    return name if len(names) < _MOST_NAMES else ""
