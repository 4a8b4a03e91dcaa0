"""Users and their passwords: argon2id (RFC 9106), by the library of its reference implementation.

Whether there is a user cannot be told from the answer nor from how long it takes: for a name that nobody has, a hash is
computed too, of the same cost as that of one who is there; always of the same one for the same name.
"""

import asyncio
import hashlib
import re
import secrets
import unicodedata
from collections.abc import Mapping
from typing import Final

import argon2

from api.identity.caller import Denied
from gateway.contracts import Offload

LENGTH_MIN: Final = 12
"""Our choice for IEC 62443-4-2 CR 1.7; NIST SP 800-63B asks for 8, and for no rules on what is in it."""
LENGTH_MAX: Final = 1024
_AT_ONCE: Final = 2
_WAITING_MAX: Final = 16
"""A hash takes 64 MiB and some 50 ms of a core: so many are computed, and so many wait; the others come again."""


class Passwords:
    """The hashes of the users by name."""

    def __init__(self, hashes: Mapping[str, str], offload: Offload = asyncio.to_thread) -> None:
        self._hashes = dict(hashes)
        self._decoys = [_decoy(hash) for hash in hashes.values()]
        self._salt = secrets.token_bytes(16)
        self._offload = offload
        self._turn = asyncio.Semaphore(_AT_ONCE)
        self._asked = 0

    async def right(self, name: str, password: str) -> bool:
        """Whether this is the password of a user of this name. Raises Denied 503 if too many are being checked."""
        if self._asked >= _AT_ONCE + _WAITING_MAX:
            raise Denied(503, "too many logins at once: come again", {"Retry-After": "1"})
        self._asked += 1
        try:
            async with self._turn:
                fits = await self._offload(_fits, self._hashes.get(name) or self._decoy(name), password)
        finally:
            self._asked -= 1
        return fits and name in self._hashes

    def _decoy(self, name: str) -> str:
        digest = hashlib.blake2b(name.encode(errors="surrogatepass"), key=self._salt).digest()
        return self._decoys[int.from_bytes(digest[:8], "big") % len(self._decoys)]


def hashed(password: str) -> str:
    """Return the hash of a password for the configuration. Raises ValueError if it is too short or too long."""
    if not LENGTH_MIN <= len(password) <= LENGTH_MAX:
        raise ValueError(f"a password has {LENGTH_MIN} to {LENGTH_MAX} characters; several words are a good one")
    return argon2.PasswordHasher().hash(_prepared(password))


def _fits(hash: str, password: str) -> bool:
    try:
        return argon2.PasswordHasher().verify(hash, _prepared(password))
    except argon2.exceptions.VerifyMismatchError:
        return False


def _prepared(password: str) -> bytes:
    """The bytes of a password, the same from every keyboard (RFC 8265, OpaqueString)."""
    return unicodedata.normalize("NFC", password).encode(errors="surrogatepass")


def _decoy(hash: str) -> str:
    """A hash of the same cost and length that no password has."""
    head, digest = hash.rsplit("$", 1)
    return f"{head}${re.sub('.', lambda _: secrets.choice('ABCDEFGHIJKLMNOP'), digest[:-1])}A"
