"""A scan against devices in memory that refuse addresses, limit lengths, answer slowly or fall silent."""

import asyncio
import math
from collections import Counter
from collections.abc import Collection, Sequence

import numpy as np
import pytest

from connectors._blocks import Area, Span
from connectors._mbap import ExceptionAnswer
from connectors._registers import Coding
from connectors._scan import Point, Scan
from gateway.model import Batch
from tests.simulation.loop import EPOCH_NS, LoopClock, simulate

AREAS: dict[int, Area] = {1: "coil", 2: "discrete", 3: "holding", 4: "input"}
UNKNOWN, OUT_OF_RANGE, TIMEOUT = 0x8034_0000, 0x803C_0000, 0x800A_0000


def register(address: int) -> int:
    return (address * 7919 + 13) % 65_536


def bit(address: int) -> bool:
    return address % 3 == 0


class Device:
    """A Reader: every address has a value, except those that are refused (exception 2)."""

    def __init__(
        self,
        refused: Collection[tuple[Area, int]] = (),
        registers_max: int = 125,
        bits_max: int = 2000,
        too_long: int = 3,
        answer_s: float = 0.0,
    ) -> None:
        self.refused = set(refused)
        self.registers_max, self.bits_max, self.too_long = registers_max, bits_max, too_long
        self.answer_s = answer_s
        self.broken: dict[int, int] = {}
        self.silent_at = math.inf
        self.asked: list[tuple[Area, int, int]] = []

    async def read(self, function: int, start: int, count: int) -> bytes:
        area, bits = AREAS[function], function in (1, 2)
        self.asked.append((area, start, count))
        assert len(self.asked) < 5_000, "the device is asked without end"
        await asyncio.sleep(self.answer_s)
        if len(self.asked) >= self.silent_at:
            raise TimeoutError("no answer within 1 s")
        if count > (self.bits_max if bits else self.registers_max):
            raise ExceptionAnswer(function, self.too_long)
        addresses = range(start, start + count)
        if not self.refused.isdisjoint((area, address) for address in addresses):
            raise ExceptionAnswer(function, 2)
        for address in self.broken.keys() & set(addresses):
            raise ExceptionAnswer(function, self.broken[address])
        if bits:
            return np.packbits([bit(address) for address in addresses], bitorder="little").tobytes()
        return np.array([register(address) for address in addresses], ">u2").tobytes()


def points(addresses: Sequence[int], area: Area = "holding") -> list[Point]:
    type_ = "bit" if area in ("coil", "discrete") else "uint16"
    return [Point(Span(area, address, 1), Coding(type_)) for address in addresses]


def scan(tags: Sequence[Point], *, gap: int = 8, registers_max: int = 125) -> Scan:
    numbers = np.arange(len(tags), dtype=np.uint32)
    return Scan(tags, numbers, gap=gap, registers_max=registers_max, counts=Counter())


Readings = dict[int, tuple[object, int]]
"""Number of the tag -> value and quality."""


def polled(made: Scan, device: Device) -> tuple[Readings, int]:
    """Poll once; return what was emitted, each tag once, and the requests that it took."""
    before = len(device.asked)
    emitted: list[Batch] = []
    simulate(made.poll(device, lambda *batches: emitted.extend(batches), LoopClock()))
    return readings(emitted), len(device.asked) - before


def readings(batches: Sequence[Batch]) -> Readings:
    rows = [row for b in batches for row in zip(b.tag.tolist(), b.value.tolist(), b.quality.tolist(), strict=True)]
    found = {tag: (value, quality) for tag, value, quality in rows}
    assert len(found) == len(rows)
    return found


def healthy(tags: Sequence[Point]) -> Readings:
    """What every tag has on a device that refuses nothing."""
    return {
        n: (bit(tag.span.start) if tag.coding.type == "bit" else register(tag.span.start), 0)
        for n, tag in enumerate(tags)
    }


def good(found: Readings) -> Readings:
    return {tag: reading for tag, reading in found.items() if reading[1] == 0}


# --- what the device refuses --------------------------------------------------------------


def test_a_healthy_device_is_read_in_as_few_requests_as_the_plan_has() -> None:
    tags = points(range(1000))
    assert polled(scan(tags), Device()) == (healthy(tags), 8)


@pytest.mark.parametrize(
    ("n", "positions"), [(125, range(125)), (1000, [*range(0, 1000, 41), 124, 125, 249, 250, 874, 875, 999])]
)
def test_one_bad_register_costs_itself_wherever_it_is_and_is_searched_for_once(n: int, positions: range) -> None:
    """All others are good in every poll, the first included; the search is two requests per halving."""
    tags = points(range(n))
    blocks = math.ceil(n / 125)
    for at in positions:
        made, device = scan(tags), Device(refused={("holding", at)})
        expected = healthy(tags)
        del expected[at]
        first, requests = polled(made, device)
        assert good(first) == expected
        assert first[at][1] == UNKNOWN
        assert requests <= 2 * blocks + 2 + 2 * math.ceil(math.log2(n))  # the poll that finds it is begun anew
        again, steady = polled(made, device)
        assert good(again) == expected
        assert steady <= blocks + 2


