"""The keys of a configuration, as pydantic models. What a key means is said here once, for errors, docs and schema.

Devices, tags and signals have further keys, which their protocol or kind of signal defines; load.py puts them
together.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, model_validator

from gateway.config.texts import AssetPath, Bytes, Interval, Level, Listen, Seconds, Segment, TagName


def _scheme(url: str) -> str:
    """The scheme of a URL for an error; of a text that is none nothing, for it may hold a secret."""
    scheme, found, _ = url.partition("://")
    return repr(scheme) if found and re.fullmatch(r"[a-z][a-z0-9+.-]*", scheme) else "that"


def _check_brokers(urls: list[str]) -> None:
    for url in urls:
        if url != "embedded" and not url.startswith(("mqtt://", "mqtts://")):
            raise ValueError(f"url must be embedded, mqtt://... or mqtts://..., not {_scheme(url)}")


class Keys(BaseModel):
    """Keys of a section: unknown ones are errors, and nothing changes after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Site(Keys):
    """Where in the enterprise this gateway is (ISA-95); the first two levels of every topic."""

    enterprise: Segment
    site: Segment

    @property
    def path(self) -> str:
        return f"{self.enterprise}/{self.site}"


class BusTls(Keys):
    """Who vouches for the broker and who we are, as paths of PEM files, for mqtts://."""

    ca: str = Field(default="", description="certificates of those who vouch for the broker; default: the machine's")
    cert: str = Field(default="", description="our certificate, for brokers that want one")
    key: str = Field(default="", description="its key, if that is not in cert")

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.key and not self.cert:
            raise ValueError("key belongs to a certificate: name that as cert")
        for name in (self.ca, self.cert, self.key):
            if name and not Path(name).is_file():
                raise ValueError(f"{name} is no file: name a PEM file that can be read")
        return self


class Bus(Keys):
    """The MQTT broker."""

    url: str | list[str] = Field(
        default="embedded", description="embedded, or mqtt://host:1883, mqtts://user:${PASSWORD}@host:8883, or a list"
    )
    version: Literal["auto", "3.1.1", "5"] = Field(
        default="auto", description="of MQTT; auto is 5, or 3.1.1 if the broker refuses that"
    )
    tls: BusTls = Field(default=BusTls(), description="certificates, for mqtts://")
    root: AssetPath = Field(default="uns", description="first level of all topics")
    listen: Listen = Field(default="127.0.0.1:1883", description="where the embedded broker listens")
    per_tag: bool = Field(default=True, description="whether each tag has a retained topic of its own")
    writes: bool = Field(
        default=False, description="whether tags with write: true may be written by MQTT, by <tag>/_set"
    )
    min_interval: Seconds = Field(default=1.0, description="shortest time between two messages of one retained topic")

    @property
    def urls(self) -> list[str]:
        return [self.url] if isinstance(self.url, str) else self.url

    def addresses(self, urls: Sequence[str] = ()) -> list[str]:
        """Return URLs, or those of this bus if there are none, with the embedded broker at its address."""
        return [f"mqtt://{self.listen}" if url == "embedded" else url for url in urls or self.urls]

    @model_validator(mode="after")
    def _known_scheme(self) -> Self:
        _check_brokers(self.urls)
        if self.version == "5" and "embedded" in self.urls:
            raise ValueError("version 5 is not spoken by the embedded broker: leave version out, or name another url")
        return self


