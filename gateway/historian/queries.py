"""Questions to history, answered by a process of their own, so that nothing else waits for them.

A question is a function of a module and its arguments: `question(history, *args)` returns what is told at once and the
bytes that follow. What is not fetched of an answer stays with the process (answering.py). It is started with the first
question, and again if it dies; meanwhile there is an error that says so.
"""

import asyncio
import itertools
import os
import pickle
import sys
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from sqlalchemy.exc import SQLAlchemyError

from gateway.contracts import Answer, Offload
from gateway.historian.frames import HEAD, PIECE_BYTES, What, frame
from gateway.historian.history import History

_START_S: Final = 20.0
_STOP_S: Final = 1.0
_LOOK_S: Final = 0.5
"""How often is looked whether who asked is still there."""
_ANSWERS_MAX: Final = 32
"""Answers under way, for what is not fetched of them is in memory there, up to 20 MB each."""
_ROOM_S: Final = 10.0
_ENVIRONMENT: Final = ("PATH", "HOME", "LANG", "TZ", "TMPDIR", "TEMP", "TMP", "SYSTEMROOT", "LD_LIBRARY_PATH")
"""What the process has of our environment, in which secrets may be; and what is Python's, and the database's own."""

Gone = Callable[[], Awaitable[bool]]
Ask = Callable[[Callable[..., tuple[Any, bytes]], tuple[Any, ...], Gone], Awaitable[Answer[Any]]]
"""Who answers questions: `Queries.ask`."""


async def nobody_leaves() -> bool:
    """Who asks waits for the answer, however long it takes."""
    return False