@pytest.mark.parametrize("refused", [range(0, 1000, 97), range(300, 420), [0, 999], range(1, 500, 2)])
def test_several_bad_registers_cost_themselves(refused: Sequence[int]) -> None:
    tags = points(range(1000))
    made, device = scan(tags), Device(refused={("holding", address) for address in refused})
    expected = {tag: reading for tag, reading in healthy(tags).items() if tag not in refused}
    first, _ = polled(made, device)
    assert good(first) == expected
    assert {quality for tag, (_, quality) in first.items() if tag in refused} == {UNKNOWN}
    before = made._counts["exceptions"]
    assert good(polled(made, device)[0]) == expected
    assert made._counts["exceptions"] - before == len(refused)


def test_a_device_that_refuses_everything_is_asked_a_bounded_number_of_times() -> None:
    tags = points(range(100))
    made, device = scan(tags), Device(refused={("holding", address) for address in range(100)})
    first, requests = polled(made, device)
    assert {quality for _, quality in first.values()} == {UNKNOWN}
    assert requests <= 4 * 100
    assert polled(made, device)[1] == 100


def test_a_value_of_several_registers_is_refused_as_a_whole() -> None:
    tags = [Point(Span("holding", 2 * n, 2), Coding("uint32")) for n in range(50)]
    found, _ = polled(scan(tags), Device(refused={("holding", 41)}))
    assert [tag for tag, (_, quality) in found.items() if quality] == [20]


def test_a_refused_address_that_nobody_needs_costs_one_more_request() -> None:
    """Tags are joined over gaps to save requests; a device need not have an address in between."""
    requests = {}
    for gap_at in range(1, 119):
        tags = points([address for address in range(120) if address not in (gap_at, 61)])
        made, device = scan(tags), Device(refused={("holding", gap_at)})
        assert polled(made, device)[0] == healthy(tags)
        found, requests[gap_at] = polled(made, device)
        assert found == healthy(tags)
    assert {gap_at: n for gap_at, n in requests.items() if n > 2} == {}


@pytest.mark.parametrize("code", [2, 3])
@pytest.mark.parametrize("registers_max", [1, 10, 60, 64, 100, 124])
def test_a_device_that_answers_only_short_requests_is_asked_for_short_ones(registers_max: int, code: int) -> None:
    tags = points(range(500))
    made, device = scan(tags), Device(registers_max=registers_max, too_long=code)
    assert polled(made, device)[0] == healthy(tags)
    assert polled(made, device)[0] == healthy(tags)
    longest = max(count for _, _, count in device.asked[-len(made.blocks) :])
    assert registers_max / 2 <= longest <= registers_max


@pytest.mark.parametrize("bits_max", [100, 512, 1999])
def test_a_device_that_answers_only_a_few_coils_is_asked_for_a_few(bits_max: int) -> None:
    tags = points(range(2000), "coil")
    made, device = scan(tags), Device(bits_max=bits_max)
    polled(made, device)
    assert good(polled(made, device)[0]) == healthy(tags)


def test_limits_of_coils_and_registers_do_not_undo_each_other() -> None:
    tags = [*points(range(2000), "coil"), *points(range(500))]
    made, device = scan(tags), Device(registers_max=60, bits_max=512)
    polled(made, device)
    assert good(polled(made, device)[0]) == healthy(tags)


def test_a_hole_and_a_limit_are_both_found() -> None:
    tags = points(range(500))
    made, device = scan(tags), Device(refused={("holding", 333)}, registers_max=60)
    for _ in range(2):
        found, _ = polled(made, device)
        assert [tag for tag, (_, quality) in found.items() if quality] == [333]


@pytest.mark.parametrize(
    ("code", "quality"), [(1, 0x803D_0000), (4, 0x808B_0000), (6, 0x8004_0000), (11, 0x8031_0000), (99, 0x808B_0000)]
)
def test_trouble_of_the_device_concerns_the_block_and_teaches_nothing(code: int, quality: int) -> None:
    tags = points([*range(100), *range(200, 300)])
    made, device = scan(tags), Device()
    device.broken = {250: code}
    found, requests = polled(made, device)
    assert (good(found), requests) == ({tag: healthy(tags)[tag] for tag in range(100)}, 2)
    assert {found[tag][1] for tag in range(100, 200)} == {quality}
    device.broken = {}
    assert polled(made, device) == (healthy(tags), 2)


