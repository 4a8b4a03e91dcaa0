"""What a device answered, as it was before it was decoded: kept so that a wrong type is repaired in the past.

A connector hands it over beside its readings (`Device.words`). A protocol whose module offers `redecode` makes readings
of it again, by another configuration.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from gateway.contracts.modules import Device
from gateway.model import Batch


@dataclass(frozen=True, slots=True, eq=False)
class Words:
    """Answers of a device that were read in the same way, so with the same recipe.

    `recipe` is JSON of what lies where in an image, and how it was decoded then. `image` is uint8 (n, size), a row for
    each scan; `time` int64 and `quality` uint32 are (n, k), a column for each part of the image that came by itself.
    """

    recipe: str
    time: NDArray[np.int64]
    quality: NDArray[np.uint32]
    image: NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.image)


class Redecode(Protocol):
    """`redecode` of a protocol's module."""

    def __call__(self, device: Device, words: Words, rows: Sequence[int]) -> Iterator[Batch]:
        """Return the readings of those tags of the device, by their place in it, whose words are there and good.

        Tags that depend on more than one scan are left out.
        """
        ...
