"""A record: what one emission of a device or signal became in the journal."""

from dataclasses import dataclass
from typing import Final

from gateway.model.batch import Batch, Kind

_ROW_BYTES: Final = {
    Kind.FLOAT: 24,
    Kind.INTEGER: 24,
    Kind.UNSIGNED: 24,
    Kind.BOOLEAN: 17,
    Kind.OBJECT: 120,
}


_POSITION_BITS: Final = 40


@dataclass(frozen=True, slots=True)
class Record:
    """Readings of one asset that arrived together, with their durable identity.

    `position`  place in the journal, 1, 2, 3, ... over all assets; what a cursor counts
    `asset`     number of the asset in the Catalog
    `boot`      how often this journal has been opened; tells consumers of a restart
    `sequence`  1, 2, 3, ... per asset and across boots, so that a consumer of one topic sees every gap
    `received`  when the gateway took it, nanoseconds since 1970 UTC
    `batches`   one batch per kind of value
    """

    position: int
    asset: int
    boot: int
    sequence: int
    received: int
    batches: tuple[Batch, ...]

    def __len__(self) -> int:
        return sum(map(len, self.batches))

    @property
    def place(self) -> int:
        """Where it comes among all records of its journal, also where positions are given again after a power cut."""
        return self.boot << _POSITION_BITS | self.position

    @property
    def historical(self) -> bool:
        """Whether its readings come from the history of the device; what is emitted together does, or does not."""
        return self.batches[0].historical

    @property
    def nbytes(self) -> int:
        """About how much memory the columns take; a text counts as a short one."""
        return 64 + sum(map(_nbytes, self.batches))


def _nbytes(batch: Batch) -> int:
    columns = len(batch) * _ROW_BYTES[batch.kind]
    if batch.kind is not Kind.OBJECT:
        return columns
    return columns + sum(getattr(value, "nbytes", 0) for value in batch.value)
