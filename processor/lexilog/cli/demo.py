"""``lexilog demo``: the whole path on this machine, on sample lines."""

from __future__ import annotations

import asyncio
from typing import Any

import click
import grpc.aio
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2_grpc import LogsServiceStub
from rich.console import Console
from rich.table import Table
from rich.text import Text

from lexilog.assets import asset
from lexilog.cli._output import IMPACT_STYLES
from lexilog.enrich.document import document
from lexilog.model import Enriched
from lexilog.relay.memory import MemoryRelay
from lexilog.service.server import Server
from lexilog.service.settings import Doors, GrpcDoorSettings, Settings

__all__ = ["demo"]

# Of the vendors that the samples are from, the one with the most messages comes first.
_FIRST = "junos.log"
_SAMPLES = "examples/lines"


@click.command()
def demo() -> None:
    """Show what lexilog does: sample lines before and after, through a real server.

    Starts the server on a free loopback port, sends the shipped sample lines through the OTLP door as an agent would,
    and shows each line beside what came out. Nothing is left behind.
    """
    files = sorted(asset(_SAMPLES).glob("*.log"), key=lambda path: (path.name != _FIRST, path.name))
    lines = [line for path in files for line in path.read_text(encoding="utf-8").splitlines()]
    port, records = asyncio.run(_run(lines))
    console = Console()
    console.print(f"{len(lines)} lines from {_SAMPLES} went through OTLP/gRPC on 127.0.0.1:{port}.\n")
    table = Table(show_lines=True, expand=True)
    table.add_column("before", overflow="fold", ratio=2)
    table.add_column("after", overflow="fold", ratio=3)
    for line, enriched in zip(lines, records, strict=True):
        table.add_row(Text(line), _after(enriched))
    console.print(table)
    matched = sum(1 for enriched in records if enriched.match)
    console.print(f"{matched} of {len(records)} lines recognised; the others left as they came.")
    console.print("All fields of a record: lexilog enrich FILE. The server: lexilog serve --help.")


async def _run(lines: list[str]) -> tuple[int, list[Enriched]]:
    relay = MemoryRelay()
    server = Server(Settings(doors=Doors(grpc=GrpcDoorSettings(listen="127.0.0.1:0")), grace=1), relay=relay)
    await server.start()
    try:
        port = server.ports["grpc"]
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            stub: Any = LogsServiceStub(channel)  # type: ignore[no-untyped-call]
            await stub.Export(_request(lines), timeout=30)
    finally:
        await server.stop()
    return port, relay.records


def _request(lines: list[str]) -> ExportLogsServiceRequest:
    request = ExportLogsServiceRequest()
    scope = request.resource_logs.add().scope_logs.add()
    for line in lines:
        scope.log_records.add().body.string_value = line
    return request


def _after(enriched: Enriched) -> Text:
    text = Text()
    if enriched.match is None:
        return text.append("not in the catalogue: forwarded unchanged", style="dim")
    doc = document(enriched)
    ours = doc["lexilog"]
    text.append(f"{ours['impact']}", style=IMPACT_STYLES[ours["impact"]])
    level = doc.get("log", {}).get("level", "no severity")
    text.append(f"  {ours['catalog']['id']}  ({level}, {doc['event']['action']})\n", style="bold")
    for name, value in ours.get("variables", {}).items():
        text.append(f"{name}: ", style="dim").append(f"{value}\n")
    for name in ("explanation", "cause", "action"):
        text.append(f"{name}: ", style="cyan").append(f"{ours[name]}\n")
    text.rstrip()
    return text
