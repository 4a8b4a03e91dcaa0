"""The connection to a broker, with mosquitto, nats-server, and servers that are no broker at the other end."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import AbstractContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from gateway.mqtt import Access, Message, MessageRefused, Mqtt, connect
from tests import servers

BROKERS = {"mosquitto": servers.mosquitto, "nats": servers.nats}


@pytest.fixture(params=BROKERS)
def broker(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[servers.BrokerProcess]:
    start: Callable[[Path], AbstractContextManager[servers.BrokerProcess]] = BROKERS[request.param]
    with start(tmp_path) as running:
        yield running


@asynccontextmanager
async def server(*answers: bytes, stays: bool) -> AsyncIterator[str]:
    """A server that answers whatever comes with these bytes, one after the other, and then stays or leaves; its URL."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for answer in answers:
            await reader.read(100)
            writer.write(answer)
        if stays:
            await reader.read()
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as listening:
        yield f"mqtt://127.0.0.1:{listening.sockets[0].getsockname()[1]}"


async def connected(url: str, timeout_s: float = 5.0) -> None:
    async with connect(url, "test", timeout_s=timeout_s):
        pass


async def test_what_is_published_arrives_in_order_whatever_its_size(broker: servers.BrokerProcess) -> None:
    payloads = [b"%d" % i + bytes(i % 7 * 2_000) for i in range(2500)]  # more than the window, and than a read
    seen: list[bytes] = []
    enough = asyncio.Event()

    def receive(topic: str, payload: bytes, retained: bool) -> None:
        assert (topic, retained) == ("test/value", False)
        seen.append(payload)
        if len(seen) >= len(payloads):
            enough.set()

    async with connect(broker.url, "reader") as reader, connect(broker.url, "writer") as writer:
        await reader.subscribe("test/#", receive)
        await writer.publish([Message("test/value", payload) for payload in payloads])
        async with asyncio.timeout(30):
            await enough.wait()
    assert seen == payloads


async def test_what_was_sent_before_a_flush_is_with_the_broker_and_says_its_qos(broker: servers.BrokerProcess) -> None:
    seen: list[tuple[bytes, int]] = []
    enough = asyncio.Event()

    def receive(topic: str, payload: bytes, retained: bool, qos: int) -> None:
        seen.append((payload, qos))
        if payload == b"last":
            enough.set()

    async with connect(broker.url, "reader") as reader:
        await reader.watch("test/#", receive)
        async with connect(broker.url, "writer") as writer:
            for i in range(1000):
                writer.send("test/value", b"%d" % i)
            await writer.flush()
            await writer.publish([Message("test/value", b"last")])
            async with asyncio.timeout(30):
                await enough.wait()
    assert seen == [*((b"%d" % i, 0) for i in range(1000)), (b"last", 1)]


async def test_whoever_waits_for_a_flush_or_something_else_learns_that_the_broker_is_gone(
    broker: servers.BrokerProcess,
) -> None:
    async with servers.line(broker.port) as line, connect(line.mqtt_url, "writer") as mqtt:
        line.swallow()
        other: asyncio.Future[object] = asyncio.get_running_loop().create_future()
        async with asyncio.TaskGroup() as tasks:
            waiting = [tasks.create_task(refused(mqtt.flush())), tasks.create_task(refused(mqtt.until(other)))]
            await asyncio.sleep(0)
            assert not any(task.done() for task in waiting)
            line.cut()
        with pytest.raises(ConnectionError, match="lost"):
            mqtt.send("test/value", b"x")


async def refused(work: Coroutine[Any, Any, object]) -> None:
    with pytest.raises(ConnectionError, match="lost"):
        await work


async def test_a_will_that_is_made_at_the_last_moment_is_made_for_connections_only(tmp_path: Path) -> None:
    made: list[int] = []

    def will() -> Message:
        made.append(len(made))
        return Message("test/breaks", b"%d" % made[-1])

    with pytest.raises(OSError, match=r"refused|Connect"):
        async with connect(f"mqtt://127.0.0.1:{servers.free_port()}", "breaks", will):
            pass
    with servers.mosquitto(tmp_path) as broker:
        async with servers.Subscriber(broker.port) as subscriber, servers.line(broker.port) as line:
            async with connect(line.mqtt_url, "breaks", will) as mqtt:
                line.cut()
                with pytest.raises(ConnectionError):
                    await mqtt.lost()
            await subscriber.until(lambda: subscriber.on("/breaks") == [b"0"])


