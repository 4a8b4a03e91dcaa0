"""A line against devices in memory, in virtual time: late, lost and mixed-up answers, silent units, budgets."""

import asyncio
import random
import ssl
import struct
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import pytest

from connectors._modbus.depth import DEPTH_MAX, Depth
from connectors._modbus.endpoint import Endpoint, Serial
from connectors._modbus.frames import Framing, Mbap, Rtu
from connectors._modbus.line import Line
from connectors._modbus.link import Lost, Received
from connectors._modbus.pdu import SILENT, Answer, read
from connectors._modbus.unit import Unit
from tests.simulation.loop import LoopClock, simulate

TCP = Endpoint("modbus", "device", 502)
RTU = Endpoint("modbus+rtu", "device", 4001)
PORT = Serial("/dev/ttyX", 19_200)
SERIAL = Endpoint("modbus+rtu", serial=PORT)
UDP = Endpoint("modbus+udp", "device", 502)


@dataclass
class Device:
    """What is at the far end. Register 0 of an answer is the serial number of the request, 1 the unit, 2 the address.

    `delay` says how long the answer to the n-th request takes, or None for none. `at_once` is how many requests it
    takes; it loses the others. `worker` says whether it works at one request after the other, as a gateway does.
    """

    delay: Callable[[int, int], float | None] = lambda serial, unit: 0.01
    at_once: int = 1_000
    worker: bool = False
    spoil: Callable[[bytes, int], bytes] = lambda frame, serial: frame
    serial: int = 0
    opened: int = 0
    waiting: int = 0
    most: int = 0
    free_at: float = 0.0
    asked: list[tuple[float, int]] = field(default_factory=list)
    lost: Lost | None = None

    async def open(self, endpoint: Endpoint, tls: ssl.SSLContext | None, received: Received, lost: Lost) -> "Link":
        await asyncio.sleep(0.001)
        self.opened += 1
        self.waiting, self.lost = 0, lost
        return Link(self, Rtu() if endpoint.scheme == "modbus+rtu" else Mbap(), received, lost)


class Link:
    def __init__(self, device: Device, framing: Framing, received: Received, lost: Lost) -> None:
        self._device, self._framing, self._received, self._lost = device, framing, received, lost
        self._open = True

    def hurry(self) -> None:
        pass

    def send(self, data: bytes) -> None:
        size = 12 if isinstance(self._framing, Mbap) else 8
        for at in range(0, len(data), size):
            self._take(data[at : at + size])

    def forget(self) -> None:
        pass

    def close(self) -> None:
        self._open = False

    def _take(self, frame: bytes) -> None:
        device, loop = self._device, asyncio.get_running_loop()
        device.serial += 1
        numbered = isinstance(self._framing, Mbap)
        transaction = int.from_bytes(frame[:2], "big") if numbered else 0
        unit, _, start, count = struct.unpack(">BBHH", frame[6:12] if numbered else frame[:6])
        device.asked.append((loop.time(), unit))
        delay = device.delay(device.serial, unit)
        if device.waiting >= device.at_once or delay is None:
            return
        device.waiting += 1
        device.most = max(device.most, device.waiting)
        begin = max(loop.time(), device.free_at) if device.worker else loop.time()
        device.free_at = begin + delay
        registers = [device.serial % 65_536, unit, start, *range(3, count)][:count]
        pdu = struct.pack(f">BB{count}H", 3, 2 * count, *registers)
        answer = device.spoil(self._framing.frame(transaction, unit, pdu), device.serial)
        loop.call_at(begin + delay, self._deliver, answer)

    def _deliver(self, answer: bytes) -> None:
        if not self._open:
            return
        self._device.waiting -= 1
        try:
            self._received(answer)
        except ConnectionError as error:
            self.close()
            self._lost(error)


def unit(number: int = 1, *, timeout_s: float = 1.0, budget: float = 0.0, depth: int | None = 1) -> Unit:
    search = Depth() if depth is None else Depth(depth, settled=True)
    return Unit(number, timeout_s, budget=budget, depth=search, counts=Counter())


def line(device: Device, endpoint: Endpoint = TCP) -> Line:
    return Line(endpoint, LoopClock(), open_=device.open)


def run(device: Device, work: Callable[[Line], Any], endpoint: Endpoint = TCP) -> Any:
    async def world() -> Any:
        made = line(device, endpoint)
        async with made.joined(1.0):
            return await work(made)

    return simulate(world())


