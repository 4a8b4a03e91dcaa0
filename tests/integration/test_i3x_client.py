"""CESMII's own client walks through the demonstration plant."""

import queue
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import i3x
import jsonschema
import orjson
import pytest

from tests import servers

SITE = "acme/dresden"
FILLER = f"{SITE}/packaging/line1/filler"
TEMPERATURE = f"{FILLER}/temperature"
PUMP = f"{SITE}/utilities/pump1"


def until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + 30
    while not true():
        assert time.monotonic() < end, "it did not become true"
        time.sleep(0.1)


@pytest.fixture(scope="module")
def plant(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The base URL of a demonstration whose temperature has been read."""
    folder: Path = tmp_path_factory.mktemp("i3x")
    options = ["--json", "--data", str(folder / "demo"), "--port", str(servers.free_port())]
    demo = subprocess.Popen(
        [sys.executable, "-m", "gateway", "demo", *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert demo.stdout is not None
    url = orjson.loads(demo.stdout.readline())["api"] + "/i3x/v1"
    with i3x.Client(url) as client:
        until(lambda: bool(client.get_value(TEMPERATURE).quality == "Good"))
    yield url
    demo.terminate()
    _, errors = demo.communicate(timeout=60)
    assert demo.returncode == 0, errors


@pytest.fixture
def client(plant: str) -> Iterator[Any]:
    with i3x.Client(plant, client_id="tests") as one:
        yield one


def test_it_takes_us_for_a_server_of_the_release(client: Any) -> None:
    assert client.server_info.spec_version == "1.0"
    assert not client._is_beta_server
    assert client.get_info() == client.server_info


def test_it_walks_down_from_the_enterprise_to_every_tag(client: Any) -> None:
    (root,) = client.get_objects(root=True)
    seen, waiting = {}, [root]
    while waiting:
        one = waiting.pop()
        seen[one.element_id] = one
        below = client.get_related_objects([one.element_id])
        names = ("HasChildren", "HasComponent")
        waiting += [edge.object for edge in below if edge.source_relationship in names]
    every = {one.element_id: one for one in client.get_objects()}
    assert {id: one.parent_id for id, one in seen.items()} == {id: one.parent_id for id, one in every.items()}
    assert {SITE, FILLER, TEMPERATURE} < seen.keys()
    assert seen[FILLER].is_composition


def test_every_good_value_is_of_the_type_of_its_object(client: Any) -> None:
    objects = client.get_objects(include_metadata=True)
    assert {one.metadata.type_namespace_uri for one in objects} <= {one.uri for one in client.get_namespaces()}
    values = client.get_values([one.element_id for one in objects])
    assert len(values) == len(objects) > 179
    types = {one.element_id: one for one in client.get_object_types()}
    fresh = {one.element_id: one.type_element_id for one in client.get_objects()}
    assert {one.namespace_uri for one in types.values()} <= {one.uri for one in client.get_namespaces()}
    for value in values.values():
        if value.value is not None:
            jsonschema.validate(value.value, types[fresh[value.element_id]].schema)
    assert sum(value.quality == "Good" for value in values.values()) > 100


def test_a_machine_has_components_and_a_history(client: Any) -> None:
    deep = client.get_value(FILLER, max_depth=0)
    assert deep.components[TEMPERATURE].quality == "Good"
    assert deep.value["temperature"] == deep.components[TEMPERATURE].value

    def past(id: str) -> list[Any]:
        ends = (datetime.now(UTC) - timedelta(minutes=5), datetime.now(UTC))
        start, end = (f"{one:%Y-%m-%dT%H:%M:%S.%fZ}" for one in ends)
        return list(client.get_history(id, start, end).values)

    until(lambda: len(past(TEMPERATURE)) > 3)
    times = [one.timestamp for one in past(TEMPERATURE)]
    assert times == sorted(times)
    assert any("temperature" in (one.value or {}) for one in past(FILLER))


def test_it_syncs(client: Any) -> None:
    id = client.create_subscription("by sync")
    assert all(item["success"] for item in client.register_items(id, [TEMPERATURE, FILLER, PUMP], max_depth=0))
    first = client.sync_subscription(id)
    assert {one.element_id for one in first[0].updates} == {TEMPERATURE, FILLER, PUMP}
    last = first[-1].sequence_number
    updates: list[Any] = []

    def more() -> bool:
        nonlocal last
        for batch in client.sync_subscription(id, last):
            assert batch.sequence_number > last
            last = batch.sequence_number
            updates.extend(one for one in batch.updates if one.element_id == TEMPERATURE)
        return len({one.timestamp for one in updates}) > 3

    until(more)
    assert [one.timestamp for one in updates] == sorted(one.timestamp for one in updates)
    assert client.get_subscription(id).display_name == "by sync"
    client.unregister_items(id, [TEMPERATURE])
    client.unsubscribe(id)
    with pytest.raises(i3x.NotFoundError):
        client.sync_subscription(id)


def test_it_streams(client: Any) -> None:
    changes: queue.Queue[Any] = queue.Queue()
    errors: list[Exception] = []
    client.on_value_change = lambda _, change: changes.put(change)
    client.on_error = lambda _, error: errors.append(error)
    subscription = client.subscribe([TEMPERATURE, FILLER])
    seen = [changes.get(timeout=30) for _ in range(12)]
    assert {one.element_id for one in seen} == {TEMPERATURE, FILLER}
    with pytest.raises(i3x.I3XError, match="being streamed"):
        client.sync_subscription(subscription)
    client.unsubscribe(subscription)
    assert errors == []


def test_it_gives_back_what_it_was_told_and_nothing_else(client: Any) -> None:
    for id in (TEMPERATURE, FILLER, SITE):
        told = client.get_value(id)
        vqt = {"value": told.value, "quality": told.quality, "timestamp": told.timestamp}
        client.update_value(id, vqt)
        client.update_history(id, vqt)
    with pytest.raises(i3x.I3XError, match="may not be written"):
        client.update_value(TEMPERATURE, 1e6)


def test_what_is_not_there_is_told_as_that(client: Any) -> None:
    with pytest.raises(i3x.NotFoundError):
        client.get_value("acme/nowhere")
    with pytest.raises(i3x.NotFoundError):
        client.get_object("acme/nowhere")
