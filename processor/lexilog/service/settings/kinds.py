"""What the types of the settings say of a setting at a path: whether it is a secret, or a path of a file."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import msgspec

from lexilog.service.settings import Settings
from lexilog.yaml_document import inside, members

__all__ = ["is_path", "is_path_at", "is_secret", "is_secret_at", "of_all"]


@cache
def of_all() -> Any:
    """Return the type of all settings, as `msgspec.inspect` describes it."""
    return msgspec.inspect.type_info(Settings)


def is_secret(kind: Any) -> bool:
    """Tell whether a type, or one of those that it may be, is marked as secret."""
    if isinstance(kind, msgspec.inspect.Metadata):
        return bool(kind.extra and kind.extra.get("secret")) or is_secret(kind.type)
    return isinstance(kind, msgspec.inspect.UnionType) and any(is_secret(one) for one in kind.types)


def is_path(kind: Any) -> bool:
    """Tell whether a type is a path, or may be one."""
    return any(isinstance(one, msgspec.inspect.CustomType) and one.cls is Path for one in members(kind))


def is_secret_at(*steps: str | int) -> bool:
    """Tell whether a setting is a secret, or stands in one."""
    kind = of_all()
    for step in steps:
        if is_secret(kind):
            return True
        kind = inside(kind, step)
    return is_secret(kind)


def is_path_at(*steps: str | int) -> bool:
    """Tell whether a setting is a path."""
    kind = of_all()
    for step in steps:
        kind = inside(kind, step)
    return is_path(kind)
