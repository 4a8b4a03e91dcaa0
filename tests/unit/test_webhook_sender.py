"""What a sender does as time goes by, in virtual time: the schedule, an endpoint that is away, one that is gone."""

import asyncio
import itertools
import random
from collections.abc import Callable, Coroutine, Mapping
from pathlib import Path
from typing import Any

import pytest

from gateway.config.webhooks import SCHEDULE_S
from gateway.model import Batch, Catalog, Record, Tag
from gateway.model.batch import objects
from gateway.supervise import Health, keep_running, running
from gateway.webhooks.desk import Webhooks
from gateway.webhooks.endpoint import Endpoint
from gateway.webhooks.outbox import Outbox
from gateway.webhooks.verdict import Answer
from tests.inline import inline
from tests.simulation.loop import EPOCH_NS, LoopClock, simulate

CATALOG = Catalog([Tag("acme/test/filler", "alarms", datatype="event"), Tag("acme/test/filler", "speed")])
KEY = b"0123456789abcdef0123456789abcdef"
DAY_S = 86_400.0
Receiver = Callable[[float, str], Answer | OSError]


def record(n: int, **value: Any) -> Record:
    now_ns = LoopClock().now_ns()
    batches = (Batch.of([1], now_ns, 1.5), Batch.of([0], now_ns, objects([{"Message": f"event {n}"} | value])))
    return Record(n, 0, 1, n, now_ns, batches)


class Begins(LoopClock):
    """A LoopClock that also knows the time before its loop runs."""

    def now_ns(self) -> int:
        try:
            return super().now_ns()
        except RuntimeError:
            return EPOCH_NS


class World:
    """Two endpoints, erp and mes, each answering as a test says; `heard` is when who was sent what."""

    def __init__(self, folder: Path, answers: Mapping[str, Receiver], **terms: Any) -> None:
        self.answers = dict(answers)
        self.heard: dict[str, list[tuple[float, str]]] = {name: [] for name in answers}
        self.health = {f"webhook {name}": Health(f"webhook {name}") for name in answers}
        terms = {"retries_s": SCHEDULE_S} | terms
        endpoints = [Endpoint(name, f"https://{name}.example/hook", (KEY,), **terms) for name in answers]
        self._outbox = Outbox(folder / "webhooks.db", EPOCH_NS)
        chance = random.Random(1)
        self.webhooks = Webhooks(
            endpoints, self._outbox, inline, CATALOG, Begins(), chance, "gw1", "journal", self._post
        )

    def _post(self, endpoint: Endpoint) -> Any:
        async def deliver(headers: Mapping[str, str], body: bytes) -> Answer:
            now = asyncio.get_running_loop().time()
            self.heard[endpoint.name].append((now, headers["webhook-id"]))
            answer = self.answers[endpoint.name](now, headers["webhook-id"])
            await asyncio.sleep(0.01)
            if isinstance(answer, OSError):
                raise answer
            return answer

        return deliver

    async def live(self, days: float, life: Callable[[], Coroutine[Any, Any, None]]) -> None:
        chance = random.Random(2)
        parts = [
            keep_running(run, self.health[name], clock=LoopClock(), chance=chance)
            for name, run, *_ in self.webhooks.parts()
        ]
        async with running(*parts):
            await life()
            await asyncio.sleep(days * DAY_S)
        self._outbox.close()

    def counted(self, name: str) -> Mapping[str, int]:
        sender = self.webhooks.senders[name]
        return {**sender.counts(), **sender.gauges()}


def well(now: float, id: str) -> Answer:
    return Answer(204)


def failing(now: float, id: str) -> Answer:
    return Answer(500, b"no")


