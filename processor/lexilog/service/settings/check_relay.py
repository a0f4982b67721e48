"""Finds what makes no sense in the settings of one relay."""

from __future__ import annotations

import re
from collections.abc import Iterator

from lexilog.relay.settings import (
    ElasticsearchSettings,
    FileSettings,
    ForwardSettings,
    OtlpSettings,
    RelaySettings,
    SplunkHecSettings,
    StdoutSettings,
)
from lexilog.service.settings.addresses import Address, is_same, read_host_and_port, read_url
from lexilog.yaml_document import Fail

__all__ = ["check_relay"]

# A token of RFC 9110, section 5.6.2.
_HEADER = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_Steps = tuple[str | int, ...]
_NetworkSettings = OtlpSettings | ForwardSettings | ElasticsearchSettings | SplunkHecSettings


def check_relay(name: str, relay: RelaySettings, listens: list[Address], fail: Fail) -> None:
    """Find what makes no sense in the settings of a relay.

    Args:
        name: its name.
        relay: its settings.
        listens: where lexilog itself takes records.
        fail: makes an error of a problem and the path of the value that it is about.

    Raises:
        SettingsError: the first such thing.
    """
    if isinstance(relay, StdoutSettings):
        return
    if isinstance(relay, FileSettings):
        if relay.keep and relay.rotate_bytes is None:
            raise fail(f"relay {name}: keep is of use with rotate_bytes alone", "relays", name, "keep")
        return
    if isinstance(relay, ElasticsearchSettings):
        _check_user(name, relay, fail)
    if isinstance(relay, OtlpSettings) and not all(_HEADER.fullmatch(header) for header in relay.headers):
        # It is not repeated: it may be the value.
        problem = f"relay {name}: headers: what stands in the place of a name is none: write {{NAME: VALUE}}"
        raise fail(problem, "relays", name, "headers")
    for address, where in _addresses(name, relay, fail):
        if not address[1]:
            raise fail(f"relay {name}: port 0 is none to send to", *where)
        if any(is_same(address, listen) for listen in listens):
            problem = f"relay {name}: this is where lexilog itself listens: records would go round in a loop"
            raise fail(problem, *where)
    _check_tls(name, relay, fail)


def _check_user(name: str, relay: ElasticsearchSettings, fail: Fail) -> None:
    if (relay.username is None) != (relay.password is None):
        raise fail(f"relay {name}: username and password are needed together", "relays", name)
    if relay.api_key is not None and relay.username is not None:
        problem = f"relay {name}: either api_key or username and password, not both"
        raise fail(problem, "relays", name, "api_key")


def _addresses(name: str, relay: _NetworkSettings, fail: Fail) -> Iterator[tuple[Address, _Steps]]:
    """Yield where a relay sends to, and the path of the setting that says so."""
    what, steps = f"relay {name}", ("relays", name)
    if isinstance(relay, ForwardSettings) or (isinstance(relay, OtlpSettings) and relay.protocol == "grpc"):
        where: _Steps = (*steps, "endpoint")
        yield read_host_and_port(relay.endpoint, what, where, fail), where
        return
    for url, where in _urls(relay, steps):
        yield read_url(url, what, where, fail), where


def _urls(relay: _NetworkSettings, steps: _Steps) -> Iterator[tuple[str, _Steps]]:
    if isinstance(relay, ElasticsearchSettings):
        yield from ((url, (*steps, "urls", number)) for number, url in enumerate(relay.urls))
    elif isinstance(relay, SplunkHecSettings):
        yield relay.url, (*steps, "url")
    else:
        yield relay.endpoint, (*steps, "endpoint")


def _check_tls(name: str, relay: _NetworkSettings, fail: Fail) -> None:
    steps = ("relays", name)
    if (relay.cert_file is None) != (relay.key_file is None):
        given = "key_file" if relay.cert_file is None else "cert_file"
        raise fail(f"relay {name}: cert_file and key_file are needed together", *steps, given)
    is_plain_socket = isinstance(relay, ForwardSettings) or (
        isinstance(relay, OtlpSettings) and relay.protocol == "grpc"
    )
    if isinstance(relay, OtlpSettings) and relay.tls and not is_plain_socket:
        problem = f"relay {name}: tls is for the protocol grpc; with http the URL says it: https://HOST:PORT"
        raise fail(problem, *steps, "tls")
    if is_plain_socket:
        is_encrypted, why = bool(getattr(relay, "tls", False)), "tls is not switched on"
    else:
        is_encrypted = any(url.lower().startswith("https:") for url, _ in _urls(relay, steps))
        why = "the URL is not https"
    for key in ("ca_file", "cert_file"):
        if getattr(relay, key) is not None and not is_encrypted:
            raise fail(f"relay {name}: {key} is for TLS, and {why}: mend one of them", *steps, key)
