"""The way to an MQTT broker: which version, TLS, user and password, will. What is done over it is in connection.py."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final, Literal
from urllib.parse import unquote, urlsplit

from gateway.mqtt import packets, properties
from gateway.mqtt.connection import KEEP_ALIVE_S, Message, Mqtt, Version, VersionRefused

PORTS: Final = {"mqtt": 1883, "mqtts": 8883}


@dataclass(frozen=True, slots=True)
class Access:
    """How to speak to a broker; `auto` is MQTT 5, or 3.1.1 if it refuses that.

    `ca`, `cert` and `key` are paths of PEM files, for mqtts: who vouches for the broker if it is nobody whom the
    machine knows, and who we are. They are read at each connection, so that a renewed certificate counts.
    """

    version: Literal["auto", "3.1.1", "5"] = "3.1.1"
    ca: str = ""
    cert: str = ""
    key: str = ""

    def context(self) -> ssl.SSLContext:
        """Return the TLS context. Raises OSError naming the files if one cannot be read."""
        try:
            context = ssl.create_default_context(cafile=self.ca or None)
            if self.cert:
                context.load_cert_chain(self.cert, self.key or None, password=_no_phrase)
        except (OSError, ValueError) as error:
            names = ", ".join(filter(None, (self.ca, self.cert, self.key)))
            raise OSError(f"tls: {error}: of {names} one is no PEM file that can be read") from error
        return context


PLAIN: Final = Access()


@asynccontextmanager
async def connect(
    url: str,
    client_id: str,
    will: Message | Callable[[], Message] | None = None,
    timeout_s: float = 5.0,
    access: Access = PLAIN,
) -> AsyncIterator[Mqtt]:
    """Connect, and disconnect in an orderly way at the end. Raises OSError, TimeoutError included.

    A will that is a function is asked for when the broker is about to get it, so only for a connection that is there.
    """
    connection = await _accepted(url, client_id, will, timeout_s, access)
    try:
        yield connection
    finally:
        await connection.close()


async def _accepted(
    url: str, client_id: str, will: Message | Callable[[], Message] | None, timeout_s: float, access: Access
) -> Mqtt:
    """A connection that the broker has accepted, with the newest version of MQTT that it speaks."""
    if access.version != "auto":
        return await _tried(url, client_id, will, timeout_s, access, access.version)
    try:
        return await _tried(url, client_id, will, timeout_s, access, "5")
    except VersionRefused:
        return await _tried(url, client_id, will, timeout_s, access, "3.1.1")


async def _tried(
    url: str,
    client_id: str,
    will: Message | Callable[[], Message] | None,
    timeout_s: float,
    access: Access,
    version: Version,
) -> Mqtt:
    where = urlsplit(url)

    def hello() -> bytes:
        last = will() if callable(will) else will
        return packets.connect(
            client_id,
            KEEP_ALIVE_S,
            user=unquote(where.username or ""),
            password=unquote(where.password or ""),
            will=None if last is None else (last.topic, last.payload, last.retain),
            level=packets.LEVEL[version],
            properties=properties.NONE if version == "5" else b"",
        )

    host, port = where.hostname or "127.0.0.1", where.port or PORTS[where.scheme]
    tls = access.context() if where.scheme == "mqtts" else None
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(timeout_s):
        _, connection = await loop.create_connection(lambda: Mqtt(hello, version), host, port, ssl=tls)
    try:
        async with asyncio.timeout(timeout_s):
            await connection.accepted()
    except BaseException:
        await connection.close()
        raise
    return connection


def _no_phrase() -> str:
    """Instead of a question on the terminal that nobody may be there to answer."""
    raise ValueError("the key needs a pass phrase: write it to a file without one")