# --- silence ------------------------------------------------------------------------------


def silent(made: Scan, device: Device) -> Readings:
    """Poll a device that falls silent; return what was emitted before."""
    emitted: list[Batch] = []
    with pytest.raises(TimeoutError, match="no answer"):
        simulate(made.poll(device, lambda *batches: emitted.extend(batches), LoopClock()))
    return readings(emitted)


@pytest.mark.parametrize("at", range(1, 5))
def test_silence_is_told_of_the_request_and_what_was_read_before_is_not_lost(at: int) -> None:
    tags = points(range(500))
    device = Device()
    device.silent_at = at
    found = silent(scan(tags), device)
    assert good(found) == {tag: healthy(tags)[tag] for tag in range(125 * (at - 1))}
    assert {tag for tag, (_, quality) in found.items() if quality == TIMEOUT} == set(range(125 * (at - 1), 125 * at))


@pytest.mark.parametrize("at", range(3, 9))
def test_silence_while_a_bad_register_is_searched_for_loses_nothing_either(at: int) -> None:
    tags = points(range(250))
    device = Device(refused={("holding", 200)})
    device.silent_at = at
    found = silent(scan(tags), device)
    assert {tag: healthy(tags)[tag] for tag in range(125)}.items() <= good(found).items()


# --- several kinds, factors, times --------------------------------------------------------


def test_every_kind_of_value_is_one_batch_whatever_the_areas_are() -> None:
    tags = [
        Point(Span("holding", 0, 2), Coding("float32")),
        *points([5], "coil"),
        *points([9], "input"),
        Point(Span("holding", 40, 2), Coding("string", length=2)),
        *points([6, 7], "discrete"),
        Point(Span("input", 10, 1), Coding("uint16", scale="0.1")),
    ]
    emitted: list[Batch] = []
    simulate(scan(tags).poll(Device(), lambda *batches: emitted.extend(batches), LoopClock()))
    assert sorted((batch.kind.name, sorted(batch.tag.tolist())) for batch in emitted) == [
        ("BOOLEAN", [1, 4, 5]), ("FLOAT", [0, 6]), ("INTEGER", [2]), ("OBJECT", [3]),
    ]  # fmt: skip
    found = readings(emitted)
    assert (found[1][0], found[2][0], found[4][0], found[5][0]) == (bit(5), register(9), bit(6), bit(7))
    assert found[6][0] == register(10) / 10


class Scaled(Device):
    """A device whose registers from 1000 on are scale factors of -2."""

    async def read(self, function: int, start: int, count: int) -> bytes:
        data = await super().read(function, start, count)
        return np.full(count, -2, ">i2").tobytes() if start >= 1000 else data


def test_a_tag_is_as_good_as_its_scale_factor() -> None:
    tags = [Point(Span("holding", n, 1), Coding("uint16"), Span("holding", 1000 + n, 1)) for n in range(10)]
    tags += points([12])
    assert polled(scan(tags), Scaled())[0] == {n: (register(n) / 100, 0) for n in range(10)} | {10: (register(12), 0)}
    found, _ = polled(scan(tags), Scaled(refused={("holding", 1003)}))
    assert [tag for tag, (_, quality) in found.items() if quality] == [3]
    device = Scaled()
    device.silent_at = 2
    found = silent(scan(tags), device)
    assert {tag for tag, (_, quality) in found.items() if quality == TIMEOUT} == set(range(10))
    assert found[10] == (register(12), 0)


@pytest.mark.parametrize(("answer_s", "times"), [(0.004, [0.016] * 4), (0.010, [0.010, 0.020, 0.030, 0.040])])
def test_a_short_scan_has_one_time_and_a_long_one_the_time_of_each_answer(answer_s: float, times: list[float]) -> None:
    emitted: list[Batch] = []
    made = scan(points(range(500)))
    simulate(made.poll(Device(answer_s=answer_s), lambda *batches: emitted.extend(batches), LoopClock()))
    (batch,) = emitted
    by_tag = dict(zip(batch.tag.tolist(), batch.time.tolist(), strict=True))
    assert [by_tag[125 * n] for n in range(4)] == [EPOCH_NS + round(time * 1e9) for time in times]


def test_a_connection_that_breaks_is_an_os_error() -> None:
    class Broken(Device):
        async def read(self, function: int, start: int, count: int) -> bytes:
            raise ConnectionResetError("gone")

    with pytest.raises(ConnectionResetError):
        polled(scan(points([1])), Broken())


def test_requests_and_exceptions_are_counted() -> None:
    made, device = scan(points(range(10))), Device(refused={("holding", 4)})
    polled(made, device)
    assert made._counts["requests"] == len(device.asked)
    assert made._counts["exceptions"] > 0
