"""One receiver of webhooks, as the configuration describes it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from hashlib import sha256
from ipaddress import IPv4Network, IPv6Network
from typing import Literal
from urllib.parse import urlsplit

from gateway.cloudevents import Event

Network = IPv4Network | IPv6Network


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where events go, and on which terms; `keys` sign, each of them. Never log `url` and `headers`: see `shown`.

    `types` and `tags` are globs: over the EventType, and over the path of the tag, with or without `site`. `retries_s`
    is how long after each attempt that failed the next one is made, until there are no more. `queue` is
    how many events may wait, and as many that were given up are kept, `keep_ns` long. Addresses of this machine and of
    private networks are asked if `private`, those in `networks` in any case. `ca` is a PEM file, or nothing.
    """

    name: str
    url: str
    keys: Sequence[bytes] = field(repr=False)
    site: str = ""
    types: Sequence[str] = ("*",)
    tags: Sequence[str] = ("*",)
    binary: bool = False
    timeout_s: float = 20.0
    retries_s: Sequence[float] = ()
    in_flight: int = 4
    order: Literal["any", "asset", "all"] = "any"
    queue: int = 10_000
    drop_newest: bool = False
    keep_ns: int = 30 * 86_400 * 10**9
    private: bool = False
    networks: Sequence[Network] = ()
    ca: str = ""
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def shown(self) -> str:
        """Where it is, without what may be a secret: many have one in the path."""
        url = urlsplit(self.url)
        return f"{url.scheme}://{url.netloc.rpartition('@')[2]}/..."

    @property
    def print(self) -> str:
        """What tells its URL from another one."""
        return sha256(self.url.encode()).hexdigest()

    def wants(self, event: Event) -> bool:
        kind = str(event.value.get("EventType") or "")
        paths = (event.source, event.source.removeprefix(f"{self.site}/"))
        return any(fnmatchcase(kind, glob) for glob in self.types) and any(
            fnmatchcase(path, glob) for glob in self.tags for path in paths
        )
