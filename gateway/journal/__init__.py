"""The journal: one durable log of everything read, many cursors.

Store-and-forward, history and replay are the same mechanism: a record is written once, before anybody is told of
it, and whoever must not lose anything reads the journal at a cursor of its own, which moves only when the far side
has confirmed. A far side that is down costs nothing but log space.

    log.py      the journal as the gateway sees it: append, group commit, read; asyncio
    limits.py   what is bounded, and what is lost at the bound
    cursor.py   how far somebody has read
    witness.py  who is told of every record on its way
    file.py     one SQLite file: tables, transactions, trimming
    seal.py     the checksum of a row
    salvage.py  what can be saved of a damaged file

It knows the model and the contracts, not who reads it or why.
"""

from gateway.journal.cursor import Cursor
from gateway.journal.file import JournalFile
from gateway.journal.log import Journal

__all__ = ["Cursor", "Journal", "JournalFile"]
