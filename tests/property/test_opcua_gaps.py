"""Gaps: whatever a server loses, and whenever, what its history has of it is told once, and nothing else is."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from connectors._opcua.extent import DecodeError
from connectors._opcua.gaps import Told
from gateway.model import Batch

NUMBERS = np.array([3, 4, 9], np.uint32)
TAGS = NUMBERS.tolist()
OVERFLOW = 0x0480

STEPS = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(["change", "change", "change", "overflow"]), st.sampled_from(TAGS)),
        st.tuples(st.sampled_from(["publish", "publish", "lose", "reconnect", "ask", "fill", "keep"]), st.just(0)),
        st.tuples(st.just("restart"), st.integers(0, 5)),
    ),
    max_size=40,
)


class Server:
    """A server with a queue per tag and a history of all, and who listens to it by the rules of the connector."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter(overflows=0, gaps_forgotten=0)
        self.told = Told(NUMBERS, self.counts)
        self.history: dict[int, list[int]] = {tag: [] for tag in TAGS}
        self.queue: list[tuple[int, int, int]] = []
        self.log: list[Batch] = []  # all that was told
        self.kept = np.empty(0, np.int64), 0
        self.repeated: Counter[tuple[int, int]] = Counter()
        self.clock = 0
        for tag in TAGS:
            self.change(tag)
        self.publish(0)

    def change(self, tag: int) -> None:
        self.clock += 1000
        self.history[tag].append(self.clock)
        self.queue.append((tag, self.clock, 0))

    def overflow(self, tag: int) -> None:
        """The queue of an item keeps its newest value and says so."""
        of_tag = [row for row in self.queue if row[0] == tag]
        if len(of_tag) > 1:
            self.queue = [row for row in self.queue if row[0] != tag] + [(*of_tag[-1][:2], OVERFLOW)]

    def publish(self, _: int) -> None:
        self._hear(self.told.live(self._batch(self.queue)))
        self.queue = []

    def lose(self, _: int) -> None:
        self.queue = []
        self.told.lost(NUMBERS)

    def reconnect(self, _: int) -> None:
        """A new subscription tells the present values, also those that were told before."""
        self.lose(0)
        self.queue = [(tag, times[-1], 0) for tag, times in self.history.items()]
        self.repeated.update((tag, time) for tag, time, _ in self.queue if self.heard[tag, time])

    def ask(self, _: int) -> None:
        tags = NUMBERS[self.told.open()].tolist()
        self._hear(self.told.asked(self._batch([(tag, self.history[tag][-1], 0) for tag in tags])))

    def fill(self, _: int) -> None:
        """Wait until what was under way has come, and read the gaps that had an end before that."""
        ended = self.told.closed()[0]
        self.publish(0)
        rows, after, before = self.told.closed()
        for row, first, last in zip(rows.tolist(), after.tolist(), before.tolist(), strict=True):
            if row in ended:
                times = self.history[TAGS[row]]
                kept = np.array([time for time in times if first <= time <= last], np.int64)
                self._hear(Batch.of([TAGS[row]] * len(kept), kept, 0.0).where(self.told.missing(row, kept)))
        old = np.isin(rows, ended)
        self.told.up_to(rows[old], before[old])

    def keep(self, _: int) -> None:
        if (told := self.told.whole()) is not None:
            self.kept = told, len(self.log)

    def restart(self, lost: int) -> None:
        """The gateway is killed: what was kept is durable, and of the readings behind it all but the last ones."""
        told, position = self.kept
        del self.log[max(position, 1, len(self.log) - lost) :]  # with the first readings each tag begins
        self.told = Told(NUMBERS, self.counts)
        for batch in self.log[position:]:
            self.told.heard(batch)
        self.told.recall(told)
        self.reconnect(0)

    @property
    def heard(self) -> Counter[tuple[int, int]]:
        return Counter(pair for b in self.log for pair in zip(b.tag.tolist(), b.time.tolist(), strict=True))

    def _batch(self, rows: list[tuple[int, int, int]]) -> Batch:
        return Batch.of(
            [tag for tag, _, _ in rows], [time for _, time, _ in rows], np.zeros(len(rows)), [code for *_, code in rows]
        )

    def _hear(self, batch: Batch) -> None:
        self.log.append(batch)


@settings(deadline=None, max_examples=500)
@given(STEPS)
@example([("change", 3), ("lose", 0), ("change", 3), ("publish", 0), ("keep", 0), ("restart", 0)])
def test_everything_is_told_once(steps: list[tuple[str, int]]) -> None:
    server = Server()
    for what, tag in steps:
        getattr(server, what)(tag)
    for what in ("publish", "ask", "publish", "fill"):
        getattr(server, what)(0)
    happened = Counter((tag, time) for tag, times in server.history.items() for time in times)
    assert not happened - server.heard
    assert server.heard - happened <= server.repeated
    assert not len(server.told.closed()[0])
    assert not len(server.told.open())


def test_gaps_beyond_the_bound_are_forgotten_and_counted() -> None:
    server = Server()
    for _ in range(40):
        server.change(4)
        server.lose(0)
        server.change(4)
        server.publish(0)
    assert server.counts["gaps_forgotten"] == 24
    server.fill(0)
    assert sum(server.heard[4, time] == 0 for time in server.history[4]) == 24


@pytest.mark.parametrize("tag", [0, 5, 10, 2**32 - 1])
def test_a_value_of_no_item_of_ours_is_an_error(tag: int) -> None:
    with pytest.raises(DecodeError, match="never asked for"):
        Server().told.live(Batch.of([3, tag], 0, 1.0))


def test_a_tag_that_is_gone_misses_nothing() -> None:
    server = Server()
    server.lose(0)
    server.told.gone(NUMBERS[:1])
    assert server.told.open().tolist() == [1, 2]
