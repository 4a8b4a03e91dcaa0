"""Ten units behind one gateway, one of them dead: supervisor, connectors and line together, in virtual time."""

import asyncio
import random
from collections import Counter

import numpy as np
import pytest

from connectors import modbus
from connectors._modbus.endpoint import Endpoint
from connectors._modbus.line import Line
from gateway.contracts import Device
from gateway.latest import Latest
from gateway.model import Batch, Tag
from gateway.model.quality import good
from gateway.supervise import Health, keep_device
from tests.simulation.loop import LoopClock, simulate
from tests.unit.test_line import Device as Far

UNITS = 10
DEAD = 4
LASTS_S = 300


def device(number: int, line: Line) -> Device:
    tags = [Tag(f"plant/unit{number}", f"t{n}") for n in range(10)]
    return Device(
        name=f"unit{number}",
        url=f"modbus://device:502?unit={number}",
        options=modbus.DeviceOptions(poll=1.0, timeout=1.0, gap=0),
        tags=tags,
        numbers=np.arange(10, dtype=np.uint32) + 10 * number,
        tag_options=[
            modbus.TagOptions.model_validate({"register": f"holding:{20 * n}", "type": "float32"}) for n in range(10)
        ],
        shared={"device:502": line},
    )


def deadlines(far: Far, seed: int) -> dict[int, float]:
    """Run all units for five minutes; return the share of its seconds in which each had a good poll."""

    async def world() -> dict[int, float]:
        clock, latest = LoopClock(), Latest(10 * UNITS)
        line = Line(Endpoint("modbus", "device", 502), clock, open_=far.open)
        polled: Counter[int] = Counter()

        def emit(*batches: Batch) -> None:
            for batch in batches:
                latest.update(batch)
                if good(batch.quality).all():
                    polled[int(batch.tag[0]) // 10] += 1

        async with asyncio.TaskGroup() as tasks:
            running = [
                tasks.create_task(
                    keep_device(
                        modbus.connector(device(number, line), clock),
                        np.arange(10, dtype=np.uint32) + 10 * number,
                        emit,
                        latest,
                        Health(f"unit{number}"),
                        clock=clock,
                        chance=random.Random(seed + number),
                    )
                )
                for number in range(UNITS)
            ]
            await asyncio.sleep(LASTS_S)
            for task in running:
                task.cancel()
        return {number: polled[number] / LASTS_S for number in range(UNITS)}

    return simulate(world())


@pytest.mark.parametrize("worker", [False, True], ids=["parallel", "one after the other"])
@pytest.mark.parametrize("seed", range(5))
def test_a_dead_unit_does_not_starve_the_living(seed: int, worker: bool) -> None:
    far = Far(delay=lambda serial, unit: None if unit == DEAD else 0.002, worker=worker)
    kept = deadlines(far, seed)
    assert kept.pop(DEAD) == 0
    assert min(kept.values()) >= 0.99


@pytest.mark.parametrize("seed", range(5))
def test_a_unit_that_its_gateway_waits_for_does_not_starve_the_living(seed: int) -> None:
    """The gateway answers for the dead unit in the end (exception 11), and meanwhile for nobody."""

    def refuse(frame: bytes, serial: int) -> bytes:
        return frame[:4] + bytes((0, 3, DEAD, 0x83, 11)) if frame[6] == DEAD else frame

    far = Far(delay=lambda serial, unit: 1.0 if unit == DEAD else 0.002, worker=True, spoil=refuse)
    kept = deadlines(far, seed)
    assert kept.pop(DEAD) == 0
    assert min(kept.values()) >= 0.97
