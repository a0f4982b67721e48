"""``lexilog replay``: dead letters go out again."""

from __future__ import annotations

import asyncio
import re
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import groupby, islice
from pathlib import Path

import click
from msgspec import structs

from lexilog.cli._options import FOUND
from lexilog.cli._output import print_table
from lexilog.errors import OriginError, RelayError, SettingsError
from lexilog.model import Enriched
from lexilog.pipeline import Pipeline
from lexilog.relay import Relay
from lexilog.relay.dead_letters import BrokenLetter, DeadLetters, Letter, unpack
from lexilog.relay.make import make_relay
from lexilog.service.make import make_pipeline
from lexilog.service.settings import Settings
from lexilog.service.settings.file import load_settings

__all__ = ["replay"]

# What differs between two reasons of a kind: Elasticsearch puts values into quotes.
_QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"|\[[^\]]*\]|\d+")
# Letters that are sent together.
_BATCH = 500


@click.command()
@click.option(
    "--config",
    type=click.Path(path_type=Path, dir_okay=False),
    required=True,
    metavar="FILE",
    help="The settings file of `lexilog serve`: where the dead letters are, and the relays.",
)
@click.option("--relay", "only", multiple=True, metavar="NAME", help="Only letters of this relay; several times.")
@click.option("--dry-run", is_flag=True, help="Say what there is and why it was refused, and send nothing.")
def replay(config: Path, only: tuple[str, ...], *, dry_run: bool) -> None:
    """Send dead letters again: records that a relay had refused for good.

    Mend the cause first, such as a mapping in Elasticsearch; --dry-run shows the reasons. Each record walks the whole
    way again as it was received, under the id that it had, and goes to the relay that had refused it. A letter is gone
    when that relay has the record; what is refused again stays, with its new reason. The server may run meanwhile.

    Exit codes: 0 all that was to be sent is taken; 1 a relay could not be reached, or a file not be read; 2 bad usage;
    3 letters were refused again or are damaged, or, with --dry-run, there are any.

    \b
    Examples:
      lexilog replay --config /etc/lexilog.yaml --dry-run
      lexilog replay --config /etc/lexilog.yaml --relay siem
    """
    try:
        settings = load_settings(config)
        if settings.dead_letters is None:
            raise SettingsError(f"{config}: has no dead_letters, so there are none to replay")
        for name in only:
            if name not in settings.relays:
                raise SettingsError(f"there is no relay '{name}'; there are: {', '.join(settings.relays) or 'none'}")
    except SettingsError as error:
        raise click.UsageError(str(error)) from error
    letters = DeadLetters(settings.dead_letters.path, settings.dead_letters.max_bytes)
    if dry_run:
        sys.exit(FOUND if _show(letters, only) else 0)
    sys.exit(asyncio.run(_Replay(settings, letters, only).run()))


def _show(letters: DeadLetters, only: tuple[str, ...]) -> int:
    """Print how many letters there are for each kind of reason, with the first of each; return how many in all."""
    found: Counter[tuple[str, str]] = Counter()
    examples: dict[tuple[str, str], str] = {}
    for one in (one for file in letters.files() for one in letters.read(file)):
        relay, reason = ("(damaged)", one.problem) if isinstance(one, BrokenLetter) else (one.relay, one.reason)
        if only and relay not in only:
            continue
        # Reasons quote ids, numbers and values, which would make each a kind of its own.
        kind = relay, _QUOTED.sub("", reason)
        found[kind] += 1
        examples.setdefault(kind, reason)
    if found:
        rows = [(str(count), kind[0], examples[kind]) for kind, count in found.most_common()]
        print_table(("letters", "relay", "reason, of the first"), rows)
    else:
        print("no dead letters", file=sys.stderr)
    return found.total()


