"""Tags that are polled: read again and again, each rate in step with the clock."""

import zlib
from collections import Counter
from collections.abc import Mapping, Sequence

from asyncua import Client, ua

from connectors._opcua.reading import Reading
from connectors._opcua.structures import Structures
from connectors._pace import due
from gateway.contracts import Clock, Emit


class Polling:
    """The polled tags of a device; their numbers are given by period in seconds. Its `name` says when its turn is.

    `counts` has `polls`, and `polls_skipped`, those left out because the one before was not done.
    """

    def __init__(self, numbers: Mapping[float, Sequence[int]], name: str, clock: Clock, counts: Counter[str]) -> None:
        self._numbers = dict(numbers)
        self._phase = zlib.crc32(name.encode()) / 2**32
        self._clock = clock
        self._counts = counts
        self._readings: list[Reading] = []

    def renew(self) -> None:
        """Look anew which nodes the tags have."""
        self._readings.clear()

    async def run(self, client: Client, types: Structures, nodes: Mapping[int, ua.NodeId], emit: Emit) -> None:
        """Poll for ever. Raises what Reading.read does."""
        self.renew()
        async for turn in due(list(self._numbers), self._phase, self._counts):
            if not self._readings:
                found = [
                    [(number, nodes[number]) for number in numbers if number in nodes]
                    for numbers in self._numbers.values()
                ]
                self._readings = [Reading(client, part, self._clock, types) for part in found]
            await self._readings[turn].read(emit)
            self._counts["polls"] += 1
