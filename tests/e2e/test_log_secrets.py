"""The server's own log at its most talkative, and the secrets of those who come."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

from house import ENRICH, LINE, PROTOBUF, call, channel, enrich_of, export_of, raw, session
from processes import Process

RIGHT, WRONG, KEY = "s3cr3t-of-the-door", "s3cr3t-of-nobody", "s3cr3t-that-both-know"


def test_no_token_is_in_the_log(serve_config: Callable[..., Process], tmp_path: Path) -> None:
    """Right and wrong tokens come through all doors at `log.level: debug`; no library repeats them, nor do we."""
    here = {"listen": "127.0.0.1:0", "tokens": [RIGHT]}
    server = serve_config(
        {
            "doors": {"grpc": here, "http": here, "forward": {"listen": "127.0.0.1:0", "shared_key": KEY}},
            "relays": {"file": {"type": "file", "path": str(tmp_path / "taken.ndjson")}},
            "log": {"level": "debug"},
        }
    )

    async def run() -> None:
        headers = [{"Authorization": f"Bearer {RIGHT}"}, {"X-API-Key": RIGHT}, {"X-API-Key": WRONG}]
        async with channel(server.ports["grpc"]) as to, session() as client:
            for sent in headers:
                told = tuple((name.lower(), value) for name, value in sent.items())
                answer = await call(to, ENRICH, enrich_of(LINE), told)
                assert isinstance(answer, bytes) is (WRONG not in sent.values())
                url = f"http://127.0.0.1:{server.ports['http']}/v1/logs"
                async with client.post(url, data=export_of(LINE), headers=PROTOBUF | sent) as response:
                    assert response.status == (401 if WRONG in sent.values() else 200)
        async with raw(server.ports["forward"]) as sender:
            assert (await sender.answer())[0] == "HELO"
            assert (await sender.ask_for(b"\x96\xa4PING\xa1a\xa1b\xb0s3cr3t-of-nobody\xa0\xa0"))[1] is False

    asyncio.run(run())
    assert server.terminate() == 0
    assert "s3cr3t" not in server.log.read_text()