class _Replay:
    """One run: takes the letters, sends them, and leaves what has not been taken."""

    def __init__(self, settings: Settings, letters: DeadLetters, only: tuple[str, ...]) -> None:
        self._settings = settings
        self._letters = letters
        self._only = only
        self._pipeline: Pipeline = make_pipeline(settings)
        self._relays: dict[str, Relay] = {}
        self._away: dict[str, str] = {}
        self._taken = self._refused = self._left = self._damaged = 0

    async def run(self) -> int:
        """Return the exit code."""
        try:
            with self._letters.take() as files:
                for file in files:
                    await self._replay(file)
        finally:
            for relay in self._relays.values():
                await relay.close()
        for problem in self._away.values():
            print(f"lexilog: {problem}", file=sys.stderr)
        parts = (f"{self._refused} refused again", f"{self._damaged} damaged", f"{self._left} not sent")
        print(f"{self._taken} letters taken; left: {', '.join(parts)}", file=sys.stderr)
        if self._away:
            return 1
        return FOUND if self._refused or self._damaged else 0

    async def _replay(self, file: Path) -> None:
        """Send the letters of a file in batches; after each one the file holds what is left."""
        # Those of a relay together: after each batch the file is written anew.
        there = sorted(self._letters.read(file), key=lambda one: one.relay if isinstance(one, Letter) else "")
        left: list[Letter | BrokenLetter] = []
        place = 0
        for relay, batch in _batches(there):
            place += len(batch)
            left += await self._send(relay, batch) if relay is not None else self._keep_damaged(batch)
            self._letters.keep(file, [*left, *there[place:]])

    def _keep_damaged(self, batch: list[Letter | BrokenLetter]) -> list[Letter | BrokenLetter]:
        for one in batch:
            if isinstance(one, BrokenLetter):
                print(f"lexilog: {one.place}: {one.problem}", file=sys.stderr)
        self._damaged += len(batch)
        return batch

    async def _send(self, name: str, batch: list[Letter | BrokenLetter]) -> list[Letter | BrokenLetter]:
        """Send letters to their relay; return those that it has not taken."""
        if (self._only and name not in self._only) or name in self._away:
            self._left += len(batch)
            return batch
        sent: list[tuple[Letter, Enriched]] = []
        left: list[Letter | BrokenLetter] = []
        for letter in (one for one in batch if isinstance(one, Letter)):
            try:
                record = unpack(letter, self._settings.body_keys)
            except OriginError as error:
                left.append(letter)
                self._damaged += 1
                print(f"lexilog: the letter of {letter.time} with id {letter.id}: {error}", file=sys.stderr)
            else:
                sent.append((letter, self._pipeline.process(record)))
        try:
            delivery = await (await self._relay(name)).deliver([enriched for _, enriched in sent])
        except (RelayError, SettingsError) as error:
            self._away[name] = str(error)
            self._left += len(sent)
            return batch
        reasons = {id(refusal.record): refusal.reason for refusal in delivery.refused}
        if delivery.unnamed:
            # It does not say which ones; a repeat does less harm than a loss.
            reasons = dict.fromkeys((id(enriched) for _, enriched in sent), delivery.message)
        again = [structs.replace(letter, reason=reasons[id(one)]) for letter, one in sent if id(one) in reasons]
        self._refused += len(again)
        self._taken += len(sent) - len(again)
        return [*left, *again]

    async def _relay(self, name: str) -> Relay:
        if name not in self._relays:
            if name not in self._settings.relays:
                known = ", ".join(self._settings.relays)
                raise SettingsError(f"there are letters of a relay '{name}', which the settings do not have: {known}")
            relay = make_relay(name, self._settings.relays[name])
            await relay.open()
            self._relays[name] = relay
        return self._relays[name]


def _batches(there: Iterable[Letter | BrokenLetter]) -> Iterator[tuple[str | None, list[Letter | BrokenLetter]]]:
    """Yield letters that stand together and go to one relay, some at a time; None is the relay of damaged ones."""
    for relay, group in groupby(there, lambda one: one.relay if isinstance(one, Letter) else None):
        rest = iter(group)
        while batch := list(islice(rest, _BATCH)):
            yield relay, batch
