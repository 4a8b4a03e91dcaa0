"""i3X 1.0: subscriptions, by sync and as a stream of server-sent events."""

import asyncio
import dataclasses
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from api.i3x import queue, subscriptions
from gateway.model import Batch
from tests.drive import SITE
from tests.i3x import DRIVE, PRESS, Floor, S, events, floor, refusal, vqt
from tests.simulation.loop import EPOCH_NS

SPEED, TORQUE = f"{DRIVE}/speed", f"{DRIVE}/torque"
ME = {"clientId": "me"}


class Watch:
    """One subscription of one client."""

    def __init__(self, plant: Floor, id: str) -> None:
        self.plant, self.id = plant, id
        self.body = {"clientId": "me", "subscriptionId": id}

    async def register(self, *ids: str, **body: Any) -> list[Any]:
        return await self.plant.bulk("/subscriptions/register", elementIds=list(ids), **self.body, **body)

    async def unregister(self, *ids: str) -> list[Any]:
        return await self.plant.bulk("/subscriptions/unregister", elementIds=list(ids), **self.body)

    async def post(self, path: str = "/subscriptions/sync", **body: Any) -> httpx.Response:
        return await self.plant.http.post(path, json=self.body | body)

    async def sync(self, last: Any = None) -> list[tuple[int, list[Any]]]:
        """The batches, each with the values of its updates."""
        found = await self.plant.single("/subscriptions/sync", **self.body, lastSequenceNumber=last)
        return [(one["sequenceNumber"], [vqt(update)[0] for update in one["updates"]]) for one in found]


@pytest.fixture
async def plant(tmp_path: Path) -> AsyncIterator[Floor]:
    async with floor(tmp_path, history=False) as one:
        one.emit(SPEED, 1.0)
        yield one


async def made(plant: Floor, *ids: str, **body: Any) -> Watch:
    told = await plant.single("/subscriptions", **ME)
    watch = Watch(plant, told["subscriptionId"])
    if ids:
        await watch.register(*ids, **body)
    return watch


@pytest.fixture
async def watch(plant: Floor) -> Watch:
    """A subscription to the speed, whose present value has been fetched and acknowledged."""
    one = await made(plant, SPEED)
    assert await one.sync() == [(1, [1.0])]
    assert await one.sync(1) == []
    return one


async def test_a_subscription_has_an_id_that_nobody_guesses(plant: Floor) -> None:
    told = [await plant.single("/subscriptions", clientId="me", displayName=name) for name in ("mine", None)]
    assert all(one.keys() == {"clientId", "subscriptionId", "displayName"} for one in told)
    assert [one["displayName"] for one in told] == ["mine", None]
    assert len({one["subscriptionId"] for one in told}) == 2
    assert all(len(one["subscriptionId"]) >= 43 for one in told)  # 32 random bytes in base64


async def test_what_is_monitored_is_listed(plant: Floor) -> None:
    watch = await made(plant, SPEED, DRIVE)
    await watch.register(PRESS, maxDepth=0)
    ids = [watch.id, "nothing"]
    one, two = await plant.bulk("/subscriptions/list", key="subscriptionId", clientId="me", subscriptionIds=ids)
    assert one["result"] == {
        "subscriptionId": watch.id,
        "displayName": None,
        "monitoredObjects": [
            {"elementId": SPEED, "maxDepth": 1},
            {"elementId": DRIVE, "maxDepth": 1},
            {"elementId": PRESS, "maxDepth": 0},
        ],
    }
    assert two["responseDetail"]["status"] == 404


async def test_registering_again_is_ignored_and_what_is_not_there_fails_alone(watch: Watch) -> None:
    one, two, three = await watch.register(SPEED, "nobody", TORQUE)
    assert (one["success"], two["success"], three["success"]) == (True, False, True)
    assert two["responseDetail"]["status"] == 404
    assert await watch.sync() == [(2, [None])]  # of the torque alone: it was never read


