"""Settings that come as name and value: LEXILOG__DOORS__GRPC__LISTEN in the environment, and ``--set``."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml
from msgspec import inspect

from lexilog.errors import SettingsError
from lexilog.service.settings.kinds import is_path, is_secret_at, of_all
from lexilog.service.settings.layers import Change, Layers, Steps, leaves
from lexilog.service.settings.placeholders import has_placeholder
from lexilog.yaml_document import inside, meant_of, members

__all__ = ["put_environment", "put_flags"]

_PREFIX = "LEXILOG__"
# With one underscore where two are needed.
_ALMOST = re.compile(r"LEXILOG_([^_].*__.*)", re.DOTALL)
_SECTION = (inspect.StructType, inspect.DictType)
_LIST = (inspect.VarTupleType,)
_TEXT = (inspect.StrType, inspect.LiteralType, inspect.EnumType, inspect.CustomType)
_NAME = re.compile(r"[\w. -]+")
_NULL = "tag:yaml.org,2002:null"

# Returns which of the names that there are a step means; None for none.
_Match = Callable[[str, Iterable[str]], str | None]


def put_environment(layers: Layers, environ: Mapping[str, str]) -> None:
    """Put what variables such as LEXILOG__RELAYS__SIEM__API_KEY say over what is there.

    Raises:
        SettingsError: a variable names no setting, or its value cannot be read.
    """
    for name in environ:
        if found := _ALMOST.fullmatch(name):
            raise SettingsError(f"environment variable {name}: this is no setting; is {_PREFIX}{found[1]} meant?")
    said: dict[tuple[str | int, ...], str] = {}
    named = (name for name in environ if name.startswith(_PREFIX))
    # A map comes before what stands in it.
    for name in sorted(named, key=lambda name: (name.count("__"), name)):
        origin = f"environment variable {name}"
        steps, kind = _resolve(name.removeprefix(_PREFIX).split("__"), layers, _without_case, origin)
        if (other := said.setdefault(steps, name)) != name:
            raise SettingsError(f"{origin}: {other} says the same setting: leave one of them out")
        _put(layers, steps, _read(environ[name], kind, origin), origin)


def put_flags(layers: Layers, texts: Iterable[str]) -> None:
    """Put what each ``NAME=VALUE`` of ``--set`` says over what is there.

    Raises:
        SettingsError: one names no setting, or its value cannot be read.
    """
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not _NAME.fullmatch(name):
            # It is not repeated: it may be a value.
            raise SettingsError("--set: NAME=VALUE is expected, such as doors.grpc.listen=127.0.0.1:4317")
        origin = f"--set {name}"
        steps, kind = _resolve(name.split("."), layers, _exactly, origin)
        _put(layers, steps, _read(value, kind, origin), origin)


def _put(layers: Layers, steps: Steps, value: Any, origin: str) -> None:
    for place, text in leaves(value, steps):
        if isinstance(text, str) and has_placeholder(text) and is_secret_at(*place):
            problem = "nothing is filled in here, as in the file it would be: give the secret itself"
            raise SettingsError(f"{origin}: {problem}")
    layers.put(Change(steps, value, origin))


def _exactly(step: str, names: Iterable[str]) -> str | None:
    return step if step in names else None


def _without_case(step: str, names: Iterable[str]) -> str | None:
    """Return the name that a variable can mean: shells know letters, digits and ``_`` alone."""
    found = [name for name in names if _plain(name) == _plain(step)]
    if len(found) > 1 and step not in found:
        raise SettingsError(f"this may be {' or '.join(found)}: use --set")
    return step if step in found else next(iter(found), None)


def _plain(name: str) -> str:
    return re.sub(r"\W", "_", name).casefold()


def _resolve(texts: list[str], layers: Layers, match: _Match, origin: str) -> tuple[tuple[str, ...], Any]:
    """Return the path of a setting, and its type as `msgspec.inspect` describes it."""
    kind, data = of_all(), layers.data
    steps: tuple[str, ...] = ()
    for text in texts:
        where = f"{origin}: '{'.'.join(steps)}'"
        if not any(isinstance(one, _SECTION) for one in members(kind)):
            is_list = any(isinstance(one, _LIST) for one in members(kind))
            raise SettingsError(f"{where} {'is a list: set all of it, as [a, b]' if is_list else 'has no parts'}")
        known = list(_names(kind)) or (list(data) if isinstance(data, dict) else [])
        try:
            step = match(text, known)
        except SettingsError as error:
            raise SettingsError(f"{origin}: {error}") from error
        if step is None:
            step = text.lower() if match is _without_case else text
            if not step or _names(kind):
                place = f" under '{'.'.join(steps)}'" if steps else ""
                raise SettingsError(f"{origin}: there is no setting '{step}'{place}{meant_of(step, known)}")
        kind = _inside(kind, step)
        data = data.get(step) if isinstance(data, dict) else None
        steps = (*steps, step)
    return steps, kind


def _names(kind: Any) -> dict[str, None]:
    """Return the keys that a type has; none where every key is one."""
    names: dict[str, None] = {}
    for one in members(kind):
        if isinstance(one, inspect.StructType):
            names |= dict.fromkeys([one.tag_field] if one.tag_field else [])
            names |= dict.fromkeys(field.encode_name for field in one.fields)
    return names


def _inside(kind: Any, step: str | int) -> Any:
    """Return the type of a part; what tells the type of a relay is a text."""
    return inside(kind, step) or inspect.StrType()


def _read(text: str, kind: Any, origin: str) -> Any:
    """Return a value as its type wants it; None for ``null``, which takes the setting away."""
    if text.strip() == "null":
        return None
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        if _wants_text(kind):
            return _text(_unquoted(node, text), kind)
        if node is None:
            raise SettingsError(f"{origin}: the value is empty; {_for_nothing(kind)}")
        return _construct(node, kind)
    except (yaml.YAMLError, RecursionError, ValueError, LookupError, TypeError) as error:
        if _wants_text(kind):
            return _text(text, kind)
        # Not what is wrong: it repeats parts of the value.
        problem = "the value is not valid YAML: a list is [a, b], a map {key: value}, and a text with ': ' is in quotes"
        raise SettingsError(f"{origin}: {problem}") from error


def _unquoted(node: yaml.Node | None, text: str) -> str:
    """Return a text as it is, or what is in its quotes."""
    is_quoted = isinstance(node, yaml.ScalarNode) and node.style in ("'", '"')
    return str(node.value) if node and is_quoted else text


def _for_nothing(kind: Any) -> str:
    """Return what stands for the default, which no empty value does: it would take the place of what is in the file."""
    is_map = any(isinstance(one, _SECTION) for one in members(kind))
    return f"null stands for the default{', {} for a map of defaults' if is_map else ''}"


def _wants_text(kind: Any) -> bool:
    return any(isinstance(one, _TEXT) for one in members(kind))


def _text(text: str, kind: Any) -> str | Path:
    """Return a text, or the path that it is; a path that cannot be one stays a text, which is refused later."""
    return Path(text) if is_path(kind) and text and "\0" not in text else text


def _construct(node: yaml.Node, kind: Any) -> Any:
    """Return what a piece of YAML says, with texts where its type wants them."""
    if isinstance(node, yaml.MappingNode):
        pairs = [(str(key.value), value) for key, value in node.value]
        if len(dict(pairs)) < len(pairs) or any(not isinstance(key, yaml.ScalarNode) for key, _ in node.value):
            raise ValueError("a key stands there a second time, or is no text")
        return {key: _construct(value, _inside(kind, key)) for key, value in pairs}
    if isinstance(node, yaml.SequenceNode):
        return [_construct(value, _inside(kind, index)) for index, value in enumerate(node.value)]
    if _wants_text(kind) and node.tag != _NULL:
        return _text(node.value, kind)
    return yaml.SafeLoader("").construct_object(node)
