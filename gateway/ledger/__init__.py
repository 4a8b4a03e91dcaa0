"""The completeness ledger: one row per device and minute, in which no reading is missing without a cause.

    row.py      what a row says, and how rows add up; pure
    account.py  what one device owes and brings, as the supervisor sees it
    book.py     the ledger as the gateway sees it: the journal's witness, kept on disk every two seconds
    file.py     one SQLite file: rows, pauses, how far into the journal they reach

What the words mean is defined in docs/ledger.md. The work is per batch and minute; nothing here looks at readings one
by one.
"""

from gateway.ledger.account import Account
from gateway.ledger.book import Ledger
from gateway.ledger.file import LedgerFile

__all__ = ["Account", "Ledger", "LedgerFile"]
