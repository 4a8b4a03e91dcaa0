"""The contracts between the layers. Read this file first.

Data flows one way:

    Connector --emit(batches)--> hub --> journal --Record--> Sink          nothing is lost from the journal on
                                  |----> latest table ----> API, retained topics
                                  `----> Signal --batches--> hub           what is derived is a batch again

Trouble outside is data: a connector turns what a device says into the quality of readings, and raises a device
error when the device as a whole is lost; `gateway/supervise.py` makes that the quality of all its tags, waits, and
runs the connector again. Trouble inside is an exception that nobody catches but the supervisor.

This file knows the model and nothing else of the gateway.
"""

from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ParamSpec, Protocol, TypeVar, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from gateway.model import Batch, Catalog, Quality, Record, Tag
from gateway.model.method import Called

P = ParamSpec("P")
T = TypeVar("T")


class DeviceError(Exception):
    """A device is lost for a reason that has its own quality; OSError and TimeoutError do as well."""

    def __init__(self, message: str, quality: Quality) -> None:
        super().__init__(message)
        self.quality = quality


class Clock(Protocol):
    """Wall-clock time, given to whoever needs it. Waiting is the event loop's business (`asyncio.sleep`)."""

    def now_ns(self) -> int:
        """Return nanoseconds since 1970 UTC. May step when the machine's clock is set."""
        ...


class Offload(Protocol):
    """Run a blocking function away from the event loop and wait for its result."""

    def __call__(self, work: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Awaitable[T]: ...


class Emit(Protocol):
    """Hand over readings that arrived together: one batch per kind of value.

    All of them are historical or none. Never blocks and never raises for what is in them; whoever emits may forget
    them.
    """

    def __call__(self, *batches: Batch) -> None: ...


class Connector(Protocol):
    """One device, or one connection to it.

    `counts` is what it costs the device, by name, for people and metrics; `causes`, if a connector has it, says in its
    protocol's words what a bad StatusCode stands for. `learned` is what the connector found out
    about the device and wants to know after a restart, in what JSON can carry; it comes back as `Device.learned`.
    """

    counts: Counter[str]

    @property
    def learned(self) -> Mapping[str, Any]: ...

    async def run(self, emit: Emit) -> None:
        """Connect, read and emit until cancelled; every run starts from nothing.

        Raises OSError when the device cannot be reached or is gone, TimeoutError when it does not answer,
        DeviceError when there is a better word for it. Holds no connection, task or thread once it has ended,
        and can be cancelled at any await. What only concerns some tags is emitted as their quality.
        """
        ...


@runtime_checkable
class Writer(Protocol):
    """A connector that can also write to its device. It knows how; whether somebody may is gateway/writes.py."""

    async def write(self, number: int, value: float | str | bool) -> Any:
        """Write the tag with this number, read it back and return what the device has now.

        Raises ValueError if the value does not fit the tag, DeviceError if the device refuses it, OSError or
        TimeoutError if it cannot be asked; after a TimeoutError nobody knows whether it was written.
        """
        ...


@runtime_checkable
class Caller(Protocol):
    """A connector that can call methods of its device once, and raises as a Writer does; who may: gateway/calls.py."""

    async def call(self, method: str, arguments: Mapping[str, float | str | bool]) -> Called: ...


@runtime_checkable
class Polled(Protocol):
    """A connector that asks at a pace of its own, so that it is known how many readings are due.

    `polls` is how often it asks, in seconds, and how many readings each of these polls should bring. Its counts have
    `readings_due`, those of the polls whose turn has come, counted before they are made, and `readings_skipped`,
    those of turns that were left out.
    """

    @property
    def polls(self) -> Sequence[tuple[float, int]]: ...


@runtime_checkable
class Prompt(Protocol):
    """A connector that may be run again soon while its device is not there or silent, because it keeps nobody waiting.

    `retry_s` is the longest wait then. Others wait longer each time, as all do whom their device has refused.
    """

    retry_s: float


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that a value passes on its way from the wire to its tag, and how it is.

    `kind` is what an engineer calls it: register, request, unit, node, subscription, session, link. `facts` is what
    JSON can carry, without secrets. `trouble` says what is wrong with it, `remedy` what to do; empty if nothing is.
    """

    kind: str
    name: str
    facts: Mapping[str, Any] = field(default_factory=dict)
    trouble: str = ""
    remedy: str = ""


@runtime_checkable
class Traced(Protocol):
    """A connector that can tell which way its values come. It asks nobody: it tells what it knows."""

    def trace(self, number: int) -> Sequence[Step]:
        """Return what the values of this tag pass, from where the device has them to the wire.

        The facts of the first step say what becomes of what the device has: type, order, scale, offset.
        """
        ...


class Sink(Protocol):
    """Where records go: a broker, a database, a file."""

    async def write(self, records: Sequence[Record]) -> None:
        """Return when the far side has confirmed all of them, in order (PUBACK, COMMIT).

        Raises OSError when it has not; the same records, and perhaps more, then come again: a sink tells
        repetitions by (boot, sequence) or by position, and may wait as long as it likes for its far side.
        """
        ...


class Signal(Protocol):
    """Something computed from readings: pure numpy, no I/O, no clock, no randomness.

    The answer depends on the readings alone, not on how they were cut into batches.
    """

    inputs: NDArray[np.uint32]

    def update(self, batch: Batch) -> Sequence[Batch]:
        """Take readings of `inputs` in order of arrival and return what follows from them, if anything."""
        ...


# --- plug-ins: a module of connectors/ or gateway/signals/ that offers these names is found by its name alone ---


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


@dataclass(frozen=True, slots=True)
class Device:
    """A device of the configuration, ready for its protocol.

    `url` is what `connect` says, secrets resolved: never log it, `name` is for that. `options` is an instance of
    the protocol's DeviceOptions. `tags`, `numbers` and `tag_options` run in parallel. `learned` is what its connector
    had learned when the gateway ran last; `shared` is one and the same for all devices of the protocol, for what they
    have in common, such as a serial line. `folder` is where the gateway keeps its files. `stored()` waits until what
    was emitted so far is in the journal: a server may forget it then. `room()` waits as long as the journal has no room
    and is to block: ask it before you ask the device for more. `describe` takes what the device says of a tag. `past`
    is how far it was told when the gateway ran last.
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


class ProtocolModule(Protocol):
    """A module of `connectors/`: one protocol.

    It may also offer `discover(url, *, ...)`, which looks for devices and returns what it found (connectors/_found.py);
    it takes those options of `gateway discover` that it has a use for.
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

    `input` is the path of a tag; a kind that watches several has `asset` and `tags` instead,
    and a property `watched`: the names of those tags of the asset that there have to be.
    """

    def outputs(self, name: str, options: Any, asset: str, /) -> Mapping[str, Tag]:
        """Return the tags that a signal of this name derives, by role, of this asset: its own or that of its input."""
        ...

    def signal(self, options: Any, outputs: Mapping[str, int], catalog: Catalog, /) -> Signal:
        """Build the signal; `outputs` are the numbers of the tags, by role. Raises KeyError for an unknown input."""
        ...
