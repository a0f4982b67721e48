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
from threading import Lock
from traceback import TracebackException
from types import TracebackType
from typing import Any

from lexilog.service.settings import LogSettings

__all__ = ["JsonFormatter", "OncePerMinute", "TextFormatter", "set_up_logging"]

# How long a first argument may be that is a name, in characters, and how many names of a place are told apart.
_NAME = 64
_MOST_NAMES = 32
# Characters of a text by which a place tells its lines apart: errors can be long.
_TOLD_APART = 200
# What a traceback says of a place in the code, one of several exceptions or not.
_PLACE = re.compile(r'[\s|+]*File "')
_Error = tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]


def set_up_logging(settings: LogSettings, worker: int | None = None) -> None:
    """Send log lines to standard error.

    What lexilog itself does is told from the level of the settings on; libraries say nothing below ``info``, where
    they tell of headers and of what is in them.

    Args:
        settings: which, and in which form.
        worker: the number of this process, where there are several.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter(worker) if settings.format == "json" else TextFormatter(worker))
    handler.addFilter(OncePerMinute())
    # gRPC's core writes to standard error itself, past all of this, and some of it is what clients say.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    level = logging.getLevelNamesMapping()[settings.level.upper()]
    logging.basicConfig(level=max(level, logging.INFO), handlers=[handler], force=True)
    logging.getLogger("lexilog").setLevel(level)
    # It repeats headers, tokens among them.
    logging.getLogger("hpack").setLevel(max(level, logging.WARNING))


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

    Where its first argument is a short text, the name of a relay or a door, each of them has its own minute; and so has
    each text that a place gives as ``extra={"once": text}``, as far as its beginnings differ.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._said: dict[tuple[str, int], dict[str, _Said]] = {}
        # A handler filters before it takes its own.
        self._lock = Lock()

    def filter(self, record: logging.LogRecord) -> bool:
        """Tell whether a line goes out."""
        if record.levelno < logging.WARNING:
            return True
        held = self._held((record.pathname, record.lineno), _name(record))
        if held:
            record.msg = f"{record.getMessage()} (and {held} more like this in the meantime)"
            record.args = None
        return held is not None

    def _held(self, place: tuple[str, int], name: str) -> int | None:
        """Return how many lines were held back before this one, which goes out; None where it is held back too."""
        now = self._clock()
        with self._lock:
            names = self._said.setdefault(place, {})
            name = _free(names, name, now)
            before = names.get(name)
            if before and now - before.at < 60:
                before.held += 1
                return None
            names[name] = _Said(now)
            return before.held if before else 0


def _name(record: logging.LogRecord) -> str:
    if isinstance(told := getattr(record, "once", None), str):
        return told[:_TOLD_APART]
    first = record.args[0] if isinstance(record.args, tuple) and record.args else None
    return first if isinstance(first, str) and len(first) <= _NAME else ""


def _free(names: dict[str, _Said], name: str, now: float) -> str:
    """Return a name if there is room for it, else that of all that there is no room for."""
    if name in names or len(names) < _MOST_NAMES:
        return name
    for old in [old for old, said in names.items() if now - said.at >= 60]:
        del names[old]
    return name if len(names) < _MOST_NAMES else ""