def registers(answer: Answer | None) -> Sequence[int]:
    assert answer is not None
    assert answer.code == 0
    return struct.unpack(f">{len(answer.data) // 2}H", answer.data)


# --- late answers -------------------------------------------------------------------------


READS = 200_000


@pytest.mark.parametrize(
    ("endpoint", "seed"), [(TCP, 1), (TCP, 2), (TCP, 3), (UDP, 4), (RTU, 5)], ids=["tcp", "tcp", "tcp", "udp", "rtu"]
)
def test_a_late_answer_is_never_taken_for_the_next(endpoint: Endpoint, seed: int) -> None:
    """A million reads in all; half of the delays scatter around the timeout, so every fourth answer is late."""
    chance = random.Random(seed)
    device = Device(delay=lambda serial, unit: chance.uniform(0.9, 1.1) if chance.random() < 0.5 else 0.01)
    one = unit()

    async def work(made: Line) -> Counter[str]:
        seen: Counter[str] = Counter()
        for n in range(READS):
            address = n * 7919 % 65_000
            (answer,) = await made.ask(one, [read(3, address, 3)])
            if answer is not None and answer.code == SILENT:
                seen["late"] += 1
            else:
                assert tuple(registers(answer)) == (device.serial % 65_536, 1, address)
                seen["right"] += 1
        return seen

    seen = run(device, work, endpoint)
    assert seen["right"] > READS / 2
    assert one.counts["timeouts"] > READS / 10


def test_a_transaction_that_once_was_late_may_be_used_again() -> None:
    device, one = Device(delay=lambda serial, unit: None if serial == 5 else 0.001), unit()

    async def work(made: Line) -> None:
        for _ in range(4):
            await made.ask(one, [read(3, 0, 3)])
        await made.ask(one, [read(3, 0, 3)])
        await polls(made, one, 70, 1000)

    run(device, work)
    assert one.counts["timeouts"] == 1


def test_on_a_serial_line_it_is_quiet_for_a_while_after_a_silence() -> None:
    device = Device(delay=lambda serial, unit: {1: None, 3: 1.9}.get(serial, 0.01))
    one, end_s = unit(), 1.0 + PORT.frame_s

    async def work(made: Line) -> list[Answer | None]:
        return [answer for _ in range(4) for answer in await made.ask(one, [read(3, 5, 3)])]

    answers = run(device, work, SERIAL)
    assert [registers(answer)[0] for answer in answers] == [2, 4, 5, 6]
    times = [time for time, _ in device.asked]
    assert times[1] - times[0] == pytest.approx(end_s + 1.0)
    assert times[3] - times[2] == pytest.approx(end_s + 1.0)
    assert times[5] - times[4] == pytest.approx(0.01 + 3.5 * 11 / 19_200)


# --- answers that do not belong to the request ----------------------------------------------

WRONG = {
    "transaction": lambda frame: bytes((frame[0] ^ 1,)) + frame[1:],
    "protocol": lambda frame: frame[:2] + b"\1" + frame[3:],
    "unit": lambda frame: frame[:6] + bytes((frame[6] ^ 1,)) + frame[7:],
    "function": lambda frame: frame[:7] + bytes((frame[7] ^ 7,)) + frame[8:],
    "byte count": lambda frame: frame[:8] + bytes((frame[8] + 2,)) + frame[9:],
    "length": lambda frame: frame[:4] + b"\0\x07" + frame[6:9] + frame[9:13],
    "another exception": lambda frame: frame[:4] + b"\0\x03" + frame[6:7] + b"\x84\x02",
}


@pytest.mark.parametrize("wrong", WRONG)
def test_an_answer_that_is_wrong_in_anything_ends_the_connection(wrong: str) -> None:
    device = Device(spoil=lambda frame, serial: WRONG[wrong](frame) if serial == 2 else frame)
    one = unit(depth=4)

    async def work(made: Line) -> Sequence[int]:
        with pytest.raises(ConnectionError):
            await made.ask(one, [read(3, n, 3) for n in range(3)])
        (answer,) = await made.ask(one, [read(3, 77, 3)])
        return registers(answer)

    assert run(device, work)[2] == 77
    assert device.opened == 2


def test_a_connection_that_is_reset_fails_everybody_at_once() -> None:
    device = Device(delay=lambda serial, unit: None)

    async def work(made: Line) -> float:
        asked = [asyncio.ensure_future(made.ask(unit(n), [read(3, 0, 3)])) for n in range(5)]  # noqa: TID251
        await asyncio.sleep(0.1)
        assert device.lost is not None
        device.lost(ConnectionResetError("reset"))
        await asyncio.wait(asked)
        assert {str(one.exception()) for one in asked} == {"reset"}
        return asyncio.get_running_loop().time()

    assert run(device, work) < 0.2


