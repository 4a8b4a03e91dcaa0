"""The keys that a device on a broker and its tags may have in a configuration."""

from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, InstanceOf, model_validator

from connectors._bus.path import JsonPath, parse
from connectors._options import Options, Seconds

Path = Annotated[InstanceOf[JsonPath], BeforeValidator(parse, json_schema_input_type=str)]
TimeUnit = Literal["iso", "s", "ms", "us", "ns"]
Type = Literal["auto", "number", "integer", "boolean", "text", "json"]


def _topic(text: str) -> str:
    if "+" in text or "#" in text:
        raise ValueError(
            f"{text!r} is many topics, and a tag is one value: write a tag for each; gateway discover prints them"
        )
    if "\0" in text or len(text.encode()) > 0xFFFF:
        raise ValueError("a topic has no NUL and at most 65,535 bytes")
    return text.strip("/") if text.strip("/") != text and not text.startswith("/") else text


def _edge_node(text: str) -> str:
    if text and (not 2 <= len(text.split("/")) <= 3 or not all(text.split("/")) or set(text) & set("+#\0")):
        raise ValueError(f"{text!r} must be group/node or group/node/device, without + and #")
    return text


Topic = Annotated[str, AfterValidator(_topic)]


class DeviceOptions(Options):
    """Keys of what is read from a broker."""

    timeout: Seconds = Field(default=4.0, description="how long to wait for the broker, and for the first values")
    stale: Seconds | None = Field(default=None, description="nothing new for so long: the values are uncertain")
    client_id: str = Field(default="", max_length=256, description="MQTT client id; default: the broker gives one")
    batch: Topic = Field(default="", description="asset of another gateway, as topic: its batch messages are read")
    root: Topic = Field(default="uns", min_length=1, description="bus.root of that gateway")
    sparkplug: Annotated[str, AfterValidator(_edge_node)] = Field(
        default="", description="group/node or group/node/device of Sparkplug B: its metrics are read"
    )
    rebirth: bool = Field(default=True, description="whether edge nodes are asked for their births when those lack")

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if self.batch and self.sparkplug:
            raise ValueError("batch and sparkplug are two sources: write a device for each")
        if self.batch and not (self.batch.startswith(f"{self.root}/") and len(self.below_root) > 2):
            raise ValueError(f"batch {self.batch!r} must be {self.root}/enterprise/site/asset, with root {self.root!r}")
        return self

    @property
    def below_root(self) -> list[str]:
        """The levels of `batch` below its root: enterprise, site, and those of the asset."""
        return self.batch.removeprefix(f"{self.root}/").split("/")


class TagOptions(Options):
    """Keys of a tag that is read from a broker."""

    topic: Topic = Field(default="", description="where its value comes, if not with those of the device")
    name: str = Field(default="", description="its name in batch messages or births, if that is another")
    value: Path | None = Field(default=None, description="where the value is in JSON: $.temp.c; default: all of it")
    time: Path | None = Field(default=None, description="where its source time is; default: when it arrived")
    time_unit: TimeUnit = Field(default="iso", description="of a time that is a number, since 1970: s, ms, us, ns")
    status: Path | None = Field(default=None, description="where an OPC UA StatusCode is; none there: good")
    type: Type = Field(default="auto", description="what the value must be; auto: number, true, false or text")
    stale: Seconds | None = Field(default=None, description="as of the device, for this topic")

    @model_validator(mode="after")
    def _has_topic(self) -> Self:
        of_topics: dict[str, Any] = {"value": self.value, "time": self.time, "status": self.status, "stale": self.stale}
        if not self.topic and (keys := [key for key, given in of_topics.items() if given]):
            raise ValueError(f"{', '.join(keys)} can only be said of a tag with a topic")
        if self.topic and self.name:
            raise ValueError("name is for batch messages and births; a tag with a topic has none")
        return self
