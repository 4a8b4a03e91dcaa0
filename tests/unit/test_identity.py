"""Passwords, logins, pace and sessions, one by one."""

import asyncio
import io
from collections.abc import Callable
from typing import Any

import argon2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from api.identity.caller import Denied
from api.identity.pace import KNOWN_MAX, Rate, Throttle, neighbourhood
from api.identity.passwords import Passwords, hashed
from api.identity.sessions import ALL_MAX, EACH_MAX, PREFIX, Sessions
from gateway.cli import main
from gateway.config import Api
from tests.inline import inline

FAST = argon2.PasswordHasher(time_cost=1, memory_cost=19_456, parallelism=1)
HASH = FAST.hash(b"correct horse battery")


# --- passwords ----------------------------------------------------------------------------


async def test_a_password_is_right_for_its_user_only() -> None:
    users = Passwords({"alice": HASH, "bob": FAST.hash(b"battery horse correct")})
    assert await users.right("alice", "correct horse battery")
    assert not await users.right("alice", "correct horse batterz")
    assert not await users.right("bob", "correct horse battery")
    for nobody in ("", "eve", "\udcff", "alice ", "ALICE", "x" * 10_000):
        assert not await users.right(nobody, "correct horse battery")


async def test_a_password_is_the_same_from_every_keyboard() -> None:
    users = Passwords({"alice": FAST.hash("pâté de campagne".encode())}, inline)
    assert await users.right("alice", "pa\u0302te\u0301 de campagne")


