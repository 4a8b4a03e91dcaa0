"""What a search of Modbus finds: units, identification, SunSpec; and how little it asks for that."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest

from connectors._found import Found, Search
from connectors._modbus.discover import discover
from tests.servers import black_hole, free_port, modbus_units

IDENTITY = {0: b"ACME", 1: b"X-100", 2: b"1.2"}


def text(words: str, registers: int) -> list[int]:
    data = words.encode().ljust(2 * registers, b"\0")
    return [data[i] << 8 | data[i + 1] for i in range(0, len(data), 2)]


def common(vendor: str = "ACME", product: str = "Inverter 5") -> list[int]:
    """Model 1 with 66 registers: Mn, Md, Opt, Vr, SN, DA, Pad."""
    words = text(vendor, 16) + text(product, 16) + text("", 8) + text("2.1", 8) + text("SN42", 16) + [1, 0]
    return [1, 66, *words]


def sunspec(*models: Sequence[int], end: Sequence[int] = (0xFFFF, 0)) -> list[int]:
    return [0x5375, 0x6E53, *(word for model in models for word in model), *end]


MODEL_103 = [103, 50, *[0] * 50]


async def search(port: int, units: Sequence[int] = (1, 2, 3), timeout_s: float = 1.0) -> Search:
    return await discover(f"modbus://127.0.0.1:{port}", units=units, timeout_s=timeout_s)


async def only(port: int) -> Found:
    (found,) = (await search(port, [1])).found
    return found


async def test_units_are_found_and_others_are_not() -> None:
    async with modbus_units({1: {0: [7]}, 3: {0: [7]}}, {1: IDENTITY}) as port:
        result = await search(port)
    assert [found.connect for found in result.found] == [f"modbus://127.0.0.1:{port}?unit={unit}" for unit in (1, 3)]
    assert [found.facts for found in result.found] == [{"vendor": "ACME", "product": "X-100", "revision": "1.2"}, {}]
    assert result.asked == 3


async def test_a_unit_that_says_nobody_is_there_is_asked_once() -> None:
    """Three bases and the identification for the one that is there."""
    async with modbus_units({1: {0: [7]}}) as port:
        assert (await search(port)).requests == 4 + 1 + 1


async def test_a_silent_unit_is_asked_once() -> None:
    async with modbus_units({1: {0: [7]}}, silent=True) as port:
        result = await search(port, timeout_s=0.1)
    assert [found.name for found in result.found] == ["unit1"]
    assert result.requests == 4 + 1 + 1


async def test_a_device_that_never_answers_is_not_found() -> None:
    port = free_port()
    async with black_hole(port):
        result = await search(port, timeout_s=0.1)
    assert (result.found, result.requests) == ([], 3)


async def test_nobody_at_the_address_is_an_error_that_names_it() -> None:
    port = free_port()
    with pytest.raises(OSError, match=f"127.0.0.1:{port} does not accept a connection"):
        await search(port)


@pytest.mark.parametrize("base", [40000, 0, 50000])
async def test_sunspec_models_are_found_with_their_addresses(base: int) -> None:
    async with modbus_units({1: {base: sunspec(common(), MODEL_103)}}) as port:
        facts = (await only(port)).facts
    assert facts == {
        "sunspec": {1: base + 2, 103: base + 70},
        "vendor": "ACME",
        "product": "Inverter 5",
        "revision": "2.1",
        "serial": "SN42",
    }


async def test_the_identification_has_the_last_word_on_the_name() -> None:
    async with modbus_units({1: {40000: sunspec(common("Acme Inc."))}}, {1: IDENTITY}) as port:
        facts = (await only(port)).facts
    assert (facts["vendor"], facts["serial"]) == ("ACME", "SN42")


async def test_a_chain_without_an_end_is_followed_to_the_last_register() -> None:
    async with modbus_units({1: {40000: sunspec(common(), MODEL_103, end=())}}) as port:
        facts = (await only(port)).facts
    assert facts["sunspec"] == {1: 40002, 103: 40070}
    assert facts["vendor"] == "ACME"


async def test_a_chain_of_empty_models_ends() -> None:
    async with modbus_units({1: {40000: sunspec(end=[7, 0] * 500)}}) as port:
        result = await search(port, [1])
    assert result.found[0].facts["sunspec"] == {7: 40002}
    assert result.requests < 80


async def test_what_a_device_says_is_one_line_of_text() -> None:
    """It ends up in a comment of a YAML file."""
    async with modbus_units({1: {0: [7]}}, {1: {0: b"AC\nME:\x00\x07 {x}", 1: b"\xff\xfe", 2: b""}}) as port:
        facts = (await only(port)).facts
    assert facts == {"vendor": "AC ME: {x}", "product": "??"}


class Plain:
    """A device of few words: exception 2 to a read, and to anything else what the test wants; None hangs up."""

    def __init__(self, otherwise: int | None) -> None:
        self.connections = 0
        self.times: list[float] = []
        self._otherwise = otherwise

    @asynccontextmanager
    async def served(self) -> AsyncIterator[int]:
        port = free_port()
        writers: list[asyncio.StreamWriter] = []

        async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            self.connections += 1
            writers.append(writer)
            while request := await reader.read(64):
                assert len(request) <= 12, "two requests at once"
                self.times.append(asyncio.get_running_loop().time())
                code = 2 if request[7] == 3 else self._otherwise
                if code is None:
                    break
                writer.write(request[:4] + bytes([0, 3, request[6], request[7] | 0x80, code]))
            writer.close()

        server = await asyncio.start_server(talk, "127.0.0.1", port)
        try:
            yield port
        finally:
            server.close()
            for writer in writers:
                writer.transport.abort()
            await server.wait_closed()


async def test_a_device_that_hangs_up_on_what_it_does_not_know_is_found() -> None:
    device = Plain(otherwise=None)
    async with device.served() as port:
        result = await search(port, [1, 2], timeout_s=0.2)
    assert [found.facts for found in result.found] == [{}, {}]
    assert device.connections == 2


async def test_requests_come_over_one_connection_with_pauses() -> None:
    device = Plain(otherwise=1)
    async with device.served() as port:
        result = await search(port)
    assert (device.connections, len(device.times)) == (1, result.requests)
    assert min(after - before for before, after in itertools.pairwise(device.times)) > 0.04


async def test_only_modbus_tcp_can_be_searched() -> None:
    with pytest.raises(ValueError, match="only modbus://host:port can"):
        await discover("modbus+rtu:///dev/ttyUSB0", units=[1], timeout_s=0.1)
