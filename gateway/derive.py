"""Runs the signals: readings that they ask for go in, what they derive is emitted like any reading."""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gateway.contracts import Emit, Offload, Signal
from gateway.mailbox import Mailbox
from gateway.model import Batch
from gateway.model.batch import join_kinds

_GATHER_S: Final = 0.05
"""Signals are updated twenty times per second at most; what they tell of takes longer to be true."""


@dataclass(slots=True)
class Derived:
    """The signals that there are now, and the number of tags; `signals` is replaced as a whole when others come."""

    signals: Sequence[Signal]
    tags: int


async def derive(derived: Derived, mailbox: Mailbox, emit: Emit, offload: Offload) -> None:
    """Update the signals with what comes into the mailbox, for ever.

    Computing happens away from the event loop, once for all that has come meanwhile, and no more often than needed:
    a pass costs the same for the readings of one device and of all. What comes from the history of a device is left
    out: signals have been told of what came after it.
    """
    signals: Sequence[Signal] | None = None
    masks: list[NDArray[np.bool_]] = []
    wanted = _mask((), 0)
    while True:
        taken = await mailbox.take()
        if signals is not derived.signals:
            signals = derived.signals
            masks = [_mask([signal], derived.tags) for signal in signals]
            wanted = _mask(signals, derived.tags)
        batches = join_kinds(b.where(wanted[b.rows]) for b in taken if not b.historical) if signals else []
        work = [
            (signal, batch.where(mask[batch.tag]))
            for batch in batches
            for signal, mask in zip(signals, masks, strict=True)
            if mask[batch.tag].any()
        ]
        if work:
            emit(*await offload(_update, work))
        await asyncio.sleep(_GATHER_S)


def _update(work: Sequence[tuple[Signal, Batch]]) -> list[Batch]:
    return [derived for signal, batch in work for derived in signal.update(batch)]


def _mask(signals: Iterable[Signal], tags: int) -> NDArray[np.bool_]:
    """Which tags the signals ask for, shape (tags,)."""
    mask = np.zeros(tags, np.bool_)
    for signal in signals:
        mask[signal.inputs] = True
    return mask
