"""Webhooks, as the application hands them in: how each endpoint does, and what was given up for it."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Protocol


class Tested(Protocol):
    """What became of a test: its `webhook-id`, the status of the answer if there was one, and why it is none."""

    @property
    def id(self) -> str: ...
    @property
    def status(self) -> int | None: ...
    @property
    def error(self) -> str: ...


class Webhooks(Protocol):
    """The endpoints by name (gateway/webhooks/desk.py). All but `names` raise ConnectionError if the disk fails."""

    @property
    def names(self) -> Collection[str]: ...

    async def states(self) -> Sequence[Mapping[str, Any]]: ...

    async def dead(self, name: str, after: int, most: int) -> Sequence[Mapping[str, Any]]: ...

    async def replay(
        self, name: str, *, ids: Sequence[str] | None = None, between_ns: tuple[int, int] | None = None
    ) -> tuple[int, int]: ...

    async def test(self, name: str) -> Tested: ...
