"""Solving: known values are planted in registers and found again, by the function and by the command."""

import argparse
import asyncio
import json
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors._modbus.coding import Coding, orders
from connectors._modbus.encoding import encode
from connectors._modbus.solve import Fit, solve
from gateway.cli import main
from gateway.cli import solve as command
from tests.servers import free_port, modbus


def best(words: list[int | None], at: int, expect: str, tolerance: float = 0.5) -> tuple[int, str, str, str]:
    """Shift, type, order and scale of the best fit."""
    fit = solve(words, at, Decimal(expect), tolerance)[0]
    return fit.shift, fit.coding.type, fit.coding.order, fit.coding.scale


@pytest.mark.parametrize(
    ("words", "at", "expect", "found"),
    [
        ([0, 0x4365, 0, 0, 0, 0], 1, "229.0", (0, "float32", "ABCD", "1")),
        ([0, 0, 0x4365, 0, 0, 0], 1, "229.0", (0, "float32", "CDAB", "1")),
        ([0xFFFF, 0x0000, 0x6543, 0xFFFF, 9, 9], 1, "229.0", (0, "float32", "DCBA", "1")),
        ([0x4365, 0x0001, 0xFFFF, 0xFFFF, 9, 9], 1, "229.0", (-1, "float32", "ABCD", "1")),
        ([9, 2290, 0xFFFF, 9, 9, 9], 1, "229.0", (0, "uint16", "ABCD", "0.1")),
        ([9, 9, 2290, 0xFFFF, 9, 9], 1, "229.0", (1, "uint16", "ABCD", "0.1")),
        ([9, 0xF70E, 9, 9, 9, 9], 1, "-229.0", (0, "int16", "ABCD", "0.1")),
        ([9, 0x2290, 9, 9, 9, 9], 1, "229.0", (0, "bcd16", "ABCD", "0.1")),
        ([9, 0xF208, 9, 9, 9, 9], 1, "229.0", (0, "uint16", "BADC", "0.1")),
        ([9, 3, 0x5678, 9, 9, 9], 1, "218744", (0, "uint32", "ABCD", "1")),
        ([9, 0, 9, 0, 7, 9], 1, "2533274790854656", (0, "int64", "CDABGHEF", "1")),
    ],
)
def test_the_usual_riddles(words: list[int | None], at: int, expect: str, found: tuple[int, str, str, str]) -> None:
    assert best(words, at, expect) == found


def test_what_a_display_cannot_tell_apart_is_equally_close() -> None:
    """float32 229.04 at the address itself comes before uint16 2290 x 0.1 beside it, although that is closer."""
    words: list[int | None] = [2290, *encode(Coding("float32"), 229.04)]
    assert [fit.coding.type for fit in solve(words, 1, Decimal("229.0"), 1)][:2] == ["float32", "uint16"]


def test_what_is_closer_comes_first() -> None:
    words: list[int | None] = [2290, *encode(Coding("float32"), 229.3)]
    assert [fit.coding.type for fit in solve(words, 1, Decimal("229.0"), 1)][:2] == ["uint16", "int16"]


def test_registers_that_the_device_has_not_are_not_used() -> None:
    assert {fit.coding.type for fit in solve([None, 7, None, None], 1, Decimal(7), 0)} >= {"uint16", "bcd16"}
    assert all(fit.coding.registers == 1 and fit.shift == 0 for fit in solve([None, 7, None, 7], 1, Decimal(7), 0))
    assert solve([None, None], 0, Decimal(7), 0.1) == []


@pytest.mark.parametrize("expect", ["0", "0.0", "NaN", "Infinity", "1e400"])
def test_there_is_nothing_to_find_in_zero(expect: str) -> None:
    with pytest.raises(ValueError, match="expect a number other than 0"):
        solve([1, 2], 0, Decimal(expect), 1)


@settings(deadline=None, max_examples=60)
@given(
    st.sampled_from(["uint16", "int16", "uint32", "int32", "float32", "float64", "bcd32", "mod10_64", "int8l"]),
    st.sampled_from(["1", "0.1", "0.01", "0.001", "10", "100", "1000"]),
    st.sampled_from([0, -1, 1]),
    st.integers(1, 120),
    st.data(),
)
def test_what_was_planted_is_among_what_is_found(
    name: str, scale: str, shift: int, raw: int, data: st.DataObject
) -> None:
    coding = Coding(name, data.draw(st.sampled_from(orders(name))), scale=scale)
    expect = Decimal(raw) * Decimal(scale)
    words: list[int | None] = [0xA5A5] * 6
    planted = encode(coding, float(expect))
    words[1 + shift : 1 + shift + len(planted)] = planted
    assert Fit(shift, coding, float(expect)) in solve(words, 1, expect, 1e-9 * float(expect))


# --- the command --------------------------------------------------------------------------


def ask(*words: str) -> int:
    return main(["solve", *words])