def test_an_event_is_tried_by_the_schedule_and_given_up_at_its_end(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    world = World(tmp_path, {"erp": failing})

    async def life() -> None:
        await world.webhooks.write([record(1)])

    simulate(world.live(5, life))
    times = [time for time, _ in world.heard["erp"]]
    assert len(times) == 10
    assert {id for _, id in world.heard["erp"]} == {world.heard["erp"][0][1]}, "the same id with every attempt"
    for earlier, later, wait_s in zip(times[:-1], times[1:], SCHEDULE_S, strict=True):
        assert wait_s <= later - earlier <= 1.2 * wait_s + 31
    counted = world.counted("erp")
    assert (counted["events_dead"], counted["dead"], counted["waiting"], counted["attempts_failed"]) == (1, 1, 0, 10)
    assert caplog.text.count("webhook erp is lost: it answers 500: no") == 1
    assert caplog.text.count("are given up after 10 attempts") == 1


def test_one_that_is_dead_or_hangs_delays_no_other(tmp_path: Path) -> None:
    world = World(tmp_path, {"erp": failing, "mes": well})

    async def life() -> None:
        for n in range(1, 31):
            await world.webhooks.write([record(n)])
            await asyncio.sleep(1)

    simulate(world.live(0.01, life))
    assert [round(time) for time, _ in world.heard["mes"]] == list(range(30))
    assert world.counted("mes")["events_delivered"] == 30
    assert world.counted("erp")["waiting"] == 30


def test_an_endpoint_that_is_away_is_tried_seldom_and_has_everything_soon_when_it_is_back(tmp_path: Path) -> None:
    back_s = 3 * 3600.0
    world = World(tmp_path, {"erp": lambda now, id: Answer(200) if now >= back_s else ConnectionError("refused")})

    async def life() -> None:
        await world.webhooks.write([record(n) for n in range(1, 51)])
        await asyncio.sleep(back_s)

    simulate(world.live(0.5, life))
    assert len({id for _, id in world.heard["erp"]}) == 50
    assert world.counted("erp")["events_delivered"] == 50
    before = [time for time, _ in world.heard["erp"] if time < back_s]
    assert len(before) < 50 * 6
    probes = [time for time in before if time > 0]
    assert min(later - earlier for earlier, later in itertools.pairwise(probes)) > 0.1, "one at a time, with waits"
    after = [time for time, _ in world.heard["erp"] if time >= back_s]
    assert after[-1] - after[0] < 1 + 50 * 0.02, "none waits for its own turn any more"
    assert world.health["webhook erp"].state == "up"


def test_retry_after_keeps_all_waiting(tmp_path: Path) -> None:
    world = World(tmp_path, {"erp": lambda now, id: Answer(200) if now >= 100 else Answer(429, retry_after="3600")})

    async def life() -> None:
        await world.webhooks.write([record(1)])
        await asyncio.sleep(60)
        await world.webhooks.write([record(2), record(3)])

    simulate(world.live(0.5, life))
    times = [time for time, _ in world.heard["erp"]]
    assert times[0] == 0
    assert times[1] >= 3600
    assert len(times) == 4


def test_one_that_is_gone_is_left_alone_until_a_test_gets_through(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    world = World(tmp_path, {"erp": lambda now, id: Answer(410) if now < 50_000 else Answer(200)})

    async def life() -> None:
        await world.webhooks.write([record(1)])
        await asyncio.sleep(10_000)
        await world.webhooks.write([record(2)])
        assert (await world.webhooks.test("erp")).status == 410
        await asyncio.sleep(50_000)
        assert [time for time, _ in world.heard["erp"]][1:] == [10_000]
        assert world.webhooks.senders["erp"].gone
        assert (await world.webhooks.test("erp")).status == 200

    simulate(world.live(0.01, life))
    assert world.counted("erp")["events_delivered"] == 2
    assert not world.webhooks.senders["erp"].gone
    assert world.health["webhook erp"].state == "up"
    assert caplog.text.count("answers 410 Gone and is disabled") == 1


def test_one_test_at_a_time(tmp_path: Path) -> None:
    world = World(tmp_path, {"erp": well})

    async def life() -> None:
        both = await asyncio.gather(world.webhooks.test("erp"), world.webhooks.test("erp"))
        assert [(one.status, one.error.partition(",")[0]) for one in both] == [
            (204, ""),
            (None, "another test is under way"),
        ]
        assert (await world.webhooks.test("erp")).status == 204

    simulate(world.live(0.01, life))
    assert len(world.heard["erp"]) == 2


def test_one_that_is_gone_is_so_after_a_restart(tmp_path: Path) -> None:
    async def life() -> None:
        await first.webhooks.write([record(1)])

    async def nothing() -> None:
        await second.webhooks.write([record(1)])

    first = World(tmp_path, {"erp": lambda now, id: Answer(410)})
    simulate(first.live(1, life))
    second = World(tmp_path, {"erp": well})
    simulate(second.live(1, nothing))
    assert second.heard["erp"] == []
    assert second.health["webhook erp"].state == "down"
    assert second.counted("erp")["waiting"] == 1


@pytest.mark.parametrize("order", ["all", "asset"])
def test_in_order_means_that_none_overtakes_the_one_before(tmp_path: Path, order: str) -> None:
    refused: set[str] = set()

    def moody(now: float, id: str) -> Answer:
        if id in refused:
            return Answer(200)
        refused.add(id)
        return Answer(422)

    world = World(tmp_path, {"erp": moody}, order=order)

    async def life() -> None:
        await world.webhooks.write([record(n) for n in range(1, 11)])

    simulate(world.live(1, life))
    ids = [id for _, id in world.heard["erp"]]
    assert ids[::2] == ids[1::2], "each is tried until it is taken, before the next"
    assert len(set(ids)) == 10
    assert world.health["webhook erp"].losses == {}, "that events are refused is no trouble of the endpoint"


def test_no_more_fly_than_may(tmp_path: Path) -> None:
    world = World(tmp_path, {"erp": well}, in_flight=3)

    async def life() -> None:
        await world.webhooks.write([record(n) for n in range(1, 31)])

    simulate(world.live(0.01, life))
    times = [time for time, _ in world.heard["erp"]]
    assert max(times.count(time) for time in times) == 3
    assert times[-1] == pytest.approx(0.09)


def test_records_that_come_again_and_those_from_before_are_passed_over(tmp_path: Path) -> None:
    world = World(tmp_path, {"erp": well})
    old = Record(1, 0, 1, 1, EPOCH_NS - 1, (Batch.of([0], EPOCH_NS - 1, objects([{"Message": "old"}])),))

    async def life() -> None:
        await world.webhooks.write([old, record(2)])
        await world.webhooks.write([record(2), record(3)])

    simulate(world.live(0.01, life))
    assert len(world.heard["erp"]) == 2
    again = World(tmp_path, {"erp": well})

    async def replayed() -> None:
        await again.webhooks.write([old, record(2), record(3), record(4)])

    simulate(again.live(0.01, replayed))
    assert len(again.heard["erp"]) == 1


def test_a_disk_that_fails_is_no_bug_and_loses_nothing(tmp_path: Path) -> None:
    world = World(tmp_path, {"erp": well})
    outbox = world.webhooks._outbox

    async def life() -> None:
        await world.webhooks.write([record(1)])
        outbox._db.execute("PRAGMA query_only = 1")
        await asyncio.sleep(100)
        with pytest.raises(ConnectionError, match=r"webhooks\.db cannot be used"):
            await world.webhooks.write([record(2)])
        assert world.health["webhook erp"].state == "down"
        outbox._db.execute("PRAGMA query_only = 0")
        await world.webhooks.write([record(2)])

    simulate(world.live(0.01, life))
    assert len({id for _, id in world.heard["erp"]}) == 2
    assert world.counted("erp")["waiting"] == 0
    assert world.health["webhook erp"].bugs == 0
