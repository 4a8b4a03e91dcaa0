"""The connection to a broker asks for signs of life, and gives up a broker that gives none."""

import asyncio

import pytest

from gateway.mqtt import Mqtt, packets
from tests.simulation.loop import simulate

PINGRESP = b"\xd0\x00"


class Wire(asyncio.Transport):
    """The near end of a connection: remembers what is written, and ends like a socket."""

    def __init__(self, protocol: asyncio.Protocol) -> None:
        super().__init__()
        self.written: list[bytes] = []
        self._protocol = protocol

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written.append(bytes(data))

    def is_closing(self) -> bool:
        return False

    def abort(self) -> None:
        self._protocol.connection_lost(None)


def test_a_broker_with_mqtt_5_says_how_often_it_wants_to_hear_from_us() -> None:
    async def world() -> float:
        mqtt = Mqtt(lambda: b"hello", "5")
        mqtt.connection_made(Wire(mqtt))
        mqtt.data_received(bytes.fromhex("20 06 00 00 03 13 0004"))  # server keep alive: 4 s
        with pytest.raises(ConnectionError, match="silent"):
            await mqtt.lost()
        return asyncio.get_running_loop().time()

    assert simulate(world()) == pytest.approx(4.0)


def test_a_broker_that_answers_is_kept_and_one_that_falls_silent_is_lost() -> None:
    async def world() -> list[int]:
        mqtt = Mqtt(lambda: b"hello")
        wire = Wire(mqtt)
        mqtt.connection_made(wire)
        mqtt.data_received(b"\x20\x02\x00\x00")
        pings = []
        for _ in range(4):  # keep-alive is 30 s
            await asyncio.sleep(16.0)
            pings.append(wire.written.count(packets.PINGREQ))
            mqtt.data_received(PINGRESP)
        with pytest.raises(ConnectionError, match="silent"):
            async with asyncio.timeout(40.0):
                await mqtt.lost()
        return pings

    assert simulate(world()) == [1, 2, 3, 4]
