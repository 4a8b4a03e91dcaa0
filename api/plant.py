"""What the application hands to the API: views of the plant, and one door through which a tag may be written."""

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from api.advising import Ratings
from api.annunciator import Annunciator
from api.making import Production
from api.sending import Webhooks
from api.trail import Trail
from gateway.config import Finding
from gateway.config.change import Change
from gateway.config.versions import Version
from gateway.contracts import Answer, Offload, Spectral, Step
from gateway.model import Batch, Catalog, Record

T = TypeVar("T")


class Latest(Protocol):
    """The latest reading of every tag. `now` grows with every update; `version` is when a tag was updated last."""

    now: int

    @property
    def version(self) -> NDArray[np.int64]: ...

    @property
    def sequence(self) -> NDArray[np.int64]:
        """The sequence of the record that a tag's reading is in, by number of the tag; 0 if it is in none."""
        ...

    @property
    def received(self) -> NDArray[np.int64]:
        """When it was received [ns]."""
        ...

    @property
    def since(self) -> NDArray[np.int64]:
        """When the first reading of its quality was received [ns]; 0 if there is none."""
        ...

    def read(self, tag: NDArray[np.uint32]) -> list[Batch]:
        """Return the latest readings of these tags, one batch per kind of value."""
        ...

    def changed(self, since: int) -> NDArray[np.uint32]:
        """Return the numbers of the tags that were updated after a version."""
        ...


class Listener(Protocol):
    """Hears all that is emitted, as it is; neither waits nor raises."""

    def put(self, batches: Sequence[Batch]) -> None: ...


class Readings(Protocol):
    """Readings of one tag, by time: columns of shape (n,)."""

    @property
    def time(self) -> NDArray[np.int64]: ...
    @property
    def value(self) -> NDArray[Any]: ...
    @property
    def quality(self) -> NDArray[np.uint32]: ...


@dataclass(frozen=True, slots=True)
class Device:
    """A device as it stands; `learned` is what was found out about it, in what JSON can carry; `causes` is what a
    StatusCode stands for in the words of its protocol.
    """

    name: str
    protocol: str
    address: str
    asset: str
    tags: int
    state: str
    since_ns: int
    last_ns: int
    error: str
    counts: Mapping[str, int]
    gauges: Mapping[str, float]
    learned: Mapping[str, Any]
    causes: Mapping[int, str]


@dataclass(frozen=True, slots=True)
class Part:
    """A part of the gateway that can be well or not: broker, sink, journal. Counts only grow, gauges do not."""

    name: str
    state: str
    since_ns: int
    error: str
    counts: Mapping[str, int]
    gauges: Mapping[str, float]


class Aggregates(Protocol):
    """One row per bucket of one tag, columns of shape (m,); the numbers are of the good readings."""

    @property
    def bucket(self) -> NDArray[np.int64]: ...
    @property
    def count(self) -> NDArray[np.int64]: ...
    @property
    def good(self) -> NDArray[np.int64]: ...
    @property
    def minimum(self) -> NDArray[np.float64]: ...
    @property
    def maximum(self) -> NDArray[np.float64]: ...
    @property
    def total(self) -> NDArray[np.float64]: ...
    @property
    def squares(self) -> NDArray[np.float64]: ...
    @property
    def first(self) -> NDArray[np.float64]: ...
    @property
    def last(self) -> NDArray[np.float64]: ...


class Summary(Protocol):
    """Aggregates, and beside them, of shape (m,): what is weighted by time, and the seconds of each state."""

    @property
    def rollup(self) -> Aggregates: ...
    @property
    def held(self) -> NDArray[np.float64]: ...
    @property
    def time_mean(self) -> NDArray[np.float64]: ...
    @property
    def changes(self) -> NDArray[np.int64]: ...
    @property
    def states(self) -> Mapping[str, NDArray[np.float64]]: ...


class Written(Protocol):
    """What became of the wish to write a tag or to call a method. `status` is done, refused, failed or unknown."""

    @property
    def id(self) -> str: ...
    @property
    def tag(self) -> str: ...
    @property
    def value(self) -> Any: ...
    @property
    def status(self) -> str: ...
    @property
    def code(self) -> int: ...
    @property
    def detail(self) -> str: ...
    @property
    def time_ns(self) -> int: ...
    @property
    def read_back(self) -> Any: ...
    @property
    def verb(self) -> str: ...


