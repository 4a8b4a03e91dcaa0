"""Who asks, as far as can be known; and why somebody is not let in."""

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from gateway.config import Api


@dataclass(frozen=True, slots=True)
class Client:
    """A token, and what it is good for; `expires_ns` is in nanoseconds since 1970 UTC.

    `scopes` are those of its role's that it has, None for all; `tags` globs over the paths it is for, none for all.
    """

    token: str
    role: str = "operator"
    expires_ns: int | None = None
    scopes: Collection[str] | None = None
    tags: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Caller:
    """Somebody who has shown who they are, by which means (`how`: token, session, password, oidc).

    `writes` is whether their issuer lets them write to devices; for all others the configuration says so of their name.
    """

    name: str
    role: str
    how: str
    expires_ns: int | None = None
    scopes: Collection[str] | None = None
    tags: Sequence[str] = ()
    writes: bool = False


@dataclass(slots=True)
class Denied(Exception):
    """A request that is not answered, and what is said instead."""

    status: int
    detail: str
    headers: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return self.detail


def clients(keys: Api) -> dict[str, Client]:
    """Return the tokens of a configuration by the names of their owners."""
    return {
        name: Client(one.token, one.role, one.expires_ns, one.scopes, tuple(one.tags))
        for name, one in keys.keys().items()
    }


def digest(token: bytes) -> bytes:
    """Return by what a token is known: its SHA-256, so that how long a look takes tells nothing of those there are."""
    return hashlib.sha256(token).digest()


def too_often(wait_s: float) -> Denied:
    """Say when to come again."""
    seconds = max(1, int(wait_s) + 1)
    return Denied(429, f"too many requests: come again in {seconds} s", {"Retry-After": str(seconds)})
