"""A Modbus TCP device that behaves badly, over a real socket: what it spoils is bad or late, never wrong."""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

import numpy as np
import pytest

from connectors import modbus
from gateway.clock import SystemClock
from gateway.contracts import Device
from gateway.model import Quality, Tag
from tests.conformance.test_connectors import PATIENCE_S, Heard, running

Writer = asyncio.StreamWriter
Send = Callable[[Writer, bytes, int], Awaitable[None]]
"""Sends the answer to the n-th request, in its own way."""


@asynccontextmanager
async def device(send: Send) -> AsyncIterator[int]:
    """Serve registers that hold their own address plus one; give the port."""
    served = 0

    async def serve(reader: asyncio.StreamReader, writer: Writer) -> None:
        nonlocal served
        try:
            while True:
                transaction, unit, function, start, count = struct.unpack(">H4xBBHH", await reader.readexactly(12))
                served += 1
                words = [(start + n + 1) % 65_536 for n in range(count)]
                head = struct.pack(">HHHBBB", transaction, 0, 3 + 2 * count, unit, function, 2 * count)
                await send(writer, head + struct.pack(f">{count}H", *words), served)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


def build(port: int, in_flight: int = 1) -> tuple[modbus.Modbus, Heard]:
    names = [f"t{n}" for n in range(600)]
    one = Device(
        name="d",
        url=f"modbus://127.0.0.1:{port}",
        options=modbus.DeviceOptions(poll=0.01, timeout=0.2, in_flight=in_flight),
        tags=[Tag("plant/d", name) for name in names],
        numbers=np.arange(len(names), dtype=np.uint32),
        tag_options=[modbus.TagOptions.model_validate({"register": f"holding:{n}"}) for n in range(len(names))],
    )
    return modbus.connector(one, SystemClock()), Heard(names)


RIGHT = {f"t{n}": n + 1 for n in range(600)}


async def slowly(writer: Writer, frame: bytes, served: int) -> None:
    """Byte by byte."""
    for at in range(len(frame)):
        writer.write(frame[at : at + 1])
        await writer.drain()
        await asyncio.sleep(0)


async def together(writer: Writer, frame: bytes, served: int) -> None:
    """Half of it now, the rest with the next one."""
    writer.write(frame[:9])
    await asyncio.sleep(0.001)
    writer.write(frame[9:])


@pytest.mark.parametrize("in_flight", [1, 5])
@pytest.mark.parametrize("send", [slowly, together])
async def test_how_an_answer_is_cut_into_segments_does_not_matter(send: Send, in_flight: int) -> None:
    async with device(send) as port:
        connector, heard = build(port, in_flight)
        async with running(connector, heard):
            await heard.until(lambda: len(heard.batches) >= 3)
    assert heard.value == RIGHT
    assert set(heard.quality.values()) == {0}


async def truncated(writer: Writer, frame: bytes, served: int) -> None:
    writer.write(frame[:50] if served % 7 == 3 else frame)


async def reset(writer: Writer, frame: bytes, served: int) -> None:
    if served % 7 == 3:
        writer.transport.abort()
    writer.write(frame)


async def other_transaction(writer: Writer, frame: bytes, served: int) -> None:
    writer.write(struct.pack(">H", 60_000) + frame[2:] if served % 7 == 3 else frame)


async def twice(writer: Writer, frame: bytes, served: int) -> None:
    writer.write(frame + frame if served % 7 == 3 else frame)


async def too_short(writer: Writer, frame: bytes, served: int) -> None:
    """A frame that is whole, but has fewer registers than were asked for."""
    if served % 7 == 3:
        frame = frame[:4] + struct.pack(">H", 3 + 20) + frame[6:8] + bytes((20,)) + frame[9:29]
    writer.write(frame)


async def silent(writer: Writer, frame: bytes, served: int) -> None:
    if served % 7 != 3:
        writer.write(frame)


async def no_reason(writer: Writer, frame: bytes, served: int) -> None:
    """An exception with code 0, which is none."""
    if served % 7 == 3:
        frame = frame[:4] + struct.pack(">HBBB", 3, frame[6], frame[7] | 0x80, 0)
    writer.write(frame)


async def garbage(writer: Writer, frame: bytes, served: int) -> None:
    writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n" if served % 7 == 3 else frame)


SPOILT = [truncated, reset, other_transaction, twice, too_short, silent, no_reason, garbage]


@pytest.mark.parametrize("in_flight", [1, 5])
@pytest.mark.parametrize("send", SPOILT)
async def test_a_spoilt_answer_is_trouble_and_never_a_value(send: Send, in_flight: int) -> None:
    """The supervisor would run it again as here; every good value on the way is the right one."""
    troubles = 0
    async with device(send) as port, asyncio.timeout(PATIENCE_S):
        connector, heard = build(port, in_flight)
        while len(heard.batches) < 12 or not troubles:
            try:
                async with running(connector, heard):
                    seen = len(heard.batches)
                    await heard.until(lambda: len(heard.batches) >= seen + 3)  # noqa: B023
            except* OSError as trouble:
                troubles += len(trouble.exceptions)
            troubles += connector.counts["timeouts"]
    for batch in heard.batches:
        right = batch.good & (batch.value == batch.tag + 1)
        assert (right | ~batch.good).all()
    assert troubles


async def refused(writer: Writer, frame: bytes, served: int) -> None:
    writer.write(frame[:4] + struct.pack(">HBBB", 3, frame[6], frame[7] | 0x80, 2))


async def test_a_device_that_refuses_everything_says_so_at_every_poll() -> None:
    async with device(refused) as port:
        connector, heard = build(port)
        async with running(connector, heard):
            await heard.until(lambda: len(heard.batches) >= 3)
    assert set(heard.quality.values()) == {Quality.BAD_NODE_ID_UNKNOWN}


async def test_what_comes_with_the_connection_is_the_end_of_it() -> None:
    """It may arrive before whoever opened the connection is awake again."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        connector, heard = build(listener.getsockname()[1])

        def shout() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return  # shut down
                with connection, suppress(OSError):
                    connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(asyncio.to_thread(shout))
            try:
                for _ in range(30):
                    with pytest.raises(ConnectionError):
                        await connector.run(heard)
            finally:
                listener.shutdown(socket.SHUT_RDWR)
