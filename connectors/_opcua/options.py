"""Keys of the configuration: of an OPC UA server, and of its tags."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Final, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, InstanceOf, model_validator

from connectors._opcua.node import Node, parse
from connectors._opcua.security import SecurityOptions
from connectors._options import Options, Seconds
from gateway.model.tag import EVENT, check_path

NodeId = Annotated[InstanceOf[Node], BeforeValidator(parse, json_schema_input_type=str)]

MethodName = Annotated[str, AfterValidator(check_path)]


class History(Options):
    """Keys of reading what was missed from the history of a server."""

    window: Seconds = Field(default=86_400.0, description="how far back, from the first reading after the loss")
    values: int = Field(default=100_000, ge=1, description="most values per tag")
    order: Literal["oldest", "newest"] = Field(
        default="oldest", description="which come first, and stay if it is too much"
    )
    delay: Seconds = Field(default=2.0, description="how long to wait first; servers write their history later")


class ArgumentKeys(Options):
    """Keys of an argument of a method; without any it takes true, false and texts."""

    limits: tuple[float, float] | None = Field(default=None, description="[low, high] of a number")
    choices: list[str] = Field(default=[], description="the texts that it may be")

    @model_validator(mode="after")
    def _sensible(self) -> Self:
        if self.limits is not None and self.choices:
            raise ValueError("an argument is a number with limits or a text with choices: take one of them out")
        if self.limits is not None and not -math.inf < self.limits[0] <= self.limits[1] < math.inf:
            raise ValueError(f"limits must be [low, high], two numbers, not {list(self.limits)}")
        return self


class MethodKeys(Options):
    """Keys of a method that may be called."""

    object: NodeId = Field(description="the node that the method is called of")
    method: NodeId = Field(description="the node of the method")
    arguments: dict[str, ArgumentKeys] = Field(default={}, description="what each may be, by the name the server has")
    interval: Seconds = Field(default=1.0, description="shortest time between two calls")


@dataclass(frozen=True, slots=True)
class Rules:
    """What MethodKeys say of a method, for one that is not configured: its arguments, and how often."""

    arguments: Mapping[str, ArgumentKeys]
    interval: float = 0.0


_ACKNOWLEDGING: Final = Rules({"EventId": ArgumentKeys(), "Comment": ArgumentKeys()})


class DeviceOptions(Options):
    """Keys of an OPC UA server."""

    publishing: Seconds = Field(default=0.25, description="publishing interval: how often changes are sent")
    sampling: Seconds = Field(default=0.25, description="sampling interval: how often the server looks at a node")
    poll: Seconds | None = Field(default=None, description="read its tags so often, instead of having changes sent")
    server_deadband: bool = Field(
        default=False, description="have the server leave out changes within the deadband of a tag"
    )
    timeout: Seconds = Field(default=4.0, description="how long to wait for an answer")
    history: History | Literal["off"] = Field(default=History(), description="what was missed is read from there")
    methods: dict[MethodName, MethodKeys] = Field(default={}, description="methods that may be called, by name")
    security: SecurityOptions = Field(default=SecurityOptions(), description="policy, mode and user of the session")


class TagOptions(Options):
    """Keys of a tag: a value of a node, or the events that a node reports; exactly one of `node` and `events`."""

    node: NodeId | None = Field(
        default=None, description="nsu=<namespace URI>;s=<name>, or i=, g=, b=, or a browse path"
    )
    publishing: Seconds | None = Field(default=None, description="publishing interval, if not as the device says")
    sampling: Seconds | None = Field(default=None, description="sampling interval, if not as the device says")
    poll: Seconds | Literal["off"] | None = Field(default=None, description="read it so often; off: have changes sent")
    deadband_percent: float | None = Field(
        default=None, gt=0, le=100, description="have changes left out that are not larger than so much of the range"
    )
    events: NodeId | None = Field(default=None, description="a node that reports events, in place of node; i=2253: all")
    types: list[NodeId] = Field(default=[], description="types of event, and what is derived from them; default: all")
    severity_min: int = Field(default=1, ge=1, le=1000, description="lowest severity of events")
    fields: list[str] = Field(
        default=[], description="more fields of events, as browse paths such as LimitState/CurrentState"
    )

    acknowledge: bool = Field(default=False, description="whether alarms among its events may be acknowledged")

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        if (self.node is None) == (self.events is None):
            raise ValueError("a tag is a value or events: write node:, or events: and the node that reports them")
        if self.node is not None and (self.types or self.fields or self.severity_min > 1 or self.acknowledge):
            raise ValueError("types, severity_min, fields, acknowledge are of events: write events: in place of node:")
        of_values = (self.publishing, self.sampling, self.poll, self.deadband_percent)
        if self.events is not None and (any(of_values) or getattr(self, "write", False)):
            raise ValueError(
                "events have no rates and deadbands, and are only read: take publishing, sampling, poll,"
                " deadband_percent and write out"
            )
        for name in self.fields:
            parse(f"/{name}")
        return self

    @property
    def monitored(self) -> Node:
        """The node that has the value or reports the events."""
        found = self.node or self.events
        assert found is not None  # as _one_kind has seen to
        return found

    @property
    def methods(self) -> Mapping[str, "Rules"]:
        """What may be called beside the methods of the device, by name below that of the tag."""
        return {"acknowledge": _ACKNOWLEDGING, "confirm": _ACKNOWLEDGING} if self.acknowledge else {}

    @property
    def datatype(self) -> str:
        return EVENT if self.events else ""

    @property
    def warning(self) -> str:
        return next((node.warning for node in (self.monitored, *self.types) if node.warning), "")
