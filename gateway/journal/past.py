"""How far the tags of a device were told, kept in the journal beside the readings that it speaks of.

It is written in a later transaction of the same file than those readings, so neither a kill nor a power cut can make it
newer than they are. What was told after it is in the records behind it.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gateway.contracts import Offload
from gateway.journal.file import JournalFile
from gateway.model import Batch, Record

_ROW: Final = np.dtype([("tag", "<u4"), ("time", "<i8")])
_NEVER: Final = np.iinfo(np.int64).min
_READ_RECORDS: Final = 200


class Past:
    """The Past of one device (gateway/contracts); `numbers` are its tags.

    It is looked up by `since`, so that a device that is started beside others knows all that came before. `stored`
    waits until what was emitted is in the file, `keep` takes what is to be written.
    """

    def __init__(
        self,
        file: JournalFile,
        offload: Offload,
        device: str,
        asset: int,
        numbers: NDArray[np.uint32],
        stored: Callable[[], Awaitable[None]],
        keep: Callable[[str, bytes], None],
    ) -> None:
        self._file = file
        self._offload = offload
        self._device = device
        self._asset = asset
        self._numbers = numbers
        self._stored = stored
        self._keep = keep
        self._kept = b""

    @property
    def told(self) -> NDArray[np.int64]:
        rows = np.frombuffer(self._kept, _ROW)
        time_of = dict(zip(rows["tag"].tolist(), rows["time"].tolist(), strict=True))
        return np.array([time_of.get(number, _NEVER) for number in self._numbers.tolist()], np.int64)

    async def since(self) -> AsyncIterator[Batch]:
        await self._stored()
        position, self._kept = await self._offload(self._file.told, self._device)
        last = await self._offload(self._file.end)
        while position < last:
            records, position = await self._offload(self._file.read, position, last, _READ_RECORDS, self._asset)
            for record in records:
                for batch in record.batches:
                    yield batch

    async def received(self, since_ns: int) -> Sequence[Record]:
        found: list[Record] = []
        last = await self._offload(self._file.newest, self._asset)
        while last > 0:
            page = await self._offload(self._file.find, self._asset, last - _READ_RECORDS + 1, last, _READ_RECORDS)
            found = [record for record in page if record.received >= since_ns] + found
            last = page[0].sequence - 1 if page and page[0].received >= since_ns else 0
        return found

    def keep(self, told: NDArray[np.int64]) -> None:
        rows = np.empty(len(told), _ROW)
        rows["tag"], rows["time"] = self._numbers, told
        if (data := rows.tobytes()) != self._kept:
            self._kept = data
            self._keep(self._device, data)