class Trial(Protocol):
    """Devices that have to work again, or a change is rolled back."""

    @property
    def devices(self) -> Collection[str]: ...


class Changes(Protocol):
    """The configuration and its versions.

    What is planned or applied raises ConfigError for a text that is wrong, ConflictError if somebody else was faster,
    OSError if it cannot be kept; versions that are not kept are a KeyError.
    """

    @property
    def file(self) -> str: ...
    @property
    def number(self) -> int: ...
    @property
    def trial(self) -> Trial | None: ...
    @property
    def findings(self) -> Sequence[Finding]: ...

    async def plan(self, text: str) -> Change: ...

    async def apply(self, text: str, author: str, why: str = "", base: int | None = None) -> Version: ...

    async def rollback(self, number: int, author: str) -> Version: ...

    async def versions(self) -> Sequence[Version]: ...

    def version(self, number: int) -> tuple[Version, str]: ...


class Plant(Protocol):
    """The gateway, seen from outside."""

    gateway: str
    version: str
    boot: int
    site: str
    started_ns: int
    catalog: Catalog
    keeps_history: bool

    @property
    def changes(self) -> Changes | None: ...

    @property
    def production(self) -> Production | None: ...

    @property
    def ratings(self) -> Ratings: ...

    @property
    def webhooks(self) -> Webhooks | None: ...

    @property
    def alarms(self) -> Annunciator | None: ...

    @property
    def audit(self) -> Trail: ...

    @property
    def latest(self) -> Latest: ...

    def now_ns(self) -> int: ...

    @property
    def work(self) -> Offload:
        """Runs what takes long in one of few threads, so that what happens now does not wait for it."""
        ...

    @property
    def head(self) -> int:
        """Where the journal ends: the position of the last record, which may not be on the disk yet."""
        ...

    async def after(self, position: int) -> tuple[Sequence[Record], int]:
        """Return the next records after a position, once they are in the journal, and the position that they reach.

        Waits until there are some; returns none, and the position itself, when the gateway ends. Positions between
        that have no record are gone. Raises ConnectionError if the disk fails.
        """
        ...

    def listen(self, listener: Listener) -> None:
        """Let it hear what is emitted from now on."""
        ...

    def leave(self, listener: Listener) -> None:
        """Let it hear no more."""
        ...

    def devices(self) -> Sequence[Device]: ...

    def trace(self, number: int) -> Sequence[Step]:
        """Return what the values of a tag pass, from where its device has them to the wire; nothing if not known."""
        ...

    def spectral(self, asset: str) -> Mapping[str, Spectral]:
        """Return the signals of an asset that can show a spectrum, by name."""
        ...

    def parts(self) -> Sequence[Part]: ...

    async def ledger(
        self, device: str, start_ns: int, end_ns: int, after: tuple[int, str], rows_max: int
    ) -> Sequence[tuple[tuple[int, str], Mapping[str, Any]]]:
        """Return rows of the ledger, each by its minute [ns] and device, after that of `after`; of all devices if ''.

        Raises ConnectionError if its disk fails.
        """
        ...

    async def ask(
        self, question: Callable[..., tuple[T, bytes]], /, *args: Any, gone: Callable[[], Awaitable[bool]] = ...
    ) -> Answer[T]:
        """Return what `question(past, *args)` returns, computed where it keeps nobody waiting (api/past.py).

        Question and arguments are pickled. Raises what it raises; ConnectionError if there is no answer now, or if
        `gone` says that nobody waits for it any more.
        """
        ...

    async def write(self, *, id: str, tag: str, value: Any, who: str, expires_ns: int | None) -> Written:
        """Write a tag, if `who` may, and return what became of it; an id that is known writes nothing again."""
        ...

    async def call(
        self, *, id: str, method: str, arguments: Mapping[str, Any], who: str, expires_ns: int | None
    ) -> Written:
        """Call a method, if `who` may; `read_back` is the Called, if the device has answered."""
        ...

    async def written(self, id: str) -> Written:
        """Return what became of a write or a call. Raises KeyError for an id that is not remembered."""
        ...
