"""Mailbox: bounded, and every batch that is dropped is counted."""

import asyncio

import pytest

from gateway.mailbox import Mailbox
from gateway.model import Batch
from tests.simulation.loop import simulate


def numbered(*numbers: int) -> list[Batch]:
    return [Batch.of([number], 0, 0.0) for number in numbers]


def numbers(batches: list[Batch]) -> list[int]:
    return [int(batch.tag[0]) for batch in batches]


def test_take_gives_everything_in_order() -> None:
    async def world() -> list[int]:
        mailbox = Mailbox()
        mailbox.put(numbered(1, 2))
        mailbox.put(numbered(3))
        return numbers(await mailbox.take())

    assert simulate(world()) == [1, 2, 3]


def test_take_waits_for_the_first_and_nothing_is_given_twice() -> None:
    async def world() -> list[tuple[float, list[int]]]:
        mailbox = Mailbox()
        time = asyncio.get_running_loop().time
        taken = []

        async def fill() -> None:
            await asyncio.sleep(5.0)
            mailbox.put([])
            await asyncio.sleep(5.0)
            mailbox.put(numbered(1))
            await asyncio.sleep(5.0)
            mailbox.put(numbered(2))

        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(fill())
            for _ in range(2):
                batches = await mailbox.take()
                taken.append((time(), numbers(batches)))
        return taken

    assert simulate(world()) == [(10.0, [1]), (15.0, [2])]


@pytest.mark.parametrize(
    ("limit", "puts", "left", "dropped"),
    [
        (3, [[1, 2, 3]], [1, 2, 3], 0),
        (3, [[1, 2, 3], [4]], [2, 3, 4], 1),
        (3, [[1, 2], [3, 4, 5]], [3, 4, 5], 2),
        (2, [[1, 2, 3, 4, 5]], [4, 5], 3),
        (1, [[1], [2], [3]], [3], 2),
    ],
)
def test_the_oldest_make_room_and_are_counted(limit: int, puts: list[list[int]], left: list[int], dropped: int) -> None:
    async def world() -> tuple[list[int], int]:
        mailbox = Mailbox(limit)
        for put in puts:
            mailbox.put(numbered(*put))
        return numbers(await mailbox.take()), mailbox.dropped

    assert simulate(world()) == (left, dropped)
