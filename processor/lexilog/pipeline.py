"""The walk of one record through framing, matching and enrich. It never raises: every record comes out again."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, tzinfo

from lexilog.catalog.load import Catalog
from lexilog.catalog.sources import load_catalogs
from lexilog.enrich.ecs import error_fields, matched_fields, unknown_fields
from lexilog.enrich.plan import Plan
from lexilog.framing import Context, frame
from lexilog.matching.index import Index, Miss
from lexilog.model import Enriched, Entry, Frame, Outcome, Record, UnknownId

__all__ = ["Pipeline"]

_log = logging.getLogger(__name__)


def _utc_now() -> datetime:
    return datetime.now(UTC)


class Pipeline:
    """Recognises and explains records.

    Args:
        catalogs: what is known; by default what is shipped and what installed packages offer.
        zone: the zone of times that name none.
        columns: names of the columns of comma-separated lines; where a door has seen the head of a table, that counts.
        max_line: the longest line that is looked at, in characters; None for no limit. A longer one passes as it came.
        now: the clock; tests set it.

    Raises:
        CatalogError: a catalogue is damaged, or two of them claim the same id.
    """

    def __init__(
        self,
        catalogs: Sequence[Catalog] | None = None,
        *,
        zone: tzinfo = UTC,
        columns: tuple[str, ...] = (),
        max_line: int | None = None,
        now: Callable[[], datetime] = _utc_now,
    ) -> None:
        self.catalogs = tuple(load_catalogs() if catalogs is None else catalogs)
        self.entries: tuple[Entry, ...] = tuple(entry for catalog in self.catalogs for entry in catalog.entries)
        self._index = Index(self.entries)
        self._plans = {(entry.catalog, entry.id): Plan(entry) for entry in self.entries}
        self._zone = zone
        self._columns = columns
        self._max_line = max_line
        self._now = now

    def process(self, record: Record) -> Enriched:
        """Return the record with everything that is known of it; see `lexilog.model.Enriched` for the outcomes."""
        now = self._now()
        if record.problem is not None:
            return self._failed(record, now, "invalid_record", record.problem)
        try:
            return self._process(record, now)
        except Exception as error:  # a record must come out whatever it does to us
            _log.exception("a record could not be processed and passes as it came")
            return self._failed(record, now, "internal_error", f"{type(error).__name__}: {error}")

    def process_all(self, records: Iterable[Record]) -> list[Enriched]:
        """Process records in order."""
        return [self.process(record) for record in records]

    def _process(self, record: Record, now: datetime) -> Enriched:
        if record.line is None:
            return self._unknown(record, now, "no_line")
        if self._max_line is not None and len(record.line) > self._max_line:
            problem = f"the line has {len(record.line)} characters; only lines of up to {self._max_line} are looked at"
            return self._failed(record, now, "line_too_long", problem)
        framed = frame(record.line, Context(record.time or now, self._zone, record.columns or self._columns))
        if framed is None:
            return self._unknown(record, now, "no_frame")
        match = self._index.look_up(framed)
        if isinstance(match, Miss):
            return self._unknown(record, now, match.reason, framed, match.unknown)
        plan = self._plans[match.entry.catalog, match.entry.id]
        return Enriched(
            record=record,
            fields=matched_fields(record, framed, match, plan, now),
            outcome=Outcome.MATCHED,
            reason=match.quality.value,
            match=match,
        )

    def _failed(self, record: Record, now: datetime, reason: str, problem: str) -> Enriched:
        return Enriched(
            record=record,
            fields=error_fields(record, now, problem),
            outcome=Outcome.ERROR,
            reason=reason,
        )

    def _unknown(
        self,
        record: Record,
        now: datetime,
        reason: str,
        framed: Frame | None = None,
        unknown: UnknownId | None = None,
    ) -> Enriched:
        return Enriched(
            record=record,
            fields=unknown_fields(record, now, framed),
            outcome=Outcome.UNKNOWN,
            reason=reason,
            unknown=unknown,
        )
