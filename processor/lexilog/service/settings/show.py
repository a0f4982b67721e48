"""Shows the settings in effect: as YAML, without secrets, and with where each comes from."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from enum import Enum
from pathlib import Path
from typing import Any

import msgspec
import yaml

from lexilog.service.settings import Settings
from lexilog.service.settings.kinds import is_secret, of_all
from lexilog.yaml_document import inside

__all__ = ["show_settings"]

_HIDDEN = "***"
_Steps = tuple[str | int, ...]
_Told = Callable[..., str | None]
# Behind '?' in a URL: a token often stands there.
_QUERY = re.compile(r"(://[^?]*\?).+", re.DOTALL)


def _nowhere(*_steps: str | int) -> None:
    return None


def show_settings(settings: Settings, origin: _Told, written: _Told = _nowhere) -> str:
    """Return settings as a settings file that says all of them; of secrets there is only that they are set.

    Args:
        settings: the settings.
        origin: returns where the setting at a path comes from; None where it is a default.
        written: returns what stands in the file for the setting at a path, where that has placeholders; else None.
    """
    shown = _shown(settings, of_all(), (), written)
    # To name a door or the port of metrics is to open it.
    shown["doors"] = {name: door for name, door in shown["doors"].items() if door is not None}
    if shown["metrics"] is None:
        del shown["metrics"]
    return "\n".join(_lines(shown, (), origin)) + "\n"


def _shown(value: Any, kind: Any, steps: _Steps, written: _Told) -> Any:
    """Return plain data, with secrets hidden."""
    if value is None:
        return None
    if is_secret(kind):
        return _hide(value)
    if (text := written(*steps)) is not None:
        return _without_query(text)
    if isinstance(value, msgspec.Struct):
        info = msgspec.inspect.type_info(type(value))
        tag = {value.__struct_config__.tag_field: value.__struct_config__.tag} if value.__struct_config__.tag else {}
        parts = [(name, getattr(value, name), inside(info, name)) for name in value.__struct_fields__]
        return tag | {name: _shown(part, of, (*steps, name), written) for name, part, of in parts}
    if isinstance(value, dict):
        return {key: _shown(item, inside(kind, key), (*steps, key), written) for key, item in value.items()}
    if isinstance(value, tuple):
        return [_shown(item, inside(kind, at), (*steps, at), written) for at, item in enumerate(value)]
    if isinstance(value, Path):
        value = str(value.absolute())
    if isinstance(value, Enum):
        value = value.value
    return _without_query(value).replace("${", "$${") if isinstance(value, str) else value


def _without_query(text: str) -> str:
    return _QUERY.sub(rf"\1{_HIDDEN}", text)


def _hide(value: Any) -> Any:
    if isinstance(value, dict):
        return dict.fromkeys(value, _HIDDEN)
    return [_HIDDEN for _ in value] if isinstance(value, tuple) else _HIDDEN


def _lines(data: dict[str, Any], steps: _Steps, origin: _Told) -> Iterator[str]:
    """Yield the lines of a map."""
    indent = "  " * len(steps)
    for key, value in data.items():
        path = (*steps, key)
        if isinstance(value, dict) and value:
            yield f"{indent}{_flow(key)}:"
            yield from _lines(value, path, origin)
        else:
            comment = f"  # from {found}" if (found := origin(*path)) else ""
            yield f"{indent}{_flow(key)}: {_flow(value)}{comment}"


def _flow(value: Any) -> str:
    """Return a value on one line."""
    text: str = yaml.safe_dump(value, default_flow_style=True, width=float("inf"), allow_unicode=True, sort_keys=False)
    return text.removesuffix("\n").removesuffix("\n...")
