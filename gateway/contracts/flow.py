"""What flows and who passes it on: connectors, signals, sinks, and what all of them are given."""

from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, ParamSpec, Protocol, TypeVar, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from gateway.model import Batch, Quality, Record
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


@dataclass(frozen=True, slots=True)
class Answer(Generic[T]):
    """What was told of a question, and its bytes: all of them, or the first ones and the rest by and by."""

    about: T
    body: bytes
    rest: AsyncIterator[bytes] | None = None


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


@runtime_checkable
class Spectral(Protocol):
    """A signal that looks at a spectrum and can show it; `waveform` is the number of its input, None if it is none."""

    @property
    def waveform(self) -> int | None: ...

    def spectrum(self, samples: NDArray[np.float64]) -> tuple[NDArray[np.float64], float]:
        """Return the amplitudes of a waveform, shape (n,), and their distance in hertz. Thread-safe."""
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
