"""The publisher with brokers as plants have them: one and the same suite for all, and what each refuses in its way."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest

from gateway.bus.publisher import Publisher
from gateway.bus.topics import Topics
from gateway.clock import SystemClock
from gateway.model import Batch, Catalog, Record, Tag
from gateway.model.batch import objects
from gateway.mqtt import Access, Message, MessageRefused, connect
from gateway.payload import parse
from tests import brokers, servers
from tests.brokers import RIGS, Rig

ASSETS = ("open/press", "open/oven", "open/lathe")
STATUS = "uns/open/_gateway/gw1/status"


@pytest.fixture(params=RIGS)
async def rig(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Rig]:
    async with RIGS[request.param](tmp_path) as one:
        yield one


def publisher(urls: Sequence[str], access: Access, look_s: float = 60.0) -> Publisher:
    catalog = Catalog(Tag(asset, "force") for asset in ASSETS)
    return Publisher(urls, Topics("uns", "open", "gw1"), catalog, 7, SystemClock(), access, look_s)


def records(first: int, n: int, text: str = "") -> list[Record]:
    """Return n records, of the assets in turn; the position is the value, or what follows a text."""
    return [
        Record(i, i % 3, 7, 1 + i // 3, 0, (Batch.of([i % 3], 1, objects([text + str(i)]) if text else [float(i)]),))
        for i in range(first, first + n)
    ]


class Ear:
    """What one subscriber hears."""

    def __init__(self) -> None:
        self.messages: list[tuple[str, bytes]] = []
        self._news = asyncio.Event()

    def __call__(self, topic: str, payload: bytes, retained: bool) -> None:
        self.messages.append((topic, payload))
        self._news.set()

    async def until(self, true: Any) -> None:
        async with asyncio.timeout(30):
            while not true():
                self._news.clear()
                await self._news.wait()

    def sequences(self, asset: str) -> list[int]:
        """The sequence numbers of an asset in the order in which they came first."""
        batches = (parse(payload) for topic, payload in self.messages if topic == f"uns/{asset}/_batch")
        return list(dict.fromkeys(message.sequence for message in batches))

    @property
    def online(self) -> list[bool]:
        return [orjson.loads(payload)["online"] for topic, payload in self.messages if topic == STATUS]


@asynccontextmanager
async def listening(rig: Rig) -> AsyncIterator[Ear]:
    ear = Ear()
    async with rig.connect("ear") as mqtt:
        await mqtt.subscribe("uns/#", ear)
        yield ear


def kept(one: Publisher) -> AbstractAsyncContextManager[asyncio.Event]:
    """Keep a publisher connected; give what is set when it is lost."""
    return brokers.kept("bus", one.run)


async def written(one: Publisher, what: Sequence[Record]) -> None:
    """Write until it is confirmed, as a drain does."""
    async with asyncio.timeout(60):
        while True:
            try:
                await one.write(what)
            except ConnectionError:
                await asyncio.sleep(0)
            else:
                return


def first_numbers(n: int) -> list[int]:
    return list(range(1, n + 1))


async def test_the_version_of_mqtt_is_the_newest_that_both_speak(rig: Rig) -> None:
    async with rig.connect("one") as mqtt:
        assert mqtt.version == rig.level


async def test_what_is_written_arrives_once_and_in_order_per_asset(rig: Rig) -> None:
    one = publisher([rig.url], rig.access)
    async with listening(rig) as ear, kept(one):
        await written(one, records(0, 3000))
        await ear.until(lambda: all(len(ear.sequences(asset)) == 1000 for asset in ASSETS))
    assert all(ear.sequences(asset) == first_numbers(1000) for asset in ASSETS)
    assert len([topic for topic, _ in ear.messages if topic.endswith("/_batch")]) == 3000


async def test_messages_of_300_kilobytes_arrive(rig: Rig) -> None:
    one = publisher([rig.url], rig.access)
    async with listening(rig) as ear, kept(one):
        await written(one, records(0, 3, "x" * 300_000))
        await ear.until(lambda: all(ear.sequences(asset) == [1] for asset in ASSETS))
    assert one.too_large == 0


async def test_a_broker_that_comes_later_gets_everything(rig: Rig) -> None:
    line = servers.Line(rig.port)
    one = publisher([rig.by(line.port)], rig.access)
    async with listening(rig) as ear, kept(one) as lost, asyncio.TaskGroup() as tasks:
        waiting = tasks.create_task(one.write(records(0, 300)))
        await lost.wait()
        assert not waiting.done()
        await line.join()
        await ear.until(lambda: all(ear.sequences(asset) == first_numbers(100) for asset in ASSETS))
    line.cut()


async def test_a_connection_that_is_cut_again_and_again_costs_nothing_but_repetitions(rig: Rig) -> None:
    line = servers.Line(rig.port)
    await line.join()
    one = publisher([rig.by(line.port)], rig.access)
    async with listening(rig) as ear, kept(one):
        for turn in range(10):
            async with asyncio.TaskGroup() as tasks:
                writing = tasks.create_task(written(one, records(turn * 300, 300)))
                have = len(ear.messages) + 50
                await ear.until(lambda writing=writing, have=have: writing.done() or len(ear.messages) >= have)
                line.cut()
                await line.join()
        await ear.until(lambda: all(len(ear.sequences(asset)) == 1000 for asset in ASSETS))
    assert all(ear.sequences(asset) == first_numbers(1000) for asset in ASSETS)
    assert one.too_large == 0
    line.cut()


async def test_a_broker_that_is_killed_is_told_everything_again(rig: Rig) -> None:
    """What a broker had confirmed and not passed on when it died, nobody but a replay gives back (test_replay.py)."""
    assert rig.restart is not None
    one = publisher([rig.url], rig.access)
    async with kept(one):
        for turn in range(4):
            async with asyncio.TaskGroup() as tasks:
                async with listening(rig) as ear:
                    writing = tasks.create_task(written(one, records(turn * 300, 300)))
                    await ear.until(lambda ear=ear: len(ear.messages) >= 50)
                    await rig.restart()
                in_order = [ear.sequences(asset) for asset in ASSETS]
                assert in_order == [sorted(sequences) for sequences in in_order]
                await writing
        async with listening(rig) as ear:
            await ear.until(lambda: ear.online[-1:] == [True])
            await written(one, records(1200, 300))
            await ear.until(lambda: all(ear.sequences(asset)[-1:] == [500] for asset in ASSETS))
        assert all(ear.sequences(asset)[-100:] == list(range(401, 501)) for asset in ASSETS)
        assert {f"uns/{asset}/_meta" for asset in ASSETS} <= {topic for topic, _ in ear.messages}


async def test_it_is_told_whether_the_gateway_is_there(rig: Rig) -> None:
    line = servers.Line(rig.port)
    await line.join()
    one = publisher([rig.by(line.port)], rig.access)
    async with listening(rig) as ear:
        async with kept(one):
            await ear.until(lambda: ear.online == [True])
            line.cut()  # so that the broker has to tell the will
            await ear.until(lambda: ear.online == [True, False])
            await line.join()
            await ear.until(lambda: ear.online[-1])
        await ear.until(lambda: ear.online[-2:] == [True, False])
    line.cut()


async def test_the_preferred_broker_is_taken_again_when_it_is_back(rig: Rig, tmp_path: Path) -> None:
    line = servers.Line(rig.port)  # the way to the preferred one
    (tmp_path / "second").mkdir()
    with servers.mosquitto(tmp_path / "second") as second:
        other = Rig(second.port, "5")
        one = publisher([rig.by(line.port), other.url], rig.access, look_s=0.05)
        async with listening(rig) as ear, listening(other) as far, kept(one):
            await far.until(lambda: far.online == [True])
            await written(one, records(0, 30))
            await far.until(lambda: far.sequences(ASSETS[0]) == first_numbers(10))
            await line.join()
            await ear.until(lambda: ear.online == [True])
            await far.until(lambda: far.online == [True, False])
            await written(one, records(30, 30))
            await ear.until(lambda: ear.sequences(ASSETS[0]) == [*range(11, 21)])
            assert far.sequences(ASSETS[0]) == first_numbers(10)
    line.cut()


# --- what is refused ------------------------------------------------------------------------


@pytest.fixture(params=["3.1.1", "5"])
async def strict(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Rig]:
    """A broker that wants a certificate and a password, and lets nobody publish everywhere."""
    async with brokers.guarded(tmp_path, request.param) as one:
        yield one


async def attempt(rig: Rig) -> None:
    async with rig.connect("somebody"):
        pass


@pytest.mark.parametrize("who", ["gateway:wrong", "stranger:x"])
async def test_a_wrong_password_is_refused_in_words(strict: Rig, who: str) -> None:
    with pytest.raises(ConnectionRefusedError, match=r"refused: (not authorized|wrong user)"):
        await attempt(replace(strict, who=who))


async def test_without_our_certificate_we_are_not_let_in(strict: Rig) -> None:
    with pytest.raises(OSError, match=r"certificate|lost"):
        await attempt(replace(strict, access=replace(strict.access, cert="", key="")))


async def test_a_broker_that_nobody_vouches_for_is_not_spoken_to(strict: Rig) -> None:
    with pytest.raises(ssl.SSLCertVerificationError):
        await attempt(replace(strict, access=replace(strict.access, ca="")))


async def test_files_that_cannot_be_read_are_named(strict: Rig, tmp_path: Path) -> None:
    (tmp_path / "empty.pem").touch()
    with pytest.raises(OSError, match=r"empty\.pem.*no PEM file"):
        await attempt(replace(strict, access=replace(strict.access, cert=str(tmp_path / "empty.pem"))))


async def test_what_an_acl_forbids_is_known_with_mqtt_5_only(strict: Rig) -> None:
    """MQTT 3.1.1 has no word for it: the broker confirms and throws away (3.3.5 of the standard)."""
    async with strict.connect("somebody") as mqtt:
        if strict.level == "3.1.1":
            await mqtt.publish([Message(brokers.CLOSED, b"x")])
            return
        with pytest.raises(MessageRefused, match="not authorized"):
            await mqtt.publish(
                [Message(brokers.OPEN, b"x"), Message(brokers.CLOSED, b"x"), Message(brokers.OPEN, b"y")]
            )
        await mqtt.publish([Message(brokers.OPEN, b"x")])


async def test_a_publisher_that_may_not_publish_says_so_and_keeps_its_records(tmp_path: Path) -> None:
    async with brokers.guarded(tmp_path, "5") as rig:
        catalog = Catalog([Tag("closed/press", "force")])
        one = Publisher([rig.url], Topics("closed", "x", "gw1"), catalog, 1, SystemClock(), rig.access)
        with pytest.raises(MessageRefused, match="not authorized"):
            await one.run(lambda: None)


@pytest.mark.parametrize("version", ["3.1.1", "5"])
async def test_a_message_that_is_too_large_for_the_broker_holds_up_no_other(tmp_path: Path, version: Any) -> None:
    with servers.mosquitto(tmp_path, "allow_anonymous true\nmax_packet_size 20000\n") as broker:
        rig = Rig(broker.port, version, Access(version))
        one = publisher([rig.url], rig.access)
        what = [*records(0, 60), *records(60, 1, "x" * 30_000), *records(61, 59)]
        async with listening(rig) as ear, kept(one):
            await written(one, what)
            await ear.until(lambda: sum(len(ear.sequences(asset)) for asset in ASSETS) == 119)
        assert one.too_large == 1
        assert ear.sequences(ASSETS[0]) == [*range(1, 21), *range(22, 41)]


async def test_a_broker_that_takes_few_at_a_time_gets_few_at_a_time(tmp_path: Path) -> None:
    with servers.mosquitto(tmp_path, "allow_anonymous true\nmax_inflight_messages 3\n") as broker:
        rig = Rig(broker.port, "5", Access("5"))
        one = publisher([rig.url], rig.access)
        async with listening(rig) as ear, kept(one), asyncio.TaskGroup() as tasks:
            for start in range(0, 300, 100):
                tasks.create_task(one.write(records(start, 100)))
            await ear.until(lambda: sum(len(ear.sequences(asset)) for asset in ASSETS) == 300)
        assert one.connections == 1


async def test_mqtt_5_where_there_is_none_is_an_error_with_a_remedy(tmp_path: Path) -> None:
    async with brokers.embedded(tmp_path) as rig:
        with pytest.raises(ConnectionRefusedError, match=r"set bus\.version: 3\.1\.1"):
            async with connect(rig.url, "one", access=Access("5")):
                pass


async def test_brokers_that_are_all_away_are_all_named() -> None:
    urls = [f"mqtt://127.0.0.{i}:{servers.free_port()}" for i in (1, 2)]
    with pytest.raises(ConnectionError, match=r"no broker takes us: 127\.0\.0\.1: .*; 127\.0\.0\.2: "):
        await publisher(urls, Access("auto")).run(lambda: None)
