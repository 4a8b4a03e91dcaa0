"""Keys of the configuration: of an OPC UA server, and of its tags."""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, InstanceOf

from connectors._opcua.node import Node, parse
from connectors._opcua.security import SecurityOptions
from connectors._options import Options, Seconds

NodeId = Annotated[InstanceOf[Node], BeforeValidator(parse, json_schema_input_type=str)]


class History(Options):
    """Keys of reading what was missed from the history of a server."""

    window: Seconds = Field(default=86_400.0, description="how far back, from the first reading after the loss")
    values: int = Field(default=100_000, ge=1, description="most values per tag")
    order: Literal["oldest", "newest"] = Field(
        default="oldest", description="which come first, and stay if it is too much"
    )
    delay: Seconds = Field(default=2.0, description="how long to wait first; servers write their history later")


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
    security: SecurityOptions = Field(default=SecurityOptions(), description="policy, mode and user of the session")


class TagOptions(Options):
    """Keys of a tag of an OPC UA server."""

    node: NodeId = Field(description="nsu=<namespace URI>;s=<name>, or i=, g=, b=, or a browse path")
    publishing: Seconds | None = Field(default=None, description="publishing interval, if not as the device says")
    sampling: Seconds | None = Field(default=None, description="sampling interval, if not as the device says")
    poll: Seconds | Literal["off"] | None = Field(default=None, description="read it so often; off: have changes sent")

    @property
    def warning(self) -> str:
        return self.node.warning
