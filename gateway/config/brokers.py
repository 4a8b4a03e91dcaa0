"""The sections of those that speak MQTT: `bus` and `sparkplug`."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from gateway.config.texts import AssetPath, Keys, Level, Listen, Seconds, scheme_of


def _check_brokers(urls: list[str]) -> None:
    for url in urls:
        if url != "embedded" and not url.startswith(("mqtt://", "mqtts://")):
            raise ValueError(f"url must be embedded, mqtt://... or mqtts://..., not {scheme_of(url)}")


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