class Queries:
    """Questions to one database. `run` is the life of the process; `ask` may be called at any time."""

    def __init__(self, history: History, url: str, offload: Offload) -> None:
        self._history = history
        self._url = url
        self._offload = offload
        self._numbers = itertools.count(1)
        self._room = asyncio.Semaphore(_ANSWERS_MAX)
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._open: set[int] = set()
        self._pipe: asyncio.StreamWriter | None = None
        self._wanted = asyncio.Event()
        self._tried = asyncio.Event()
        self._why = ""
        self._asked = self._dropped = 0

    def counts(self) -> Mapping[str, int]:
        """Return how many questions were asked, and how many of their answers nobody waited for to the end."""
        return {"questions": self._asked, "questions_dropped": self._dropped}

    async def run(self, up: Callable[[], None]) -> None:
        """Start the process with the first question and stay until it ends (ConnectionError saying why)."""
        try:
            await self._offload(self._history.prepare)
            if not self._wanted.is_set():
                self._tried.clear()
                up()
                await self._wanted.wait()
            await self._live(up)
        except SQLAlchemyError as error:
            self._why = f"history cannot be read: {str(error).splitlines()[0]}"
        finally:
            self._lost()  # also whoever waits for it to be started
            self._tried.set()
        raise ConnectionError(self._why)

    async def ask(self, question: Callable[..., tuple[Any, bytes]], args: tuple[Any, ...], gone: Gone) -> Answer[Any]:
        """Return the answer to a question, once its beginning is there.

        Raises what the question raises; ConnectionError if there is no answer now, or if `gone` says that nobody waits.
        """
        await self._until_ready()
        id = next(self._numbers)
        self._open.add(id)
        self._asked += 1
        try:
            answer = self._send(What.ASK, id, pickle.dumps((question, args), pickle.HIGHEST_PROTOCOL))
            while not (await asyncio.wait({answer}, timeout=_LOOK_S))[0]:
                if await gone():
                    raise ConnectionAbortedError("who asked has left")
            about, first, size = answer.result()
        except BaseException:
            self.close(id)
            raise
        if size > len(first):
            return Answer(about, first, _Rest(self, id, size - len(first)))
        self.close(id, fetched=True)
        return Answer(about, first)

    def more(self, id: int) -> asyncio.Future[bytes]:
        """Ask for the next piece of an answer."""
        return self._send(What.MORE, id)

    def close(self, id: int, *, fetched: bool = False) -> None:
        """Nothing more is wanted of an answer."""
        if id not in self._open:
            return
        self._open.remove(id)
        self._waiting.pop(id, None)
        self._room.release()
        if not fetched:
            self._dropped += 1
            if self._pipe is not None:
                self._pipe.write(frame(What.DROP, id))

    async def _until_ready(self) -> None:
        """Wait for the process when it is started first, and for room. Raises ConnectionError."""
        self._wanted.set()
        try:
            async with asyncio.timeout(_START_S):
                await self._tried.wait()
            async with asyncio.timeout(_ROOM_S):
                await self._room.acquire()
        except TimeoutError:
            raise ConnectionError(f"history has {len(self._open)} other questions to answer: ask again later") from None
        if self._pipe is None:
            self._room.release()
            raise ConnectionError(self._why)

    def _send(self, what: What, id: int, body: bytes = b"") -> "asyncio.Future[Any]":
        if self._pipe is None:
            raise ConnectionError(self._why)
        self._pipe.write(frame(what, id, body))
        answer = self._waiting[id] = asyncio.get_running_loop().create_future()
        return answer

    # --- the process ----------------------------------------------------------------------

    async def _live(self, up: Callable[[], None]) -> None:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "gateway.historian.answering",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env=_environment(),
            limit=2 * PIECE_BYTES,
        )
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write(frame(What.OPEN, body=self._url.encode()))
            await self._receive(process.stdin, process.stdout, up)
            self._why = (
                f"history cannot be read: its query process ended with code {await process.wait()},"
                " and is being started again"
            )
        finally:
            self._lost()
            await _stop(process)

    async def _receive(self, pipe: asyncio.StreamWriter, out: asyncio.StreamReader, up: Callable[[], None]) -> None:
        """Hand on what comes until the process ends."""
        try:
            while True:
                length, what, id = HEAD.unpack(await out.readexactly(HEAD.size))
                body = await out.readexactly(length)
                if what == What.OPEN:
                    self._pipe, self._why = pipe, ""
                    self._tried.set()
                    up()
                elif (answer := self._waiting.pop(id, None)) is not None and not answer.done():  # else nobody waits
                    if what == What.FAILED:
                        answer.set_exception(pickle.loads(body))
                    else:
                        answer.set_result(body if what == What.BODY else pickle.loads(body))
        except (asyncio.IncompleteReadError, ConnectionError):
            return

    def _lost(self) -> None:
        """Whoever waits is told that there will be no answer."""
        self._pipe = None
        self._why = self._why or "history cannot be read: the gateway is being stopped"
        for answer in self._waiting.values():
            if not answer.done():
                answer.set_exception(ConnectionError(self._why))
                answer.exception()  # perhaps nobody looks at it any more
        self._waiting.clear()


class _Rest:
    """The rest of an answer, piece by piece; the next one is on its way while one is passed on."""

    def __init__(self, queries: Queries, id: int, size: int) -> None:
        self._queries = queries
        self._id = id
        self._size = size
        self._next = queries.more(id)
        self._loop = asyncio.get_running_loop()

    def __aiter__(self) -> "_Rest":
        return self

    async def __anext__(self) -> bytes:
        if not self._size:
            raise StopAsyncIteration
        piece = await self._next
        self._size -= len(piece)
        if self._size:
            self._next = self._queries.more(self._id)
        else:
            self._queries.close(self._id, fetched=True)
        return piece

    def __del__(self) -> None:
        if self._size and not self._loop.is_closed():  # whoever wanted it let go of it, in whatever thread
            self._loop.call_soon_threadsafe(self._queries.close, self._id)


async def _stop(process: asyncio.subprocess.Process) -> None:
    """Let it end by itself; it only reads, so nothing is lost if it does not."""
    assert process.stdin is not None
    process.stdin.close()
    try:
        async with asyncio.timeout(_STOP_S):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()


def _environment() -> dict[str, str]:
    return {name: x for name, x in os.environ.items() if name in _ENVIRONMENT or name.startswith(("PYTHON", "PG"))}
