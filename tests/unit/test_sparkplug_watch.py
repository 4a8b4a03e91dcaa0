"""An edge node held against the standard: one that is right passes, and each thing that is wrong fails its check."""

from collections.abc import Callable
from typing import Any

import pytest

from gateway.bus.sparkplug.assertions import CHECKS
from gateway.bus.sparkplug.watch import Watch
from gateway.mqtt.sparkplug.names import Names
from tests.edge import (
    DBIRTH,
    DBIRTH_AGAIN,
    DDATA,
    DDATA_AGAIN,
    DDEATH,
    NBIRTH,
    NBIRTH_AGAIN,
    NDATA,
    NDEATH,
    NOW_MS,
    Said,
    conversation,
    dbirth,
    metric,
)

Change = Callable[[list[Said]], Any]


def watched(said: list[Said]) -> Watch:
    watch = Watch(Names("g", "n"))
    for one in said:
        payload = one.payload if isinstance(one.payload, bytes) else one.payload.SerializeToString()
        watch.hear(one.topic, payload, one.retained, one.qos, NOW_MS)
    return watch


def failed(said: list[Said]) -> set[int]:
    return {number for number, result in watched(said).results.items() if result.status == "fail"}


def test_there_are_66_checks_and_every_assertion_has_one_place_or_says_so_twice() -> None:
    assert [check.number for check in CHECKS] == list(range(1, 67))
    ids = [name for check in CHECKS for name in check.ids]
    assert len(ids) > 190
    assert {name for name in ids if ids.count(name) > 1} == {"payloads-dbirth-order"}


def test_a_node_that_is_right_passes_and_what_it_never_did_was_not_seen() -> None:
    results = watched(conversation()).results
    assert failed(conversation()) == set()
    seen = {number for number, result in results.items() if result.status == "pass"}
    assert {1, 2, 11, 12, 13, *range(17, 29), *range(31, 40), 41, 43, 44, 45, 46, 47} <= seen
    assert not seen & {5, 6, 7, 14, 48, 51, 53, 56, 60, 61, 65}


def first(said: list[Said], at: int) -> Any:
    return said[at].payload.metrics[0]


def turn(said: Any, **fields: Any) -> None:
    for name, value in fields.items():
        setattr(said, name, value)


def definition(said: list[Said], at: int, *, ref: str = "") -> None:
    """Add a template definition and an instance of it."""
    defined = metric(said[at].payload, "motor", None, 19).template_value
    defined.is_definition = True
    if ref:
        defined.template_ref = ref
    defined.metrics.add(name="speed", datatype=10)


def instance(said: list[Said], *, member: str = "speed", defined: bool = False) -> None:
    if defined:
        definition(said, NBIRTH)
    one = metric(said[DBIRTH].payload, "motor1", 9, 19).template_value
    one.is_definition, one.template_ref = False, "motor"
    one.metrics.add(name=member, datatype=10, double_value=1.0)


def table(said: list[Said], columns: int, types: list[int]) -> None:
    found = metric(said[DBIRTH].payload, "table", 8, 16).dataset_value
    found.num_of_columns = columns
    found.columns.extend(["a", "b"])
    found.types.extend(types)


