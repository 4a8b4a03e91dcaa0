"""The query process: questions to history come by standard input, answers leave by standard output.

python -m gateway.historian.answering

It reads the database and cannot write it. It is another process because a question may keep Python busy for seconds,
and the readings of the plant must not wait for that; what happens now has the CPU first. It ends with its input, so
with the gateway, also one that is killed. It knows of a question only that it is a function of a History.
"""

import os
import pickle
import signal
import sys
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Event, Lock
from typing import BinaryIO, Final

from sqlalchemy.exc import SQLAlchemyError

from gateway.historian.frames import HEAD, PIECE_BYTES, What, frame
from gateway.historian.heed import Left
from gateway.historian.history import History
from gateway.historian.schema import reading

_THREADS: Final = 2
"""Questions that are answered at a time: a short one need not wait for a long one."""
_NICE: Final = 10


class Answers:
    """Answers questions in threads, and keeps what has not been fetched of their answers yet."""

    def __init__(self, history: History, send: Callable[[bytes], None]) -> None:
        self._history = history
        self._send = send
        self._lock = Lock()
        self._left: dict[int, Event] = {}
        self._rest: dict[int, memoryview] = {}

    def expect(self, id: int) -> Event:
        """Return what says that who asked has left; until the answer is fetched, that may be."""
        return self._left.setdefault(id, Event())

    def answer(self, id: int, left: Event, asked: bytes) -> None:
        """Answer a question, in any thread."""
        try:
            question, args = pickle.loads(asked)
            about, body = question(self._history.asked(left.is_set), *args)
            body = memoryview(body)
            first = bytes(body[:PIECE_BYTES])
            told = frame(What.TOLD, id, pickle.dumps((about, first, len(body)), pickle.HIGHEST_PROTOCOL))
        except Left:
            return
        except SQLAlchemyError as error:
            self._failed(id, ConnectionError(f"history cannot be read: {str(error).splitlines()[0]}"))
        except Exception as error:  # noqa: BLE001  # it is for who asked, whatever it is
            error.add_note(traceback.format_exc())
            self._failed(id, error)
        else:
            self._told(id, left, told, body[len(first) :])

    def more(self, id: int) -> None:
        """Send the next piece of an answer."""
        rest = self._rest.pop(id)
        if len(rest) > PIECE_BYTES:
            self._rest[id] = rest[PIECE_BYTES:]
        else:
            del self._left[id]
        self._send(frame(What.BODY, id, bytes(rest[:PIECE_BYTES])))

    def drop(self, id: int) -> None:
        """Nobody waits for this answer any more."""
        with self._lock:
            self._rest.pop(id, None)
            if (left := self._left.pop(id, None)) is not None:
                left.set()

    def drop_all(self) -> None:
        for id in list(self._left):
            self.drop(id)

    def _told(self, id: int, left: Event, told: bytes, rest: memoryview) -> None:
        with self._lock:
            if left.is_set():
                return
            if len(rest):
                self._rest[id] = rest
            else:
                del self._left[id]
        self._send(told)

    def _failed(self, id: int, error: Exception) -> None:
        self._left.pop(id, None)
        self._send(frame(What.FAILED, id, pickle.dumps(_portable(error))))


def _portable(error: Exception) -> Exception:
    """The exception, if it is one that can be told to another process."""
    try:
        return pickle.loads(pickle.dumps(error))  # type: ignore[no-any-return]  # it is what it was
    except Exception:  # noqa: BLE001  # whatever it is that cannot be told
        return RuntimeError("".join(traceback.format_exception(error)))


def serve(source: BinaryIO, sink: BinaryIO) -> None:
    """Answer what comes until the input ends; the first frame says which database."""
    frames = _frames(source)
    _, _, url = next(frames)
    history = History(reading(url.decode()), made=True)
    writing = Lock()

    def send(data: bytes) -> None:
        with writing:
            sink.write(data)
            sink.flush()

    send(frame(What.OPEN))
    answers = Answers(history, send)
    with ThreadPoolExecutor(_THREADS) as threads:
        for what, id, body in frames:
            if what is What.ASK:
                threads.submit(answers.answer, id, answers.expect(id), body)
            elif what is What.MORE:
                answers.more(id)
            else:
                answers.drop(id)
        answers.drop_all()
    history.close()


def _frames(source: BinaryIO) -> Iterator[tuple[What, int, bytes]]:
    while len(head := source.read(HEAD.size)) == HEAD.size:
        length, what, id = HEAD.unpack(head)
        yield What(what), id, source.read(length)


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the gateway, which ends us
    if hasattr(os, "nice"):
        os.nice(_NICE)
    out, sys.stdout = sys.stdout.buffer, sys.stderr  # nothing but frames
    serve(sys.stdin.buffer, out)
