"""Columns of a plan: what of an image becomes which tags, and from which block. Pure."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from connectors._modbus.registers import Column
from gateway.model import Batch

UNASKED: Final = 0xFFFF_FFFF
"""In place of a quality: the block was not asked for, so there is nothing to say of its tags."""


class Planned:
    """A column with its tags and the blocks that they, and their scale factors, come from."""

    def __init__(
        self,
        column: Column,
        tags: NDArray[np.uint32],
        block_of: NDArray[np.intp],
        factor_block_of: NDArray[np.intp],
    ) -> None:
        self._column = column
        self._tags = tags
        self._block_of = block_of
        self._factor_block_of = factor_block_of

    def batch(self, image: NDArray[np.uint8], time: NDArray[np.int64]) -> Batch:
        """Decode; `time` is per block."""
        value, quality = self._column.decode(image)
        return Batch(self._tags, time.take(self._block_of), value, quality)

    def troubled(self, image: NDArray[np.uint8], time: NDArray[np.int64], trouble: NDArray[np.uint32]) -> Batch:
        """Decode; `time` and `trouble` are per block. Rows of blocks that were not asked for are left out."""
        worst = np.maximum(trouble[self._block_of], trouble[self._factor_block_of])
        value, quality = self._column.decode(image, worst)
        rows = np.flatnonzero(worst != UNASKED)
        return Batch(self._tags[rows], time[self._block_of[rows]], value[rows], quality[rows])
