"""What a server says of the tags of a device, asked for once per subscription and beside the values.

A tag takes unit, range and description from the properties of its node (metadata.py) where the configuration says
nothing. Nothing comes of it if the server does not tell: what failed is asked for again with the next connection.
"""

import asyncio
import logging
from collections.abc import Mapping
from itertools import islice
from typing import Final

from asyncua import Client, ua

from connectors._opcua.calls import calls
from connectors._opcua.metadata import Metadata, describe, properties
from connectors._pace import heed_cancel
from gateway.contracts import Device

_FAILURES: Final = (ua.UaError, OSError)
_NODES_MAX: Final = 2000
"""Asked about in one go: what it takes to ask about all of a large server would hold up the first values."""

log = logging.getLogger(__name__)


class Describing:
    """Asks about nodes that it is told of, each once; `begin` has it forget which those were."""

    def __init__(self, device: Device) -> None:
        self._name = device.name
        self._tell = device.describe
        self._asked: dict[int, ua.NodeId] = {}
        self._due: dict[int, ua.NodeId] = {}
        self._some = asyncio.Event()
        self._said = ""

    def begin(self) -> None:
        self._asked.clear()
        self._due.clear()

    def about(self, nodes: Mapping[int, ua.NodeId]) -> None:
        """Ask about the nodes of these tags, by number, if they are others than before."""
        self._due |= {number: node for number, node in nodes.items() if self._asked.get(number) != node}
        if self._due:
            self._some.set()

    async def run(self, client: Client) -> None:
        """Ask for ever, or until the server does not answer as it should."""
        while True:
            await self._some.wait()
            heed_cancel()
            due = dict(islice(self._due.items(), _NODES_MAX))
            try:
                found = await described(client, due)
            except _FAILURES as error:
                self._fail(f"{type(error).__name__}: {error}")
                return
            for number in due:
                one = found.get(number, _NOTHING)
                low, high = one.range or (None, None)
                unknown = "" if one.unit or not one.shown else f" [{one.shown}]"
                description = (one.description + unknown).strip()
                self._tell(number, unit=one.unit, description=description, low=low, high=high)
            self._asked |= due
            self._due = {number: node for number, node in self._due.items() if due.get(number) != node}
            if not self._due:
                self._some.clear()

    def _fail(self, why: str) -> None:
        """Say it once, and again if it is for another reason."""
        if why != self._said:
            log.info("device %s: it does not say what its tags are: %s", self._name, why)
        self._said = why


_NOTHING: Final = Metadata("", "", "", None)


async def described(client: Client, nodes: Mapping[int, ua.NodeId]) -> dict[int, Metadata]:
    """What the server says of those that have properties; a server without any is asked for nothing else."""
    ask = await calls(client)
    found = await properties(ask, list(nodes.values()), await client.get_namespace_array())
    telling = {number: pair for number, pair in zip(nodes, found, strict=True) if any(pair)}
    said = await describe(ask, [nodes[number] for number in telling], list(telling.values()))
    return dict(zip(telling, said, strict=True))
