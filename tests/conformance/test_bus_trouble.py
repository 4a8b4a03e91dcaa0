"""What can be wrong with messages: sensors, gateways and edge nodes that do not do as they should, on a real broker."""

import asyncio
import json
import logging
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from connectors import bus
from gateway.clock import SystemClock
from gateway.contracts import Device, DeviceError
from gateway.model import Batch, Quality, Tag
from gateway.model.quality import name as words
from tests import edge, servers, speakers
from tests.conformance.test_connectors import PATIENCE_S, Heard

T0_MS = 1_767_592_800_000


class Reader:
    """A connector on a broker where somebody speaks, and what it has told."""

    def __init__(self, speaker: speakers.Speaker, tags: dict[str, dict[str, Any]], **device: Any) -> None:
        self.speaker = speaker
        self.names = list(tags)
        one = Device(
            name="d",
            url=speaker.url,
            options=bus.DeviceOptions(**{"timeout": "300ms"} | device),
            tags=[Tag("plant/d", tag) for tag in tags],
            numbers=np.arange(len(tags), dtype=np.uint32),
            tag_options=[bus.TagOptions(**keys) for keys in tags.values()],
        )
        self.connector = bus.connector(one, SystemClock())
        self.heard = Heard(self.names)

    @property
    def counts(self) -> dict[str, int]:
        return {name: n for name, n in self.connector.counts.items() if n and name != "messages"}

    @property
    def remarks(self) -> list[str]:
        return list(self.connector.learned.get("remarks", []))

    def readings(self, tag: str) -> list[tuple[Any, int, str, bool]]:
        """Value, time in ms, quality and whether it was late, of each reading of a tag."""
        rows = []
        for batch in self.heard.batches:
            for number, value, at, code in zip(*(c.tolist() for c in _columns(batch)), strict=True):
                if self.names[number] == tag:
                    rows.append((value, at // 10**6, words(code) if code else "Good", batch.historical))
        return rows

    async def until(self, tag: str, value: Any, quality: str = "Good") -> None:
        """Wait until the last reading of a tag is this."""

        def told() -> bool:
            rows = self.readings(tag)
            return bool(rows) and rows[-1][2] == quality and (value is None or rows[-1][0] == value)

        await self.heard.until(told)


def _columns(batch: Batch) -> tuple[Any, ...]:
    return batch.tag, batch.value, batch.time, batch.quality


@asynccontextmanager
async def reading(
    tags: dict[str, dict[str, Any]], *, before: Any = None, broker: Any = servers.mosquitto, **device: Any
) -> AsyncIterator[Reader]:
    async with speakers.speaker(broker) as speaker:
        if before is not None:
            before(speaker)
            await speaker.confirmed()
        reader = Reader(speaker, tags, **device)
        async with asyncio.timeout(60), asyncio.TaskGroup() as tasks:
            task = tasks.create_task(reader.connector.run(reader.heard))
            yield reader
            task.cancel()


HALL = {"t": {"topic": "hall/t"}, "ready": {"topic": "hall/ready"}}


@asynccontextmanager
async def sensors(tags: dict[str, dict[str, Any]], **more: Any) -> AsyncIterator[Reader]:
    """A reader that is subscribed: it has heard the last of its topics, `hall/ready`."""
    async with reading({**tags, "ready": {"topic": "hall/ready"}}, **more) as reader:
        while not reader.readings("ready") or reader.readings("ready")[-1][0] != "yes":
            reader.speaker.publish("hall/ready", "yes")
            await asyncio.sleep(0.01)
        yield reader


async def test_a_malformed_message_makes_its_tag_bad_is_counted_and_said_once(caplog: pytest.LogCaptureFixture) -> None:
    tags = {"t": {"topic": "hall/t", "type": "number"}, "u": {"topic": "hall/t"}}
    async with sensors(tags) as reader:
        for payload in ("23.5", "unavailable", "24.5", "out of order"):
            reader.speaker.publish("hall/t", payload)
        await reader.until("t", None, "BadDecodingError")
        await reader.heard.until(lambda: len(reader.readings("t")) >= 4 + _unheard(reader, "t"))
    told = [(value, quality) for value, _, quality, _ in reader.readings("t")[-4:]]
    assert told[0] == (23.5, "Good")
    assert told[2] == (24.5, "Good")
    assert [quality for _, quality in told[1::2]] == ["BadDecodingError"] * 2
    assert reader.counts["malformed"] == 4
    lines = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert (
        sum("device d: t: a message on hall/t is not used: 'unavailable' is no number" in line for line in lines) == 1
    )
    assert sum("'unavailable' is no number, and its values have been" in line for line in lines) == 1
    assert any("'out of order' is no number" in remark for remark in reader.remarks)


def _unheard(reader: Reader, tag: str) -> int:
    """How often it was said that nothing came."""
    return sum(quality == "BadWaitingForInitialData" for _, _, quality, _ in reader.readings(tag))


async def test_values_that_are_none_and_those_that_are_too_large(caplog: pytest.LogCaptureFixture) -> None:
    async with sensors({"t": {"topic": "hall/t"}, "text": {"topic": "hall/text"}}) as reader:
        for payload in ("NaN", "", "null", "x" * (1 << 20)):
            reader.speaker.publish("hall/t", payload)
            reader.speaker.publish("hall/t", "1.5")
        reader.speaker.publish("hall/text", "x" * (1 << 20) + "x")
        await reader.until("text", None, "BadEncodingLimitsExceeded")
    told = [quality for _, _, quality, _ in reader.readings("t") if quality != "BadWaitingForInitialData"]
    assert told == [*["BadNoDataAvailable", "Good"] * 3, "BadDecodingError", "Good"]
    assert (reader.counts["malformed"], reader.counts["too_large"]) == (1, 1)


async def test_a_message_without_a_value_is_a_message() -> None:
    tags = {"gone": {"topic": "hall/gone"}, "never": {"topic": "hall/never"}}
    async with sensors(tags, timeout="2s") as reader:
        reader.speaker.publish("hall/gone", "")
        await reader.until("never", None, "BadWaitingForInitialData")
    assert [row[2] for row in reader.readings("gone")] == ["BadNoDataAvailable"]
    assert [remark.split(":")[0] for remark in reader.remarks] == ["never"]


async def test_a_retained_message_is_not_taken_for_fresh() -> None:
    def before(speaker: speakers.Speaker) -> None:
        speaker.publish("hall/t", "20.5", retain=True)
        speaker.publish("hall/air", json.dumps({"v": 7, "ts": T0_MS}), retain=True)

    tags = {"t": {"topic": "hall/t"}, "air": {"topic": "hall/air", "value": "$.v", "time": "$.ts", "time_unit": "ms"}}
    async with reading(tags, before=before) as reader:
        await reader.until("t", 20.5, "UncertainLastUsableValue")
        await reader.until("air", 7.0, "UncertainLastUsableValue")
        assert reader.readings("air") == [(7.0, T0_MS, "UncertainLastUsableValue", False)]
        reader.speaker.publish("hall/t", "20.5", retain=True)  # live now, and so is not flagged
        await reader.until("t", 20.5)
    assert reader.counts == {"retained": 2}


async def test_repeated_late_and_wrong_times_of_a_sensor() -> None:
    keys = {"topic": "hall/t", "value": "$.v", "time": "$.ts", "time_unit": "ms"}
    async with sensors({"t": keys}) as reader:
        for value, ms in [(1, 10), (2, 20), (2, 20), (1.5, 15), (3, "soon"), (2, 20), (2, 20), (4, 40)]:
            at = T0_MS + ms if isinstance(ms, int) else ms
            reader.speaker.publish("hall/t", json.dumps({"v": value, "ts": at}))
        await reader.heard.until(lambda: any(row[0] == 4.0 for row in reader.readings("t")))
    told = [row for row in reader.readings("t") if row[2] != "BadWaitingForInitialData"]
    good = [(row[0], row[1] - T0_MS, row[3]) for row in told if row[2] == "Good"]
    assert [row for row in good if not row[2]] == [
        (1.0, 10, False),
        (2.0, 20, False),
        (2.0, 20, False),
        (4.0, 40, False),
    ]
    assert [row for row in good if row[2]] == [(1.5, 15, True)]
    assert [row[2] for row in told].count("BadDecodingError") == 1
    assert {name: reader.counts[name] for name in ("repeated", "late", "malformed")} == {
        "repeated": 2, "late": 1, "malformed": 1,
    }  # fmt: skip


async def test_a_silent_sensor_is_stale_once_and_fresh_when_it_speaks() -> None:
    async with sensors({"t": {"topic": "hall/t", "stale": "200ms"}}) as reader:
        reader.speaker.publish("hall/t", "20.5")
        await reader.until("t", 20.5)
        at = reader.readings("t")[-1][1]
        await reader.until("t", 20.5, "UncertainNoCommunicationLastUsableValue")
        assert reader.readings("t")[-1][1] == at
        reader.speaker.publish("hall/t", "20.5")
        await reader.until("t", 20.5)
        await reader.until("t", 20.5, "UncertainNoCommunicationLastUsableValue")
    assert reader.counts["stale"] == 2


async def test_topics_and_texts_of_any_language_and_many_values_of_a_document() -> None:
    tags = {
        "t": {"topic": "Halle/Öfen 3/°C", "value": "$['Öfen 3'].t[1]"},
        "state": {"topic": "Halle/Öfen 3/°C", "value": "$.状態", "status": "$.s"},
    }
    async with sensors(tags) as reader:
        said = {"Öfen 3": {"t": [1, 2.5]}, "状態": "運転", "s": int(Quality.UNCERTAIN_SUB_NORMAL)}
        reader.speaker.publish("Halle/Öfen 3/°C", json.dumps(said, ensure_ascii=False))
        await reader.until("state", "運転", "UncertainSubNormal")
        await reader.until("t", 2.5)
        reader.speaker.publish("Halle/Öfen 3/°C", '{"s":-1,"状態":1}')
        await reader.until("state", None, "BadDecodingError")
        await reader.until("t", None, "BadDecodingError")
    assert "t: a message on Halle/Öfen 3/°C is not used: there is no $['Öfen 3'].t[1] in it" in reader.remarks
    assert "state: a message on Halle/Öfen 3/°C is not used: '-1' is no StatusCode" in reader.remarks


CLOSED = """
authorization: {users: [{user: a, password: b, permissions: {publish: ">", subscribe: {deny: "secret.>"}}}]}
no_auth_user: a
"""
"""Nobody may hear what is below `secret/`; nats-server says so in its SUBACK, Mosquitto would say nothing."""


def closed(folder: Path) -> Any:
    return servers.nats(folder, CLOSED)


async def test_a_topic_that_the_broker_refuses_spoils_no_other() -> None:
    async with sensors({"t": {"topic": "secret/t"}}, broker=closed) as reader:
        await reader.until("t", None, "BadUserAccessDenied")
        await reader.until("ready", "yes")
    assert "t: the broker refuses secret/t: let this user read it, in the broker" in reader.remarks


def locked(folder: Path) -> Any:
    return servers.mosquitto(folder, "allow_anonymous false\n")


async def test_a_broker_that_does_not_let_us_in_says_so(tmp_path: Path) -> None:
    with locked(tmp_path) as broker:
        reader = Reader(speakers.Speaker(broker), HALL)
        with pytest.raises(DeviceError, match="the broker refused") as caught:
            await reader.connector.run(reader.heard)
    assert caught.value.quality == Quality.BAD_USER_ACCESS_DENIED


# --- gateways -----------------------------------------------------------------------------

COLUMNS: dict[str, dict[str, Any]] = {"temperature": {}, "running": {}}


@asynccontextmanager
async def batches(tags: dict[str, dict[str, Any]] = COLUMNS, **more: Any) -> AsyncIterator[Reader]:
    """A reader that has heard at least one batch message."""
    async with reading(tags, batch=speakers.ASSET, **more) as reader:
        while not any(row[2] == "Good" for row in reader.readings("temperature")):
            reader.speaker.batch()
            await asyncio.sleep(0.02)
        yield reader


async def until(true: Callable[[], bool]) -> None:
    for _ in range(round(PATIENCE_S * 100)):
        if true():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it did not become true")


async def test_what_is_missing_is_asked_for_and_taken_once() -> None:
    async with batches() as reader:
        speaker = reader.speaker
        first = speaker.sequence + 1
        speaker.sequence += 3  # two of them come again, one is gone
        speaker.values["temperature"] = 99.0
        again = speaker.batch()
        speaker.publish(f"{speakers.ASSET}/_batch", again)
        await until(lambda: any(topic.endswith("/replay") for topic, _ in speaker.heard))
        request = json.loads(next(payload for topic, payload in speaker.heard if topic.endswith("/replay")))
        assert (request["first"], request["last"], request["asset"]) == (first, first + 2, "acme/dresden/line1/filler")
        replayed = f"{speakers.GATEWAY}/replayed/{request['reply']}"
        for sequence in (first, first + 1, first):
            message = json.loads(again) | {"seq": sequence, "values": [float(sequence), 0, "0", False, ""]}
            speaker.publish(f"{replayed}/{request['asset']}/_batch", json.dumps(message))
        speaker.publish(replayed, json.dumps(request | {"missing": [[first + 2, first + 2]], "next": None}))
        await until(lambda: reader.counts.get("lost_messages") == 1)
    late = [row[0] for row in reader.readings("temperature") if row[3]]
    assert late == [float(first), float(first + 1)]
    assert [row[0] for row in reader.readings("temperature")].count(99.0) == 1
    counts = reader.counts
    assert (counts["gaps"], counts["replayed"], counts["repeated"]) == (3, 2, 2)
    assert any("1 messages are lost" in remark for remark in reader.remarks)


async def test_messages_that_are_none_do_not_stop_those_that_are(caplog: pytest.LogCaptureFixture) -> None:
    async with batches() as reader:
        for payload in (b"{}", b"\xff", b"[1]", b'{"v":1}'):
            reader.speaker.publish(f"{speakers.ASSET}/_batch", payload)
        reader.speaker.batch(time="now")
        reader.speaker.batch(status=[-1] * 5)
        reader.speaker.batch(values=[1.5])
        reader.speaker.batch(time=2**70)
        reader.speaker.batch(time=time.time_ns())  # microseconds are wanted
        reader.speaker.publish(f"{speakers.GATEWAY}/status", b'"?"')
        reader.speaker.values["temperature"] = 33.0
        reader.speaker.batch()
        await reader.until("temperature", 33.0)
    assert reader.counts["malformed"] == 9
    assert sum("a message is not used" in record.getMessage() for record in caplog.records) == 1


async def test_a_gateway_that_is_offline_makes_its_tags_bad_and_back_they_are_looked_up() -> None:
    async with batches() as reader:
        speaker = reader.speaker
        told = {"value": 55.5, "timestamp": "2026-01-05T06:00:00.123456Z", "quality": "good"}
        speaker.publish(f"{speakers.ASSET}/temperature", json.dumps(told), retain=True)
        speaker.publish(f"{speakers.ASSET}/running", '{"value":null}', retain=True)
        speaker.publish(f"{speakers.GATEWAY}/status", '{"online":false}', retain=True)
        await reader.until("temperature", None, "BadNoCommunication")
        assert any("gateway gw1: it is offline" in remark for remark in reader.remarks)
        speaker.publish(f"{speakers.GATEWAY}/status", '{"online":true}', retain=True)
        await reader.until("temperature", 55.5)  # it did not change, so no batch message has it
        assert reader.readings("temperature")[-1][1] == 1_767_592_800_123
        await reader.until("running", None, "BadWaitingForInitialData")
    assert not any("offline" in remark for remark in reader.remarks)


async def test_what_a_gateway_has_retained_is_uncertain_if_nobody_knows_whether_it_is_there() -> None:
    def before(speaker: speakers.Speaker) -> None:
        told = {"value": 55.5, "timestamp": "2026-01-05T06:00:00.123456Z", "quality": "good"}
        speaker.publish(f"{speakers.ASSET}/temperature", json.dumps(told), retain=True)

    async with reading(COLUMNS, before=before, batch=speakers.ASSET) as reader:
        await reader.until("temperature", 55.5, "UncertainLastUsableValue")
        await reader.until("running", None, "BadWaitingForInitialData")


async def test_a_gateway_that_lost_its_journal_is_followed() -> None:
    async with batches() as reader:
        reader.speaker.sequence = 0
        reader.speaker.values["temperature"] = 44.0
        reader.speaker.batch()
        await reader.until("temperature", 44.0)
        reader.speaker.gateway = "gw9"
        reader.speaker.values["temperature"] = 45.0
        reader.speaker.batch()
        await reader.until("temperature", 45.0)
    assert any("is of gw9 now, and was of gw1" in remark for remark in reader.remarks)


async def test_a_gateway_that_falls_silent_is_a_timeout() -> None:
    async with speakers.speaker() as speaker:
        reader = Reader(speaker, COLUMNS, batch=speakers.ASSET, stale="300ms")
        with pytest.raises(TimeoutError, match=r"no message on uns/.*/_batch within 0\.3 s"):
            await reader.connector.run(reader.heard)


# --- edge nodes ---------------------------------------------------------------------------


def say(speaker: speakers.Speaker, said: edge.Said) -> None:
    speaker.publish(said.topic, said.payload.SerializeToString(), qos=said.qos, retain=said.retained)


async def test_an_edge_node_is_born_speaks_loses_messages_and_dies() -> None:
    async with reading({"force": {}, "state": {}, "speed": {}}, sparkplug="g/n/press", timeout="10s") as reader:
        speaker = reader.speaker
        await until(lambda: len(speaker.heard) == 1)  # asked for its birth
        now_ms = time.time_ns() // 10**6
        say(speaker, edge.ddata(7, 0.5))  # of a session that we have not heard begin
        say(speaker, edge.nbirth(3, now_ms=now_ms))
        say(speaker, edge.dbirth(1, now_ms=now_ms))
        await reader.until("force", 1.5)
        await reader.until("state", None, "BadNoDataAvailable")
        await reader.until("speed", None, "BadNodeIdUnknown")
        assert any("its birth has no metric speed, but force, state" in remark for remark in reader.remarks)
        say(speaker, edge.ddata(2, 2.5, now_ms=now_ms + 1))
        await reader.until("force", 2.5)
        say(speaker, edge.ddata(5, 3.5, now_ms=now_ms + 2))
        await reader.until("force", 3.5)
        assert reader.counts["gaps"] == 2
        await until(lambda: len(speaker.heard) == 2)
        say(speaker, edge.ndeath(2))  # the will of the session before
        bad = edge.ddata(6, 9.5, now_ms=now_ms + 3)
        bad.payload.metrics[0].is_historical = True
        say(speaker, bad)
        await reader.until("force", 9.5)
        assert reader.readings("force")[-1] == (9.5, now_ms + 3, "Good", True)
        speaker.publish("spBv1.0/g/DDATA/n/press", b"\x0f", qos=0)
        say(speaker, edge.ndeath(3))
        await reader.until("force", None, "BadNoCommunication")
    assert reader.counts["malformed"] == 1
    assert reader.counts["rebirths"] == 2


async def test_an_edge_node_without_a_birth_is_said() -> None:
    async with reading({"force": {}}, sparkplug="g/n/press", rebirth=False) as reader:
        await reader.until("force", None, "BadWaitingForInitialData")
        say(reader.speaker, edge.dbirth(1))
        await reader.until("force", 1.5)
        say(reader.speaker, edge.ddeath(2))
        await reader.until("force", None, "BadNoCommunication")
    assert reader.speaker.heard == []
    assert reader.counts == {}
