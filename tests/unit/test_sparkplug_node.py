"""What the edge node says and when, message by message, read by protobuf."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from gateway.bus.sparkplug.node import EdgeNode, death
from gateway.latest import Latest
from gateway.model import Batch, Catalog, Record, Tag
from gateway.mqtt.sparkplug.names import Names
from tests.tahu import parsed

S = 1_000_000_000
START = 1_700_000_000 * S
GOOD, TIMEOUT, STALE = 0, 0x800A_0000, 0x408F_0000
TAGS = [
    Tag("acme/test/hall/press", "force", device="press", unit="kN"),
    Tag("acme/test/hall/press", "count", device="press"),
    Tag("acme/test/hall/oven", "heat/top", device="oven"),
    Tag("acme/test/hall/press", "_maintenance/wear"),
    Tag("acme/test/hall", "energy"),
]
FORCE, COUNT, HEAT, WEAR, ENERGY = range(5)


class Clock:
    def now_ns(self) -> int:
        return START + 100 * S


class World:
    """A plant of two devices, what is said of it, and the aliases that births have told."""

    def __init__(self, *, datatype_in_data: bool = True) -> None:
        self.catalog = Catalog(TAGS)
        self.latest = Latest(len(TAGS))
        self.alive = {"press": True, "oven": False}
        self.position = 0
        self.messages: list[tuple[str, Any]] = []
        self.names: dict[int, str] = {}
        self.node = EdgeNode(
            Names("g", "n"),
            "acme/test",
            self.catalog,
            self.latest,
            Clock(),
            alive=lambda device: self.alive.get(device, False),
            newest=lambda: self.position,
            datatype_in_data=datatype_in_data,
        )

    def begin(self, bdseq: int = 7) -> None:
        self.node.begin(bdseq, self._send)

    def emit(self, *batches: Batch) -> Record:
        """What the hub does: the latest table first, then the journal."""
        for batch in batches:
            self.latest.update(batch)
        self.position += 1
        asset = int(self.catalog.asset_of[batches[0].tag[0]])
        return Record(self.position, asset, 1, self.position, 0, batches)

    def tell(self, *batches: Batch) -> None:
        self.node.publish([self.emit(*batches)])

    def said(self) -> list[str]:
        """The messages since the last time, as `VERB device metric=value!`; ! is historical."""
        told = [self._line(topic, payload) for topic, payload in self.messages]
        self.messages.clear()
        return told

    def _send(self, topic: str, payload: bytes) -> None:
        self.messages.append((topic, parsed(payload)))

    def _line(self, topic: str, payload: Any) -> str:
        _, _, verb, _, *device = topic.split("/")
        if verb.endswith("BIRTH"):
            self.names |= {m.alias: m.name for m in payload.metrics if m.HasField("alias")}
        return " ".join([verb, *device, *(self._metric(m) for m in payload.metrics)])

    def _metric(self, metric: Any) -> str:
        values = [value for field, value in metric.ListFields() if field.name.endswith("_value")]
        name = metric.name or self.names[metric.alias]
        return f"{name}={values[0] if values else None}{'!' if metric.is_historical else ''}"


@pytest.fixture
def world() -> World:
    return World()


def force(*values: float, time: int = START, quality: int = GOOD) -> Batch:
    return Batch.of([FORCE] * len(values), [time + i * S for i in range(len(values))], list(values), quality)


def count(value: int, time: int = START) -> Batch:
    return Batch.of([COUNT], time, [value])


def lost(*tags: int) -> Batch:
    return Batch.of(list(tags), START + 50 * S, [float("nan")] * len(tags), TIMEOUT)


def test_a_session_begins_with_the_node_and_the_devices_that_are_alive(world: World) -> None:
    world.emit(force(1.5), count(3))
    world.begin()
    topics = [topic for topic, _ in world.messages]
    assert topics == ["spBv1.0/g/NBIRTH/n", "spBv1.0/g/DBIRTH/n/press"]
    assert [payload.seq for _, payload in world.messages] == [0, 1]
    assert world.said() == [
        "NBIRTH hall/energy=None bdSeq=7 Node Control/Rebirth=False",
        "DBIRTH press force=1.5 count=3 _maintenance/wear=None",
    ]


def test_births_name_what_data_only_numbers(world: World) -> None:
    world.emit(force(1.5), count(3))
    world.begin()
    _, birth = world.messages[1]
    assert [(m.name, m.HasField("alias"), m.datatype) for m in birth.metrics] == [
        ("force", True, 10), ("count", True, 4), ("_maintenance/wear", True, 10),
    ]  # fmt: skip
    world.said()
    world.tell(force(2.5, time=START + S))
    ((_, data),) = world.messages
    assert [(m.HasField("name"), m.alias, m.datatype) for m in data.metrics] == [(False, birth.metrics[0].alias, 10)]
    node, _ = {m.name: m for m in birth.metrics}, world.said()
    assert list(node["force"].properties.keys) == ["engUnit"]


def test_a_device_is_born_again_with_what_it_told_of_its_tags_since(world: World) -> None:
    world.emit(force(1.5), count(3))
    world.begin()
    world.said()
    for unit in ("Cel", "Cel", "K"):
        world.catalog.describe(COUNT, unit=unit, low=0.0, high=100.0)
        again = world.node.describe()
        assert not world.node.describe()
        births = {m.name: list(m.properties.keys) for _, payload in world.messages for m in payload.metrics}
        news = ["DBIRTH press force=1.5 count=3 _maintenance/wear=None"]
        assert (world.said(), again) == ((news, True) if births else ([], False))
        assert births.get("count", ["engUnit", "engLow", "engHigh"]) == ["engUnit", "engLow", "engHigh"]
    assert world.node.counts["device_births"] == 3
    assert world.node.counts["births"] == 1


def test_a_birth_that_says_it_already_is_not_repeated(world: World) -> None:
    world.catalog.describe(COUNT, unit="Cel")
    world.catalog.describe(HEAT, unit="Cel")
    world.begin()
    world.catalog.describe(HEAT, unit="K")
    assert not world.node.describe()
    assert world.node.counts["device_births"] == 1


def test_the_datatype_in_data_can_be_left_out() -> None:
    world = World(datatype_in_data=False)
    world.begin()
    world.tell(force(1.5))
    world.said()
    world.tell(force(2.5, time=START + S))
    assert not world.messages[0][1].metrics[0].HasField("datatype")


def test_the_sequence_goes_over_all_messages_and_wraps(world: World) -> None:
    world.begin()
    for i in range(600):
        world.tell(force(float(i), time=START + i * S))
    seen = [payload.seq for _, payload in world.messages]
    assert seen == [i % 256 for i in range(len(seen))]
    assert len(seen) > 600


def test_a_death_has_no_sequence_and_one_metric() -> None:
    told = parsed(death(255, 1_700_000_000_000))
    assert not told.HasField("seq")
    assert [(m.name, m.datatype, m.long_value) for m in told.metrics] == [("bdSeq", 4, 255)]


def test_what_came_before_the_birth_is_history_and_what_the_birth_said_is_not_said_again(world: World) -> None:
    past = [world.emit(force(float(i), time=START + i * S)) for i in range(3)]
    world.begin()
    world.said()
    world.node.publish(past)
    world.tell(force(3.0, time=START + 3 * S))
    assert world.said() == ["DDATA press force=0.0!", "DDATA press force=1.0!", "DDATA press force=3.0"]


def test_of_the_record_that_was_the_last_before_the_birth_all_but_the_last_is_history(world: World) -> None:
    past = world.emit(force(1.0, 2.0))
    world.begin()
    world.said()
    world.node.publish([past])
    assert world.said() == ["DDATA press force=1.0!"]


def test_what_a_device_has_kept_is_history_too(world: World) -> None:
    world.begin()
    world.tell(force(1.0, time=START + 9 * S))
    world.said()
    backfilled = force(0.5, 0.75)
    world.tell(replace(backfilled, historical=True))
    world.tell(force(2.0, time=START + 10 * S))
    assert world.said() == ["DDATA press force=0.5! force=0.75!", "DDATA press force=2.0"]


def test_only_what_changed_is_said(world: World) -> None:
    world.begin()
    world.tell(force(1.0), count(5))
    world.said()
    world.tell(force(1.0, time=START + S), count(5, time=START + S))
    world.tell(force(2.0, time=START + 2 * S), count(5, time=START + 2 * S))
    world.tell(force(1.0, time=START + 3 * S, quality=0x4095_0000))
    assert world.said() == ["DDATA press force=2.0", "DDATA press force=1.0"]


def test_of_a_tag_that_comes_twice_the_last_is_the_hosts_last(world: World) -> None:
    world.begin()
    world.tell(force(1.0))
    world.said()
    world.tell(force(2.0, 1.0, time=START + S))
    assert world.said() == ["DDATA press force=2.0 force=1.0"]


def test_a_device_dies_when_it_is_lost_and_is_born_when_it_is_back(world: World) -> None:
    world.begin()
    world.tell(force(1.0), count(5))
    world.said()
    world.alive["press"] = False
    world.tell(lost(FORCE, COUNT))
    assert world.said() == ["DDATA press count=None force=None", "DDEATH press"]
    world.tell(Batch.of([FORCE], START + 51 * S, [float("nan")], 0x808A_0000))
    assert world.said() == []  # its death has said so
    world.alive["press"] = True
    world.tell(force(2.0, time=START + 60 * S))
    assert world.said() == ["DBIRTH press count=None force=2.0 _maintenance/wear=None"]


def test_a_device_that_is_lost_without_a_word_is_noticed(world: World) -> None:
    world.emit(force(1.0))
    world.begin()
    world.said()
    world.alive["press"] = False
    world.node.bury()
    world.node.bury()
    assert world.said() == ["DDEATH press"]


def test_a_dead_device_has_a_past_that_is_told_in_one_life(world: World) -> None:
    """After an outage in which it was read, and then lost."""
    past = [world.emit(Batch.of([HEAT], START + i * S, [float(i)])) for i in range(3)]
    past += [world.emit(lost(HEAT)), world.emit(force(1.0))]
    world.begin()
    world.said()
    world.node.publish(past[:2])
    world.node.bury()
    world.node.publish(past[2:])
    assert world.said() == [
        "DBIRTH oven heat/top=None",
        "DDATA oven heat/top=0.0!",
        "DDATA oven heat/top=1.0!",
        "DDATA oven heat/top=2.0!",
        "DDEATH oven",
    ]


def test_a_metric_of_another_datatype_is_told_by_a_birth_first(world: World) -> None:
    world.begin()
    world.tell(force(1.0))
    assert world.said()[1:] == ["DBIRTH press force=None count=None _maintenance/wear=None", "DDATA press force=1.0"]
    world.tell(count(5, time=START + S))  # was told as Double without a value
    assert world.said() == ["DBIRTH press force=1.0 count=5 _maintenance/wear=None"]
    world.tell(Batch.of([COUNT], START + 2 * S, [2.5]))
    assert world.said() == ["DBIRTH press force=1.0 count=2.5 _maintenance/wear=None"]
    world.tell(count(6, time=START + 3 * S))
    assert world.said() == ["DDATA press count=6"]  # a String by now


def test_a_bad_reading_is_null_whatever_its_datatype(world: World) -> None:
    world.begin()
    world.tell(force(1.0), count(5))
    world.said()
    world.tell(lost(COUNT))
    world.tell(lost(FORCE))
    assert world.said() == ["DDATA press count=None", "DDATA press force=None"]


def test_readings_of_one_tag_stay_in_order_when_some_are_bad(world: World) -> None:
    """Bad readings are floats, whatever the tag is."""
    world.begin()
    world.tell(force(1.0), count(5))
    world.said()
    bad = Batch.of([COUNT, COUNT], [START + S, START + 3 * S], [float("nan")] * 2, TIMEOUT)
    world.tell(bad, count(6, time=START + 2 * S))
    assert world.said() == ["DDATA press count=None count=6 count=None"]


def test_metrics_of_one_message_are_in_order_of_time(world: World) -> None:
    world.begin()
    world.tell(force(1.0), count(5))
    world.said()
    world.tell(force(2.0, 3.0, 4.0, time=START + S), count(6, time=START + 2 * S))
    assert world.said() == ["DDATA press force=2.0 force=3.0 force=4.0", "DDATA press count=6"]


def test_what_is_derived_is_of_its_assets_device_or_of_the_node(world: World) -> None:
    world.begin()
    world.tell(force(1.0))
    world.said()
    world.tell(Batch.of([WEAR], START, [0.5]))
    world.tell(Batch.of([ENERGY], START, [9.5]))
    assert world.said() == ["DDATA press _maintenance/wear=0.5", "NDATA hall/energy=9.5"]


def test_a_record_of_several_owners_is_split(world: World) -> None:
    world.begin()
    world.tell(force(1.0))
    world.said()
    world.tell(Batch.of([ENERGY, FORCE], START + S, [9.5, 2.0]))
    assert sorted(world.said()) == ["DDATA press force=2.0", "NDATA hall/energy=9.5"]


def test_tags_that_are_new_are_born_before_their_data(world: World) -> None:
    world.begin()
    world.tell(force(1.0))
    world.said()
    new = world.catalog.add(Tag("acme/test/hall/press", "_kpi/oee"))
    world.tell(Batch.of([new], START, [0.8]))
    assert world.said() == ["DBIRTH press force=1.0 _kpi/oee=0.8 count=None _maintenance/wear=None"]
    new = world.catalog.add(Tag("acme/test/yard", "noise"))
    world.tell(Batch.of([new], START, [61.0]))
    said = world.said()
    assert said[0] == "NBIRTH yard/noise=61.0 hall/energy=None bdSeq=7 Node Control/Rebirth=False"
    assert said[1].startswith("DBIRTH press ")


def test_a_tag_that_is_not_configured_any_more_is_told_when_the_journal_has_it(world: World) -> None:
    world.catalog.reserve("acme/test/hall/press", "old")
    world.begin()
    world.tell(force(1.0))
    assert "old" not in "".join(world.said())
    world.tell(Batch.of([len(TAGS)], START, [4.0]))
    assert "old=4.0" in world.said()[0]


def test_a_device_whose_tags_are_others_dies_and_is_born_with_them(world: World) -> None:
    world.begin()
    world.tell(force(1.0))
    world.said()
    following = world.catalog.successor()
    for tag in (
        *(tag for number, tag in enumerate(TAGS) if number != COUNT),
        Tag(TAGS[FORCE].asset, "new", device="press"),
    ):
        following.add(tag)
    differing = world.catalog.differing(following)
    world.catalog.become(following, differing)
    world.latest.forget(differing)
    world.tell(force(2.0))
    world.tell(force(3.0))
    assert world.said() == [
        "DDEATH press",
        "DBIRTH press force=2.0 _maintenance/wear=None new=None",
        "DDATA press force=3.0",
    ]


def test_after_a_rebirth_everything_is_said_anew_with_the_same_number(world: World) -> None:
    world.begin(9)
    world.tell(force(1.0))
    world.messages.clear()
    waiting = world.emit(force(2.0, time=START + S))
    world.node.birth()
    assert [payload.seq for _, payload in world.messages] == [0, 1]
    assert world.said() == [
        "NBIRTH hall/energy=None bdSeq=9 Node Control/Rebirth=False",
        "DBIRTH press force=2.0 count=None _maintenance/wear=None",
    ]
    world.node.publish([waiting])
    assert world.said() == []  # the birth has said it


def test_a_waveform_a_text_and_a_mixture(world: World) -> None:
    values: Sequence[Any] = (np.array([1.5, -2.0]), "on", np.array([3.0]))
    world.begin()
    world.tell(Batch.of([FORCE], START, [values[0]]))
    birth = world.messages[-1][1]
    assert [(m.datatype, m.bytes_value) for m in birth.metrics if m.name == "force"] == [(31, values[0].tobytes())]
    world.said()
    world.tell(Batch.of([FORCE], START + S, [values[1]]))
    assert world.said() == ["DBIRTH press force=on count=None _maintenance/wear=None"]
    world.tell(Batch.of([FORCE], START + 2 * S, [values[2]]))
    assert world.said() == ["DDATA press force=[3.0]"]


def test_a_metric_is_found_by_alias_and_by_name_within_its_device(world: World) -> None:
    world.begin()
    world.tell(force(1.0))
    alias = next(m.alias for m in world.messages[1][1].metrics if m.name == "force")
    assert world.node.metric("press", name="force", alias=None) == (TAGS[FORCE], 10)
    assert world.node.metric("press", name="", alias=alias) == (TAGS[FORCE], 10)
    assert world.node.metric("oven", name="force", alias=None) is None
    assert world.node.metric("oven", name="", alias=alias) is None
