"""What hosts say to an edge node: whether the primary one is there, and commands."""

import pytest

from gateway.bus.sparkplug.host import PrimaryHost, commands
from tests.tahu import Payload


def heard(*said: bytes) -> list[bool]:
    """Whether the host is online, after each message."""
    host = PrimaryHost()
    states = []
    for payload in said:
        host.hear(payload)
        states.append(host.online)
    return states


def test_the_newest_state_counts() -> None:
    assert heard(
        b'{"online":true,"timestamp":5}',
        b'{"online":false,"timestamp":4}',  # of the connection before
        b'{"online":false,"timestamp":5}',
        b'{"online":true,"timestamp":4}',
        b'{"online":true,"timestamp":5}',
    ) == [True, True, False, False, True]


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"ONLINE",
        b"[]",
        b"{}",
        b"\xff",
        b'{"online":1,"timestamp":9}',
        b'{"online":true}',
        b'{"online":true,"timestamp":"9"}',
        b'{"online":true,"timestamp":true}',
        b"[" * 100_000,
    ],
)
def test_what_is_no_state_changes_nothing(payload: bytes) -> None:
    assert heard(payload) == [False]
    assert heard(b'{"online":true,"timestamp":5}', payload) == [True, True]


def test_a_command_has_the_type_of_the_birth_if_it_has_none_of_its_own() -> None:
    payload = Payload(timestamp=7)
    payload.metrics.add(alias=16384, long_value=2**64 - 5)
    payload.metrics.add(name="x", timestamp=9, datatype=3, int_value=2**32 - 5)
    payload.metrics.add(name="y", is_null=True)
    asked = list(commands("press", payload.SerializeToString()))
    assert [(c.alias, c.name, c.value(4), c.time_ms) for c in asked] == [
        (16384, "", -5, 7), (None, "x", -5, 9), (None, "y", None, 7),
    ]  # fmt: skip
    assert len({c.id for c in asked}) == 3
    assert [c.id for c in commands("press", payload.SerializeToString())] == [c.id for c in asked]
    assert {c.id for c in commands("oven", payload.SerializeToString())}.isdisjoint(c.id for c in asked)
    assert all(len(c.id) <= 64 for c in asked)


def test_nobody_says_when_a_command_was_sent() -> None:
    payload = Payload()
    payload.metrics.add(name="x", double_value=1.0)
    assert [c.time_ms for c in commands("press", payload.SerializeToString())] == [0]
