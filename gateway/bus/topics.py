"""Topics of the unified namespace: `{root}/{enterprise}/{site}/{area}/{line}/{asset...}/...`. Pure.

Asset and tag paths are made of `[a-z0-9_-]` only, so they are topics as they stand; segments that begin with an
underscore are ours.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Topics:
    """`root` is the first level, `site` the path of enterprise and site, `gateway` the name of this gateway."""

    root: str
    site: str
    gateway: str

    def batch(self, asset: str) -> str:
        """Every reading of an asset, in columns; not retained."""
        return f"{self.root}/{asset}/_batch"

    def tag(self, path: str) -> str:
        """The latest value of one tag; retained."""
        return f"{self.root}/{path}"

    def meta(self, asset: str) -> str:
        """What the tags of an asset are; retained."""
        return f"{self.root}/{asset}/_meta"

    def event(self, asset: str) -> str:
        """What happened at an asset; not retained."""
        return f"{self.root}/{asset}/_event"

    def alarm(self, asset: str, name: str) -> str:
        """The state of an alarm of an asset; retained."""
        return f"{self.root}/{asset}/_alarm/{name}"

    def kpi(self, asset: str, name: str) -> str:
        """A KPI of a work unit in its present shift; retained."""
        return f"{self.root}/{asset}/_kpi/{name}"

    def order(self, asset: str) -> str:
        """What a work unit has made of the order that is on it, or was last; retained."""
        return f"{self.root}/{asset}/_order"

    @property
    def ledger(self) -> str:
        """What came and what did not in the minute that ended last; retained."""
        return f"{self.root}/{self.site}/_gateway/{self.gateway}/ledger"

    @property
    def replay(self) -> str:
        """Requests for batch messages that somebody has missed."""
        return f"{self.root}/{self.site}/_gateway/{self.gateway}/replay"

    def replayed(self, reply: str) -> str:
        """Where the messages go that `reply` has asked for, below it; and on it, that these were all."""
        return f"{self.root}/{self.site}/_gateway/{self.gateway}/replayed/{reply}"

    def command(self, path: str) -> str:
        """Where a tag is written."""
        return f"{self.root}/{path}/_set"

    def written(self, reply: str) -> str:
        """What became of the commands of somebody who wants to know it there."""
        return f"{self.root}/{self.site}/_gateway/{self.gateway}/written/{reply}"

    @property
    def status(self) -> str:
        """Whether this gateway is online; retained, and the last will."""
        return f"{self.root}/{self.site}/_gateway/{self.gateway}/status"
