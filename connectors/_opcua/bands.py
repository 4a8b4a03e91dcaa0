"""Which deadband each tag has, in its unit or in percent of its range, and by whom it is kept: the server, or here.

A percentage is of the EURange of the node, which the server uses as well (PercentDeadband, OPC 10000-8 v1.04, 6.2).
Where the node has none it is of the range that the configuration gives the tag. Here is deadband.py.
"""

import math
from collections.abc import Collection, Mapping
from typing import Final

from asyncua import Client, ua

from connectors._opcua.deadband import Deadbands
from connectors._opcua.describing import described
from connectors._pace import heed_cancel
from gateway.contracts import Device
from gateway.model import Batch

_NONE: Final = (0.0, ua.DeadbandType.None_)


class Bands:
    """The deadbands of a device, by number of the tag. `rangeless` are those in percent of nobody knows what."""

    def __init__(self, device: Device) -> None:
        tags = dict(zip(device.numbers.tolist(), zip(device.tags, device.tag_options, strict=True), strict=True))
        self._percent: dict[int, float] = {
            n: keys.deadband_percent for n, (_, keys) in tags.items() if keys.deadband_percent
        }
        self._absolute: dict[int, float] = {
            n: tag.deadband for n, (tag, _) in tags.items() if device.options.server_deadband
        }
        self._configured: dict[int, float] = {
            n: tag.high - tag.low for n, (tag, _) in tags.items() if tag.low is not None and tag.high is not None
        }
        self.begin()

    def begin(self) -> None:
        """Nothing is known of the server, and none of its values has been told."""
        self._span: dict[int, float] = {}
        self._here = Deadbands()
        self.rangeless: set[int] = set()

    async def learn(self, client: Client, nodes: Mapping[int, ua.NodeId]) -> None:
        """Ask for the ranges of those of these nodes whose deadband is in percent; to be done before `asked`."""
        wanted = {number: node for number, node in nodes.items() if number in self._percent}
        if not wanted:
            return
        heed_cancel()
        try:
            said = await described(client, wanted)
        except ua.UaStatusCodeError:  # such a server tells no ranges
            said = {}
        for number in wanted:
            self._span.pop(number, None)
        spans = {n: one.range[1] - one.range[0] for n, one in said.items() if one.range}
        self._span |= {n: span for n, span in spans.items() if math.isfinite(span)}
        known = self._span.keys() | self._configured.keys()
        self.rangeless = (self.rangeless - wanted.keys()) | (wanted.keys() - known)

    def asked(self, number: int) -> tuple[float, ua.DeadbandType]:
        """Return what to ask the server for: a number and what it counts, unit of the tag or percent of EURange."""
        if number in self._span:
            return self._percent[number], ua.DeadbandType.Percent
        width = self._width(number)
        return (width, ua.DeadbandType.Absolute) if width else _NONE

    def keep(self, numbers: Collection[int]) -> None:
        """Keep the deadbands of these tags here, for the server does not."""
        self._here.add({number: width for number in numbers if (width := self._width(number))})

    def __call__(self, batch: Batch) -> Batch:
        """Return the readings that are to be told, in order."""
        return self._here(batch)

    def _width(self, number: int) -> float:
        """The deadband of a tag in its unit, 0 if it has none or none that is known."""
        if number not in self._percent:
            return self._absolute.get(number, 0.0)
        return self._percent[number] / 100 * self._span.get(number, self._configured.get(number, 0.0))
