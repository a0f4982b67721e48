"""``lexilog install``: what a cluster needs, brought there, and taken back."""

from __future__ import annotations

import base64
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import click

from lexilog.cli._install import has_terminal, run
from lexilog.cli._options import catalog_option
from lexilog.compilers.source import load_source
from lexilog.errors import SettingsError
from lexilog.install.access import Access, address_of_cloud
from lexilog.install.elasticsearch import Cluster
from lexilog.install.installation import Choice, Installation
from lexilog.install.kibana import Kibana
from lexilog.service.settings.placeholders import Placeholders

__all__ = ["install"]


@click.group()
def install() -> None:
    """Bring what lexilog needs into a cluster, see what would change, and take it back."""


def _secret(_context: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    """Return a secret with what it stands for; no message repeats it."""
    if value is None:
        return None

    def fail(problem: str) -> SettingsError:
        return SettingsError(problem)

    try:
        value = Placeholders(Path()).fill(value, (), fail)
    except SettingsError as error:
        raise click.BadParameter(str(error)) from error
    if not value or not value.isprintable() or (parameter.name == "api_key" and not value.isascii()):
        raise click.BadParameter("is empty, or has a line break or another character that cannot be sent")
    return value


@install.command()
@click.option("--url", metavar="URL", help="A node of the cluster, such as https://es1.example:9200.")
@click.option("--cloud-id", metavar="ID", help="The deployment in Elastic Cloud, instead of --url.")
@click.option(
    "--api-key",
    callback=_secret,
    metavar="KEY",
    help="API key, encoded or ID:KEY. Better than here, where others may see it: '${file:PATH}', '${NAME}' of the "
    "environment, or LEXILOG_INSTALL_ELASTICSEARCH_API_KEY.",
)
@click.option("--user", metavar="NAME", help="User, instead of an API key; the password is asked for.")
@click.option(
    "--password",
    callback=_secret,
    metavar="TEXT",
    help="Of --user, given like --api-key, where nobody is there to be asked.",
)
@click.option(
    "--ca",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Certificates of the authorities to trust, PEM; default: those of the system.",
)
@click.option("--allow-http", is_flag=True, help="Send the login over http:// too, which others on the way can read.")
@click.option("--pipeline", is_flag=True, help="Also the ingest pipeline, and the template of logs-lexilog.raw-*.")
@click.option(
    "--dsl", "lifecycle", flag_value="dsl", default=None, help="Data stream lifecycle: the default at the first run."
)
@click.option("--ilm", "lifecycle", flag_value="ilm", default=None, help="An ILM policy; not for serverless.")
@click.option("--no-lifecycle", "lifecycle", flag_value="none", default=None, help="Neither of them.")
@click.option("--kibana-url", metavar="URL", help="Also the dashboards, in this Kibana; the same login is used.")
@click.option("--kibana-space", metavar="ID", help="Space of Kibana to install into.")
@click.option("--alerts", is_flag=True, help="Also the alert rules, in that Kibana.")
@catalog_option
@click.option(
    "--rollover", is_flag=True, help="Let data streams that exist begin a new index: mappings count from then."
)
@click.option("--remove", is_flag=True, help="Take back what lexilog has made; never data.")
@click.option(
    "--force", is_flag=True, help="Also go back from what a newer lexilog has made, or let go of a catalogue."
)
@click.option("--dry-run", is_flag=True, help="Show what would change, and change nothing.")
@click.option("--yes", is_flag=True, help="Do not ask.")
def elasticsearch(**options: Any) -> None:
    """Install templates, lifecycle, ingest pipeline and dashboards.

    Shows first what would be created and changed, asks, and does it; what is as it should be is left alone, so it may
    be run again at any time, and after each upgrade. What others have made is never changed. Which privileges are
    needed, and what each object is for: docs/elasticsearch.md.

    Without --dsl, --ilm and --no-lifecycle what is installed stays; at the first run that is data stream lifecycle,
    which self-managed and serverless clusters have alike. An ingest pipeline that is installed is kept up to date.

    Exit codes: 0 done, or nothing to do; 1 could not be done, or not all; 2 bad usage; 3 with --dry-run: something
    would change.

    \b
    Examples:
      lexilog install elasticsearch --url https://es1.example:9200 --user elastic --dry-run
      lexilog install elasticsearch --url https://es1.example:9200 --api-key '${file:key}' \\
          --kibana-url https://kibana.example:5601 --alerts
      lexilog install elasticsearch --url https://es1.example:9200 --user elastic --remove
    """
    kibana_url, space = options.pop("kibana_url"), options.pop("kibana_space")
    dry_run, yes = options.pop("dry_run"), options.pop("yes")
    paths = options.pop("catalogs")
    choice = Choice(**{name: options.pop(name) for name in Choice._fields})
    _check_usage(choice, kibana_url, space)
    url, access = _access(**options)
    urls = [one for one in (url, kibana_url) if one is not None]
    if access.ca is not None and all(one.lower().startswith("http:") for one in urls):
        raise click.UsageError("--ca is for https, and no URL is")
    with ExitStack() as stack:
        cluster = stack.enter_context(Cluster(url, access))
        kibana = stack.enter_context(Kibana(kibana_url, space, access)) if kibana_url is not None else None
        sys.exit(run(Installation(load_source(paths), choice, cluster, kibana), dry_run=dry_run, yes=yes))


def _check_usage(choice: Choice, kibana_url: str | None, space: str | None) -> None:
    if kibana_url is None and (choice.alerts or space):
        raise click.UsageError("--alerts and --kibana-space need --kibana-url")
    if choice.remove and (choice.pipeline or choice.lifecycle or choice.rollover):
        raise click.UsageError("--remove takes all of it back: leave out what is to be installed, and --rollover")


def _access(
    *,
    url: str | None,
    cloud_id: str | None,
    api_key: str | None,
    user: str | None,
    password: str | None,
    ca: Path | None,
    allow_http: bool,
) -> tuple[str, Access]:
    """Return the URL of the cluster, and who asks."""
    if (url is None) == (cloud_id is None):
        raise click.UsageError("give one of --url and --cloud-id")
    if api_key is not None and user is not None:
        raise click.UsageError("give one of --api-key and --user")
    if password is not None and user is None:
        raise click.UsageError("--password needs --user")
    if user is not None and ":" in user:
        raise click.UsageError("--user has a colon, which no user name can have; the password goes into --password")
    if user is not None and password is None:
        if not has_terminal():
            raise click.UsageError("--user needs --password where there is no terminal to ask on")
        password = click.prompt(f"Password of {user}", hide_input=True, err=True)
    login = None if user is None or password is None else (user, password)
    return url or address_of_cloud(cloud_id or ""), Access(_encoded(api_key), login, ca, allow_http)


def _encoded(api_key: str | None) -> str | None:
    """Return an API key as it is sent: one that is ID:KEY is encoded."""
    return base64.b64encode(api_key.encode()).decode() if api_key is not None and ":" in api_key else api_key
