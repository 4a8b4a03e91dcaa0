"""Advice and what people say of it, as the application hands it in (gateway/ratings.py)."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol


class Ratings(Protocol):
    """The register of advice. What is not known is a KeyError; a disk that fails is a ConnectionError."""

    async def advices(
        self,
        *,
        start_ns: int,
        end_ns: int,
        asset: str = "",
        state: str = "",
        before: tuple[int, str] = ...,
        rows_max: int = ...,
    ) -> Sequence[Mapping[str, Any]]:
        """Return what was raised in [start, end), newest first, older than `before`: the time and id of one."""
        ...

    async def say(self, id: str, verdict: Any, true_cause: str, note: str, who: str) -> Mapping[str, Any]: ...