async def test_unregistering_keeps_what_waits(watch: Watch) -> None:
    watch.plant.emit(SPEED, 2.0)
    one, two, three = await watch.unregister(SPEED, "nobody", SPEED)
    assert (one["success"], two["success"], three["success"]) == (True, False, True)
    watch.plant.emit(SPEED, 3.0)
    assert await watch.sync() == [(2, [2.0])]
    await watch.register(SPEED)
    assert await watch.sync(2) == [(3, [3.0])]


async def test_batches_come_again_unchanged_until_they_are_acknowledged(watch: Watch) -> None:
    for value in (2.0, 3.0):
        watch.plant.emit(SPEED, value)
    assert await watch.sync() == [(2, [2.0, 3.0])]
    assert await watch.sync() == [(2, [2.0, 3.0])]
    watch.plant.emit(SPEED, 4.0)
    assert await watch.sync() == [(2, [2.0, 3.0]), (3, [4.0])]
    assert await watch.sync(1) == [(2, [2.0, 3.0]), (3, [4.0])]
    assert await watch.sync(2) == [(3, [4.0])]
    watch.plant.emit(SPEED, 5.0)
    assert await watch.sync(3) == [(4, [5.0])]
    assert await watch.sync(-1) == []
    watch.plant.emit(SPEED, 6.0)
    assert await watch.sync(-1) == [(5, [6.0])]


@pytest.mark.parametrize("last", [None, "2", 2.0, True, -2, [2], {}, 0, "-1"])
async def test_what_acknowledges_nothing_clears_nothing(watch: Watch, last: Any) -> None:
    watch.plant.emit(SPEED, 2.0)
    assert await watch.sync() == [(2, [2.0])]
    assert await watch.sync(last) == [(2, [2.0])]


async def test_every_update_is_told_in_order_with_its_own_time(watch: Watch) -> None:
    await watch.register(TORQUE)
    await watch.sync()
    await watch.sync(-1)
    for k in range(5):
        watch.plant.emit(SPEED, float(k), time_ns=EPOCH_NS + k * S)
        watch.plant.emit(TORQUE, -float(k), quality=0x808A_0000 if k == 2 else 0)
    (batch,) = await watch.plant.single("/subscriptions/sync", **watch.body)
    assert [(one["elementId"], one["value"]) for one in batch["updates"]] == [
        (id, None if k == 2 and id == TORQUE else sign * k)
        for k in range(5)
        for id, sign in ((SPEED, 1.0), (TORQUE, -1.0))
    ]
    assert [one["timestamp"] for one in batch["updates"][::2]] == [f"2026-01-05T06:00:0{k}Z" for k in range(5)]
    assert all(one.keys() == {"elementId", "value", "quality", "timestamp"} for one in batch["updates"])


async def test_a_machine_is_told_as_a_whole_when_one_of_its_tags_changes(plant: Floor) -> None:
    watch = await made(plant, DRIVE, SITE)
    assert await watch.sync() == [(1, [{"speed": 1.0}, None])]
    plant.emit(TORQUE, 2.5)
    plant.emit(SPEED, 2.0)
    plant.emit(f"{PRESS}/state", 1)
    assert await watch.sync(1) == [(2, [{"speed": 2.0, "torque": 2.5}])]
    await watch.unregister(DRIVE)
    plant.emit(SPEED, 3.0)
    assert await watch.sync(2) == []
    deep = await made(plant, DRIVE, maxDepth=0)
    (batch,) = await plant.single("/subscriptions/sync", **deep.body)
    components = batch["updates"][0]["components"]
    assert {id: vqt(one)[0] for id, one in components.items()}[SPEED] == 3.0


async def test_what_comes_late_from_the_history_of_a_device_is_no_news(watch: Watch) -> None:
    batch = Batch.of([0], EPOCH_NS - S, 9.0)
    watch.plant.hub(dataclasses.replace(batch, historical=True))
    assert await watch.sync() == []


