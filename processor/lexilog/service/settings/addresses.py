"""Addresses in settings: what they are, and which are the same."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from urllib.parse import urlsplit

from lexilog.errors import SettingsError
from lexilog.service.settings import read_address
from lexilog.yaml_document import Fail

__all__ = ["Address", "hosts_of", "is_same", "read_host_and_port", "read_url"]

Address = tuple[str, int]
_Steps = tuple[str | int, ...]


def read_host_and_port(text: str, what: str, where: _Steps, fail: Fail) -> Address:
    """Return host and port.

    Args:
        text: both of them.
        what: what errors call it.
        where: the path of the setting.
        fail: makes an error.

    Raises:
        SettingsError: the text is no address.
    """
    try:
        return read_address(text, what)
    except SettingsError as error:
        raise fail(str(error), *where) from error


def read_url(text: str, what: str, where: _Steps, fail: Fail) -> Address:
    """Return the address that a URL leads to. What is wrong is not repeated in the error: it may hold a password.

    Raises:
        SettingsError: the text is no URL of http or https, or holds a user.
    """
    try:
        url = urlsplit(text)
        host, port, is_sound = url.hostname, url.port, url.scheme in ("http", "https")
    except ValueError:
        host, port, is_sound = None, None, False
    if not is_sound or not host:
        raise fail(f"{what}: this is no URL, such as https://HOST:PORT", *where)
    if "@" in url.netloc:
        raise fail(f"{what}: a URL holds no user and password here: they have settings of their own", *where)
    return host, (443 if url.scheme == "https" else 80) if port is None else port


def is_same(one: Address, other: Address) -> bool:
    """Tell whether two addresses lead to the same socket; 0.0.0.0 and [::] are every address of this machine."""
    return one[1] == other[1] and bool(set(_sockets(one[0])) & set(_sockets(other[0])))


def hosts_of(name: str) -> set[str]:
    """Return the addresses that a name stands for; where it stands for none, the name itself."""
    try:
        return {str(info[4][0]) for info in socket.getaddrinfo(name, None)}
    except (OSError, UnicodeError):
        return {name}


def _sockets(name: str) -> Iterator[str]:
    found = hosts_of(name)
    yield from found
    if found & {"0.0.0.0", "::"}:  # noqa: S104 (nothing is bound here)
        yield from ("127.0.0.1", "::1")
