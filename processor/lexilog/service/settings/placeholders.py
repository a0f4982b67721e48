"""What stands for something else in the texts of a settings file, ``${NAME}`` and ``${file:PATH}``; and what it hides.

What has been filled in may be a secret wherever it stands: no error repeats it, and what is shown is the placeholder.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable
from pathlib import Path

from lexilog.errors import SettingsError

__all__ = ["Placeholders", "has_placeholder"]

_HIDDEN = "***"
_PLACEHOLDER = re.compile(r"\$(?:\$(?P<literal>\{)|\{file:(?P<file>[^}]*)\}|\{(?P<name>\w+)\}|(?P<open>\{))")
# The largest file that ``${file:...}`` takes, in bytes.
_MOST_BYTES = 64 * 1024
# Shorter values are hidden where they stand in quotes: elsewhere they would be found in any sentence.
_SHORT = 4
_Steps = tuple[str | int, ...]
_Fail = Callable[[str], SettingsError]


class Placeholders:
    """Fills texts in, and knows afterwards what was put where.

    Args:
        base: where paths of files start.
    """

    def __init__(self, base: Path) -> None:
        self._base = base
        self._written: dict[_Steps, str] = {}
        self._values: set[str] = set()
        self._contents: dict[_Steps, None] = {}

    def fill(self, text: str, steps: _Steps, fail: _Fail) -> str:
        """Return a text with what it stands for.

        Args:
            text: as it stands in the file.
            steps: the path of the setting.
            fail: makes an error.

        Raises:
            SettingsError: what it stands for cannot be had.
        """

        def put(found: re.Match[str]) -> str:
            if found["literal"]:
                return "${"
            if found["open"]:
                raise fail("'${' begins ${NAME} or ${file:PATH}, and this is neither")
            self._written[steps] = text
            if found["file"] is not None:
                self._contents[steps] = None
                value = _read_text(self._base / found["file"], fail)
            elif found["name"] in os.environ:
                value = os.environ[found["name"]]
            else:
                raise fail(f"the environment variable {found['name']} is not set")
            self._values |= {value, *value.splitlines()}
            return value

        filled = _PLACEHOLDER.sub(put, text)
        if steps in self._written:
            # A path is told without what it does not need, such as a second '/'.
            self._values |= {filled, str(Path(filled))}
        return filled

    def written(self, *steps: str | int) -> str | None:
        """Return what stands in the file for a setting that was filled in; None for another one."""
        return self._written.get(steps)

    def contents(self) -> Iterable[_Steps]:
        """Return the paths of the settings into which the content of a file was put."""
        return self._contents

    def hide(self, text: str) -> str:
        """Return a text without any value that was filled in."""
        for value in sorted(self._values - {""}, key=len, reverse=True):
            sought, shown = (value, _HIDDEN) if len(value) >= _SHORT else (f"'{value}'", f"'{_HIDDEN}'")
            text = text.replace(sought, shown)
        return text


def has_placeholder(text: str) -> bool:
    """Tell whether a text has a placeholder in it."""
    return any(found["file"] is not None or found["name"] for found in _PLACEHOLDER.finditer(text))


def _read_text(path: Path, fail: _Fail) -> str:
    """Return what a file holds, without the end of its last line."""
    try:
        with path.open("rb") as file:
            content = file.read(_MOST_BYTES + 1)
        text = content.decode()
    except OSError as error:
        raise fail(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise fail(f"{path}: is not UTF-8 (byte {error.start})") from error
    except ValueError as error:
        raise fail("what stands behind 'file:' is no name of a file") from error
    if len(content) > _MOST_BYTES:
        raise fail(f"{path}: is larger than {_MOST_BYTES} bytes, too large for a setting")
    return text.removesuffix("\n").removesuffix("\r")
