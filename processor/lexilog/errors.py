"""Everything that lexilog raises on purpose.

LexilogError            anything below; its text says what, which, where and what to do
├── CatalogError        a catalogue file is wrong; carries path, line and column
├── SettingsError       a setting in a file, a flag or an environment variable is wrong, or a combination of them
├── ImportFormatError   a vendor's text is not in the layout that it is read as; carries line and what was expected
├── OriginError         what came in cannot be read: a record's own fields, or a whole request
│   └── TooLargeError   a request is over a limit
├── HandshakeError      (lexilog.forward) the other side does not have the shared key
└── RelayError          the next hop has not taken a batch; the sender keeps it and comes again
"""

from __future__ import annotations

from pathlib import Path

__all__ = [
    "CatalogError",
    "ImportFormatError",
    "LexilogError",
    "OriginError",
    "RelayError",
    "SettingsError",
    "TooLargeError",
]


class LexilogError(Exception):
    """Base of every error that lexilog raises on purpose."""


class CatalogError(LexilogError):
    """A catalogue file cannot be used as it stands.

    Args:
        path: the file.
        line: line number, counted from 1.
        column: column number, counted from 1.
        problem: what is wrong and what would be right.
    """

    def __init__(self, path: Path | str, line: int, column: int, problem: str) -> None:
        super().__init__(f"{path}:{line}:{column}: {problem}")
        self.path = Path(path)
        self.line = line
        self.column = column
        self.problem = problem


class SettingsError(LexilogError):
    """A setting is missing, wrong or contradicts another one."""


class ImportFormatError(LexilogError):
    """A vendor's text cannot be imported as it stands.

    Args:
        line: line number, counted from 1.
        expected: what should stand there, for example ``Severity``.
        problem: what is wrong and what to do.
    """

    def __init__(self, line: int, expected: str, problem: str) -> None:
        super().__init__(f"line {line}: {problem}")
        self.line = line
        self.expected = expected
        self.problem = problem


class OriginError(LexilogError):
    """What came in cannot be read. Where it is a whole request its sender is told so, and it is refused."""


class TooLargeError(OriginError):
    """A request is over a limit, in bytes or in records."""

    @classmethod
    def of_records(
        cls, most: int, what: str = "records", where: str = "one message", advice: str = "send fewer at once"
    ) -> TooLargeError:
        """Return the error of a door that gets more records at once than it takes.

        Args:
            most: how many it takes.
            what: what there is too much of.
            where: what they stand in.
            advice: what their sender is to do.
        """
        return cls(f"more than {most} {what} in {where}, the max_records of this door: {advice}")


class RelayError(LexilogError):
    """The next hop has not confirmed a batch: whoever sent it must keep it and send it again.

    Args:
        problem: which relay, and what it heard.
        retry_after: when to come again, in seconds.
    """

    def __init__(self, problem: str, retry_after: float = 1.0) -> None:
        super().__init__(problem)
        self.retry_after = retry_after
