"""The command line: one module per command."""

from __future__ import annotations

import os
import sys
from importlib import import_module

import click

from lexilog.errors import LexilogError

__all__ = ["cli", "main"]

_COMMANDS = (
    "build",
    "catalog",
    "config",
    "demo",
    "enrich",
    "explain",
    "install",
    "redpanda-connect",
    "replay",
    "serve",
)


class _Commands(click.Group):
    """Loads a command when it is used: `enrich` does not wait for the libraries of `serve`."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        name = cmd_name.replace("-", "_")
        command: click.Command = getattr(import_module(f"lexilog.cli.{name}"), name)
        return command


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "auto_envvar_prefix": "LEXILOG"})
# LEXILOG_VERSION is a likely name for something else, such as a container image's version.
@click.version_option(package_name="lexilog", allow_from_autoenv=False)
def cli() -> None:
    """Explains VPN gateway log messages while they flow.

    lexilog recognises a vendor's message, extracts its variables, and adds severity, explanation, cause, recommended
    action and ECS fields. Start with `lexilog demo`.

    Every option of a command can also be set in the environment: LEXILOG_SERVE_LISTEN is `lexilog serve --listen`;
    LEXILOG_CATALOG is `--catalog` of every command. Settings of the server have names with two underscores:
    LEXILOG__DOORS__GRPC__LISTEN.

    Exit codes: 0 done; 1 something could not be read, written, bound or found; 2 bad usage; 3 a command that looks for
    something (problems, differences, a line it does not know) found it.
    """


def main() -> None:
    """Run the command line; an error that lexilog raises on purpose is one line on standard error and exit code 1."""
    try:
        try:
            cli()
        finally:
            if sys.stdout is not None:
                sys.stdout.flush()
    except LexilogError as error:
        print(f"lexilog: {error}", file=sys.stderr)
        sys.exit(1)
    except OSError as error:
        if not isinstance(error, BrokenPipeError):
            print(f"lexilog: standard output: {error.strerror}", file=sys.stderr)
        # What is still to be written would only fail again when Python ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        sys.exit(1)