async def test_more_messages_can_be_published_at_once_than_there_are_identifiers(broker: servers.BrokerProcess) -> None:
    async with connect(broker.url, "writer") as writer, asyncio.TaskGroup() as tasks:
        for i in range(70):
            tasks.create_task(writer.publish([Message(f"test/{i}", b"x")] * 1000))


async def test_the_will_is_told_when_the_connection_breaks_and_not_when_it_is_closed(tmp_path: Path) -> None:
    with servers.mosquitto(tmp_path) as broker:
        async with servers.Subscriber(broker.port) as subscriber, servers.line(broker.port) as line:
            async with connect(broker.url, "leaves", Message("test/leaves", b"gone")):
                pass
            async with connect(line.mqtt_url, "breaks", Message("test/breaks", b"gone")) as mqtt:
                line.cut()
                with pytest.raises(ConnectionError, match="lost"):
                    await mqtt.lost()
            await subscriber.until(lambda: bool(subscriber.on("/breaks")))
            assert subscriber.on("/leaves") == []


async def test_whoever_waits_learns_that_the_broker_is_gone(broker: servers.BrokerProcess) -> None:
    async with servers.line(broker.port) as line, connect(line.mqtt_url, "writer") as mqtt:
        line.cut()
        with pytest.raises(ConnectionError, match="lost"):
            await publish_for_ever(mqtt)
        with pytest.raises(ConnectionError, match="lost"):
            await mqtt.publish([Message("test/value", b"x")])


async def publish_for_ever(mqtt: Mqtt) -> None:
    while True:
        await mqtt.publish([Message("test/value", b"x")])


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"\x20\x02\x00\x04", "wrong user or password"),
        (b"\x20\x02\x00\x09", "code 9"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n" + bytes(80), "no MQTT"),
        (b"\xff\xff\xff\xff\xff", "no MQTT"),
    ],
)
async def test_a_server_that_does_not_accept_is_an_error_that_says_why(answer: bytes, words: str) -> None:
    async with server(answer, stays=True) as url:
        with pytest.raises(ConnectionError, match=words):
            await connected(url)


async def test_a_server_that_hangs_up_is_a_lost_connection() -> None:
    async with server(b"", stays=False) as url:
        with pytest.raises(ConnectionError, match="closed by the broker"):
            await connected(url)


async def test_a_server_that_says_nothing_is_not_waited_for_long() -> None:
    async with server(b"", stays=True) as url:
        with pytest.raises(TimeoutError):
            await connected(url, timeout_s=0.05)


async def test_a_broker_with_mqtt_5_says_why_it_ends_the_connection() -> None:
    answer = bytes.fromhex("20 03 00 00 00" + "e0 07 8e 05 1f 0002 6279")
    async with server(answer, stays=True) as url, connect(url, "one", access=Access("5")) as mqtt:
        with pytest.raises(ConnectionResetError, match=r"another client took over our client id \('by'\)"):
            await mqtt.lost()


async def test_a_broker_whose_quota_is_exceeded_is_told_of_in_words_and_confirms_nothing() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for answer in (bytes.fromhex("20 03 00 00 00"), bytes.fromhex("40 03 0001 97 40 02 0002")):
            await reader.read(1000)
            writer.write(answer)
        await reader.read()
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as listening:
        url = f"mqtt://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
        async with connect(url, "one", access=Access("5")) as mqtt:
            with pytest.raises(MessageRefused, match="the broker refused a message: a quota is exceeded"):
                await mqtt.publish([Message("test/value", b"x")] * 2)


async def test_a_broker_that_does_not_confirm_at_all_is_not_published_to() -> None:
    async with server(bytes.fromhex("20 05 00 00 02 24 00"), stays=True) as url:
        with pytest.raises(ConnectionRefusedError, match="no QoS 1"):
            async with connect(url, "one", access=Access("5")):
                pass


async def test_a_subscription_that_is_refused_is_an_error() -> None:
    async with server(b"\x20\x02\x00\x00", b"\x90\x03\x00\x01\x80", stays=True) as url, connect(url, "reader") as mqtt:
        with pytest.raises(ConnectionError, match="refused"):
            await mqtt.subscribe("test/#", lambda topic, payload, retained: None)
