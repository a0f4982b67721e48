"""The Elastic Common Schema as its own package tells it: @elastic/ecs 9.4.0 of the npm registry (Apache-2.0).

The package is downloaded once, its SHA-512 is compared, and it is kept in the user's cache folder.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
import os
import re
import tarfile
import urllib.error
import urllib.request
from collections.abc import Iterable
from typing import Any

from downloads import Unavailable, cache_folder

__all__ = ["VERSION", "ecs_flat", "reduced"]

VERSION = "9.4.0"
# As `npm view @elastic/ecs@9.4.0 dist.integrity` tells it.
_SHA512 = "znk6Jr38KNRsyUKstormNX4QKtqnwQY1EWqrMCWIg/nY6dC1imSxzrdR6xuljxnY6JHj+/9NdTiRohVbeUEA/Q=="
_REGISTRY = "https://registry.npmjs.org"
_FILE = "package/build/commonjs/ecs_flat.js"
# What a file of the package is made of: a text in quotes, the name of a member, and all between them.
_TOKEN = re.compile(
    r"""(?P<text>'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")|(?P<name>[A-Za-z_$][\w$]*)(?=:)|(?P<end>,(?=\s*[\]}]))"""
)
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_CHARACTERS = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f"}


def ecs_flat() -> dict[str, dict[str, Any]]:
    """Return ``EcsFlat``: every field of ECS by its dotted name.

    Raises:
        Unavailable: the package is neither in the cache nor to be downloaded.
    """
    with tarfile.open(fileobj=io.BytesIO(_package())) as archive:
        file = archive.extractfile(_FILE)
        assert file is not None, f"{_FILE} is not in the package"
        source = file.read().decode()
    start = source.index("exports.EcsFlat = {") + len("exports.EcsFlat = ")
    found: dict[str, dict[str, Any]] = json.loads(_TOKEN.sub(_as_json, source[start : source.rindex("};") + 1]))
    return found


def reduced(flat: dict[str, dict[str, Any]], names: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Return what the project keeps of the fields of those names that ECS has."""
    return {name: _field(name, flat[name]) for name in sorted(names) if name in flat}


def _field(name: str, field: dict[str, Any]) -> dict[str, Any]:
    out = {"type": field["type"], "level": field["level"], "array": "array" in field["normalize"]}
    out |= {key: field[key] for key in ("ignore_above", "index", "doc_values") if key in field}
    if "multi_fields" in field:
        out["multi_fields"] = {one["name"]: one["type"] for one in field["multi_fields"]}
    if "expected_values" in field:
        out["expected"] = field["expected_values"]
    if "allowed_values" in field:
        out["allowed"] = [value["name"] for value in field["allowed_values"]]
        if name == "event.category":
            out["expected_types"] = {
                value["name"]: value.get("expected_event_types", []) for value in field["allowed_values"]
            }
    return out


def _as_json(token: re.Match[str]) -> str:
    if token["name"]:
        return json.dumps(token["name"])
    if token["end"]:
        return ""
    return json.dumps(_ESCAPE.sub(lambda found: _CHARACTERS.get(found[1], found[1]), token["text"][1:-1]))


def _package() -> bytes:
    cache = cache_folder("lexilog-tests") / f"ecs-{VERSION}.tgz"
    if cache.exists() and _is_whole(data := cache.read_bytes()):
        return data
    try:
        with urllib.request.urlopen(f"{_REGISTRY}/@elastic/ecs/-/ecs-{VERSION}.tgz", timeout=60) as answer:
            data = bytes(answer.read())
    except OSError as error:
        if isinstance(error, urllib.error.HTTPError):
            error.close()
        raise Unavailable(f"@elastic/ecs {VERSION} cannot be downloaded from the npm registry: {error}") from None
    assert _is_whole(data), f"@elastic/ecs {VERSION} is not what was published: its SHA-512 differs"
    try:
        cache.parent.mkdir(parents=True, exist_ok=True)
        new = cache.with_suffix(f".{os.getpid()}")
        new.write_bytes(data)
        new.replace(cache)
    except OSError:
        pass  # downloaded again next time
    return data


def _is_whole(data: bytes) -> bool:
    return base64.b64encode(hashlib.sha512(data).digest()).decode() == _SHA512
