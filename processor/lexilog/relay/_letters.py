"""A dead letter: a record that a relay will never take, as one line of JSON, and back."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple, cast

import msgspec

from lexilog.enrich.document import encode_json
from lexilog.enrich.escape import escape
from lexilog.errors import OriginError
from lexilog.forward.codec import ForwardOrigin, pack_origin, unpack_origin
from lexilog.model import Enriched, Place, Record
from lexilog.otlp.decode import BODY_KEYS, OtlpOrigin, read_records, read_request
from lexilog.otlp.encode import request_as_it_came
from lexilog.relay.base import Refusal

__all__ = ["BrokenLetter", "Letter", "Origin", "read_letter", "unpack", "write_letter"]


class Origin(msgspec.Struct, frozen=True):
    """A record as it was received.

    Attributes:
        protocol: the protocol that it is written in: ``otlp`` or ``forward``.
        data: the message; base64 in a file. Of ``otlp`` an ``ExportLogsServiceRequest`` with this record alone, of
            ``forward`` a message in Forward mode.
    """

    protocol: str
    data: bytes


class Letter(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A record that was refused, as one line of a file.

    Attributes:
        time: when it was refused.
        relay: by which relay.
        reason: why.
        id: its stable id (``event.id``), if it has one.
        document: the document that was refused, for people.
        origin: the record as it was received.
        problem: what the door could not read of it (`Record.problem`); left out where there is none.
    """

    time: datetime
    relay: str
    reason: str
    id: str | None
    document: msgspec.Raw
    origin: Origin
    problem: str | None = None


class BrokenLetter(NamedTuple):
    """A line that is no letter: a half one, because a process was killed, or a damaged one.

    Attributes:
        place: file and line.
        problem: what is wrong with it.
        data: the line, without its line ending.
    """

    place: Place
    problem: str
    data: bytes


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Letter)


def write_letter(relay: str, refusal: Refusal, now: datetime) -> Letter:
    """Return the letter of a record that a relay has refused just now."""
    number, problem = refusal.record.record.id, refusal.record.record.problem
    return Letter(
        time=now,
        relay=escape(relay),
        reason=escape(refusal.reason),
        id=None if number is None else escape(number),
        document=msgspec.Raw(encode_json(refusal.record)),
        origin=_pack(refusal.record),
        problem=None if problem is None else escape(problem),
    )


def read_letter(line: bytes, place: Place) -> Letter | BrokenLetter:
    """Return the letter that a line is."""
    data = line.removesuffix(b"\n")
    try:
        return _decoder.decode(data)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        kind = "a damaged line" if line.endswith(b"\n") else "a half line"
        return BrokenLetter(place, f"{kind}: {error}", data)


def unpack(letter: Letter, body_keys: Sequence[str] = BODY_KEYS) -> Record:
    """Return the record of a letter as it was received, under the id that it had.

    Args:
        letter: the letter.
        body_keys: where the line stands when a body is a map; the first that is there counts.

    Raises:
        OriginError: what was received cannot be read.
    """
    protocol = _PROTOCOLS.get(letter.origin.protocol)
    if protocol is None:
        known = ", ".join(_PROTOCOLS)
        raise OriginError(f"a dead letter's protocol is '{letter.origin.protocol}': known are {known}")
    record = protocol.unpack(letter.origin.data, body_keys, letter.id)
    return record if letter.problem is None else msgspec.structs.replace(record, problem=letter.problem)


def _pack(enriched: Enriched) -> Origin:
    """Return the record as it was received; one that came by no protocol is written as OTLP."""
    came_by = (name for name, protocol in _PROTOCOLS.items() if isinstance(enriched.record.origin, protocol.origin))
    name = next(came_by, "otlp")
    return Origin(name, _PROTOCOLS[name].pack(enriched))


def _unpack_otlp(data: bytes, body_keys: Sequence[str], number: str | None) -> Record:
    records = list(read_records(read_request(data), body_keys))
    if len(records) != 1:
        raise OriginError(f"a dead letter holds {len(records)} OTLP records: it should hold 1")
    return msgspec.structs.replace(records[0], id=number)


def _pack_forward(enriched: Enriched) -> bytes:
    return pack_origin(cast(ForwardOrigin, enriched.record.origin))


class _Protocol(NamedTuple):
    """How a record becomes bytes, and is read again.

    Attributes:
        origin: the class of ``Record.origin``.
        pack: returns the record's bytes.
        unpack: takes them, the body keys and the id, and raises OriginError.
    """

    origin: type
    pack: Callable[[Enriched], bytes]
    unpack: Callable[[bytes, Sequence[str], str | None], Record]


# By `Origin.protocol`.
_PROTOCOLS: Mapping[str, _Protocol] = {
    "otlp": _Protocol(OtlpOrigin, request_as_it_came, _unpack_otlp),
    "forward": _Protocol(ForwardOrigin, _pack_forward, unpack_origin),
}