async def test_a_queue_that_is_full_drops_the_oldest_and_says_so_once(
    watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queue, "UPDATES_MAX", 5)
    for k in range(8):
        watch.plant.emit(SPEED, float(k))
    answer = await watch.post()
    assert answer.status_code == 206
    told = answer.json()
    assert told["success"] is True
    assert (told["responseDetail"]["status"], told["responseDetail"]["detail"][:22]) == (206, "3 updates were dropped")
    assert [one["value"] for one in told["result"][0]["updates"]] == [3.0, 4.0, 5.0, 6.0, 7.0]
    assert await watch.sync() == [(2, [3.0, 4.0, 5.0, 6.0, 7.0])]


async def test_what_nobody_acknowledges_is_dropped_but_for_the_newest(
    watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queue, "UPDATES_MAX", 5)
    for k in range(3):
        watch.plant.emit(SPEED, float(k))
    assert await watch.sync() == [(2, [0.0, 1.0, 2.0])]
    for k in range(3, 6):
        watch.plant.emit(SPEED, float(k))
    answer = await watch.post()
    assert answer.status_code == 206
    assert [one["value"] for one in answer.json()["result"][0]["updates"]] == [3.0, 4.0, 5.0]
    assert await watch.sync(3) == []


async def test_a_burst_is_cut_and_large_values_count_for_several(watch: Watch, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queue, "UPDATES_MAX", 5)
    watch.plant.hub(Batch.of([0] * 9, EPOCH_NS, [float(k) for k in range(9)]))
    answer = await watch.post()
    assert answer.status_code == 206
    assert [one["value"] for one in answer.json()["result"][0]["updates"]] == [4, 5, 6, 7, 8]
    await watch.register(f"{DRIVE}/recipe")
    await watch.sync(2)
    await watch.sync(-1)
    for letter in "abc":
        watch.plant.emit(f"{DRIVE}/recipe", letter * 2000)
    answer = await watch.post()
    assert answer.status_code == 206
    assert [one["value"][0] for one in answer.json()["result"][0]["updates"]] == ["c"]


@pytest.mark.parametrize("path", ["", "/list", "/delete", "/register", "/unregister", "/sync", "/stream"])
@pytest.mark.parametrize("client", [None, "", 7, ["me"]])
async def test_without_a_client_nothing_is_done(watch: Watch, path: str, client: Any) -> None:
    body = {"clientId": client, "subscriptionIds": [watch.id], "elementIds": [SPEED]}
    if client is None:
        del body["clientId"], watch.body["clientId"]
    assert refusal(await watch.post(f"/subscriptions{path}", **body))[0] == 400


@pytest.mark.parametrize("path", ["/register", "/unregister", "/sync", "/stream"])
async def test_the_subscription_of_another_is_not_there(watch: Watch, path: str) -> None:
    """Word for word as one that never was."""
    body = {"elementIds": [SPEED]}
    theirs = refusal(await watch.post(f"/subscriptions{path}", **body, clientId="you"))
    never = refusal(await watch.post(f"/subscriptions{path}", **body, subscriptionId="nothing"))
    assert theirs == never
    assert theirs[0] == 404


async def test_nor_is_it_listed_or_deleted(watch: Watch) -> None:
    for path in ("/list", "/delete"):
        (item,) = await watch.plant.bulk(
            f"/subscriptions{path}", key="subscriptionId", clientId="you", subscriptionIds=[watch.id]
        )
        assert item["responseDetail"]["status"] == 404
    assert await watch.sync() == []


async def test_a_subscription_that_is_deleted_is_gone(watch: Watch) -> None:
    other = await made(watch.plant, SPEED)
    ids = [watch.id, "nothing", watch.id]
    one, two, three = await watch.plant.bulk(
        "/subscriptions/delete", key="subscriptionId", clientId="me", subscriptionIds=ids
    )
    assert (one["success"], two["success"], three["success"]) == (True, False, False)
    assert refusal(await watch.post())[0] == 404
    assert await other.sync() == [(1, [1.0])]


