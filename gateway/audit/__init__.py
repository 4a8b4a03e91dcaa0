"""The audit trail: who did or was refused what, from where, to what, and what became of it. Append-only, chained.

    entry.py    what is told of one deed
    chain.py    a record is a line of JSON with the hash of the one before; pure
    file.py     segments on disk: appended, rotated, bounded, read by pages
    verify.py   whether a chain is whole, and where it is not
    flood.py    what comes again and again is counted, or it would push out what matters
    log.py      takes entries without ever waiting, writes them in a thread

Nothing here knows what a deed is. Secrets are not told: no passwords, tokens, bodies or queries.
"""

from gateway.audit.entry import UNHEARD, Audit, Entry
from gateway.audit.file import AuditFile
from gateway.audit.log import AuditLog

__all__ = ["UNHEARD", "Audit", "AuditFile", "AuditLog", "Entry"]
