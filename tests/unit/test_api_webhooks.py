"""Webhooks over HTTP: how an endpoint does, what was given up for it, sending that again, and a test."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx

from api.access import Client
from api.app import create
from gateway.clock import SystemClock
from gateway.model import Batch, Record, Tag
from gateway.model.batch import objects
from gateway.supervise import Health, keep_running, running
from gateway.webhooks.desk import Webhooks
from gateway.webhooks.endpoint import Endpoint
from gateway.webhooks.outbox import Outbox
from tests.drive import SITE, Hall, Still, shown
from tests.inline import inline
from tests.receiver import KEY, Receiver, answer, receiver
from tests.simulation.loop import EPOCH_NS

TOKENS = {
    "erp": Client("erp-0123456789abcdef", "operator"),
    "viewer": Client("viewer-0123456789abcdef", "viewer"),
}


class Office:
    """An operator and a viewer in front of the API, an endpoint behind it."""

    def __init__(self, http: httpx.AsyncClient, hall: Hall, erp: Receiver, webhooks: Webhooks) -> None:
        self.hall = hall
        self.erp = erp
        self.webhooks = webhooks
        self._http = http
        self._n = 0

    async def happens(self, *messages: str) -> None:
        self._n += 1
        values = objects([{"EventType": "AlarmEvent", "Message": message} for message in messages])
        batch = Batch.of([0] * len(messages), EPOCH_NS, values)
        await self.webhooks.write([Record(self._n, 0, 1, self._n, EPOCH_NS, (batch,))])

    async def delivered(self, n: int) -> None:
        counted = self.webhooks.senders["erp"].counted
        async with asyncio.timeout(30):
            while counted["events_delivered"] < n:  # noqa: ASYNC110  # it is written down, nobody is told
                await asyncio.sleep(0.001)

    async def get(self, path: str = "") -> Any:
        headers = {"Authorization": f"Bearer {TOKENS['viewer'].token}"}
        found = await self._http.get(f"/api/v1/webhooks{path}", headers=headers)
        assert found.status_code == 200, found.text
        return found.json()

    async def post(self, path: str, body: Any = None, who: str = "erp") -> httpx.Response:
        headers = {"Authorization": f"Bearer {TOKENS[who].token}"}
        return await self._http.post(f"/api/v1/webhooks{path}", json=body, headers=headers)


@asynccontextmanager
async def office(folder: Path, *answers: bytes) -> AsyncIterator[Office]:
    hall = Hall(Still(), [Tag(f"{SITE}/hall/drive", "alarms", datatype="event")])
    clock = SystemClock()
    async with receiver(*answers) as erp:
        url = f"http://127.0.0.1:{erp.port}/s3cret"
        endpoint = Endpoint("erp", url, (KEY,), SITE, private=True, retries_s=(), in_flight=1)
        outbox = Outbox(folder / "webhooks.db", EPOCH_NS)
        chance = random.Random(1)
        webhooks = Webhooks([endpoint], outbox, inline, hall.catalog, clock, chance, "gw1", "journal")
        ((name, run, counts, gauges),) = webhooks.parts()
        health = Health(name, extra=counts, gauges=gauges)
        with shown(hall, folder, clock) as (view, _):
            view.webhooks = webhooks
            view._parts = {name: health}
            transport = httpx.ASGITransport(create(view, TOKENS))
            async with (
                httpx.AsyncClient(transport=transport, base_url="http://gateway") as http,
                running(keep_running(run, health, clock=clock, chance=chance)),
            ):
                yield Office(http, hall, erp, webhooks)
        outbox.close()


async def test_a_day_of_an_endpoint(tmp_path: Path) -> None:
    refused = answer(422, body=b"unknown machine")
    async with office(tmp_path, refused, refused, answer(200)) as one:
        await one.happens("a", "b")
        await one.happens("c")
        first, second, third = await one.erp.heard(3)
        await one.delivered(1)
        (state,) = await one.get()
        assert (state["name"], state["state"], state["url"].startswith("http://127.0.0.1")) == ("erp", "up", True)
        assert "s3cret" not in str(state)
        assert (state["waiting"], state["dead"], state["delivered"], state["failed"]) == (0, 2, 1, 2)
        page = await one.get("/erp/dead?limit=1")
        (letter,) = page["events"]
        assert (letter["id"], letter["error"], letter["attempts"]) == (first.id, "it answers 422: unknown machine", 1)
        assert letter["event"] == first.verified()
        rest = await one.get(f"/erp/dead?cursor={page['next']}")
        assert ([other["id"] for other in rest["events"]], rest["next"]) == ([second.id], None)
        done = await one.post("/erp/replay", {"ids": [first.id]})
        assert done.json() == {"replayed": 1, "left": 0}
        done = await one.post("/erp/replay", {"start": "-1s", "end": "2030-01-01T00:00:00Z"})
        assert done.json() == {"replayed": 1, "left": 0}
        again = (await one.erp.heard(5))[3:]
        assert [got.id for got in again] == [first.id, second.id]
        assert third.id not in (first.id, second.id)
        assert [(entry.action, entry.who) for entry in one.hall.audit.entries] == [("webhook.replay", "erp")] * 2


async def test_a_test_says_what_the_endpoint_makes_of_it(tmp_path: Path) -> None:
    async with office(tmp_path, answer(200), answer(401, body=b"who are you?"), b"") as one:
        done = (await one.post("/erp/test")).json()
        told = one.erp.got[0].verified()
        assert done == {"id": one.erp.got[0].id, "delivered": True, "status": 200, "error": ""}
        assert (told["source"], told["data"]["EventType"]) == ("gw1/webhooks/erp", "TestEvent")
        done = (await one.post("/erp/test")).json()
        assert (done["delivered"], done["status"], done["error"]) == (False, 401, "it answers 401: who are you?")
        done = (await one.post("/erp/test")).json()
        assert (done["status"], done["error"]) == (None, "it hung up without an answer")
        assert len({got.id for got in one.erp.got}) == 3
        assert [entry.outcome for entry in one.hall.audit.entries] == ["done", "failed", "failed"]


async def test_a_viewer_looks_only(tmp_path: Path) -> None:
    async with office(tmp_path) as one:
        assert (await one.post("/erp/test", who="viewer")).status_code == 403
        assert (await one.post("/erp/replay", {"start": "-1d"}, who="viewer")).status_code == 403
        assert one.erp.got == []


async def test_what_cannot_be_done_is_a_problem(tmp_path: Path) -> None:
    wrong: list[tuple[str, Any, int]] = [
        ("/mes/test", None, 404),
        ("/mes/replay", {"start": "-1d"}, 404),
        ("/erp/replay", {}, 422),
        ("/erp/replay", {"ids": []}, 422),
        ("/erp/replay", {"ids": ["gw1-1-1-1"]}, 422),
        ("/erp/replay", {"ids": ["msg_" + "0" * 32], "start": "-1d"}, 422),
        ("/erp/replay", {"end": "now"}, 422),
        ("/erp/replay", {"start": "now", "end": "-1d"}, 422),
        ("/erp/replay", {"ids": ["msg_" + "0" * 32]}, 200),
    ]
    async with office(tmp_path) as one:
        assert [(path, body, (await one.post(path, body)).status_code) for path, body, _ in wrong] == wrong
        assert one.erp.got == []
