"""The journal: one durable log of everything read, many cursors.

Store-and-forward, history and replay are the same mechanism: a record is written once, before anybody is told of
it, and whoever must not lose anything reads the journal at a cursor of its own, which moves only when the far side
has confirmed. A far side that is down costs nothing but log space.

    log.py    the journal as the gateway sees it: append, group commit, cursors, limits; asyncio
    file.py   one SQLite file: tables, transactions, trimming, damage

It knows the model and the contracts, not who reads it or why.
"""

from gateway.journal.file import JournalFile
from gateway.journal.log import Cursor, Journal

__all__ = ["Cursor", "Journal", "JournalFile"]