WRONG: dict[str, tuple[Change, set[int]]] = {
    "an unknown verb": (lambda s: s.append(Said("spBv1.0/g/NOISE/n", b"")), {1}),
    "a device in a message of the node": (lambda s: s.append(Said("spBv1.0/g/NDATA/n/x", b"")), {1}),
    "an empty id": (lambda s: s.append(Said("spBv1.0/g/DDATA/n/", b"")), {2, 32, 38, 39}),
    "two devices that differ in case": (lambda s: s.insert(-1, dbirth(3, device="Press")), {4, 43}),
    "two metrics that differ in case": (lambda s: turn(s[DBIRTH].payload.metrics[1], name="Force"), {4}),
    "a death of two metrics": (lambda s: metric(s[NDEATH].payload, "x", None, 4, long_value=1), {11}),
    "a death with a seq": (lambda s: turn(s[NDEATH].payload, seq=7), {12}),
    "a death of another connection": (lambda s: turn(first(s, NDEATH), long_value=9), {21}),
    "a bdSeq that does not grow": (lambda s: turn(first(s, NBIRTH_AGAIN), long_value=0), {13, 21}),
    "a birth with QoS 1": (lambda s: turn(s[NBIRTH], qos=1), {18}),
    "a birth that is no protobuf": (lambda s: turn(s[NBIRTH_AGAIN], payload=b"\xff"), {19, 27, 31, 39}),
    "a birth of yesterday": (lambda s: turn(s[NBIRTH].payload, timestamp=NOW_MS - 86_400_000), {19}),
    "a birth of tomorrow": (lambda s: turn(s[NBIRTH].payload, timestamp=NOW_MS + 5_000), {19}),
    "a birth whose seq is 1": (lambda s: turn(s[NBIRTH].payload, seq=1), {20, 31, 39}),
    "a birth without bdSeq": (lambda s: turn(first(s, NBIRTH), name="other"), {21}),
    "a bdSeq of another type": (lambda s: turn(first(s, NBIRTH), datatype=8), {21}),
    "a birth without rebirth": (lambda s: turn(s[NBIRTH].payload.metrics[1], name="Rebirth"), {22}),
    "a rebirth that is true": (lambda s: turn(s[NBIRTH].payload.metrics[1], boolean_value=True), {22}),
    "a rebirth with an alias": (lambda s: turn(s[NBIRTH].payload.metrics[1], alias=7), {23}),
    "a node metric without a value": (lambda s: s[NBIRTH].payload.metrics[2].ClearField("double_value"), {24}),
    "a node metric without a datatype": (lambda s: s[NBIRTH].payload.metrics[2].ClearField("datatype"), {24}),
    "a null with a value": (lambda s: turn(s[NBIRTH].payload.metrics[2], is_null=True), {24}),
    "a value in the wrong field": (lambda s: turn(s[NBIRTH].payload.metrics[2], float_value=1.0), {24}),
    "a metric without a time": (lambda s: first(s, DDATA).ClearField("timestamp"), {25}),
    "data of a metric the node does not have": (lambda s: turn(first(s, NDATA), alias=99), {26}),
    "data of a device's metric in the node": (lambda s: turn(first(s, NDATA), alias=2), {26}),
    "a device with QoS 1": (lambda s: turn(s[DBIRTH], qos=1), {29}),
    "a device birth without a time": (lambda s: s[DBIRTH].payload.ClearField("timestamp"), {30}),
    "a device birth with a wrong seq": (lambda s: turn(s[DBIRTH].payload, seq=5), {31, 36, 39}),
    "a device that was never born": (lambda s: turn(s[NDATA], topic="spBv1.0/g/DDATA/n/oven"), {32}),
    "a device metric without a value": (lambda s: s[DBIRTH].payload.metrics[1].ClearField("is_null"), {33}),
    "data of a metric the device does not have": (lambda s: turn(first(s, DDATA), alias=99), {34}),
    "node data with QoS 1": (lambda s: turn(s[NDATA], qos=1), {35}),
    "node data without a time": (lambda s: s[NDATA].payload.ClearField("timestamp"), {36}),
    "device data with QoS 1": (lambda s: turn(s[DDATA], qos=1), {37}),
    "device data that is lost": (lambda s: s.pop(DDATA_AGAIN - 3), {46, 39}),
    "device data without a seq": (lambda s: s[DDATA].payload.ClearField("seq"), {38, 39}),
    "a seq that comes twice": (lambda s: turn(s[DDATA_AGAIN].payload, seq=5), {38, 39}),
    "metrics out of order": (lambda s: turn(first(s, DBIRTH), timestamp=NOW_MS + 5), {41}),
    "a datatype that is none": (lambda s: turn(first(s, DBIRTH), datatype=99), {42}),
    "an alias of two metrics": (lambda s: turn(s[DBIRTH].payload.metrics[1], alias=2), {43}),
    "an alias that the node has too": (lambda s: turn(s[DBIRTH].payload.metrics[1], alias=1), {43}),
    "data by name and alias": (lambda s: turn(first(s, DDATA), name="force"), {43}),
    "a property without a value": (lambda s: first(s, DBIRTH).properties.keys.append("x"), {44}),
    "a property without a type": (lambda s: first(s, DBIRTH).properties.values[0].ClearField("type"), {44, 45}),
    "a quality of another number": (lambda s: turn(first(s, DBIRTH).properties.values[0], int_value=100), {45}),
    "a quality of another type": (lambda s: turn(first(s, DBIRTH).properties.values[0], type=4), {45}),
    "a device death with QoS 1": (lambda s: turn(s[DDEATH], qos=1), {46}),
    "a device death with a wrong seq": (lambda s: turn(s[DDEATH].payload, seq=9), {31, 39, 46}),
    "data of a dead device": (lambda s: s.pop(DBIRTH_AGAIN), {38, 39, 47}),
    "a rebirth with another bdSeq": (lambda s: s.pop(NDEATH), {52}),
    "a table with a column too many": (lambda s: table(s, 3, [3, 3]), {60}),
    "a table of tables": (lambda s: table(s, 2, [3, 16]), {60}),
    "a definition with a reference": (lambda s: definition(s, NBIRTH, ref="x"), {61}),
    "a definition in a device": (lambda s: definition(s, DBIRTH), {61}),
    "an instance of nothing": (instance, {62}),
    "an instance with more members": (lambda s: instance(s, member="x", defined=True), {62}),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_fails_its_check_and_no_other(name: str) -> None:
    change, numbers = WRONG[name]
    said = conversation()
    change(said)
    assert failed(said) == numbers


def test_an_instance_and_a_table_that_are_right_pass() -> None:
    said = conversation()
    instance(said, defined=True)
    table(said, 2, [3, 10])
    results = watched(said).results
    assert failed(said) == set()
    assert [results[number].status for number in (60, 61, 62)] == ["pass"] * 3


def test_what_is_only_recommended_is_advice() -> None:
    said = conversation()
    first(said, DDATA).datatype = 10
    first(said, DDATA).double_value = 1.5  # as the birth said
    results = watched(said).results
    assert failed(said) == set()
    assert "repeats" in results[42].advice
    assert results[40].advice.startswith("1 metrics")


def test_retained_messages_fail_and_are_of_another_time() -> None:
    watch = watched([Said("spBv1.0/g/NBIRTH/n", conversation()[0].payload, retained=True)])
    assert watch.results[18].status == "fail"
    assert not watch.online


def test_a_watch_that_begins_in_the_middle_blames_nobody() -> None:
    assert failed(conversation()[NDATA:]) == set()


def test_births_that_are_asked_for_must_be_of_all_that_were_alive() -> None:
    said = conversation()[:DDATA]
    watch = watched(said)
    watch.ask_rebirth()
    for one in conversation()[:DBIRTH]:
        watch.hear(one.topic, one.payload.SerializeToString(), False, 0, NOW_MS)
    assert not watch.reborn()
    one = conversation()[DBIRTH]
    watch.hear(one.topic, one.payload.SerializeToString(), False, 0, NOW_MS)
    assert watch.reborn()
    assert watch.results[51].status == "pass"
    assert watch.value("press", "force") == 1.5
    assert watch.value("oven", "force") is None
