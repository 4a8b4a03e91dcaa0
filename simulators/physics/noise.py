"""Random numbers: a stream per machine for its physics, and one draw per moment for measurements.

Every stream grows from the plant's seed by SeedSequence.spawn, so machines do not disturb each other's luck.
"""

from collections.abc import Callable, Iterator

import numpy as np
from numpy.random import Generator, Philox, SeedSequence
from numpy.typing import NDArray


class Noise:
    """A stream of random floats, drawn from numpy in blocks because one at a time costs 20 times as much.

    `normal()` is N(0, 1), `exponential()` has the mean 1; each has its own generator.
    """

    __slots__ = ("exponential", "normal")

    def __init__(self, seed: SeedSequence) -> None:
        normals, exponentials = (np.random.default_rng(child) for child in seed.spawn(2))
        self.normal: Callable[[], float] = _stream(lambda: normals.standard_normal(1024)).__next__
        self.exponential: Callable[[], float] = _stream(lambda: exponentials.standard_exponential(64)).__next__


def at_moment(key: int, moment: int) -> Generator:
    """Return the generator of one moment: the same for the same key and moment, whatever was drawn before.

    It is counter-based (Philox), so a measurement does not depend on how often somebody looked.
    """
    return Generator(Philox(key=key, counter=[0, 0, 0, moment]))


def _stream(draw: Callable[[], NDArray[np.float64]]) -> Iterator[float]:
    while True:
        yield from draw().tolist()
