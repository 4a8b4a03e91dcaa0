"""What a plug-in offers and what it is given: a module of connectors/ or gateway/signals/, found by its name alone."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from gateway.contracts.flow import Clock, Connector, Signal
from gateway.model import Batch, Catalog, Record, Tag


async def at_once() -> None:
    """Nothing is kept, so nothing has to be waited for."""


class Describe(Protocol):
    """Tell what a device says of its tag: unit in UCUM, range in that unit, text. What is configured wins."""

    def __call__(
        self,
        number: int,
        *,
        unit: str = "",
        description: str = "",
        low: float | None = None,
        high: float | None = None,
    ) -> None: ...


def nobody_asks(number: int, **said: Any) -> None:
    """Nobody wants to know what a device says of its tags."""


class KeepWords(Protocol):
    """Take what a device answered in one scan, before it is decoded (gateway/contracts/words.py), and never block.

    `time` int64 and `quality` uint32 have an item for each part of the image that came by itself.
    """

    def __call__(
        self, recipe: str, time: NDArray[np.int64], quality: NDArray[np.uint32], image: NDArray[np.uint8], /
    ) -> None: ...


def nobody_keeps(
    recipe: str, time: NDArray[np.int64], quality: NDArray[np.uint32], image: NDArray[np.uint8], /
) -> None:
    """Nobody keeps what a device answers."""


class Past(Protocol):
    """What is known of a device from before the gateway was started, as durable as its readings.

    `told` is the source time up to which each tag was told without a gap, in parallel to the tags; the smallest int64
    where that is not known, as all are before `since` was asked. Nothing that was told after it is older.
    """

    @property
    def told(self) -> NDArray[np.int64]: ...

    def since(self) -> AsyncIterator[Batch]:
        """Return what was told after `told` was kept, so far as the journal still has it; of other tags as well."""
        ...

    async def received(self, since_ns: int) -> Sequence[Record]:
        """Return what the journal still has of the device's asset that came at this time or later, in order."""
        ...

    def keep(self, told: NDArray[np.int64]) -> None:
        """Have this be `told` after the next start, as soon as all that was emitted so far is in the journal."""
        ...


class NoPast:
    """Nothing was told before, and nothing is kept."""

    told = np.empty(0, np.int64)

    async def since(self) -> AsyncIterator[Batch]:
        return
        yield

    async def received(self, since_ns: int) -> Sequence[Record]:
        return ()

    def keep(self, told: NDArray[np.int64]) -> None: ...


class DeviceJournal(Protocol):
    """What the journal does for a device: `stored`, `room` and `past` of Device; the asset of `past` is by number."""

    async def stored(self) -> None: ...
    async def room(self) -> None: ...
    def past(self, device: str, asset: int, numbers: NDArray[np.uint32]) -> Past: ...


class NoJournal:
    """Nothing is kept, so nothing has to be waited for."""

    async def stored(self) -> None: ...

    async def room(self) -> None: ...

    def past(self, device: str, asset: int, numbers: NDArray[np.uint32]) -> Past:
        return NoPast()


@dataclass(frozen=True, slots=True)
class Device:
    """A device of the configuration, ready for its protocol.

    `url` is what `connect` says, secrets resolved: never log it, `name` is for that. `options` is an instance of
    the protocol's DeviceOptions. `tags`, `numbers` and `tag_options` run in parallel. `learned` is what its connector
    had learned when the gateway ran last; `shared` is one and the same for all devices of the protocol, for what they
    have in common, such as a serial line. `folder` is where the gateway keeps its files. `stored()` waits until what
    was emitted so far is in the journal: a server may forget it then. `room()` waits as long as the journal has no room
    and is to block: ask it before you ask the device for more. `describe` takes what the device says of a tag. `past`
    is how far it was told when the gateway ran last. `words` takes what the device answered as it is, for protocols
    that can decode it again (gateway/contracts/words.py).
    """

    name: str
    url: str
    options: Any
    tags: Sequence[Tag]
    numbers: NDArray[np.uint32]
    tag_options: Sequence[Any]
    learned: Mapping[str, Any] = field(default_factory=dict)
    shared: dict[str, Any] = field(default_factory=dict)
    folder: Path = Path()
    stored: Callable[[], Awaitable[None]] = at_once
    room: Callable[[], Awaitable[None]] = at_once
    describe: Describe = nobody_asks
    past: Past = field(default_factory=NoPast)
    words: KeepWords = nobody_keeps


class ProtocolModule(Protocol):
    """A module of `connectors/`: one protocol.

    It may also offer `discover(url, *, ...)`, which looks for devices and returns what it found (connectors/_found.py);
    it takes those options of `gateway discover` that it has a use for. Or `redecode` (gateway/contracts/words.py).
    """

    SCHEMES: Sequence[str]
    """URL schemes of `connect:` that belong to this protocol, such as `modbus`."""

    DeviceOptions: type
    """pydantic model of the keys that a device of this protocol may have."""

    TagOptions: type
    """pydantic model of the keys that a tag of this protocol may have, in addition to unit, description, ...

    Where the keys tell whether values are numbers, a property `numeric` says so: numbers need limits to be written.
    Where its readings are no plain values, a property `datatype` says what they are (gateway/model/tag.py).
    Where they are accepted but may not mean what they seem to, a property `warning` says what and the remedy.
    """

    def address(self, options: Any, /) -> str:
        """Return how a tag with these TagOptions is addressed, for people (`holding:40 uint16 ABCD`)."""
        ...

    def connector(self, device: Device, clock: Clock) -> Connector:
        """Plan everything that can be decided beforehand. Raises ValueError naming tag and remedy."""
        ...


class SignalModule(Protocol):
    """A module of `gateway/signals/`: one kind of signal."""

    Options: type
    """pydantic model of the keys that a signal of this kind has in the configuration.

    `input` is the path of a tag, and so is `speed` if it is a text; a kind that watches several has `asset` and
    `tags` instead, and a property `watched`: the names of those tags of the asset that there have to be. One with
    `input` may have a property `beside`: the names of further tags of the asset of its input.
    """

    def outputs(self, name: str, options: Any, asset: str, /) -> Mapping[str, Tag]:
        """Return the tags that a signal of this name derives, by role, of this asset: its own or that of its input."""
        ...

    def signal(self, options: Any, outputs: Mapping[str, int], catalog: Catalog, /) -> Signal:
        """Build the signal; `outputs` are the numbers of the tags, by role.

        Raises KeyError for an unknown input, ValueError naming the remedy for one that it cannot be built upon.
        """
        ...
