"""A scan against devices in memory that refuse addresses, limit lengths, answer slowly or fall silent."""

import asyncio
import json
import math
import struct
from collections.abc import Collection, Sequence

import numpy as np
import pytest

from connectors._modbus.blocks import Area, Span
from connectors._modbus.coding import Coding
from connectors._modbus.pdu import SILENT, Answer, Request
from connectors._modbus.points import Point
from connectors._modbus.profile import Profile
from connectors._modbus.scan import Scan
from gateway.contracts import DeviceError
from gateway.model import Batch
from tests.simulation.loop import EPOCH_NS, LoopClock, simulate

AREAS: dict[int, Area] = {1: "coil", 2: "discrete", 3: "holding", 4: "input"}
UNKNOWN, OUT_OF_RANGE, TIMEOUT = 0x8034_0000, 0x803C_0000, 0x800A_0000


def register(address: int) -> int:
    return (address * 7919 + 13) % 65_536


def bit(address: int) -> bool:
    return address % 3 == 0


class Refused(Exception):
    """An exception code."""


class Device:
    """Asked by a scan: every address has a value, except those that are refused (exception 2)."""

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
        self.refusals = 0
        self.asked: list[tuple[Area, int, int]] = []

    async def ask(self, requests: Sequence[Request]) -> list[Answer | None]:
        answers: list[Answer | None] = [None] * len(requests)
        for i, request in enumerate(requests):
            function, start, count = struct.unpack(">BHH", request.pdu)
            try:
                answers[i] = Answer(await self._read(function, start, count), 0, LoopClock().now_ns())
            except Refused as refused:
                self.refusals += 1
                answers[i] = Answer(b"", refused.args[0], LoopClock().now_ns())
                if refused.args[0] == SILENT:
                    break
        return answers

    async def _read(self, function: int, start: int, count: int) -> bytes:
        area, bits = AREAS[function], function in (1, 2)
        self.asked.append((area, start, count))
        assert len(self.asked) < 5_000, "the device is asked without end"
        await asyncio.sleep(self.answer_s)
        if len(self.asked) >= self.silent_at:
            raise Refused(SILENT)
        if count > (self.bits_max if bits else self.registers_max):
            raise Refused(self.too_long)
        addresses = range(start, start + count)
        if not self.refused.isdisjoint((area, address) for address in addresses):
            raise Refused(2)
        for address in self.broken.keys() & set(addresses):
            raise Refused(self.broken[address])
        if bits:
            return np.packbits([bit(address) for address in addresses], bitorder="little").tobytes()
        return np.array([register(address) for address in addresses], ">u2").tobytes()


def points(addresses: Sequence[int], area: Area = "holding") -> list[Point]:
    type_ = "bit" if area in ("coil", "discrete") else "uint16"
    return [Point("", Span(area, address, 1), Coding(type_)) for address in addresses]


def scan(tags: Sequence[Point], *, gap: int = 8, registers_max: int = 125, profile: Profile | None = None) -> Scan:
    numbers = np.arange(len(tags), dtype=np.uint32)
    return Scan(tags, numbers, profile or Profile("test"), gap=gap, registers_max=registers_max)


Readings = dict[int, tuple[object, int]]
"""Number of the tag -> value and quality."""


def polled(made: Scan, device: Device) -> tuple[Readings, int]:
    """Poll once; return what was emitted, each tag once, and the requests that it took."""
    before = len(device.asked)
    emitted: list[Batch] = []
    simulate(made.poll(device.ask, lambda *batches: emitted.extend(batches), LoopClock()))
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
        assert first[at] == (0, UNKNOWN)
        assert requests <= 2 * blocks + 2 + 2 * math.ceil(math.log2(n))  # the poll that finds it is begun anew
        again, steady = polled(made, device)
        assert again == first
        assert steady <= blocks + 1  # in two parts, around the bad register


@pytest.mark.parametrize(
    ("refused", "polls"), [(range(0, 1000, 97), 1), (range(300, 420), 1), ([0, 999], 1), (range(1, 500, 2), 2)]
)
def test_several_bad_registers_cost_themselves(refused: Sequence[int], polls: int) -> None:
    """They are found in the first poll; a search as long as that for hundreds goes on in the next."""
    tags = points(range(1000))
    made, device = scan(tags), Device(refused={("holding", address) for address in refused})
    expected = {tag: reading for tag, reading in healthy(tags).items() if tag not in refused}
    *_, (first, _) = [polled(made, device) for _ in range(polls)]
    assert good(first) == expected
    assert {quality for tag, (_, quality) in first.items() if tag in refused} == {UNKNOWN}
    before = device.refusals
    assert polled(made, device)[0] == first
    assert device.refusals == before


def test_a_device_that_refuses_everything_is_asked_a_bounded_number_of_times() -> None:
    tags = points(range(100))
    made, device = scan(tags), Device(refused={("holding", address) for address in range(100)})
    first, requests = polled(made, device)
    assert {quality for _, quality in first.values()} == {UNKNOWN}
    assert requests <= 4 * 100
    assert polled(made, device) == (first, 0)


