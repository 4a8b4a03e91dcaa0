"""The keys of a configuration, as pydantic models. What a key means is said here once, for errors, docs and schema.

Sections with much to say have a file of their own: alarms.py, brokers.py, clients.py, production.py, tracing.py.
Devices, tags and signals have further keys, which their protocol or kind of signal defines; load.py puts them together.
"""

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from gateway.config.alarms import Alarms
from gateway.config.brokers import Bus, Sparkplug
from gateway.config.clients import Api
from gateway.config.production import Production
from gateway.config.texts import AssetPath, Bytes, Interval, Keys, Seconds, Segment, TagName, scheme_of
from gateway.config.tracing import Tracing
from gateway.config.webhooks import Webhook


class Site(Keys):
    """Where in the enterprise this gateway is (ISA-95); the first two levels of every topic."""

    enterprise: Segment
    site: Segment

    @property
    def path(self) -> str:
        return f"{self.enterprise}/{self.site}"


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


class Audit(Keys):
    """Who did or was refused what."""

    size: Annotated[Bytes, Field(ge=1 << 20)] = Field(
        default=256 << 20,
        description="most bytes on disk; then the oldest records are deleted, and a record says so",
    )


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

    words: Seconds = Field(
        default=30 * 86_400.0, description="how long answers of devices with words: true are kept, for gateway redecode"
    )

    @model_validator(mode="before")
    @classmethod
    def _or_none(cls, keys: Any) -> Any:
        return {"url": "none"} if keys == "none" else keys

    @model_validator(mode="after")
    def _known_scheme(self) -> Self:
        if self.url not in ("sqlite", "none") and not self.url.startswith(("sqlite:///", "postgresql://")):
            raise ValueError(
                f"url must be sqlite, sqlite:///... or postgresql://..., or none, not {scheme_of(self.url)}"
            )
        if self.size is not None and self.url.startswith("postgresql://"):
            raise ValueError("size is for SQLite: leave it out, and bound retention or the disk of PostgreSQL")
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
    tags: dict[TagName, Any] = Field(default={})


class SignalKeys(Keys):
    """Keys that every signal has."""

    type: Segment = Field(description="a kind of signal, such as vibration or drift")
    shadow: bool = Field(default=False, description="on trial: it runs, is kept and shown, and raises nothing")


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
    audit: Audit = Audit()
    api: Api = Api()
    changes: Changes = Changes()
    production: Production | None = None
    tracing: Tracing | None = None
    alarms: Alarms | None = None
    webhooks: dict[Segment, Webhook] = Field(default={}, description="who is told by HTTP of what happens, by name")
    devices: dict[Segment, Any] = Field(default={})
    signals: dict[Segment, Any] = Field(default={})

    @property
    def history_url(self) -> str:
        """The URL of the database that has the history, `none` if none is kept."""
        return (
            f"sqlite:///{Path(self.data_dir) / 'history.db'}" if self.historian.url == "sqlite" else self.historian.url
        )

    @model_validator(mode="after")
    def _no_blanks_for_the_embedded_broker(self) -> Self:
        keys = self.sparkplug
        if keys is not None and not keys.urls and "embedded" in self.bus.urls:
            for key in ("group", "node", "primary_host"):
                if " " in (getattr(keys, key) or ""):
                    raise ValueError(f"sparkplug.{key}: the embedded broker takes no blanks; write it without")
        return self
