"""The head of a catalogue of one's own, as tests of several rooms write it."""

from __future__ import annotations


def catalog_head(
    frame: str,
    *,
    name: str = "example_gateway",
    title: str = "Example",
    processes: str | None = "exd",
    severities: str = "error: 3",
) -> str:
    """Return the lines that a catalogue begins with, up to its severities; each key is one line.

    Args:
        frame: the wrapping.
        name: of the catalogue.
        title: for people.
        processes: the one process of the file; None leaves the key out.
        severities: words and numbers, as YAML.
    """
    lines = [
        "format: 1",
        f"name: {name}",
        f"title: {title}",
        "version: 1.0.0",
        f"frame: {frame}",
        *([f"processes: [{processes}]"] if processes else []),
        "source: {document: Some manual, section: Chapter 1}",
        "observer: {vendor: Example, product: Gateway, type: firewall}",
        f"severities: {{{severities}}}",
    ]
    return "\n".join(lines) + "\n"


# A catalogue with one message, EX_PEER_GONE of a process exd.
PEER_GONE = (
    catalog_head("junos")
    + """\
variables:
  peer: {type: address, fields: [lexilog.remote.ip]}
entries:
  - id: EX_PEER_GONE
    format: 'Peer {peer} is gone'
    severity: error
    impact: down
    explanation: A peer does not answer.
    cause: It is off.
    action: Switch it on.
    event: {category: [network], type: [end], action: peer-gone}
"""
)