def test_registers_may_be_given_by_hand(capsys: pytest.CaptureFixture[str]) -> None:
    assert ask("--words", "4365 0000", "--address", "40101", "--expect", "229.0") == 0
    said = capsys.readouterr().out
    assert "holding:100      4365  17253" in said
    assert said.endswith('name: {register: "holding:100", type: float32}\n')


def test_what_has_a_default_is_left_out_of_the_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert ask("--words", "ffff f208", "--expect", "-229", "--tolerance", "0.5", "--count", "1") == 1
    assert ask("--words", "ffff,0xf208", "--expect", "229", "--tolerance", "0.5", "--count", "1") == 0
    said = capsys.readouterr().out
    assert said.count("nothing fits: check the address") == 1
    assert "... and 2 more" in said
    assert said.endswith('name: {register: "holding:1", type: uint16, order: BADC, scale: 0.1}\n')


@pytest.mark.parametrize(
    "words",
    [
        ["--expect", "7"],
        ["modbus://127.0.0.1", "--words", "0007", "--expect", "7"],
        ["opc.tcp://127.0.0.1", "--expect", "7"],
        ["modbus://127.0.0.1?unit=256", "--expect", "7"],
        ["--words", "0007", "--expect", "0"],
        ["modbus://[::1", "--expect", "7"],
        ["--words", "0007", "--expect", "7", "--tolerance", "much"],
        ["--words", "0007", "--expect", "7", "--tolerance", "nan"],
        ["--words", "0007", "--expect", "7", "--tolerance=-1"],
    ],
)
def test_wrong_use_is_code_2(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert ask(*words) == 2
    assert capsys.readouterr().err.startswith("gateway solve: ")


@pytest.mark.parametrize(
    ("option", "text", "said"),
    [
        ("--words", "000g", "write registers in hexadecimal"),
        ("--words", "12345", "of up to four digits"),
        ("--words", "", "of up to four digits"),
        ("--address", "coil:3", "coil:3 is a bit"),
        ("--address", "holding:3.4", "holding:3.4 is a bit"),
        ("--address", "7", "is not an address"),
        ("--expect", "seven", "'seven' is not a number"),
    ],
)
def test_an_option_that_cannot_be_is_named(
    option: str, text: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        ask("--words", "0007", "--expect", "7", option, text)
    assert said in capsys.readouterr().err


def asked(port: int, *words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    command.arguments(parser)
    return parser.parse_args([f"modbus://127.0.0.1:{port}?unit=1", *words])


async def test_a_device_is_read_around_the_address(capsys: pytest.CaptureFixture[str]) -> None:
    async with modbus() as device:
        device.holding[99:105] = [1, 0x0000, 0x4365, 2, 3, 4]
        words = ["--address", "holding:100", "--expect", "229.0", "--json"]
        assert await asyncio.to_thread(command.run, asked(device.port, *words)) == 0
        assert device.requests == 1
    said = json.loads(capsys.readouterr().out)
    assert said["registers"] == {f"holding:{99 + i}": word for i, word in enumerate([1, 0, 0x4365, 2, 3, 4])}
    assert said["fits"][0] == {
        "register": "holding:100", "type": "float32", "order": "CDAB", "scale": 1.0, "value": 229.0,
    }  # fmt: skip


async def test_registers_beside_it_that_the_device_refuses_are_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    async with modbus() as device:
        device.inputs[12:14] = [0x4365, 0x0000]
        device.illegal = {11, 14, 15}
        words = ["--address", "30013", "--expect", "229.0"]
        assert await asyncio.to_thread(command.run, asked(device.port, *words)) == 0
    said = capsys.readouterr().out
    assert 'name: {register: "input:12", type: float32}' in said
    assert "input:11" not in said


async def test_the_first_register_of_all_has_none_before_it() -> None:
    async with modbus() as device:
        device.holding[0] = 7
        assert await asyncio.to_thread(command.run, asked(device.port, "--expect", "7")) == 0


async def test_a_device_that_refuses_the_address_is_an_error() -> None:
    async with modbus() as device:
        device.illegal = {100}
        with pytest.raises(ConnectionError, match="unit 1, refuses holding:100: exception 2"):
            await asyncio.to_thread(command.run, asked(device.port, "--address", "holding:100", "--expect", "7"))


async def test_a_device_that_does_not_answer_is_an_error() -> None:
    async with modbus() as device:
        device.delay_s = 5.0
        with pytest.raises(ConnectionError, match="unit 1"):
            await asyncio.to_thread(command.run, asked(device.port, "--expect", "7", "--timeout", "0.1"))


def test_a_device_that_is_not_there_is_code_1(capsys: pytest.CaptureFixture[str]) -> None:
    assert ask(f"modbus://127.0.0.1:{free_port()}", "--expect", "7") == 1
    assert "does not accept a connection" in capsys.readouterr().err
