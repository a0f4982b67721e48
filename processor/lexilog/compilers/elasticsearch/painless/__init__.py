"""Sources in Painless, Elasticsearch's scripting language: one file per function or family of functions.

A script is put together from the files that it needs, because scripts cannot call each other. Regular expressions in
them read a bounded number of characters (``script.painless.regex.limit-factor``, 6 times the length of the text), and
the source of one script may have 65,535 bytes.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

__all__ = ["LIMIT", "script", "step"]

# Bytes: the default of ``script.max_size_in_bytes``.
LIMIT = 65_535
_HERE = Path(__file__).resolve().parent
_COMMENT = re.compile(r"^\s*//.*$\n?", re.MULTILINE)
_INDENT = re.compile(r"^\s+", re.MULTILINE)


def script(names: tuple[str, ...], main: str) -> str:
    """Return the source of a script: functions from files of this folder, then the statements that use them.

    Args:
        names: of the files, without ``.painless``.
        main: the statements.

    Raises:
        ValueError: the source is longer than Elasticsearch takes.
    """
    files = [(_HERE / f"{name}.painless").read_text(encoding="utf-8") for name in names]
    source = "\n".join([*(_INDENT.sub("", _COMMENT.sub("", text)).strip() for text in files), main.strip()])
    size = len(source.encode())
    if size > LIMIT:
        raise ValueError(f"the script of {', '.join(names)} has {size} bytes; Elasticsearch takes {LIMIT}")
    return source


def step(
    tag: str, description: str, source: str, *, condition: str | None = None, params: dict[str, Any] | None = None
) -> dict[str, Any]:
    """Return a step of a pipeline that runs a script.

    Args:
        tag: which tells it from the others in a cluster's statistics.
        description: what it is for.
        source: of the script.
        condition: under which it runs; always where it is None.
        params: what the script knows as ``params``.
    """
    found = {
        "tag": tag,
        "description": description,
        "if": condition,
        "lang": "painless",
        "source": source,
        "params": params,
    }
    return {"script": {name: value for name, value in found.items() if value is not None}}
