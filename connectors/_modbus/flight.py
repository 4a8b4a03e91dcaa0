"""What is on its way on a line: requests that wait for their answers, and those given up whose answers may come late.

Whatever is received is checked against what was asked: transaction, unit, function, byte count.
"""

from collections.abc import Sequence

from connectors._modbus.frames import Frame, Framing
from connectors._modbus.pdu import Answer, Request, judge
from connectors._modbus.unit import Unit

_Sent = tuple[Unit, Request, int, float, bytes, int]
"""A request, its number in the exchange, when it was sent; how the frame of a good answer begins, and its length."""


class Flight:
    """Requests on their way. `lossy`: an answer that nobody asked for is a disturbance, and no reason to give up."""

    def __init__(self, framing: Framing, *, lossy: bool) -> None:
        self._framing = framing
        self._lossy = lossy
        self._transaction = 0
        self._waiting: dict[int, _Sent] = {}
        self._late: dict[int, Unit] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def numbers(self) -> list[int]:
        """The numbers of the requests, the oldest first."""
        return [number for _, _, number, *_ in self._waiting.values()]

    @property
    def oldest(self) -> float:
        """When the oldest of them was sent. There must be one."""
        return next(iter(self._waiting.values()))[3]

    def send(self, unit: Unit, requests: Sequence[Request], numbers: Sequence[int], now: float) -> bytes:
        """Return the frames of the requests with these numbers; they are on their way from now on."""
        framing, frames = self._framing, []
        for number in numbers:
            request = requests[number]
            transaction = self._transaction = self._transaction % 0xFFFF + 1
            head, length = framing.expected(transaction, unit.number, request.answer, request.length)
            self._waiting[transaction] = (unit, request, number, now, head, length)
            self._late.pop(transaction, None)
            frames.append(framing.frame(transaction, unit.number, request.pdu))
        return b"".join(frames)

    def arrived(self, stream: bytes, now_ns: int) -> tuple[list[tuple[int, Answer]], int]:
        """Return the answers at the beginning of a stream by number of the request, and how many bytes they are.

        Raises ConnectionError for what cannot be a frame, or, unless the line is lossy, not an answer.
        """
        answers, used = self._expected(stream, now_ns)
        if used < len(stream):
            frames, size = self._framing.split(stream[used:])
            used += size
            answers += [answer for frame in frames if (answer := self._matched(frame, now_ns)) is not None]
        return answers, used

    def give_up(self) -> None:
        """Nobody waits for them any more; answers that still come are late."""
        self._late |= {transaction: unit for transaction, (unit, *_) in self._waiting.items()}
        self._waiting.clear()

    def forget(self) -> None:
        """No answer to any of them can come any more."""
        self._waiting.clear()
        self._late.clear()

    def _expected(self, stream: bytes, now_ns: int) -> tuple[list[tuple[int, Answer]], int]:
        """The good answers that come in the order of their requests, as nearly all do: one comparison each."""
        answers: list[tuple[int, Answer]] = []
        used = 0
        for _, _, number, _, head, length in self._waiting.values():
            end = used + length
            if not head or end > len(stream) or not stream.startswith(head, used):
                break
            answers.append((number, Answer(stream[used + len(head) : end], 0, now_ns)))
            used = end
        if len(answers) == len(self._waiting):
            self._waiting.clear()
        for transaction in list(self._waiting)[: len(answers)]:
            del self._waiting[transaction]
        return answers, used

    def _matched(self, frame: Frame, now_ns: int) -> tuple[int, Answer] | None:
        """The request that a frame answers; None if it is late, or a disturbance."""
        transaction, unit, pdu = frame
        if transaction is None:
            transaction = next(iter(self._waiting), 0)
        if transaction not in self._waiting:
            late = self._late.pop(transaction, None)
            if late is not None:
                late.counts["late"] += 1
            elif not self._lossy:
                raise ConnectionError("answer that nobody asked for")
            return None
        asked_of, request, number, *_ = self._waiting[transaction]
        answer = judge(request, pdu, now_ns) if unit == asked_of.number else None
        if answer is not None:
            del self._waiting[transaction]
            return number, answer
        if not self._lossy:
            asked, came = f"{request.pdu[:5].hex()} of unit {asked_of.number}", f"{pdu[:5].hex()} of {unit}"
            raise ConnectionError(f"the answer to {asked} does not belong to it: {came}, {len(pdu)} bytes")
        return None