class Sparkplug(Keys):
    """The gateway as a Sparkplug B edge node, beside the unified namespace."""

    url: str | list[str] = Field(default=[], description="the broker, or a list to try in turn; default: the bus's")
    group: Level | None = Field(default=None, description="group id; default: enterprise:site")
    node: Level | None = Field(default=None, description="edge node id; default: the id of this gateway")
    primary_host: Level | None = Field(default=None, description="host without which nothing is published, by its id")
    doubt: Seconds = Field(
        default=60.0, description="what was sent so long before a lost session is sent again; with a primary host only"
    )
    datatype_in_data: bool = Field(default=True, description="whether data repeats datatypes; Tahu's decoder wants it")
    writes: bool = Field(default=False, description="whether hosts may write tags that have write: true")

    @property
    def urls(self) -> list[str]:
        return [self.url] if isinstance(self.url, str) else self.url

    @model_validator(mode="after")
    def _known_scheme(self) -> Self:
        if "embedded" in self.urls:
            raise ValueError("url cannot be embedded: leave it out, then the broker of the bus is taken")
        _check_brokers(self.urls)
        return self


class Journal(Keys):
    """The durable log between devices and everything else."""

    size: Bytes = Field(default=2 << 30, description="most bytes on disk; at that bound, policy decides")
    policy: Literal["drop_oldest", "thin_out", "block"] = Field(
        default="drop_oldest",
        description="when it is full: drop the oldest records, or every second stretch of them, or let devices wait",
    )
    memory: Bytes = Field(default=64 << 20, description="most bytes of readings that wait for the disk")
    retention: Seconds = Field(default=3600.0, description="how long confirmed records are kept for replay")
    age: Seconds = Field(default=30 * 86_400.0, description="how long records are kept that nobody has confirmed")
    sync: Seconds = Field(default=0.25, description="what a power cut can take at most; 0 syncs every commit")


class Ledger(Keys):
    """What came and what did not, per device and minute."""

    retention: Seconds = Field(default=30 * 86_400.0, description="how long its rows are kept")


class Historian(Keys):
    """Where history is kept."""

    url: str = Field(
        default="sqlite", description="sqlite (in data_dir), sqlite:///path, postgresql://..., or none to keep none"
    )
    retention: Seconds = Field(default=90 * 86_400.0, description="how long history is kept")
    retentions: dict[str, Seconds] = Field(
        default={}, description="how long that of some tags is kept instead, by glob over the path; the first counts"
    )
    size: Bytes | None = Field(
        default=None,
        description="most bytes on disk, SQLite only; then the oldest is dropped, readings before roll-ups",
    )

    @model_validator(mode="before")
    @classmethod
    def _or_none(cls, keys: Any) -> Any:
        return {"url": "none"} if keys == "none" else keys

    @model_validator(mode="after")
    def _known_scheme(self) -> Self:
        if self.url not in ("sqlite", "none") and not self.url.startswith(("sqlite:///", "postgresql://")):
            raise ValueError(f"url must be sqlite, sqlite:///... or postgresql://..., or none, not {_scheme(self.url)}")
        if self.size is not None and self.url.startswith("postgresql://"):
            raise ValueError("size is for SQLite: leave it out, and bound retention or the disk of PostgreSQL")
        return self


class ApiToken(Keys):
    """A token that is good for less than the plain ones."""

    token: str = Field(description="the token itself, as ${NAME}")
    role: Literal["viewer", "operator", "engineer", "admin"] = Field(
        default="viewer",
        description="viewer looks; operator also writes, if a writer; engineer also changes the configuration",
    )
    expires: AwareDatetime | None = Field(default=None, description="until when it is good, as 2027-01-01T00:00:00Z")


