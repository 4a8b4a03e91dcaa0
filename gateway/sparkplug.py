"""The Sparkplug edge node of a configuration, put together: what the application has to run for it."""

from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

from gateway.bus.sparkplug.node import EdgeNode
from gateway.bus.sparkplug.session import BirthNumber, Options, Session
from gateway.commands import WHO
from gateway.config import Config
from gateway.config.brokers import Sparkplug as Keys
from gateway.contracts import Clock
from gateway.drain import drain, drain_in_doubt
from gateway.journal import Cursor, Journal
from gateway.latest import Latest
from gateway.model import Catalog
from gateway.mqtt import Access
from gateway.mqtt.sparkplug.names import Names
from gateway.supervise import Health
from gateway.writes import Request, Writes

HOST: Final = "sparkplug host"
"""Who asks for the writes that come as commands; no token can have this name."""

Run = Callable[[Callable[[], None]], Coroutine[Any, Any, None]]
Part = tuple[str, Run, Callable[[], Mapping[str, int]]]
"""Name of a part of the gateway, what it does, and what it counts."""


class Sparkplug:
    """The edge node, if the configuration asks for one. `devices` tells how each device does."""

    def __init__(
        self,
        config: Config,
        catalog: Catalog,
        latest: Latest,
        journal: Journal,
        clock: Clock,
        devices: Mapping[str, tuple[object, Health]],
        writes: Writes,
    ) -> None:
        self._keys = config.sparkplug
        self._journal = journal
        self._writes = writes
        if self._keys is None:
            return
        node = EdgeNode(
            Names(self._keys.group or f"{config.site.enterprise}:{config.site.site}", self._keys.node or config.id),
            config.site.path,
            catalog,
            latest,
            clock,
            alive=lambda name: name in devices and devices[name][1].state == "up",
            newest=lambda: journal.appended,
            datatype_in_data=self._keys.datatype_in_data,
        )
        options = Options(
            urls=config.bus.addresses(self._keys.urls),
            client_id=f"itot-gateway-{config.id}-sparkplug",
            primary_host=self._keys.primary_host or "",
            write=self._write if self._keys.writes else None,
            access=Access("3.1.1", **config.bus.tls.model_dump()),
        )
        number = BirthNumber(Path(config.data_dir) / "sparkplug.json")
        self._session = Session(options, node, number, clock)

    def services(self, broker: Callable[[], Awaitable[None]]) -> list[Part]:
        """Return what runs beside the journal; `broker` waits until the embedded broker listens."""
        if self._keys is None:
            return []
        parts: list[Part] = [("sparkplug", partial(self._speak, broker), self._session.counts)]
        return [*parts, ("sparkplug commands", self._session.obey, dict)] if self._keys.writes else parts

    def drains(self) -> list[Part]:
        """Return what hands on what the journal has."""
        if self._keys is None:
            return []
        return [("sparkplug data", partial(self._drain, self._journal.cursor("sparkplug"), self._keys), dict)]

    async def _drain(self, cursor: Cursor, keys: Keys, up: Callable[[], None]) -> None:
        if keys.primary_host is None:
            await drain(cursor, self._session, up)
        else:
            await drain_in_doubt(self._journal, cursor, self._session, up, keys.doubt)

    async def _speak(self, broker: Callable[[], Awaitable[None]], up: Callable[[], None]) -> None:
        await broker()
        await self._session.run(up)

    async def _write(self, tag: str, value: Any, id: str, expires_ns: int) -> None:
        await self._writes.write(Request(id, tag, value, HOST, expires_ns))


def writers(config: Config) -> Sequence[str]:
    """Return who may write: those of the API, hosts and whoever commands by MQTT if they may."""
    hosts = [HOST] if config.sparkplug is not None and config.sparkplug.writes else []
    return [*config.api.writers, *hosts, *([WHO] if config.bus.writes else [])]
