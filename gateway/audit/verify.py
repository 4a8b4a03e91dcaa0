"""Whether an audit trail is whole: every record as it was written, each sealing the one before, none missing."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gateway.audit.chain import GENESIS, Broken, Record, read
from gateway.audit.file import first, segments


@dataclass(slots=True)
class Verdict:
    """What was found: what is `wrong`, each with its place; `remarks` are no fault. `n` and `hash` are the newest."""

    wrong: list[str]
    remarks: list[str]
    records: int = 0
    n: int = 0
    hash: str = GENESIS


def verify(folder: Path, known: str = "") -> Verdict:
    """Read all of a trail. `known` is the hash of a record that was noted elsewhere, which the chain has to have.

    Whoever can write the files can write a whole chain anew, and cut off its end: only a hash that was noted elsewhere
    shows that.
    """
    verdict, chain, found = Verdict([], []), _Chain(), segments(folder)
    for path in found:
        torn = verdict.remarks if path is found[-1] else verdict.wrong
        if first(path) == 0:
            verdict.wrong.append(f"{path.name}: a segment has another name, so its place in the chain is not known")
        for place, text in _lines(path, torn):
            try:
                record = read(text)
            except Broken as error:
                verdict.wrong.append(f"{place}: {error}")
                chain.skip()
                continue
            verdict.wrong += [f"{place}: {what}" for what in chain.follow(record)]
            verdict.records += 1
            known = "" if record.hash == known else known
    verdict.n, verdict.hash = chain.n, chain.hash
    verdict.wrong += chain.beginning()
    if known:
        verdict.wrong.append(f"{folder}: no record has the hash {known}: the trail was cut off, or written anew")
    return verdict


class _Chain:
    """Follows records from one to the next."""

    def __init__(self) -> None:
        self.n = 0
        self.hash = GENESIS
        self._begins: Record | None = None
        self._deleted: dict[str, Any] = {}
        self._broken = False

    def skip(self) -> None:
        """Step over a record that cannot be read."""
        self.n += 1
        self._broken = True

    def follow(self, record: Record) -> Iterator[str]:
        """Take the next record; say how it does not follow the one before."""
        if record.fields.get("action") == "audit.dropped":
            self._deleted = dict(record.fields)
        if self._begins is None:
            self._begins = record
        elif record.n != self.n + 1:
            yield f"record {record.n} follows {self.n}: what was between them is missing, or was put elsewhere"
        elif record.prev != self.hash and not self._broken:
            yield f"record {record.n} does not seal the one before it: that is another one than was written"
        self.n, self.hash, self._broken = record.n, record.hash, False

    def beginning(self) -> list[str]:
        """Say what is wrong with where the chain begins, if anything is."""
        begins, gone = self._begins, self._deleted
        if begins is None or (begins.n == 1 and begins.prev == GENESIS):
            return []
        if gone.get("upto") == begins.n - 1 and gone.get("upto_hash") == begins.prev:
            return []
        return [f"the chain begins with record {begins.n}, and no record says that those before it were deleted"]


def _lines(path: Path, torn: list[str]) -> Iterator[tuple[str, bytes]]:
    """The whole lines of a segment, with their places; what comes behind them goes to `torn`."""
    with path.open("rb") as file:
        for number, text in enumerate(file, 1):
            place = f"{path.name}:{number}"
            if text.endswith(b"\n"):
                yield place, text[:-1]
            else:
                torn.append(f"{place}: the record is not whole: it is being written, or a crash tore it off")
