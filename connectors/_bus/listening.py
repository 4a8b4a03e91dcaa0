"""Hear what a broker has to say on some topics, for a while, on a connection of its own."""

import asyncio
from typing import Final

from connectors._bus.source import Heard
from gateway.mqtt import connect

_MESSAGES_MAX: Final = 100_000


async def listen(url: str, topic: str, *, quiet_s: float, longest_s: float, timeout_s: float = 4.0) -> list[Heard]:
    """Return what comes until nothing did for `quiet_s`, or for `longest_s`; what exceeds 100,000 is left out.

    Raises OSError if the broker cannot be reached, or refuses.
    """
    heard: list[Heard] = []
    news = asyncio.Event()

    def receive(topic: str, payload: bytes, retained: bool) -> None:
        if len(heard) < _MESSAGES_MAX:
            heard.append(Heard(topic, payload, retained))
        news.set()

    async with connect(url, "", timeout_s=timeout_s) as mqtt:
        await mqtt.subscribe(topic, receive)
        try:
            async with asyncio.timeout(longest_s):
                while True:
                    news.clear()
                    async with asyncio.timeout(quiet_s):
                        await news.wait()
        except TimeoutError:
            return heard