def test_a_device_that_refuses_thousands_of_tags_is_asked_for_them_over_many_polls() -> None:
    addresses = range(0, 4_000, 2)
    device = Device(refused={("holding", address) for address in range(5_000)})
    made = scan(points(addresses))
    blocks = len(made.blocks)
    costs: list[int] = []
    while not costs or costs[-1]:
        found, cost = polled(made, device)
        assert found == dict.fromkeys(range(len(addresses)), (0, UNKNOWN))
        costs.append(cost)
    assert max(costs) <= 2 * blocks + 500 + 2 * 63
    assert sum(costs) < 2.1 * len(addresses) + 2 * blocks * len(costs)


def test_a_value_of_several_registers_is_refused_as_a_whole() -> None:
    tags = [Point("", Span("holding", 2 * n, 2), Coding("uint32")) for n in range(50)]
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


@pytest.mark.parametrize(("code", "quality"), [(4, 0x808B_0000), (6, 0x8004_0000), (8, 0x808B_0000), (99, 0x808B_0000)])
def test_trouble_of_the_device_concerns_the_block_and_teaches_nothing(code: int, quality: int) -> None:
    tags = points([*range(100), *range(200, 300)])
    made, device = scan(tags), Device()
    device.broken = {250: code}
    found, requests = polled(made, device)
    assert (good(found), requests) == ({tag: healthy(tags)[tag] for tag in range(100)}, 2)
    assert {found[tag][1] for tag in range(100, 200)} == {quality}
    device.broken = {}
    assert polled(made, device) == (healthy(tags), 2)


def test_a_function_that_the_device_does_not_have_is_not_asked_for_again() -> None:
    tags = [*points(range(10)), *points(range(200), "input")]
    made, device = scan(tags), Device()
    device.broken = {15: 1, 150: 1}
    found, _ = polled(made, device)
    assert good(found) == {tag: healthy(tags)[tag] for tag in range(10)}
    assert {found[tag] for tag in range(10, 210)} == {(0, 0x803D_0000)}
    assert polled(made, device) == (found, 1)


@pytest.mark.parametrize("code", [10, 11])
def test_a_unit_that_the_gateway_in_between_cannot_reach_is_lost(code: int) -> None:
    tags = points([*range(100), *range(200, 300)])
    device = Device()
    device.broken = {250: code}
    emitted: list[Batch] = []
    with pytest.raises(DeviceError, match="cannot reach") as error:
        simulate(scan(tags).poll(device.ask, lambda *batches: emitted.extend(batches), LoopClock()))
    assert error.value.quality == 0x8031_0000
    assert good(readings(emitted)) == {tag: healthy(tags)[tag] for tag in range(100)}


def test_what_was_refused_is_asked_for_again_after_ten_minutes_one_at_a_time() -> None:
    tags = points(range(100))
    device = Device(refused={("holding", 40), ("holding", 60)})

    async def world() -> list[tuple[float, list[int]]]:
        made, bad = scan(tags), []
        for _ in range(130):
            emitted: list[Batch] = []
            await made.poll(device.ask, lambda *batches, to=emitted: to.extend(batches), LoopClock())
            bad.append((asyncio.get_running_loop().time(), sorted(readings(emitted).keys() - good(readings(emitted)))))
            device.refused.discard(("holding", 40))
            await asyncio.sleep(10.0)
        return bad

    bad = simulate(world())
    assert {tuple(tags) for time, tags in bad if time < 600} == {(40, 60)}
    assert {tuple(tags) for time, tags in bad if time >= 610} == {(60,)}
    assert device.asked.count(("holding", 60, 1)) <= 3


def test_what_stays_refused_does_not_keep_the_others_from_being_asked_again() -> None:
    tags = points(range(100))
    device = Device(refused={("holding", 40), ("holding", 60)})

    async def world() -> list[Batch]:
        made = scan(tags)
        emitted: list[Batch] = []
        for _ in range(180):
            emitted = []
            await made.poll(device.ask, lambda *batches, to=emitted: to.extend(batches), LoopClock())
            device.refused.discard(("holding", 60))
            await asyncio.sleep(10.0)
        return emitted

    found = readings(simulate(world()))
    assert sorted(found.keys() - good(found)) == [40]


def test_what_a_device_taught_is_known_after_a_restart() -> None:
    tags = points([*range(100), *range(105, 500)])
    device = Device(refused={("holding", 40), ("holding", 102)}, registers_max=60)
    profile = Profile("here")
    first = polled(scan(tags, profile=profile), device)
    kept = json.loads(json.dumps(profile.kept()))
    again = scan(tags, profile=Profile.recalled("here", kept))
    assert polled(again, device) == (first[0], len(again.blocks))
    elsewhere = scan(tags, profile=Profile.recalled("there", kept))
    assert polled(elsewhere, device)[1] > len(again.blocks)