def test_who_asks_for_nothing_gets_it_at_once() -> None:
    async def work(made: Line) -> Sequence[Answer | None]:
        async with asyncio.timeout(1):
            return await made.ask(unit(), [])

    assert run(Device(), work) == []


# --- several requests at a time -------------------------------------------------------------


async def polls(made: Line, one: Unit, n: int, requests: int = 20) -> None:
    """Ask many times and check every answer."""
    for _ in range(n):
        answers = await made.ask(one, [read(3, at, 3) for at in range(requests)])
        assert [registers(answer)[2] for answer in answers] == list(range(requests))


def test_a_device_that_answers_faster_to_several_requests_gets_several() -> None:
    device, one = Device(), unit(depth=None)
    run(device, lambda made: polls(made, one, 100, 80))
    assert (one.depth.proved, one.depth.settled, device.most) == (DEPTH_MAX, True, DEPTH_MAX)


def test_a_device_that_answers_one_after_the_other_gets_one_at_a_time() -> None:
    device, one = Device(worker=True), unit(depth=None)
    run(device, lambda made: polls(made, one, 100))
    assert (one.depth.proved, one.depth.settled, device.most) == (1, True, 2)


def test_a_device_that_loses_all_but_one_costs_one_timeout_in_its_life_and_no_reading() -> None:
    device, one = Device(at_once=1), unit(depth=None)
    run(device, lambda made: polls(made, one, 100))
    assert (one.depth.proved, one.depth.settled, one.counts["timeouts"]) == (1, True, 1)


def test_a_device_that_dies_with_several_requests_is_not_taken_for_one_that_loses_them() -> None:
    device = Device(delay=lambda serial, unit: 0.01 if serial < 50 else None)
    one = unit(depth=8)

    async def work(made: Line) -> list[Answer | None]:
        await polls(made, one, 1)
        return await made.ask(one, [read(3, n, 3) for n in range(80)])

    answers = run(device, work)
    codes = [None if answer is None else answer.code for answer in answers]
    assert codes == [0] * 29 + [SILENT] + [None] * 50
    assert one.depth.proved == 8


def test_few_requests_say_nothing_about_many() -> None:
    one = unit(depth=None)
    run(Device(), lambda made: polls(made, one, 100, 1))
    assert (one.depth.proved, one.depth.settled) == (1, False)
    run(Device(), lambda made: polls(made, one, 100, 5))
    assert (one.depth.proved, one.depth.settled) == (5, True)


@pytest.mark.parametrize("endpoint", [RTU, UDP, SERIAL])
def test_without_transactions_or_order_there_is_one_at_a_time(endpoint: Endpoint) -> None:
    device = Device()
    run(device, lambda made: polls(made, unit(depth=16), 5), endpoint)
    assert device.most == 1


def test_a_datagram_that_is_lost_is_sent_once_more() -> None:
    device, one = Device(delay=lambda serial, unit: None if serial == 3 else 0.01), unit()
    run(device, lambda made: polls(made, one, 1), UDP)
    assert one.counts["timeouts"] == 1


# --- turns, budgets, and what a device asks for ----------------------------------------------


def test_units_take_turns() -> None:
    device = Device()

    async def work(made: Line) -> None:
        async with asyncio.TaskGroup() as tasks:
            for n in range(1, 4):
                tasks.create_task(polls(made, unit(n), 1, 5))

    run(device, work)
    assert [number for _, number in device.asked] == [1, 2, 3] * 5


def test_what_is_urgent_goes_before_what_waits() -> None:
    device = Device()

    async def work(made: Line) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(polls(made, unit(1), 1))
            tasks.create_task(polls(made, unit(2), 1))
            await asyncio.sleep(0.025)
            await made.ask(unit(9), [read(3, 0, 3)], first=True)

    run(device, work)
    assert [number for _, number in device.asked][:6] == [1, 2, 1, 9, 2, 1]


@pytest.mark.parametrize("depth", [1, 8])
def test_a_unit_is_asked_no_more_often_than_its_budget_allows_and_the_others_do_not_wait_for_it(depth: int) -> None:
    device = Device(delay=lambda serial, unit: 0.001)

    async def work(made: Line) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(polls(made, unit(1, budget=20.0, depth=depth), 5))
            tasks.create_task(polls(made, unit(2, depth=depth), 50))

    run(device, work)
    slow = [time for time, number in device.asked if number == 1]
    assert len(slow) == 100
    assert min(b - a for a, b in pairwise(slow)) > 0.0499
    assert max(time for time, number in device.asked if number == 2) < 1.6


