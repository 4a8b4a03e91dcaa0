"""What differs between two configurations, compared with a dumber way of looking: the texts of each thing."""

import json
from typing import Any

import hypothesis.strategies as st
from hypothesis import given, settings

from gateway.cli._process import check_text
from gateway.config import Config
from gateway.config.change import Change, Renamed, diff

NAMES = ("a", "b", "c", "d")
tags = st.fixed_dictionaries(
    {"register": st.integers(0, 5).map(lambda n: f"holding:{n}")},
    optional={"unit": st.sampled_from(["bar", "Cel"]), "scale": st.sampled_from([0.1, 10.0])},
)
devices = st.fixed_dictionaries(
    {
        "connect": st.sampled_from(["modbus://127.0.0.1:5020", "modbus://127.0.0.1:5021"]),
        "tags": st.dictionaries(st.sampled_from(NAMES), tags, min_size=1),
    },
    optional={"poll": st.sampled_from(["1s", "2s"])},
)
plants = st.fixed_dictionaries(
    {"devices": st.dictionaries(st.sampled_from(NAMES), devices)},
    optional={"bus": st.just({"root": "other"}), "changes": st.just({"trial": "5s"})},
)


def config(plant: dict[str, Any]) -> Config:
    with_assets = {name: keys | {"asset": f"hall/{name}"} for name, keys in plant["devices"].items()}
    text = json.dumps({"site": {"enterprise": "acme", "site": "test"}, **plant, "devices": with_assets})
    return check_text(text, "plant.yaml")[0]


def paths(plant: dict[str, Any]) -> set[str]:
    return {f"hall/{name}/{tag}" for name, keys in plant["devices"].items() for tag in keys["tags"]}


def read(keys: dict[str, Any]) -> str:
    """All that a connector is told, as a text."""
    as_read = {tag: {k: v for k, v in asked.items() if k != "unit"} for tag, asked in keys["tags"].items()}
    return json.dumps({"poll": "1s"} | keys | {"tags": as_read}, sort_keys=True)


def all_of(change: Change, what: str) -> list[str]:
    moved = {"added": "after", "removed": "before"}[what]
    listed = [path for device in change.devices for path in getattr(device, what)]
    return sorted(listed + [getattr(pair, moved) for device in change.devices for pair in device.renamed])


@settings(deadline=None)
@given(plants, plants)
def test_every_difference_is_told_and_nothing_else(old: dict[str, Any], new: dict[str, Any]) -> None:
    change = diff(config(old), config(new))
    assert all_of(change, "added") == sorted(paths(new) - paths(old))
    assert all_of(change, "removed") == sorted(paths(old) - paths(new))
    kept = {
        n for n in old["devices"].keys() & new["devices"].keys() if read(old["devices"][n]) == read(new["devices"][n])
    }
    assert set(change.untouched) == kept
    assert set(change.stops) == old["devices"].keys() - kept
    assert set(change.starts) == new["devices"].keys() - kept
    assert change.restart == (("bus.root",) if old.get("bus") != new.get("bus") else ())


@settings(deadline=None)
@given(plants)
def test_what_is_the_same_changes_nothing(plant: dict[str, Any]) -> None:
    change = diff(config(plant), config(plant))
    assert not change
    assert set(change.untouched) == plant["devices"].keys()


@settings(deadline=None)
@given(plants, plants)
def test_there_and_back_is_the_reverse(old: dict[str, Any], new: dict[str, Any]) -> None:
    there, back = diff(config(old), config(new)), diff(config(new), config(old))
    assert (sorted(there.stops), all_of(there, "added")) == (sorted(back.starts), all_of(back, "removed"))
    pairs = [pair for device in there.devices for pair in device.renamed]
    assert sorted(pairs, key=str) == sorted(
        (Renamed(pair.after, pair.before) for device in back.devices for pair in device.renamed), key=str
    )


def test_a_device_whose_secret_is_another_one_is_connected_anew() -> None:
    plant = {"devices": {"a": {"connect": "modbus://127.0.0.1", "tags": {"x": {"register": "holding:1"}}}}}
    change = diff(config(plant), config(plant), ["a"])
    assert (change.stops, change.starts) == (["a"], ["a"])
    assert str(change.devices[0]) == "device a is changed and reconnects"


@settings(deadline=None)
@given(plants.filter(lambda plant: plant["devices"]), devices, st.data())
def test_one_key_of_one_device_is_all_that_differs(
    plant: dict[str, Any], other: dict[str, Any], data: st.DataObject
) -> None:
    name = data.draw(st.sampled_from(sorted(plant["devices"])))
    key = data.draw(st.sampled_from(sorted(other)))
    after = {**plant, "devices": {**plant["devices"], name: plant["devices"][name] | {key: other[key]}}}
    change = diff(config(plant), config(after))
    touched = read(plant["devices"][name]) != read(after["devices"][name])
    assert (change.stops, change.starts) == (([name], [name]) if touched else ([], []))
    assert set(change.untouched) == plant["devices"].keys() - ({name} if touched else set())