async def test_who_does_not_come_is_forgotten(watch: Watch) -> None:
    ns = round(subscriptions.TTL_S * 1e9)
    watch.plant.clock.ns += ns
    assert (await watch.post()).status_code == 200
    watch.plant.clock.ns += ns + 1
    watch.plant.emit(SPEED, 2.0)
    assert refusal(await watch.post())[0] == 404
    assert len(watch.plant.hub._mailboxes) == 0


async def test_there_is_an_end_to_subscriptions(plant: Floor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subscriptions, "SUBSCRIPTIONS_MAX", 2)
    for _ in range(2):
        await plant.single("/subscriptions", **ME)
    assert refusal(await plant.http.post("/subscriptions", json=ME))[0] == 503
    plant.clock.ns += round(subscriptions.TTL_S * 1e9) + 1
    assert await plant.single("/subscriptions", **ME)


# --- streams ------------------------------------------------------------------------------


async def test_a_stream_begins_with_what_waits_and_goes_on_with_what_comes(watch: Watch) -> None:
    watch.plant.emit(SPEED, 2.0)
    await watch.sync()
    watch.plant.emit(SPEED, 3.0)
    async with asyncio.timeout(20), watch.plant.http.stream("POST", "/subscriptions/stream", json=watch.body) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        told = events(answer)
        assert [vqt(one)[0] for one in await anext(told)] == [2.0, 3.0]
        for k in range(3):
            watch.plant.emit(SPEED, 4.0 + k)
            (one,) = await anext(told)
            assert one == {"elementId": SPEED, "value": 4.0 + k, "quality": "Good", "timestamp": "2026-01-05T06:00:00Z"}


async def test_there_is_no_sync_while_there_is_a_stream(watch: Watch) -> None:
    async with asyncio.timeout(20):
        async with watch.plant.http.stream("POST", "/subscriptions/stream", json=watch.body) as answer:
            told = events(answer)
            watch.plant.emit(SPEED, 2.0)
            assert len(await anext(told)) == 1
            assert refusal(await watch.post())[0] == 409
            watch.plant.clock.ns += round(subscriptions.TTL_S * 1e9) + 1  # whoever streams is not forgotten
            assert refusal(await watch.post())[0] == 409
        while (again := await watch.post()).status_code == 409:  # until the server sees that it has ended
            pass
    assert again.status_code == 200
    watch.plant.emit(SPEED, 3.0)
    assert await watch.sync() == [(2, [3.0])]


async def test_a_stream_ends_cleanly_when_another_begins_or_it_is_deleted(watch: Watch) -> None:
    async with asyncio.timeout(20), watch.plant.http.stream("POST", "/subscriptions/stream", json=watch.body) as first:
        old = events(first)
        watch.plant.emit(SPEED, 2.0)
        await anext(old)
        async with watch.plant.http.stream("POST", "/subscriptions/stream", json=watch.body) as second:
            new = events(second)
            assert [one async for one in old] == []
            watch.plant.emit(SPEED, 3.0)
            assert [one["value"] for one in await anext(new)] == [3.0]
            await watch.plant.bulk(
                "/subscriptions/delete", key="subscriptionId", clientId="me", subscriptionIds=[watch.id]
            )
            assert [one async for one in new] == []


async def test_a_stream_is_kept_alive_by_comments_and_tells_what_was_dropped(
    watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subscriptions, "_KEEP_ALIVE_S", 0.05)
    monkeypatch.setattr(queue, "UPDATES_MAX", 5)
    async with asyncio.timeout(20), watch.plant.http.stream("POST", "/subscriptions/stream", json=watch.body) as answer:
        lines = answer.aiter_lines()
        assert await anext(lines) == ": open"
        while await anext(lines) != ": keep-alive":
            pass
        watch.plant.hub(Batch.of([0] * 9, EPOCH_NS, [float(k) for k in range(9)]))
        while (line := await anext(lines)) in ("", ": keep-alive"):
            pass
        assert line.startswith(": 4 updates were dropped")