async def test_a_name_that_nobody_has_costs_what_a_user_costs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not measured by a clock: the same function is called once, with a hash of the same parameters."""
    dear = argon2.PasswordHasher(time_cost=2, memory_cost=20_000, parallelism=1).hash("another one")
    users = Passwords({"alice": HASH, "bob": dear}, inline)
    costs: list[str] = []
    verify = argon2.PasswordHasher.verify

    def watched(self: argon2.PasswordHasher, hash: str, password: bytes) -> bool:
        costs.append(str(argon2.extract_parameters(hash)))
        return verify(self, hash, password)

    monkeypatch.setattr(argon2.PasswordHasher, "verify", watched)
    for name in ("eve", "eve", "mallory", "oscar", "trudy", "alice"):
        assert not await users.right(name, "guess")
    known = {str(argon2.extract_parameters(one)) for one in (HASH, dear)}
    assert len(costs) == 6
    assert costs[0] == costs[1], "the same name is always as dear"
    assert set(costs) <= known


async def test_only_so_many_passwords_are_checked_at_once() -> None:
    free, running = asyncio.Event(), 0

    async def slow(work: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        nonlocal running
        running += 1
        assert running <= 2
        await free.wait()
        running -= 1
        return True

    users = Passwords({"alice": HASH}, slow)
    async with asyncio.TaskGroup() as tasks:
        for _ in range(18):
            tasks.create_task(users.right("alice", "guess"))
        await asyncio.sleep(0)
        with pytest.raises(Denied) as denied:
            await users.right("alice", "guess")
        assert denied.value.status == 503
        free.set()
    assert await users.right("alice", "guess")


def test_the_command_makes_hashes_that_the_configuration_takes(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("correct horse battery\n"))
    assert main(["user", "hash"]) == 0
    hash = capsys.readouterr().out.strip()
    Api.model_validate({"users": {"alice": {"password": hash}}})
    assert argon2.PasswordHasher().verify(hash, "correct horse battery")
    monkeypatch.setattr("sys.stdin", io.StringIO("short\n"))
    assert main(["user", "hash"]) == 1
    assert "12 to 1024 characters" in capsys.readouterr().err


def test_two_hashes_of_one_password_are_different() -> None:
    assert hashed("correct horse battery") != hashed("correct horse battery")


@pytest.mark.parametrize(
    "text",
    ["", "secret", "$argon2i$v=19$m=65536,t=3,p=4$c2FsdHNhbHQ$" + "A" * 43, "$2b$12$" + "a" * 53,
     HASH.replace("m=19456", "m=8"), HASH.replace("m=19456", "m=99999999"), HASH.replace("t=1", "t=99"), HASH + "\n"],
    ids=["nothing", "plain", "argon2i", "bcrypt", "little memory", "much memory", "slow", "a line more"],
)  # fmt: skip
def test_other_hashes_are_errors_that_do_not_quote_them(text: str) -> None:
    with pytest.raises(ValidationError, match=r"argon2id|too weak") as error:
        Api.model_validate({"users": {"alice": {"password": text}}})
    said = [one["msg"] for one in error.value.errors(include_input=False)]
    assert not text or text not in "".join(said)


# --- sessions -----------------------------------------------------------------------------


def test_a_session_ends_by_time_and_by_logout() -> None:
    sessions = Sessions(60.0)
    token, session = sessions.begin("alice", 0)
    assert token.startswith(PREFIX)
    assert sessions.find(token.encode(), 60 * 10**9 - 1) == session
    assert sessions.find(token.encode(), 60 * 10**9) is None
    other, _ = sessions.begin("alice", 0)
    assert sessions.end(other.encode())
    assert sessions.find(other.encode(), 0) is None
    assert not sessions.end(other.encode())


def test_sessions_are_bounded_for_each_and_for_all_and_the_oldest_goes() -> None:
    sessions = Sessions(60.0)
    mine = [sessions.begin("alice", 0)[0].encode() for _ in range(EACH_MAX + 3)]
    assert [sessions.find(token, 0) is None for token in mine] == [True] * 3 + [False] * EACH_MAX
    others = [sessions.begin(f"user{i}", 0)[0].encode() for i in range(ALL_MAX)]
    assert [token for token in mine if sessions.find(token, 0)] == []
    assert all(sessions.find(token, 0) for token in others)


# --- pace ---------------------------------------------------------------------------------


def test_a_rate_is_so_many_at_once_and_so_many_per_second() -> None:
    rate = Rate(10.0, 50.0)
    assert [rate.wait_s("a", 0.0) for _ in range(50)] == [0.0] * 50
    assert rate.wait_s("a", 0.0) == pytest.approx(0.1)
    assert rate.wait_s("b", 0.0) == 0.0
    assert rate.wait_s("a", 0.11) == 0.0
    assert rate.wait_s("a", 0.11) > 0.0


@given(st.lists(st.floats(0, 100), min_size=1, max_size=200).map(sorted))
@settings(deadline=None)
def test_nobody_gets_more_than_burst_and_rate(times_s: list[float]) -> None:
    rate = Rate(2.0, 5.0)
    taken = [now_s for now_s in times_s if not rate.wait_s("a", now_s)]
    for i, since_s in enumerate(taken):
        for j in range(i, len(taken)):
            assert j - i + 1 <= 5.0 + 2.0 * (taken[j] - since_s) + 1e-6


def test_whoever_fails_waits_longer_each_time_and_an_hour_is_a_new_start() -> None:
    throttle = Throttle(3)
    waits, now_s = [], 0.0
    for _ in range(14):
        throttle.failed("a", now_s)
        waits.append(throttle.wait_s("a", now_s))
        now_s += waits[-1]
    assert waits == [0, 0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300]
    throttle.failed("a", now_s + 3601)
    assert throttle.wait_s("a", now_s + 3601) == 0.0
    throttle.passed("a")
    assert throttle.wait_s("a", now_s) == 0.0


def test_the_tables_do_not_grow_with_those_who_try() -> None:
    rate, throttle = Rate(1.0, 1.0), Throttle(1)
    throttle.failed("known", 0.0)
    for i in range(KNOWN_MAX * 2):
        rate.wait_s(str(i), 0.0)
        throttle.failed(str(i), 0.0)
        if i % 1000 == 0:
            throttle.failed("known", 0.0)
    assert len(rate._buckets) == len(throttle._failed) == KNOWN_MAX
    assert throttle.wait_s("known", 0.0) > 0.0, "whoever goes on failing is not forgotten"


@pytest.mark.parametrize(
    ("address", "stands_for"),
    [("10.0.0.7", "10.0.0.7"), ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"), ("::ffff:10.0.0.7", "10.0.0.7"), ("", ""),
     ("2001:db8:1:2::9", "2001:db8:1:2::"), ("unix:", "unix:")],
)  # fmt: skip
def test_a_network_is_one_neighbour(address: str, stands_for: str) -> None:
    assert neighbourhood(address) == stands_for