@pytest.mark.parametrize(
    "damage",
    [
        {"refused": [["holding", -1, 1, 2]]},
        {"refused": [["holding", 0, 1, 255]]},
        {"in_flight": "many"},
        {"gaps": None},
        {"counters": {"total": 3}},
        {"counters": {"total": {"last": 10**30, "wraps": 0, "range": 65536}}},
    ],
)
def test_a_damaged_profile_is_learned_anew(damage: dict[str, object], caplog: pytest.LogCaptureFixture) -> None:
    profile = Profile("here")
    profile.refuse(Span("holding", 40, 1), 2)
    recalled = Profile.recalled("here", profile.kept() | damage)
    assert recalled.kept() == Profile("here").kept()
    assert "cannot be read" in caplog.text


def test_scans_of_one_device_share_what_it_taught() -> None:
    profile = Profile("here")
    fast, slow = scan(points(range(100)), profile=profile), scan(points(range(500, 900)), profile=profile)
    device = Device(registers_max=60)
    polled(slow, device)
    refusals = device.refusals
    assert polled(fast, device)[0] == healthy(points(range(100)))
    assert device.refusals == refusals


def test_a_limit_that_is_too_short_for_a_value_does_not_keep_it_from_being_asked_for() -> None:
    """Another scan has taught it, or it is from before the tag was added."""
    profile = Profile("here")
    profile.shorten(bits=False, longest=1)
    tags = [*points(range(3)), Point("", Span("holding", 10, 4), Coding("uint64"))]
    assert {quality for _, quality in polled(scan(tags, profile=profile), Device())[0].values()} == {0}


# --- silence ------------------------------------------------------------------------------


def silent(made: Scan, device: Device) -> Readings:
    """Poll a device that falls silent; return what was emitted before."""
    emitted: list[Batch] = []
    with pytest.raises(TimeoutError, match="no answer"):
        simulate(made.poll(device.ask, lambda *batches: emitted.extend(batches), LoopClock()))
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
        Point("", Span("holding", 0, 2), Coding("float32")),
        *points([5], "coil"),
        *points([9], "input"),
        Point("", Span("holding", 40, 2), Coding("string", length=2)),
        *points([6, 7], "discrete"),
        Point("", Span("input", 10, 1), Coding("uint16", scale="0.1")),
    ]
    emitted: list[Batch] = []
    simulate(scan(tags).poll(Device().ask, lambda *batches: emitted.extend(batches), LoopClock()))
    assert sorted((batch.kind.name, sorted(batch.tag.tolist())) for batch in emitted) == [
        ("BOOLEAN", [1, 4, 5]), ("FLOAT", [0, 6]), ("INTEGER", [2]), ("OBJECT", [3]),
    ]  # fmt: skip
    found = readings(emitted)
    assert (found[1][0], found[2][0], found[4][0], found[5][0]) == (bit(5), register(9), bit(6), bit(7))
    assert found[6][0] == register(10) / 10


class Scaled(Device):
    """A device whose registers from 1000 on are scale factors of -2."""

    async def _read(self, function: int, start: int, count: int) -> bytes:
        data = await super()._read(function, start, count)
        return np.full(count, -2, ">i2").tobytes() if start >= 1000 else data


def test_a_tag_is_as_good_as_its_scale_factor() -> None:
    tags = [Point("", Span("holding", n, 1), Coding("uint16"), Span("holding", 1000 + n, 1)) for n in range(10)]
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
    simulate(made.poll(Device(answer_s=answer_s).ask, lambda *batches: emitted.extend(batches), LoopClock()))
    (batch,) = emitted
    by_tag = dict(zip(batch.tag.tolist(), batch.time.tolist(), strict=True))
    assert [by_tag[125 * n] for n in range(4)] == [EPOCH_NS + round(time * 1e9) for time in times]


def test_a_counter_that_rolls_over_counts_on_and_does_so_after_a_restart() -> None:
    class Counting(Device):
        async def _read(self, function: int, start: int, count: int) -> bytes:
            return np.array([next(raw)], ">u2").tobytes()

    raw = iter([65_000, 65_500, 300, 900, 65_400, 100])
    tags = [Point("count", Span("holding", 0, 1), Coding("uint16", rollover=True))]
    profile, seen = Profile("here"), []
    for _ in range(2):
        made = scan(tags, profile=profile)
        seen += [polled(made, Counting())[0][0][0] for _ in range(3)]
        profile.counters = made.counters
    assert seen == [65_000, 65_500, 65_836, 66_436, 130_936, 131_172]


def test_a_connection_that_breaks_is_an_os_error() -> None:
    class Broken(Device):
        async def _read(self, function: int, start: int, count: int) -> bytes:
            raise ConnectionResetError("gone")

    with pytest.raises(ConnectionResetError):
        polled(scan(points([1])), Broken())