def test_a_device_that_is_busy_is_asked_again_a_little_later() -> None:
    busy = bytes.fromhex("00000000000301") + bytes((0x83, 6))

    def spoil(frame: bytes, serial: int) -> bytes:
        return frame[:2] + busy[2:] if serial in (2, 3) else frame

    device, one = Device(spoil=spoil), unit()
    run(device, lambda made: polls(made, one, 1, 3))
    times = [time for time, _ in device.asked]
    assert [round(b - a, 2) for a, b in pairwise(times)] == [0.01, 0.11, 0.21, 0.01]
    always = Device(spoil=lambda frame, serial: frame[:2] + busy[2:])
    answers = run(always, lambda made: made.ask(one, [read(3, 0, 3)]))
    assert ([answer.code for answer in answers], always.serial) == ([6], 4)


# --- silent units -----------------------------------------------------------------------------


def test_a_silent_unit_costs_the_others_little() -> None:
    device = Device(delay=lambda serial, unit: None if unit == 1 else 0.005)

    async def work(made: Line) -> tuple[Unit, float]:
        dead, alive = unit(1), unit(2)
        await polls(made, alive, 1)
        loop = asyncio.get_running_loop()
        async with made.joined(1.0):
            await made.ask(dead, [read(3, 0, 3)])
            began = loop.time()
            (answer,) = await made.ask(dead, [read(3, 0, 3)])
            assert answer is not None
            assert answer.code == SILENT
            return dead, loop.time() - began

    dead, second_s = run(device, work)
    assert dead.silent
    assert second_s < 0.2


def test_a_link_on_which_nobody_answers_is_renewed() -> None:
    device = Device(delay=lambda serial, unit: None)

    async def work(made: Line) -> None:
        async with made.joined(1.0):
            for n in range(7):
                await made.ask(unit(n), [read(3, 0, 3)])

    run(device, work)
    assert device.opened == 3


# --- coming and going ---------------------------------------------------------------------------


@pytest.mark.parametrize("endpoint", [TCP, RTU, SERIAL])
def test_whoever_is_cancelled_leaves_the_line_to_the_others(endpoint: Endpoint) -> None:
    device = Device(delay=lambda serial, unit: 0.2)

    async def work(made: Line) -> None:
        async with made.joined(1.0), asyncio.TaskGroup() as tasks:
            leaving = [tasks.create_task(made.ask(unit(n), [read(3, 1, 3)] * 3)) for n in (1, 3)]
            tasks.create_task(polls(made, unit(2), 1, 5))
            await asyncio.sleep(0.1)
            for one in leaving:
                one.cancel()

    run(device, work, endpoint)
    assert Counter(number for _, number in device.asked)[1] == 1


def test_the_first_opens_the_link_and_the_last_closes_it() -> None:
    device = Device()

    async def world() -> None:
        made = line(device)
        with pytest.raises(ConnectionError, match="not connected"):
            await made.ask(unit(), [read(3, 0, 3)])
        for _ in range(2):
            async with asyncio.TaskGroup() as tasks:
                for n in range(3):
                    tasks.create_task(visit(made, n))

    async def visit(made: Line, n: int) -> None:
        async with made.joined(1.0):
            await polls(made, unit(n), 2)

    simulate(world())
    assert device.opened == 2


def test_when_the_last_leaves_nobody_waits_for_ever() -> None:
    device = Device(delay=lambda serial, unit: 0.5)

    async def world() -> None:
        made = line(device)
        async with asyncio.TaskGroup() as tasks:
            async with made.joined(1.0):
                written = tasks.create_task(refused(made))
                await asyncio.sleep(0.1)
            await written

    async def refused(made: Line) -> None:
        with pytest.raises(ConnectionError, match="not connected any more"):
            await made.ask(unit(), [read(3, 0, 3)])

    simulate(world())


def test_a_link_that_does_not_open_is_a_timeout() -> None:
    async def never(*_: object) -> Link:
        await asyncio.sleep(1e6)
        raise AssertionError

    async def world() -> None:
        with pytest.raises(TimeoutError, match="device:502 did not accept a connection within 1 s"):
            async with Line(TCP, LoopClock(), open_=never).joined(1.0):
                pass

    simulate(world())
