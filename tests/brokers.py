"""Brokers as plants have them, each with the way in that a gateway gets: plain, guarded, embedded; MQTT 3.1.1 and 5."""

import asyncio
import os
import random
import signal
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID

from gateway.bus.broker import Broker
from gateway.clock import SystemClock
from gateway.mqtt import PLAIN, Access, Message, Mqtt, connect
from gateway.supervise import Backoff, Health, keep_running
from tests import servers
from tests.certificates import Made, made, made_ca

USER, PASSWORD = "gateway", "p@ss/wörd"
OPEN, CLOSED = "uns/open", "closed/door"
"""A topic that everybody may publish to, and one that the guarded broker lets nobody."""
GUARDED = """user root
cafile {folder}/ca.pem
certfile {folder}/broker.pem
keyfile {folder}/broker.key
require_certificate true
allow_anonymous false
password_file {folder}/passwords
acl_file {folder}/acl
"""


@dataclass(frozen=True)
class Rig:
    """A broker, and how to get in. `level` is the version of MQTT that is spoken then; `restart` kills it and has it
    come back on the same port and files.
    """

    port: int
    level: Literal["3.1.1", "5"]
    access: Access = PLAIN
    who: str = ""
    restart: Callable[[], Awaitable[None]] | None = None

    @property
    def url(self) -> str:
        return self.by(self.port)

    def by(self, port: int) -> str:
        """Return the URL that leads through a line."""
        return f"mqtts://{self.who}@127.0.0.1:{port}" if self.who else f"mqtt://127.0.0.1:{port}"

    def connect(
        self, name: str, will: Message | None = None, port: int | None = None
    ) -> AbstractAsyncContextManager[Mqtt]:
        return connect(self.by(port or self.port), name, will, access=self.access)


def guards(folder: Path) -> Access:
    """Write what a guarded broker needs; return the way in."""
    authority = made_ca()
    client = [ExtendedKeyUsageOID.CLIENT_AUTH]
    _pem(folder, "ca", authority)
    _pem(folder, "broker", made("broker", issuer=authority, uri=None))
    _pem(folder, "gateway", made("gateway", issuer=authority, uri=None, purposes=client))
    (folder / "passwords").touch(mode=0o600)
    words = [servers.needs("mosquitto_passwd"), "-b", str(folder / "passwords"), USER, PASSWORD]
    subprocess.run(words, check=True, capture_output=True)
    (folder / "acl").write_text(f"user {USER}\ntopic readwrite uns/#\ntopic read closed/#\n")
    return Access("auto", *(str(folder / name) for name in ("ca.pem", "gateway.pem", "gateway.key")))


def _pem(folder: Path, name: str, one: Made) -> None:
    (folder / f"{name}.pem").write_bytes(one.certificate.public_bytes(Encoding.PEM))
    one.write_key(folder / f"{name}.key")


@asynccontextmanager
async def plain(folder: Path, level: Literal["3.1.1", "5"]) -> AsyncIterator[Rig]:
    with servers.mosquitto(folder) as broker:
        yield Rig(broker.port, level, Access("auto" if level == "5" else level), restart=restarting(broker))


@asynccontextmanager
async def guarded(folder: Path, level: Literal["3.1.1", "5"]) -> AsyncIterator[Rig]:
    access = guards(folder)
    with servers.mosquitto(folder, GUARDED.format(folder=folder)) as broker:
        version: Literal["auto", "3.1.1"] = "auto" if level == "5" else "3.1.1"
        who = f"{USER}:{quote(PASSWORD, safe='')}"
        yield Rig(broker.port, level, replace(access, version=version), who, restarting(broker))


@asynccontextmanager
async def embedded(folder: Path) -> AsyncIterator[Rig]:
    port = servers.free_port()
    broker = Broker("127.0.0.1", port, folder / "broker", folder / "broker.log")
    async with kept("broker", broker.run) as ended:

        async def restart() -> None:
            ended.clear()
            os.kill(child_with(str(folder / "broker")), signal.SIGKILL)
            await ended.wait()
            await broker.ready.wait()

        await broker.ready.wait()
        yield Rig(port, "3.1.1", Access("auto"), restart=restart)


def child_with(argument: str) -> int:
    """The process of ours that was started with this in its command line."""
    ours = " ".join(path.read_text() for path in Path("/proc/self/task").glob("*/children")).split()
    (found,) = (pid for pid in ours if argument in Path(f"/proc/{pid}/cmdline").read_text())
    return int(found)


def restarting(broker: servers.BrokerProcess) -> Callable[[], Awaitable[None]]:
    async def restart() -> None:
        await asyncio.to_thread(broker.kill)
        await asyncio.to_thread(broker.start)

    return restart


@asynccontextmanager
async def background(work: Coroutine[Any, Any, Any]) -> AsyncIterator[None]:
    """Run something as long as the scope lasts."""
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(work)
        try:
            yield
        finally:
            task.cancel()


@asynccontextmanager
async def kept(
    name: str, run: Callable[[Callable[[], None]], Coroutine[Any, Any, None]]
) -> AsyncIterator[asyncio.Event]:
    """Keep a part running, as the gateway does but more impatiently; give what is set when it is lost."""
    lost = asyncio.Event()
    async with background(
        keep_running(
            run,
            Health(name),
            clock=SystemClock(),
            chance=random.Random(1),
            lost=lambda error: lost.set(),
            backoff=Backoff(0.02, 0.05),
        )
    ):
        yield lost


RIGS: dict[str, Callable[[Path], AbstractAsyncContextManager[Rig]]] = {
    "mosquitto, MQTT 3.1.1": partial(plain, level="3.1.1"),
    "mosquitto, MQTT 5": partial(plain, level="5"),
    "mosquitto guarded, MQTT 3.1.1": partial(guarded, level="3.1.1"),
    "mosquitto guarded, MQTT 5": partial(guarded, level="5"),
    "embedded": embedded,
}
