"""Offload and questions to history that do the work at once: for tests in which nothing else is going on."""

from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

from sqlalchemy.exc import SQLAlchemyError

from gateway.contracts import Answer
from gateway.historian.history import History
from gateway.historian.queries import Ask, Gone

P = ParamSpec("P")
T = TypeVar("T")


async def inline(work: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
    return work(*args, **kwargs)


def asking(history: History) -> Ask:
    """Answer questions here, whole."""

    async def ask(question: Callable[..., tuple[Any, bytes]], args: tuple[Any, ...], gone: Gone) -> Answer[Any]:
        try:
            return Answer(*question(history, *args))
        except SQLAlchemyError as error:
            raise ConnectionError(f"history cannot be read: {str(error).splitlines()[0]}") from error

    return ask