class Api(Keys):
    """The REST API and the live page."""

    listen: Listen = Field(default="127.0.0.1:8080", description="address and port")
    tokens: dict[Segment, str | ApiToken] = Field(
        default={}, description="name of each client and its bearer token, as ${NAME}, or token, role and expires"
    )
    writers: list[Segment] = Field(default=[], description="names of those in tokens who may write to devices")

    @property
    def host(self) -> str:
        return self.listen.rpartition(":")[0].strip("[]")

    @property
    def port(self) -> int:
        return int(self.listen.rpartition(":")[2])

    def clients(self) -> dict[str, tuple[str, str, int | None]]:
        """Return token, role and end [ns] by name; a token without a role is an operator's."""
        found: dict[str, tuple[str, str, int | None]] = {}
        for name, one in self.tokens.items():
            if isinstance(one, str):
                found[name] = (one, "operator", None)
            else:
                end = None if one.expires is None else int(one.expires.timestamp()) * 10**9
                found[name] = (one.token, one.role, end)
        return found

    @model_validator(mode="after")
    def _safe(self) -> Self:
        if self.host not in ("127.0.0.1", "::1", "localhost") and not self.tokens:
            raise ValueError(
                f"listening on {self.listen} lets others in, and there are no tokens: add api.tokens,"
                " or listen on 127.0.0.1"
            )
        for name, (token, role, _) in self.clients().items():
            if role == "viewer" and name in self.writers:
                raise ValueError(f"writers: {name} is a viewer: give its token the role operator, or take it out")
            if len(token) < 16:
                raise ValueError(f"the token of {name} is shorter than 16 characters")
        for name in self.writers:
            if name not in self.tokens:
                known = ", ".join(self.tokens) or "none"
                raise ValueError(f"writers: {name} has no token: add it to api.tokens, or name one that has ({known})")
        return self


class Changes(Keys):
    """What happens when the configuration is changed while it runs."""

    trial: Seconds = Field(
        default=60.0, ge=0, description="a device that worked must work again by then, or it is rolled back; 0 never"
    )


class TagKeys(Keys):
    """Keys that every tag may have."""

    unit: str = Field(default="", description="UCUM unit, such as Cel, bar, kW.h")
    description: str = ""
    deadband: float = Field(default=0.0, ge=0, allow_inf_nan=False, description="smaller changes are not published")
    range: Interval | None = Field(default=None, description="[low, high] of the instrument")
    labels: dict[int, str] = Field(default={}, description="what the numbers of a state mean")
    write: bool = Field(default=False, description="whether it may be written, by those in api.writers")
    limits: Interval | None = Field(default=None, description="[low, high] of what may be written; default: range")

    @model_validator(mode="after")
    def _bounded(self) -> Self:
        """A protocol that knows from its keys whether values are numbers says so by a property `numeric`."""
        numeric: bool | None = getattr(self, "numeric", None)
        bounds = self.limits or self.range
        if self.write and numeric and bounds is None:
            raise ValueError("a number that may be written has limits: add limits: [low, high] in its unit, or range")
        if self.write and numeric is False and bounds is not None:
            raise ValueError("it is written without limits, for it is no number: take limits and range out")
        return self


class DeviceKeys(Keys):
    """Keys that every device has."""

    connect: str = Field(description="URL; its scheme decides the protocol")
    asset: AssetPath = Field(description="path of the machine below the site, such as packaging/line1/filler")
    template: Segment | None = Field(default=None, description="a register map of config/devices/, by its name")
    tags: dict[TagName, Any] = {}


class SignalKeys(Keys):
    """Keys that every signal has."""

    type: Segment = Field(description="a kind of signal, such as vibration or drift")


class Config(Keys):
    """A whole configuration."""

    site: Site
    id: Segment = Field(default="gw1", description="name of this gateway, unique on its bus")
    data_dir: str = Field(default="data", description="where journal, history and broker keep their files")
    bus: Bus = Bus()
    sparkplug: Sparkplug | None = None
    journal: Journal = Journal()
    ledger: Ledger = Ledger()
    historian: Historian = Historian()
    api: Api = Api()
    changes: Changes = Changes()
    devices: dict[Segment, Any] = {}
    signals: dict[Segment, Any] = {}

    @model_validator(mode="after")
    def _no_blanks_for_the_embedded_broker(self) -> Self:
        keys = self.sparkplug
        if keys is not None and not keys.urls and "embedded" in self.bus.urls:
            for key in ("group", "node", "primary_host"):
                if " " in (getattr(keys, key) or ""):
                    raise ValueError(f"sparkplug.{key}: the embedded broker takes no blanks; write it without")
        return self
