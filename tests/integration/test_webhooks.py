"""Webhooks of processes that are killed, and from a machine's alarm to an ERP through the whole gateway."""

import asyncio
import random
import sys
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx

from tests.conformance.test_opcua_events import machine
from tests.integration.process import alive, write
from tests.poster import RECORDS
from tests.receiver import KEY, OK, SECRET, answer, receiver
from tests.servers import free_port

KILLS = 4


async def test_killed_at_any_moment_it_loses_nothing_and_tells_it_with_the_same_id(tmp_path: Path) -> None:
    chance = random.Random(7)
    moods = [chance.choice([OK] * 40 + [answer(400)] * 8 + [answer(503), b""]) for _ in range(300)]
    async with receiver(*moods, OK) as erp:

        async def lived(requests: int | None) -> None:
            command = [sys.executable, "-m", "tests.poster", str(tmp_path), str(erp.port)]
            process = await asyncio.create_subprocess_exec(*command)
            if requests is not None:
                await erp.heard(len(erp.got) + requests)
                process.kill()
            code = await process.wait()
            assert (code == 0) == (requests is None)

        for _ in range(KILLS):
            await lived(chance.randint(1, 30))
        await lived(None)
    said = {got.id: got.verified()["data"]["Message"] for got in erp.got}
    assert sorted(said.values()) == sorted(f"{n} {which}" for n in range(1, RECORDS + 1) for which in "ab")
    again = Counter(got.id for got in erp.got)
    assert len(erp.got) - len(again) <= sum(mood != OK for mood in moods[: len(erp.got)]) + KILLS * 4


def configuration(folder: Path, url: str, port: int) -> dict[str, Any]:
    (folder / "secret").write_text(SECRET, encoding="utf-8")
    terms = {"url": f"http://127.0.0.1:{port}/s3cret", "secret": f"${{file:{folder / 'secret'}}}"}
    return {
        "site": {"enterprise": "acme", "site": "test"},
        "data_dir": str(folder / "data"),
        "bus": {"listen": f"127.0.0.1:{free_port()}"},
        "historian": "none",
        "api": {"listen": "127.0.0.1:0"},
        "devices": {
            "filler": {"connect": url, "asset": "hall/filler", "tags": {"alarms": {"events": "i=2253"}}},
        },
        "webhooks": {
            "erp": terms | {"tags": ["hall/*"], "allow_private": ["127.0.0.0/8"]},
            "outside": terms | {"allow_private": ["10.0.0.0/8"]},
        },
    }


async def test_an_alarm_reaches_the_erp_and_no_endpoint_that_may_not_be_asked(tmp_path: Path) -> None:
    async with machine() as server, receiver() as erp:
        server.at = datetime.now(UTC)
        config = write(tmp_path / "plant.yaml", configuration(tmp_path, server.url, erp.port))
        async with alive(config) as gateway:
            await server.alarm("pump", active=True, acked=False, message="hot")
            (got, *_) = await erp.heard(1)
            told = got.verified(KEY)
            assert (told["source"], told["data"]["Message"]) == ("acme/test/hall/filler/alarms", "hot")

            def states() -> dict[str, Any]:
                return {one["name"]: one for one in gateway.get("/api/v1/webhooks")}

            await asyncio.to_thread(gateway.until, lambda: states()["outside"]["state"] == "down")
            await asyncio.to_thread(gateway.until, lambda: states()["erp"]["delivered"] >= 1)
            assert "which webhooks.outside.allow_private does not allow" in states()["outside"]["last_error"]
            assert (states()["outside"]["waiting"], states()["outside"]["delivered"]) == (1, 0)
            answers = [await asked(gateway.ready["api"], path) for path in ("/api/v1/webhooks", "/metrics", "/healthz")]
            assert not [text for text in answers if "s3cret" in text or SECRET in text]
            assert 'gateway_part_waiting{part="webhook outside"} 1.0' in answers[1]


async def asked(api: str, path: str) -> str:
    async with httpx.AsyncClient() as http:
        return (await http.get(api + path)).text
