"""The bounds of the journal, and what is lost at the bound (counted by the reason given here):

records that wait for the disk   memory_bytes_max   the oldest are dropped            journal_behind
the file                         size_bytes_max     policy drop_oldest: the oldest    journal_full
                                                    policy thin_out: every second     journal_thinned
                                                      stretch of the oldest
                                                    policy block: none, devices wait  -
what nobody fetches              age_s              what is older is forgotten        journal_old
the disk still fails at the end  -                  what waits in memory              journal_failed
the disk changes what is on it   -                  records that are read and differ  journal_damaged
"""

from dataclasses import dataclass
from typing import Final, Literal

REASONS: Final = (
    "journal_behind",
    "journal_full",
    "journal_thinned",
    "journal_old",
    "journal_failed",
    "journal_damaged",
)

Policy = Literal["drop_oldest", "thin_out", "block"]


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of the journal, in bytes and seconds. `sync_s` bounds what a power cut can take; 0 is every commit.

    `retention_s` is how long confirmed records are kept, `age_s` how long those that nobody has confirmed.
    """

    memory_bytes_max: int = 64 << 20
    size_bytes_max: int = 2 << 30
    retention_s: float = 3600.0
    age_s: float = 30 * 86_400.0
    policy: Policy = "drop_oldest"
    sync_s: float = 0.25
    trim_s: float = 2.0
