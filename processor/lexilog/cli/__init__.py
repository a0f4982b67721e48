"""The command line: one module per command."""

from __future__ import annotations

import os
import sys

import click

from lexilog.cli.catalog import catalog
from lexilog.cli.demo import demo
from lexilog.cli.enrich import enrich
from lexilog.cli.explain import explain
from lexilog.cli.serve import serve
from lexilog.errors import LexilogError

__all__ = ["cli", "main"]


@click.group(context_settings={"help_option_names": ["-h", "--help"], "auto_envvar_prefix": "LEXILOG"})
@click.version_option(package_name="lexilog")
def cli() -> None:
    """Explains VPN gateway log messages while they flow.

    lexilog recognises a vendor's message, extracts its variables, and adds severity, explanation, cause, recommended
    action and ECS fields. Start with `lexilog demo`.

    Every option of a command can also be set in the environment: LEXILOG_SERVE_LISTEN is `lexilog serve --listen`;
    LEXILOG_CATALOG is `--catalog` of every command.

    Exit codes: 0 done; 1 something could not be read, written, bound or found; 2 bad usage; 3 a command that looks for
    something (problems, differences, a line it does not know) found it.
    """


cli.add_command(catalog)
cli.add_command(demo)
cli.add_command(enrich)
cli.add_command(explain)
cli.add_command(serve)


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
